/* SPDX-License-Identifier: MIT */
/*
 * A message on its way to a next hop: pieces in, dot-stuffed slices out. The
 * pieces are never copied whole; a span between two stuffed dots is lent to the
 * stream, or copied where that is cheaper.
 */
#include <string.h>

#include "core/memory.h"
#include "smtp/client_internal.h"

/* Below this, copying costs less than keeping track of a borrowed block. */
#define BORROW_BYTES_MIN ((size_t)4096)

/* Check the line ends of one piece; *has_open_cr tells whether the piece before
 * ended, and afterwards whether this one ends, between CR and LF. */
static bool is_piece_clean(struct text piece, bool *has_open_cr)
{
    size_t at = 0;
    if (piece.length > 0 && *has_open_cr) {
        *has_open_cr = false;
        if (piece.data[0] != '\n') {
            return false;
        }
        at = 1;
    }
    while (at < piece.length) {
        const char *from = piece.data + at;
        const char *lf = memchr(from, '\n', piece.length - at);
        const char *end = lf != NULL ? lf : piece.data + piece.length;
        const char *cr = memchr(from, '\r', (size_t)(end - from));
        /* The first CR must stand right before the LF, or before the end. */
        if ((lf != NULL && cr == NULL) || (cr != NULL && cr + 1 != end)) {
            return false;
        }
        *has_open_cr = lf == NULL && cr != NULL;
        at = (size_t)(end - piece.data) + 1;
    }
    return true;
}

bool client_body_is_clean(const struct text *pieces, size_t piece_count)
{
    bool has_open_cr = false;
    for (size_t i = 0; i < piece_count; i++) {
        if (!is_piece_clean(pieces[i], &has_open_cr)) {
            return false;
        }
    }
    return !has_open_cr;
}

void client_body_begin(struct client_body *body, const struct text *pieces,
                       size_t piece_count)
{
    *body =
        (struct client_body){ .pieces = pieces, .piece_count = piece_count };
}

size_t client_body_left(const struct client_body *body)
{
    size_t left = 0;
    for (size_t i = body->piece; i < body->piece_count; i++) {
        left += body->pieces[i].length;
    }
    return left - body->offset;
}

/* How far the rest can be written as it is: up to the next line that begins
 * with a dot. */
static size_t measure_span(struct text rest)
{
    const char *dot = memmem(rest.data, rest.length, "\n.", 2);
    return dot != NULL ? (size_t)(dot - rest.data) + 1 : rest.length;
}

static void write_span(struct stream *stream, struct text span)
{
    if (span.length < BORROW_BYTES_MIN) {
        stream_write_text(stream, span);
    } else {
        stream_write_borrowed(stream, span);
    }
}

/* Write up to limit octets of the current piece. */
static size_t write_from_piece(struct client_body *body, struct stream *stream,
                               size_t limit)
{
    struct text piece = body->pieces[body->piece];
    size_t left = piece.length - body->offset;
    struct text rest = text_slice(piece, body->offset,
                                  body->offset + (left < limit ? left : limit));
    if (rest.length == 0) {
        return 0;
    }
    if (!body->is_inside_line && rest.data[0] == '.') {
        stream_write(stream, ".", 1); /* RFC 5321 4.5.2 */
    }
    struct text span = text_slice(rest, 0, measure_span(rest));
    write_span(stream, span);
    body->is_inside_line = span.data[span.length - 1] != '\n';
    body->offset += span.length;
    return span.length;
}

void client_body_write(struct client_body *body, struct stream *stream,
                       size_t slice_bytes)
{
    size_t room = slice_bytes;
    while (room > 0 && body->piece < body->piece_count) {
        room -= write_from_piece(body, stream, room);
        if (body->offset == body->pieces[body->piece].length) {
            body->piece++;
            body->offset = 0;
        }
    }
}

void client_body_write_dot(const struct client_body *body,
                           struct stream *stream)
{
    if (body->is_inside_line) {
        stream_write(stream, "\r\n", 2);
    }
    stream_write(stream, ".\r\n", 3);
}
