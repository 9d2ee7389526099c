/* SPDX-License-Identifier: MIT */
#include "http/form.h"

#include <string.h>

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

/* -- application/x-www-form-urlencoded (WHATWG URL, 5.1) -- */

/* In place; what is no escape stays as it is. */
static struct text decode(struct text piece)
{
    char *bytes = (char *)(uintptr_t)piece.data; /* the caller's own buffer */
    size_t to = 0;
    for (size_t from = 0; from < piece.length; from++, to++) {
        char byte = bytes[from];
        if (byte == '%' && piece.length - from > 2) {
            int high = ascii_hex_value(bytes[from + 1]);
            int low = ascii_hex_value(bytes[from + 2]);
            if (high >= 0 && low >= 0) {
                byte = (char)(high * 16 + low);
                from += 2;
            }
        }
        bytes[to] = byte == '+' && bytes[from] == '+' ? ' ' : byte;
    }
    return (struct text){ piece.data, to };
}

static bool read_urlencoded(struct text body, form_field_fn *on_field,
                            void *owner)
{
    struct text pair;
    size_t count = 0;
    body = text_trim(body);
    while (text_split(&body, '&', &pair)) {
        size_t equals = text_find_byte(pair, '=');
        struct text name = text_slice(pair, 0, equals);
        struct text value = text_slice(
            pair, equals < pair.length ? equals + 1 : equals, pair.length);
        if (pair.length == 0) {
            continue;
        }
        if (++count > FORM_FIELDS_MAX) {
            return false;
        }
        /* Clients end the body with a line end now and then. */
        while (value.length > 0 && (value.data[value.length - 1] == '\n' ||
                                    value.data[value.length - 1] == '\r')) {
            value.length--;
        }
        on_field(owner, decode(name), decode(value));
    }
    return true;
}

/* -- multipart/form-data -- */

/* The value of `name=` in a field with parameters; quotes taken off. */
static bool find_parameter(struct text field, const char *name,
                           struct text *out_value)
{
    size_t at = text_find_byte(field, ';');
    while (at < field.length) {
        struct text rest = text_trim(text_slice(field, at + 1, field.length));
        size_t equals = text_find_byte(rest, '=');
        struct text value = text_slice(rest, equals, rest.length);
        size_t end;
        value = text_slice(value, value.length > 0 ? 1 : 0, value.length);
        bool is_quoted = value.length > 0 && value.data[0] == '"';
        if (is_quoted) {
            value = text_slice(value, 1, value.length);
            end = text_find_byte(value, '"');
        } else {
            end = text_find_byte(value, ';');
        }
        if (text_is_ignoring_case(text_trim(text_slice(rest, 0, equals)),
                                  name)) {
            *out_value = text_slice(value, 0, end);
            if (!is_quoted) {
                *out_value = text_trim(*out_value);
            }
            return true;
        }
        struct text behind = text_slice(value, end, value.length);
        at = (size_t)(behind.data - field.data) + text_find_byte(behind, ';');
    }
    return false;
}

/* Cut a line off, without its end; LF alone is taken for one. */
static bool take_line(struct text *rest, struct text *out_line)
{
    size_t end = text_find_byte(*rest, '\n');
    if (end == rest->length) {
        return false;
    }
    *out_line = text_slice(*rest, 0, end);
    *rest = text_slice(*rest, end + 1, rest->length);
    if (out_line->length > 0 && out_line->data[out_line->length - 1] == '\r') {
        out_line->length--;
    }
    return true;
}

/* A line "--boundary" or "--boundary--". */
static bool is_delimiter(struct text line, struct text boundary,
                         bool *out_is_last)
{
    size_t length = boundary.length + 2;
    if (line.length < length || memcmp(line.data, "--", 2) != 0 ||
        memcmp(line.data + 2, boundary.data, boundary.length) != 0) {
        return false;
    }
    struct text tail = text_trim(text_slice(line, length, line.length));
    *out_is_last = text_is(tail, "--");
    return *out_is_last || tail.length == 0;
}

/* The part's name, from its header lines up to the empty one. */
static bool read_part_header(struct text *rest, struct text *out_name)
{
    static const char disposition[] = "Content-Disposition:";
    struct text line;
    bool has_name = false;
    while (take_line(rest, &line)) {
        if (line.length == 0) {
            return has_name;
        }
        if (text_starts_with_ignoring_case(line, disposition) &&
            find_parameter(line, "name", out_name)) {
            has_name = true;
        }
    }
    return false;
}

/* Take the part's content, up to the next delimiter. */
static bool read_part_value(struct text *rest, struct text boundary,
                            struct text *out_value, bool *out_is_last)
{
    const char *begin = rest->data;
    struct text line;
    for (;;) {
        const char *line_begin = rest->data;
        bool has_end = take_line(rest, &line);
        if (!has_end) {
            line = *rest; /* the last delimiter needs no line end */
        }
        if (is_delimiter(line, boundary, out_is_last)) {
            size_t length = (size_t)(line_begin - begin);
            /* The line end before a delimiter belongs to it. */
            length -= length > 0 && begin[length - 1] == '\n' ? 1 : 0;
            length -= length > 0 && begin[length - 1] == '\r' ? 1 : 0;
            *out_value = (struct text){ begin, length };
            return has_end || *out_is_last;
        }
        if (!has_end) {
            return false;
        }
    }
}

static bool read_multipart(struct text body, struct text boundary,
                           form_field_fn *on_field, void *owner)
{
    struct text name = { "", 0 };
    struct text value;
    bool is_last = false;
    if (boundary.length == 0 || boundary.length > BOUNDARY_MAX ||
        !read_part_value(&body, boundary, &value, &is_last)) {
        return false; /* what stands before the first delimiter is dropped */
    }
    for (size_t count = 0; !is_last; count++) {
        if (count == FORM_FIELDS_MAX || !read_part_header(&body, &name) ||
            !read_part_value(&body, boundary, &value, &is_last)) {
            return false;
        }
        on_field(owner, name, value);
    }
    return true;
}

bool form_read(struct text content_type, struct text body,
               form_field_fn *on_field, void *owner)
{
    struct text type = text_trim(
        text_slice(content_type, 0, text_find_byte(content_type, ';')));
    struct text boundary = { "", 0 };
    if (type.length == 0 ||
        text_is_ignoring_case(type, "application/x-www-form-urlencoded")) {
        return read_urlencoded(body, on_field, owner);
    }
    return text_is_ignoring_case(type, "multipart/form-data") &&
           find_parameter(content_type, "boundary", &boundary) &&
           read_multipart(body, boundary, on_field, owner);
}
