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

/* The host of a URL or of HOST:PORT, as far as it can be told. */
static struct text host_of(const char *written)
{
    const char *start = strstr(written, "://");
    start = start != NULL ? start + 3 : written;
    return text_slice(text_of(start), 0, strcspn(start, ":/?#"));
}

/* A host alone, as all links of its account begin with. */
static bool read_host(const char *written, char out_host[DOMAIN_TEXT_MAX + 1])
{
    struct text host = host_of(written);
    const char *rest = written + strcspn(written, ":/");
    uint64_t port = 0;
    if (rest[0] == ':' && text_to_uint64(text_of(rest + 1), &port)) {
        command_fail("\"%s\": a tracking host has no port, only [server] "
                     "public_url can have one; give the host alone: %.*s",
                     written, TEXT_ARGUMENTS(host));
        return false;
    }
    if (rest[0] != '\0') {
        command_fail("\"%s\" is no host; give the host alone: %.*s", written,
                     TEXT_ARGUMENTS(host));
        return false;
    }
    if (!command_read_domain(written, out_host, DOMAIN_TEXT_MAX + 1)) {
        return false;
    }
    if (strchr(out_host, '.') == NULL) {
        command_fail("\"%s\" has no dot, so that recipients could not find "
                     "it; give the whole name, as in click.shop.example",
                     written);
        return false;
    }
    return true;
}

/* Under which host new links of the account are. False: that could not be
 * asked. */
static bool find_used_host(struct command_call *call, const char *account_id,
                           struct buffer *out_used)
{
    struct admin_table *table =
        command_query(call, "admin_tracking_host_list", &account_id, 1);
    for (size_t row = 0; table != NULL && row < admin_row_count(table); row++) {
        if (admin_value(table, row, "is_used")[0] == 't') {
            buffer_append_string(out_used, admin_value(table, row, "host"));
        }
    }
    bool is_found = table != NULL && out_used->length > 0;
    admin_table_free(&table);
    return is_found;
}

/* New links have the oldest host of their account. */
static int say_host_added(struct command_call *call, const char *account_id,
                          const char *host, const char *scheme)
{
    struct buffer used = { 0 };
    if (!find_used_host(call, account_id, &used)) {
        buffer_free(&used);
        return COMMAND_FAILED;
    }
    bool is_used = strcmp(used.data, host) == 0;
    json_t *json =
        json_pack("{sssssssb}", "account", call->arguments[0], "host", host,
                  "scheme", scheme, "is_used", is_used);
    if (is_used) {
        output_done(call, json,
                    "new links of account %s are under %s://%s/ from now on; "
                    "its DNS must lead to Baton's HTTP listener or to a proxy "
                    "before it, which leaves the Host field as it is",
                    call->arguments[0], scheme, host);
    } else {
        output_done(call, json,
                    "links of account %s may be under %s://%s/; new ones stay "
                    "under %s until that is removed (baton tracking-host "
                    "remove %s %s)",
                    call->arguments[0], scheme, host, used.data,
                    call->arguments[0], used.data);
    }
    buffer_free(&used);
    return COMMAND_DONE;
}

static int host_add(struct command_call *call)
{
    struct id_text id;
    struct error error;
    char host[DOMAIN_TEXT_MAX + 1];
    const char *scheme =
        command_option(call, "--http") != NULL ? "http" : "https";
    if (!read_host(call->arguments[1], host) ||
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
    return say_host_added(call, id.text, host, scheme);
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
    char kept[ADDRESS_TEXT_MAX + 1];
    call->arguments[1] = command_kept_address(call->arguments[1], kept);
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
    char kept[ADDRESS_TEXT_MAX + 1];
    call->arguments[1] = command_kept_address(call->arguments[1], kept);
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
