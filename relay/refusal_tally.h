/* SPDX-License-Identifier: MIT */
/*
 * Recipients that were refused because of a limit. Who is told 452 comes again
 * and again, so there is no event for each of them, but one a second for each
 * account, which moves its counter by all of them. What a worker has not
 * written when it ends is not counted.
 */
#ifndef BATON_RELAY_REFUSAL_TALLY_H
#define BATON_RELAY_REFUSAL_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"
#include "smtp/reply.h"
#include "sql/database.h"

struct refusal_tally;

/* Borrowed. */
struct refusal_tally *refusal_tally_create(struct loop *loop,
                                           struct database *database);
/* After database_free. */
void refusal_tally_free(struct refusal_tally **tally);

/* So many recipients of an account were refused with this reply. */
void refusal_tally_add(struct refusal_tally *tally, int64_t account_id,
                       size_t recipient_count, const struct smtp_reply *reply);

#endif
