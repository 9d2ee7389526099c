/* SPDX-License-Identifier: MIT */
/* What became of deliveries: attempts, events and the queue row, together. */
#ifndef BATON_SQL_RESULTS_H
#define BATON_SQL_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "sql/batch.h"
#include "sql/database.h"
#include "sql/suppressions.h"

struct new_notice;

enum result_next {
    RESULT_FINISHED, /* the queue row goes; state is final */
    RESULT_RESCHEDULED, /* given back, due at next_at */
    RESULT_KEPT, /* another host is tried at once: the lease stays */
};

/* One attempt's end. Instants are clock_now(). */
struct delivery_result {
    int64_t account_id;
    int64_t message_id;
    int64_t delivery_id;
    int64_t group_id; /* 0: none */
    bool counts; /* false: of a notice of our own, which moves no counter */
    int64_t
        worker_id; /* fencing: the queue row is touched only if it is ours */
    enum result_next next;
    const char *state; /* delivery.state; NULL: unchanged */
    int64_t next_at; /* RESULT_RESCHEDULED */
    const char *why; /* RESULT_RESCHEDULED: queue.why */

    bool has_attempt; /* false: decided without trying (expired, no such
                         domain, given back): no attempt row is written */
    int64_t attempt_id;
    int attempt_number; /* from 1; also written to attempt_count */
    int64_t started_at;
    int64_t finished_at;
    const char *host;
    const char *address;
    const char *outcome;
    const char *scope;
    const char *step;
    int reply_code;
    const char *enhanced_code;
    const char *reply; /* also without an attempt, of what is finished: why */
    const char *tls; /* or NULL */
    int64_t queue_milliseconds;
    int64_t connect_milliseconds;
    int64_t transfer_milliseconds;
    struct text transcript;

    /* What the reply means: "invalid_address", "hard"; NULL: it was no refusal.
     */
    const char *bounce_class;
    const char *bounce_severity;
    struct suppression_note suppression;

    const char *event_kind; /* NULL: no event */
    int64_t event_id;
    const char *recipient;
    const char *event_detail; /* a JSON object */

    const struct new_notice *notice; /* of what is finished; NULL: nobody is
                                        told */

    /* The sandbox route: the copy that would have left; empty: none. */
    struct text sandbox_message;
    const char *sandbox_sender;
};

/* Write attempt, event, delivery state, queue row and suppression in one
 * transaction. */
void result_store(struct database *database, struct batch_row *row,
                  const struct delivery_result *borrowed_result,
                  batch_done_fn *on_done, void *owner);

/* Write an event alone (rejected before there was a message). */
struct new_event {
    int64_t account_id; /* 0: nobody's */
    int64_t event_id;
    int64_t occurred_at;
    const char *kind;
    int64_t message_id; /* 0: none */
    int64_t delivery_id; /* 0: none */
    const char *recipient; /* or NULL */
    const char *detail; /* a JSON object */
    int64_t group_id; /* 0: none */
    /* How many recipients it stands for: its counter moves by so many. 0: it
     * moves none, like what happens to our own notices. */
    int32_t quantity;
    int64_t bytes; /* of `accepted`: its size times its recipients */
};
void event_store(struct database *database, struct batch_row *row,
                 const struct new_event *borrowed_event, batch_done_fn *on_done,
                 void *owner);

#endif
