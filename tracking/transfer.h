/* SPDX-License-Identifier: MIT */
/*
 * Content transfer encodings: quoted-printable and base64 in lines of at most
 * 76 octets. RFC 2045, 6.7 and 6.8.
 *
 * No output line begins with "--" unless an input line did so already, so that
 * encoding cannot make a boundary. Nothing ends with a line end of its own.
 */
#ifndef BATON_TRACKING_TRANSFER_H
#define BATON_TRACKING_TRANSFER_H

#include <stdbool.h>

#include "core/text.h"

/* Encode text of CRLF lines; its line breaks stay line breaks. */
void quoted_printable_encode(struct text text, struct buffer *out_lines);

/* Decode as mail readers do: white space at line ends is dropped, an "=" that
 * begins no code stays as it is. */
void quoted_printable_decode(struct text lines, struct buffer *out_text);

/* Break the lines over 76 octets of what is encoded already, and encode its
 * stray 8-bit bytes. Decodes to the same bytes. */
void quoted_printable_wrap(struct text lines, struct buffer *out_lines);

/* Writes text in pieces, from whatever column. */
struct quoted_printable_writer {
    struct buffer *out;
    size_t column;
};
/* As quoted_printable_encode. */
void quoted_printable_write(struct quoted_printable_writer *writer,
                            struct text text);
/* Within one line: what is encoded already, without blanks at its end. */
void quoted_printable_write_coded(struct quoted_printable_writer *writer,
                                  struct text line);
void quoted_printable_break(struct quoted_printable_writer *writer);

/* Moves through encoded lines and through what they decode to, side by side:
 * `encoded` is right behind what made the last of the `decoded` bytes. */
struct quoted_printable_cursor {
    struct text lines;
    size_t encoded;
    size_t decoded;
    /* Of the line it is in. */
    size_t content_to; /* without a soft break and blanks at the end */
    size_t line_to;
    bool is_soft;
    bool has_line_end;
};
struct quoted_printable_cursor quoted_printable_cursor_start(struct text lines);
void quoted_printable_cursor_move(struct quoted_printable_cursor *cursor,
                                  size_t decoded);
/* Over soft breaks that are right here. */
void quoted_printable_cursor_skip_breaks(
    struct quoted_printable_cursor *cursor);

void base64_encode_lines(struct text bytes, struct buffer *out_lines);
/* The same in lines of so many octets, a multiple of 4. */
void base64_encode_columns(struct text bytes, size_t columns,
                           struct buffer *out_lines);

/* White space is skipped; false on any other foreign byte or a wrong length,
 * *out_bytes is then unchanged. */
bool base64_decode_lines(struct text lines, struct buffer *out_bytes);

/* Whether there is nothing but base64's own bytes and white space; then it can
 * be wrapped anew without a decoder noticing. */
bool base64_is_clean(struct text lines);
void base64_wrap(struct text lines, struct buffer *out_lines);

#endif
