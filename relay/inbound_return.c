/* SPDX-License-Identifier: MIT */
#include "relay/inbound_return.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/attempt.h"
#include "relay/bounce_note.h"
#include "relay/delivery_report.h"
#include "relay/relay_metrics.h"
#include "sql/inbound.h"
#include "sql/messages.h"
#include "sql/suppressions.h"

struct inbound_returns {
    struct database *database;
    const struct directory *directory;
    struct delivery_reports *reports;
    struct list returns; /* struct inbound_return */
};

struct inbound_return {
    struct inbound_returns *owner;
    struct list_link link;
    struct arena *arena;
    struct returned_mail mail;
    const char *client_address;
    inbound_answer_fn *on_answer; /* NULL: nobody waits */
    void *answer_owner;
    struct query *query;
    struct message_load *load;
    struct batch_row row;
    struct inbound_report report;
    struct held_message *original; /* while reports are made of it */
    struct delivery *original_delivery;
    struct list notices; /* struct held_message, link: to be stored first */
    struct new_message new_notice;
    struct new_delivery new_notice_delivery;
};

static void free_original(struct inbound_return *one)
{
    if (one->original != NULL) {
        list_remove(&one->original_delivery->of_message);
        held_message_free(&one->original);
    }
}

static void free_return(struct inbound_return *one)
{
    struct list_link *link;
    while ((link = list_take_first(&one->notices)) != NULL) {
        struct held_message *notice =
            LIST_ITEM(link, struct held_message, link);
        held_message_free(&notice);
    }
    free_original(one);
    list_remove(&one->link);
    struct arena *arena = one->arena;
    arena_free(&arena);
}

static void answer(struct inbound_return *one, int code, const char *enhanced,
                   const char *sentence)
{
    struct smtp_reply reply;
    smtp_reply_set(&reply, code, enhanced, "%s", sentence);
    if (one->on_answer != NULL) {
        one->on_answer(one->answer_owner, &reply);
    }
    free_return(one);
}

static void log_return(const struct inbound_return *one, const char *result)
{
    log_info(
        NULL, "mail came back",
        "delivery=%" PRId64 " account=%" PRId64
        " meaning=%s class=%s result=%s status=\"%s\" diagnostic=\"%s\"",
        one->mail.path.delivery_id, one->mail.path.account_id,
        returned_meaning_name(one->mail.meaning),
        one->mail.class[0] != '\0' ? one->mail.class : one->mail.feedback_type,
        result, log_quote(text_of(one->mail.status)),
        log_quote(text_of(one->mail.diagnostic)));
}

/* Whatever a database says but DONE. */
static void answer_failure(struct inbound_return *one,
                           enum database_result result,
                           const struct error *error)
{
    if (result == DATABASE_FAILED) {
        log_error(NULL, "what came back could not be stored",
                  "delivery=%" PRId64 " reason=\"%s\"",
                  one->mail.path.delivery_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    answer(one, 451, "4.3.0",
           "This cannot be stored just now: try again later");
}

static void finish(struct inbound_return *one, enum relay_metric metric,
                   const char *result)
{
    metric_add(&relay_metrics[metric], 1);
    log_return(one, result);
    answer(one, 250, "2.0.0", "Ok: noted");
}

/* -- storing -- */

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct inbound_return *one = owner;
    if (result == DATABASE_DONE) {
        finish(one, METRIC_RETURNED_STORED, "stored");
    } else {
        answer_failure(one, result, error);
    }
}

static void store_report(struct inbound_return *one)
{
    memset(&one->row, 0, sizeof(one->row));
    inbound_store(one->owner->database, &one->row, &one->report, on_stored,
                  one);
}

static enum inbound_kind kind_of(enum returned_meaning meaning)
{
    switch (meaning) {
    case RETURNED_BOUNCE:
        return INBOUND_BOUNCED;
    case RETURNED_DELAY:
        return INBOUND_DEFERRED;
    case RETURNED_AUTO_REPLY:
        return INBOUND_AUTOREPLIED;
    case RETURNED_COMPLAINT:
        return INBOUND_COMPLAINED;
    default:
        return INBOUND_FEEDBACK;
    }
}

/* What is shown as the reason: the literal reply, else the status. */
static const char *describe(struct inbound_return *one)
{
    const struct returned_mail *mail = &one->mail;
    if (mail->meaning == RETURNED_COMPLAINT) {
        return arena_printf(
            one->arena, "feedback report (%s)%s%s", mail->feedback_type,
            mail->user_agent[0] != '\0' ? " by " : "", mail->user_agent);
    }
    if (mail->diagnostic[0] != '\0') {
        return mail->diagnostic;
    }
    return arena_printf(one->arena, "%s%sreported as %s", mail->status,
                        mail->status[0] != '\0' ? " " : "", mail->class);
}

static const struct directory_account *account_of(
    const struct inbound_return *one)
{
    const struct directory *directory = one->owner->directory;
    return directory == NULL
               ? NULL
               : directory_account_by_id(directory, one->mail.path.account_id);
}

static struct suppression_note note_of(const struct inbound_return *one,
                                       const char *evidence)
{
    const struct returned_mail *mail = &one->mail;
    if (mail->meaning == RETURNED_BOUNCE) {
        return bounce_note(account_of(one), mail->suppresses, mail->is_inactive,
                           evidence);
    }
    return (struct suppression_note){ .reason =
                                          mail->suppresses ? "complaint" : NULL,
                                      .evidence = evidence };
}

static void fill_report(struct inbound_return *one,
                        const struct returned_delivery *delivery)
{
    const struct returned_mail *mail = &one->mail;
    bool is_bounce = mail->meaning == RETURNED_BOUNCE;
    const char *reason = describe(one);
    one->report = (struct inbound_report){
        .account_id = delivery->account_id,
        .delivery_id = delivery->delivery_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .kind = kind_of(mail->meaning),
        .detail = returned_mail_detail(mail, one->arena),
        .reply = is_bounce ? reason : NULL,
        .client_address = one->client_address,
        .suppression = note_of(one, reason),
        .recipient = arena_copy_string(one->arena, delivery->recipient),
    };
}

/* -- reports to the sender -- */

static void store_next(struct inbound_return *one);

/* baton.require_keys: it stands already, from an earlier time. */
static bool is_told_already(enum database_result result,
                            const struct error *error)
{
    return result == DATABASE_FAILED && error != NULL &&
           strstr(error->text, "idempotency key") != NULL;
}

static void on_notice_stored(void *owner, enum database_result result,
                             const struct error *error)
{
    struct inbound_return *one = owner;
    if (result != DATABASE_DONE && !is_told_already(result, error)) {
        answer_failure(one, result, error);
        return;
    }
    struct held_message *notice =
        LIST_ITEM(list_take_first(&one->notices), struct held_message, link);
    held_message_free(&notice);
    store_next(one);
}

static void store_notice(struct inbound_return *one,
                         struct held_message *notice)
{
    delivery_report_fill(notice, &one->new_notice_delivery, &one->new_notice);
    one->new_notice.idempotency_key = arena_printf(
        one->arena, "report of delivery %" PRId64 " to %s",
        one->mail.path.delivery_id, one->new_notice_delivery.recipient);
    memset(&one->row, 0, sizeof(one->row));
    message_store(one->owner->database, &one->row, &one->new_notice,
                  on_notice_stored, one);
}

static void store_next(struct inbound_return *one)
{
    if (one->notices.first != NULL) {
        store_notice(one,
                     LIST_ITEM(one->notices.first, struct held_message, link));
    } else {
        store_report(one);
    }
}

/* "smtp; 550 5.1.1 No such user": a reply again, if it was one. */
static void read_reply(const char *diagnostic, struct smtp_reply *out_reply)
{
    struct text text = text_of(diagnostic);
    size_t semicolon = text_find_byte(text, ';');
    uint64_t code = 0;
    if (text_starts_with_ignoring_case(text, "smtp") &&
        semicolon < text.length) {
        text = text_trim(text_slice(text, semicolon + 1, text.length));
    }
    if (text.length > 4 && text.data[3] == ' ' &&
        text_to_uint64(text_slice(text, 0, 3), &code) && code >= 400 &&
        code < 600) {
        smtp_reply_set(out_reply, (int)code, "", "%.*s",
                       TEXT_ARGUMENTS(text_slice(text, 4, text.length)));
    }
}

static void make_notices(struct inbound_return *one)
{
    const struct returned_mail *mail = &one->mail;
    struct smtp_outcome outcome = { 0 };
    struct attempt_facts facts = {
        .host = mail->remote_host,
        .address = "",
        .started_at = clock_now(),
        .transcript = text_of(""),
        .sandbox_message = text_of(""),
    };
    smtp_outcome_decide(
        &outcome, VERDICT_FAILED, SCOPE_RECIPIENT,
        mail->status[0] != '\0' ? mail->status : "5.0.0", "report",
        "the next host had accepted the message, and reported later that it "
        "could not be delivered%s%s",
        mail->diagnostic[0] != '\0' ? ": " : "", mail->diagnostic);
    read_reply(mail->diagnostic, &outcome.reply);
    delivery_reports_make(one->owner->reports, account_of(one),
                          one->original_delivery, REPORT_FAILED, &facts,
                          &outcome, &one->notices);
}

static void on_loaded(void *owner, enum database_result result,
                      struct buffer *trace, struct buffer *data,
                      const struct error *error)
{
    struct inbound_return *one = owner;
    (void)trace;
    one->load = NULL;
    if (result == DATABASE_UNAVAILABLE) {
        answer_failure(one, result, error);
        return;
    }
    if (result == DATABASE_DONE) { /* else its bytes are not kept any more */
        one->original->data = *data;
        *data = (struct buffer){ 0 };
    }
    make_notices(one);
    free_original(one); /* many may be on their way */
    store_next(one);
}

/* The message as far as a report of it needs it. */
static void hold_original(struct inbound_return *one,
                          const struct returned_delivery *found)
{
    struct held_message *message = held_message_create();
    message->account_id = found->account_id;
    message->message_id = found->message_id;
    message->accepted_at = found->accepted_at;
    message->sender = arena_copy_string(message->arena, found->sender);
    if (found->envelope_id != NULL) {
        message->envelope_id =
            arena_copy_string(message->arena, found->envelope_id);
    }
    message->dsn_return = (enum smtp_dsn_return)found->dsn_return;
    one->original_delivery = held_message_add_delivery(
        message, found->delivery_id, found->recipient, "", found->notify,
        found->original_recipient, 0);
    one->original = message;
}

/* Only what had been handed over, or may have been, ends by it. */
static bool is_end(const struct inbound_return *one,
                   const struct returned_delivery *found)
{
    return one->mail.meaning == RETURNED_BOUNCE &&
           (strcmp(found->state, "delivered") == 0 ||
            strcmp(found->state, "queued") == 0);
}

/* -- what was found -- */

static void on_unsubscribed(void *owner, enum database_result result,
                            bool was_changed)
{
    struct inbound_return *one = owner;
    one->query = NULL;
    if (result != DATABASE_DONE) {
        answer_failure(one, result, NULL);
    } else if (was_changed) {
        finish(one, METRIC_RETURNED_STORED, "stored");
    } else {
        finish(one, METRIC_RETURNED_REPEATED, "repeated");
    }
}

static void end_subscription(struct inbound_return *one,
                             const struct returned_delivery *found)
{
    struct subscription_change change = {
        .account_id = found->account_id,
        .group_id = found->group_id,
        .delivery_id = found->delivery_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .address = found->recipient,
        .how = "mailto",
        .client_address = one->client_address,
    };
    one->query =
        subscription_end(one->owner->database, &change, on_unsubscribed, one);
}

static void on_found(void *owner, enum database_result result,
                     const struct returned_delivery *found)
{
    struct inbound_return *one = owner;
    one->query = NULL;
    if (result != DATABASE_DONE) {
        answer_failure(one, result, NULL);
        return;
    }
    if (found == NULL) {
        finish(one, METRIC_RETURNED_UNKNOWN, "unknown");
        return;
    }
    if (one->mail.meaning == RETURNED_UNSUBSCRIBE) {
        end_subscription(one, found);
        return;
    }
    if ((found->reports & inbound_report_bit(kind_of(one->mail.meaning))) !=
        0) {
        finish(one, METRIC_RETURNED_REPEATED, "repeated");
        return;
    }
    fill_report(one, found);
    if (is_end(one, found) && found->sender[0] != '\0') {
        hold_original(one, found);
        one->load = message_load_top(one->owner->database, found->account_id,
                                     found->message_id, on_loaded, one);
    } else {
        store_report(one);
    }
}

/* -- public -- */

static void copy_mail(struct inbound_return *one,
                      const struct returned_mail *mail)
{
    struct arena *arena = one->arena;
    one->mail = *mail;
    one->mail.status = arena_copy_string(arena, mail->status);
    one->mail.diagnostic = arena_copy_string(arena, mail->diagnostic);
    one->mail.remote_host = arena_copy_string(arena, mail->remote_host);
    one->mail.address = arena_copy_string(arena, mail->address);
    one->mail.dkim = arena_copy_string(arena, mail->dkim);
    one->mail.user_agent = arena_copy_string(arena, mail->user_agent);
    one->mail.source_ip = arena_copy_string(arena, mail->source_ip);
}

struct inbound_return *inbound_return_start(struct inbound_returns *returns,
                                            const struct returned_mail *mail,
                                            const char *client_address,
                                            inbound_answer_fn *on_answer,
                                            void *owner)
{
    struct arena *arena = arena_create();
    struct inbound_return *one = arena_alloc(arena, sizeof(*one));
    one->owner = returns;
    one->arena = arena;
    one->client_address = arena_copy_string(arena, client_address);
    one->on_answer = on_answer;
    one->answer_owner = owner;
    copy_mail(one, mail);
    list_append(&returns->returns, &one->link);
    one->query = inbound_find(returns->database, mail->path.account_id,
                              mail->path.delivery_id, on_found, one);
    return one;
}

void inbound_return_abandon(struct inbound_return **one)
{
    if (*one != NULL) {
        (*one)->on_answer = NULL;
        *one = NULL;
    }
}

struct inbound_returns *inbound_returns_create(struct database *database)
{
    struct inbound_returns *returns = memory_alloc(sizeof(*returns));
    returns->database = database;
    returns->reports = delivery_reports_create();
    return returns;
}

void inbound_returns_stop(struct inbound_returns *returns)
{
    for (struct list_link *link = returns->returns.first; link != NULL;
         link = link->next) {
        struct inbound_return *one =
            LIST_ITEM(link, struct inbound_return, link);
        query_cancel(&one->query);
        message_load_cancel(&one->load);
    }
}

void inbound_returns_free(struct inbound_returns **returns)
{
    if (*returns != NULL) {
        while ((*returns)->returns.first != NULL) {
            free_return(LIST_ITEM((*returns)->returns.first,
                                  struct inbound_return, link));
        }
        delivery_reports_free(&(*returns)->reports);
        memory_free(*returns);
        *returns = NULL;
    }
}

void inbound_returns_set_directory(struct inbound_returns *returns,
                                   const struct directory *directory)
{
    returns->directory = directory;
}
