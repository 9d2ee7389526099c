/* SPDX-License-Identifier: MIT */
/*
 * Reports to the sender as messages of our own: RFC 3461, RFC 3464. Never to
 * the null sender, so that nothing can loop.
 */
#ifndef BATON_RELAY_DELIVERY_REPORT_H
#define BATON_RELAY_DELIVERY_REPORT_H

#include <stdbool.h>

#include "relay/held_message.h"
#include "smtp/outcome.h"
#include "tracking/report.h"

struct attempt_facts;

/* Whether RFC 3461 and the account want a report of this end. peer_has_dsn: the
 * next hop took over the duty to report success. */
bool delivery_report_is_due(const struct delivery *delivery,
                            enum report_action action, bool wants_report,
                            bool peer_has_dsn);

/* Write the report as a message with one delivery, to the original's sender.
 * NULL if the sender's address is unusable. facts may be NULL. */
struct held_message *delivery_report_make(const struct delivery *delivery,
                                          enum report_action action,
                                          const struct attempt_facts *facts,
                                          const struct smtp_outcome *outcome);

#endif
