/* SPDX-License-Identifier: MIT */
/*
 * Recipients and reasons in the text of a notification.
 *
 * Every address in it gets a rank by its place: at a line's beginning behind a
 * line that speaks of failure, behind words that name a recipient, in a line
 * that speaks of failure, behind "To:". Those of the best rank that occurs are
 * the recipients. A recipient's reason is what stands behind its address; then
 * other lines with the address; then the whole text.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/dsn_internal.h"
#include "tracking/line.h"
#include "tracking/phrase.h"

#define LINES_MAX 2000
#define MENTIONS_MAX 1000
/* Beyond these the whole text is not read again for each. */
#define RECIPIENTS_TOGETHER_MAX 10
/* Of a recipient's own lines. */
#define OWN_LINES_MAX 30

enum rank {
    RANK_LEADING, /* begins a line, after words of failure */
    RANK_NAMED, /* "Unknown user: a@b" */
    RANK_BESIDE, /* in a line with words of failure */
    RANK_LEADING_ALONE, /* begins a line, and nothing was said before */
    RANK_ADDRESSED, /* "To: a@b" */
    RANK_NONE,
};

/* An address in the text. */
struct mention {
    struct text address;
    size_t line;
    enum rank rank;
};

struct text_reader {
    struct dsn_reader *reader;
    struct text *lines;
    size_t line_count;
    struct mention *mentions;
    size_t mention_count;
    bool is_failure_told; /* in a line so far */
};

/* What speaks of failure in one line. */
/* clang-format off */
static const char *const failure_words[] = {
    "deliver", "did not reach", "not reach", "following recipient",
    "following address", "following user", "addresses had", "failed", "fatal",
    "rejected", "returned", "unknown", "no such user", "not found",
    "not exist", "doesnt exist", "undeliver", "unable to", "could not",
    "couldnt", "cannot", "not be sent", "error", "refused", "bounced",
    "recipient", "invalid", "quota", "mailbox", " full", "not a known",
    "not known", "disabled", "not match", "not listed", "no account",
    "delayed", "postponed", "affected", "problem", "trouble", "not accepted",
    "denied", " 550", " 551", " 552", " 553", " 554", " 450", " 451", " 452",
    " 421", "rcpt to", "said ", "nicht", "adresse", "destinataire", "remis",
    "delivr", "entreg", "destinat", "consegn", "bezorg", "доставл", "адрес",
    "получател", "无法", "失败", "退", "地址", "宛先", "配信", "送信", "アドレス", "エラー", NULL,
};
/* clang-format on */

/* What names a recipient when it stands right before the address. */
/* clang-format off */
static const char *const naming_words[] = {
    "recipient", "recipients", "rcpt to", "unknown user", "user unknown",
    "address", "addresses", "mailbox", "user", "userid", "account",
    "delivered to", "deliver to", "undeliverable to", "undelivered to",
    "message to", "mail to", "email to", "messages to", "sent to",
    "destined to", "destined for", "addressed to", "addressed was",
    "intended for", "gateway for", "attempts", "generated from",
    "expanded from", "original recipient", "final recipient", "smtp", "rfc822",
    "destinataires suivants", "delivered was", "rejected", "to the following",
    "which your message was addressed", "failed", "delivery to", "zugestellt",
    "delivre a", "delivré à", "recipient is", "reached", "empfänger",
    "destinataire", "destinatario", "получатель", "收件人", "宛先", "forwarded to",
    "expand", NULL,
};
/* clang-format on */

/* What says that the address is there to be written to, or is the sender. */
/* clang-format off */
static const char *const other_words[] = {
    "contact", "further assistance", "send mail to", "postmaster", "helpdesk",
    "help desk", "support", "questions", "administrator", "report this",
    "message id", "messageid", "reply to", "return path", "envelope from",
    "mail from", "sender", "mailto", "unsubscribe", "abuse@", "queue id",
    "reference", "identifier", "original sender", "originator", "received",
    "helo", "dkim", "list id", "x mailer", NULL,
};
/* clang-format on */

static bool says(struct text text, const char *const *phrases)
{
    struct phrase_text folded;
    phrase_fold(text, &folded);
    return phrase_find(&folded, phrases) != NULL;
}

/* Blanks, bullets, brackets and quotes in front of an address. */
static bool is_only_marks(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte == '\0' || strchr(" \t<>\"'*-.([{=|:;,#+", byte) == NULL) {
            return false;
        }
    }
    return true;
}

/* `"A Name" <a@b>`, `c=US;a= ;p=X;dda:SMTP=a@b`, "1. a@b" */
static bool is_leading(struct text before)
{
    struct text trimmed = text_trim(before);
    bool is_bracketed =
        trimmed.length > 0 && trimmed.data[trimmed.length - 1] == '<';
    bool is_quoted_name =
        is_bracketed && (trimmed.data[0] == '"' || trimmed.data[0] == '\'');
    return is_only_marks(before) || is_quoted_name ||
           text_starts_with_ignoring_case(trimmed, "c=") ||
           (ascii_is_digit(trimmed.data[0]) && trimmed.length <= 4);
}

/* Whether the text ends with one of the words, whatever marks follow. */
static bool ends_with(struct text text, const char *const *words)
{
    struct phrase_text folded;
    size_t from = text.length > 60 ? text.length - 60 : 0;
    phrase_fold(text_slice(text, from, text.length), &folded);
    struct text end = text_trim((struct text){ folded.bytes, folded.length });
    for (size_t i = 0; words[i] != NULL; i++) {
        if (text_ends_with_ignoring_case(end, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_field_of(struct text line, const char *name)
{
    return text_starts_with_ignoring_case(text_trim(line), name);
}

/* Fields of the returned message as some print them before the recipients. */
static enum rank rank_of_field(struct text line)
{
    if (is_field_of(line, "To:") || is_field_of(line, "An:") ||
        is_field_of(line, "Para:")) {
        return RANK_ADDRESSED;
    }
    bool is_other =
        is_field_of(line, "From:") || is_field_of(line, "Cc:") ||
        is_field_of(line, "Subject:") || is_field_of(line, "Message-ID:") ||
        is_field_of(line, "MAIL FROM") || is_field_of(line, ">>> MAIL") ||
        is_field_of(line, "Reply-To:") || is_field_of(line, "Return-Path:") ||
        is_field_of(line, "Sender:") || is_field_of(line, "X-") ||
        is_field_of(line, "From ") || is_field_of(line, "for <");
    return is_other ? RANK_NONE : RANK_LEADING;
}

static enum rank rank_of(const struct text_reader *text, struct text line,
                         struct text address)
{
    size_t from = (size_t)(address.data - line.data);
    struct text before = text_slice(line, 0, from);
    enum rank field = rank_of_field(line);
    if (field != RANK_LEADING) {
        return field;
    }
    if (is_leading(before)) {
        bool is_told = text->is_failure_told || text->reader->is_delay;
        return is_told ? RANK_LEADING : RANK_LEADING_ALONE;
    }
    if (says(before, other_words)) {
        return RANK_NONE;
    }
    if (ends_with(before, naming_words)) {
        return RANK_NAMED;
    }
    return says(line, failure_words) ? RANK_BESIDE : RANK_NONE;
}

/* Programs, and those who are told of the failure, did not fail. */
static bool is_foreign(const struct text_reader *text, struct text address)
{
    struct text local = text_slice(address, 0, text_find_byte(address, '@'));
    return text_is_ignoring_case(local, "mailer-daemon") ||
           text_is_ignoring_case(local, "postmaster") ||
           text_is_ignoring_case(local, "abuse") ||
           text_equal_ignoring_case(address, text_of(text->reader->sender));
}

static void note_mentions(struct text_reader *text, size_t number)
{
    struct text line = text->lines[number];
    struct text rest = line;
    struct text address;
    while (text->mention_count < MENTIONS_MAX &&
           address_text_next(&rest, &address)) {
        enum rank rank = is_foreign(text, address)
                             ? RANK_NONE
                             : rank_of(text, line, address);
        text->mentions[text->mention_count++] =
            (struct mention){ address, number, rank };
    }
}

static void read_lines(struct text_reader *text)
{
    struct arena *arena = text->reader->arena;
    struct text rest = text->reader->incoming.notification;
    size_t count = line_count(rest);
    count = count < LINES_MAX ? count : LINES_MAX;
    text->lines = arena_alloc(arena, (count + 1) * sizeof(*text->lines));
    text->mentions = arena_alloc(arena, MENTIONS_MAX * sizeof(struct mention));
    text->is_failure_told = false;
    while (text->line_count < count) {
        struct text line = line_content(line_take(&rest));
        size_t number = text->line_count++;
        text->lines[number] = line;
        if (text_find_byte(line, '@') < line.length) {
            note_mentions(text, number);
        }
        text->is_failure_told =
            text->is_failure_told || says(line, failure_words);
    }
}

static enum rank best_rank(const struct text_reader *text)
{
    enum rank best = RANK_NONE;
    for (size_t i = 0; i < text->mention_count; i++) {
        best = text->mentions[i].rank < best ? text->mentions[i].rank : best;
    }
    return best;
}

/* "a@b (expanded from: c@d)": c@d is what we sent to. */
static void read_original(const struct text_reader *text,
                          const struct mention *mention,
                          struct dsn_recipient *recipient)
{
    static const char *const words[] = { "expanded from", "generated from",
                                         "originally to", "alias of", NULL };
    struct text line = text->lines[mention->line];
    size_t from = (size_t)(mention->address.data - line.data);
    if (recipient != NULL && recipient->original[0] == '\0' &&
        ends_with(text_slice(line, 0, from), words)) {
        recipient->original =
            arena_copy_text(text->reader->arena, mention->address);
    }
}

bool dsn_text_read_recipients(struct dsn_reader *reader)
{
    struct text_reader text = { .reader = reader };
    read_lines(&text);
    enum rank best = best_rank(&text);
    struct dsn_recipient *last = NULL;
    for (size_t i = 0; best < RANK_NONE && i < text.mention_count; i++) {
        const struct mention *mention = &text.mentions[i];
        if (mention->rank == best) {
            last = dsn_recipient_add(reader, mention->address);
            if (last != NULL) {
                last->action = reader->is_delay ? DSN_DELAYED : DSN_FAILED;
            }
        } else {
            read_original(&text, mention, last);
        }
    }
    return best < RANK_NONE;
}

/* -- reasons -- */

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
static enum bounce_step step_of_transcript(const struct text_reader *text)
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

static bool is_mention_of(const struct mention *mention,
                          const struct dsn_recipient *recipient)
{
    return text_equal_ignoring_case(mention->address,
                                    text_of(recipient->address)) ||
           (recipient->original[0] != '\0' &&
            text_equal_ignoring_case(mention->address,
                                     text_of(recipient->original)));
}

/* Which line the recipient's reason begins in; line_count: none. */
static const struct mention *own_mention(const struct text_reader *text,
                                         const struct dsn_recipient *recipient)
{
    const struct mention *best = NULL;
    for (size_t i = 0; i < text->mention_count; i++) {
        const struct mention *mention = &text->mentions[i];
        if (is_mention_of(mention, recipient) &&
            (best == NULL || mention->rank < best->rank)) {
            best = mention;
        }
    }
    return best;
}

static bool begins_other(const struct text_reader *text, size_t line,
                         const struct mention *own,
                         const struct dsn_recipient *recipient)
{
    for (size_t i = 0; i < text->mention_count; i++) {
        const struct mention *mention = &text->mentions[i];
        if (mention->line == line && mention->rank == own->rank &&
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
static void append_own_lines(const struct text_reader *text,
                             const struct mention *own,
                             const struct dsn_recipient *recipient,
                             bool is_short, struct buffer *reason)
{
    struct text first = text->lines[own->line];
    if (own->rank == RANK_LEADING) {
        first = behind_address(first, own->address);
    }
    append_line(reason, first);
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

static void append_other_lines(const struct text_reader *text,
                               const struct dsn_recipient *recipient,
                               struct buffer *reason)
{
    for (size_t i = 0; i < text->mention_count; i++) {
        if (is_mention_of(&text->mentions[i], recipient)) {
            append_line(reason, text->lines[text->mentions[i].line]);
        }
    }
}

/* Lines with a reply code, wherever they are. */
static void append_reply_lines(const struct text_reader *text,
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
    const struct text_reader *text;
    struct dsn_recipient *recipient;
    const struct mention *own; /* NULL: the text does not name it */
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
    const struct text_reader *text = inquiry->text;
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
static enum bounce_step find_step(const struct text_reader *text,
                                  const struct dsn_recipient *recipient,
                                  const struct mention *own,
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

static void explain(const struct text_reader *text,
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

void dsn_text_explain(struct dsn_reader *reader)
{
    struct text_reader text = { .reader = reader };
    read_lines(&text);
    enum bounce_step step = step_of_transcript(&text);
    for (size_t i = 0; i < reader->dsn->recipient_count; i++) {
        explain(&text, &reader->dsn->recipients[i], step);
    }
}
