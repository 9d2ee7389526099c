/* SPDX-License-Identifier: MIT */
/*
 * The limits of accounts and user names: messages and recipients per minute,
 * hour, day and month (UTC). PostgreSQL decides, once a message is complete:
 * quota_take asks it for the units of all messages of an account that wait, one
 * question at a time, and of what is granted nothing is left over that another
 * worker could miss. Before, in the dialogue, quota_check refuses what is known
 * to be in vain. Accounts without limits cost nothing.
 *
 * What is granted is counted when it is stored (new_message.usage) or given
 * back (quota_give_back).
 */
#ifndef BATON_RELAY_QUOTA_H
#define BATON_RELAY_QUOTA_H

#include <stddef.h>

#include "core/loop.h"
#include "relay/lease.h"
#include "smtp/reply.h"
#include "sql/directory.h"
#include "sql/usage.h"

struct quota;

/* Whose limits hold; borrowed during a call. */
struct quota_subject {
    const struct directory_account *account;
    const struct directory_credential *credential; /* of AUTH; or NULL */
};

struct quota *quota_create(struct loop *loop, struct database *database,
                           const struct lease *lease);
/* After the database: what was asked is not answered any more. */
void quota_free(struct quota **quota);

/* A new directory: forget what is over. */
void quota_tidy(struct quota *quota);

/* A message begins: see to it that what is used of its limits is known. */
void quota_look(struct quota *quota, const struct quota_subject *subject);
/* May a message have so many recipients? If it is known that it may not:
 * 452 4.3.1. */
void quota_check(const struct quota *quota, const struct quota_subject *subject,
                 size_t recipients, struct smtp_reply *out_reply);

/* Whether nothing has to be asked for so many recipients: there is no limit,
 * or none that refuses or is recorded. Then *out_claim is what it counts as. */
bool quota_take_at_once(struct quota *quota,
                        const struct quota_subject *subject, size_t recipients,
                        struct arena *arena, struct usage_claim *out_claim);

struct quota_taken {
    enum database_result result; /* not DATABASE_DONE: nothing is known */
    enum usage_mode mode;
    struct usage_claim claim; /* recipients: so many may be sent to */
    struct smtp_reply over; /* the limit that is in the way; code 0: none */
};
typedef void quota_taken_fn(void *owner, const struct quota_taken *taken);

/* Ask for a message with so many recipients. `arena` is for the claim. */
struct quota_take *quota_take(struct quota *quota,
                              const struct quota_subject *subject,
                              size_t recipients, struct arena *arena,
                              quota_taken_fn *on_taken, void *owner);
/* on_taken will not run; what it would have got is given back. NULL is
 * accepted. */
void quota_take_cancel(struct quota_take **take);

/* What a claim is for was stored for good. */
void quota_stored(struct quota *quota, int64_t account_id,
                  const struct usage_claim *claim);
/* It was not stored, or undone. */
void quota_give_back(struct quota *quota, int64_t account_id,
                     const struct usage_claim *claim);

/* The answer to a message over this limit of an account, or of one of its user
 * names ("": of the account), in the period that `at` lies in. */
void quota_refuse(const char *account, const char *user_name, int64_t most,
                  enum limit_kind kind, enum clock_period period, int64_t at,
                  struct smtp_reply *out_reply);

#endif
