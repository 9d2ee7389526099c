/* SPDX-License-Identifier: MIT */
/*
 * What became of a try, and how far a failure reaches. outcome.c is the one
 * place that decides what a reply, a time-out or a lost connection means.
 */
#ifndef BATON_SMTP_OUTCOME_H
#define BATON_SMTP_OUTCOME_H

#include <stdbool.h>

#include "smtp/reply.h"

enum smtp_verdict {
    VERDICT_NONE, /* not decided yet */
    VERDICT_DELIVERED, /* 2yz to the final dot */
    VERDICT_DEFERRED, /* try again later */
    VERDICT_FAILED, /* for good */
    VERDICT_UNCERTAIN, /* lost between the final dot and its reply (S12) */
};
const char *smtp_verdict_text(enum smtp_verdict verdict); /* "delivered" … */

/* Who else is affected. */
enum smtp_scope {
    SCOPE_RECIPIENT, /* nobody: the host answered RCPT so */
    SCOPE_MESSAGE, /* the other recipients of the message (MAIL, DATA, dot) */
    SCOPE_HOST, /* this host is bad just now: another MX may do better */
    SCOPE_SITE, /* every host: wrong route, no such domain, policy */
};
const char *smtp_scope_text(enum smtp_scope scope);

struct smtp_outcome {
    enum smtp_verdict verdict;
    enum smtp_scope scope;
    struct smtp_reply reply; /* the peer's, or code 0 if there was none */
    char enhanced[16]; /* the peer's, or ours: "4.4.2" */
    char step[24]; /* "connect", "EHLO", "RCPT", "final dot" … */
    /* One sentence for people: the peer's reply, or what happened: "timed out
     * after 300 s waiting for the reply to RCPT". */
    char text[SMTP_REPLY_TEXT_MAX];
    /* The recipient was not offered to the host, which takes fewer at a time
     * (LIMITS RCPTMAX): it can go with the next transaction at once. */
    bool is_untried;
};

/* A reply to a step of the dialogue that was not the wished-for one. 552 to
 * RCPT is temporary (S8, R3); 5yz to greeting, EHLO and STARTTLS concerns the
 * host (S18). */
void smtp_outcome_from_reply(struct smtp_outcome *outcome, const char *step,
                             const struct smtp_reply *reply);
/* The 2yz reply to the final dot. */
void smtp_outcome_delivered(struct smtp_outcome *outcome,
                            const struct smtp_reply *reply);
/* The connection ended, timed out or spoke nonsense during a step. After the
 * final dot was sent: VERDICT_UNCERTAIN. */
void smtp_outcome_from_trouble(struct smtp_outcome *outcome, const char *step,
                               const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Decided by ourselves, without or before a dialogue: null MX, too large for
 * the next hop, SMTPUTF8 not offered. */
void smtp_outcome_decide(struct smtp_outcome *outcome,
                         enum smtp_verdict verdict, enum smtp_scope scope,
                         const char *enhanced, const char *step,
                         const char *format, ...)
    __attribute__((format(printf, 6, 7)));

#endif
