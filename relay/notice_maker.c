/* SPDX-License-Identifier: MIT */
/*
 *   timer ─> claim ─┬─ one failure ─> load its message ─┐
 *                   └─ digest ──────> read its lines ───┴─> store ─> forget
 *                                                             the next, or
 * timer
 */
#include "relay/notice_maker.h"

#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/delivery_report.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "sql/messages.h"
#include "sql/notices.h"
#include "tracking/notice_digest.h"

#define LOOK_MILLISECONDS                               \
    2000 /* of the world's time, whatever clock_rate is \
          */
/* If nothing becomes of a notice, somebody makes it anew after so long. */
#define CLAIM_MILLISECONDS (5 * 60 * 1000)
#define DIGEST_DOMAINS_MAX 20
#define DIGEST_FAILURES_MAX 200

struct notice_maker {
    struct loop *loop;
    struct database *database;
    const struct lease *lease;
    struct timer timer;
    bool is_resting;
    struct query *query;
    struct message_load *load;
    /* The notice in hand; its texts lie in the arena. */
    struct arena *arena;
    struct claimed_notice notice;
    struct held_message *message; /* NULL until it is written */
    struct batch_row row;
    struct new_message new_message;
    struct new_delivery new_delivery;
};

static void look(void *owner);
static void claim(struct notice_maker *maker);

static void put_down(struct notice_maker *maker)
{
    held_message_free(&maker->message);
    arena_free(&maker->arena);
}

static void look_later(struct notice_maker *maker)
{
    put_down(maker);
    if (!maker->is_resting) {
        timer_start(&maker->timer, maker->loop,
                    LOOK_MILLISECONDS * clock_rate(), look, maker);
    }
}

/* -- forgetting -- */

static void on_done(void *owner, enum database_result result)
{
    struct notice_maker *maker = owner;
    maker->query = NULL;
    if (result != DATABASE_DONE) {
        look_later(maker); /* it is found to be stored when it comes again */
        return;
    }
    put_down(maker);
    claim(maker);
}

static void forget(struct notice_maker *maker)
{
    maker->query = notice_done(maker->database, maker->notice.account_id,
                               maker->notice.notice_id, on_done, maker);
}

static void withhold(struct notice_maker *maker, const char *reason)
{
    metric_add(&relay_metrics[METRIC_NOTICES_WITHHELD], 1);
    log_warning(NULL, "a notice is not sent",
                "account=%" PRId64 " addressee=\"%s\" reason=\"%s\"",
                maker->notice.account_id,
                log_quote(text_of(maker->notice.addressee)), reason);
    forget(maker);
}

/* -- storing -- */

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct notice_maker *maker = owner;
    if (result == DATABASE_DONE) {
        metric_add(
            &relay_metrics[maker->notice.is_digest ? METRIC_NOTICES_DIGEST
                                                   : METRIC_NOTICES_SINGLE],
            1);
        forget(maker);
    } else if (message_is_repetition(result, error)) {
        forget(maker); /* whoever had it before came as far as this */
    } else {
        if (result == DATABASE_FAILED) {
            log_error(NULL, "a notice could not be stored",
                      "account=%" PRId64 " notice=%" PRId64 " reason=\"%s\"",
                      maker->notice.account_id, maker->notice.notice_id,
                      log_quote(text_of(error != NULL ? error->text : "")));
        }
        look_later(maker);
    }
}

static void store(struct notice_maker *maker)
{
    delivery_report_fill(maker->message, &maker->new_delivery,
                         &maker->new_message);
    maker->new_message.idempotency_key =
        arena_printf(maker->arena, "notice %" PRId64, maker->notice.notice_id);
    memset(&maker->row, 0, sizeof(maker->row));
    message_store(maker->database, &maker->row, &maker->new_message, on_stored,
                  maker);
}

/* -- of one failure -- */

static void write_report(struct notice_maker *maker, struct text data)
{
    const struct claimed_notice *notice = &maker->notice;
    bool has_message = notice->accepted_at != 0;
    struct report_recipient recipient = {
        .address = notice->recipient,
        .original_recipient = notice->original_recipient,
        .action = REPORT_FAILED,
        .status = notice->status,
        .diagnostic = notice->reply[0] != '\0' ? notice->reply : NULL,
        .remote_host = notice->host[0] != '\0' ? notice->host : NULL,
        .explanation = notice->explanation,
        .last_attempt_at = notice->occurred_at,
    };
    struct report_original original = {
        .envelope_id = notice->envelope_id,
        .accepted_at = has_message ? notice->accepted_at : notice->occurred_at,
        .message_id = notice->message_id,
        .wants_header_only = notice->dsn_return == DSN_RETURN_HEADERS,
        .data = data,
    };
    delivery_report_write(maker->message, notice->addressee, &original,
                          &recipient);
}

static void on_loaded(void *owner, enum database_result result,
                      struct buffer *trace, struct buffer *data,
                      const struct error *error)
{
    struct notice_maker *maker = owner;
    (void)trace;
    (void)error;
    maker->load = NULL;
    if (result == DATABASE_UNAVAILABLE) {
        look_later(maker);
        return;
    }
    /* Else its bytes are not kept any more. */
    write_report(maker,
                 result == DATABASE_DONE ? buffer_text(data) : text_of(""));
    store(maker);
}

/* -- digests -- */

static void add_total(struct digest_input *input,
                      const struct notice_line *line)
{
    input->failure_count = line->quantity;
    input->domain_count = line->domain_count;
    input->first_at = line->occurred_at;
    input->last_at = line->ended_at;
    input->query = line->name;
}

static void write_digest(struct notice_maker *maker,
                         const struct notice_line *lines, size_t count)
{
    struct arena *arena = maker->arena;
    struct digest_count *classes =
        arena_alloc(arena, (count + 1) * sizeof(*classes));
    struct digest_count *domains =
        arena_alloc(arena, (count + 1) * sizeof(*domains));
    struct digest_failure *failures =
        arena_alloc(arena, (count + 1) * sizeof(*failures));
    struct digest_input input = {
        .hostname = relay_settings_now()->hostname,
        .to = maker->notice.addressee,
        .account = maker->notice.account,
        .made_at = maker->message->accepted_at,
        .message_id = maker->message->message_id,
        .classes = classes,
        .domains = domains,
        .failures = failures,
    };
    for (size_t i = 0; i < count; i++) {
        const struct notice_line *line = &lines[i];
        struct digest_count counted = { line->name, line->quantity };
        switch (line->kind) {
        case NOTICE_TOTAL:
            add_total(&input, line);
            break;
        case NOTICE_CLASS:
            classes[input.class_count++] = counted;
            break;
        case NOTICE_DOMAIN:
            domains[input.listed_domain_count++] = counted;
            break;
        case NOTICE_FAILURE:
            failures[input.listed_count++] = (struct digest_failure){
                .occurred_at = line->occurred_at,
                .recipient = line->recipient,
                .class = line->name,
                .reply = line->reply,
                .message_id = line->message_id,
                .subject = line->subject,
            };
            break;
        }
    }
    notice_digest_write(&input, &maker->message->data);
    delivery_report_seal(maker->message);
}

static void on_read(void *owner, enum database_result result,
                    const struct notice_line *lines, size_t line_count)
{
    struct notice_maker *maker = owner;
    maker->query = NULL;
    if (result != DATABASE_DONE) {
        look_later(maker);
        return;
    }
    write_digest(maker, lines, line_count);
    store(maker);
}

/* -- claiming -- */

static const char *copy_or_null(struct arena *arena, const char *text)
{
    return text != NULL ? arena_copy_string(arena, text) : NULL;
}

static void keep(struct notice_maker *maker, const struct claimed_notice *given)
{
    struct arena *arena = arena_create();
    struct claimed_notice *notice = &maker->notice;
    maker->arena = arena;
    *notice = *given;
    notice->account = copy_or_null(arena, given->account);
    notice->addressee = copy_or_null(arena, given->addressee);
    notice->recipient = copy_or_null(arena, given->recipient);
    notice->status = copy_or_null(arena, given->status);
    notice->reply = copy_or_null(arena, given->reply);
    notice->host = copy_or_null(arena, given->host);
    notice->explanation = copy_or_null(arena, given->explanation);
    notice->original_recipient = copy_or_null(arena, given->original_recipient);
    notice->envelope_id = copy_or_null(arena, given->envelope_id);
}

static void on_claimed(void *owner, enum database_result result,
                       const struct claimed_notice *claimed)
{
    struct notice_maker *maker = owner;
    maker->query = NULL;
    if (result != DATABASE_DONE || claimed == NULL) {
        look_later(maker);
        return;
    }
    keep(maker, claimed);
    const struct claimed_notice *notice = &maker->notice;
    if (notice->is_suppressed) {
        withhold(maker, "the addressee is suppressed");
        return;
    }
    maker->message = delivery_report_create(
        notice->account_id, notice->message_id, notice->addressee);
    if (maker->message == NULL) {
        withhold(maker, "the address is unusable");
    } else if (notice->is_digest) {
        maker->query = notice_read(maker->database, notice->account_id,
                                   notice->notice_id, DIGEST_DOMAINS_MAX,
                                   DIGEST_FAILURES_MAX, on_read, maker);
    } else {
        maker->load = message_load(maker->database, notice->account_id,
                                   notice->message_id, on_loaded, maker);
    }
}

static void claim(struct notice_maker *maker)
{
    if (maker->is_resting) {
        return;
    }
    maker->query = notice_claim(maker->database, clock_now(),
                                CLAIM_MILLISECONDS, on_claimed, maker);
}

static void on_decided(void *owner, enum database_result result,
                       bool has_notice)
{
    struct notice_maker *maker = owner;
    maker->query = NULL;
    if (result != DATABASE_DONE || !has_notice) {
        look_later(maker);
        return;
    }
    claim(maker);
}

static void look(void *owner)
{
    struct notice_maker *maker = owner;
    if (!database_is_up(maker->database) || !lease_is_valid(maker->lease)) {
        look_later(maker);
        return;
    }
    maker->query =
        notice_decide(maker->database, clock_now(),
                      relay_settings_now()->notice_period, on_decided, maker);
}

/* -- public -- */

struct notice_maker *notice_maker_create(struct loop *loop,
                                         struct database *database,
                                         const struct lease *lease)
{
    struct notice_maker *maker = memory_alloc(sizeof(*maker));
    maker->loop = loop;
    maker->database = database;
    maker->lease = lease;
    look_later(maker);
    return maker;
}

void notice_maker_rest(struct notice_maker *maker)
{
    maker->is_resting = true;
    timer_stop(&maker->timer);
}

void notice_maker_stop(struct notice_maker *maker)
{
    notice_maker_rest(maker);
    query_cancel(&maker->query);
    message_load_cancel(&maker->load);
}

void notice_maker_free(struct notice_maker **maker)
{
    if (*maker != NULL) {
        put_down(*maker);
        memory_free(*maker);
        *maker = NULL;
    }
}
