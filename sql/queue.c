/* SPDX-License-Identifier: MIT */
/* Claims, the workers to whom leases belong, and what they publish. */
#include "sql/queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/query.h"
#include "sql/settings.h"
#include "sql/usage.h"

#define REGISTER_TRIES 8

/* -- claiming -- */

/* A claim whose answer was lost took deliveries that we do not know of. Each
 * claim leaves its mark on what it took; the next one first gives that back. */
struct claim {
    struct list_link link;
    struct database *database;
    struct queue_claim wanted;
    int64_t *passed_over;
    queue_claimed_fn *on_claimed;
    void *owner;
};

static void free_claim(struct claim *claim)
{
    list_remove(&claim->link);
    loop_cancel_posts(claim->database->loop, claim);
    memory_free(claim->passed_over);
    memory_free(claim);
}

static void name_claim(const struct database *database, char out_name[64])
{
    snprintf(out_name, 64, "in a worker's hand, claim %" PRId64,
             database->claim_number);
}

static const char *copy_or_empty(const struct rows *rows, size_t row,
                                 const char *column, struct arena *arena)
{
    const char *copy = rows_copy(rows, row, column, arena);
    return copy != NULL ? copy : "";
}

static void read_delivery(const struct rows *rows, size_t i,
                          struct arena *arena, struct claimed_delivery *out)
{
    *out = (struct claimed_delivery){
        .account_id = rows_int64(rows, i, "account_id"),
        .message_id = rows_int64(rows, i, "message_id"),
        .delivery_id = rows_int64(rows, i, "delivery_id"),
        .recipient = copy_or_empty(rows, i, "recipient", arena),
        .domain = copy_or_empty(rows, i, "domain", arena),
        .notify = (unsigned)rows_int64(rows, i, "notify"),
        .original_recipient = rows_copy(rows, i, "original_recipient", arena),
        .priority = (int)rows_int64(rows, i, "priority"),
        .attempt_count = (int)rows_int64(rows, i, "attempt_count"),
        .accepted_at = rows_instant(rows, i, "accepted_at"),
        .expires_at = rows_instant(rows, i, "expires_at"),
        .size_bytes = rows_int64(rows, i, "size_bytes"),
        .sender = copy_or_empty(rows, i, "sender", arena),
        .envelope_id = rows_copy(rows, i, "envelope_id", arena),
        .dsn_return = (int)rows_int64(rows, i, "dsn_return"),
        .is_smtputf8 = rows_boolean(rows, i, "is_smtputf8"),
        .has_8bit = rows_boolean(rows, i, "has_8bit"),
        .group_id = rows_int64(rows, i, "group_id"),
        .policy = copy_or_empty(rows, i, "policy", arena),
        .is_untracked = rows_boolean(rows, i, "is_untracked"),
        .is_sandboxed = rows_boolean(rows, i, "is_sandboxed"),
        .last_reply = copy_or_empty(rows, i, "last_reply", arena),
    };
}

static void give_claimed(struct claim *claim, const struct rows *rows)
{
    struct arena *arena = arena_create();
    size_t count = rows_count(rows);
    struct claimed_delivery *deliveries =
        arena_alloc(arena, (count + 1) * sizeof(*deliveries));
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows_is_null(rows, i, "delivery_id")) {
            read_delivery(rows, i, arena, &deliveries[given++]);
        }
    }
    claim->on_claimed(claim->owner, DATABASE_DONE, deliveries, given,
                      count > 0 ? rows_int64(rows, 0, "next_account") : 0,
                      &arena);
    arena_free(&arena);
}

static void on_claim(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    struct claim *claim = owner;
    (void)error;
    if (result == DATABASE_DONE) {
        claim->database->has_lost_claim = false;
        give_claimed(claim, rows);
    } else {
        struct arena *arena = NULL;
        claim->on_claimed(claim->owner, result, NULL, 0,
                          claim->wanted.after_account, &arena);
        arena_free(&arena);
    }
    free_claim(claim);
}

static void run_claim(struct claim *claim)
{
    struct database *database = claim->database;
    struct parameters parameters = { 0 };
    char name[64];
    database->claim_number++;
    database->has_lost_claim = true; /* until its answer is there */
    name_claim(database, name);
    parameter_int64(&parameters, claim->wanted.worker_id);
    parameter_instant(&parameters, claim->wanted.now);
    parameter_int32(&parameters, claim->wanted.row_limit);
    parameter_int64(&parameters, claim->wanted.after_account);
    parameter_text(&parameters, name);
    parameter_int64s(&parameters, claim->passed_over,
                     claim->wanted.passed_over_count);
    query_run(database, STATEMENT_QUEUE_CLAIM, &parameters, on_claim, claim);
    parameters_free(&parameters);
}

static void on_unclaimed(void *owner, enum database_result result,
                         const struct rows *rows, const struct error *error)
{
    struct claim *claim = owner;
    if (result == DATABASE_DONE) {
        run_claim(claim);
    } else {
        on_claim(claim, result, rows, error);
    }
}

static void take_back_lost_claim(struct claim *claim)
{
    struct parameters parameters = { 0 };
    char name[64];
    name_claim(claim->database, name);
    parameter_int64(&parameters, claim->wanted.worker_id);
    parameter_instant(&parameters, claim->wanted.now);
    parameter_text(&parameters, name);
    query_run(claim->database, STATEMENT_QUEUE_UNCLAIM, &parameters,
              on_unclaimed, claim);
    parameters_free(&parameters);
}

static void refuse_claim(void *owner)
{
    on_claim(owner, DATABASE_UNAVAILABLE, NULL, NULL);
}

static int64_t *copy_ids(const int64_t *ids, size_t count)
{
    int64_t *copy = memory_alloc_array(count + 1, sizeof(*copy));
    if (count > 0) {
        memcpy(copy, ids, count * sizeof(*copy));
    }
    return copy;
}

void queue_claim(struct database *database, const struct queue_claim *wanted,
                 queue_claimed_fn *on_claimed, void *owner)
{
    struct claim *claim = memory_alloc(sizeof(*claim));
    *claim = (struct claim){
        .database = database,
        .wanted = *wanted,
        .passed_over = copy_ids(wanted->passed_over, wanted->passed_over_count),
        .on_claimed = on_claimed,
        .owner = owner,
    };
    list_append(&database->claims, &claim->link);
    if (batch_has_doubt(database->batches[BATCH_RESULTS])) {
        /* A result that may be stored already is about to be sent again: it
         * must not give back what we would claim now. */
        loop_post(database->loop, refuse_claim, claim);
    } else if (database->has_lost_claim) {
        take_back_lost_claim(claim);
    } else {
        run_claim(claim);
    }
}

/* -- questions -- */

/* What somebody waits for besides claims; in the database's `questions`. */
struct question {
    struct list_link link;
    struct database *database;
    union {
        queue_measured_fn *on_measured;
        worker_registered_fn *on_registered;
        worker_renewed_fn *on_renewed;
        worker_resigned_fn *on_resigned;
        maintained_fn *on_maintained;
    };
    void *owner;
    struct parameters parameters;
    int tries_left;
};

static struct question *ask(struct database *database, void *owner)
{
    struct question *question = memory_alloc(sizeof(*question));
    question->database = database;
    question->owner = owner;
    list_append(&database->questions, &question->link);
    return question;
}

static void free_question(struct question *question)
{
    list_remove(&question->link);
    parameters_free(&question->parameters);
    memory_free(question);
}

static void on_measure(void *owner, enum database_result result,
                       const struct rows *rows, const struct error *error)
{
    struct question *question = owner;
    (void)error;
    bool is_done = result == DATABASE_DONE;
    question->on_measured(question->owner, result,
                          is_done ? rows_int64(rows, 0, "row_count") : 0,
                          is_done ? rows_instant(rows, 0, "oldest_due_at") : 0);
    free_question(question);
}

void queue_measure(struct database *database, int64_t now,
                   queue_measured_fn *on_measured, void *owner)
{
    struct question *question = ask(database, owner);
    question->on_measured = on_measured;
    parameter_instant(&question->parameters, now);
    query_run(database, STATEMENT_QUEUE_MEASURE, &question->parameters,
              on_measure, question);
}

/* -- workers -- */

static void ignore(void *owner, enum database_result result,
                   const struct rows *rows, const struct error *error)
{
    (void)owner;
    (void)result;
    (void)rows;
    (void)error;
}

static void free_orphans(struct database *database, int64_t now)
{
    struct parameters parameters = { 0 };
    parameter_instant(&parameters, now);
    query_run(database, STATEMENT_QUEUE_FREE_ORPHANS, &parameters, ignore,
              NULL);
    parameters_free(&parameters);
}

static void on_register(void *owner, enum database_result result,
                        const struct rows *rows, const struct error *error)
{
    static const struct error crowded = {
        "every worker number is taken: at most 1023 workers can share one "
        "database"
    };
    struct question *question = owner;
    if (result == DATABASE_DONE && rows_count(rows) == 0) {
        if (question->tries_left-- > 0) {
            query_run(question->database, STATEMENT_WORKER_REGISTER,
                      &question->parameters, on_register, question);
            return;
        }
        result = DATABASE_FAILED;
        error = &crowded;
    }
    bool is_done = result == DATABASE_DONE;
    question->on_registered(
        question->owner, result, is_done ? rows_int64(rows, 0, "worker_id") : 0,
        is_done ? (int)rows_int64(rows, 0, "number") : 0, error);
    free_question(question);
}

void worker_register(struct database *database, const char *node,
                     int lease_seconds, int64_t retired_worker_id, int64_t now,
                     worker_registered_fn *on_registered, void *owner)
{
    struct question *question = ask(database, owner);
    question->on_registered = on_registered;
    question->tries_left = REGISTER_TRIES;
    parameter_text(&question->parameters, node);
    parameter_int32(&question->parameters, (int32_t)getpid());
    parameter_int32(&question->parameters, lease_seconds);
    parameter_int64(&question->parameters, retired_worker_id);
    parameter_instant(&question->parameters, now);
    query_run(database, STATEMENT_WORKER_REGISTER, &question->parameters,
              on_register, question);
    free_orphans(database, now);
}

static void on_renew(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    struct question *question = owner;
    struct worker_renewal renewal = { 0 };
    (void)error;
    if (result == DATABASE_DONE) {
        renewal = (struct worker_renewal){
            .is_alive = rows_boolean(rows, 0, "is_alive"),
            .taken_over_count = rows_int64(rows, 0, "taken_over_count"),
            .worker_count = (size_t)rows_int64(rows, 0, "worker_count"),
            .rank = (size_t)rows_int64(rows, 0, "rank"),
            .next_end_milliseconds =
                rows_is_null(rows, 0, "next_end_milliseconds")
                    ? 0
                    : rows_int64(rows, 0, "next_end_milliseconds"),
        };
    }
    question->on_renewed(question->owner, result, &renewal);
    free_question(question);
}

void worker_renew(struct database *database, int64_t worker_id,
                  int lease_seconds, int64_t now, worker_renewed_fn *on_renewed,
                  void *owner)
{
    struct question *question = ask(database, owner);
    question->on_renewed = on_renewed;
    parameter_int64(&question->parameters, worker_id);
    parameter_int32(&question->parameters, lease_seconds);
    parameter_instant(&question->parameters, now);
    query_run(database, STATEMENT_WORKER_RENEW, &question->parameters, on_renew,
              question);
}

static void on_resign(void *owner, enum database_result result,
                      const struct rows *rows, const struct error *error)
{
    struct question *question = owner;
    (void)rows;
    (void)error;
    question->on_resigned(question->owner, result);
    free_question(question);
}

void worker_resign(struct database *database, int64_t worker_id, int64_t now,
                   worker_resigned_fn *on_resigned, void *owner)
{
    struct question *question = ask(database, owner);
    question->on_resigned = on_resigned;
    parameter_int64(&question->parameters, worker_id);
    parameter_instant(&question->parameters, now);
    query_run(database, STATEMENT_WORKER_RESIGN, &question->parameters,
              on_resign, question);
}

/* -- what is published, what is kept -- */

void site_waits_store(struct database *database, int64_t worker_id, int64_t now,
                      const struct site_wait *waits, size_t wait_count)
{
    struct parameters parameters = { 0 };
    for (size_t i = 0; i < wait_count; i++) {
        column_text(&parameters, waits[i].site);
        column_int32(&parameters, waits[i].waiting_count);
        column_int32(&parameters, waits[i].busy_count);
        column_text(&parameters, waits[i].why);
        row_end(&parameters);
    }
    parameter_int64(&parameters, worker_id);
    if (wait_count > 0) {
        parameter_instant(&parameters, now);
    }
    query_run(database,
              wait_count > 0 ? STATEMENT_SITE_WAIT_REPLACE
                             : STATEMENT_SITE_WAIT_CLEAR,
              &parameters, ignore, NULL);
    parameters_free(&parameters);
}

static void on_maintain(void *owner, enum database_result result,
                        const struct rows *rows, const struct error *error)
{
    struct question *question = owner;
    (void)rows;
    question->on_maintained(question->owner, result, error);
    free_question(question);
}

void database_maintain(struct database *database, int64_t now,
                       maintained_fn *on_maintained, void *owner)
{
    const struct sql_settings_values *settings = sql_settings_now();
    struct question *question = ask(database, owner);
    question->on_maintained = on_maintained;
    parameter_instant(&question->parameters, now);
    parameter_int64(&question->parameters, settings->keep_bodies);
    parameter_int64(&question->parameters, settings->keep_messages);
    parameter_int64(&question->parameters, settings->keep_events);
    parameter_int64(&question->parameters, settings->keep_sandbox);
    query_run(database, STATEMENT_MAINTAIN, &question->parameters, on_maintain,
              question);
    usage_forget(database, now);
    free_orphans(database, now);
}

void questions_free(struct database *database)
{
    while (database->claims.first != NULL) {
        free_claim(LIST_ITEM(database->claims.first, struct claim, link));
    }
    while (database->questions.first != NULL) {
        free_question(
            LIST_ITEM(database->questions.first, struct question, link));
    }
}
