/* SPDX-License-Identifier: MIT */
/* See transfer.h. */
#include "tracking/transfer.h"

#include <string.h>

#include "core/encoding.h"
#include "tracking/line.h"

#define COLUMN_MAX 76

/* One byte, or one "=" with what belongs to it, that no line break may cut. */
struct unit {
    char text[3];
    size_t length;
    size_t used; /* bytes of the input */
};

static struct unit plain_unit(struct text text, size_t length)
{
    struct unit unit = { .length = length, .used = length };
    memcpy(unit.text, text.data, length);
    return unit;
}

static struct unit coded_unit(char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char value = (unsigned char)byte;
    return (
        struct unit){ { '=', digits[value >> 4], digits[value & 15] }, 3, 1 };
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* At the start of a line "--" could make a boundary (RFC 2046, 5.1.1). */
static bool looks_like_boundary(struct text rest)
{
    return rest.length >= 2 && rest.data[0] == '-' && rest.data[1] == '-';
}

/* RFC 2045, 6.7, rules 1 to 3: white space only inside a line. */
static struct unit encode_unit(struct text rest, bool at_line_start)
{
    char byte = rest.data[0];
    bool is_plain = is_blank(byte) ? rest.length > 1
                                   : byte > 32 && byte < 127 && byte != '=';
    if (!is_plain || (at_line_start && looks_like_boundary(rest))) {
        return coded_unit(byte);
    }
    return plain_unit(rest, 1);
}

/* The byte that a code at the start of rest stands for, or -1. */
static int read_code(struct text rest)
{
    if (rest.length < 3 || rest.data[0] != '=') {
        return -1;
    }
    int high = ascii_hex_value(rest.data[1]);
    int low = ascii_hex_value(rest.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* What is encoded already passes as it is, codes whole. An "=" that begins no
 * code stands for itself (RFC 2045, 6.7) and is written so that no line break
 * can give it another meaning; one at the end of the line is a soft break. */
static struct unit wrap_unit(struct text rest, bool at_line_start)
{
    if (read_code(rest) >= 0) {
        return plain_unit(rest, 3);
    }
    bool is_stray = rest.data[0] == '=' && rest.length > 1;
    bool is_8bit = (unsigned char)rest.data[0] & 0x80;
    if (is_stray || is_8bit || (at_line_start && looks_like_boundary(rest))) {
        return coded_unit(rest.data[0]);
    }
    return plain_unit(rest, 1);
}

/* How a line is written: what needs no look at all, and the rest. */
struct manner {
    struct unit (*take_unit)(struct text rest, bool at_line_start);
    bool is_kept[256]; /* a byte that stays, but for a blank at the end */
    bool keeps_last_blank;
};

static const struct manner encoding_manner = {
    .take_unit = encode_unit,
    .is_kept = { ['\t'] = true, [' ' ... '<'] = true, ['>' ... '~'] = true },
};

static const struct manner wrapping_manner = {
    .take_unit = wrap_unit,
    .is_kept = { ['\0' ... '<'] = true, ['>' ... 0x7f] = true },
    .keeps_last_blank = true,
};

/* How many bytes stay as they are, up to the room on this line. */
static size_t measure_kept(struct text line, size_t room, bool at_line_start,
                           const struct manner *manner)
{
    if (at_line_start && looks_like_boundary(line)) {
        return 0;
    }
    size_t limit = line.length < room ? line.length : room;
    size_t length = 0;
    while (length < limit &&
           manner->is_kept[(unsigned char)line.data[length]]) {
        length++;
    }
    bool ends_blank = length > 0 && length == line.length &&
                      !manner->keeps_last_blank &&
                      is_blank(line.data[length - 1]);
    return ends_blank ? length - 1 : length;
}

/* Write one line with soft breaks, each line at most 76 octets with its "=". */
static void write_line(struct quoted_printable_writer *writer, struct text line,
                       const struct manner *manner)
{
    while (line.length > 0) {
        size_t room = writer->column < COLUMN_MAX - 1
                          ? COLUMN_MAX - 1 - writer->column
                          : 0;
        size_t kept = measure_kept(line, room, writer->column == 0, manner);
        if (kept > 0) {
            buffer_append(writer->out, line.data, kept);
            writer->column += kept;
            line = text_slice(line, kept, line.length);
            continue;
        }
        struct unit unit = manner->take_unit(line, writer->column == 0);
        if (unit.length > room) {
            quoted_printable_break(writer);
            continue;
        }
        buffer_append(writer->out, unit.text, unit.length);
        writer->column += unit.length;
        line = text_slice(line, unit.used, line.length);
    }
}

/* A line feed alone is no line break in a message and is encoded; so only CRLF
 * divides here. */
static struct text take_crlf_line(struct text *rest, struct text *out_end)
{
    struct text line = { rest->data, 0 };
    struct text left = *rest;
    do {
        line.length += line_take(&left).length;
    } while (left.length > 0 &&
             (line.length < 2 || line.data[line.length - 2] != '\r'));
    *rest = left;
    bool has_end = line.length >= 2 && line.data[line.length - 1] == '\n' &&
                   line.data[line.length - 2] == '\r';
    line.length -= has_end ? 2 : 0;
    *out_end = has_end ? TEXT_LITERAL("\r\n") : TEXT_LITERAL("");
    return line;
}

void quoted_printable_break(struct quoted_printable_writer *writer)
{
    buffer_append_string(writer->out, "=\r\n");
    writer->column = 0;
}

void quoted_printable_write(struct quoted_printable_writer *writer,
                            struct text text)
{
    while (text.length > 0) {
        struct text end;
        struct text line = take_crlf_line(&text, &end);
        write_line(writer, line, &encoding_manner);
        buffer_append_text(writer->out, end);
        writer->column = end.length > 0 ? 0 : writer->column;
    }
}

void quoted_printable_write_coded(struct quoted_printable_writer *writer,
                                  struct text line)
{
    write_line(writer, line, &wrapping_manner);
}

void quoted_printable_encode(struct text text, struct buffer *out_lines)
{
    struct quoted_printable_writer writer = { out_lines, 0 };
    buffer_reserve(out_lines, text.length + text.length / 16);
    quoted_printable_write(&writer, text);
}

static struct text trim_end(struct text line)
{
    while (line.length > 0 && is_blank(line.data[line.length - 1])) {
        line.length--;
    }
    return line;
}

void quoted_printable_wrap(struct text lines, struct buffer *out_lines)
{
    while (lines.length > 0) {
        struct text end;
        struct text line = take_crlf_line(&lines, &end);
        bool is_kept = line.length <= COLUMN_MAX && !text_has_8bit(line);
        if (is_kept) {
            buffer_append_text(out_lines, line);
        } else {
            /* White space at the end of a line means nothing (RFC 2045, 6.7,
             * rule 3) and would begin to mean something before a soft break. */
            struct quoted_printable_writer writer = { out_lines, 0 };
            write_line(&writer, trim_end(line), &wrapping_manner);
        }
        buffer_append_text(out_lines, end);
    }
}

/* Returns where the output ends; it is never longer than the line. */
static char *decode_line(struct text line, char *out)
{
    const char *at = line.data;
    const char *end = line.data + line.length;
    while (at < end) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        size_t plain = (size_t)((equals ? equals : end) - at);
        memcpy(out, at, plain);
        out += plain;
        at += plain;
        if (equals) {
            int code = read_code((struct text){ at, (size_t)(end - at) });
            *out++ = code < 0 ? '=' : (char)code;
            at += code < 0 ? 1 : 3;
        }
    }
    return out;
}

void quoted_printable_decode(struct text lines, struct buffer *out_text)
{
    buffer_reserve(out_text, lines.length);
    char *out = out_text->data + out_text->length;
    while (lines.length > 0) {
        struct text end;
        struct text line = trim_end(take_crlf_line(&lines, &end));
        bool is_soft = line.length > 0 && line.data[line.length - 1] == '=';
        line.length -= is_soft ? 1 : 0;
        out = decode_line(line, out);
        if (!is_soft) {
            memcpy(out, end.data, end.length);
            out += end.length;
        }
    }
    *out = '\0';
    out_text->length = (size_t)(out - out_text->data);
}

/* --- encoded and decoded, side by side --- */

/* Read where the line at `encoded` ends. */
static void enter_line(struct quoted_printable_cursor *cursor)
{
    struct text rest =
        text_slice(cursor->lines, cursor->encoded, cursor->lines.length);
    struct text end = { "", 0 };
    struct text line = { "", 0 };
    if (rest.length > 0) {
        line = take_crlf_line(&rest, &end);
    }
    struct text content = trim_end(line);
    cursor->is_soft =
        content.length > 0 && content.data[content.length - 1] == '=';
    content.length -= cursor->is_soft ? 1 : 0;
    cursor->content_to = cursor->encoded + content.length;
    cursor->has_line_end = end.length > 0;
    cursor->line_to = cursor->encoded + line.length + end.length;
}

struct quoted_printable_cursor quoted_printable_cursor_start(struct text lines)
{
    struct quoted_printable_cursor cursor = { .lines = lines };
    enter_line(&cursor);
    return cursor;
}

static void next_line(struct quoted_printable_cursor *cursor)
{
    cursor->decoded += cursor->has_line_end && !cursor->is_soft ? 2 : 0;
    cursor->encoded = cursor->line_to;
    enter_line(cursor);
}

static void move_in_line(struct quoted_printable_cursor *cursor, size_t decoded)
{
    struct text rest =
        text_slice(cursor->lines, cursor->encoded, cursor->content_to);
    size_t plain = text_find_byte(rest, '=');
    size_t wanted = decoded - cursor->decoded;
    if (plain == 0) {
        cursor->encoded += read_code(rest) < 0 ? 1 : 3;
        cursor->decoded++;
    } else {
        size_t step = plain < wanted ? plain : wanted;
        cursor->encoded += step;
        cursor->decoded += step;
    }
}

void quoted_printable_cursor_move(struct quoted_printable_cursor *cursor,
                                  size_t decoded)
{
    while (cursor->decoded < decoded) {
        if (cursor->encoded < cursor->content_to) {
            move_in_line(cursor, decoded);
        } else if (cursor->line_to < cursor->lines.length ||
                   cursor->has_line_end) {
            next_line(cursor);
        } else {
            break;
        }
    }
}

void quoted_printable_cursor_skip_breaks(struct quoted_printable_cursor *cursor)
{
    while (cursor->encoded == cursor->content_to && cursor->is_soft &&
           cursor->has_line_end) {
        next_line(cursor);
    }
}

void base64_encode_columns(struct text bytes, size_t columns,
                           struct buffer *out_lines)
{
    size_t line_bytes = columns / 4 * 3;
    buffer_reserve(out_lines,
                   bytes.length / 3 * 4 + 4 + bytes.length / line_bytes * 2);
    for (size_t at = 0; at < bytes.length; at += line_bytes) {
        if (at > 0) {
            buffer_append_string(out_lines, "\r\n");
        }
        base64_encode(text_slice(bytes, at, at + line_bytes), out_lines);
    }
}

void base64_encode_lines(struct text bytes, struct buffer *out_lines)
{
    base64_encode_columns(bytes, COLUMN_MAX, out_lines);
}

static bool is_space(char byte)
{
    return is_blank(byte) || byte == '\r' || byte == '\n';
}

static void copy_without_blanks(struct text line, struct buffer *out)
{
    for (size_t i = 0; i < line.length; i++) {
        if (!is_space(line.data[i])) {
            buffer_append_byte(out, line.data[i]);
        }
    }
}

static void copy_without_space(struct text lines, struct buffer *out)
{
    buffer_reserve(out, lines.length);
    while (lines.length > 0) {
        struct text line = line_content(line_take(&lines));
        bool is_dense = text_find_byte(line, ' ') == line.length &&
                        text_find_byte(line, '\t') == line.length &&
                        text_find_byte(line, '\r') == line.length;
        if (is_dense) {
            buffer_append_text(out, line);
        } else {
            copy_without_blanks(line, out);
        }
    }
}

bool base64_decode_lines(struct text lines, struct buffer *out_bytes)
{
    struct buffer dense = { 0 };
    copy_without_space(lines, &dense);
    bool is_decoded = base64_decode(buffer_text(&dense), out_bytes);
    buffer_free(&dense);
    return is_decoded;
}

bool base64_is_clean(struct text lines)
{
    for (size_t i = 0; i < lines.length; i++) {
        char byte = lines.data[i];
        if (!ascii_is_alnum(byte) && !is_space(byte) && byte != '+' &&
            byte != '/' && byte != '=') {
            return false;
        }
    }
    return true;
}

void base64_wrap(struct text lines, struct buffer *out_lines)
{
    struct buffer dense = { 0 };
    copy_without_space(lines, &dense);
    struct text rest = buffer_text(&dense);
    for (size_t at = 0; at < rest.length; at += COLUMN_MAX) {
        if (at > 0) {
            buffer_append_string(out_lines, "\r\n");
        }
        buffer_append_text(out_lines, text_slice(rest, at, at + COLUMN_MAX));
    }
    buffer_free(&dense);
}
