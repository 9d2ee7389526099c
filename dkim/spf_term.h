/* SPDX-License-Identifier: MIT */
/* The words of an SPF record (RFC 7208, 5 to 7): directives and modifiers. */
#ifndef BATON_DKIM_SPF_TERM_H
#define BATON_DKIM_SPF_TERM_H

#include <stdbool.h>

#include "core/error.h"
#include "core/network.h"
#include "core/text.h"

enum spf_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_OTHER_MODIFIER, /* of the future: nothing is done (6) */
};

struct spf_term { /* views lie in the record */
    enum spf_kind kind;
    char qualifier; /* '+', '-', '~' or '?'; of a directive */
    struct text written; /* the whole word */
    struct text domain; /* a domain-spec with its macros; empty: none */
    unsigned prefix_bits_v4; /* of a and mx */
    unsigned prefix_bits_v6;
    struct network_range range; /* of ip4 and ip6 */
};

/* Cut the next term off; false: there is none any more, or it has no lawful
 * form, and then *out_is_wrong. */
bool spf_term_next(struct text *rest, struct spf_term *out_term,
                   bool *out_is_wrong, struct error *error);

#endif
