/* SPDX-License-Identifier: MIT */
#include "relay/delivery_report.h"

#include "core/address.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/attempt.h"
#include "relay/relay_settings.h"

#define REPORT_LIFETIME (5 * 24 * 3600 * CLOCK_SECOND)
/* A larger original comes back as its header only. */
#define RETURNED_BYTES_MAX (256 * 1024)

bool delivery_report_is_due(const struct delivery *delivery,
                            enum report_action action, bool wants_report,
                            bool peer_has_dsn)
{
    if (delivery->message->sender[0] == '\0' || !wants_report ||
        (delivery->notify & DSN_NOTIFY_NEVER) != 0) {
        return false;
    }
    if (action == REPORT_FAILED) {
        return delivery->notify == 0 ||
               (delivery->notify & DSN_NOTIFY_FAILURE) != 0;
    }
    return (delivery->notify & DSN_NOTIFY_SUCCESS) != 0 && !peer_has_dsn;
}

static void write_report(struct held_message *report,
                         const struct delivery *delivery,
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
        .to = original->sender,
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

struct held_message *delivery_report_make(const struct delivery *delivery,
                                          enum report_action action,
                                          const struct attempt_facts *facts,
                                          const struct smtp_outcome *outcome)
{
    const struct held_message *original = delivery->message;
    struct address sender;
    struct error error;
    char domain[DOMAIN_TEXT_MAX + 1];
    if (!address_parse(text_of(original->sender), true, &sender, &error) ||
        !domain_normalize(sender.domain, domain, &error)) {
        log_warning(NULL, "no report to an unusable sender",
                    "message=%lld sender=\"%s\" reason=\"%s\"",
                    (long long)original->message_id,
                    log_quote(text_of(original->sender)),
                    log_quote(text_of(error.text)));
        return NULL;
    }
    struct held_message *report = held_message_create();
    report->account_id = original->account_id;
    report->message_id = id_make();
    report->accepted_at = clock_now();
    report->expires_at = report->accepted_at + REPORT_LIFETIME;
    report->sender = "";
    write_report(report, delivery, action, facts, outcome);
    report->has_8bit = text_has_8bit(buffer_text(&report->data));
    report->is_smtputf8 = address_needs_smtputf8(&sender) ||
                          text_has_8bit(text_of(delivery->recipient));
    report->size_bytes = (int64_t)report->data.length;
    report->is_loaded = true;
    held_message_add_delivery(report, id_make(), original->sender, domain,
                              DSN_NOTIFY_NEVER, NULL, 0);
    return report;
}
