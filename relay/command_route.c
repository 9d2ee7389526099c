/* SPDX-License-Identifier: MIT */
/* Routes: where a destination goes instead of its MX. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "relay/route_target.h"

/* "*" or a domain. */
static bool read_destination(const char *written, char *out_domain, size_t size)
{
    if (strcmp(written, "*") == 0) {
        snprintf(out_domain, size, "*");
        return true;
    }
    return command_read_domain(written, out_domain, size);
}

void command_print_target(const char *written, struct buffer *out_text)
{
    struct route_target target;
    struct error error;
    if (route_target_parse(written, &target, &error)) {
        route_target_print(&target, out_text);
    } else {
        buffer_printf(out_text, "(not understood: %s)", error.text);
    }
}

static int route_set(struct command_call *call)
{
    char destination[DOMAIN_TEXT_MAX + 1];
    struct route_target target;
    struct error error;
    if (!read_destination(call->arguments[0], destination,
                          sizeof(destination))) {
        return COMMAND_FAILED;
    }
    if (!route_target_parse(call->arguments[1], &target, &error)) {
        return command_fail("the target of the route is not understood: %s",
                            error.text);
    }
    const char *parameters[] = { destination, call->arguments[1] };
    struct admin_table *table =
        command_change_directory(call, "admin_route_set", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    struct buffer shown = { 0 };
    route_target_print(&target, &shown);
    bool is_all = strcmp(destination, "*") == 0;
    output_done(
        call,
        json_pack("{ssss}", "destination", destination, "target", shown.data),
        "%s%s goes to %s",
        is_all ? "every destination without a route of its own" : "mail for ",
        is_all ? "" : destination, shown.data);
    buffer_free(&shown);
    return COMMAND_DONE;
}

static int route_list(struct command_call *call)
{
    struct admin_table *table =
        command_query(call, "admin_route_list", NULL, 0);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    json_t *list = json_array();
    for (size_t row = 0; row < admin_row_count(table); row++) {
        const char *destination = admin_value(table, row, "destination");
        struct buffer shown = { 0 };
        command_print_target(admin_value(table, row, "target"), &shown);
        json_array_append_new(list,
                              json_pack("{ssssss}", "destination", destination,
                                        "target", shown.data, "created_at",
                                        admin_value(table, row, "created_at")));
        if (!call->is_json) {
            output_text(destination);
            fputs("  ->  ", stdout);
            output_text(shown.data);
            putchar('\n');
        }
        buffer_free(&shown);
    }
    if (call->is_json) {
        output_json(list);
    } else {
        json_decref(list);
        if (admin_row_count(table) == 0) {
            printf("There is no route: mail goes to the destinations' MX.\n");
        }
    }
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int route_remove(struct command_call *call)
{
    char destination[DOMAIN_TEXT_MAX + 1];
    if (!read_destination(call->arguments[0], destination,
                          sizeof(destination))) {
        return COMMAND_FAILED;
    }
    const char *parameter = destination;
    struct admin_table *table =
        command_change_directory(call, "admin_route_remove", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return command_fail("there is no route for %s: baton route list shows "
                            "them",
                            destination);
    }
    output_done(call, json_pack("{ss}", "removed", destination),
                "the route for %s is removed", destination);
    return COMMAND_DONE;
}

const struct command route_commands[] = {
    { "route set", "DESTINATION TARGET",
      "send a domain, or * for all, to smtp://…, smtps://…, sandbox: or "
      "discard:",
      2, 2, NULL, NEEDS_SCHEMA, route_set },
    { "route list", "", "list routes", 0, 0, NULL, NEEDS_SCHEMA, route_list },
    { "route remove", "DESTINATION", "remove a route", 1, 1, NULL, NEEDS_SCHEMA,
      route_remove },
};
const size_t route_command_count = ARRAY_LENGTH(route_commands);
