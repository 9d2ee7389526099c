/* SPDX-License-Identifier: MIT */
/*
 * A message's header fields as spans of its bytes; nothing is copied or
 * re-printed. RFC 5322.
 */
#ifndef BATON_TRACKING_HEADER_H
#define BATON_TRACKING_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"

struct header_field {
    struct text
        whole; /* name, colon, value and the final CRLF, folds included */
    struct text name; /* without white space before the colon */
    struct text value; /* behind the colon, folds included, no final CRLF */
};

struct header {
    struct header_field *fields; /* in order */
    size_t field_count;
    struct text whole; /* all fields, without the empty line */
    struct text body; /* what follows the empty line; empty if there is none */
    bool has_separator; /* the empty line was there */
    /* Why header_parse said false: a limit, not the form. */
    bool exceeds_limits;
};

/* Limits on what is parsed (F13). */
struct header_limits {
    size_t size_bytes_max;
    size_t field_count_max;
};

/* Parse the top of a message of CRLF lines. The fields lie in the arena, the
 * spans in the message. False: the sentence names line and reason (a line
 * without colon, a first line that is a continuation, too large, too many). An
 * mbox "From " line is not a field. */
bool header_parse(struct text message, const struct header_limits *limits,
                  struct arena *arena, struct header *out_header,
                  struct error *error) MUST_USE;

/* Take the next field off the top of *rest. False at the empty line, at the end
 * and at a line that begins no field; *rest then begins with that line. */
bool header_next(struct text *rest, struct header_field *out_field);

/* The first field of this name (any case), or NULL; and how many there are. */
const struct header_field *header_find(const struct header *header,
                                       const char *name);
size_t header_count(const struct header *header, const char *name);

/* Value with folds removed (CRLF before white space dropped) and trimmed. */
char *header_unfold(struct arena *arena, struct text value);

/* The addresses of an address-list value (From, To …), addr-spec only, comments
 * and display names dropped, groups opened: RFC 5322 3.4. Each is a
 * NUL-terminated "local@domain". False on a malformed list. */
bool header_addresses(struct arena *arena, struct text value,
                      char ***out_addresses, size_t *out_count,
                      struct error *error) MUST_USE;

#endif
