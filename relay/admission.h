/* SPDX-License-Identifier: MIT */
/*
 * What PostgreSQL is asked before a lawful message is stored: its group (made
 * on first use), which of its recipients are suppressed or object to being
 * tracked, and whether it came before under the same idempotency key. Most
 * messages need none of it.
 */
#ifndef BATON_RELAY_ADMISSION_H
#define BATON_RELAY_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "relay/suppression_cache.h"
#include "sql/directory.h"
#include "sql/suppressions.h"

/* Borrowed until the callback, or the cancel. */
struct admission_request {
    struct database *database;
    int64_t account_id;
    int64_t group_id; /* known already; or 0 */
    const char *new_group; /* a group that has to be made; or NULL */
    struct suppression_cache *suppressions; /* NULL: nobody is suppressed, or
                                               the message bypasses that */
    bool checks_objections;
    const char *const *recipients;
    size_t recipient_count;
    const char *idempotency_key; /* or NULL */
    struct arena *arena; /* for what is found */
};

/* Why a recipient is not sent to; NULL: it is. */
struct admission {
    enum database_result result; /* not DATABASE_DONE: nothing is known */
    int64_t group_id; /* 0: none, or the account has too many */
    const char **refusals; /* one a recipient, in the arena; NULL: all go */
    size_t refusal_count;
    bool *untracked; /* who objects to being tracked; NULL: nobody */
    /* The message that came before under this key; 0: none did. */
    int64_t earlier_message_id;
    struct text earlier_content; /* its digest; during the callback */
};

/* Nothing has to be asked. */
bool admission_is_free(const struct admission_request *request);

struct admission_check;
typedef void admission_done_fn(void *owner, const struct admission *admission);
struct admission_check *admission_start(const struct admission_request *request,
                                        admission_done_fn *on_done,
                                        void *owner);
void admission_cancel(struct admission_check **check);

#endif
