/* SPDX-License-Identifier: MIT */
/*
 * The fields of message/delivery-status: RFC 3464, 2. Groups are parted by
 * empty lines, the first is about the message; some write one group, some
 * leave types out ("Final-Recipient: <a@b>"), so a field that was there begins
 * a new recipient as well.
 */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/dsn_internal.h"
#include "tracking/encoded_word.h"
#include "tracking/html.h"

/* Bounds the cost of lying reports. */
#define FIELDS_MAX 20000

/* One group of fields. */
struct group {
    const char *final;
    const char *original;
    const char *actual; /* X-Actual-Recipient */
    const char *action;
    const char *status;
    const char *diagnostic;
    const char *remote_host;
};

/* "rfc822; a@b": what stands behind the type, if there is one. RFC 3464,
 * 2.1.2. */
static const char *without_type(const char *value)
{
    const char *semicolon = strchr(value, ';');
    if (semicolon == NULL) {
        return value;
    }
    for (const char *at = value; at < semicolon; at++) {
        if (!ascii_is_alnum(*at) && strchr("-_ .", *at) == NULL) {
            return value;
        }
    }
    semicolon++;
    return semicolon + strspn(semicolon, " \t");
}

/* "\x{E9}" at the beginning: how long it is, or 0. */
static size_t measure_escape(const char *at)
{
    if (strncmp(at, "\\x{", 3) != 0) {
        return 0;
    }
    size_t digits = strspn(at + 3, "0123456789abcdefABCDEF");
    return digits >= 2 && digits <= 6 && at[3 + digits] == '}' ? digits + 4 : 0;
}

/* RFC 6533, 3: "a\x{E9}@b" of a utf-8 address; a number as HTML has them. */
static const char *decode_utf8_address(struct arena *arena, const char *written)
{
    struct buffer plain = { 0 };
    for (const char *at = written; *at != '\0';) {
        size_t length = measure_escape(at);
        if (length == 0) {
            buffer_append_byte(&plain, *at++);
            continue;
        }
        char reference[16];
        int digits = (int)length - 4;
        snprintf(reference, sizeof(reference), "&#x%.*s;", digits, at + 3);
        html_decode(text_of(reference), false, &plain);
        at += length;
    }
    char *copy = arena_copy_text(arena, buffer_text(&plain));
    buffer_free(&plain);
    return copy;
}

/* A recipient that is no mail address (another type, RFC 3464, 2.3.2, or a bare
 * name), without brackets. */
static struct text read_name(const char *value)
{
    struct text name = text_trim(text_of(without_type(value)));
    bool is_bracketed = name.length > 2 && name.data[0] == '<' &&
                        name.data[name.length - 1] == '>';
    return is_bracketed ? text_slice(name, 1, name.length - 1) : name;
}

/* The address in a field's value; empty if it has none. */
static struct text read_address(struct arena *arena, const char *value)
{
    const char *address = without_type(value);
    if (text_starts_with_ignoring_case(text_of(value), "utf-8")) {
        address = decode_utf8_address(arena, address);
    }
    struct text rest = text_of(address);
    struct text found;
    if (address_text_next(&rest, &found)) {
        return found;
    }
    return (struct text){ "", 0 };
}

static enum dsn_action read_action(const struct group *group)
{
    struct text written = text_of(group->action);
    static const struct {
        const char *word;
        enum dsn_action action;
    } actions[] = {
        { "fail", DSN_FAILED },       { "delay", DSN_DELAYED },
        { "deliver", DSN_DELIVERED }, { "relay", DSN_RELAYED },
        { "expand", DSN_EXPANDED },   { "error", DSN_FAILED },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++) {
        if (text_starts_with_ignoring_case(written, actions[i].word)) {
            return actions[i].action;
        }
    }
    /* Not said: a report is of failure unless its status denies it. */
    return group->status[0] == '2' ? DSN_DELIVERED : DSN_FAILED;
}

/* Only "5.1.1" of "5.1.1 (bad address)". */
static const char *read_status(struct arena *arena, const char *written)
{
    size_t length = strspn(written, "0123456789.");
    return arena_copy_text(arena, (struct text){ written, length });
}

/* Some say it as a comment only: "5.0.0 (over quota)". */
static struct text read_diagnostic(const struct group *group)
{
    if (group->diagnostic[0] != '\0') {
        return text_of(without_type(group->diagnostic));
    }
    struct text status = text_of(group->status);
    return text_slice(status, text_find_byte(status, '('), status.length);
}

static void end_group(struct dsn_reader *reader, struct group *group)
{
    struct arena *arena = reader->arena;
    struct text final = read_address(arena, group->final);
    struct text original = read_address(arena, group->original);
    struct text actual = read_address(arena, group->actual);
    if (final.length == 0) {
        final = original.length > 0 ? original : actual;
    }
    if (final.length == 0) {
        final = read_name(group->final);
    }
    bool is_empty = final.length == 0;
    struct dsn_recipient *recipient =
        is_empty ? NULL : dsn_recipient_add(reader, final);
    if (recipient != NULL) {
        recipient->action = read_action(group);
        recipient->status = read_status(arena, group->status);
        recipient->diagnostic = arena_copy_text(
            arena, text_slice(read_diagnostic(group), 0, DSN_DIAGNOSTIC_MAX));
        recipient->remote_host =
            arena_copy_string(arena, without_type(group->remote_host));
        if (original.length > 0 && !text_equal_ignoring_case(original, final)) {
            recipient->original = arena_copy_text(arena, original);
        }
    }
    *group = (struct group){ "", "", "", "", "", "", "" };
}

static const char **slot_of(struct group *group, struct text name)
{
    struct {
        const char *name;
        const char **slot;
    } slots[] = {
        { "Final-Recipient", &group->final },
        { "Original-Recipient", &group->original },
        { "X-Actual-Recipient", &group->actual },
        { "Action", &group->action },
        { "Status", &group->status },
        { "Diagnostic-Code", &group->diagnostic },
        { "Remote-MTA", &group->remote_host },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(slots); i++) {
        if (text_is_ignoring_case(name, slots[i].name)) {
            return slots[i].slot;
        }
    }
    return NULL;
}

static void read_message_field(struct dsn_reader *reader, struct text name,
                               const char *value)
{
    if (text_is_ignoring_case(name, "Reporting-MTA")) {
        reader->dsn->reporting_host = without_type(value);
    } else if (text_is_ignoring_case(name, "Original-Envelope-Id")) {
        reader->dsn->envelope_id = value;
    }
}

static void read_field(struct dsn_reader *reader, struct group *group,
                       const struct header_field *field)
{
    const char *value = encoded_text_decode(reader->arena, field->value);
    const char **slot = slot_of(group, field->name);
    if (slot == NULL) {
        read_message_field(reader, field->name, value);
        return;
    }
    bool is_again = (*slot)[0] != '\0' &&
                    text_is_ignoring_case(field->name, "Final-Recipient");
    if (is_again) {
        end_group(reader, group);
    }
    if ((*slot)[0] == '\0') {
        *slot = value;
    }
}

void dsn_status_read(struct dsn_reader *reader)
{
    struct text lines = reader->incoming.status;
    struct group group = { "", "", "", "", "", "", "" };
    for (size_t i = 0; i < FIELDS_MAX && lines.length > 0; i++) {
        struct header_field field;
        if (incoming_next_field(&lines, &field)) {
            read_field(reader, &group, &field);
        } else if (group.final[0] != '\0' || group.original[0] != '\0') {
            end_group(reader, &group);
        }
    }
    end_group(reader, &group);
}
