/* SPDX-License-Identifier: MIT */
/* Hosts of links, the keys that sign them, and who objects to them. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "relay/command_internal.h"

/* -- hosts -- */

static int refuse_taken_host(struct command_call *call, const char *host)
{
    struct admin_table *table =
        command_query(call, "admin_tracking_host_owner", &host, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    int status = command_fail("account %s has the host %s already",
                              admin_row_count(table) > 0
                                  ? admin_value(table, 0, "account")
                                  : call->arguments[0],
                              host);
    admin_table_free(&table);
    return status;
}

static int host_add(struct command_call *call)
{
    struct id_text id;
    struct error error;
    char host[DOMAIN_TEXT_MAX + 1];
    const char *scheme =
        command_option(call, "--http") != NULL ? "http" : "https";
    if (!command_read_domain(call->arguments[1], host, sizeof(host)) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, host, scheme };
    struct admin_table *table =
        command_change(call, "admin_tracking_host_add", parameters, 3,
                       CHANNEL_DIRECTORY, "", &error);
    if (table == NULL) {
        return command_is_duplicate(call) ? refuse_taken_host(call, host)
                                          : command_fail("%s", error.text);
    }
    admin_table_free(&table);
    output_done(call,
                json_pack("{ssssss}", "account", call->arguments[0], "host",
                          host, "scheme", scheme),
                "links of account %s can be under %s://%s/; it has to lead to "
                "Baton's HTTP listener, with the Host field as it is",
                call->arguments[0], scheme, host);
    return COMMAND_DONE;
}

static int host_list(struct command_call *call)
{
    struct id_text id;
    const char *parameter = NULL;
    if (!command_find_account_argument(call, &id, &parameter)) {
        return COMMAND_FAILED;
    }
    struct admin_table *table =
        command_query(call, "admin_tracking_host_list", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table,
                 "There is no host of an account's own: links are under "
                 "[server] public_url; baton tracking-host add ACCOUNT HOST.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int host_remove(struct command_call *call)
{
    struct id_text id;
    char host[DOMAIN_TEXT_MAX + 1];
    if (!command_read_domain(call->arguments[1], host, sizeof(host)) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, host };
    struct admin_table *table = command_change_directory(
        call, "admin_tracking_host_remove", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return command_fail("account %s has no host %s: baton tracking-host "
                            "list %s",
                            call->arguments[0], host, call->arguments[0]);
    }
    output_done(call, json_pack("{ss}", "removed", host),
                "host %s removed; links under it work as long as it leads to "
                "Baton",
                host);
    return COMMAND_DONE;
}

/* -- keys -- */

static int key_list(struct command_call *call)
{
    struct admin_table *table = command_query(call, "admin_key_list", NULL, 0);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table, "There is no key: baton key rotate makes one.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int key_rotate(struct command_call *call)
{
    struct admin_table *table =
        command_change_directory(call, "admin_key_rotate", NULL, 0);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    json_t *rows = admin_table_json(table);
    output_done(call, json_incref(json_array_get(rows, 0)),
                "key %s signs from %s on, in a minute, when all workers have "
                "it; older keys stay good for links that were sent",
                admin_value(table, 0, "key_id"),
                admin_value(table, 0, "active_from"));
    json_decref(rows);
    admin_table_free(&table);
    return COMMAND_DONE;
}

/* -- objections -- */

static int untracked_add(struct command_call *call)
{
    struct id_text id;
    struct address address;
    struct error error;
    if (!address_parse(text_of(call->arguments[1]), true, &address, &error)) {
        return command_fail("\"%s\" is no mail address: %s", call->arguments[1],
                            error.text);
    }
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, call->arguments[1] };
    struct admin_table *table =
        command_change_directory(call, "admin_untracked_add", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    output_done(call, json_pack("{ss}", "untracked", call->arguments[1]),
                "%s is not tracked any more: new copies have no links or pixel "
                "of ours, and those that were sent record nothing",
                call->arguments[1]);
    return COMMAND_DONE;
}

static int untracked_remove(struct command_call *call)
{
    struct id_text id;
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, call->arguments[1] };
    struct admin_table *table =
        command_change_directory(call, "admin_untracked_remove", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return command_fail("%s does not object to being tracked: baton "
                            "untracked list %s",
                            call->arguments[1], call->arguments[0]);
    }
    output_done(call, json_pack("{ss}", "removed", call->arguments[1]),
                "%s is tracked again", call->arguments[1]);
    return COMMAND_DONE;
}

static int untracked_list(struct command_call *call)
{
    struct id_text id;
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameter = id.text;
    struct admin_table *table =
        command_query(call, "admin_untracked_list", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table,
                 "Nobody objects to being tracked: baton untracked add "
                 "ACCOUNT ADDRESS.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

/* -- the table -- */

static const struct command_option host_add_options[] = {
    { "--http", NULL, "links begin with http://, not https://" },
    { 0 },
};

const struct command tracking_commands[] = {
    { "tracking-host add", "ACCOUNT HOST",
      "give an account's links a host of its own", 2, 2, host_add_options,
      NEEDS_SCHEMA, host_add },
    { "tracking-host list", "[ACCOUNT]", "list hosts of links", 0, 1, NULL,
      NEEDS_SCHEMA, host_list },
    { "tracking-host remove", "ACCOUNT HOST", "take a host away", 2, 2, NULL,
      NEEDS_SCHEMA, host_remove },
    { "key list", "", "list the keys that sign links", 0, 0, NULL, NEEDS_SCHEMA,
      key_list },
    { "key rotate", "", "make a new key; old ones stay good", 0, 0, NULL,
      NEEDS_SCHEMA, key_rotate },
    { "untracked add", "ACCOUNT ADDRESS",
      "a recipient objects to being tracked", 2, 2, NULL, NEEDS_SCHEMA,
      untracked_add },
    { "untracked list", "ACCOUNT", "list who objects", 1, 1, NULL, NEEDS_SCHEMA,
      untracked_list },
    { "untracked remove", "ACCOUNT ADDRESS", "the objection is taken back", 2,
      2, NULL, NEEDS_SCHEMA, untracked_remove },
};
const size_t tracking_command_count = ARRAY_LENGTH(tracking_commands);
