/* SPDX-License-Identifier: MIT */
/*
 * What a message that came back says: that mail could not be delivered, will be
 * late, arrived; or that nobody meant us, as an absence note.
 *
 * Delivery status notifications of RFC 3464 and RFC 6533 are read by their
 * fields. The many that are none (qmail, Exchange, translated ones) are read by
 * their text: a place where an address stands, and phrases around it.
 *
 * Nothing of it is proof: who calls decides by a token of ours whether the
 * report is about mail that we sent (T23).
 */
#ifndef BATON_TRACKING_DSN_H
#define BATON_TRACKING_DSN_H

#include <stddef.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/bounce_class.h"
#include "tracking/incoming.h"

enum dsn_kind {
    DSN_NONE,
    DSN_BOUNCE, /* at least one recipient will not get it */
    DSN_DELAY, /* a warning: it is still being tried */
    DSN_ARRIVED, /* delivered, relayed or expanded; no recipient failed */
    DSN_AUTO_REPLY, /* RFC 3834: of an absent person, or of a program */
    DSN_CHALLENGE,
    DSN_KIND_COUNT,
};

/* RFC 3464, 2.3.3. */
enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,
    DSN_DELIVERED,
    DSN_RELAYED,
    DSN_EXPANDED,
};

/* Recipients beyond these are not told. */
#define DSN_RECIPIENTS_MAX 500
/* Octets of a diagnostic that are kept. */
#define DSN_DIAGNOSTIC_MAX 2048

/* Strings are UTF-8 or what was there, NUL-terminated, in the arena; "" where
 * nothing is said. */
struct dsn_recipient {
    const char *address; /* the final one */
    const char *original; /* if it is another: before aliases */
    enum dsn_action action;
    const char *status; /* "5.1.1" */
    const char *diagnostic; /* what the remote server, or the report, says */
    const char *remote_host;
    enum bounce_step step;
    struct bounce_verdict verdict;
};

struct dsn {
    enum dsn_kind kind;
    struct dsn_recipient *recipients; /* of a bounce, a delay, an arrival */
    size_t recipient_count;
    const char *from; /* address of its From: who is absent */
    const char *reporting_host;
    const char *envelope_id; /* Original-Envelope-Id: our ENVID */
    struct incoming_returned returned; /* to find our message by */
};

/* Read any bytes. What is found lies in the arena. */
void dsn_read(struct text message, struct arena *arena, struct dsn *out_dsn);

/* "bounce", "failed"; static. */
const char *dsn_kind_name(enum dsn_kind kind);
const char *dsn_action_name(enum dsn_action action);

#endif
