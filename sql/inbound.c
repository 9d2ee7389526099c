/* SPDX-License-Identifier: MIT */
#include "sql/inbound.h"

#include "core/arena.h"
#include "core/memory.h"
#include "core/text.h"
#include "sql/database_internal.h"
#include "sql/notices.h"

/* Of memory, beside its texts. */
#define REPORT_WEIGHT 512

/* -- looking up -- */

struct search {
    inbound_found_fn *on_found;
    void *owner;
    int64_t account_id;
    int64_t delivery_id;
};

static void on_row(void *owner, enum database_result result,
                   const struct rows *rows, const struct error *error)
{
    const struct search *search = owner;
    (void)error;
    if (result != DATABASE_DONE || rows_count(rows) == 0) {
        search->on_found(search->owner, result, NULL);
        return;
    }
    struct arena *arena = arena_create();
    struct returned_delivery delivery = {
        .account_id = search->account_id,
        .delivery_id = search->delivery_id,
        .message_id = rows_int64(rows, 0, "message_id"),
        .group_id = rows_int64(rows, 0, "group_id"),
        .recipient = rows_copy(rows, 0, "recipient", arena),
        .original_recipient = rows_copy(rows, 0, "original_recipient", arena),
        .notify = (unsigned)rows_int64(rows, 0, "notify"),
        .state = rows_copy(rows, 0, "state", arena),
        .reports = (unsigned)rows_int64(rows, 0, "reports"),
        .sender = rows_copy(rows, 0, "sender", arena),
        .envelope_id = rows_copy(rows, 0, "envelope_id", arena),
        .dsn_return = (int)rows_int64(rows, 0, "dsn_return"),
        .policy = rows_copy(rows, 0, "policy", arena),
        .accepted_at = rows_instant(rows, 0, "accepted_at"),
    };
    search->on_found(search->owner, result, &delivery);
    arena_free(&arena);
}

struct query *inbound_find(struct database *database, int64_t account_id,
                           int64_t delivery_id, inbound_found_fn *on_found,
                           void *owner)
{
    struct parameters parameters = { 0 };
    struct search *search = memory_alloc(sizeof(*search));
    *search = (struct search){ on_found, owner, account_id, delivery_id };
    parameter_int64(&parameters, account_id);
    parameter_int64(&parameters, delivery_id);
    struct query *query = query_run(database, STATEMENT_INBOUND_FIND,
                                    &parameters, on_row, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- writing down -- */

const char *inbound_kind_name(enum inbound_kind kind)
{
    static const char *const names[] = {
        [INBOUND_BOUNCED] = "bounced",
        [INBOUND_DEFERRED] = "deferred",
        [INBOUND_AUTOREPLIED] = "autoreplied",
        [INBOUND_COMPLAINED] = "complained",
        [INBOUND_FEEDBACK] = "feedback",
    };
    return names[kind];
}

unsigned inbound_report_bit(enum inbound_kind kind)
{
    return 1U << kind;
}

static bool append_report(struct parameters *p, const void *values,
                          size_t position)
{
    const struct inbound_report *report = values;
    (void)position;
    column_int64(p, report->account_id);
    column_int64(p, report->delivery_id);
    column_int64(p, report->event_id);
    column_instant(p, report->occurred_at);
    column_text(p, inbound_kind_name(report->kind));
    column_json(p, report->detail);
    column_text(p, report->reply);
    column_text(p, report->client_address);
    row_end(p);
    return true;
}

static bool append_suppression(struct parameters *p, const void *values,
                               size_t position)
{
    const struct inbound_report *report = values;
    (void)position;
    struct suppression_subject subject = {
        .account_id = report->account_id,
        .delivery_id = report->delivery_id,
        .recipient = report->recipient,
        .occurred_at = report->occurred_at,
    };
    suppression_note_append(p, &subject, &report->suppression);
    return true;
}

static bool append_notice(struct parameters *p, const void *values,
                          size_t position)
{
    const struct inbound_report *report = values;
    (void)position;
    if (report->notice != NULL) {
        notice_append(p, report->account_id, report->delivery_id,
                      report->occurred_at, report->notice);
    }
    return true;
}

static const struct batch_statement inbound_statements[] = {
    { STATEMENT_INBOUND_SETTLE, STATEMENT_INBOUND_SETTLE, append_report,
      false },
    { STATEMENT_SUPPRESSION_NOTE, STATEMENT_SUPPRESSION_NOTE,
      append_suppression, false },
    { STATEMENT_NOTICE_INSERT, STATEMENT_NOTICE_INSERT, append_notice, true },
};

const struct batch_kind inbound_batch_kind = {
    .name = "inbound",
    .statements = inbound_statements,
    .statement_count = ARRAY_LENGTH(inbound_statements),
    .has_deadline = true,
};

static size_t length_of(const char *text)
{
    return text != NULL ? text_of(text).length : 0;
}

void inbound_store(struct database *database, struct batch_row *row,
                   const struct inbound_report *borrowed_report,
                   batch_done_fn *on_done, void *owner)
{
    batch_add(database->batches[BATCH_INBOUND], row, borrowed_report,
              REPORT_WEIGHT + text_of(borrowed_report->detail).length +
                  2 * length_of(borrowed_report->suppression.evidence),
              on_done, owner);
}
