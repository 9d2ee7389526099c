/* SPDX-License-Identifier: MIT */
/*
 * Character sets of parts that are edited (F10).
 *
 * Most are supersets of ASCII in which no byte of another character looks like
 * markup: they are edited as they are. Those with shift sequences
 * (ISO-2022-JP, HZ, UTF-7) and wide ones (UTF-16, UTF-32) get a mask: an image
 * of the same characters in which everything but ASCII is 0x80, one byte per
 * unit. What is found in the mask lies at offset x unit_bytes of the part.
 */
#ifndef BATON_TRACKING_CHARSET_H
#define BATON_TRACKING_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

enum charset_form {
    CHARSET_ASCII_SUPERSET, /* also what is not said, and US-ASCII */
    CHARSET_SHIFTED, /* needs a mask, one byte per unit */
    CHARSET_WIDE_2, /* UTF-16 */
    CHARSET_WIDE_4, /* UTF-32 */
    CHARSET_UNKNOWN, /* leave the part alone, and say so */
};

enum charset_shift {
    SHIFT_NONE,
    SHIFT_ISO_2022_JP,
    SHIFT_ISO_2022_KR,
    SHIFT_ISO_2022_CN,
    SHIFT_HZ,
    SHIFT_UTF_7,
};

struct charset {
    enum charset_form form;
    enum charset_shift shift; /* of a shifted one */
    bool is_big_endian; /* of a wide one */
    const char *iconv_name; /* for iconv_open; static */
};

/* By the label of a Content-Type (any case, aliases of the WHATWG and of mail),
 * and for UTF-16/32 without a stated order by the byte order mark in `bytes`
 * (none: big endian, RFC 2781). */
struct charset charset_find(const char *label, struct text bytes);
size_t charset_unit_bytes(const struct charset *charset);

/* The mask; not for ASCII supersets. False: the bytes do not fit the charset
 * (a shift sequence that is not known, one that is still open at the end of a
 * line or of the part, markup hidden in one, half a unit): leave the part
 * alone. */
bool charset_mask(const struct charset *charset, struct text bytes,
                  struct buffer *out_mask);

/* A span of the part as UTF-8. Of an ASCII superset that is not valid the bytes
 * stay as they are. `part` is given for the shift state at the span's start; a
 * span that begins in the midst of one begins on the same line. False: not
 * valid; nothing was appended. */
bool charset_to_utf8(const struct charset *charset, struct text part,
                     size_t from, size_t to, struct buffer *out_utf8);

/* ASCII text as the charset writes it at a place that was ASCII. */
void charset_from_ascii(const struct charset *charset, struct text ascii,
                        struct buffer *out_bytes);

#endif
