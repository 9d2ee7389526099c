/* SPDX-License-Identifier: MIT */
/*
 * DKIM keys as they lie in PostgreSQL: sealed (core/mac.h) with the secret that
 * the configuration gives ([dkim] key_encryption), so that a copy of the
 * database signs nothing. The seal covers whose key it is: it opens under its
 * own account, domain and selector only.
 */
#ifndef BATON_RELAY_DKIM_SECRET_H
#define BATON_RELAY_DKIM_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"
#include "dkim/key.h"

struct dkim_owner {
    int64_t account_id;
    const char *domain;
    const char *selector;
};

/* False: no secret is configured; the sentence says how to make one. */
bool dkim_secret_is_set(struct error *error) MUST_USE;
/* Append the sealed private half, in hexadecimal; the secret must be set. */
void dkim_secret_seal(const struct dkim_key *key,
                      const struct dkim_owner *owner, struct buffer *out_hex);
/* NULL: it was sealed with another secret, or for another owner. Opens with
 * [dkim] key_encryption_before as well. */
struct dkim_key *dkim_secret_open(const char *sealed_hex,
                                  const struct dkim_owner *owner,
                                  struct error *error) MUST_USE;

/* Whether this is a secret as it is configured: 64 hexadecimal digits, or
 * nothing. */
bool dkim_secret_check(const char *value, struct error *error);

#endif
