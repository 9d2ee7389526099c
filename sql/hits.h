/* SPDX-License-Identifier: MIT */
/*
 * What recipients do: opens and clicks. Written in batches of their own; the
 * ledger, the delivery's own counts and the counters move in one transaction.
 */
#ifndef BATON_SQL_HITS_H
#define BATON_SQL_HITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"
#include "sql/batch.h"

/* So many bytes of a user agent are kept: what tracking/machine.h looks at. */
#define HIT_AGENT_BYTES 512

/* Strings are the caller's until on_done. */
struct new_hit {
    int64_t account_id;
    int64_t event_id;
    int64_t occurred_at;
    bool is_click; /* else an open */
    int64_t delivery_id; /* 0: anonymous, only the counters move */
    int64_t group_id; /* of an anonymous one */
    int32_t link; /* of a click, from 1 */
    const char *url; /* of a click; else NULL */
    const char *client_address; /* NULL: is not kept */
    const char *user_agent; /* NULL: is not kept */
    const char *machine_reason; /* NULL: a human, as far as one hit tells */
};

/* Store a hit. While PostgreSQL is away rows wait, 128 MB of them at most;
 * beyond it the answer is DATABASE_UNAVAILABLE at once (a dropped hit). No
 * deadline: whoever answers a client in time keeps the row. */
void hit_store(struct database *database, struct batch_row *row,
               const struct new_hit *borrowed_hit, batch_done_fn *on_done,
               void *owner);
size_t hits_pending_count(const struct database *database);

#endif
