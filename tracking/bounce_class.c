/* SPDX-License-Identifier: MIT */
#include "tracking/bounce_class.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/bounce_class_internal.h"
#include "tracking/phrase.h"

static bool decide_by_text(const struct phrase_text *folded,
                           struct bounce_verdict *verdict)
{
    for (size_t i = 0; i < bounce_class_pattern_count; i++) {
        const struct bounce_patterns *group = &bounce_class_patterns[i];
        verdict->rule = phrase_find(folded, group->patterns);
        if (verdict->rule != NULL) {
            verdict->class = group->class;
            verdict->weight = group->weight;
            return true;
        }
    }
    return false;
}

/* -- codes -- */

static size_t digits_at(struct text text, size_t from)
{
    size_t at = from;
    while (at < text.length && ascii_is_digit(text.data[at])) {
        at++;
    }
    return at - from;
}

/* "5.1.1" at `at`: how long it is, or 0. RFC 3463, section 2. */
static size_t status_at(struct text text, size_t at)
{
    if (at >= text.length || strchr("245", text.data[at]) == NULL ||
        text.data[at] == '\0' || at + 1 >= text.length ||
        text.data[at + 1] != '.') {
        return 0;
    }
    size_t subject = digits_at(text, at + 2);
    size_t end = at + 2 + subject;
    if (subject == 0 || subject > 3 || end >= text.length ||
        text.data[end] != '.') {
        return 0;
    }
    size_t detail = digits_at(text, end + 1);
    size_t behind = end + 1 + detail;
    bool goes_on = behind < text.length && text.data[behind] == '.' &&
                   digits_at(text, behind + 1) > 0;
    return detail == 0 || detail > 3 || goes_on ? 0 : behind - at;
}

static bool begins_word(struct text text, size_t at)
{
    return at == 0 || (!ascii_is_alnum(text.data[at - 1]) &&
                       text.data[at - 1] != '.' && text.data[at - 1] != '-');
}

/* The first status in the text. A server's version or address is none. */
static struct text find_status(struct text text)
{
    for (size_t at = 0; at < text.length; at++) {
        size_t length = begins_word(text, at) ? status_at(text, at) : 0;
        if (length > 0) {
            return text_slice(text, at, at + length);
        }
    }
    return (struct text){ NULL, 0 };
}

/* "[192.0.2.1]:450", "192.0.2.1:450" */
static bool is_port(struct text text, size_t at)
{
    return at > 1 && text.data[at - 1] == ':' &&
           (text.data[at - 2] == ']' || ascii_is_digit(text.data[at - 2]));
}

/* One that stands as such: "550 ", "550-"; no port, no number in a name. */
unsigned bounce_class_code(struct text text)
{
    for (size_t at = 0; at + 3 <= text.length; at++) {
        bool is_code = begins_word(text, at) && !is_port(text, at) &&
                       digits_at(text, at) == 3 &&
                       (text.data[at] == '4' || text.data[at] == '5') &&
                       text.data[at + 1] <= '5';
        char behind = at + 3 < text.length ? text.data[at + 3] : ' ';
        if (is_code && behind != '.' && behind != ':' &&
            !ascii_is_alnum(behind)) {
            return (unsigned)(text.data[at] - '0') * 100 +
                   (unsigned)(text.data[at + 1] - '0') * 10 +
                   (unsigned)(text.data[at + 2] - '0');
        }
    }
    return 0;
}

static bool is_specific(struct text status)
{
    return status.length >= 5 && !text_is(text_slice(status, 1, 5), ".0.0");
}

/* What the caller says, unless the text itself is more precise. */
static void read_codes(const struct bounce_reply *reply, struct text text,
                       struct bounce_verdict *verdict)
{
    struct text head =
        text_slice(text, 0, text.length < 512 ? text.length : 512);
    struct text found = find_status(head);
    struct text status = reply->status;
    if (status_at(status, 0) != status.length) {
        status.length = 0;
    }
    if (status.length == 0 || (!is_specific(status) && is_specific(found))) {
        status = found;
    }
    if (status.length > 0 && status.length < BOUNCE_STATUS_SIZE) {
        memcpy(verdict->status, status.data, status.length);
    }
    verdict->code = reply->code != 0 ? reply->code : bounce_class_code(head);
}

static bool code_fits(const char *pattern, const char *status)
{
    size_t length = strlen(pattern);
    char last = pattern[length - 1];
    if (last == '.') {
        return strncmp(status, pattern, length) == 0;
    }
    if (last == 'x') {
        return strlen(status) == length &&
               strncmp(status, pattern, length - 1) == 0;
    }
    return strcmp(status, pattern) == 0;
}

static bool decide_by_status(struct bounce_verdict *verdict)
{
    if (verdict->status[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < bounce_class_code_count; i++) {
        const struct bounce_code *row = &bounce_class_codes[i];
        if (code_fits(row->status, verdict->status + 1)) {
            verdict->class = row->class;
            verdict->weight = WEIGHT_VAGUE;
            verdict->rule = row->status;
            return true;
        }
    }
    return false;
}

/* RFC 5321, 4.2.3: what little the three digits say. */
static void decide_by_code(struct bounce_verdict *verdict)
{
    unsigned code = verdict->code;
    if (code == 556) {
        verdict->class = BOUNCE_INVALID_DOMAIN; /* RFC 7504 */
        verdict->rule = "556";
    } else if (code == 530 || code == 534 || code == 535 || code == 538) {
        verdict->class = BOUNCE_AUTHENTICATION;
        verdict->rule = "53x";
    } else if (code >= 500 && code <= 504) {
        verdict->class = BOUNCE_PROTOCOL;
        verdict->rule = "50x";
    } else if (code == 421 || code == 441 || code == 442) {
        verdict->class = BOUNCE_CONNECTION;
        verdict->rule = "421";
    }
}

/* -- the verdict -- */

static bool is_temporary(const struct bounce_verdict *verdict)
{
    if (verdict->code != 0) {
        return verdict->code < 500;
    }
    return verdict->status[0] == '4';
}

static bool is_generic(const char *status)
{
    return status[0] == '\0' || strcmp(status + 1, ".0.0") == 0;
}

/* Whether "there is no such mailbox" is not to be believed: the codes speak of
 * a policy (5.7.x), or it answers the message instead of the address. Some
 * providers say "User unknown" after the final dot when they mean "the
 * recipient filters you". A phrase without any code or status could be about
 * anything. */
static bool is_doubtful(const struct bounce_verdict *verdict,
                        enum bounce_step step)
{
    const char *status = verdict->status;
    if (strncmp(status, "5.1.", 4) == 0) {
        return false;
    }
    bool is_policy = strncmp(status, "5.7.", 4) == 0;
    /* 501 to HELO or MAIL is about what the sender said. */
    bool is_syntax = verdict->code >= 500 && verdict->code <= 504;
    if (step == BOUNCE_STEP_RCPT) {
        return is_policy && verdict->weight == WEIGHT_VAGUE;
    }
    bool is_bare = verdict->code == 0 && is_generic(status);
    bool is_untold = step == BOUNCE_STEP_UNTOLD && is_generic(status);
    bool is_about_host = verdict->class == BOUNCE_INVALID_DOMAIN;
    return step == BOUNCE_STEP_DATA || is_policy || is_syntax ||
           (!is_about_host && (is_bare || is_untold));
}

/* Before RCPT nobody has heard of the recipient: what is unknown is the
 * sender, or his domain. */
static void mind_sender(struct bounce_verdict *verdict, enum bounce_step step)
{
    bool is_early = step == BOUNCE_STEP_CONNECT || step == BOUNCE_STEP_MAIL;
    bool is_missing = verdict->class == BOUNCE_INVALID_ADDRESS ||
                      verdict->class == BOUNCE_INVALID_DOMAIN;
    if (is_early && is_missing) {
        verdict->class = BOUNCE_AUTHENTICATION;
    }
}

static void judge_severity(struct bounce_verdict *verdict,
                           enum bounce_step step)
{
    bool is_missing = verdict->class == BOUNCE_INVALID_ADDRESS ||
                      verdict->class == BOUNCE_INVALID_DOMAIN;
    if (is_missing && !is_temporary(verdict) &&
        (verdict->weight == WEIGHT_CERTAIN || !is_doubtful(verdict, step))) {
        verdict->severity = BOUNCE_HARD;
        verdict->suppresses = true;
        return;
    }
    switch (verdict->class) {
    case BOUNCE_CONTENT:
    case BOUNCE_REPUTATION:
    case BOUNCE_AUTHENTICATION:
    case BOUNCE_RATE:
        verdict->severity = BOUNCE_BLOCK;
        break;
    default:
        verdict->severity = BOUNCE_SOFT;
        break;
    }
}

void bounce_class_decide(const struct bounce_reply *reply,
                         struct bounce_verdict *out_verdict)
{
    struct phrase_text folded;
    memset(out_verdict, 0, sizeof(*out_verdict));
    struct text text =
        text_slice(reply->text, 0,
                   reply->text.length < PHRASE_TEXT_MAX ? reply->text.length
                                                        : PHRASE_TEXT_MAX);
    read_codes(reply, text, out_verdict);
    phrase_fold(text, &folded);
    if (!decide_by_text(&folded, out_verdict) &&
        !decide_by_status(out_verdict)) {
        decide_by_code(out_verdict);
    }
    mind_sender(out_verdict, reply->step);
    judge_severity(out_verdict, reply->step);
}

/* -- names -- */

const char *bounce_class_name(enum bounce_class class)
{
    static const char *const names[] = {
        [BOUNCE_UNKNOWN] = "unknown",
        [BOUNCE_INVALID_ADDRESS] = "invalid_address",
        [BOUNCE_INVALID_DOMAIN] = "invalid_domain",
        [BOUNCE_MAILBOX_FULL] = "mailbox_full",
        [BOUNCE_INACTIVE] = "inactive",
        [BOUNCE_TOO_LARGE] = "too_large",
        [BOUNCE_CONTENT] = "content",
        [BOUNCE_REPUTATION] = "reputation_block",
        [BOUNCE_AUTHENTICATION] = "authentication",
        [BOUNCE_RATE] = "rate",
        [BOUNCE_DNS] = "dns",
        [BOUNCE_CONNECTION] = "connection",
        [BOUNCE_PROTOCOL] = "protocol",
        [BOUNCE_EXPIRED] = "expired",
        [BOUNCE_AUTO_REPLY] = "auto_reply",
        [BOUNCE_CHALLENGE] = "challenge",
        [BOUNCE_SUPPRESSED] = "suppressed",
    };
    _Static_assert(ARRAY_LENGTH(names) == BOUNCE_CLASS_COUNT,
                   "every class has a name");
    return names[class];
}

const char *bounce_severity_name(enum bounce_severity severity)
{
    static const char *const names[] = {
        [BOUNCE_SOFT] = "soft",
        [BOUNCE_HARD] = "hard",
        [BOUNCE_BLOCK] = "block",
    };
    return names[severity];
}

const char *bounce_step_name(enum bounce_step step)
{
    static const char *const names[] = {
        [BOUNCE_STEP_UNKNOWN] = "",        [BOUNCE_STEP_UNTOLD] = "",
        [BOUNCE_STEP_CONNECT] = "connect", [BOUNCE_STEP_MAIL] = "MAIL",
        [BOUNCE_STEP_RCPT] = "RCPT",       [BOUNCE_STEP_DATA] = "DATA",
    };
    return names[step];
}

enum bounce_step bounce_step_of(struct text name)
{
    static const struct {
        const char *word;
        enum bounce_step step;
    } steps[] = {
        { "rcpt", BOUNCE_STEP_RCPT },
        { "data", BOUNCE_STEP_DATA },
        { "dot", BOUNCE_STEP_DATA },
        { "bdat", BOUNCE_STEP_DATA },
        { "body", BOUNCE_STEP_DATA },
        { "text", BOUNCE_STEP_DATA },
        { "message", BOUNCE_STEP_DATA },
        { "mail", BOUNCE_STEP_MAIL },
        { "helo", BOUNCE_STEP_CONNECT },
        { "ehlo", BOUNCE_STEP_CONNECT },
        { "lhlo", BOUNCE_STEP_CONNECT },
        { "connect", BOUNCE_STEP_CONNECT },
        { "greeting", BOUNCE_STEP_CONNECT },
        { "starttls", BOUNCE_STEP_CONNECT },
        { "auth", BOUNCE_STEP_CONNECT },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        size_t length = strlen(steps[i].word);
        for (size_t at = 0; at + length <= name.length; at++) {
            if (text_starts_with_ignoring_case(
                    text_slice(name, at, name.length), steps[i].word)) {
                return steps[i].step;
            }
        }
    }
    return BOUNCE_STEP_UNKNOWN;
}
