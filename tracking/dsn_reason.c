/* SPDX-License-Identifier: MIT */
/*
 * Why a recipient failed, by the text of a notification: what stands behind its
 * address; then other lines with the address; then lines with a reply code,
 * the whole text, the subject. The reason that says most decides.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/dsn_internal.h"
#include "tracking/line.h"
#include "tracking/phrase.h"

/* Beyond these the whole text is not read again for each. */
#define RECIPIENTS_TOGETHER_MAX 10
/* Of a recipient's own lines. */
#define OWN_LINES_MAX 30

/* Where a reason is looked for, one after the other. */
enum {
    ATTEMPT_PARAGRAPH, /* up to an empty line */
    ATTEMPT_SECTION, /* up to the next recipient */
    ATTEMPT_MENTIONS, /* other lines with the address */
    ATTEMPT_REPLIES, /* lines with a reply code */
    ATTEMPT_TEXT,
    ATTEMPT_SUBJECT,
    ATTEMPTS,
};

/* The steps of a dialogue, as reports tell them. */
static enum bounce_step step_told(struct text reason)
{
    static const struct {
        const char *phrase;
        enum bounce_step step;
    } told[] = {
        { "in reply to rcpt", BOUNCE_STEP_RCPT },
        { "in reply to end of data", BOUNCE_STEP_DATA },
        { "in reply to data", BOUNCE_STEP_DATA },
        { "in reply to mail", BOUNCE_STEP_MAIL },
        { "after rcpt", BOUNCE_STEP_RCPT },
        { "after pipelined rcpt", BOUNCE_STEP_RCPT },
        { "after end of data", BOUNCE_STEP_DATA },
        { "after pipelined end of data", BOUNCE_STEP_DATA },
        { "after sending data", BOUNCE_STEP_DATA },
        { "after data", BOUNCE_STEP_DATA },
        { "after mail from", BOUNCE_STEP_MAIL },
        { "after initial connection", BOUNCE_STEP_CONNECT },
        { "after i sent the message", BOUNCE_STEP_DATA },
        { "for text command", BOUNCE_STEP_DATA },
        { "for data command", BOUNCE_STEP_DATA },
        { "for mail from command", BOUNCE_STEP_MAIL },
        { "for rcpt to command", BOUNCE_STEP_RCPT },
        { "following rcpt", BOUNCE_STEP_RCPT },
        { "following data", BOUNCE_STEP_DATA },
        { "does not like recipient", BOUNCE_STEP_RCPT },
        { "does not like sender", BOUNCE_STEP_MAIL },
        { "failed on data", BOUNCE_STEP_DATA },
        { "our rcpt to", BOUNCE_STEP_RCPT },
        { "our data", BOUNCE_STEP_DATA },
        { "our final", BOUNCE_STEP_DATA },
        { "our mail from", BOUNCE_STEP_MAIL },
        { "for rcpt to response", BOUNCE_STEP_RCPT },
        { "rcpt to generated", BOUNCE_STEP_RCPT },
        { "smtp rcpt ", BOUNCE_STEP_RCPT },
        { "smtp data ", BOUNCE_STEP_DATA },
    };
    struct phrase_text folded;
    phrase_fold(reason, &folded);
    for (size_t i = 0; i < ARRAY_LENGTH(told); i++) {
        if (phrase_is_in(&folded, told[i].phrase)) {
            return told[i].step;
        }
    }
    return BOUNCE_STEP_UNTOLD;
}

/* ">>> RCPT TO:<a@b>", "Sent <<< RCPT TO:<a@b>" */
static bool is_command_line(struct text line, struct text *out_command)
{
    static const char *const marks[] = { ">>> ", "<<< ", "=> ", "C: " };
    line = text_trim(line);
    if (text_starts_with_ignoring_case(line, "Sent ")) {
        line = text_slice(line, 5, line.length);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        if (text_starts_with_ignoring_case(line, marks[i])) {
            line = text_slice(line, strlen(marks[i]), line.length);
        }
    }
    *out_command = line;
    static const char *const verbs[] = { "RCPT TO", "DATA", "MAIL FROM", "EHLO",
                                         "HELO" };
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        if (text_starts_with_ignoring_case(line, verbs[i])) {
            return true;
        }
    }
    return false;
}

/* The last command of a transcript. */
static enum bounce_step step_of_transcript(const struct dsn_text *text)
{
    enum bounce_step step = BOUNCE_STEP_UNTOLD;
    for (size_t i = 0; i < text->line_count; i++) {
        struct text command;
        if (is_command_line(text->lines[i], &command)) {
            step = bounce_step_of(text_slice(
                command, 0, command.length < 4 ? command.length : 4));
        }
    }
    return step;
}

static bool is_mention_of(const struct dsn_mention *mention,
                          const struct dsn_recipient *recipient)
{
    return text_equal_ignoring_case(mention->address,
                                    text_of(recipient->address)) ||
           (recipient->original[0] != '\0' &&
            text_equal_ignoring_case(mention->address,
                                     text_of(recipient->original)));
}

/* Which line the recipient's reason begins in; line_count: none. */
static const struct dsn_mention *own_mention(
    const struct dsn_text *text, const struct dsn_recipient *recipient)
{
    const struct dsn_mention *best = NULL;
    for (size_t i = 0; i < text->mention_count; i++) {
        const struct dsn_mention *mention = &text->mentions[i];
        if (is_mention_of(mention, recipient) &&
            (best == NULL || mention->rank < best->rank)) {
            best = mention;
        }
    }
    return best;
}

static bool begins_other(const struct dsn_text *text, size_t line,
                         const struct dsn_mention *own,
                         const struct dsn_recipient *recipient)
{
    for (size_t i = 0; i < text->mention_count; i++) {
        const struct dsn_mention *mention = &text->mentions[i];
        if (mention->line == line && mention->rank == own->rank &&
            !is_mention_of(mention, recipient)) {
            return true;
        }
    }
    return false;
}

/* Whether a line is about others as well: then it is no reason to suppress. */
static bool is_shared(const struct dsn_text *text, size_t line,
                      const struct dsn_recipient *recipient)
{
    bool has_others = text->reader->dsn->recipient_count > 1;
    for (size_t i = 0; has_others && i < text->mention_count; i++) {
        const struct dsn_mention *mention = &text->mentions[i];
        if (mention->line == line && mention->rank != RANK_NONE &&
            !is_mention_of(mention, recipient)) {
            return true;
        }
    }
    return false;
}

static void append_line(struct buffer *reason, struct text line)
{
    line = text_trim(line);
    if (line.length > 0 && reason->length < DSN_DIAGNOSTIC_MAX) {
        if (reason->length > 0) {
            buffer_append_byte(reason, ' ');
        }
        buffer_append_text(reason, line);
    }
}

/* What the line says behind the address that begins it: not ">:". */
static struct text behind_address(struct text line, struct text address)
{
    size_t at = (size_t)(address.data + address.length - line.data);
    while (at < line.length && line.data[at] != '\0' &&
           strchr(">:; \t", line.data[at]) != NULL) {
        at++;
    }
    return text_slice(line, at, line.length);
}

/* From the address on, up to an empty line (`is_short`) or the next one. */
static void append_own_lines(const struct dsn_text *text,
                             const struct dsn_mention *own,
                             const struct dsn_recipient *recipient,
                             bool is_short, struct buffer *reason)
{
    struct text first = text->lines[own->line];
    if (own->rank == RANK_LEADING) {
        first = behind_address(first, own->address);
    }
    if (!is_shared(text, own->line, recipient)) {
        append_line(reason, first);
    }
    for (size_t i = own->line + 1;
         i < text->line_count && i < own->line + OWN_LINES_MAX; i++) {
        bool is_empty = text_trim(text->lines[i]).length == 0;
        if ((is_empty && is_short && reason->length > 3) ||
            begins_other(text, i, own, recipient)) {
            return;
        }
        append_line(reason, text->lines[i]);
    }
}

static void append_other_lines(const struct dsn_text *text,
                               const struct dsn_recipient *recipient,
                               struct buffer *reason)
{
    for (size_t i = 0; i < text->mention_count; i++) {
        size_t line = text->mentions[i].line;
        if (is_mention_of(&text->mentions[i], recipient) &&
            !is_shared(text, line, recipient)) {
            append_line(reason, text->lines[line]);
        }
    }
}

/* Lines with a reply code, wherever they are. */
static void append_reply_lines(const struct dsn_text *text,
                               struct buffer *reason)
{
    for (size_t i = 0; i < text->line_count; i++) {
        if (bounce_class_code(text->lines[i]) != 0) {
            append_line(reason, text->lines[i]);
        }
    }
}

static bool is_better(const struct bounce_verdict *one,
                      const struct bounce_verdict *other)
{
    bool has_codes = one->code != 0 || one->status[0] != '\0';
    bool had_codes = other->code != 0 || other->status[0] != '\0';
    return one->weight > other->weight ||
           (one->weight == other->weight && has_codes && !had_codes);
}

/* One recipient's reason, while it is looked for. */
struct inquiry {
    const struct dsn_text *text;
    struct dsn_recipient *recipient;
    const struct dsn_mention *own; /* NULL: the text does not name it */
    bool has_field; /* its Diagnostic-Code was there, and stays */
    struct buffer reason;
};

/* Decide by this reason if it says more than those before. Whether it says
 * enough: a phrase that means something, and a code. */
static bool decide(struct inquiry *inquiry, struct text reason)
{
    struct dsn_recipient *recipient = inquiry->recipient;
    if (reason.length == 0) {
        return false;
    }
    if (recipient->step == BOUNCE_STEP_UNTOLD) {
        recipient->step = step_told(reason);
    }
    struct bounce_reply reply = {
        .text = reason,
        .status = text_of(recipient->status),
        .step = recipient->step,
    };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    if (is_better(&verdict, &recipient->verdict)) {
        recipient->verdict = verdict;
        if (!inquiry->has_field) {
            recipient->diagnostic =
                arena_copy_text(inquiry->text->reader->arena,
                                text_slice(reason, 0, DSN_DIAGNOSTIC_MAX));
        }
    }
    const struct bounce_verdict *best = &recipient->verdict;
    return best->weight == WEIGHT_CERTAIN ||
           (best->weight == WEIGHT_PLAIN && best->code != 0);
}

static bool decide_by_lines(struct inquiry *inquiry, int attempt)
{
    const struct dsn_text *text = inquiry->text;
    struct buffer *reason = &inquiry->reason;
    buffer_clear(reason);
    switch (attempt) {
    case ATTEMPT_PARAGRAPH:
    case ATTEMPT_SECTION:
        if (inquiry->own != NULL) {
            append_own_lines(text, inquiry->own, inquiry->recipient,
                             attempt == ATTEMPT_PARAGRAPH, reason);
        }
        break;
    case ATTEMPT_MENTIONS:
        append_other_lines(text, inquiry->recipient, reason);
        break;
    case ATTEMPT_REPLIES:
        append_reply_lines(text, reason);
        break;
    case ATTEMPT_TEXT:
        buffer_append_text(reason,
                           text_slice(text->reader->incoming.notification, 0,
                                      PHRASE_TEXT_MAX));
        break;
    default:
        buffer_append_string(reason, text->reader->subject);
        break;
    }
    return decide(inquiry, buffer_text(reason));
}

/* Where no text said anything, the status may. */
static void settle(struct dsn_recipient *recipient, struct arena *arena)
{
    if (recipient->verdict.weight == WEIGHT_NONE) {
        struct bounce_reply reply = { .status = text_of(recipient->status),
                                      .step = recipient->step };
        bounce_class_decide(&reply, &recipient->verdict);
    }
    if (recipient->status[0] == '\0') {
        recipient->status = arena_copy_string(arena, recipient->verdict.status);
    }
}

/* The command that was refused, by the report's own words. */
static enum bounce_step find_step(const struct dsn_text *text,
                                  const struct dsn_recipient *recipient,
                                  const struct dsn_mention *own,
                                  enum bounce_step transcript)
{
    enum bounce_step step = step_told(text_of(recipient->diagnostic));
    if (own != NULL && step == BOUNCE_STEP_UNTOLD) {
        struct buffer section = { 0 };
        append_own_lines(text, own, recipient, false, &section);
        step = step_told(buffer_text(&section));
        buffer_free(&section);
    }
    return step != BOUNCE_STEP_UNTOLD ? step : transcript;
}

static void explain(const struct dsn_text *text,
                    struct dsn_recipient *recipient,
                    enum bounce_step transcript)
{
    struct inquiry inquiry = {
        .text = text,
        .recipient = recipient,
        .own = own_mention(text, recipient),
        .has_field = recipient->diagnostic[0] != '\0',
    };
    size_t count = text->reader->dsn->recipient_count;
    recipient->step = find_step(text, recipient, inquiry.own, transcript);
    bool is_decided = decide(&inquiry, text_of(recipient->diagnostic));
    for (int attempt = 0; attempt < ATTEMPTS && !is_decided; attempt++) {
        /* What another may have caused is asked only if nothing is told. */
        bool is_of_all = attempt >= ATTEMPT_REPLIES && count > 1;
        bool is_untold = recipient->verdict.weight == WEIGHT_NONE;
        if (!is_of_all || (is_untold && count <= RECIPIENTS_TOGETHER_MAX)) {
            is_decided = decide_by_lines(&inquiry, attempt);
        }
        if (is_of_all && is_untold && recipient->verdict.suppresses) {
            recipient->verdict.suppresses = false;
            recipient->verdict.severity = BOUNCE_SOFT;
        }
    }
    settle(recipient, text->reader->arena);
    buffer_free(&inquiry.reason);
}

void dsn_reason_find(struct dsn_reader *reader)
{
    struct dsn_text text = { .reader = reader };
    dsn_text_read(&text);
    enum bounce_step step = step_of_transcript(&text);
    for (size_t i = 0; i < reader->dsn->recipient_count; i++) {
        explain(&text, &reader->dsn->recipients[i], step);
    }
}
