/* SPDX-License-Identifier: MIT */
/*
 * The end of a try: what follows from its outcome, written as one record
 * (attempt, event, delivery state and queue row together, after the report to
 * the sender if one is due) and logged as one line.
 */
#ifndef BATON_RELAY_ATTEMPT_H
#define BATON_RELAY_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"
#include "core/text.h"
#include "relay/held_message.h"
#include "smtp/outcome.h"

/* What is known of a try besides its outcome. */
struct attempt_facts {
    const char *host; /* "" if none was reached */
    const char *address; /* with port, or "" */
    int64_t started_at; /* wall clock; 0: nothing was tried */
    int64_t queue_milliseconds;
    int64_t connect_milliseconds;
    int64_t transfer_milliseconds;
    const char *tls; /* or NULL */
    struct text transcript;
    bool has_one_recipient; /* its transaction had */
    bool peer_has_dsn;
    const char *site; /* for the log */
    bool has_other_host; /* another host of the site can be tried at once */
    struct text sandbox_message; /* kept by the sandbox route; else empty */
};

enum attempt_next {
    ATTEMPT_FINISHED, /* the delivery is over: drop it */
    ATTEMPT_GIVEN_BACK, /* its row is the table's again: drop it */
    ATTEMPT_NEXT_HOST, /* keep it and try the next host at once */
};

struct attempt_writer;
struct directory_account;
struct database;
struct suppression;

struct attempt_writer *attempt_writer_create(struct database *database);
/* After database_free. What is not committed yet is forgotten: the leases run
 * out. */
void attempt_writer_free(struct attempt_writer **writer);
/* The lease that results carry. */
void attempt_writer_set_worker(struct attempt_writer *writer,
                               int64_t worker_id);
/* Called after records were committed, from the loop. */
void attempt_writer_watch(struct attempt_writer *writer, loop_fn *on_stored,
                          void *owner);
/* Records that are not committed yet: they are bounded by the scheduler. */
size_t attempt_writer_pending(const struct attempt_writer *writer);
/* Since when the oldest of them waits, on the monotonic clock; 0: none. */
int64_t attempt_writer_waits_since(const struct attempt_writer *writer);

/* Decide, log and write. The delivery and its message may be dropped at once
 * afterwards. account: whose settings say who is told; NULL if it is gone. */
enum attempt_next attempt_end(struct attempt_writer *writer,
                              struct delivery *delivery,
                              const struct attempt_facts *facts,
                              const struct smtp_outcome *outcome,
                              const struct directory_account *account);

/* Give a delivery back untried, due at due_at. */
void attempt_give_back(struct attempt_writer *writer,
                       const struct delivery *delivery, int64_t due_at,
                       const char *why);

/* End a delivery whose recipient was suppressed after it was accepted. account:
 * as above. */
void attempt_suppress(struct attempt_writer *writer,
                      const struct delivery *delivery,
                      const struct suppression *suppression,
                      const struct directory_account *account);

/* End a delivery that ran out of time before this try. */
void attempt_expire(struct attempt_writer *writer, struct delivery *delivery,
                    const struct directory_account *account);

#endif
