/* SPDX-License-Identifier: MIT */
/* Macros in SPF records (RFC 7208, 7): "%{i}._spf.%{d2}". */
#ifndef BATON_DKIM_SPF_MACRO_H
#define BATON_DKIM_SPF_MACRO_H

#include <stdbool.h>

#include "core/network.h"
#include "core/text.h"

struct spf_macro_values {
    const struct network_address *address; /* i, v */
    struct text sender; /* s, l, o */
    const char *domain; /* d: the current one */
    const char *helo; /* h */
    const char *validated_name; /* p; "unknown" if there is none */
};

/* Forms alone (12): a domain-spec ends in a macro or in a top label behind a
 * dot. */
bool spf_macro_is_string(struct text text);
bool spf_macro_is_domain(struct text text);
/* Whether %{p} is in it: the name that it stands for costs look-ups. */
bool spf_macro_has_name(struct text text);

/* Append the expansion of a lawful string. */
void spf_macro_expand(struct text text, const struct spf_macro_values *values,
                      struct buffer *out);
/* As a name to be looked up: no final dot, and labels dropped on the left until
 * it is of 253 octets (7.3). False: it cannot be one. */
#define SPF_NAME_SIZE 254
bool spf_macro_expand_domain(struct text text,
                             const struct spf_macro_values *values,
                             char out_name[SPF_NAME_SIZE]);

#endif
