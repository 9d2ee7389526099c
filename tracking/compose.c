/* SPDX-License-Identifier: MIT */
/*
 * See compose.h. compose_inspect is a row of checks; compose_copy a cursor that
 * moves over the message, adding spans of it and, rarely, encoded parts.
 *
 * Both ask conversion_plan, so what was accepted can always be copied.
 */
#include "tracking/compose.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/conversion_internal.h"
#include "tracking/header.h"
#include "tracking/line.h"
#include "tracking/settings_internal.h"

/* --- inspection --- */

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

static bool check_loop(struct inspection *inspection)
{
    size_t limit = (size_t)tracking_limits()->received_fields;
    size_t count = header_count(&inspection->header, "Received");
    inspection->facts->received_count = count;
    if (count > limit) {
        error_set(reason(inspection),
                  "The message has %zu Received fields, more than %zu: it "
                  "goes round in a loop",
                  count, limit);
        return refuse(inspection, 554, "5.4.6");
    }
    return true;
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
        if (!conversion_plan(inspection->input->message, part, false,
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
    const char *subject = find_value(inspection, "Subject");
    facts->subject = subject ? subject : "";
}

typedef bool check_fn(struct inspection *inspection);

/* In this order: what a person would mend first is said first. */
static check_fn *const checks[] = {
    check_line_ends, check_header,  check_loop,      check_counts,
    check_8bit,      check_authors, check_structure, check_lines,
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
    return true;
}

/* --- the copy --- */

struct copy {
    struct text message;
    size_t cursor; /* all before it is copied or left out */
    struct arena *arena;
    struct text *pieces;
    size_t piece_count;
    size_t capacity;
};

static bool touches(struct text before, struct text behind)
{
    return before.data + before.length == behind.data;
}

static void add_piece(struct copy *copy, struct text piece)
{
    if (piece.length == 0) {
        return;
    }
    if (copy->piece_count > 0 &&
        touches(copy->pieces[copy->piece_count - 1], piece)) {
        copy->pieces[copy->piece_count - 1].length += piece.length;
        return;
    }
    if (copy->piece_count == copy->capacity) {
        copy->capacity = copy->capacity ? copy->capacity * 2 : 8;
        struct text *grown =
            arena_alloc(copy->arena, copy->capacity * sizeof(*grown));
        for (size_t i = 0; i < copy->piece_count; i++) {
            grown[i] = copy->pieces[i];
        }
        copy->pieces = grown;
    }
    copy->pieces[copy->piece_count++] = piece;
}

static void copy_until(struct copy *copy, size_t end)
{
    add_piece(copy, text_slice(copy->message, copy->cursor, end));
    copy->cursor = end;
}

static bool is_named(const struct header_field *field, const char *const *names)
{
    for (; *names; names++) {
        if (text_is_ignoring_case(field->name, *names)) {
            return true;
        }
    }
    return false;
}

/* Nobody's business (F3), and the next host's to write (RFC 5321, 4.4). */
static const char *const private_fields[] = { "Bcc", "Resent-Bcc",
                                              "Return-Path", NULL };
static const char *const encoding_field[] = { "Content-Transfer-Encoding",
                                              NULL };
static const char *const version_field[] = { "MIME-Version", NULL };

/* What changes in a header on its way, and what was seen there. */
struct header_edit {
    const char *const *left_out; /* names, or NULL */
    const char *encoding; /* new Content-Transfer-Encoding, or NULL */
    bool has_version;
    bool is_encoding_written;
};

static void write_encoding(struct copy *copy, struct header_edit *edit)
{
    add_piece(copy, text_of(arena_printf(copy->arena,
                                         "Content-Transfer-Encoding: %s\r\n",
                                         edit->encoding)));
    edit->is_encoding_written = true;
}

static void copy_header(struct copy *copy, size_t end, struct header_edit *edit)
{
    struct text rest = text_slice(copy->message, copy->cursor, end);
    struct header_field field;
    while (header_next(&rest, &field)) {
        edit->has_version |= is_named(&field, version_field);
        bool is_left_out = edit->left_out && is_named(&field, edit->left_out);
        if (edit->encoding && is_named(&field, encoding_field)) {
            if (!edit->is_encoding_written) {
                write_encoding(copy, edit);
            }
        } else if (!is_left_out) {
            add_piece(copy, field.whole);
        }
    }
    copy->cursor = end;
}

/* Copy one part that is re-encoded, and all before it. */
static void copy_converted(struct copy *copy, const struct mime_part *part,
                           enum conversion conversion)
{
    bool is_message = part->parent == MIME_NO_PARENT;
    struct header_edit edit = {
        .left_out = is_message ? private_fields : NULL,
        .encoding = conversion_encoding(conversion),
    };
    copy_until(copy, part->header_from);
    copy_header(copy, part->header_to, &edit);
    if (is_message && !edit.has_version) {
        /* Without it the encoding means nothing: RFC 2045, 4. */
        add_piece(copy, TEXT_LITERAL("MIME-Version: 1.0\r\n"));
    }
    if (edit.encoding && !edit.is_encoding_written) {
        write_encoding(copy, &edit);
    }
    copy_until(copy, part->body_from);
    add_piece(copy,
              conversion_apply(conversion, mime_part_body(copy->message, part),
                               copy->arena));
    copy->cursor = part->body_to;
}

/* Whatever limits were in force when the message was accepted, they are not
 * applied again: it is ours now and must go out. */
static bool copy_with_conversion(struct copy *copy, bool to_7bit,
                                 struct error *error)
{
    static const struct mime_limits no_limits = { SIZE_MAX, SIZE_MAX };
    struct mime mime;
    if (!mime_scan(copy->message, &no_limits, copy->arena, &mime, error)) {
        return false;
    }
    for (size_t i = 0; i < mime.part_count; i++) {
        enum conversion conversion;
        if (!conversion_plan(copy->message, &mime.parts[i], to_7bit,
                             &conversion, error)) {
            return false;
        }
        if (conversion != CONVERSION_NONE) {
            copy_converted(copy, &mime.parts[i], conversion);
        } else if (i == 0) {
            struct header_edit edit = { .left_out = private_fields };
            copy_header(copy, mime.parts[0].header_to, &edit);
        }
    }
    copy_until(copy, copy->message.length);
    return true;
}

static void copy_plainly(struct copy *copy, size_t header_end)
{
    struct header_edit edit = { .left_out = private_fields };
    copy_header(copy, header_end, &edit);
    copy_until(copy, copy->message.length);
}

/* Where the message's header ends; false if it does not end with an empty line
 * or the message. */
static bool find_header_end(struct text message, size_t *out_end,
                            struct error *error)
{
    struct text rest = message;
    struct header_field field;
    while (header_next(&rest, &field)) {
    }
    *out_end = (size_t)(rest.data - message.data);
    struct text line = line_take(&rest);
    if (line_content(line).length > 0) {
        return error_set(error, "The message has a malformed header and cannot "
                                "be copied; it was stored without inspection");
    }
    return true;
}

static bool make_copy(struct text trace, struct copy *copy, bool to_7bit,
                      struct error *error)
{
    size_t header_end;
    if (!find_header_end(copy->message, &header_end, error)) {
        return false;
    }
    add_piece(copy, trace);
    bool is_plain = line_find_long(copy->message) == 0 &&
                    !(to_7bit && text_has_8bit(copy->message));
    if (is_plain) {
        copy_plainly(copy, header_end);
        return true;
    }
    return copy_with_conversion(copy, to_7bit, error);
}

struct compose_plan {
    struct text *pieces;
    size_t piece_count;
};

bool compose_plan_make(const struct compose_source *borrowed_source,
                       struct arena *arena, struct compose_plan **out_plan,
                       struct error *error)
{
    const struct compose_source *source = borrowed_source;
    struct copy copy = { .message = source->message, .arena = arena };
    if (!make_copy(source->trace, &copy, source->to_7bit, error)) {
        return false;
    }
    struct compose_plan *plan = arena_alloc(arena, sizeof(*plan));
    plan->pieces = copy.pieces;
    plan->piece_count = copy.piece_count;
    *out_plan = plan;
    return true;
}

bool compose_plan_is_shared(const struct compose_plan *plan)
{
    (void)plan;
    return true;
}

void compose_copy(const struct compose_plan *plan,
                  const struct compose_recipient *recipient,
                  struct arena *arena, struct text **out_pieces,
                  size_t *out_piece_count)
{
    (void)recipient;
    (void)arena;
    *out_pieces = plan->pieces;
    *out_piece_count = plan->piece_count;
}

void compose_describe(const struct compose_plan *plan,
                      const struct compose_recipient *recipient,
                      struct arena *arena, struct compose_edit **out_edits,
                      size_t *out_edit_count)
{
    (void)plan;
    (void)recipient;
    (void)arena;
    *out_edits = NULL;
    *out_edit_count = 0;
}
