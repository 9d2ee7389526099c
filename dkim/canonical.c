/* SPDX-License-Identifier: MIT */
#include "dkim/canonical.h"

#include <string.h>

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* --- fields --- */

/* 3.4.2: unfolded, blanks reduced to one and dropped at the end. */
static void append_relaxed(struct text value, struct buffer *out)
{
    bool has_blank = false;
    bool has_begun = false;
    for (size_t i = 0; i < value.length; i++) {
        char byte = value.data[i];
        if (byte == '\r' || byte == '\n') {
            continue;
        }
        if (is_blank(byte)) {
            has_blank = true;
            continue;
        }
        if (has_blank && has_begun) {
            buffer_append_byte(out, ' ');
        }
        has_blank = false;
        has_begun = true;
        buffer_append_byte(out, byte);
    }
}

void canonical_field(struct text field, enum canonical_form form,
                     struct buffer *out_field)
{
    if (form == CANONICAL_SIMPLE) {
        buffer_append_text(out_field, field);
        return;
    }
    size_t colon = text_find_byte(field, ':');
    struct text name = text_trim(text_slice(field, 0, colon));
    for (size_t i = 0; i < name.length; i++) {
        buffer_append_byte(out_field, ascii_lower(name.data[i]));
    }
    buffer_append_byte(out_field, ':');
    if (colon < field.length) {
        append_relaxed(text_slice(field, colon + 1, field.length), out_field);
    }
    buffer_append_string(out_field, "\r\n");
}

/* --- bodies --- */

static void flush(struct canonical_body *body)
{
    if (body->length > 0) {
        body->write(body->owner, (struct text){ body->bytes, body->length });
        body->length = 0;
    }
}

static void put(struct canonical_body *body, char byte)
{
    if (body->length == sizeof(body->bytes)) {
        flush(body);
    }
    body->bytes[body->length++] = byte;
}

/* Lines that may have been the last are not. */
static void put_line_ends(struct canonical_body *body)
{
    for (; body->line_ends > 0; body->line_ends--) {
        put(body, '\r');
        put(body, '\n');
    }
}

static void put_content(struct canonical_body *body, char byte)
{
    put_line_ends(body);
    if (body->has_blank) {
        put(body, ' ');
        body->has_blank = false;
    }
    put(body, byte);
    body->is_open = true;
    body->has_content = true;
}

static void end_line(struct canonical_body *body)
{
    body->line_ends++;
    body->is_open = false;
    body->has_blank = false;
}

static void take(struct canonical_body *body, char byte)
{
    if (body->has_cr) {
        body->has_cr = false;
        if (byte == '\n') {
            end_line(body);
            return;
        }
        put_content(body, '\r');
    }
    if (byte == '\r') {
        body->has_cr = true;
    } else if (body->form == CANONICAL_RELAXED && is_blank(byte)) {
        body->has_blank = true;
    } else {
        put_content(body, byte);
    }
}

void canonical_body_begin(struct canonical_body *body, enum canonical_form form,
                          canonical_write_fn *write, void *owner)
{
    memset(body, 0, offsetof(struct canonical_body, bytes));
    body->form = form;
    body->write = write;
    body->owner = owner;
}

/* A blank that stays as it is: one space between what is no blank. */
static bool is_lone_space(struct text rest, size_t at)
{
    return rest.data[at] == ' ' && at > 0 && at + 1 < rest.length &&
           !is_blank(rest.data[at + 1]) && rest.data[at + 1] != '\r';
}

/* How many bytes are content that nothing has to be done to. */
static size_t plain_length(const struct canonical_body *body, struct text rest)
{
    size_t end = text_find_byte(rest, '\r');
    size_t length = 0;
    if (body->form == CANONICAL_SIMPLE) {
        return end;
    }
    while (length < end &&
           (!is_blank(rest.data[length]) || is_lone_space(rest, length))) {
        length++;
    }
    return length;
}

static void copy(struct canonical_body *body, struct text plain)
{
    put_content(body, plain.data[0]);
    size_t from = 1;
    while (from < plain.length) {
        if (body->length == sizeof(body->bytes)) {
            flush(body);
        }
        size_t room = sizeof(body->bytes) - body->length;
        size_t left = plain.length - from;
        size_t length = left < room ? left : room;
        memcpy(body->bytes + body->length, plain.data + from, length);
        body->length += length;
        from += length;
    }
}

void canonical_body_add(struct canonical_body *body, struct text piece)
{
    size_t at = 0;
    while (at < piece.length) {
        struct text rest = text_slice(piece, at, piece.length);
        size_t plain = body->has_cr ? 0 : plain_length(body, rest);
        if (plain > 0) {
            copy(body, text_slice(rest, 0, plain));
            at += plain;
        } else {
            take(body, piece.data[at++]);
        }
    }
}

void canonical_body_end(struct canonical_body *body)
{
    if (body->has_cr) {
        body->has_cr = false;
        put_content(body, '\r');
    }
    if (body->is_open || body->line_ends > 0) {
        body->line_ends = body->has_content ? 1 : 0;
    }
    if (body->form == CANONICAL_SIMPLE && !body->has_content) {
        body->line_ends = 1;
    }
    put_line_ends(body);
    flush(body);
}
