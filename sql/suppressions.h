/* SPDX-License-Identifier: MIT */
/* Addresses that an account, or a group, no longer sends to. */
#ifndef BATON_SQL_SUPPRESSIONS_H
#define BATON_SQL_SUPPRESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/database.h"
#include "sql/query.h"

struct suppression {
    size_t place; /* of the address among those that were asked for, from 0 */
    const char
        *address; /* lower case, as PostgreSQL has it: beyond ASCII, too */
    const char *reason; /* hard_bounce, complaint, unsubscribe, manual */
    const char *evidence;
    int64_t created_at;
    const char *group_name; /* NULL: the whole account */
};

/* Those of the addresses that are suppressed for this group (0: no group), in
 * any case of letters and in their order: of one that has two, that of the
 * whole account first. Rows are valid during the callback only. */
typedef void suppressions_found_fn(void *owner, enum database_result result,
                                   const struct suppression *suppressions,
                                   size_t count);
struct query *suppressions_find(struct database *database, int64_t account_id,
                                int64_t group_id, const char *const *addresses,
                                size_t address_count,
                                suppressions_found_fn *on_found, void *owner);

/* Those of the addresses whose owners object to being tracked: their places
 * among those that were asked for, from 0; valid during the callback only. */
typedef void untracked_found_fn(void *owner, enum database_result result,
                                const size_t *places, size_t count);
struct query *untracked_find(struct database *database, int64_t account_id,
                             const char *const *addresses, size_t address_count,
                             untracked_found_fn *on_found, void *owner);

/* A recipient's wish. */
struct subscription_change {
    int64_t account_id;
    int64_t group_id; /* 0: messages without a group */
    int64_t delivery_id; /* of the message it came from */
    int64_t event_id;
    int64_t occurred_at;
    const char *address;
    const char *how; /* one-click, link, mailto, manual */
    const char *client_address; /* or NULL */
    const char *user_agent; /* or NULL */
};
/* was_changed: false when it was so already. */
typedef void subscription_changed_fn(void *owner, enum database_result result,
                                     bool was_changed);
/* Suppress the address for the group: event, counter, and its queued
 * deliveries of that group, those in a worker's hand included, in one
 * transaction. */
struct query *subscription_end(struct database *database,
                               const struct subscription_change *change,
                               subscription_changed_fn *on_changed,
                               void *owner);
/* Take an unsubscribe back; suppressions of other reasons stay. */
struct query *subscription_resume(struct database *database,
                                  const struct subscription_change *change,
                                  subscription_changed_fn *on_changed,
                                  void *owner);

#endif
