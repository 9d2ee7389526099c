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
    int64_t group_id; /* 0: messages without a group */
    const char *group_name; /* NULL: the whole account, whatever group_id is */
    const char *reason; /* hard_bounce, complaint, unsubscribe, manual */
    const char *evidence;
    int64_t created_at;
    int64_t expires_at; /* 0: never */
};

/* For messages whose group is not known yet: the whole account alone. */
#define SUPPRESSION_ANY_GROUP INT64_C(-1)

/* Whether it is in force now for messages of this group (0: without one). */
bool suppression_applies(const struct suppression *suppression,
                         int64_t group_id, int64_t now);

/* All that the addresses are suppressed for by the account, expired or not, in
 * their order: of one that has several, that of the whole account first. An
 * address may be written in any case of letters. Rows are valid during the
 * callback only. */
typedef void suppressions_found_fn(void *owner, enum database_result result,
                                   const struct suppression *suppressions,
                                   size_t count);
struct query *suppressions_find(struct database *database, int64_t account_id,
                                const char *const *addresses,
                                size_t address_count,
                                suppressions_found_fn *on_found, void *owner);

/* What a bounce or a complaint means for an address, written in the transaction
 * of the result or report it comes of. */
struct suppression_note {
    const char *reason; /* hard_bounce or complaint; NULL: nothing */
    const char *evidence; /* the literal reply or report */
    /* 0: it is suppressed at once. Else its mailbox is not used any more: it is
     * suppressed once so many deliveries ended so, the first and the last at
     * least this far apart and none delivered in between. */
    int inactive_count;
    int64_t inactive_milliseconds;
};
/* Append the row of STATEMENT_SUPPRESSION_NOTE, if there is a reason. */
struct suppression_subject {
    int64_t account_id;
    int64_t delivery_id;
    const char *recipient;
    int64_t occurred_at;
};
void suppression_note_append(struct parameters *parameters,
                             const struct suppression_subject *subject,
                             const struct suppression_note *note);

/* A part of the hashes of an account's suppressed addresses: the first eight
 * bytes of the SHA-256 of each, as a signed number. */
struct suppression_range {
    int64_t account_id;
    int64_t lowest;
    int64_t highest;
};
/* hashes: of one range for each that was asked for, in their order: eight bytes
 * a hash, the most significant first, ascending; of each range at most as many
 * as the limit. Valid during the callback only. */
typedef void suppression_ranges_fn(void *owner, enum database_result result,
                                   const struct text *hashes);
struct query *suppression_ranges_load(struct database *database,
                                      const struct suppression_range *ranges,
                                      size_t count, int32_t limit,
                                      suppression_ranges_fn *on_loaded,
                                      void *owner);

/* What changed since an earlier answer. */
struct suppression_change {
    int64_t account_id; /* 0: everything */
    int64_t hash;
    bool is_of_account; /* anything of the account may have changed */
};
struct suppression_changes {
    bool is_complete; /* false: anything may have changed */
    const struct suppression_change *changes;
    size_t count;
    /* What the next question has to say. */
    const char *snapshot;
    int64_t answered_at; /* PostgreSQL's clock */
};
/* Valid during the callback only; NULL unless result is DATABASE_DONE. */
typedef void suppression_changes_fn(void *owner, enum database_result result,
                                    const struct suppression_changes *changes);
/* snapshot, answered_at: of the answer before; NULL and 0: there was none. */
struct query *suppression_changes_ask(struct database *database,
                                      const char *snapshot, int64_t answered_at,
                                      suppression_changes_fn *on_answer,
                                      void *owner);

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
