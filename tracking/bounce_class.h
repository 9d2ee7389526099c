/* SPDX-License-Identifier: MIT */
/*
 * What a refusal means: the text and the codes of an SMTP reply, or of a
 * delivery status notification, to a class.
 *
 * The text decides before the codes, because codes contradict it: 552 says
 * "mailbox full", 5.7.27 is an SPF failure at one provider and a null MX in
 * RFC 7505. The patterns are data, in bounce_class_table.c; the codes of
 * RFC 3463 and RFC 5248 are what is left when no pattern fits. The same
 * function answers for a reply in the dialogue and for a notification.
 */
#ifndef BATON_TRACKING_BOUNCE_CLASS_H
#define BATON_TRACKING_BOUNCE_CLASS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

enum bounce_class {
    BOUNCE_UNKNOWN,
    BOUNCE_INVALID_ADDRESS, /* no such mailbox */
    BOUNCE_INVALID_DOMAIN, /* no such domain, or it takes no mail */
    BOUNCE_MAILBOX_FULL,
    BOUNCE_INACTIVE, /* it was there; disabled, suspended */
    BOUNCE_TOO_LARGE,
    BOUNCE_CONTENT, /* spam, viruses, what the recipient does not want */
    BOUNCE_REPUTATION, /* our address or domain is refused, or a policy */
    BOUNCE_AUTHENTICATION, /* SPF, DKIM, DMARC, TLS, who the sender is */
    BOUNCE_RATE, /* too much, too fast, greylisted */
    BOUNCE_DNS, /* the domain could not be looked up, now */
    BOUNCE_CONNECTION,
    BOUNCE_PROTOCOL, /* commands, relaying, trouble of their server */
    BOUNCE_EXPIRED, /* given up after its time */
    BOUNCE_AUTO_REPLY,
    BOUNCE_CHALLENGE, /* delivered once the sender proves to be a person */
    BOUNCE_SUPPRESSED, /* a relay's own list said no */
    BOUNCE_CLASS_COUNT,
};

enum bounce_severity {
    BOUNCE_SOFT, /* may pass with time */
    BOUNCE_HARD, /* will never pass: the recipient is not there */
    BOUNCE_BLOCK, /* this sender or message is refused, not the recipient */
};

/* What the refused command was, as far as it is known. */
enum bounce_step {
    BOUNCE_STEP_UNKNOWN,
    /* A report speaks, and does not tell. Then a refusal without a status may
     * be about the message; it does not suppress. */
    BOUNCE_STEP_UNTOLD,
    BOUNCE_STEP_CONNECT, /* greeting, EHLO, STARTTLS, AUTH */
    BOUNCE_STEP_MAIL,
    BOUNCE_STEP_RCPT,
    BOUNCE_STEP_DATA, /* DATA, and all up to the final dot's reply */
};

/* "5.123.456" with its NUL. */
#define BOUNCE_STATUS_SIZE 10

struct bounce_reply {
    struct text text; /* any bytes, the first PHRASE_TEXT_MAX are looked at */
    unsigned code; /* 550; 0: what the text begins with */
    struct text status; /* "5.1.1"; empty: what stands in the text */
    enum bounce_step step;
};

/* How much what decided says. */
enum bounce_weight {
    WEIGHT_NONE, /* nothing fitted, or only the reply code */
    WEIGHT_VAGUE, /* "rejected"; a status */
    WEIGHT_PLAIN, /* a phrase */
    WEIGHT_CERTAIN, /* a phrase that needs no code beside it */
};

struct bounce_verdict {
    enum bounce_class class;
    enum bounce_severity severity;
    enum bounce_weight weight;
    bool suppresses; /* the address is not to be sent to again */
    unsigned code; /* that was decided on; 0: none */
    char status[BOUNCE_STATUS_SIZE]; /* "" if there is none */
    /* Which pattern or code decided, for people; static. NULL: none. */
    const char *rule;
};

void bounce_class_decide(const struct bounce_reply *reply,
                         struct bounce_verdict *out_verdict);

/* The first reply code of 4xx or 5xx in a text; 0 if there is none. */
unsigned bounce_class_code(struct text text);

/* "invalid_address", "hard", "RCPT" ("" if it is not known); static. */
const char *bounce_class_name(enum bounce_class class);
const char *bounce_severity_name(enum bounce_severity severity);
const char *bounce_step_name(enum bounce_step step);

/* The step of a name as Baton and others write it ("RCPT", "RCPT TO", "end of
 * DATA command", "final dot"), in any case. */
enum bounce_step bounce_step_of(struct text name);

/* The version of the table of patterns: counts up with each change of it. */
extern const unsigned bounce_class_version;

#endif
