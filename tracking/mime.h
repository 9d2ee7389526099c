/* SPDX-License-Identifier: MIT */
/*
 * The structure of a message as ranges of its bytes: RFC 2045, RFC 2046.
 *
 * Nothing is decoded, copied or re-printed, so what is not edited stays as it
 * was. One pass over the lines; depth and number of parts are bounded (F13).
 */
#ifndef BATON_TRACKING_MIME_H
#define BATON_TRACKING_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"

enum mime_encoding {
    MIME_7BIT, /* also when nothing is said */
    MIME_8BIT,
    MIME_BINARY,
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_ENCODING_UNKNOWN,
};

#define MIME_NO_PARENT ((size_t)-1)

/* One entity: the message itself, a part of a multipart, or the message in a
 * message/rfc822 part. Offsets are those of the scanned message. */
struct mime_part {
    size_t parent; /* index, or MIME_NO_PARENT */
    size_t depth; /* 0: the message itself */
    size_t header_from;
    size_t header_to; /* before the empty line */
    size_t body_from;
    size_t body_to; /* without the CRLF that belongs to the boundary */
    bool has_separator; /* the empty line was there */

    const char *type; /* "text/html", lower case; the default if none is said */
    const char *charset; /* as written, without quotes; "" if none is said */
    const char *boundary; /* of a multipart; "" if there is none */
    size_t boundary_length; /* without white space at its end */
    const char *disposition; /* "attachment", lower case; "" if none is said */
    enum mime_encoding encoding;

    bool is_multipart; /* with a boundary: has parts */
    bool is_message; /* message/rfc822 or message/global, not encoded */
    bool is_enclosed; /* lies in a message/rfc822 part: never edited */
    bool is_sealed; /* multipart/signed, multipart/encrypted, or inside (F8) */

    /* Lines counted from 1 at the top of the message; 0: none. For a multipart
     * the body is what lies around its parts. */
    size_t long_header_line; /* over 998 octets */
    size_t long_body_line;
    size_t body_line_8bit; /* has 8-bit bytes */
    size_t header_line_8bit;

    /* Of the scan: how far this part is. */
    bool is_closed; /* its final boundary was there */
    bool has_type;
    bool has_encoding;
    bool has_disposition;
};

struct mime {
    struct mime_part *parts; /* in order of their headers; [0] the message */
    size_t part_count;
};

struct mime_limits {
    size_t depth_max;
    size_t part_count_max;
};

/* Scan a message of CRLF lines whose header header_parse accepts. False: a
 * limit is exceeded. Parts lie in the arena. */
bool mime_scan(struct text message, const struct mime_limits *limits,
               struct arena *arena, struct mime *out_mime,
               struct error *error) MUST_USE;

struct text mime_part_body(struct text message, const struct mime_part *part);

/* The value of a parameter of a Content-Type or Content-Disposition value, in
 * the arena, unquoted; "" if it is not there. The first one counts. */
const char *mime_parameter(struct arena *arena, struct text value,
                           const char *name);

#endif
