/* SPDX-License-Identifier: MIT */
/* Mail addresses as SMTP writes them: RFC 5321 4.1.2, RFC 6531 3.3. */
#ifndef BATON_CORE_ADDRESS_H
#define BATON_CORE_ADDRESS_H

#include <stdbool.h>

#include "core/error.h"
#include "core/text.h"

#define ADDRESS_TEXT_MAX 320 /* octets of local@domain */
#define DOMAIN_TEXT_MAX 253

/* Both views lie in the parsed text. An empty address is the null sender. */
struct address {
    struct text local; /* as written, with its quotes */
    struct text domain; /* as written; an address literal with its brackets */
};

/* Parse a path between angle brackets at the start of text: "<a@b> SIZE=1".
 * White space before "<" is tolerated (R4). A source route is refused, as are
 * control bytes, over-long parts, and 8-bit bytes unless allow_utf8. Sets
 * *out_length to the bytes used. "<>" gives an empty address. "<Postmaster>"
 * is accepted with an empty domain. */
bool address_parse_path(struct text text, bool allow_utf8,
                        struct address *out_address, size_t *out_length,
                        struct error *error) MUST_USE;

/* Parse exactly local@domain. */
bool address_parse(struct text text, bool allow_utf8,
                   struct address *out_address, struct error *error) MUST_USE;

bool address_is_null(const struct address *address);
bool address_needs_smtputf8(const struct address *address); /* 8-bit local */

/* The domain as it is looked up and compared: lower case, A-labels (IDNA2008),
 * no final dot. False for what cannot be a host name. An address literal is
 * copied as it is, in lower case. */
bool domain_normalize(struct text domain, char out_domain[DOMAIN_TEXT_MAX + 1],
                      struct error *error) MUST_USE;

/* local@domain as addresses are kept and compared without regard to case: a
 * domain in other letters as A-labels, all else as written. False: it is none.
 */
bool address_normalize(struct text text, char out_address[ADDRESS_TEXT_MAX + 1],
                       struct error *error) MUST_USE;

/* Whether domain is parent or lies under it; both normalised. */
bool domain_is_under(const char *domain, const char *parent);

#endif
