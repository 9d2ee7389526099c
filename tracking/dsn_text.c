/* SPDX-License-Identifier: MIT */
/*
 * Recipients in the text of a notification.
 *
 * Every address in it gets a rank by its place: at a line's beginning behind a
 * line that speaks of failure, behind words that name a recipient, in a line
 * that speaks of failure, behind "To:". Those of the best rank that occurs are
 * the recipients.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/dsn_internal.h"
#include "tracking/line.h"
#include "tracking/phrase.h"

#define LINES_MAX 2000
#define MENTIONS_MAX 1000

/* What speaks of failure in one line. */
/* clang-format off */
static const char *const failure_words[] = {
    "deliver", "did not reach", "not reach", "following recipient",
    "following address", "following user", "addresses had", "failed", "fatal",
    "rejected", "returned", "unknown", "no such user", "not found",
    "not exist", "doesnt exist", "undeliver", "unable to", "could not",
    "couldnt", "cannot", "not be sent", "error", "refused", "bounced",
    "recipient", "invalid", "quota", "mailbox", " full", "not a known", "not a member",
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
static enum dsn_rank rank_of_field(struct text line)
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

/* "For help write to", and the address on a line of its own. */
static bool follows_contact(const struct dsn_text *text, size_t number)
{
    static const char *const words[] = {
        "contact",  "send mail",     "to the address",
        "write to", "send an email", "call or email",
        NULL
    };
    return number > 0 && says(text->lines[number - 1], words);
}

static enum dsn_rank rank_of(const struct dsn_text *text, size_t number,
                             struct text address)
{
    struct text line = text->lines[number];
    size_t from = (size_t)(address.data - line.data);
    struct text before = text_slice(line, 0, from);
    enum dsn_rank field = rank_of_field(line);
    if (field != RANK_LEADING) {
        return field;
    }
    if (is_leading(before) && follows_contact(text, number)) {
        return RANK_NONE;
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
static bool is_foreign(const struct dsn_text *text, struct text address)
{
    struct text local = text_slice(address, 0, text_find_byte(address, '@'));
    return text_is_ignoring_case(local, "mailer-daemon") ||
           text_is_ignoring_case(local, "postmaster") ||
           text_is_ignoring_case(local, "abuse") ||
           text_equal_ignoring_case(address, text_of(text->reader->sender));
}

static void note_mentions(struct dsn_text *text, size_t number)
{
    struct text line = text->lines[number];
    struct text rest = line;
    struct text address;
    while (text->mention_count < MENTIONS_MAX &&
           address_text_next(&rest, &address)) {
        enum dsn_rank rank = is_foreign(text, address)
                                 ? RANK_NONE
                                 : rank_of(text, number, address);
        text->mentions[text->mention_count++] =
            (struct dsn_mention){ address, number, rank };
    }
}

void dsn_text_read(struct dsn_text *text)
{
    struct arena *arena = text->reader->arena;
    struct text rest = text->reader->incoming.notification;
    size_t count = line_count(rest);
    count = count < LINES_MAX ? count : LINES_MAX;
    text->lines = arena_alloc(arena, (count + 1) * sizeof(*text->lines));
    text->mentions =
        arena_alloc(arena, MENTIONS_MAX * sizeof(struct dsn_mention));
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

static enum dsn_rank best_rank(const struct dsn_text *text)
{
    enum dsn_rank best = RANK_NONE;
    for (size_t i = 0; i < text->mention_count; i++) {
        best = text->mentions[i].rank < best ? text->mentions[i].rank : best;
    }
    return best;
}

/* "a@b (expanded from: c@d)": c@d is what we sent to. */
static void read_original(const struct dsn_text *text,
                          const struct dsn_mention *mention,
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
    struct dsn_text text = { .reader = reader };
    dsn_text_read(&text);
    enum dsn_rank best = best_rank(&text);
    struct dsn_recipient *last = NULL;
    for (size_t i = 0; best < RANK_NONE && i < text.mention_count; i++) {
        const struct dsn_mention *mention = &text.mentions[i];
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
