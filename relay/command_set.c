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

/* The key may be written in any case. */
static bool find_row(const char *key, struct setting_row *out_row)
{
    for (size_t i = 0; i < row_count(); i++) {
        if (read_row(i, out_row) &&
            text_is_ignoring_case(text_of(key), out_row->key)) {
            return true;
        }
    }
    return false;
}

/* -- reading -- */

static int refuse_key(const char *key, bool is_of_group)
{
    struct buffer keys = { 0 };
    const char *nearest = NULL;
    size_t least = 4; /* more letters than that are no slip */
    const char *owner = is_of_group ? "a group has" : "there is";
    for (size_t i = is_of_group ? account_setting_count : 0; i < row_count();
         i++) {
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
            ? command_fail("%s no setting \"%s\"; did you mean %s?", owner, key,
                           nearest)
            : command_fail("%s no setting \"%s\"; possible are %s%s", owner,
                           key, is_of_group ? "kind, " : "", keys.data);
    buffer_free(&keys);
    return status;
}

const char *command_read_group_key(const char *written)
{
    struct setting_row row;
    if (text_is_ignoring_case(text_of(written), "kind")) {
        return "kind";
    }
    if (find_row(written, &row) && policy_has_setting(row.key)) {
        return row.key;
    }
    refuse_key(written, true);
    return NULL;
}

/* on and off are meant as such wherever they mean something. */
static bool is_switch_word(const struct setting_row *row, const char *value)
{
    static const char *const words[] = { "on", "off" };
    return strcmp(row->values, "text") != 0 &&
           command_read_word(value, words, ARRAY_LENGTH(words)) != NULL;
}

static bool can_be(const struct setting_row *row, const char *value,
                   struct error *error)
{
    if (row->check_value != NULL) {
        return row->check_value(value) ||
               error_set(error, "%s cannot be \"%s\"; it may be: %s", row->key,
                         value, row->values);
    }
    struct arena *arena = arena_create();
    struct policy policy;
    policy_set_defaults(&policy, arena);
    bool is_good = policy_apply(&policy, arena, row->key, value, error);
    arena_free(&arena);
    return is_good;
}

/* As it is written, or in small letters (which are put into `lowered`), as
 * control headers are read; NULL: it cannot be, and that was said. */
static const char *read_value(const struct setting_row *row,
                              const char *written, struct buffer *lowered)
{
    struct error error;
    struct error again;
    if (!is_switch_word(row, written) && can_be(row, written, &error)) {
        return written;
    }
    for (const char *c = written; *c != '\0'; c++) {
        buffer_append_byte(lowered, ascii_lower(*c));
    }
    const char *value = lowered->data != NULL ? lowered->data : "";
    if (can_be(row, value, &again)) {
        return value;
    }
    can_be(row, written, &error);
    command_fail("%s", error.text);
    return NULL;
}

const char *command_read_policy(const char *key, const char *written,
                                struct buffer *lowered)
{
    struct setting_row row;
    bool is_found = find_row(key, &row);
    check(is_found);
    return read_value(&row, written, lowered);
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
    if (limit_name_find(row->key) != NULL &&
        !command_begin_usage(call, account_id)) {
        return COMMAND_FAILED;
    }
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
                          const char *key, const char *written)
{
    struct setting_row row;
    struct buffer lowered = { 0 };
    if (!find_row(key, &row)) {
        return refuse_key(key, false);
    }
    const char *value =
        written == NULL ? NULL : read_value(&row, written, &lowered);
    int status = written != NULL && value == NULL
                     ? COMMAND_FAILED
                     : store_setting(call, account_id, &row, value);
    buffer_free(&lowered);
    return status;
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
    static const char *const words[] = { "on", "off" };
    const char *value = command_read_word(call->arguments[0], words, 2);
    if (value == NULL) {
        return command_misuse(call, "expected on or off, not \"%s\"",
                              call->arguments[0]);
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
