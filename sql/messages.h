/* SPDX-License-Identifier: MIT */
/* Storing and reading messages. */
#ifndef BATON_SQL_MESSAGES_H
#define BATON_SQL_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"
#include "sql/batch.h"
#include "sql/database.h"
#include "sql/query.h"
#include "sql/usage.h"

#define BODY_CHUNK_BYTES (256 * 1024)

struct new_notice;

struct new_delivery {
    int64_t delivery_id;
    const char *recipient;
    const char *domain;
    unsigned notify; /* bits as in the table */
    bool is_untracked; /* this recipient objects */
    const char *original_recipient; /* or NULL */
    /* Why it was taken in the dialogue only: stored with an event of this id,
     * and never queued. NULL: it is to be delivered. */
    const char *refusal;
    int64_t refusal_event_id;
    const char *refusal_state; /* rejected or suppressed; NULL: rejected */
    const char *refusal_detail; /* of the event, JSON; NULL: kind quota */
    const struct new_notice *refusal_notice; /* NULL: nobody is told */
};

/* A row of each table that a message is made of; instants are clock_now(). */
struct new_message {
    int64_t account_id;
    int64_t message_id;
    int64_t accepted_at;
    int64_t expires_at;
    const char *sender;
    const char *from_address;
    const char *subject;
    const char *internet_message_id;
    bool is_smtputf8;
    bool has_8bit;
    int dsn_return;
    const char *envelope_id; /* or NULL */
    int priority;
    const char *client_address;
    const char *client_name;
    const char *protocol;
    const char *tls; /* or NULL */
    const char *user_name; /* or NULL */
    struct text trace;
    struct text transcript;
    struct text data;
    const struct new_delivery *deliveries;
    size_t delivery_count;
    /* The worker that owns the queue rows from birth; 0: born unleased, due at
     * once. */
    int64_t worker_id;
    /* 0: at once. Else the queue rows are born unleased, due at that instant.
     */
    int64_t due_at;
    int64_t event_id; /* of the event `accepted` */
    bool is_inbound; /* for an inbound route: counts as that and nothing else;
                      * the event is `inbound` */
    bool is_notice; /* our own, like a report of failure: moves no counter */

    int64_t group_id; /* 0: none */
    const char *policy; /* JSON (policy_to_json); NULL: {} */
    const char *const *tags;
    size_t tag_count;
    const char *metadata; /* a JSON object; NULL: {} */
    bool is_sandboxed;
    /* For 24 hours no other message of the account can have this key; NULL:
     * none. One that is stored nevertheless gives DATABASE_FAILED. */
    const char *idempotency_key;
    struct text content_digest; /* what tells the same message from another */
    /* Of an account with limits: what it is counted as. */
    struct usage_claim usage;
    const char *accepted_detail; /* of the event `accepted`, JSON; NULL: {} */
};

/* Store message, body, deliveries, queue rows, usage and the event `accepted`
 * in one transaction. Text that is not UTF-8 is stored with the bytes replaced.
 * Withdrawing after the commit deletes the queue rows, marks the deliveries
 * `withdrawn`, takes back what they counted for and gives the key free. */
void message_store(struct database *database, struct batch_row *row,
                   const struct new_message *borrowed_message,
                   batch_done_fn *on_done, void *owner);

/* message_store failed because another message has the key. */
bool message_is_repetition(enum database_result result,
                           const struct error *error);

/* The message that has this key. message_id 0: none. `content_digest` is valid
 * during the callback. */
typedef void idempotency_found_fn(void *owner, enum database_result result,
                                  int64_t message_id,
                                  struct text content_digest);
struct query *idempotency_find(struct database *database, int64_t account_id,
                               const char *key, idempotency_found_fn *on_found,
                               void *owner);

/* Read a message back for delivery. `data` and `trace` are the callee's: the
 * callback takes them (buffer_take) or leaves them to be freed. A message whose
 * body is gone gives DATABASE_FAILED. */
struct message_load;
typedef void message_loaded_fn(void *owner, enum database_result result,
                               struct buffer *trace, struct buffer *data,
                               const struct error *error);
struct message_load *message_load(struct database *database, int64_t account_id,
                                  int64_t message_id,
                                  message_loaded_fn *on_loaded, void *owner);
/* The same with the first BODY_CHUNK_BYTES at most: enough to tell which
 * message it was. */
struct message_load *message_load_top(struct database *database,
                                      int64_t account_id, int64_t message_id,
                                      message_loaded_fn *on_loaded,
                                      void *owner);
void message_load_cancel(struct message_load **load);

#endif
