/* SPDX-License-Identifier: MIT */
/*
 * Fields first, then the text, then the header: where recipients are found
 * first, there they are taken from.
 */
#include "tracking/dsn.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/dsn_internal.h"

static struct dsn_recipient *find_recipient(const struct dsn_reader *reader,
                                            struct text address)
{
    for (size_t i = 0; i < reader->dsn->recipient_count; i++) {
        struct dsn_recipient *recipient = &reader->dsn->recipients[i];
        if (text_equal_ignoring_case(text_of(recipient->address), address)) {
            return recipient;
        }
    }
    return NULL;
}

struct dsn_recipient *dsn_recipient_add(struct dsn_reader *reader,
                                        struct text address)
{
    struct dsn_recipient *recipient = find_recipient(reader, address);
    struct dsn *dsn = reader->dsn;
    if (recipient != NULL || dsn->recipient_count == DSN_RECIPIENTS_MAX) {
        return recipient;
    }
    if (dsn->recipients == NULL) {
        dsn->recipients = arena_alloc(
            reader->arena, DSN_RECIPIENTS_MAX * sizeof(*dsn->recipients));
    }
    recipient = &dsn->recipients[dsn->recipient_count++];
    *recipient = (struct dsn_recipient){
        .address = arena_copy_text(reader->arena, address),
        .original = "",
        .status = "",
        .diagnostic = "",
        .remote_host = "",
    };
    return recipient;
}

/* All addresses of a value, as failed or late. */
static bool take_addresses(struct dsn_reader *reader, const char *value)
{
    struct text rest = text_of(value);
    struct text address;
    while (address_text_next(&rest, &address)) {
        struct dsn_recipient *recipient = dsn_recipient_add(reader, address);
        if (recipient != NULL) {
            recipient->action = reader->is_delay ? DSN_DELAYED : DSN_FAILED;
        }
    }
    return reader->dsn->recipient_count > 0;
}

static bool take_field(struct dsn_reader *reader, struct text header,
                       const char *name)
{
    return take_addresses(reader, incoming_field(reader->arena, header, name));
}

/* Where the text names nobody: Exim and Google say it in the header, others
 * leave us the returned message. */
static void read_other_recipients(struct dsn_reader *reader)
{
    struct text header = reader->incoming.header;
    struct text returned = reader->incoming.returned.header;
    bool is_found =
        take_field(reader, header, "X-Failed-Recipients") ||
        dsn_text_read_recipients(reader) ||
        take_field(reader, reader->incoming.disposition, "Final-Recipient") ||
        take_field(reader, returned, "X-Envelope-To") ||
        take_field(reader, returned, "Envelope-To") ||
        take_field(reader, returned, "Delivered-To") ||
        take_field(reader, returned, "X-Original-To") ||
        take_field(reader, returned, "To");
    (void)is_found;
}

/* Amazon's notice by mail, in JSON: what stands behind each address of its list
 * is the reason. */
static void read_notice(struct dsn_reader *reader)
{
    static const char mark[] = "\"bouncedRecipients\":[";
    struct text notice = reader->incoming.notification;
    const char *found =
        memmem(notice.data, notice.length, mark, sizeof(mark) - 1);
    if (found == NULL) {
        return;
    }
    struct text list =
        text_slice(notice, (size_t)(found - notice.data) + sizeof(mark) - 1,
                   notice.length);
    list = text_slice(list, 0, text_find_byte(list, ']'));
    struct text entry;
    while (text_split(&list, '}', &entry)) {
        struct text address;
        if (address_text_next(&entry, &address)) {
            struct dsn_recipient *recipient =
                dsn_recipient_add(reader, address);
            if (recipient != NULL) {
                recipient->diagnostic = arena_copy_text(
                    reader->arena, text_slice(entry, 0, DSN_DIAGNOSTIC_MAX));
            }
        }
    }
}

static enum dsn_kind kind_of_actions(const struct dsn *dsn)
{
    enum dsn_kind kind = DSN_NONE;
    for (size_t i = 0; i < dsn->recipient_count; i++) {
        enum dsn_action action = dsn->recipients[i].action;
        if (action == DSN_FAILED) {
            return DSN_BOUNCE;
        }
        if (action == DSN_DELAYED) {
            kind = DSN_DELAY;
        } else if (kind == DSN_NONE) {
            kind = DSN_ARRIVED;
        }
    }
    return kind;
}

/* What is only late, or arrived, is no reason to suppress. */
static void settle_verdicts(struct dsn *dsn)
{
    for (size_t i = 0; i < dsn->recipient_count; i++) {
        struct dsn_recipient *recipient = &dsn->recipients[i];
        if (recipient->action != DSN_FAILED) {
            recipient->verdict.suppresses = false;
            recipient->verdict.severity = BOUNCE_SOFT;
        }
    }
}

static void read_failure(struct dsn_reader *reader)
{
    if (reader->dsn->recipient_count == 0) {
        reader->is_delay = dsn_kind_is_delay(reader);
        read_other_recipients(reader);
    }
    dsn_reason_find(reader);
    settle_verdicts(reader->dsn);
    reader->dsn->kind = kind_of_actions(reader->dsn);
}

/* A report inside a report: forwarded, or returned by a gateway as it was. */
static bool returns_report(const struct dsn_reader *reader)
{
    struct text header = reader->incoming.returned.header;
    struct text type =
        text_of(incoming_field(reader->arena, header, "Content-Type"));
    struct text mark =
        text_of(incoming_field(reader->arena, header, "Auto-Submitted"));
    return text_starts_with_ignoring_case(type, "multipart/report") ||
           mark.length > 0;
}

static void read_message(struct text message, struct arena *arena,
                         bool is_inner, struct dsn *out_dsn);

/* The text speaks of failure but names nobody, and a report is enclosed. */
static bool read_inner(struct dsn_reader *reader)
{
    if (!returns_report(reader)) {
        return false;
    }
    struct dsn inner;
    read_message(reader->incoming.returned.message, reader->arena, true,
                 &inner);
    if (inner.kind != DSN_BOUNCE && inner.kind != DSN_DELAY) {
        return false;
    }
    *reader->dsn = inner;
    return true;
}

void dsn_read(struct text message, struct arena *arena, struct dsn *out_dsn)
{
    read_message(message, arena, false, out_dsn);
}

static void read_message(struct text message, struct arena *arena,
                         bool is_inner, struct dsn *out_dsn)
{
    *out_dsn =
        (struct dsn){ .from = "", .reporting_host = "", .envelope_id = "" };
    struct dsn_reader reader = { .arena = arena, .dsn = out_dsn };
    incoming_read(message, arena, &reader.incoming);
    struct text header = reader.incoming.header;
    reader.subject = incoming_field(arena, header, "Subject");
    reader.sender =
        address_text_first(arena, incoming_field(arena, header, "From"));
    out_dsn->from = reader.sender;
    out_dsn->returned = reader.incoming.returned;
    dsn_status_read(&reader);
    read_notice(&reader);
    bool is_told = out_dsn->recipient_count > 0;
    bool is_failure = is_told || dsn_kind_is_failure(&reader);
    if (is_failure && !is_told && !is_inner && read_inner(&reader)) {
        return;
    }
    if (is_failure) {
        read_failure(&reader);
    }
    if (out_dsn->kind != DSN_NONE) {
        return;
    }
    if (dsn_kind_is_challenge(&reader)) {
        out_dsn->kind = DSN_CHALLENGE;
    } else if (dsn_kind_is_auto_reply(&reader)) {
        out_dsn->kind = DSN_AUTO_REPLY;
    }
}

const char *dsn_kind_name(enum dsn_kind kind)
{
    static const char *const names[] = {
        [DSN_NONE] = "none",
        [DSN_BOUNCE] = "bounce",
        [DSN_DELAY] = "delay",
        [DSN_ARRIVED] = "arrived",
        [DSN_AUTO_REPLY] = "auto_reply",
        [DSN_CHALLENGE] = "challenge",
    };
    _Static_assert(ARRAY_LENGTH(names) == DSN_KIND_COUNT,
                   "every kind has a name");
    return names[kind];
}

const char *dsn_action_name(enum dsn_action action)
{
    static const char *const names[] = {
        [DSN_FAILED] = "failed",       [DSN_DELAYED] = "delayed",
        [DSN_DELIVERED] = "delivered", [DSN_RELAYED] = "relayed",
        [DSN_EXPANDED] = "expanded",
    };
    return names[action];
}
