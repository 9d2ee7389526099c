/* SPDX-License-Identifier: MIT */
/*
 * A result is stored by up to eight statements of one batch. What an attempt
 * was is written in any case; queue row and delivery state change only while
 * the queue row is the worker's (fencing).
 */
#include "sql/results.h"

#include "core/clock.h"
#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/notices.h"

#define RESULT_WEIGHT 512
/* Events that wait while PostgreSQL is away: further ones are not taken. */
#define EVENTS_WAITING_BYTES (16 * 1024 * 1024)

/* What was decided without trying may have no instant of its own. */
static int64_t end_of(const struct delivery_result *result)
{
    return result->finished_at != 0 ? result->finished_at : clock_now();
}

static bool append_attempt(struct parameters *p, const void *values,
                           size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (!r->has_attempt) {
        return true;
    }
    column_int64(p, r->account_id);
    column_int64(p, r->attempt_id);
    column_int64(p, r->delivery_id);
    column_int64(p, r->message_id);
    column_int32(p, r->attempt_number);
    column_instant(p, r->started_at);
    column_instant(p, r->finished_at);
    column_int64(p, r->worker_id);
    column_text(p, r->host != NULL ? r->host : "");
    column_text(p, r->address != NULL ? r->address : "");
    column_text(p, r->outcome != NULL ? r->outcome : "");
    column_text(p, r->scope != NULL ? r->scope : "");
    column_text(p, r->step != NULL ? r->step : "");
    column_int16(p, r->reply_code);
    column_text(p, r->enhanced_code != NULL ? r->enhanced_code : "");
    column_text(p, r->reply != NULL ? r->reply : "");
    column_text(p, r->tls);
    column_int64(p, r->queue_milliseconds);
    column_int64(p, r->connect_milliseconds);
    column_int64(p, r->transfer_milliseconds);
    column_text_view(p, r->transcript);
    row_end(p);
    return true;
}

static void append_any_event(struct parameters *p, const struct new_event *e,
                             enum counter_lane lane)
{
    column_int64(p, e->account_id);
    column_int64(p, e->event_id);
    column_instant(p, e->occurred_at);
    column_text(p, e->kind);
    column_int64_or_null(p, e->message_id);
    column_int64_or_null(p, e->delivery_id);
    column_text(p, e->recipient);
    column_json(p, e->detail);
    column_int64(p, e->group_id);
    column_int32(p, e->quantity);
    column_int64(p, e->bytes);
    column_int16(p, lane);
    row_end(p);
}

static bool append_result_event(struct parameters *p, const void *values,
                                size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->event_kind != NULL) {
        struct new_event event = {
            .account_id = r->account_id,
            .event_id = r->event_id,
            .occurred_at = end_of(r),
            .kind = r->event_kind,
            .message_id = r->message_id,
            .delivery_id = r->delivery_id,
            .recipient = r->recipient,
            .detail = r->event_detail,
            .group_id = r->group_id,
            .quantity = r->counts ? 1 : 0,
        };
        append_any_event(p, &event, LANE_RESULTS);
    }
    return true;
}

static bool append_sandbox(struct parameters *p, const void *values,
                           size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->sandbox_message.length > 0) {
        column_int64(p, r->account_id);
        column_int64(p, r->delivery_id);
        column_int64(p, r->message_id);
        column_text(p, r->recipient != NULL ? r->recipient : "");
        column_text(p, r->sandbox_sender != NULL ? r->sandbox_sender : "");
        column_instant(p, end_of(r));
        column_bytes(p, r->sandbox_message);
        row_end(p);
    }
    return true;
}

static void append_common(struct parameters *p, const struct delivery_result *r,
                          const char *reply)
{
    column_int64(p, r->account_id);
    column_id(p, r->delivery_id);
    column_int64(p, r->worker_id);
    column_int32(p, r->attempt_number);
    column_text(p, r->state);
    column_text(p, reply);
}

/* NULL: there was no attempt. */
static const char *reply_of(const struct delivery_result *r)
{
    return r->has_attempt ? r->reply : NULL;
}

static bool append_finish(struct parameters *p, const void *values,
                          size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->next == RESULT_FINISHED) {
        append_common(p, r, r->reply);
        column_instant(p, end_of(r));
        row_end(p);
    }
    return true;
}

static bool append_reschedule(struct parameters *p, const void *values,
                              size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->next == RESULT_RESCHEDULED) {
        append_common(p, r, reply_of(r));
        column_instant(p, r->next_at);
        column_text(p, r->why != NULL ? r->why : "");
        row_end(p);
    }
    return true;
}

static bool append_keep(struct parameters *p, const void *values,
                        size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->next == RESULT_KEPT) {
        append_common(p, r, reply_of(r));
        row_end(p);
    }
    return true;
}

static bool append_suppression(struct parameters *p, const void *values,
                               size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    struct suppression_subject subject = {
        .account_id = r->account_id,
        .delivery_id = r->delivery_id,
        .recipient = r->recipient,
        .occurred_at = end_of(r),
    };
    suppression_note_append(p, &subject, &r->suppression);
    return true;
}

static bool append_notice(struct parameters *p, const void *values,
                          size_t position)
{
    const struct delivery_result *r = values;
    (void)position;
    if (r->next == RESULT_FINISHED && r->notice != NULL) {
        notice_append(p, r->account_id, r->delivery_id, end_of(r), r->notice);
    }
    return true;
}

/* The order in which tables are locked is that of storing a message; who waits
 * for a suppression that somebody else writes has nothing else to lock. */
static const struct batch_statement result_statements[] = {
    { STATEMENT_RESULT_KEEP, STATEMENT_RESULT_KEEP, append_keep, true },
    { STATEMENT_RESULT_RESCHEDULE, STATEMENT_RESULT_RESCHEDULE,
      append_reschedule, true },
    { STATEMENT_RESULT_FINISH, STATEMENT_RESULT_FINISH, append_finish, true },
    { STATEMENT_ATTEMPT_INSERT, STATEMENT_ATTEMPT_INSERT_AGAIN, append_attempt,
      false },
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_result_event,
      false },
    { STATEMENT_SANDBOX_INSERT, STATEMENT_SANDBOX_INSERT_AGAIN, append_sandbox,
      false },
    { STATEMENT_SUPPRESSION_NOTE, STATEMENT_SUPPRESSION_NOTE,
      append_suppression, false },
    { STATEMENT_NOTICE_INSERT, STATEMENT_NOTICE_INSERT, append_notice, true },
};

const struct batch_kind result_batch_kind = {
    .name = "results",
    .statements = result_statements,
    .statement_count = ARRAY_LENGTH(result_statements),
    /* Half as many commits under load. What has arrived and is not committed
     * when a worker is killed arrives again: not longer than that. */
    .gather_milliseconds = 4,
};

void result_store(struct database *database, struct batch_row *row,
                  const struct delivery_result *borrowed_result,
                  batch_done_fn *on_done, void *owner)
{
    batch_add(database->batches[BATCH_RESULTS], row, borrowed_result,
              borrowed_result->transcript.length +
                  borrowed_result->sandbox_message.length + RESULT_WEIGHT,
              on_done, owner);
}

/* -- events alone -- */

static bool append_event(struct parameters *p, const void *values,
                         size_t position)
{
    (void)position;
    append_any_event(p, values, LANE_EVENTS);
    return true;
}

static const struct batch_statement event_statements[] = {
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_event,
      false },
};

const struct batch_kind event_batch_kind = {
    .name = "events",
    .statements = event_statements,
    .statement_count = ARRAY_LENGTH(event_statements),
    .has_deadline = true,
    .bytes_limit = EVENTS_WAITING_BYTES,
};

void event_store(struct database *database, struct batch_row *row,
                 const struct new_event *borrowed_event, batch_done_fn *on_done,
                 void *owner)
{
    batch_add(database->batches[BATCH_EVENTS], row, borrowed_event,
              RESULT_WEIGHT + text_of(borrowed_event->detail).length, on_done,
              owner);
}
