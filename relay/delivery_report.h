/* SPDX-License-Identifier: MIT */
/*
 * Reports as messages of our own: RFC 3461, RFC 3464. Never to the null sender
 * and always from it, so that nothing can loop. Those to the envelope sender
 * are made when a delivery ends, one by one; for other addressees see notice.h.
 */
#ifndef BATON_RELAY_DELIVERY_REPORT_H
#define BATON_RELAY_DELIVERY_REPORT_H

#include "core/list.h"
#include "relay/held_message.h"
#include "smtp/outcome.h"
#include "tracking/report.h"

struct attempt_facts;
struct directory_account;

/* Write the report for the envelope sender, if RFC 3461 and the account want
 * it, as a message with one delivery, appended to out_messages (struct
 * held_message, link). Returns whether it did. account NULL: removed meanwhile.
 * facts may be NULL. */
bool delivery_report_make(const struct directory_account *account,
                          const struct delivery *delivery,
                          enum report_action action,
                          const struct attempt_facts *facts,
                          const struct smtp_outcome *outcome,
                          struct list *out_messages);

/* An empty message of our own to somebody; its content is still to be written
 * to `data`. NULL: the address is unusable, which is logged. */
struct held_message *delivery_report_create(int64_t account_id,
                                            int64_t original_message_id,
                                            const char *to);
/* The content is written. */
void delivery_report_seal(struct held_message *report);

/* What a report is about. */
struct report_original {
    const char *envelope_id; /* or NULL */
    int64_t accepted_at;
    int64_t message_id;
    bool wants_header_only;
    struct text data; /* empty: its bytes are not kept any more */
};
/* Write the content, a report on one recipient, and seal it. */
void delivery_report_write(struct held_message *report, const char *to,
                           const struct report_original *original,
                           const struct report_recipient *recipient);

/* What is stored of a report, with new ids: unleased, claimed like any other.
 * The rows point into it. */
void delivery_report_fill(struct held_message *report,
                          struct new_delivery *out_delivery,
                          struct new_message *out_message);

#endif
