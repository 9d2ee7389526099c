/* SPDX-License-Identifier: MIT */
/*
 * What can be set for an account: the rows of sql/directory.c (what a relay
 * does for it) and those of tracking/policy.c (what is done to its messages).
 */
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "sql/directory.h"
#include "tracking/policy.h"

/* One key, whichever table it is of. */
struct setting_row {
    const char *key;
    const char *values;
    const char *initial;
    const char *description;
    bool (*check_value)(const char *value); /* NULL: policy_apply checks it */
};

static size_t row_count(void)
{
    return account_setting_count + policy_setting_count;
}

/* False: a key of both tables, which is the policy's. */
static bool read_row(size_t i, struct setting_row *out_row)
{
    if (i >= account_setting_count) {
        const struct policy_setting *setting =
            &policy_settings[i - account_setting_count];
        *out_row = (struct setting_row){ setting->name, setting->values,
                                         setting->initial, setting->description,
                                         NULL };
        return true;
    }
    const struct account_setting *setting = &account_settings[i];
    *out_row =
        (struct setting_row){ setting->key, setting->values, setting->initial,
                              setting->description, setting->check_value };
    return !policy_has_setting(setting->key);
}

static bool find_row(const char *key, struct setting_row *out_row)
{
    for (size_t i = 0; i < row_count(); i++) {
        if (read_row(i, out_row) && strcmp(out_row->key, key) == 0) {
            return true;
        }
    }
    return false;
}

bool command_check_policy(const char *key, const char *value)
{
    struct arena *arena = arena_create();
    struct policy policy;
    struct error error;
    policy_set_defaults(&policy, arena);
    bool is_good = policy_apply(&policy, arena, key, value, &error);
    arena_free(&arena);
    if (!is_good) {
        command_fail("%s", error.text);
    }
    return is_good;
}

/* -- help -- */

static void print_help_row(const struct setting_row *row)
{
    printf("  %-20s %s\n  %-20s   %s; initially %s\n", row->key,
           row->description, "", row->values,
           row->initial[0] != '\0' ? row->initial : "empty");
}

void command_print_account_settings(void)
{
    struct setting_row row;
    printf("\nSettings of an account:\n");
    for (size_t i = 0; i < account_setting_count; i++) {
        if (read_row(i, &row)) {
            print_help_row(&row);
        }
    }
    printf("\nWhat is done to its messages, unless their group or a control "
           "header says otherwise:\n");
    for (size_t i = account_setting_count; i < row_count(); i++) {
        if (read_row(i, &row)) {
            print_help_row(&row);
        }
    }
}

void command_print_group_settings(void)
{
    struct setting_row row;
    printf("\nKeys; \"default\" as VALUE takes a setting away, so that the "
           "account's holds:\n");
    printf("  %-20s %s\n  %-20s   %s\n", "kind", "what the messages are for",
           "", "transactional, marketing (gets List-Unsubscribe)");
    for (size_t i = account_setting_count; i < row_count(); i++) {
        if (read_row(i, &row)) {
            print_help_row(&row);
        }
    }
}

/* -- showing -- */

static const char *given_value(const struct admin_table *given, const char *key)
{
    for (size_t row = 0; row < admin_row_count(given); row++) {
        if (strcmp(admin_value(given, row, "key"), key) == 0) {
            return admin_value(given, row, "value");
        }
    }
    return NULL;
}

static void print_setting(const struct setting_row *row, const char *value)
{
    printf("%-20s ", row->key);
    output_text(value != NULL ? value : row->initial);
    printf("%s  %s (%s)\n", value != NULL ? "" : " (default)", row->description,
           row->values);
}

static void print_settings(const struct command_call *call,
                           const struct admin_table *given)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row_count(); i++) {
        struct setting_row row;
        if (!read_row(i, &row)) {
            continue;
        }
        const char *value = given_value(given, row.key);
        json_array_append_new(
            list, json_pack("{sssssbssss}", "key", row.key, "value",
                            value != NULL ? value : row.initial, "is_default",
                            value == NULL, "values", row.values, "description",
                            row.description));
        if (!call->is_json) {
            print_setting(&row, value);
        }
    }
    if (call->is_json) {
        output_json(list);
    } else {
        json_decref(list);
    }
}

static int list_settings(struct command_call *call, const char *account_id)
{
    struct admin_table *given =
        command_query(call, "admin_account_settings", &account_id, 1);
    if (given == NULL) {
        return COMMAND_FAILED;
    }
    print_settings(call, given);
    admin_table_free(&given);
    return COMMAND_DONE;
}

/* -- changing -- */

static int refuse_key(const char *key)
{
    struct buffer keys = { 0 };
    const char *nearest = NULL;
    size_t least = 4; /* more letters than that are no slip */
    for (size_t i = 0; i < row_count(); i++) {
        struct setting_row row;
        if (!read_row(i, &row)) {
            continue;
        }
        size_t letters = text_distance(key, row.key);
        if (letters < least) {
            least = letters;
            nearest = row.key;
        }
        buffer_printf(&keys, "%s%s", keys.length == 0 ? "" : ", ", row.key);
    }
    int status =
        nearest != NULL
            ? command_fail("there is no setting \"%s\"; did you mean %s?", key,
                           nearest)
            : command_fail("there is no setting \"%s\"; possible are %s", key,
                           keys.data);
    buffer_free(&keys);
    return status;
}

/* value NULL: the default again. */
static int store_setting(struct command_call *call, const char *account_id,
                         const struct setting_row *row, const char *value)
{
    const char *parameters[] = { account_id, row->key, value };
    struct admin_table *table =
        command_change_directory(call, "admin_account_set", parameters, 3);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    const char *shown = value != NULL ? value : row->initial;
    output_done(call,
                json_pack("{ssssss}", "account", call->arguments[0], "key",
                          row->key, "value", shown),
                "%s of account %s is %s%s", row->key, call->arguments[0],
                shown[0] != '\0' ? shown : "empty",
                value == NULL ? ", the default" : "");
    return COMMAND_DONE;
}

static int change_setting(struct command_call *call, const char *account_id,
                          const char *key, const char *value)
{
    struct setting_row row;
    if (!find_row(key, &row)) {
        return refuse_key(key);
    }
    if (value != NULL && row.check_value == NULL &&
        !command_check_policy(key, value)) {
        return COMMAND_FAILED;
    }
    if (value != NULL && row.check_value != NULL && !row.check_value(value)) {
        return command_fail("%s cannot be \"%s\": expected %s", key, value,
                            row.values);
    }
    return store_setting(call, account_id, &row, value);
}

static int account_set(struct command_call *call)
{
    struct id_text id;
    bool is_reset = command_option(call, "--default") != NULL;
    if (call->argument_count == 1 && is_reset) {
        return command_misuse(call, "--default needs the KEY");
    }
    if (call->argument_count > 1 && (call->argument_count == 2) != is_reset) {
        return command_misuse(call, "after the KEY expected either a VALUE or "
                                    "--default");
    }
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    return call->argument_count == 1
               ? list_settings(call, id.text)
               : change_setting(call, id.text, call->arguments[1],
                                is_reset ? NULL : call->arguments[2]);
}

/* -- the emergency switch of all accounts -- */

static int show_pass_through(struct command_call *call)
{
    struct admin_table *given =
        command_query(call, "admin_server_setting_list", NULL, 0);
    if (given == NULL) {
        return COMMAND_FAILED;
    }
    const char *value = "off";
    for (size_t row = 0; row < admin_row_count(given); row++) {
        if (strcmp(admin_value(given, row, "name"), "pass_through") == 0) {
            value = admin_value(given, row, "value");
        }
    }
    output_done(call, json_pack("{ss}", "pass_through", value),
                "pass_through is %s for all accounts%s", value,
                strcmp(value, "on") == 0
                    ? ": messages leave as they came"
                    : "; an account may have it on for itself (baton set)");
    admin_table_free(&given);
    return COMMAND_DONE;
}

static int pass_through(struct command_call *call)
{
    if (call->argument_count == 0) {
        return show_pass_through(call);
    }
    const char *value = call->arguments[0];
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        return command_misuse(call, "expected on or off, not \"%s\"", value);
    }
    const char *parameters[] = { "pass_through", value };
    struct admin_table *table = command_change_directory(
        call, "admin_server_setting_set", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    return show_pass_through(call);
}

/* -- the table -- */

static const struct command_option set_options[] = {
    { "--default", NULL, "give KEY its default again" },
    { 0 },
};

const struct command set_commands[] = {
    { "set", "ACCOUNT [KEY VALUE]", "show or change an account's settings", 1,
      3, set_options, NEEDS_SCHEMA, account_set },
    { "pass-through", "[on|off]",
      "emergency: deliver everybody's messages as they came, at once", 0, 1,
      NULL, NEEDS_SCHEMA, pass_through },
};
const size_t set_command_count = ARRAY_LENGTH(set_commands);
