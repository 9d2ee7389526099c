/* SPDX-License-Identifier: MIT */
/* Limits: what is used of them, and those of one user name. */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "relay/command_internal.h"
#include "sql/limits.h"

/* -- what is used -- */

static int limits(struct command_call *call)
{
    struct id_text id;
    const char *account_id = NULL;
    if (!command_find_account_argument(call, &id, &account_id)) {
        return COMMAND_FAILED;
    }
    struct admin_table *table =
        command_query(call, "admin_usage_list", &account_id, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table,
                 "There is no limit: baton set ACCOUNT messages_per_hour 1000, "
                 "or baton credential set ACCOUNT USER messages_per_hour 100.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

bool command_begin_usage(struct command_call *call, const char *account_id)
{
    char now[CLOCK_TEXT_SIZE];
    const char *parameters[] = { account_id, clock_iso8601(clock_now(), now) };
    struct admin_table *table =
        command_query(call, "admin_usage_begin", parameters, 2);
    bool is_done = table != NULL;
    admin_table_free(&table);
    return is_done;
}

/* -- of a user name -- */

static const struct limit_name *find_key(const char *written)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (text_is_ignoring_case(text_of(written), limit_names[i].key)) {
            return &limit_names[i];
        }
    }
    struct buffer keys = { 0 };
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        buffer_printf(&keys, "%s%s", i == 0 ? "" : ", ", limit_names[i].key);
    }
    command_fail("a user name has no setting \"%s\"; possible are %s", written,
                 keys.data);
    buffer_free(&keys);
    return NULL;
}

/* User names are kept in lower case. */
static char *lower_copy(const char *written)
{
    char *copy = memory_copy_string(written);
    for (char *c = copy; *c != '\0'; c++) {
        *c = ascii_lower(*c);
    }
    return copy;
}

static int fail_user(const struct command_call *call)
{
    return command_fail("account %s has no user %s: baton credential list %s",
                        call->arguments[0], call->arguments[1],
                        call->arguments[0]);
}

static const char *given_value(const struct admin_table *given, const char *key)
{
    for (size_t row = 0; row < admin_row_count(given); row++) {
        const char *name = admin_value(given, row, "key");
        if (name != NULL && strcmp(name, key) == 0) {
            return admin_value(given, row, "value");
        }
    }
    return "none";
}

static int list_limits(struct command_call *call, const char *account_id,
                       const char *user)
{
    const char *parameters[] = { account_id, user };
    struct admin_table *given =
        command_query(call, "admin_credential_settings", parameters, 2);
    if (given == NULL) {
        return COMMAND_FAILED;
    }
    if (admin_row_count(given) == 0) {
        admin_table_free(&given);
        return fail_user(call);
    }
    json_t *json = json_object();
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const char *value = given_value(given, limit_names[i].key);
        json_object_set_new(json, limit_names[i].key, json_string(value));
        if (!call->is_json) {
            printf("%-22s %s\n", limit_names[i].key, value);
        }
    }
    if (call->is_json) {
        output_json(json);
    } else {
        json_decref(json);
    }
    admin_table_free(&given);
    return COMMAND_DONE;
}

/* value NULL: no limit. */
static int store_limit(struct command_call *call, const char *account_id,
                       const char *user, const char *key, const char *value)
{
    const char *parameters[] = { account_id, user, key, value };
    struct admin_table *table =
        command_change_directory(call, "admin_credential_set", parameters, 4);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return fail_user(call);
    }
    if (!command_begin_usage(call, account_id)) {
        return COMMAND_FAILED;
    }
    const char *shown = value != NULL ? value : "none";
    output_done(call,
                json_pack("{ssssssss}", "account", call->arguments[0],
                          "user_name", user, "key", key, "value", shown),
                "%s of user %s is %s", key, user, shown);
    return COMMAND_DONE;
}

static int change_limit(struct command_call *call, const char *account_id,
                        const char *user)
{
    const struct limit_name *name = find_key(call->arguments[2]);
    if (name == NULL) {
        return COMMAND_FAILED;
    }
    bool is_reset = command_option(call, "--default") != NULL;
    char *value = is_reset ? NULL : lower_copy(call->arguments[3]);
    int status = COMMAND_FAILED;
    if (value != NULL && !limit_is_value(value)) {
        command_fail("%s cannot be \"%s\"; it may be: %s", name->key,
                     call->arguments[3], LIMIT_VALUES);
    } else {
        status = store_limit(call, account_id, user, name->key, value);
    }
    memory_free(value);
    return status;
}

static int credential_set(struct command_call *call)
{
    struct id_text id;
    bool is_reset = command_option(call, "--default") != NULL;
    if (call->argument_count == 2 && is_reset) {
        return command_misuse(call, "--default needs the KEY");
    }
    if (call->argument_count > 2 && (call->argument_count == 3) != is_reset) {
        return command_misuse(call, "after the KEY expected either a VALUE or "
                                    "--default");
    }
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    char *user = lower_copy(call->arguments[1]);
    int status = call->argument_count == 2 ? list_limits(call, id.text, user)
                                           : change_limit(call, id.text, user);
    memory_free(user);
    return status;
}

/* -- the table -- */

static const struct command_option credential_set_options[] = {
    { "--default", NULL, "take the limit KEY away" },
    { 0 },
};

const struct command limit_commands[] = {
    { "limits", "[ACCOUNT]",
      "what accounts and user names have used of their limits", 0, 1, NULL,
      NEEDS_SCHEMA, limits },
    { "credential set", "ACCOUNT USER [KEY VALUE]",
      "show or change a user name's limits, like messages_per_hour", 2, 4,
      credential_set_options, NEEDS_SCHEMA, credential_set },
};
const size_t limit_command_count = ARRAY_LENGTH(limit_commands);
