/* SPDX-License-Identifier: MIT */
/*
 * The body of an edited part as it goes on the wire: in its transfer encoding,
 * every byte outside of the edits as it stood.
 */
#ifndef BATON_TRACKING_LAYOUT_H
#define BATON_TRACKING_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"
#include "tracking/charset.h"
#include "tracking/template.h"

/* Replace bytes of the decoded body by pieces, which are in ASCII. */
struct edit {
    size_t from;
    size_t to;
    const struct template_piece *pieces;
    size_t piece_count;
    size_t order; /* of edits at the same place */
    /* For people: */
    const char *what;
    struct text before;
};

struct layout_body {
    struct text encoded; /* as it stood */
    struct text decoded; /* the same memory if it is not encoded */
    const struct charset *charset;
    const struct edit *edits; /* in order, without overlap */
    size_t edit_count;
};

/* Does every line that an edit touches have at most so many octets? Of a body
 * that is not encoded. */
bool layout_fits(const struct layout_body *body, size_t octets_max);

/* Not encoded, and to stay so. */
void layout_plain(const struct layout_body *body, struct template *out);
/* Quoted-printable, lines that are touched at most 76 octets long. */
void layout_quoted_printable(const struct layout_body *body,
                             struct template *out);
/* Not encoded, to become quoted-printable. */
void layout_to_quoted_printable(const struct layout_body *body,
                                struct template *out);
/* Base64: all of it is encoded anew, in lines as long as before. */
void layout_base64(const struct layout_body *body, struct template *out);

#endif
