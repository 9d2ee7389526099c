/* SPDX-License-Identifier: MIT */
/* The DKIM-Signature field, read (RFC 6376, 3.5 and 6.1.1). */
#ifndef BATON_DKIM_SIGNATURE_FIELD_H
#define BATON_DKIM_SIGNATURE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/encoding.h"
#include "core/error.h"
#include "core/text.h"
#include "dkim/canonical.h"
#include "dkim/key.h"

#define DKIM_NAME_SIZE 254 /* of a domain or selector, with its NUL */
#define DKIM_FIELDS_MAX 256 /* named in h= */

/* Views lie in the field's value. dkim_signature_free when done. */
struct dkim_signature {
    struct text algorithm_name; /* a=, as written */
    bool is_known; /* the algorithm, which then is: */
    enum dkim_algorithm algorithm;
    bool is_historic; /* rsa-sha1 (RFC 8301, 3.1) */
    char domain[DKIM_NAME_SIZE]; /* d=, in lower case and A-labels */
    char selector[DKIM_NAME_SIZE]; /* s= */
    struct text identity; /* i=; empty: @ and the domain */
    bool is_exact_identity; /* the domain of i= is d= itself */
    enum canonical_form header_form; /* c= */
    enum canonical_form body_form;
    struct text field_names; /* h=, with colons between */
    uint8_t body_digest[SHA256_SIZE]; /* bh= */
    struct buffer signature; /* b= */
    bool has_length;
    uint64_t length; /* l=: octets of the canonical body that are signed */
    int64_t signed_at_seconds; /* t=; -1: not said */
    int64_t expires_at_seconds; /* x=; -1: never */
};

/* Of the value behind "DKIM-Signature:", with its folds. False: it is none, the
 * sentence says why; domain, selector and algorithm_name are then what could be
 * read. Free it in both cases. */
bool dkim_signature_read(struct text value,
                         struct dkim_signature *out_signature,
                         struct error *error) MUST_USE;
void dkim_signature_free(struct dkim_signature *signature);

/* The whole field without what stands in b= and without its final CRLF: what
 * the signature itself was made of (3.7). */
void dkim_signature_strip(struct text field, struct buffer *out_field);

#endif
