/* SPDX-License-Identifier: MIT */
/* Groups of messages, and what was counted for them. */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "relay/command_internal.h"
#include "tracking/group.h"
#include "tracking/policy.h"

/* -- groups -- */

static int group_list(struct command_call *call)
{
    struct id_text id;
    const char *parameter = id.text;
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    struct admin_table *table =
        command_query(call, "admin_group_list", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table,
                 "There is no group yet: a message makes one, by \"{Name}\" at "
                 "the end of its Subject or by X-Baton-Group.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static bool is_kind(const char *kind)
{
    if (strcmp(kind, "transactional") == 0 || strcmp(kind, "marketing") == 0) {
        return true;
    }
    command_fail("kind cannot be \"%s\"; it may be: transactional, marketing",
                 kind);
    return false;
}

static bool is_group_name(const char *name)
{
    const char *problem = group_name_problem(name);
    if (problem != NULL) {
        command_fail("\"%s\" is no name for a group: %s", name, problem);
    }
    return problem == NULL;
}

/* Run what gives a group a name; say so if another one has it. */
static bool store_name(struct command_call *call, const char *statement,
                       const char *const parameters[3], const char *name)
{
    struct error error;
    struct admin_table *table = command_change(call, statement, parameters, 3,
                                               CHANNEL_DIRECTORY, "", &error);
    if (table == NULL && command_is_duplicate(call)) {
        command_fail("account %s has a group \"%s\" already (letters of any "
                     "case are the same)",
                     call->arguments[0], name);
    } else if (table == NULL) {
        command_fail("%s", error.text);
    }
    bool is_stored = table != NULL;
    admin_table_free(&table);
    return is_stored;
}

static int group_add(struct command_call *call)
{
    struct id_text id;
    const char *name = call->arguments[1];
    const char *kind = command_option(call, "--kind");
    kind = kind != NULL ? kind : "transactional";
    if (!is_group_name(name) || !is_kind(kind) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *const parameters[] = { id.text, name, kind };
    if (!store_name(call, "admin_group_add", parameters, name)) {
        return COMMAND_FAILED;
    }
    output_done(call,
                json_pack("{ssssss}", "account", call->arguments[0],
                          "group_name", name, "kind", kind),
                "group \"%s\" of account %s added, of kind %s", name,
                call->arguments[0], kind);
    return COMMAND_DONE;
}

/* The account and the group of the first two arguments. */
static bool find_group(struct command_call *call, struct id_text *out_account,
                       struct id_text *out_group)
{
    if (!command_find_account(call, call->arguments[0], out_account) ||
        !command_find_group(call, out_account->text, call->arguments[1],
                            out_group)) {
        return false;
    }
    if (strcmp(out_group->text, "0") == 0) {
        command_fail("messages without a group have no settings of their own: "
                     "baton set %s changes the account's",
                     call->arguments[0]);
        return false;
    }
    return true;
}

static int group_rename(struct command_call *call)
{
    struct id_text account;
    struct id_text group;
    const char *name = call->arguments[2];
    if (!is_group_name(name) || !find_group(call, &account, &group)) {
        return COMMAND_FAILED;
    }
    const char *const parameters[] = { account.text, group.text, name };
    if (!store_name(call, "admin_group_rename", parameters, name)) {
        return COMMAND_FAILED;
    }
    output_done(call,
                json_pack("{ssssss}", "account", call->arguments[0], "old_name",
                          call->arguments[1], "group_name", name),
                "group \"%s\" is now \"%s\", with its counters; messages that "
                "still say \"%s\" make a new one",
                call->arguments[1], name, call->arguments[1]);
    return COMMAND_DONE;
}

static int say_group_setting(struct command_call *call, const char *value)
{
    const char *key = call->arguments[2];
    json_t *json =
        json_pack("{ssssssss?}", "account", call->arguments[0], "group_name",
                  call->arguments[1], "key", key, "value", value);
    if (value != NULL) {
        output_done(call, json, "%s of group \"%s\" is %s", key,
                    call->arguments[1], value[0] != '\0' ? value : "empty");
    } else {
        output_done(call, json, "%s of group \"%s\" is the account's again",
                    key, call->arguments[1]);
    }
    return COMMAND_DONE;
}

static int set_kind(struct command_call *call, const char *account,
                    const char *group, const char *kind)
{
    const char *parameters[] = { account, group,
                                 kind != NULL ? kind : "transactional" };
    if (!is_kind(parameters[2])) {
        return COMMAND_FAILED;
    }
    struct admin_table *table =
        command_change_directory(call, "admin_group_kind", parameters, 3);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    return say_group_setting(call, parameters[2]);
}

static int group_set(struct command_call *call)
{
    struct id_text account;
    struct id_text group;
    const char *key = call->arguments[2];
    const char *value = call->arguments[3];
    value = strcmp(value, "default") == 0 ? NULL : value;
    bool is_kind_key = strcmp(key, "kind") == 0;
    if (!is_kind_key && !policy_has_setting(key)) {
        return command_fail("a group has no setting \"%s\": baton group set "
                            "--help lists them",
                            key);
    }
    if (!is_kind_key && value != NULL && !command_check_policy(key, value)) {
        return COMMAND_FAILED;
    }
    if (!find_group(call, &account, &group)) {
        return COMMAND_FAILED;
    }
    if (is_kind_key) {
        return set_kind(call, account.text, group.text, value);
    }
    const char *parameters[] = { account.text, group.text, key, value };
    struct admin_table *table =
        command_change_directory(call, "admin_group_set", parameters, 4);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    return say_group_setting(call, value);
}

/* -- counters -- */

static int print_counters(struct command_call *call,
                          const struct admin_table *table, bool is_hourly)
{
    const char *columns[] = {
        is_hourly ? "hour" : "day",
        "outbound",
        "refused",
        "sent",
        "deferred",
        "failed",
        "complaints",
        "opens",
        "opens_unique",
        "opens_human",
        "clicks",
        "clicks_unique",
        "clicks_human",
        "unsubscribes",
    };
    output_columns(call, table, columns, ARRAY_LENGTH(columns),
                   "Nothing was counted in that time.");
    return COMMAND_DONE;
}

static int counters(struct command_call *call)
{
    struct id_text account;
    struct id_text group;
    struct error error;
    char since_at[CLOCK_TEXT_SIZE];
    bool is_hourly = command_option(call, "--hourly") != NULL;
    const char *name = command_option(call, "--group");
    const char *since = command_option(call, "--since");
    if (is_hourly && command_option(call, "--daily") != NULL) {
        return command_misuse(call, "--daily and --hourly exclude each other");
    }
    if (!command_find_account(call, call->arguments[0], &account) ||
        (name != NULL &&
         !command_find_group(call, account.text, name, &group))) {
        return COMMAND_FAILED;
    }
    since = since != NULL ? since : is_hourly ? "24h" : "30d";
    const char *parameters[] = { account.text, name != NULL ? group.text : NULL,
                                 command_read_since(since, since_at) };
    struct admin_table *table =
        admin_run(call->admin,
                  is_hourly ? "admin_counters_hourly" : "admin_counters_daily",
                  parameters, 3, &error);
    if (table == NULL) {
        return command_fail_since(call, since, &error);
    }
    int status = print_counters(call, table, is_hourly);
    admin_table_free(&table);
    return status;
}

/* -- the table -- */

static const struct command_option group_add_options[] = {
    { "--kind", "KIND", "transactional (else), or marketing" },
    { 0 },
};

static const struct command_option counters_options[] = {
    { "--group", "NAME", "of this group only; {} are messages without one" },
    { "--since", "TIME", "since then (30d, hourly 24h); 2h is two hours ago" },
    { "--daily", NULL, "a line a day in UTC (so it is anyway)" },
    { "--hourly", NULL, "a line an hour" },
    { 0 },
};

const struct command group_commands[] = {
    { "group list", "ACCOUNT", "list groups with what they sent", 1, 1, NULL,
      NEEDS_SCHEMA, group_list },
    { "group add", "ACCOUNT NAME", "make a group before its first message does",
      2, 2, group_add_options, NEEDS_SCHEMA, group_add },
    { "group rename", "ACCOUNT NAME NEW", "give a group another name", 3, 3,
      NULL, NEEDS_SCHEMA, group_rename },
    { "group set", "ACCOUNT NAME KEY VALUE",
      "change a group's kind or a setting", 4, 4, NULL, NEEDS_SCHEMA,
      group_set },
    { "counters", "ACCOUNT", "what was sent, opened, clicked …, by day or hour",
      1, 1, counters_options, NEEDS_SCHEMA, counters },
};
const size_t group_command_count = ARRAY_LENGTH(group_commands);
