/* SPDX-License-Identifier: MIT */
/*
 * Delivery status notifications that we write: RFC 3461 section 6, RFC 3464.
 */
#ifndef BATON_TRACKING_REPORT_H
#define BATON_TRACKING_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

enum report_action { REPORT_FAILED, REPORT_DELAYED, REPORT_RELAYED };

struct report_recipient {
    const char *address; /* Final-Recipient */
    const char *original_recipient; /* ORCPT as given ("rfc822;…"), or NULL */
    enum report_action action;
    const char *status; /* "5.1.1" */
    const char *diagnostic; /* the remote reply, or NULL if none was received */
    const char *remote_host; /* Remote-MTA, or NULL */
    const char *explanation; /* one sentence for a person */
    int64_t last_attempt_at; /* 0: none */
};

struct report_input {
    const char *hostname; /* Reporting-MTA and the From domain */
    const char *to; /* the original envelope sender; never "" */
    const char *envelope_id; /* ENVID, or NULL */
    int64_t arrived_at;
    int64_t made_at;
    int64_t message_id; /* of the report itself, for its Message-ID */
    int64_t original_message_id;
    const struct report_recipient *recipients;
    size_t recipient_count;
    struct text original; /* the message that is reported on */
    bool headers_only; /* RET=HDRS, or the original is large */
};

/* Append the whole report, CRLF lines, at most 998 octets each:
 * multipart/report with a text for people, message/delivery-status and the
 * original (message/rfc822) or its header (text/rfc822-headers). 7-bit unless
 * the original has 8-bit bytes or an address is internationalised
 * (RFC 6533). */
void report_write(const struct report_input *input, struct buffer *out_message);

#endif
