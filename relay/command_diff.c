/* SPDX-License-Identifier: MIT */
/*
 * What a recipient's copy has that the message had not, and the other way
 * round. The copy is made again by the functions that made it for the wire: it
 * consists of spans of the message and of what was put between them, so that
 * nothing has to be compared.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/id.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "tracking/compose.h"

#define NAMES_MAX 20

/* A message and one of its recipients, read from PostgreSQL. */
struct subject {
    struct arena *arena;
    struct compose_source source;
    struct compose_recipient recipient;
    struct policy policy;
    struct token_keys *keys;
    struct buffer trace;
    struct buffer data;
};

static void free_subject(struct subject *subject)
{
    arena_free(&subject->arena);
    token_keys_free(&subject->keys);
    buffer_free(&subject->trace);
    buffer_free(&subject->data);
}

/* -- reading -- */

static size_t find_recipient(const struct admin_table *rows, const char *wanted)
{
    size_t row = 0;
    while (row < admin_row_count(rows) &&
           !text_equal_ignoring_case(
               text_of(admin_value(rows, row, "recipient")), text_of(wanted)) &&
           strcmp(admin_value(rows, row, "delivery_id"), wanted) != 0) {
        row++;
    }
    return row;
}

static void refuse_recipient(const struct command_call *call,
                             const struct admin_table *rows)
{
    struct buffer names = { 0 };
    for (size_t i = 0; i < admin_row_count(rows) && i < NAMES_MAX; i++) {
        buffer_printf(&names, "%s%s", i == 0 ? "" : ", ",
                      admin_value(rows, i, "recipient"));
    }
    command_fail("message %s has no recipient \"%s\"; it went to %s%s",
                 call->arguments[0], call->arguments[1], names.data,
                 admin_row_count(rows) > NAMES_MAX
                     ? " and others (baton message show names all)"
                     : "");
    buffer_free(&names);
}

static bool read_keys(struct command_call *call, const char *signed_at,
                      struct subject *subject)
{
    struct admin_table *table =
        command_query(call, "admin_message_keys", &signed_at, 1);
    if (table == NULL) {
        return false;
    }
    subject->keys = token_keys_create();
    for (size_t i = 0; i < admin_row_count(table); i++) {
        struct buffer secret = { 0 };
        uint64_t id = 0;
        check(text_to_uint64(text_of(admin_value(table, i, "key_id")), &id));
        admin_bytes(table, i, "secret", &secret);
        check(secret.length == MAC_SECRET_BYTES);
        token_keys_add(subject->keys, (int)id, (const uint8_t *)secret.data);
        if (admin_value(table, i, "is_current")[0] == 't') {
            token_keys_use(subject->keys, (int)id);
        }
        explicit_bzero(secret.data, secret.length);
        buffer_free(&secret);
    }
    admin_table_free(&table);
    return true;
}

static bool read_chunks(struct command_call *call, const char *account_id,
                        struct subject *subject)
{
    for (int chunk = 0;; chunk++) {
        struct id_text number;
        snprintf(number.text, sizeof(number.text), "%d", chunk);
        const char *parameters[] = { account_id, call->arguments[0],
                                     number.text };
        struct admin_table *table =
            command_query(call, "admin_message_chunk", parameters, 3);
        if (table == NULL) {
            return false;
        }
        bool is_there = admin_row_count(table) > 0;
        if (is_there) {
            admin_bytes(table, 0, "data", &subject->data);
        }
        admin_table_free(&table);
        if (!is_there) {
            return true;
        }
    }
}

static bool read_bytes(struct command_call *call,
                       const struct admin_table *rows, size_t row,
                       struct subject *subject)
{
    uint64_t size = 0;
    check(text_to_uint64(text_of(admin_value(rows, row, "size_bytes")), &size));
    if (!read_chunks(call, admin_value(rows, row, "account_id"), subject)) {
        return false;
    }
    if (subject->data.length == 0 || subject->data.length < size) {
        command_fail("the bytes of message %s are no longer kept ([retention] "
                     "body); baton message show tells what is left of it",
                     call->arguments[0]);
        return false;
    }
    return true;
}

/* Everything but the row itself has been checked. */
static bool fill_subject(struct command_call *call,
                         const struct admin_table *rows, size_t row,
                         struct subject *subject)
{
    struct error error;
    int64_t account_id = 0;
    check(id_parse(text_of(admin_value(rows, row, "account_id")), &account_id));
    check(id_parse(text_of(admin_value(rows, row, "delivery_id")),
                   &subject->recipient.delivery_id));
    subject->recipient.address =
        arena_copy_string(subject->arena, admin_value(rows, row, "recipient"));
    admin_bytes(rows, row, "trace", &subject->trace);
    if (!policy_from_json(&subject->policy, subject->arena,
                          text_of(admin_value(rows, row, "policy")), &error)) {
        command_fail("the policy of message %s cannot be read: %s",
                     call->arguments[0], error.text);
        return false;
    }
    if (admin_value(rows, row, "is_untracked")[0] == 't') {
        subject->policy.privacy = PRIVACY_OFF;
    }
    if (!read_keys(call, admin_value(rows, row, "signed_at"), subject) ||
        !read_bytes(call, rows, row, subject)) {
        return false;
    }
    subject->source = (struct compose_source){
        .trace = buffer_text(&subject->trace),
        .message = buffer_text(&subject->data),
        .account_id = account_id,
        .policy = &subject->policy,
        .keys = token_keys_can_sign(subject->keys) ? subject->keys : NULL,
        .to_7bit = command_option(call, "--7bit") != NULL,
    };
    return true;
}

static bool read_subject(struct command_call *call, struct subject *subject)
{
    struct admin_table *rows =
        command_query(call, "admin_message_copy", call->arguments, 1);
    if (rows == NULL) {
        return false;
    }
    size_t row = find_recipient(rows, call->arguments[1]);
    bool is_read = false;
    if (admin_row_count(rows) == 0) {
        command_fail("there is no message %s: it was never accepted here, or "
                     "its time of keeping ([retention] message) is over",
                     call->arguments[0]);
    } else if (row == admin_row_count(rows)) {
        refuse_recipient(call, rows);
    } else {
        is_read = fill_subject(call, rows, row, subject);
    }
    admin_table_free(&rows);
    return is_read;
}

/* -- the whole text, in segments -- */

enum segment_kind { SEGMENT_SAME, SEGMENT_REMOVED, SEGMENT_ADDED };

static const struct {
    const char *name;
    const char *before;
    const char *after;
    const char *color;
} segment_forms[] = {
    [SEGMENT_SAME] = { "same", "", "", "" },
    [SEGMENT_REMOVED] = { "removed", "[-", "-]", "\033[31m" },
    [SEGMENT_ADDED] = { "added", "{+", "+}", "\033[32m" },
};

typedef void segment_fn(void *owner, enum segment_kind kind, struct text text);

/* Where in the message a piece lies; false: it is something new. Spans of the
 * message come in its order. */
static bool is_of_message(struct text message, struct text piece, size_t from,
                          size_t *out_start)
{
    uintptr_t first = (uintptr_t)message.data;
    uintptr_t start = (uintptr_t)piece.data;
    if (start < first + from || start >= first + message.length) {
        return false;
    }
    *out_start = (size_t)(start - first);
    return true;
}

static void give_segment(enum segment_kind kind, struct text text,
                         segment_fn *on_segment, void *owner)
{
    if (text.length > 0) {
        on_segment(owner, kind, text);
    }
}

/* Cut a copy into what is the message's and what is not; what goes stands
 * before what comes. */
static void walk_segments(struct text message, const struct text *pieces,
                          size_t piece_count, segment_fn *on_segment,
                          void *owner)
{
    struct buffer added = { 0 };
    size_t from = 0;
    for (size_t i = 0; i <= piece_count; i++) {
        size_t start = message.length;
        bool is_end = i == piece_count;
        if (!is_end && !is_of_message(message, pieces[i], from, &start)) {
            buffer_append_text(&added, pieces[i]);
            continue;
        }
        give_segment(SEGMENT_REMOVED, text_slice(message, from, start),
                     on_segment, owner);
        give_segment(SEGMENT_ADDED, buffer_text(&added), on_segment, owner);
        buffer_clear(&added);
        if (!is_end) {
            give_segment(SEGMENT_SAME, pieces[i], on_segment, owner);
            from = start + pieces[i].length;
        }
    }
    buffer_free(&added);
}

/* -- for people -- */

static void begin_color(const char *color)
{
    if (color[0] != '\0' && isatty(STDOUT_FILENO)) {
        fputs(color, stdout);
    }
}

static void end_color(void)
{
    if (isatty(STDOUT_FILENO)) {
        fputs("\033[0m", stdout);
    }
}

/* The owner is whether what was printed ends with a line. */
static void print_segment(void *owner, enum segment_kind kind, struct text text)
{
    bool *ends_line = owner;
    begin_color(segment_forms[kind].color);
    fputs(segment_forms[kind].before, stdout);
    output_bytes(text);
    fputs(segment_forms[kind].after, stdout);
    if (kind != SEGMENT_SAME) {
        end_color();
    }
    *ends_line = kind == SEGMENT_SAME && text.data[text.length - 1] == '\n';
}

static void print_segments(struct text message, const struct text *pieces,
                           size_t piece_count)
{
    bool ends_line = true;
    walk_segments(message, pieces, piece_count, print_segment, &ends_line);
    fputs(ends_line ? "" : "\n", stdout);
}

/* Lines after the first one are indented; a final line end is dropped. */
static void print_side(enum segment_kind kind, struct text text)
{
    struct text line;
    bool is_first = true;
    while (text.length > 0 && (text.data[text.length - 1] == '\n' ||
                               text.data[text.length - 1] == '\r')) {
        text.length--;
    }
    begin_color(segment_forms[kind].color);
    while (text_split(&text, '\n', &line)) {
        fputs(is_first ? "" : "\n    ", stdout);
        output_bytes(line);
        is_first = false;
    }
    end_color();
}

/* "header added: List-Unsubscribe: …", "link (part 2): OLD → NEW", "left alone
 * (part 2): LINK (why)" */
static void print_edit(const struct compose_edit *edit)
{
    struct text before = text_of(edit->before);
    struct text after = text_of(edit->after);
    bool is_left = strcmp(edit->what, "left alone") == 0;
    fputs(edit->what, stdout);
    if (edit->part > 0) {
        printf(" (part %zu)", edit->part);
    }
    fputs(": ", stdout);
    if (is_left) {
        output_bytes(before);
        fputs(after.length > 0 ? " (" : "", stdout);
        output_bytes(after);
        fputs(after.length > 0 ? ")" : "", stdout);
    } else {
        print_side(SEGMENT_REMOVED, before);
        fputs(before.length > 0 && after.length > 0 ? " → " : "", stdout);
        print_side(SEGMENT_ADDED, after);
    }
    putchar('\n');
}

static void print_edits(const struct compose_edit *edits, size_t count,
                        const char *recipient)
{
    if (count == 0) {
        printf("The copy for ");
        output_text(recipient);
        printf(" is the message as it came, under its trace fields.\n");
    }
    for (size_t i = 0; i < count; i++) {
        print_edit(&edits[i]);
    }
}

/* -- for programs -- */

static void append_segment_json(void *owner, enum segment_kind kind,
                                struct text text)
{
    json_t *list = owner;
    json_array_append_new(list,
                          json_pack("{ssso}", "kind", segment_forms[kind].name,
                                    "text", output_text_json(text)));
}

static json_t *edits_json(const struct compose_edit *edits, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(
            list, json_pack("{sssIsoso}", "what", edits[i].what, "part",
                            (json_int_t)edits[i].part, "before",
                            output_text_json(text_of(edits[i].before)), "after",
                            output_text_json(text_of(edits[i].after))));
    }
    return list;
}

/* -- the command -- */

static void show_diff(struct command_call *call, struct subject *subject,
                      const struct compose_plan *plan)
{
    struct compose_edit *edits = NULL;
    struct text *pieces = NULL;
    size_t edit_count = 0;
    size_t piece_count = 0;
    bool is_full = command_option(call, "--full") != NULL;
    struct text message = subject->source.message;
    compose_describe(plan, &subject->recipient, subject->arena, &edits,
                     &edit_count);
    compose_copy(plan, &subject->recipient, subject->arena, &pieces,
                 &piece_count);
    if (call->is_json) {
        json_t *json = json_pack("{ssssso}", "message_id", call->arguments[0],
                                 "recipient", subject->recipient.address,
                                 "edits", edits_json(edits, edit_count));
        if (is_full) {
            json_t *segments = json_array();
            walk_segments(message, pieces, piece_count, append_segment_json,
                          segments);
            json_object_set_new(json, "segments", segments);
        }
        output_json(json);
    } else if (is_full) {
        print_segments(message, pieces, piece_count);
    } else {
        print_edits(edits, edit_count, subject->recipient.address);
    }
}

int command_message_diff(struct command_call *call)
{
    struct subject subject = { 0 };
    struct compose_plan *plan = NULL;
    struct error error;
    int64_t id = 0;
    if (!id_parse(text_of(call->arguments[0]), &id)) {
        return command_fail("\"%s\" is no message id: it is the number in "
                            "\"250 2.0.0 Ok: queued as …\"",
                            call->arguments[0]);
    }
    subject.arena = arena_create();
    int status = COMMAND_FAILED;
    if (!read_subject(call, &subject)) {
        status = COMMAND_FAILED;
    } else if (!compose_plan_make(&subject.source, subject.arena, &plan,
                                  &error)) {
        status = command_fail("no copy of message %s can be made: %s",
                              call->arguments[0], error.text);
    } else {
        show_diff(call, &subject, plan);
        status = COMMAND_DONE;
    }
    free_subject(&subject);
    return status;
}
