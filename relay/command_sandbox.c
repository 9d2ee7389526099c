/* SPDX-License-Identifier: MIT */
/* The local mailbox that the route sandbox: delivers to. */
#include <stdio.h>

#include "core/encoding.h"
#include "core/id.h"
#include "core/memory.h"
#include "relay/command_internal.h"

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

/* The bytes as they would have left, unless they are not for a file but for
 * JSON: base64 then. */
static void print_copies(const struct command_call *call,
                         const struct admin_table *table)
{
    json_t *list = json_array();
    for (size_t row = 0; row < admin_row_count(table); row++) {
        struct buffer bytes = { 0 };
        struct buffer encoded = { 0 };
        admin_bytes(table, row, "message", &bytes);
        if (call->is_json) {
            base64_encode(buffer_text(&bytes), &encoded);
            json_array_append_new(
                list,
                json_pack("{ssssssssssss}", "delivery_id",
                          admin_value(table, row, "delivery_id"), "message_id",
                          admin_value(table, row, "message_id"), "received_at",
                          admin_value(table, row, "received_at"), "sender",
                          admin_value(table, row, "sender"), "recipient",
                          admin_value(table, row, "recipient"),
                          "message_base64",
                          encoded.data != NULL ? encoded.data : ""));
        } else {
            fwrite(bytes.data, 1, bytes.length, stdout);
        }
        buffer_free(&bytes);
        buffer_free(&encoded);
    }
    if (call->is_json) {
        output_json(list);
    } else {
        json_decref(list);
    }
}

static int sandbox_show(struct command_call *call)
{
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
    size_t count = admin_row_count(table);
    print_copies(call, table);
    admin_table_free(&table);
    return count > 0 ? COMMAND_DONE
                     : command_fail("the sandbox has no delivery or message "
                                    "%s: baton sandbox list shows what it has",
                                    call->arguments[0]);
}

static const struct command_option sandbox_list_options[] = {
    { "--limit", "N", "at most so many, the newest (50)" },
    { 0 },
};

const struct command sandbox_commands[] = {
    { "sandbox list", "", "list what the sandbox took in", 0, 0,
      sandbox_list_options, NEEDS_SCHEMA, sandbox_list },
    { "sandbox show", "ID",
      "print the copy of a delivery (or of a message's) as it would have left",
      1, 1, NULL, NEEDS_SCHEMA, sandbox_show },
};
const size_t sandbox_command_count = ARRAY_LENGTH(sandbox_commands);
