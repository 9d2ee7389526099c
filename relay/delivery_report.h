/* SPDX-License-Identifier: MIT */
/*
 * Reports to the sender as messages of our own: RFC 3461, RFC 3464. Never to
 * the null sender, so that nothing can loop.
 */
#ifndef BATON_RELAY_DELIVERY_REPORT_H
#define BATON_RELAY_DELIVERY_REPORT_H

#include "core/list.h"
#include "relay/held_message.h"
#include "smtp/outcome.h"
#include "tracking/report.h"

struct attempt_facts;
struct directory_account;
struct delivery_reports;

struct delivery_reports *delivery_reports_create(void);
void delivery_reports_free(struct delivery_reports **reports);

/* Write a report for everybody who is to be told of this end, each a message
 * with one delivery, appended to out_messages (struct held_message, link):
 *
 *   the envelope sender, as RFC 3461 and the account want it;
 *   of a failure: the account's manager and the author (From), as the account
 *   wants it, at most NOTICES_PER_HOUR an account.
 *
 * account NULL (removed meanwhile): the sender alone. facts may be NULL. */
#define NOTICES_PER_HOUR 30
void delivery_reports_make(struct delivery_reports *reports,
                           const struct directory_account *account,
                           const struct delivery *delivery,
                           enum report_action action,
                           const struct attempt_facts *facts,
                           const struct smtp_outcome *outcome,
                           struct list *out_messages);

/* What is stored of a report, with new ids: unleased, claimed like any other.
 * The rows point into it. */
void delivery_report_fill(struct held_message *report,
                          struct new_delivery *out_delivery,
                          struct new_message *out_message);

#endif
