/* SPDX-License-Identifier: MIT */
/*
 * Claiming due deliveries, and the workers to whom leases belong.
 */
#ifndef BATON_SQL_QUEUE_H
#define BATON_SQL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "sql/database.h"

/* A claimed delivery with what is needed to deliver it, but the bytes. Strings
 * lie in the arena given to the callback. */
struct claimed_delivery {
    int64_t account_id;
    int64_t message_id;
    int64_t delivery_id;
    const char *recipient;
    const char *domain;
    unsigned notify;
    const char *original_recipient; /* or NULL */
    int priority;
    int attempt_count;
    int64_t accepted_at;
    int64_t expires_at;
    int64_t size_bytes;
    const char *sender;
    const char *envelope_id; /* or NULL */
    int dsn_return;
    bool is_smtputf8;
    bool has_8bit;
    int64_t group_id; /* 0: none */
    const char *policy; /* JSON, as it was frozen at acceptance */
    bool is_sandboxed;
    bool is_untracked; /* this recipient objects */
    const char *last_reply; /* of the last attempt; "" if there was none */
};

/* The callback may take the arena by setting *arena to NULL; else it is freed.
 * next_account: where the next claim should go on. */
typedef void queue_claimed_fn(void *owner, enum database_result result,
                              const struct claimed_delivery *deliveries,
                              size_t delivery_count, int64_t next_account,
                              struct arena **arena);

/* Lease up to row_limit deliveries that are due at `now`, fairly: at most 64
 * accounts with id > after_account (wrapping round), an equal share each, high
 * priority first, then by due time. Accounts passed over get nothing. One
 * claim at a time; what the struct points to is copied. */
struct queue_claim {
    int64_t worker_id;
    int64_t now;
    int row_limit;
    int64_t after_account;
    const int64_t *passed_over;
    size_t passed_over_count;
};
void queue_claim(struct database *database, const struct queue_claim *wanted,
                 queue_claimed_fn *on_claimed, void *owner);

/* How many rows of the queue are due (of large accounts only so many are
 * counted) and since when the oldest waits (0: none does); for metrics. */
typedef void queue_measured_fn(void *owner, enum database_result result,
                               int64_t row_count, int64_t oldest_due_at);
void queue_measure(struct database *database, int64_t now,
                   queue_measured_fn *on_measured, void *owner);

/* -- workers -- */

/* Take a free worker number and a new worker_id. retired_worker_id (or 0): the
 * predecessor that is known to be dead; its deliveries are due at once. */
typedef void worker_registered_fn(void *owner, enum database_result result,
                                  int64_t worker_id, int worker_number,
                                  const struct error *error);
void worker_register(struct database *database, const char *node,
                     int lease_seconds, int64_t retired_worker_id, int64_t now,
                     worker_registered_fn *on_registered, void *owner);

/* Renew our lease and take over the deliveries of workers whose lease ran out
 * (they become due at `now`). */
struct worker_renewal {
    /* False: our own row is gone, others may have our deliveries: drop
     * everything and register anew. */
    bool is_alive;
    int64_t taken_over_count;
    /* Of the workers of all nodes that are alive, and our place among them. */
    size_t worker_count;
    size_t rank; /* from 0 */
    /* When the first lease of another worker runs out, unless it is renewed;
     * 0: there is no other. */
    int64_t next_end_milliseconds;
};
typedef void worker_renewed_fn(void *owner, enum database_result result,
                               const struct worker_renewal *renewal);
void worker_renew(struct database *database, int64_t worker_id,
                  int lease_seconds, int64_t now, worker_renewed_fn *on_renewed,
                  void *owner);

/* The worker ends in order: its remaining deliveries become due at `now`, its
 * row goes. */
typedef void worker_resigned_fn(void *owner, enum database_result result);
void worker_resign(struct database *database, int64_t worker_id, int64_t now,
                   worker_resigned_fn *on_resigned, void *owner);

/* Replace this worker's rows of site_wait. */
struct site_wait {
    const char *site;
    int waiting_count;
    int busy_count;
    const char *why;
};
void site_waits_store(struct database *database, int64_t worker_id, int64_t now,
                      const struct site_wait *waits, size_t wait_count);

/* Create day partitions ahead and drop those past their retention; safe from
 * every worker at once. */
typedef void maintained_fn(void *owner, enum database_result result,
                           const struct error *error);
void database_maintain(struct database *database, int64_t now,
                       maintained_fn *on_maintained, void *owner);

#endif
