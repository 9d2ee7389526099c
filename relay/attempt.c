/* SPDX-License-Identifier: MIT */
/*
 * A record holds copies of all it needs, so that the delivery and the message
 * can go as soon as the outcome is known; the records themselves are kept until
 * they are committed.
 *
 *   attempt_end ── report due? ──> message_store(report) ──┐
 *        └───────── no ──────────> result_store <──────────┘──> record freed
 */
#include "relay/attempt.h"

#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/encoding.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/bounce_note.h"
#include "relay/delivery_report.h"
#include "relay/notice.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "relay/suppression_cache.h"
#include "sql/directory.h"
#include "sql/messages.h"
#include "sql/results.h"
#include "tracking/bounce_class.h"

#define HOSTS_PER_ROUND 5

struct attempt_writer {
    struct database *database;
    int64_t worker_id;
    struct list records; /* not committed yet; the oldest first */
    loop_fn *on_stored;
    void *owner;
};

struct attempt_record {
    struct attempt_writer *writer;
    struct list_link link; /* in the writer's records */
    struct arena *arena;
    int64_t made_monotonic;
    struct batch_row row;
    struct delivery_result result;
    bool is_bare; /* stored without what others said */
    const char *bypassed; /* a suppression; or NULL */
    /* Reports that have to be stored first, one after the other. */
    struct list reports; /* struct held_message, link */
    struct new_message new_report;
    struct new_delivery new_report_delivery;
};

struct attempt_writer *attempt_writer_create(struct database *database)
{
    struct attempt_writer *writer = memory_alloc(sizeof(*writer));
    writer->database = database;
    return writer;
}

void attempt_writer_set_worker(struct attempt_writer *writer, int64_t worker_id)
{
    writer->worker_id = worker_id;
}

void attempt_writer_watch(struct attempt_writer *writer, loop_fn *on_stored,
                          void *owner)
{
    writer->on_stored = on_stored;
    writer->owner = owner;
}

size_t attempt_writer_pending(const struct attempt_writer *writer)
{
    return writer->records.count;
}

int64_t attempt_writer_waits_since(const struct attempt_writer *writer)
{
    const struct attempt_record *oldest =
        LIST_ITEM(writer->records.first, struct attempt_record, link);
    return oldest != NULL ? oldest->made_monotonic : 0;
}

static void free_record(struct attempt_record *record)
{
    struct list_link *link;
    while ((link = list_take_first(&record->reports)) != NULL) {
        struct held_message *report =
            LIST_ITEM(link, struct held_message, link);
        held_message_free(&report);
    }
    list_remove(&record->link);
    struct arena *arena = record->arena;
    arena_free(&arena);
}

void attempt_writer_free(struct attempt_writer **writer)
{
    while ((*writer)->records.first != NULL) {
        free_record(
            LIST_ITEM((*writer)->records.first, struct attempt_record, link));
    }
    memory_free(*writer);
    *writer = NULL;
}

static void store_result(struct attempt_record *record);

/* What was delivered must not be delivered again because a remark about it
 * cannot be stored. */
static void make_bare(struct attempt_record *record)
{
    struct delivery_result *result = &record->result;
    record->is_bare = true;
    result->reply = result->reply != NULL ? "" : NULL;
    result->event_detail = "{}";
    result->suppression.evidence = "";
    result->notice = NULL;
    result->transcript = (struct text){ "", 0 };
}

static void on_result_stored(void *owner, enum database_result result,
                             const struct error *error)
{
    struct attempt_record *record = owner;
    const struct attempt_writer *writer = record->writer;
    if (result != DATABASE_DONE) {
        /* PostgreSQL refused the row for what it is. If that is so without the
         * remarks, too, the queue row stays ours until the lease ends, then
         * somebody tries again. */
        log_error(NULL, "a result could not be stored",
                  "message=%" PRId64 " delivery=%" PRId64 " reason=\"%s\"",
                  record->result.message_id, record->result.delivery_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    if (result == DATABASE_FAILED && !record->is_bare) {
        make_bare(record);
        store_result(record);
        return;
    }
    free_record(record);
    if (writer->on_stored != NULL) {
        writer->on_stored(writer->owner);
    }
}

static void store_result(struct attempt_record *record)
{
    memset(&record->row, 0, sizeof(record->row));
    result_store(record->writer->database, &record->row, &record->result,
                 on_result_stored, record);
}

static void store_next(struct attempt_record *record);

static void on_report_stored(void *owner, enum database_result result,
                             const struct error *error)
{
    struct attempt_record *record = owner;
    if (result == DATABASE_UNAVAILABLE) {
        store_next(record); /* with new ids: the old ones may be withdrawn */
        return;
    }
    if (result != DATABASE_DONE) {
        log_error(NULL, "a delivery report could not be stored",
                  "message=%" PRId64 " reason=\"%s\"",
                  record->result.message_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    struct held_message *report =
        LIST_ITEM(list_take_first(&record->reports), struct held_message, link);
    held_message_free(&report);
    store_next(record);
}

static void store_report(struct attempt_record *record,
                         struct held_message *report)
{
    delivery_report_fill(report, &record->new_report_delivery,
                         &record->new_report);
    memset(&record->row, 0, sizeof(record->row));
    message_store(record->writer->database, &record->row, &record->new_report,
                  on_report_stored, record);
}

/* The next report, or the result once there is none. */
static void store_next(struct attempt_record *record)
{
    if (record->reports.first != NULL) {
        store_report(record, LIST_ITEM(record->reports.first,
                                       struct held_message, link));
    } else {
        store_result(record);
    }
}

static struct attempt_record *create_record(struct attempt_writer *writer,
                                            const struct delivery *delivery)
{
    struct arena *arena = arena_create();
    struct attempt_record *record = arena_alloc(arena, sizeof(*record));
    const struct held_message *message = delivery->message;
    record->writer = writer;
    record->arena = arena;
    record->made_monotonic = clock_monotonic();
    record->bypassed = delivery->bypassed != NULL
                           ? arena_copy_string(arena, delivery->bypassed)
                           : NULL;
    record->result = (struct delivery_result){
        .account_id = message->account_id,
        .message_id = message->message_id,
        .delivery_id = delivery->delivery_id,
        .worker_id = writer->worker_id,
        .group_id = message->policy->group_id,
        .counts = !message->policy->is_notice && !message->policy->is_inbound,
        .attempt_number = delivery->attempt_count + 1,
        .finished_at = clock_now(),
        .recipient = arena_copy_string(arena, delivery->recipient),
        .transcript = text_of(""),
    };
    list_append(&writer->records, &record->link);
    return record;
}

static struct text copy_text(struct arena *arena, struct text text)
{
    return (struct text){ arena_copy_text(arena, text), text.length };
}

static void fill_attempt(struct attempt_record *record,
                         const struct attempt_facts *facts,
                         const struct smtp_outcome *outcome)
{
    struct arena *arena = record->arena;
    struct delivery_result *result = &record->result;
    struct buffer reply = { 0 };
    if (outcome->reply.code != 0) {
        smtp_reply_print(&outcome->reply, &reply);
    } else {
        buffer_append_string(&reply, outcome->text);
    }
    result->has_attempt = true;
    result->attempt_id = id_make();
    result->started_at =
        facts->started_at != 0 ? facts->started_at : result->finished_at;
    result->host = arena_copy_string(arena, facts->host);
    result->address = arena_copy_string(arena, facts->address);
    result->outcome = smtp_verdict_text(outcome->verdict);
    result->scope = smtp_scope_text(outcome->scope);
    result->step = arena_copy_string(arena, outcome->step);
    result->reply_code = outcome->reply.code;
    result->enhanced_code = arena_copy_string(arena, outcome->enhanced);
    result->reply = arena_copy_text(arena, buffer_text(&reply));
    result->tls =
        facts->tls != NULL ? arena_copy_string(arena, facts->tls) : NULL;
    result->queue_milliseconds = facts->queue_milliseconds;
    result->connect_milliseconds = facts->connect_milliseconds;
    result->transfer_milliseconds = facts->transfer_milliseconds;
    result->transcript = copy_text(arena, facts->transcript);
    buffer_free(&reply);
}

static void append_class(struct buffer *detail,
                         const struct delivery_result *result)
{
    bool suppresses = result->suppression.reason != NULL &&
                      result->suppression.inactive_count == 0;
    json_append_member(detail, "class", result->bounce_class);
    json_append_member(detail, "severity", result->bounce_severity);
    json_append_name(detail, "suppresses");
    buffer_append_string(detail, suppresses ? "true" : "false");
}

static void fill_event(struct attempt_record *record, const char *kind,
                       const struct smtp_outcome *outcome)
{
    struct delivery_result *result = &record->result;
    struct buffer detail = { 0 };
    buffer_printf(&detail, "{\"attempt\":%d", result->attempt_number);
    json_append_member(&detail, "host",
                       result->host != NULL ? result->host : "");
    json_append_member(&detail, "address",
                       result->address != NULL ? result->address : "");
    json_append_name(&detail, "reply_code");
    buffer_printf(&detail, "%d", outcome->reply.code);
    json_append_member(&detail, "enhanced_code", outcome->enhanced);
    json_append_member(&detail, "reply",
                       result->reply != NULL ? result->reply : outcome->text);
    if (result->bounce_class != NULL) {
        append_class(&detail, result);
    }
    if (record->bypassed != NULL) {
        json_append_member(&detail, "bypassed", record->bypassed);
    }
    buffer_append_byte(&detail, '}');
    result->event_kind = kind;
    result->event_id = id_make();
    result->event_detail = arena_copy_text(record->arena, buffer_text(&detail));
    buffer_free(&detail);
}

static void log_attempt(const struct attempt_record *record,
                        const struct delivery *delivery,
                        const struct attempt_facts *facts,
                        const struct smtp_outcome *outcome)
{
    const struct delivery_result *result = &record->result;
    log_info(NULL, "attempt",
             "message=%" PRId64 " delivery=%" PRId64
             " recipient=\"%s\" destination=\"%s\" host=\"%s\" address=\"%s\" "
             "attempt=%d delay=%.3f phases=%" PRId64 "/%" PRId64 "/%" PRId64
             " dsn=%s outcome=%s reply=\"%s\"",
             result->message_id, result->delivery_id,
             log_quote(text_of(delivery->recipient)),
             log_quote(text_of(facts->site)), log_quote(text_of(facts->host)),
             log_quote(text_of(facts->address)), result->attempt_number,
             (double)(result->finished_at - delivery->message->accepted_at) /
                 (double)CLOCK_SECOND,
             result->queue_milliseconds, result->connect_milliseconds,
             result->transfer_milliseconds, outcome->enhanced,
             smtp_verdict_text(outcome->verdict),
             log_quote(text_of(result->reply)));
}

/* Make the report now, while the message's bytes are here. Other addressees
 * are written down with the result. */
static void prepare_reports(struct attempt_record *record,
                            const struct delivery *delivery,
                            enum report_action action,
                            const struct attempt_facts *facts,
                            const struct smtp_outcome *outcome,
                            const struct directory_account *account)
{
    bool is_told = delivery_report_make(account, delivery, action, facts,
                                        outcome, &record->reports);
    if (action == REPORT_FAILED) {
        record->result.notice = notice_of_failure(
            record->arena, account, delivery, record->result.bounce_class,
            facts, outcome, is_told);
    }
}

/* Another host of the same round is worth a try: the trouble was the host's,
 * and nothing may have been taken yet. */
static bool can_try_next_host(const struct delivery *delivery,
                              const struct attempt_facts *facts,
                              const struct smtp_outcome *outcome)
{
    return outcome->scope == SCOPE_HOST && facts->has_other_host &&
           outcome->verdict != VERDICT_UNCERTAIN &&
           outcome->verdict != VERDICT_DELIVERED &&
           delivery->hosts_tried + 1 < HOSTS_PER_ROUND;
}

static void reschedule(struct attempt_record *record,
                       const struct delivery *delivery,
                       const struct smtp_outcome *outcome)
{
    struct delivery_result *result = &record->result;
    int64_t due_at = result->finished_at +
                     relay_settings_retry_milliseconds(result->attempt_number) *
                         CLOCK_MILLISECOND;
    if (due_at > delivery->message->expires_at) {
        due_at = delivery->message->expires_at;
    }
    result->next = RESULT_RESCHEDULED;
    result->next_at = due_at;
    result->why = arena_copy_string(record->arena, outcome->text);
    fill_event(record, "deferred", outcome);
}

static void finish(struct attempt_record *record, const char *state,
                   const char *event_kind, const struct smtp_outcome *outcome)
{
    record->result.next = RESULT_FINISHED;
    record->result.state = state;
    fill_event(record, event_kind, outcome);
}

/* What a host said of this recipient alone, or DNS of its domain: a message
 * that the server of five recipients did not like suppresses nobody. */
static bool is_about_address(const struct attempt_facts *facts,
                             const struct smtp_outcome *outcome)
{
    bool is_reply = outcome->reply.code >= 500;
    bool is_of_one =
        outcome->scope == SCOPE_RECIPIENT ||
        (outcome->scope == SCOPE_MESSAGE && facts->has_one_recipient);
    bool is_of_dns = outcome->reply.code == 0 && outcome->scope == SCOPE_SITE;
    return (is_reply && is_of_one) || is_of_dns;
}

/* What a refusal means, in the dialogue as in a later report (B1), and whether
 * the address is given up for it. */
static void note_bounce(struct attempt_record *record,
                        const struct attempt_facts *facts,
                        const struct smtp_outcome *outcome,
                        const struct directory_account *account)
{
    struct delivery_result *result = &record->result;
    struct bounce_verdict verdict;
    bool is_final = outcome->verdict == VERDICT_FAILED;
    struct bounce_reply reply = {
        .text = text_of(result->reply),
        .code = outcome->reply.code > 0 ? (unsigned)outcome->reply.code : 0,
        .status = text_of(outcome->enhanced),
        .step = bounce_step_of(text_of(outcome->step)),
    };
    bounce_class_decide(&reply, &verdict);
    result->bounce_class = bounce_class_name(verdict.class);
    result->bounce_severity = bounce_severity_name(verdict.severity);
    if (is_final && is_about_address(facts, outcome)) {
        result->suppression =
            bounce_note(account, verdict.suppresses,
                        verdict.class == BOUNCE_INACTIVE, result->reply);
    }
}

/* "451 4.2.0 Mailbox busy" as it was stored: a reply again, if it was one. */
static void read_stored_reply(const char *stored, struct smtp_reply *out_reply)
{
    struct text text = text_of(stored);
    uint64_t code = 0;
    if (text.length > 4 && text.data[3] == ' ' &&
        text_to_uint64(text_slice(text, 0, 3), &code) && code >= 200) {
        smtp_reply_set(out_reply, (int)code, "", "%s", stored + 4);
    }
}

/* The time is over. What was said last goes into the report. */
static void set_expired(struct smtp_outcome *expired, const char *last_reply)
{
    bool has_last = last_reply != NULL && last_reply[0] != '\0';
    smtp_outcome_decide(
        expired, VERDICT_FAILED, SCOPE_MESSAGE, "4.4.7", "queue",
        "the message could not be delivered in time%s%s",
        has_last ? "; the last try said: " : "", has_last ? last_reply : "");
    if (has_last) {
        read_stored_reply(last_reply, &expired->reply);
    }
}

static const struct metric *metric_of(enum smtp_verdict verdict)
{
    static const enum relay_metric metrics[] = {
        [VERDICT_NONE] = METRIC_ATTEMPTS_DEFERRED,
        [VERDICT_DELIVERED] = METRIC_ATTEMPTS_DELIVERED,
        [VERDICT_DEFERRED] = METRIC_ATTEMPTS_DEFERRED,
        [VERDICT_FAILED] = METRIC_ATTEMPTS_FAILED,
        [VERDICT_UNCERTAIN] = METRIC_ATTEMPTS_UNCERTAIN,
    };
    return &relay_metrics[metrics[verdict]];
}

enum attempt_next attempt_end(struct attempt_writer *writer,
                              struct delivery *delivery,
                              const struct attempt_facts *facts,
                              const struct smtp_outcome *outcome,
                              const struct directory_account *account)
{
    struct attempt_record *record = create_record(writer, delivery);
    enum attempt_next next = ATTEMPT_FINISHED;
    fill_attempt(record, facts, outcome);
    log_attempt(record, delivery, facts, outcome);
    metric_add(metric_of(outcome->verdict), 1);
    record->result.sandbox_message =
        copy_text(record->arena, facts->sandbox_message);
    record->result.sandbox_sender = arena_copy_string(
        record->arena,
        held_message_sender(delivery->message, delivery, record->arena));

    if (outcome->verdict == VERDICT_DELIVERED) {
        finish(record, "delivered", "delivered", outcome);
        prepare_reports(record, delivery, REPORT_RELAYED, facts, outcome,
                        account);
    } else if (can_try_next_host(delivery, facts, outcome)) {
        record->result.next = RESULT_KEPT;
        next = ATTEMPT_NEXT_HOST;
    } else if (outcome->verdict == VERDICT_FAILED) {
        note_bounce(record, facts, outcome, account);
        finish(record, "failed", "bounced", outcome);
        prepare_reports(record, delivery, REPORT_FAILED, facts, outcome,
                        account);
    } else if (delivery->is_cancelled) {
        finish(record, "cancelled", "cancelled", outcome);
    } else if (clock_now() >= delivery->message->expires_at) {
        struct smtp_outcome expired;
        set_expired(&expired, record->result.reply);
        finish(record, "expired", "expired", &expired);
        prepare_reports(record, delivery, REPORT_FAILED, facts, &expired,
                        account);
    } else {
        note_bounce(record, facts, outcome, account);
        reschedule(record, delivery, outcome);
        next = ATTEMPT_GIVEN_BACK;
    }
    store_next(record);
    return next;
}

void attempt_give_back(struct attempt_writer *writer,
                       const struct delivery *delivery, int64_t due_at,
                       const char *why)
{
    struct attempt_record *record = create_record(writer, delivery);
    record->result.attempt_number = delivery->attempt_count;
    record->result.next = RESULT_RESCHEDULED;
    record->result.next_at = due_at;
    record->result.why = arena_copy_string(record->arena, why);
    metric_add(&relay_metrics[METRIC_GIVEN_BACK], 1);
    store_next(record);
}

void attempt_expire(struct attempt_writer *writer, struct delivery *delivery,
                    const struct directory_account *account)
{
    struct attempt_record *record = create_record(writer, delivery);
    struct smtp_outcome expired;
    set_expired(&expired, delivery->last_reply);
    record->result.attempt_number = delivery->attempt_count;
    finish(record, "expired", "expired", &expired);
    prepare_reports(record, delivery, REPORT_FAILED, NULL, &expired, account);
    log_info(NULL, "expired",
             "message=%" PRId64 " delivery=%" PRId64 " recipient=\"%s\"",
             record->result.message_id, record->result.delivery_id,
             log_quote(text_of(delivery->recipient)));
    store_next(record);
}

void attempt_suppress(struct attempt_writer *writer,
                      const struct delivery *delivery,
                      const struct suppression *suppression,
                      const struct directory_account *account)
{
    struct attempt_record *record = create_record(writer, delivery);
    struct delivery_result *result = &record->result;
    struct buffer detail = { 0 };
    buffer_append_byte(&detail, '{');
    json_append_member(&detail, "reason", suppression->reason);
    json_append_member(&detail, "evidence", suppression->evidence);
    buffer_append_byte(&detail, '}');
    result->attempt_number = delivery->attempt_count;
    result->next = RESULT_FINISHED;
    result->state = "suppressed";
    result->reply = suppression_describe(suppression, record->arena);
    result->notice = notice_of_refusal(record->arena, account, delivery,
                                       "suppressed", result->reply);
    result->event_kind = "suppressed";
    result->event_id = id_make();
    result->event_detail = arena_copy_text(record->arena, buffer_text(&detail));
    buffer_free(&detail);
    metric_add(&relay_metrics[METRIC_SUPPRESSED], 1);
    log_info(NULL, "suppressed",
             "message=%" PRId64 " delivery=%" PRId64
             " recipient=\"%s\" reason=%s",
             result->message_id, result->delivery_id,
             log_quote(text_of(delivery->recipient)), suppression->reason);
    store_next(record);
}
