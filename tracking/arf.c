/* SPDX-License-Identifier: MIT */
#include "tracking/arf.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/encoded_word.h"
#include "tracking/phrase.h"

#define FIELDS_MAX 5000

static const struct {
    const char *name;
    enum arf_type type;
    bool suppresses;
} types[] = {
    /* The first of each type is its name. */
    { "abuse", ARF_ABUSE, true },
    { "fraud", ARF_FRAUD, true },
    { "virus", ARF_VIRUS, false },
    { "opt-out", ARF_OPT_OUT, true },
    { "not-spam", ARF_NOT_SPAM, false },
    { "auth-failure", ARF_AUTH_FAILURE, false },
    { "other", ARF_OTHER, false },
    { "complaint", ARF_ABUSE, true },
    { "spam", ARF_ABUSE, true },
    { "miscategorized", ARF_NOT_SPAM, false },
    { "phishing", ARF_FRAUD, true },
    { "opt-out-list", ARF_OPT_OUT, true },
    { "dkim", ARF_AUTH_FAILURE, false },
    { "dmarc", ARF_AUTH_FAILURE, false },
};

const char *arf_type_name(enum arf_type type)
{
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        if (types[i].type == type) {
            return types[i].name;
        }
    }
    return "other";
}

/* A type that is not known is not a complaint (RFC 5965, 7.3: "other"). */
static void set_type(struct arf *arf, const char *written)
{
    arf->type = ARF_OTHER;
    arf->suppresses = false;
    struct text word = text_of(written);
    word = text_trim(text_slice(word, 0, text_find_byte(word, ' ')));
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        if (text_is_ignoring_case(word, types[i].name)) {
            arf->type = types[i].type;
            arf->suppresses = types[i].suppresses;
            return;
        }
    }
}

static void add_recipient(struct arf *arf, struct arena *arena,
                          struct text address)
{
    for (size_t i = 0; i < arf->recipient_count; i++) {
        if (text_equal_ignoring_case(text_of(arf->recipients[i]), address)) {
            return;
        }
    }
    if (arf->recipients == NULL) {
        arf->recipients =
            arena_alloc(arena, ARF_RECIPIENTS_MAX * sizeof(*arf->recipients));
    }
    if (arf->recipient_count < ARF_RECIPIENTS_MAX) {
        arf->recipients[arf->recipient_count++] =
            arena_copy_text(arena, address);
    }
}

/* All addresses of a value. */
static void add_recipients(struct arf *arf, struct arena *arena,
                           const char *value)
{
    struct text rest = text_of(value);
    struct text address;
    while (arf->recipient_count < ARF_RECIPIENTS_MAX &&
           address_text_next(&rest, &address)) {
        add_recipient(arf, arena, address);
    }
}

static void keep_first(const char **slot, const char *value)
{
    if ((*slot)[0] == '\0') {
        *slot = value;
    }
}

static void read_field(struct arf *arf, struct arena *arena, struct text name,
                       const char *value)
{
    if (text_is_ignoring_case(name, "Feedback-Type")) {
        set_type(arf, value);
    } else if (text_is_ignoring_case(name, "User-Agent")) {
        keep_first(&arf->user_agent, value);
    } else if (text_is_ignoring_case(name, "Original-Rcpt-To") ||
               text_is_ignoring_case(name, "Removal-Recipient")) {
        add_recipients(arf, arena, value);
    } else if (text_is_ignoring_case(name, "Original-Mail-From")) {
        keep_first(&arf->mail_from, address_text_first(arena, value));
    } else if (text_is_ignoring_case(name, "Original-Envelope-Id")) {
        keep_first(&arf->envelope_id, value);
    } else if (text_is_ignoring_case(name, "Reported-Domain")) {
        keep_first(&arf->reported_domain, value);
    } else if (text_is_ignoring_case(name, "Source-IP")) {
        keep_first(&arf->source_ip, value);
    } else if (text_is_ignoring_case(name, "Arrival-Date") ||
               text_is_ignoring_case(name, "Received-Date")) {
        keep_first(&arf->arrival_date, value);
    } else if (text_is_ignoring_case(name, "Incidents")) {
        uint64_t count = 0;
        bool is_number = text_to_uint64(text_of(value), &count);
        arf->incidents = is_number && count > 0 ? count : 1;
    }
}

/* message/feedback-report: RFC 5965, 3. */
static void read_report(struct arf *arf, struct arena *arena, struct text lines)
{
    struct header_field field;
    for (size_t i = 0; i < FIELDS_MAX && lines.length > 0; i++) {
        if (incoming_next_field(&lines, &field)) {
            read_field(arf, arena, field.name,
                       encoded_text_decode(arena, field.value));
        }
    }
}

/* A report without the standard's part: a returned message, and that it is a
 * complaint stands in the subject or in a field that was added on top. */
static bool is_old_loop(struct arena *arena, const struct incoming *incoming)
{
    static const char *const subjects[] = {
        "complaint about message", "feedback report for",
        "spam complaint",          "abuse report",
        "junk mail report",        NULL,
    };
    struct text returned = incoming->returned.header;
    if (returned.length == 0) {
        return false;
    }
    if (incoming_field(arena, returned, "X-HmXmrOriginalRecipient")[0] !=
        '\0') {
        return incoming->status.length == 0;
    }
    struct phrase_text folded;
    phrase_fold(text_of(incoming_field(arena, incoming->header, "Subject")),
                &folded);
    return phrase_find(&folded, subjects) != NULL &&
           incoming->status.length == 0;
}

/* Amazon's notice by mail, in JSON: the addresses stand in one list. */
static bool read_notice(struct arf *arf, struct arena *arena,
                        struct text notice)
{
    static const char list[] = "\"complainedRecipients\":[";
    const char *found =
        memmem(notice.data, notice.length, list, sizeof(list) - 1);
    if (found == NULL) {
        return false;
    }
    struct text rest =
        text_slice(notice, (size_t)(found - notice.data), notice.length);
    rest = text_slice(rest, 0, text_find_byte(rest, ']'));
    add_recipients(arf, arena, arena_copy_text(arena, rest));
    return arf->recipient_count > 0;
}

/* Apple Mail's "Unsubscribe" sends a message to the List-Unsubscribe address,
 * and says so. */
static bool is_apple_unsubscribe(struct arena *arena,
                                 const struct incoming *incoming)
{
    return text_is_ignoring_case(
        text_of(incoming_field(arena, incoming->header, "X-Apple-Unsubscribe")),
        "true");
}

/* What redacting providers leave: who the message was written to. */
static void add_returned_recipients(struct arf *arf, struct arena *arena)
{
    static const char *const fields[] = { "X-HmXmrOriginalRecipient",
                                          "X-Original-To", "Delivered-To",
                                          "To" };
    for (size_t i = 0; i < ARRAY_LENGTH(fields) && arf->recipient_count == 0;
         i++) {
        add_recipients(arf, arena,
                       incoming_field(arena, arf->returned.header, fields[i]));
    }
}

bool arf_read(struct text message, struct arena *arena, struct arf *out_arf)
{
    struct incoming incoming;
    incoming_read(message, arena, &incoming);
    *out_arf = (struct arf){
        .type = ARF_ABUSE,
        .suppresses = true,
        .user_agent = "",
        .mail_from = "",
        .envelope_id = "",
        .reported_domain = "",
        .source_ip = "",
        .arrival_date = "",
        .incidents = 1,
        .returned = incoming.returned,
    };
    if (incoming.feedback.length > 0) {
        read_report(out_arf, arena, incoming.feedback);
    } else if (is_apple_unsubscribe(arena, &incoming)) {
        set_type(out_arf, "opt-out");
        add_recipients(out_arf, arena,
                       incoming_field(arena, incoming.header, "From"));
    } else if (!read_notice(out_arf, arena, incoming.notification) &&
               !is_old_loop(arena, &incoming)) {
        return false;
    }
    add_returned_recipients(out_arf, arena);
    return true;
}
