/* SPDX-License-Identifier: MIT */
/*
 * See layout.h. In quoted-printable the encoded lines are walked along with
 * what they decode to, and what lies between two edits is taken over as it
 * stands; only the lines that an edit touches are looked at.
 */
#include "tracking/layout.h"

#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "tracking/line.h"
#include "tracking/transfer.h"

#define COLUMN_MAX 76
/* Characters of an unsubscribe token for the longest address. */
#define UNSUBSCRIBE_CHARACTERS_MAX \
    ((TOKEN_HEAD_BYTES + ADDRESS_TEXT_MAX) * 4 / 3 + 4)

static bool is_wide(const struct charset *charset)
{
    return charset_unit_bytes(charset) > 1;
}

/* A text of an edit in the body's charset. */
static struct text in_charset(const struct layout_body *body, struct text ascii,
                              struct arena *arena)
{
    if (body->charset->form == CHARSET_ASCII_SUPERSET) {
        return ascii;
    }
    struct buffer bytes = { 0 };
    charset_from_ascii(body->charset, ascii, &bytes);
    struct text kept = { arena_copy_text(arena, buffer_text(&bytes)),
                         bytes.length };
    buffer_free(&bytes);
    return kept;
}

/* What stands between the edit before and this one, or behind the last. */
static struct text unchanged(const struct layout_body *body, size_t index)
{
    size_t from = index > 0 ? body->edits[index - 1].to : 0;
    size_t to = index < body->edit_count ? body->edits[index].from
                                         : body->decoded.length;
    return text_slice(body->decoded, from, to);
}

/* --- not encoded --- */

struct measure {
    size_t column;
    size_t column_max;
};

static void measure_text(struct measure *measure, struct text text)
{
    size_t first = text_find_byte(text, '\n');
    size_t line = measure->column + first;
    if (line > measure->column_max) {
        measure->column_max = line;
    }
    if (first == text.length) {
        measure->column = line;
        return;
    }
    const char *last = memrchr(text.data, '\n', text.length);
    measure->column = text.length - (size_t)(last - text.data) - 1;
}

/* What links with a target for each recipient need is not known: too much. */
static size_t place_width(const struct template_piece *piece)
{
    switch (piece->place) {
    case PLACE_CLICK:
    case PLACE_OPEN:
        return TOKEN_HEAD_CHARACTERS;
    case PLACE_UNSUBSCRIBE:
        return UNSUBSCRIBE_CHARACTERS_MAX;
    default:
        return LINE_OCTETS_MAX + 1;
    }
}

static void measure_edit(struct measure *measure, const struct edit *edit)
{
    for (size_t i = 0; i < edit->piece_count; i++) {
        const struct template_piece *piece = &edit->pieces[i];
        if (piece->place == PLACE_NONE) {
            measure_text(measure, piece->text);
        } else {
            measure->column += place_width(piece);
        }
    }
}

bool layout_fits(const struct layout_body *body, size_t octets_max)
{
    struct measure measure = { 0, 0 };
    for (size_t i = 0; i <= body->edit_count; i++) {
        if (i > 0) {
            measure_edit(&measure, &body->edits[i - 1]);
        }
        measure_text(&measure, unchanged(body, i));
    }
    /* The CR of a line end was counted, but a last line may have none. */
    return measure.column_max <= octets_max;
}

static void add_edit(const struct layout_body *body, const struct edit *edit,
                     struct template *out)
{
    for (size_t i = 0; i < edit->piece_count; i++) {
        struct template_piece piece = edit->pieces[i];
        if (piece.place == PLACE_NONE) {
            template_add_text(out, in_charset(body, piece.text, out->arena));
        } else {
            piece.charset = is_wide(body->charset) ? body->charset : NULL;
            template_add(out, &piece);
        }
    }
}

void layout_plain(const struct layout_body *body, struct template *out)
{
    for (size_t i = 0; i <= body->edit_count; i++) {
        if (i > 0) {
            add_edit(body, &body->edits[i - 1], out);
        }
        template_add_text(out, unchanged(body, i));
    }
}

/* --- quoted-printable --- */

struct quoted {
    const struct layout_body *body;
    struct template *out;
    struct buffer pending; /* written, not yet in the template */
    struct quoted_printable_writer writer; /* into pending */
    bool is_touched; /* this line is not what it was */
    bool ends_blank; /* and so far ends with white space as it is */
};

static void start(struct quoted *quoted, const struct layout_body *body,
                  struct template *out)
{
    *quoted = (struct quoted){ .body = body, .out = out };
    quoted->writer.out = &quoted->pending;
}

static void flush(struct quoted *quoted)
{
    if (quoted->pending.length > 0) {
        struct text text = buffer_text(&quoted->pending);
        struct text kept = { arena_copy_text(quoted->out->arena, text),
                             text.length };
        template_add_text(quoted->out, kept);
        buffer_clear(&quoted->pending);
    }
}

static void finish(struct quoted *quoted)
{
    flush(quoted);
    buffer_free(&quoted->pending);
}

static void soft_break(struct quoted *quoted)
{
    quoted_printable_break(&quoted->writer);
    quoted->ends_blank = false;
}

static void write_text(struct quoted *quoted, struct text text)
{
    quoted_printable_write(&quoted->writer, text);
    quoted->ends_blank &= text.length == 0;
}

/* Characters of a known number, broken where the line ends. */
static void write_place(struct quoted *quoted,
                        const struct template_piece *piece)
{
    struct template_piece rest = *piece;
    while (rest.from < piece->to) {
        size_t column = quoted->writer.column;
        if (column >= COLUMN_MAX - 1) {
            soft_break(quoted);
            continue;
        }
        size_t room = COLUMN_MAX - 1 - column;
        size_t left = piece->to - rest.from;
        rest.to = rest.from + (left < room ? left : room);
        flush(quoted);
        template_add(quoted->out, &rest);
        quoted->ends_blank = false;
        quoted->writer.column += rest.to - rest.from;
        rest.from = rest.to;
    }
}

static void write_place_on_own_lines(struct quoted *quoted,
                                     const struct template_piece *piece)
{
    struct template_piece own = *piece;
    own.is_quoted = true;
    own.charset = is_wide(quoted->body->charset) ? quoted->body->charset : NULL;
    if (quoted->writer.column > 0) {
        soft_break(quoted);
    }
    flush(quoted);
    template_add(quoted->out, &own);
    quoted->writer.column = 0;
    quoted->ends_blank = false;
}

static void write_edit(struct quoted *quoted, const struct edit *edit)
{
    const struct layout_body *body = quoted->body;
    for (size_t i = 0; i < edit->piece_count; i++) {
        const struct template_piece *piece = &edit->pieces[i];
        bool is_even =
            piece->place == PLACE_CLICK || piece->place == PLACE_OPEN;
        if (piece->place == PLACE_NONE) {
            write_text(quoted,
                       in_charset(body, piece->text, quoted->out->arena));
        } else if (is_even && !is_wide(body->charset)) {
            write_place(quoted, piece);
        } else {
            write_place_on_own_lines(quoted, piece);
        }
    }
    quoted->is_touched = true;
}

void layout_to_quoted_printable(const struct layout_body *body,
                                struct template *out)
{
    struct quoted quoted;
    start(&quoted, body, out);
    for (size_t i = 0; i <= body->edit_count; i++) {
        if (i > 0) {
            write_edit(&quoted, &body->edits[i - 1]);
        }
        write_text(&quoted, unchanged(body, i));
    }
    finish(&quoted);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static struct text trim_end(struct text line)
{
    while (line.length > 0 && is_blank(line.data[line.length - 1])) {
        line.length--;
    }
    return line;
}

static void take_over(struct quoted *quoted, struct text encoded)
{
    if (encoded.length > 0) {
        flush(quoted);
        template_add_text(quoted->out, encoded);
        quoted->writer.column += encoded.length;
        quoted->ends_blank = is_blank(encoded.data[encoded.length - 1]);
    }
}

/* Part of a line that is touched, or will be; `room` is the longest such line.
 * At its end (`is_end`) blanks mean nothing (RFC 2045, 6.7, rule 3). */
static void fit_line(struct quoted *quoted, struct text encoded, bool is_end)
{
    struct text meant = is_end ? trim_end(encoded) : encoded;
    size_t room = is_end ? COLUMN_MAX : COLUMN_MAX - 1;
    size_t column = quoted->writer.column;
    bool is_lost = is_end && meant.length == 0 && quoted->ends_blank;
    bool is_full = column > 0 && column + meant.length > room;
    if (is_lost || (is_full && meant.length > 0)) {
        soft_break(quoted); /* is_lost: or this blank would mean nothing, too */
        column = 0;
    }
    bool makes_boundary = quoted->is_touched && column == 0 &&
                          meant.length >= 2 && memcmp(meant.data, "--", 2) == 0;
    if (column + encoded.length <= room && !makes_boundary) {
        take_over(quoted, encoded);
    } else if (column + meant.length <= room && !makes_boundary) {
        take_over(quoted, meant);
    } else if (meant.length > 0) {
        quoted_printable_write_coded(&quoted->writer, meant);
        quoted->ends_blank = is_blank(meant.data[meant.length - 1]);
    }
}

/* In front of an edit an "=" that begins no code must not come to begin one
 * with what follows. */
static size_t measure_stray(struct text encoded)
{
    for (size_t length = 1; length <= 2 && length <= encoded.length; length++) {
        if (encoded.data[encoded.length - length] == '=') {
            return length;
        }
    }
    return 0;
}

static void fit_before_edit(struct quoted *quoted, struct text encoded)
{
    size_t stray = measure_stray(encoded);
    size_t sound = encoded.length - stray;
    fit_line(quoted, text_slice(encoded, 0, sound), false);
    if (stray > 0) {
        write_text(quoted, text_slice(encoded, sound, encoded.length));
    }
}

static size_t find_line_end(struct text encoded)
{
    const char *found = encoded.length > 0
                            ? memmem(encoded.data, encoded.length, "\r\n", 2)
                            : NULL;
    return found ? (size_t)(found - encoded.data) : encoded.length;
}

static size_t find_last_line(struct text encoded)
{
    for (size_t end = encoded.length; end > 1;) {
        const char *found = memrchr(encoded.data, '\n', end);
        size_t at = found ? (size_t)(found - encoded.data) : 0;
        if (at == 0) {
            return 0;
        }
        if (encoded.data[at - 1] == '\r') {
            return at + 1;
        }
        end = at;
    }
    return 0;
}

/* Encoded text between edits. */
static void write_between(struct quoted *quoted, struct text encoded,
                          bool is_last)
{
    size_t line_end = find_line_end(encoded);
    if (line_end == encoded.length) {
        if (!is_last) {
            fit_before_edit(quoted, encoded);
        } else if (quoted->is_touched) {
            fit_line(quoted, encoded, true);
        } else {
            take_over(quoted, encoded);
        }
        return;
    }
    size_t last_line = is_last ? encoded.length : find_last_line(encoded);
    if (quoted->is_touched) {
        fit_line(quoted, text_slice(encoded, 0, line_end), true);
        take_over(quoted, text_slice(encoded, line_end, last_line));
    } else {
        take_over(quoted, text_slice(encoded, 0, last_line));
    }
    quoted->is_touched = false;
    quoted->writer.column = 0;
    quoted->ends_blank = false;
    if (!is_last) {
        fit_before_edit(quoted, text_slice(encoded, last_line, encoded.length));
    }
}

void layout_quoted_printable(const struct layout_body *body,
                             struct template *out)
{
    struct quoted quoted;
    struct quoted_printable_cursor cursor =
        quoted_printable_cursor_start(body->encoded);
    size_t from = 0;
    start(&quoted, body, out);
    for (size_t i = 0; i < body->edit_count; i++) {
        const struct edit *edit = &body->edits[i];
        quoted_printable_cursor_move(&cursor, edit->from);
        quoted_printable_cursor_skip_breaks(&cursor);
        write_between(&quoted, text_slice(body->encoded, from, cursor.encoded),
                      false);
        write_edit(&quoted, edit);
        quoted_printable_cursor_move(&cursor, edit->to);
        from = cursor.encoded;
    }
    write_between(&quoted,
                  text_slice(body->encoded, from, body->encoded.length), true);
    finish(&quoted);
}

/* --- base64 --- */

static bool is_space(char byte)
{
    return is_blank(byte) || byte == '\r' || byte == '\n';
}

/* White space behind the last digit stays: it belongs to what follows. */
static struct text space_at_end(struct text lines)
{
    size_t from = lines.length;
    while (from > 0 && is_space(lines.data[from - 1])) {
        from--;
    }
    return text_slice(lines, from, lines.length);
}

/* The first line's, if it is one that base64 has. */
static size_t columns_of(struct text lines)
{
    size_t length = line_content(line_take(&lines)).length;
    bool is_usual = length >= 4 && length <= COLUMN_MAX && length % 4 == 0 &&
                    lines.length > 0;
    return is_usual ? length : COLUMN_MAX;
}

void layout_base64(const struct layout_body *body, struct template *out)
{
    struct template *content = arena_alloc(out->arena, sizeof(*content));
    content->arena = out->arena;
    layout_plain(body, content);
    struct template_piece piece = {
        .place = PLACE_BASE64,
        .content = content,
        .columns = columns_of(body->encoded),
    };
    if (content->is_personal) {
        template_add(out, &piece);
    } else {
        struct buffer bytes = { 0 };
        struct buffer lines = { 0 };
        for (size_t i = 0; i < content->piece_count; i++) {
            buffer_append_text(&bytes, content->pieces[i].text);
        }
        base64_encode_columns(buffer_text(&bytes), piece.columns, &lines);
        template_add_text(
            out,
            (struct text){ arena_copy_text(out->arena, buffer_text(&lines)),
                           lines.length });
        buffer_free(&bytes);
        buffer_free(&lines);
    }
    template_add_text(out, space_at_end(body->encoded));
}
