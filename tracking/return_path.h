/* SPDX-License-Identifier: MIT */
/*
 * Addresses that mail about a delivery comes back to: the local part is a
 * letter, "+" and base32 (RFC 4648, 6; lower case, no padding) of
 *
 *   1 version (high 4 bits) and kind (low 4) | 2 key id | 5 account |
 *   8 delivery | 14 tag
 *
 * 50 octets, of at most 64 (RFC 5321, 4.5.3.1.1). Hosts on the way may change
 * the case of letters: it does not matter here. The tag covers everything, so
 * no report counts that does not come to an address of ours. Pure functions.
 */
#ifndef BATON_TRACKING_RETURN_PATH_H
#define BATON_TRACKING_RETURN_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "tracking/token.h"

#define RETURN_PATH_LOCAL_CHARACTERS 50

/* The numbers stand in tokens: never change one. */
enum return_path_kind {
    RETURN_BOUNCE = 1, /* b+: delivery status notifications */
    RETURN_FEEDBACK = 2, /* f+: complaints */
    RETURN_UNSUBSCRIBE = 3, /* u+: a mail that unsubscribes */
};

struct return_path {
    enum return_path_kind kind;
    int64_t account_id;
    int64_t delivery_id;
};

/* The local part, with a NUL behind it. There must be a key that signs. */
void return_path_write(const struct token_keys *keys,
                       const struct return_path *path,
                       char out_local[RETURN_PATH_LOCAL_CHARACTERS + 1]);

/* Read a local part, letters of any case. False: not ours, whatever the reason;
 * takes the same time for all of them. */
bool return_path_read(const struct token_keys *keys, struct text local,
                      struct return_path *out_path) MUST_USE;

#endif
