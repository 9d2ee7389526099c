/* SPDX-License-Identifier: MIT */
/*
 * Feedback reports: a recipient pressed "this is spam", or another of the
 * reasons of RFC 5965, RFC 6591 and RFC 6430. Also the loops that are older
 * than the standard (Hotmail's), and what Apple's mail programs send to
 * unsubscribe.
 *
 * Most providers redact the recipient: then the report is about one of ours
 * only by the ids inside the returned message. Nothing in it is proof (T23).
 */
#ifndef BATON_TRACKING_ARF_H
#define BATON_TRACKING_ARF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/incoming.h"

enum arf_type {
    ARF_ABUSE, /* also "spam", "complaint", and where nothing is said */
    ARF_FRAUD, /* phishing */
    ARF_VIRUS,
    ARF_OPT_OUT, /* and opt-out-list: who pressed wants no more of it */
    ARF_NOT_SPAM, /* the contrary of a complaint */
    ARF_AUTH_FAILURE, /* DKIM or DMARC failed: RFC 6591, nobody complained */
    ARF_OTHER,
    ARF_TYPE_COUNT,
};

/* Recipients beyond these are not told. */
#define ARF_RECIPIENTS_MAX 100

/* Strings are NUL-terminated and in the arena; "" where nothing is said. */
struct arf {
    enum arf_type type;
    bool suppresses; /* the recipient is not to be sent to again */
    const char **recipients; /* may be redacted: "redacted@example.com" */
    size_t recipient_count;
    const char *user_agent;
    const char *mail_from; /* Original-Mail-From, without brackets */
    const char *envelope_id;
    const char *reported_domain; /* the first */
    const char *source_ip;
    const char *arrival_date; /* as written */
    uint64_t incidents; /* at least 1 */
    struct incoming_returned returned; /* to find our message by */
};

/* Read any bytes. False: it is no feedback report. */
bool arf_read(struct text message, struct arena *arena, struct arf *out_arf);

/* "abuse", "not-spam": as in the registry of feedback types; static. */
const char *arf_type_name(enum arf_type type);

#endif
