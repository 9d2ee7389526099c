/* SPDX-License-Identifier: MIT */
/*
 * compose_inspect, a row of checks. It asks conversion_plan as
 * compose_plan_make does, so what is accepted can always be copied.
 */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/conversion_internal.h"
#include "tracking/group.h"
#include "tracking/header.h"
#include "tracking/line.h"
#include "tracking/settings_internal.h"

struct inspection {
    const struct compose_input *input;
    struct arena *arena;
    struct header header;
    struct mime mime;
    struct compose_facts *facts;
    struct compose_refusal *refusal;
};

/* Set the codes of a refusal whose sentence is in place; always false. */
static bool refuse(struct inspection *inspection, int code,
                   const char *enhanced)
{
    struct compose_refusal *refusal = inspection->refusal;
    refusal->code = code;
    memcpy(refusal->enhanced, enhanced, strlen(enhanced) + 1);
    return false;
}

static bool refuse_form(struct inspection *inspection)
{
    return refuse(inspection, 550, "5.6.0");
}

static struct error *reason(struct inspection *inspection)
{
    return &inspection->refusal->reason;
}

static size_t line_of(const struct inspection *inspection, const char *at)
{
    struct text before = { inspection->input->message.data,
                           (size_t)(at - inspection->input->message.data) };
    size_t number = 1;
    for (size_t i = 0; i < before.length; i++) {
        number += before.data[i] == '\n';
    }
    return number;
}

static bool refuse_byte(struct inspection *inspection, const char *what,
                        const char *at)
{
    error_set(reason(inspection),
              "Line %zu of the message has a %s; lines end with CRLF and hold "
              "neither CR, LF nor NUL",
              line_of(inspection, at), what);
    return refuse_form(inspection);
}

/* RFC 5321, 2.3.8. The server has seen to this; other ways in rely on us. */
static bool check_line_ends(struct inspection *inspection)
{
    struct text message = inspection->input->message;
    struct text rest = message;
    while (rest.length > 0) {
        struct text line = line_take(&rest);
        struct text content = line_content(line);
        size_t cr = text_find_byte(content, '\r');
        if (cr < content.length) {
            return refuse_byte(inspection, "carriage return without line feed",
                               content.data + cr);
        }
        if (line.length == content.length + 1) {
            return refuse_byte(inspection, "line feed without carriage return",
                               content.data + content.length);
        }
    }
    size_t nul = text_find_byte(message, '\0');
    if (nul < message.length) {
        return refuse_byte(inspection, "NUL byte", message.data + nul);
    }
    return true;
}

static bool check_header(struct inspection *inspection)
{
    const struct tracking_limits *limits = tracking_limits();
    struct header_limits header_limits = { (size_t)limits->header_size,
                                           (size_t)limits->header_fields };
    struct header *header = &inspection->header;
    if (!header_parse(inspection->input->message, &header_limits,
                      inspection->arena, header, reason(inspection))) {
        return header->exceeds_limits ? refuse(inspection, 552, "5.3.4")
                                      : refuse_form(inspection);
    }
    size_t number = line_find_long(header->whole);
    if (number > 0) {
        error_set(reason(inspection),
                  "Line %zu of the message, in its header, has more than 998 "
                  "octets (RFC 5322, 2.1.1); fold it at white space",
                  number);
        return refuse_form(inspection);
    }
    return true;
}

/* RFC 5322, 3.6: how often a field may be there; and MIME's own, RFC 2045. */
static const struct field_rule {
    const char *name;
    size_t minimum;
} field_rules[] = {
    { "From", 1 },         { "Sender", 0 },
    { "Reply-To", 0 },     { "To", 0 },
    { "Cc", 0 },           { "Bcc", 0 },
    { "Message-ID", 0 },   { "In-Reply-To", 0 },
    { "References", 0 },   { "Subject", 0 },
    { "Date", 0 },         { "MIME-Version", 0 },
    { "Content-Type", 0 }, { "Content-Transfer-Encoding", 0 },
};

static bool check_counts(struct inspection *inspection)
{
    for (size_t i = 0; i < ARRAY_LENGTH(field_rules); i++) {
        const char *name = field_rules[i].name;
        size_t count = header_count(&inspection->header, name);
        if (count > 1) {
            error_set(reason(inspection),
                      "The message has %zu %s fields; exactly one is allowed",
                      count, name);
            return refuse_form(inspection);
        }
        if (count < field_rules[i].minimum) {
            error_set(reason(inspection),
                      "The message has no %s field; add one to its header",
                      name);
            return refuse_form(inspection);
        }
    }
    return true;
}

/* F4: an 8-bit header is UTF-8 by RFC 6532, or it is not passed on. */
static bool check_8bit(struct inspection *inspection)
{
    const struct header *header = &inspection->header;
    bool is_smtputf8 = inspection->input->is_smtputf8;
    for (size_t i = 0; i < header->field_count; i++) {
        const struct header_field *field = &header->fields[i];
        if (!text_has_8bit(field->whole) ||
            (is_smtputf8 && text_is_utf8(field->whole))) {
            continue;
        }
        size_t number = line_of(inspection, field->whole.data);
        int shown = field->name.length < 64 ? (int)field->name.length : 64;
        error_set(reason(inspection),
                  is_smtputf8 ? "The %.*s field (line %zu of the message) is "
                                "not UTF-8"
                              : "The %.*s field (line %zu of the message) has "
                                "8-bit bytes; encode them (RFC 2047) or send "
                                "with SMTPUTF8",
                  shown, field->name.data, number);
        return refuse_form(inspection);
    }
    return true;
}

/* False: so many are a loop. */
static bool check_received(size_t count, struct compose_refusal *out_refusal)
{
    size_t limit = (size_t)tracking_limits()->received_fields;
    if (count <= limit) {
        return true;
    }
    out_refusal->code = 554;
    snprintf(out_refusal->enhanced, sizeof(out_refusal->enhanced), "5.4.6");
    return error_set(&out_refusal->reason,
                     "The message has %zu Received fields, more than %zu: it "
                     "goes round in a loop",
                     count, limit);
}

static bool check_loop(struct inspection *inspection)
{
    size_t count = header_count(&inspection->header, "Received");
    inspection->facts->received_count = count;
    return check_received(count, inspection->refusal);
}

bool compose_check_loop(struct text message,
                        struct compose_refusal *out_refusal)
{
    size_t count = 0;
    struct header_field field;
    while (header_next(&message, &field)) {
        count += text_is_ignoring_case(field.name, "Received") ? 1 : 0;
    }
    return check_received(count, out_refusal);
}

bool compose_check_header(struct text message,
                          struct compose_refusal *out_refusal)
{
    struct header_field field;
    while (header_next(&message, &field)) {
    }
    if (line_content(line_take(&message)).length == 0) {
        return true;
    }
    out_refusal->code = 550;
    snprintf(out_refusal->enhanced, sizeof(out_refusal->enhanced), "5.6.0");
    return error_set(&out_refusal->reason,
                     "The message's header has a line that is no field");
}

static bool read_addresses(struct inspection *inspection, const char *name,
                           char ***out_addresses, size_t *out_count)
{
    const struct header_field *field = header_find(&inspection->header, name);
    if (!field) {
        *out_count = 0;
        return true;
    }
    struct error error;
    if (!header_addresses(inspection->arena, field->value, out_addresses,
                          out_count, &error)) {
        error_set(reason(inspection),
                  "The %s field is no list of addresses: %s", name, error.text);
        return refuse_form(inspection);
    }
    if (*out_count == 0) {
        error_set(reason(inspection), "The %s field names no address", name);
        return refuse_form(inspection);
    }
    return true;
}

/* Several authors without a Sender (RFC 5322, 3.6.2) are let through: nobody
 * is misled by it, and the rights are checked for each of them. */
static bool check_authors(struct inspection *inspection)
{
    char **from = NULL;
    char **sender = NULL;
    size_t from_count;
    size_t sender_count;
    if (!read_addresses(inspection, "From", &from, &from_count) ||
        !read_addresses(inspection, "Sender", &sender, &sender_count)) {
        return false;
    }
    size_t count = from_count + sender_count;
    char **all = arena_alloc(inspection->arena, count * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        all[i] = i < from_count ? from[i] : sender[i - from_count];
    }
    inspection->facts->from_addresses = all;
    inspection->facts->from_count = count;
    return true;
}

static bool check_structure(struct inspection *inspection)
{
    const struct tracking_limits *limits = tracking_limits();
    struct mime_limits mime_limits = { (size_t)limits->mime_depth,
                                       (size_t)limits->mime_parts };
    if (!mime_scan(inspection->input->message, &mime_limits, inspection->arena,
                   &inspection->mime, reason(inspection))) {
        return refuse(inspection, 552, "5.3.4");
    }
    return true;
}

/* S7: what compose_copy cannot put right is refused here. */
static bool check_lines(struct inspection *inspection)
{
    for (size_t i = 0; i < inspection->mime.part_count; i++) {
        const struct mime_part *part = &inspection->mime.parts[i];
        enum conversion conversion;
        static const struct conversion_wish lawful = { 0 };
        if (!conversion_plan(inspection->input->message, part, &lawful,
                             &conversion, reason(inspection))) {
            return refuse_form(inspection);
        }
        inspection->facts->needs_conversion |= conversion != CONVERSION_NONE;
        inspection->facts->has_8bit_body |= part->body_line_8bit > 0;
        inspection->facts->has_8bit_body |= i > 0 && part->header_line_8bit > 0;
    }
    return true;
}

static const char *find_value(const struct inspection *inspection,
                              const char *name)
{
    const struct header_field *field = header_find(&inspection->header, name);
    return field ? header_unfold(inspection->arena, field->value) : NULL;
}

/* F1: what is there stays. */
static void add_fields(struct inspection *inspection)
{
    const struct compose_input *input = inspection->input;
    struct arena *arena = inspection->arena;
    struct compose_facts *facts = inspection->facts;
    const char *date_field = "";
    const char *id_field = "";
    if (!header_find(&inspection->header, "Date")) {
        char date[CLOCK_TEXT_SIZE];
        date_field = arena_printf(arena, "Date: %s\r\n",
                                  clock_rfc5322(input->received_at, date));
    }
    facts->internet_message_id = find_value(inspection, "Message-ID");
    if (!facts->internet_message_id) {
        facts->internet_message_id = arena_printf(
            arena, "<%lld@%s>", (long long)input->message_id, input->hostname);
        id_field = arena_printf(arena, "Message-ID: %s\r\n",
                                facts->internet_message_id);
    }
    facts->added_fields = arena_printf(arena, "%s%s", date_field, id_field);
}

static bool check_control(struct inspection *inspection)
{
    return control_read(&inspection->header, inspection->input->received_at,
                        inspection->arena, &inspection->facts->control,
                        reason(inspection)) ||
           refuse_form(inspection);
}

static void read_subject(struct inspection *inspection)
{
    struct compose_facts *facts = inspection->facts;
    const struct header_field *field =
        header_find(&inspection->header, "Subject");
    struct group_subject grouped;
    struct text value = field ? field->value : text_of("");
    if (field && group_from_subject(value, inspection->arena, &grouped)) {
        facts->subject_group = grouped.name;
        value = grouped.value;
    }
    facts->subject = header_unfold(inspection->arena, value);
}

typedef bool check_fn(struct inspection *inspection);

/* In this order: what a person would mend first is said first. */
static check_fn *const checks[] = {
    check_line_ends, check_header,    check_loop,  check_counts,  check_8bit,
    check_authors,   check_structure, check_lines, check_control,
};

bool compose_inspect(const struct compose_input *input, struct arena *arena,
                     struct compose_facts *out_facts,
                     struct compose_refusal *out_refusal)
{
    *out_facts = (struct compose_facts){ 0 };
    *out_refusal = (struct compose_refusal){ 0 };
    struct inspection inspection = {
        .input = input,
        .arena = arena,
        .facts = out_facts,
        .refusal = out_refusal,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(checks); i++) {
        if (!checks[i](&inspection)) {
            return false;
        }
    }
    add_fields(&inspection);
    read_subject(&inspection);
    return true;
}
