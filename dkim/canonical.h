/* SPDX-License-Identifier: MIT */
/*
 * Canonical forms of header fields and bodies (RFC 6376, 3.4): what is signed
 * instead of the bytes themselves, so that what mail servers do to blanks does
 * not break a signature.
 */
#ifndef BATON_DKIM_CANONICAL_H
#define BATON_DKIM_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

enum canonical_form { CANONICAL_SIMPLE, CANONICAL_RELAXED };

/* One field with its folds and its CRLF (3.4.1, 3.4.2). */
void canonical_field(struct text field, enum canonical_form form,
                     struct buffer *out_field);

/* A piece of the canonical body; it is valid during the call only. */
typedef void canonical_write_fn(void *owner, struct text piece);

/* A body as it comes, in any pieces (3.4.3, 3.4.4). Line ends are CRLF; other
 * CR and LF are bytes like others. */
struct canonical_body {
    enum canonical_form form;
    canonical_write_fn *write;
    void *owner;
    bool has_cr; /* the last byte; it may end a line */
    bool has_blank; /* blanks before it, not written yet */
    bool is_open; /* the line has something */
    size_t line_ends; /* not written yet: nothing may follow */
    bool has_content; /* something was written */
    size_t length;
    char bytes[4096]; /* to be written */
};

void canonical_body_begin(struct canonical_body *body, enum canonical_form form,
                          canonical_write_fn *write, void *owner);
void canonical_body_add(struct canonical_body *body, struct text piece);
/* A last line without CRLF gets one. An empty body is "" when relaxed and CRLF
 * when simple. */
void canonical_body_end(struct canonical_body *body);

#endif
