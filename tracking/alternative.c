/* SPDX-License-Identifier: MIT */
#include "tracking/alternative.h"

#include <string.h>

#include "core/encoding.h"
#include "tracking/html.h"
#include "tracking/line.h"
#include "tracking/text_link.h"

bool alternative_find(const struct mime *mime, enum alternative wanted,
                      size_t *out_part, enum body_kind *out_kind)
{
    size_t first[2] = { MIME_NO_PARENT, MIME_NO_PARENT };
    for (size_t i = 0; i < mime->part_count; i++) {
        enum body_kind kind;
        if (body_is_one(&mime->parts[i], &kind) &&
            first[kind] == MIME_NO_PARENT) {
            first[kind] = i;
        }
    }
    bool makes_text = wanted == ALTERNATIVE_TEXT || wanted == ALTERNATIVE_BOTH;
    bool makes_html = wanted == ALTERNATIVE_HTML || wanted == ALTERNATIVE_BOTH;
    bool has_text = first[BODY_TEXT] != MIME_NO_PARENT;
    bool has_html = first[BODY_HTML] != MIME_NO_PARENT;
    *out_kind = has_html ? BODY_TEXT : BODY_HTML;
    *out_part = has_html ? first[BODY_HTML] : first[BODY_TEXT];
    return has_html ? makes_text && !has_text : makes_html && has_text;
}

/* --- HTML of text --- */

/* Blanks that HTML would drop: at the start of a line, and behind another. */
static void append_plain(struct text text, bool *follows_blank,
                         struct buffer *out)
{
    size_t from = 0;
    for (size_t i = 0; i < text.length; i++) {
        bool is_blank = text.data[i] == ' ' || text.data[i] == '\t';
        if (is_blank && *follows_blank) {
            html_encode(text_slice(text, from, i), out);
            buffer_append_string(out, "&nbsp;");
            from = i + 1;
        }
        *follows_blank = is_blank;
    }
    html_encode(text_slice(text, from, text.length), out);
}

static void append_line(struct text line, bool *follows_blank,
                        struct buffer *out)
{
    size_t position = 0;
    size_t from = 0;
    struct text_link link;
    while (text_link_next(line, false, &position, &link)) {
        struct text url = text_slice(line, link.from, link.to);
        append_plain(text_slice(line, from, link.from), follows_blank, out);
        buffer_append_string(out, "<a href=\"");
        html_encode(url, out);
        buffer_append_string(out, "\">");
        html_encode(url, out);
        buffer_append_string(out, "</a>");
        *follows_blank = false;
        from = link.to;
    }
    append_plain(text_slice(line, from, line.length), follows_blank, out);
}

/* RFC 3676, 4.1 and 4.3: a line that ends with a blank goes on, but for the
 * line above a signature. */
static bool goes_on(const struct body *body, struct text line)
{
    return body->is_flowed && line.length > 0 &&
           line.data[line.length - 1] == ' ' && !text_is(line, "-- ");
}

static void append_lines(const struct body *body, struct text utf8,
                         struct buffer *out)
{
    bool follows_blank = true;
    bool has_line = false;
    bool is_joined = false;
    while (utf8.length > 0) {
        struct text line = line_content(line_take(&utf8));
        bool joins_next = goes_on(body, line);
        if (has_line && !is_joined) {
            buffer_append_string(out, "<br>\r\n");
        }
        follows_blank = !is_joined;
        if (joins_next && body->joins_lines) {
            line.length--;
        }
        append_line(line, &follows_blank, out);
        has_line = true;
        is_joined = joins_next;
    }
}

static void make_html(const struct body *body, struct text utf8,
                      struct buffer *out)
{
    buffer_append_string(out, "<!DOCTYPE html>\r\n<html><head>"
                              "<meta charset=\"utf-8\"></head>\r\n<body>\r\n"
                              "<p>");
    append_lines(body, utf8, out);
    buffer_append_string(out, "</p>\r\n</body></html>\r\n");
}

bool alternative_make(const struct body *body, struct arena *arena,
                      struct text *out_bytes)
{
    struct buffer utf8 = { 0 };
    struct buffer made = { 0 };
    bool is_read = body_to_utf8(body, 0, body->view.length, &utf8) &&
                   text_is_utf8(buffer_text(&utf8));
    if (is_read && body->kind == BODY_HTML) {
        html_to_text(buffer_text(&utf8), &made);
    } else if (is_read) {
        make_html(body, buffer_text(&utf8), &made);
    }
    *out_bytes = (struct text){ arena_copy_text(arena, buffer_text(&made)),
                                made.length };
    buffer_free(&utf8);
    buffer_free(&made);
    return is_read;
}

/* --- the boundary --- */

/* "=_" stands in no quoted-printable (RFC 2045, 6.7). */
const char *alternative_boundary(struct text message, struct arena *arena)
{
    uint8_t digest[SHA256_SIZE];
    struct buffer digits = { 0 };
    sha256(message, digest);
    hex_encode((struct text){ (const char *)digest, 12 }, &digits);
    for (unsigned number = 0;; number++) {
        const char *boundary =
            arena_printf(arena, "=_%s_%u", digits.data, number);
        bool is_free =
            message.length == 0 ||
            !memmem(message.data, message.length, boundary, strlen(boundary));
        if (is_free) {
            buffer_free(&digits);
            return boundary;
        }
    }
}
