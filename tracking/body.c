/* SPDX-License-Identifier: MIT */
#include "tracking/body.h"

#include <string.h>

#include "tracking/header.h"
#include "tracking/transfer.h"

bool body_is_one(const struct mime_part *part, enum body_kind *out_kind)
{
    bool is_html = strcmp(part->type, "text/html") == 0;
    bool is_text = strcmp(part->type, "text/plain") == 0;
    /* RFC 2183, 2.8: what is not known counts as an attachment. */
    bool is_shown = part->disposition[0] == '\0' ||
                    strcmp(part->disposition, "inline") == 0;
    *out_kind = is_html ? BODY_HTML : BODY_TEXT;
    return (is_html || is_text) && is_shown && part->has_separator &&
           !part->is_sealed && !part->is_enclosed;
}

/* --- transfer encoding --- */

static struct text keep(struct buffer *buffer, struct arena *arena)
{
    struct text kept = { arena_copy_text(arena, buffer_text(buffer)),
                         buffer->length };
    buffer_free(buffer);
    return kept;
}

/* Base64 is encoded anew for every copy, so what it holds lies in the arena. */
static const char *decode(struct body *body, struct arena *arena)
{
    switch (body->encoding) {
    case MIME_QUOTED_PRINTABLE:
        quoted_printable_decode(body->encoded, &body->decoded);
        body->bytes = buffer_text(&body->decoded);
        return NULL;
    case MIME_BASE64:
        if (!base64_decode_lines(body->encoded, &body->decoded)) {
            return "its base64 cannot be decoded";
        }
        body->bytes = keep(&body->decoded, arena);
        return NULL;
    case MIME_ENCODING_UNKNOWN:
        return "its Content-Transfer-Encoding is not known";
    default:
        body->bytes = body->encoded;
        return NULL;
    }
}

/* --- charset --- */

static const char *read_charset(struct body *body, const char *label)
{
    body->charset = charset_find(label, body->bytes);
    if (body->charset.form == CHARSET_UNKNOWN) {
        return "its charset is not known";
    }
    if (body->charset.form == CHARSET_ASCII_SUPERSET) {
        body->view = body->bytes;
        return NULL;
    }
    if (charset_unit_bytes(&body->charset) > 1 &&
        body->encoding <= MIME_BINARY) {
        /* RFC 2781, 2045: it has NUL bytes, and line ends that are none. */
        return "its charset needs quoted-printable or base64";
    }
    if (!charset_mask(&body->charset, body->bytes, &body->mask)) {
        return "its bytes do not fit its charset";
    }
    body->view = buffer_text(&body->mask);
    return NULL;
}

/* A signature in a text covers it (F8); in HTML nobody could check one. */
static bool is_armored(struct text view)
{
    static const char armor[] = "\n-----BEGIN PGP ";
    return text_starts_with_ignoring_case(view, armor + 1) ||
           (view.length > 0 &&
            memmem(view.data, view.length, armor, sizeof(armor) - 1));
}

/* RFC 3676, 4. */
static void read_format(struct body *body, struct text message,
                        const struct mime_part *part, struct arena *arena)
{
    struct text rest = text_slice(message, part->header_from, part->header_to);
    struct header_field field;
    while (header_next(&rest, &field)) {
        if (text_is_ignoring_case(field.name, "Content-Type")) {
            const char *format = mime_parameter(arena, field.value, "format");
            const char *joins = mime_parameter(arena, field.value, "delsp");
            body->is_flowed = text_is_ignoring_case(text_of(format), "flowed");
            body->joins_lines =
                body->is_flowed && text_is_ignoring_case(text_of(joins), "yes");
            return;
        }
    }
}

static const char *find_obstacle(struct body *body, const char *charset,
                                 size_t bytes_max, struct arena *arena)
{
    if (body->encoded.length > bytes_max) {
        return "it is larger than [tracking] html_size";
    }
    const char *obstacle = decode(body, arena);
    if (!obstacle) {
        obstacle = read_charset(body, charset);
    }
    if (!obstacle && body->kind == BODY_TEXT && is_armored(body->view)) {
        obstacle = "it is signed or encrypted with PGP";
    }
    return obstacle;
}

void body_read(struct text message, const struct mime *mime, size_t part,
               size_t bytes_max, struct arena *arena, struct body *out_body)
{
    const struct mime_part *read = &mime->parts[part];
    *out_body = (struct body){
        .part = part,
        .encoding = read->encoding,
        .encoded = mime_part_body(message, read),
    };
    body_is_one(read, &out_body->kind);
    out_body->left_alone =
        find_obstacle(out_body, read->charset, bytes_max, arena);
    if (out_body->left_alone) {
        return;
    }
    if (out_body->kind == BODY_HTML) {
        html_scan(out_body->view, arena, &out_body->html);
    } else {
        read_format(out_body, message, read, arena);
    }
}

void body_make(enum body_kind kind, struct text bytes, struct arena *arena,
               struct body *out_body)
{
    *out_body = (struct body){
        .kind = kind,
        .encoding = MIME_8BIT,
        .encoded = bytes,
        .bytes = bytes,
        .view = bytes,
        .charset = charset_find("utf-8", bytes),
    };
    if (kind == BODY_HTML) {
        html_scan(bytes, arena, &out_body->html);
    }
}

void body_free(struct body *body)
{
    buffer_free(&body->decoded);
    buffer_free(&body->mask);
}

size_t body_offset(const struct body *body, size_t in_view)
{
    return in_view * charset_unit_bytes(&body->charset);
}

bool body_to_utf8(const struct body *body, size_t from, size_t to,
                  struct buffer *out_utf8)
{
    return charset_to_utf8(&body->charset, body->bytes, body_offset(body, from),
                           body_offset(body, to), out_utf8);
}
