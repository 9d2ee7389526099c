/* SPDX-License-Identifier: MIT */
#include "relay/delivery_report.h"

#include "core/address.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "relay/attempt.h"
#include "relay/relay_settings.h"
#include "sql/directory.h"
#include "tracking/header.h"

#define REPORT_LIFETIME (5 * 24 * 3600 * CLOCK_SECOND)
/* A larger original comes back as its header only. */
#define RETURNED_BYTES_MAX (64 * 1024)

struct delivery_reports {
    struct map *notices; /* struct notice_count by account */
};

struct notice_count {
    int64_t hour;
    int count;
};

struct delivery_reports *delivery_reports_create(void)
{
    struct delivery_reports *reports = memory_alloc(sizeof(*reports));
    reports->notices = map_create();
    return reports;
}

void delivery_reports_free(struct delivery_reports **reports)
{
    if (*reports != NULL) {
        size_t position = 0;
        void *count = NULL;
        while (map_next((*reports)->notices, &position, NULL, &count)) {
            memory_free(count);
        }
        map_free(&(*reports)->notices);
        memory_free(*reports);
        *reports = NULL;
    }
}

/* One more notice of this account in this hour? */
static bool passes_limit(struct delivery_reports *reports, int64_t account_id)
{
    int64_t hour = clock_now() / (3600 * CLOCK_SECOND);
    struct notice_count *count = map_get_id(reports->notices, account_id);
    if (count == NULL) {
        count = memory_alloc(sizeof(*count));
        map_set_id(reports->notices, account_id, count);
    }
    if (count->hour != hour) {
        *count = (struct notice_count){ .hour = hour };
    }
    return ++count->count <= NOTICES_PER_HOUR;
}

/* RFC 3461 4.1: what NOTIFY asks for; without it, failures. */
static bool sender_is_due(const struct directory_account *account,
                          const struct delivery *delivery,
                          enum report_action action,
                          const struct attempt_facts *facts)
{
    if (delivery->message->sender[0] == '\0' ||
        (account != NULL && !account->delivery_reports) ||
        (delivery->notify & DSN_NOTIFY_NEVER) != 0) {
        return false;
    }
    if (action == REPORT_FAILED) {
        return delivery->notify == 0 ||
               (delivery->notify & DSN_NOTIFY_FAILURE) != 0;
    }
    return (delivery->notify & DSN_NOTIFY_SUCCESS) != 0 &&
           !(facts != NULL && facts->peer_has_dsn);
}

static void write_report(struct held_message *report,
                         const struct delivery *delivery, const char *to,
                         enum report_action action,
                         const struct attempt_facts *facts,
                         const struct smtp_outcome *outcome)
{
    const struct held_message *original = delivery->message;
    struct buffer diagnostic = { 0 };
    if (outcome->reply.code != 0) {
        smtp_reply_print(&outcome->reply, &diagnostic);
    }
    struct report_recipient recipient = {
        .address = delivery->recipient,
        .original_recipient = delivery->original_recipient,
        .action = action,
        .status = outcome->enhanced,
        .diagnostic = diagnostic.data,
        .remote_host =
            facts != NULL && facts->host[0] != '\0' ? facts->host : NULL,
        .explanation = outcome->text,
        .last_attempt_at = facts != NULL ? facts->started_at : 0,
    };
    struct report_input input = {
        .hostname = relay_settings_now()->hostname,
        .to = to,
        .envelope_id = original->envelope_id,
        .arrived_at = original->accepted_at,
        .made_at = report->accepted_at,
        .message_id = report->message_id,
        .original_message_id = original->message_id,
        .recipients = &recipient,
        .recipient_count = 1,
        .original = buffer_text(&original->data),
        .headers_only = original->dsn_return == DSN_RETURN_HEADERS ||
                        action != REPORT_FAILED ||
                        original->data.length > RETURNED_BYTES_MAX,
    };
    report_write(&input, &report->data);
    buffer_free(&diagnostic);
}

static void report_to(const char *to, const struct delivery *delivery,
                      enum report_action action,
                      const struct attempt_facts *facts,
                      const struct smtp_outcome *outcome,
                      struct list *out_messages)
{
    const struct held_message *original = delivery->message;
    struct address addressee;
    struct error error;
    char domain[DOMAIN_TEXT_MAX + 1];
    if (!address_parse(text_of(to), true, &addressee, &error) ||
        !domain_normalize(addressee.domain, domain, &error)) {
        log_warning(NULL, "no report to an unusable address",
                    "message=%lld address=\"%s\" reason=\"%s\"",
                    (long long)original->message_id, log_quote(text_of(to)),
                    log_quote(text_of(error.text)));
        return;
    }
    struct held_message *report = held_message_create();
    report->account_id = original->account_id;
    report->message_id = id_make();
    report->accepted_at = clock_now();
    report->expires_at = report->accepted_at + REPORT_LIFETIME;
    report->sender = "";
    report->policy->pass_through = true;
    report->policy->is_notice = true;
    write_report(report, delivery, to, action, facts, outcome);
    report->has_8bit = text_has_8bit(buffer_text(&report->data));
    report->is_smtputf8 = address_needs_smtputf8(&addressee) ||
                          text_has_8bit(text_of(delivery->recipient));
    report->size_bytes = (int64_t)report->data.length;
    report->is_loaded = true;
    held_message_add_delivery(report, id_make(), to, domain, DSN_NOTIFY_NEVER,
                              NULL, 0);
    list_append(out_messages, &report->link);
}

/* The first From address of the message, in the arena; NULL if there is none.
 */
static const char *find_author(const struct held_message *message,
                               struct arena *arena)
{
    struct header_limits limits = { .size_bytes_max = SIZE_MAX,
                                    .field_count_max = SIZE_MAX };
    struct header header;
    struct error error;
    char **addresses = NULL;
    size_t count = 0;
    if (!header_parse(buffer_text(&message->data), &limits, arena, &header,
                      &error)) {
        return NULL;
    }
    const struct header_field *from = header_find(&header, "From");
    if (from == NULL ||
        !header_addresses(arena, from->value, &addresses, &count, &error) ||
        count == 0) {
        return NULL;
    }
    return addresses[0];
}

static bool is_told(const struct list *messages, const char *address)
{
    for (struct list_link *link = messages->first; link != NULL;
         link = link->next) {
        const struct held_message *message =
            LIST_ITEM(link, struct held_message, link);
        const struct delivery *delivery =
            LIST_ITEM(message->deliveries.first, struct delivery, of_message);
        if (text_is_ignoring_case(text_of(address), delivery->recipient)) {
            return true;
        }
    }
    return false;
}

void delivery_reports_make(struct delivery_reports *reports,
                           const struct directory_account *account,
                           const struct delivery *delivery,
                           enum report_action action,
                           const struct attempt_facts *facts,
                           const struct smtp_outcome *outcome,
                           struct list *out_messages)
{
    const struct held_message *message = delivery->message;
    if (sender_is_due(account, delivery, action, facts)) {
        report_to(message->sender, delivery, action, facts, outcome,
                  out_messages);
    }
    /* A report that fails is told to nobody: it would go round for ever. */
    if (account == NULL || action != REPORT_FAILED ||
        message->sender[0] == '\0') {
        return;
    }
    struct arena *arena = arena_create();
    const char *addresses[] = {
        account->notices_to_manager ? account->manager_email : NULL,
        account->notices_to_author ? find_author(message, arena) : NULL,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
        if (addresses[i] != NULL && addresses[i][0] != '\0' &&
            !is_told(out_messages, addresses[i]) &&
            passes_limit(reports, account->account_id)) {
            report_to(addresses[i], delivery, action, facts, outcome,
                      out_messages);
        }
    }
    arena_free(&arena);
}

void delivery_report_fill(struct held_message *report,
                          struct new_delivery *out_delivery,
                          struct new_message *out_message)
{
    struct delivery *delivery =
        LIST_ITEM(report->deliveries.first, struct delivery, of_message);
    report->message_id = id_make();
    delivery->delivery_id = id_make();
    *out_delivery = (struct new_delivery){
        .delivery_id = delivery->delivery_id,
        .recipient = delivery->recipient,
        .domain = delivery->domain,
        .notify = delivery->notify,
    };
    *out_message = (struct new_message){
        .account_id = report->account_id,
        .message_id = report->message_id,
        .accepted_at = report->accepted_at,
        .expires_at = report->expires_at,
        .sender = "",
        .from_address = "",
        .subject = "Delivery report",
        .internet_message_id = "",
        .is_smtputf8 = report->is_smtputf8,
        .has_8bit = report->has_8bit,
        .client_address = "",
        .client_name = relay_settings_now()->hostname,
        .protocol = "report",
        .trace = text_of(""),
        .transcript = text_of(""),
        .data = buffer_text(&report->data),
        .deliveries = out_delivery,
        .delivery_count = 1,
        .worker_id = 0, /* nothing of it stays here */
        .event_id = id_make(),
        .policy = policy_to_json(report->policy, report->arena),
        .metadata = "{}",
        .is_notice = true,
    };
}
