/* SPDX-License-Identifier: MIT */
/* Keys that others publish in DNS (RFC 6376, 3.6.1; RFC 8463). */
#ifndef BATON_DKIM_PUBLIC_KEY_H
#define BATON_DKIM_PUBLIC_KEY_H

#include <stdbool.h>

#include "core/error.h"
#include "core/text.h"
#include "dkim/key.h"

struct dkim_public_key;

enum dkim_key_state {
    DKIM_KEY_USABLE,
    DKIM_KEY_ABSENT, /* no key record: it has no p= */
    DKIM_KEY_REVOKED, /* p= is empty */
    DKIM_KEY_UNUSABLE, /* and the error says why */
};

/* Of the text of one TXT record; *out_key is NULL unless it is usable. */
enum dkim_key_state dkim_public_key_read(struct text record,
                                         struct dkim_public_key **out_key,
                                         struct error *out_error);
void dkim_public_key_free(struct dkim_public_key **key);

enum dkim_algorithm dkim_public_key_algorithm(const struct dkim_public_key *);
int dkim_public_key_bits(const struct dkim_public_key *key);
/* t=y: the domain is testing DKIM; a failure is as if it were not signed. */
bool dkim_public_key_is_testing(const struct dkim_public_key *key);
/* t=s: the domain of i= must be that of d=. */
bool dkim_public_key_is_strict(const struct dkim_public_key *key);
bool dkim_public_key_equal(const struct dkim_public_key *a,
                           const struct dkim_public_key *b);

/* Whether this is the signature of these bytes. RSA takes some 50 µs. */
bool dkim_public_key_verify(const struct dkim_public_key *key,
                            struct text bytes, struct text signature);

#endif
