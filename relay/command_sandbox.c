/* SPDX-License-Identifier: MIT */
/* The local mailbox that the route sandbox: delivers to. */
#include <stdio.h>

#include "core/encoding.h"
#include "core/id.h"
#include "core/memory.h"
#include "relay/command_internal.h"

#define NAMES_MAX 20

static int sandbox_list(struct command_call *call)
{
    struct id_text limit;
    if (!command_read_limit(call, "50", &limit)) {
        return COMMAND_MISUSED;
    }
    const char *parameter = limit.text;
    struct admin_table *table =
        command_query(call, "admin_sandbox_list", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table,
                 "The sandbox is empty; baton route set '*' sandbox: fills "
                 "it.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static json_t *copy_json(const struct admin_table *table, size_t row,
                         struct text bytes)
{
    struct buffer encoded = { 0 };
    base64_encode(bytes, &encoded);
    json_t *json = json_pack(
        "{ssssssssssss}", "delivery_id", admin_value(table, row, "delivery_id"),
        "message_id", admin_value(table, row, "message_id"), "received_at",
        admin_value(table, row, "received_at"), "sender",
        admin_value(table, row, "sender"), "recipient",
        admin_value(table, row, "recipient"), "message_base64",
        encoded.data != NULL ? encoded.data : "");
    buffer_free(&encoded);
    return json;
}

/* The bytes as they would have left, and an end of the last line. Several are
 * told apart by a line between them. */
static void print_copy(const struct admin_table *table, size_t row,
                       struct text bytes, bool is_one_of_many)
{
    if (is_one_of_many) {
        fputs("----- to ", stdout);
        output_text(admin_value(table, row, "recipient"));
        fputs(" -----\n", stdout);
    }
    fwrite(bytes.data, 1, bytes.length, stdout);
    if (bytes.length == 0 || bytes.data[bytes.length - 1] != '\n') {
        putchar('\n');
    }
}

static bool is_to(const struct admin_table *table, size_t row,
                  const char *recipient)
{
    return recipient == NULL ||
           text_is_ignoring_case(text_of(recipient),
                                 admin_value(table, row, "recipient"));
}

/* Those to one recipient, or all. Returns how many there were. */
static size_t print_copies(const struct command_call *call,
                           const struct admin_table *table,
                           const char *recipient)
{
    json_t *list = json_array();
    size_t count = 0;
    for (size_t row = 0; row < admin_row_count(table); row++) {
        count += is_to(table, row, recipient) ? 1 : 0;
    }
    for (size_t row = 0; row < admin_row_count(table); row++) {
        struct buffer bytes = { 0 };
        if (!is_to(table, row, recipient)) {
            continue;
        }
        admin_bytes(table, row, "message", &bytes);
        if (call->is_json) {
            json_array_append_new(list,
                                  copy_json(table, row, buffer_text(&bytes)));
        } else {
            print_copy(table, row, buffer_text(&bytes), count > 1);
        }
        buffer_free(&bytes);
    }
    if (call->is_json && count > 0) {
        output_json(json_incref(list));
    }
    json_decref(list);
    return count;
}

static int refuse_recipient(const struct admin_table *table, const char *id,
                            const char *recipient)
{
    struct buffer names = { 0 };
    for (size_t row = 0; row < admin_row_count(table) && row < NAMES_MAX;
         row++) {
        buffer_printf(&names, "%s%s", row == 0 ? "" : ", ",
                      admin_value(table, row, "recipient"));
    }
    int status = command_fail(
        "the sandbox has no copy of %s to \"%s\"; it has those to %s%s", id,
        recipient, names.data,
        admin_row_count(table) > NAMES_MAX ? " and others" : "");
    buffer_free(&names);
    return status;
}

static int sandbox_show(struct command_call *call)
{
    const char *recipient =
        call->argument_count > 1 ? call->arguments[1] : NULL;
    int64_t id = 0;
    if (!id_parse(text_of(call->arguments[0]), &id)) {
        return command_fail("\"%s\" is no id: baton sandbox list shows them",
                            call->arguments[0]);
    }
    struct admin_table *table =
        command_query(call, "admin_sandbox_show", call->arguments, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    int status = COMMAND_DONE;
    if (admin_row_count(table) == 0) {
        status = command_fail("the sandbox has no delivery or message %s: "
                              "baton sandbox list shows what it has",
                              call->arguments[0]);
    } else if (print_copies(call, table, recipient) == 0) {
        status = refuse_recipient(table, call->arguments[0], recipient);
    }
    admin_table_free(&table);
    return status;
}

static const struct command_option sandbox_list_options[] = {
    { "--limit", "N", "at most so many, the newest (50)" },
    { 0 },
};

const struct command sandbox_commands[] = {
    { "sandbox list", "", "list what the sandbox took in", 0, 0,
      sandbox_list_options, NEEDS_SCHEMA, sandbox_list },
    { "sandbox show", "ID [RECIPIENT]",
      "print the copy of a delivery (or a message's) as it would have left", 1,
      2, NULL, NEEDS_SCHEMA, sandbox_show },
};
const size_t sandbox_command_count = ARRAY_LENGTH(sandbox_commands);
