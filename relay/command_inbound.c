/* SPDX-License-Identifier: MIT */
/* Inbound routes: where mail to an account's own addresses goes. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "relay/route_target.h"

/* An address as it is kept: in lower case, its domain normalised. */
struct inbound_address {
    char text[ADDRESS_TEXT_MAX + 1];
    const char *domain; /* within it */
};

/* "local@domain" or "@domain". False: that was said. */
static bool read_address(const char *written, struct inbound_address *out)
{
    char domain[DOMAIN_TEXT_MAX + 1];
    struct address address;
    struct error error;
    if (written[0] == '@') {
        address = (struct address){ text_of(""), text_of(written + 1) };
    } else if (!address_parse(text_of(written), true, &address, &error)) {
        command_fail("%s: %s; it is ADDRESS, or @DOMAIN for all of a domain",
                     written, error.text);
        return false;
    }
    char copy[ADDRESS_TEXT_MAX + 1];
    snprintf(copy, sizeof(copy), "%.*s", TEXT_ARGUMENTS(address.domain));
    if (!command_read_domain(copy, domain, sizeof(domain))) {
        return false;
    }
    snprintf(out->text, sizeof(out->text), "%.*s@%s",
             TEXT_ARGUMENTS(address.local), domain);
    for (size_t i = 0; i < address.local.length; i++) {
        out->text[i] = ascii_lower(out->text[i]);
    }
    out->domain = out->text + address.local.length + 1;
    return true;
}

static int fail_taken(struct command_call *call,
                      const struct inbound_address *address)
{
    const char *parameter = address->text;
    struct admin_table *table =
        command_query(call, "admin_inbound_owner", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    int status = command_fail(
        "%s has an inbound route already, of account %s: baton "
        "inbound remove takes it away",
        address->text,
        admin_row_count(table) > 0 ? admin_value(table, 0, "account")
                                   : "(it was just removed)");
    admin_table_free(&table);
    return status;
}

static int inbound_add(struct command_call *call)
{
    struct id_text id;
    struct inbound_address address;
    struct route_target target;
    struct error error;
    if (!read_address(call->arguments[1], &address)) {
        return COMMAND_FAILED;
    }
    if (!route_target_parse(call->arguments[2], &target, &error)) {
        return command_fail("the target of the route is not understood: %s",
                            error.text);
    }
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, address.text, address.domain,
                                 call->arguments[2] };
    struct admin_table *table =
        command_change(call, "admin_inbound_add", parameters, 4,
                       CHANNEL_DIRECTORY, "", &error);
    if (table == NULL) {
        return command_is_duplicate(call) ? fail_taken(call, &address)
                                          : command_fail("%s", error.text);
    }
    bool is_added = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_added) {
        return command_fail("%s is no domain of account %s: baton domain add "
                            "%s %s",
                            address.domain, call->arguments[0],
                            call->arguments[0], address.domain);
    }
    struct buffer shown = { 0 };
    route_target_print(&target, &shown);
    output_done(call,
                json_pack("{ssssss}", "account", call->arguments[0], "address",
                          address.text, "target", shown.data),
                "mail to %s%s that comes to the inbound listener goes to %s",
                address.text[0] == '@' ? "all of " : "", address.text,
                shown.data);
    buffer_free(&shown);
    return COMMAND_DONE;
}

static void show_row(const struct command_call *call,
                     const struct admin_table *table, size_t row, json_t *list)
{
    const char *account = admin_value(table, row, "account");
    const char *address = admin_value(table, row, "address");
    struct buffer shown = { 0 };
    command_print_target(admin_value(table, row, "target"), &shown);
    json_array_append_new(list,
                          json_pack("{ssssssss}", "account", account, "address",
                                    address, "target", shown.data, "created_at",
                                    admin_value(table, row, "created_at")));
    if (!call->is_json) {
        output_text(account);
        fputs(": ", stdout);
        output_text(address);
        fputs("  ->  ", stdout);
        output_text(shown.data);
        putchar('\n');
    }
    buffer_free(&shown);
}

static int inbound_list(struct command_call *call)
{
    struct id_text id;
    const char *parameter = NULL;
    if (!command_find_account_argument(call, &id, &parameter)) {
        return COMMAND_FAILED;
    }
    struct admin_table *table =
        command_query(call, "admin_inbound_list", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    json_t *list = json_array();
    for (size_t row = 0; row < admin_row_count(table); row++) {
        show_row(call, table, row, list);
    }
    if (call->is_json) {
        output_json(list);
    } else {
        json_decref(list);
        if (admin_row_count(table) == 0) {
            printf("There is no inbound route: baton inbound add ACCOUNT "
                   "ADDRESS|@DOMAIN TARGET.\n");
        }
    }
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int inbound_remove(struct command_call *call)
{
    struct id_text id;
    struct inbound_address address;
    if (!read_address(call->arguments[1], &address) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, address.text };
    struct admin_table *table =
        command_change_directory(call, "admin_inbound_remove", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return command_fail("account %s has no inbound route for %s: baton "
                            "inbound list shows them",
                            call->arguments[0], address.text);
    }
    output_done(call, json_pack("{ss}", "removed", address.text),
                "the inbound route for %s is removed", address.text);
    return COMMAND_DONE;
}

const struct command inbound_commands[] = {
    { "inbound add", "ACCOUNT ADDRESS|@DOMAIN TARGET",
      "hand mail to an address, or to all of a domain, on to smtp://…", 3, 3,
      NULL, NEEDS_SCHEMA, inbound_add },
    { "inbound list", "[ACCOUNT]", "list inbound routes", 0, 1, NULL,
      NEEDS_SCHEMA, inbound_list },
    { "inbound remove", "ACCOUNT ADDRESS|@DOMAIN", "remove an inbound route", 2,
      2, NULL, NEEDS_SCHEMA, inbound_remove },
};
const size_t inbound_command_count = ARRAY_LENGTH(inbound_commands);
