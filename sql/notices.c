/* SPDX-License-Identifier: MIT */
#include "sql/notices.h"

#include <string.h>

#include "core/memory.h"

void notice_append(struct parameters *parameters, int64_t account_id,
                   int64_t delivery_id, int64_t occurred_at,
                   const struct new_notice *notice)
{
    column_int64(parameters, account_id);
    column_id(parameters, delivery_id);
    column_instant(parameters, occurred_at);
    column_text(parameters, notice->manager);
    column_boolean(parameters, notice->tells_author);
    column_text(parameters, notice->sender);
    column_text(parameters, notice->class);
    column_text(parameters, notice->status);
    column_text(parameters, notice->reply);
    column_text(parameters, notice->host);
    column_text(parameters, notice->explanation);
    row_end(parameters);
}

/* -- claiming -- */

struct claim {
    notice_claimed_fn *on_claimed;
    void *owner;
};

static void read_notice(const struct rows *rows, struct arena *arena,
                        struct claimed_notice *out_notice)
{
    *out_notice = (struct claimed_notice){
        .account_id = rows_int64(rows, 0, "account_id"),
        .notice_id = rows_int64(rows, 0, "notice_id"),
        .account = rows_copy(rows, 0, "account", arena),
        .addressee = rows_copy(rows, 0, "addressee", arena),
        .is_digest = rows_boolean(rows, 0, "is_digest"),
        .is_suppressed = rows_boolean(rows, 0, "is_suppressed"),
        .delivery_id = rows_int64(rows, 0, "delivery_id"),
        .message_id = rows_int64(rows, 0, "message_id"),
        .recipient = rows_copy(rows, 0, "recipient", arena),
        .occurred_at = rows_instant(rows, 0, "occurred_at"),
        .status = rows_copy(rows, 0, "status", arena),
        .reply = rows_copy(rows, 0, "reply", arena),
        .host = rows_copy(rows, 0, "host", arena),
        .explanation = rows_copy(rows, 0, "explanation", arena),
        .original_recipient = rows_copy(rows, 0, "original_recipient", arena),
        .accepted_at = rows_instant(rows, 0, "accepted_at"),
        .envelope_id = rows_copy(rows, 0, "envelope_id", arena),
        .dsn_return = (int)rows_int64(rows, 0, "dsn_return"),
    };
}

static void on_claim(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    const struct claim *claim = owner;
    struct claimed_notice notice;
    (void)error;
    if (result != DATABASE_DONE || rows_count(rows) == 0) {
        claim->on_claimed(claim->owner, result, NULL);
        return;
    }
    struct arena *arena = arena_create();
    read_notice(rows, arena, &notice);
    claim->on_claimed(claim->owner, result, &notice);
    arena_free(&arena);
}

struct query *notice_claim(struct database *database, int64_t now,
                           int64_t claim_milliseconds,
                           notice_claimed_fn *on_claimed, void *owner)
{
    struct parameters parameters = { 0 };
    struct claim *claim = memory_alloc(sizeof(*claim));
    *claim = (struct claim){ on_claimed, owner };
    parameter_instant(&parameters, now);
    parameter_int64(&parameters, claim_milliseconds);
    struct query *query = query_run(database, STATEMENT_NOTICE_CLAIM,
                                    &parameters, on_claim, claim);
    query_keep(query, claim);
    parameters_free(&parameters);
    return query;
}

/* -- deciding -- */

struct decision {
    notice_decided_fn *on_decided;
    void *owner;
};

static void on_decision(void *owner, enum database_result result,
                        const struct rows *rows, const struct error *error)
{
    const struct decision *decision = owner;
    (void)error;
    decision->on_decided(decision->owner, result,
                         result == DATABASE_DONE &&
                             rows_boolean(rows, 0, "has_notice"));
}

struct query *notice_decide(struct database *database, int64_t now,
                            int64_t period_milliseconds,
                            notice_decided_fn *on_decided, void *owner)
{
    struct parameters parameters = { 0 };
    struct decision *decision = memory_alloc(sizeof(*decision));
    *decision = (struct decision){ on_decided, owner };
    parameter_instant(&parameters, now);
    parameter_int64(&parameters, period_milliseconds);
    struct query *query = query_run(database, STATEMENT_NOTICE_DECIDE,
                                    &parameters, on_decision, decision);
    query_keep(query, decision);
    parameters_free(&parameters);
    return query;
}

/* -- reading a digest -- */

struct reading {
    notice_read_fn *on_read;
    void *owner;
};

static enum notice_line_kind line_kind(struct text name)
{
    return text_is(name, "total")    ? NOTICE_TOTAL
           : text_is(name, "class")  ? NOTICE_CLASS
           : text_is(name, "domain") ? NOTICE_DOMAIN
                                     : NOTICE_FAILURE;
}

static void on_rows(void *owner, enum database_result result,
                    const struct rows *rows, const struct error *error)
{
    const struct reading *reading = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        reading->on_read(reading->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    size_t count = rows_count(rows);
    struct notice_line *lines =
        arena_alloc(arena, (count + 1) * sizeof(*lines));
    for (size_t i = 0; i < count; i++) {
        struct notice_line *line = &lines[i];
        line->kind = line_kind(rows_text(rows, i, "kind"));
        line->name = rows_copy(rows, i, "name", arena);
        line->quantity = rows_int64(rows, i, "quantity");
        line->occurred_at = rows_instant(rows, i, "occurred_at");
        line->ended_at = rows_instant(rows, i, "ended_at");
        line->domain_count = rows_int64(rows, i, "domain_count");
        line->recipient = rows_copy(rows, i, "recipient", arena);
        line->reply = rows_copy(rows, i, "reply", arena);
        line->message_id = rows_int64(rows, i, "message_id");
        line->subject = rows_copy(rows, i, "subject", arena);
    }
    reading->on_read(reading->owner, result, lines, count);
    arena_free(&arena);
}

struct query *notice_read(struct database *database, int64_t account_id,
                          int64_t notice_id, int64_t domain_limit,
                          int64_t failure_limit, notice_read_fn *on_read,
                          void *owner)
{
    struct parameters parameters = { 0 };
    struct reading *reading = memory_alloc(sizeof(*reading));
    *reading = (struct reading){ on_read, owner };
    parameter_int64(&parameters, account_id);
    parameter_int64(&parameters, notice_id);
    parameter_int64(&parameters, domain_limit);
    parameter_int64(&parameters, failure_limit);
    struct query *query = query_run(database, STATEMENT_NOTICE_READ,
                                    &parameters, on_rows, reading);
    query_keep(query, reading);
    parameters_free(&parameters);
    return query;
}

/* -- forgetting -- */

struct ending {
    notice_done_fn *on_done;
    void *owner;
};

static void on_ended(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    const struct ending *ending = owner;
    (void)rows;
    (void)error;
    ending->on_done(ending->owner, result);
}

struct query *notice_done(struct database *database, int64_t account_id,
                          int64_t notice_id, notice_done_fn *on_done,
                          void *owner)
{
    struct parameters parameters = { 0 };
    struct ending *ending = memory_alloc(sizeof(*ending));
    *ending = (struct ending){ on_done, owner };
    parameter_int64(&parameters, account_id);
    parameter_int64(&parameters, notice_id);
    struct query *query = query_run(database, STATEMENT_NOTICE_DONE,
                                    &parameters, on_ended, ending);
    query_keep(query, ending);
    parameters_free(&parameters);
    return query;
}
