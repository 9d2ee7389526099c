/* SPDX-License-Identifier: MIT */
#include "relay/delivery_report.h"

#include "core/address.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/attempt.h"
#include "relay/relay_settings.h"
#include "sql/directory.h"

#define REPORT_LIFETIME (5 * 24 * 3600 * CLOCK_SECOND)
/* A larger original comes back as its header only. */
#define RETURNED_BYTES_MAX (64 * 1024)

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

struct held_message *delivery_report_create(int64_t account_id,
                                            int64_t original_message_id,
                                            const char *to)
{
    struct address addressee;
    struct error error;
    char domain[DOMAIN_TEXT_MAX + 1];
    if (!address_parse(text_of(to), true, &addressee, &error) ||
        !domain_normalize(addressee.domain, domain, &error)) {
        log_warning(NULL, "no report to an unusable address",
                    "message=%lld address=\"%s\" reason=\"%s\"",
                    (long long)original_message_id, log_quote(text_of(to)),
                    log_quote(text_of(error.text)));
        return NULL;
    }
    struct held_message *report = held_message_create();
    report->account_id = account_id;
    report->message_id = id_make();
    report->accepted_at = clock_now();
    report->expires_at = report->accepted_at + REPORT_LIFETIME;
    report->sender = "";
    report->policy->pass_through = true;
    report->policy->is_notice = true;
    report->is_smtputf8 = address_needs_smtputf8(&addressee);
    held_message_add_delivery(report, id_make(), to, domain, DSN_NOTIFY_NEVER,
                              NULL, 0);
    return report;
}

void delivery_report_seal(struct held_message *report)
{
    report->has_8bit = text_has_8bit(buffer_text(&report->data));
    report->size_bytes = (int64_t)report->data.length;
    report->is_loaded = true;
}

void delivery_report_write(struct held_message *report, const char *to,
                           const struct report_original *original,
                           const struct report_recipient *recipient)
{
    struct report_input input = {
        .hostname = relay_settings_now()->hostname,
        .to = to,
        .envelope_id = original->envelope_id,
        .arrived_at = original->accepted_at,
        .made_at = report->accepted_at,
        .message_id = report->message_id,
        .original_message_id = original->message_id,
        .recipients = recipient,
        .recipient_count = 1,
        .original = original->data,
        .headers_only = original->wants_header_only ||
                        recipient->action != REPORT_FAILED ||
                        original->data.length > RETURNED_BYTES_MAX,
    };
    report_write(&input, &report->data);
    report->is_smtputf8 |= text_has_8bit(text_of(recipient->address));
    delivery_report_seal(report);
}

static void write_of_delivery(struct held_message *report,
                              const struct delivery *delivery,
                              enum report_action action,
                              const struct attempt_facts *facts,
                              const struct smtp_outcome *outcome)
{
    const struct held_message *message = delivery->message;
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
    struct report_original original = {
        .envelope_id = message->envelope_id,
        .accepted_at = message->accepted_at,
        .message_id = message->message_id,
        .wants_header_only = message->dsn_return == DSN_RETURN_HEADERS,
        .data = buffer_text(&message->data),
    };
    delivery_report_write(report, message->sender, &original, &recipient);
    buffer_free(&diagnostic);
}

bool delivery_report_make(const struct directory_account *account,
                          const struct delivery *delivery,
                          enum report_action action,
                          const struct attempt_facts *facts,
                          const struct smtp_outcome *outcome,
                          struct list *out_messages)
{
    const struct held_message *message = delivery->message;
    if (!sender_is_due(account, delivery, action, facts)) {
        return false;
    }
    struct held_message *report = delivery_report_create(
        message->account_id, message->message_id, message->sender);
    if (report == NULL) {
        return false;
    }
    write_of_delivery(report, delivery, action, facts, outcome);
    list_append(out_messages, &report->link);
    return true;
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
