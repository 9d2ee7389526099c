/* SPDX-License-Identifier: MIT */
/*
 * All failure policy of the client in one place: what a reply, a time-out or a
 * lost connection means for a recipient, and whom else it concerns.
 */
#include "smtp/outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

static const char *const verdict_texts[] = {
    [VERDICT_NONE] = "undecided",      [VERDICT_DELIVERED] = "delivered",
    [VERDICT_DEFERRED] = "deferred",   [VERDICT_FAILED] = "failed",
    [VERDICT_UNCERTAIN] = "uncertain",
};

static const char *const scope_texts[] = {
    [SCOPE_RECIPIENT] = "recipient",
    [SCOPE_MESSAGE] = "message",
    [SCOPE_HOST] = "host",
    [SCOPE_SITE] = "site",
};

/* What a refusal at a step of the dialogue means. */
struct step_policy {
    const char *step;
    enum smtp_scope scope;
    /* The verdict on a 5yz. Before MAIL nothing was said of the message, so
     * its failure is the host's and another host may do better: RFC 5321 5.1
     * (S18). Wrong credentials are the operator's mistake, not the sender's. */
    enum smtp_verdict on_5yz;
};

static const struct step_policy policies[] = {
    { "greeting", SCOPE_HOST, VERDICT_DEFERRED },
    { "EHLO", SCOPE_HOST, VERDICT_DEFERRED },
    { "HELO", SCOPE_HOST, VERDICT_DEFERRED },
    { "STARTTLS", SCOPE_HOST, VERDICT_DEFERRED },
    { "AUTH", SCOPE_SITE, VERDICT_DEFERRED },
    { "MAIL", SCOPE_MESSAGE, VERDICT_FAILED },
    { "RCPT", SCOPE_RECIPIENT, VERDICT_FAILED },
    { "DATA", SCOPE_MESSAGE, VERDICT_FAILED },
    { "body", SCOPE_MESSAGE, VERDICT_FAILED },
    { "final dot", SCOPE_MESSAGE, VERDICT_FAILED },
};
static const struct step_policy other_policy = { "", SCOPE_HOST,
                                                 VERDICT_DEFERRED };

static const struct step_policy *find_policy(const char *step)
{
    for (size_t i = 0; i < ARRAY_LENGTH(policies); i++) {
        if (strcmp(policies[i].step, step) == 0) {
            return &policies[i];
        }
    }
    return &other_policy;
}

const char *smtp_verdict_text(enum smtp_verdict verdict)
{
    return verdict_texts[verdict];
}

const char *smtp_scope_text(enum smtp_scope scope)
{
    return scope_texts[scope];
}

static void start(struct smtp_outcome *outcome, const char *step)
{
    *outcome = (struct smtp_outcome){ 0 };
    snprintf(outcome->step, sizeof(outcome->step), "%s", step);
}

static void set_enhanced(struct smtp_outcome *outcome, const char *enhanced)
{
    snprintf(outcome->enhanced, sizeof(outcome->enhanced), "%s", enhanced);
}

static void take_reply(struct smtp_outcome *outcome,
                       const struct smtp_reply *reply)
{
    outcome->reply = *reply;
    if (reply->enhanced[0] != '\0') {
        set_enhanced(outcome, reply->enhanced);
    } else {
        snprintf(outcome->enhanced, sizeof(outcome->enhanced), "%d.0.0",
                 smtp_reply_class(reply));
    }
    struct buffer line = { 0 };
    smtp_reply_print(reply, &line);
    snprintf(outcome->text, sizeof(outcome->text), "%s", line.data);
    buffer_free(&line);
}

/* 552 to RCPT was once the code for "too many recipients": RFC 5321
 * 4.5.3.1.10 has it treated as temporary (S8, R3). */
static bool is_temporary(const char *step, const struct smtp_reply *reply)
{
    return smtp_reply_class(reply) == 4 ||
           (reply->code == 552 && strcmp(step, "RCPT") == 0);
}

void smtp_outcome_from_reply(struct smtp_outcome *outcome, const char *step,
                             const struct smtp_reply *reply)
{
    const struct step_policy *policy = find_policy(step);
    int class = smtp_reply_class(reply);
    if (class != 4 && class != 5) {
        smtp_outcome_from_trouble(outcome, step, "4.5.0",
                                  "the reply %d to %s makes no sense",
                                  reply->code, step);
        outcome->reply = *reply;
        return;
    }
    start(outcome, step);
    take_reply(outcome, reply);
    outcome->scope = policy->scope;
    outcome->verdict =
        is_temporary(step, reply) ? VERDICT_DEFERRED : policy->on_5yz;
    if (reply->code == 421) { /* "service not available", at any step (S15) */
        outcome->verdict = VERDICT_DEFERRED;
        outcome->scope = SCOPE_HOST;
    }
}

void smtp_outcome_delivered(struct smtp_outcome *outcome,
                            const struct smtp_reply *reply)
{
    start(outcome, "final dot");
    take_reply(outcome, reply);
    outcome->verdict = VERDICT_DELIVERED;
    outcome->scope = SCOPE_RECIPIENT;
}

void smtp_outcome_from_trouble(struct smtp_outcome *outcome, const char *step,
                               const char *enhanced, const char *format, ...)
{
    va_list arguments;
    start(outcome, step);
    set_enhanced(outcome, enhanced);
    /* The peer may have taken the message: RFC 5321 6.1 (S12). */
    outcome->verdict =
        strcmp(step, "final dot") == 0 ? VERDICT_UNCERTAIN : VERDICT_DEFERRED;
    outcome->scope = SCOPE_HOST;
    va_start(arguments, format);
    vsnprintf(outcome->text, sizeof(outcome->text), format, arguments);
    va_end(arguments);
}

void smtp_outcome_decide(struct smtp_outcome *outcome,
                         enum smtp_verdict verdict, enum smtp_scope scope,
                         const char *enhanced, const char *step,
                         const char *format, ...)
{
    va_list arguments;
    start(outcome, step);
    set_enhanced(outcome, enhanced);
    outcome->verdict = verdict;
    outcome->scope = scope;
    va_start(arguments, format);
    vsnprintf(outcome->text, sizeof(outcome->text), format, arguments);
    va_end(arguments);
}
