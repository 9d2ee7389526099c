/* SPDX-License-Identifier: MIT */
/* Groups of messages, and what was counted for them. */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "relay/command_internal.h"

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

/* NULL: it is none, and that was said. */
static const char *read_kind(const char *written)
{
    static const char *const kinds[] = { "transactional", "marketing" };
    const char *kind = command_read_word(written, kinds, ARRAY_LENGTH(kinds));
    if (kind == NULL) {
        command_fail("kind cannot be \"%s\"; it may be: transactional, "
                     "marketing",
                     written);
    }
    return kind;
}

/* The group that has the name, as that is written. */
static void refuse_taken_name(struct command_call *call, const char *account_id,
                              const char *name)
{
    const char *parameters[] = { account_id, name };
    struct admin_table *table =
        command_query(call, "admin_group_find", parameters, 2);
    if (table != NULL) {
        command_fail("account %s has a group \"%s\" already (letters of any "
                     "case are the same)",
                     call->arguments[0],
                     admin_row_count(table) > 0 ? admin_value(table, 0, "name")
                                                : name);
    }
    admin_table_free(&table);
}

/* Run what gives a group a name; say so if another one has it. */
static bool store_name(struct command_call *call, const char *statement,
                       const char *const parameters[3], const char *account_id,
                       const char *name)
{
    struct error error;
    struct admin_table *table = command_change(call, statement, parameters, 3,
                                               CHANNEL_DIRECTORY, "", &error);
    if (table == NULL && command_is_duplicate(call)) {
        refuse_taken_name(call, account_id, name);
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
    kind = read_kind(kind != NULL ? kind : "transactional");
    if (kind == NULL || !command_check_group_name("", name) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *const parameters[] = { id.text, name, kind };
    if (!store_name(call, "admin_group_add", parameters, id.text, name)) {
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
    if (!command_check_group_name("", name) ||
        !find_group(call, &account, &group)) {
        return COMMAND_FAILED;
    }
    const char *const parameters[] = { account.text, group.text, name };
    if (!store_name(call, "admin_group_rename", parameters, account.text,
                    name)) {
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

static int say_group_setting(struct command_call *call, const char *key,
                             const char *value)
{
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

/* value NULL: the account's again; kind is transactional then. */
static int store_group_setting(struct command_call *call, const char *key,
                               const char *value)
{
    struct id_text account;
    struct id_text group;
    bool is_kind = strcmp(key, "kind") == 0;
    if (!find_group(call, &account, &group)) {
        return COMMAND_FAILED;
    }
    const char *of_kind[] = { account.text, group.text, value };
    const char *of_policy[] = { account.text, group.text, key, value };
    struct admin_table *table =
        is_kind
            ? command_change_directory(call, "admin_group_kind", of_kind, 3)
            : command_change_directory(call, "admin_group_set", of_policy, 4);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    return say_group_setting(call, key, value);
}

static int group_set(struct command_call *call)
{
    const char *key = command_read_group_key(call->arguments[2]);
    const char *written = call->arguments[3];
    struct buffer lowered = { 0 };
    bool is_default = text_is_ignoring_case(text_of(written), "default");
    if (key == NULL) {
        return COMMAND_FAILED;
    }
    const char *value = NULL;
    if (strcmp(key, "kind") == 0) {
        value = read_kind(is_default ? "transactional" : written);
        is_default = false;
    } else if (!is_default) {
        value = command_read_policy(key, written, &lowered);
    }
    int status = value == NULL && !is_default
                     ? COMMAND_FAILED
                     : store_group_setting(call, key, value);
    buffer_free(&lowered);
    return status;
}

/* -- counters -- */

static bool was_counted(const struct admin_table *table, const char *column)
{
    for (size_t row = 0; row < admin_row_count(table); row++) {
        if (strcmp(admin_value(table, row, column), "0") != 0) {
            return true;
        }
    }
    return false;
}

/* What is rare has its column only where there was some. */
static int print_counters(struct command_call *call,
                          const struct admin_table *table, bool is_hourly)
{
    static const struct {
        const char *name;
        bool is_rare;
    } counters[] = {
        { "outbound", false },      { "refused", false },
        { "sent", false },          { "deferred", false },
        { "failed", false },        { "blocked", true },
        { "cancelled", true },      { "complaints", false },
        { "opens", false },         { "opens_unique", false },
        { "opens_human", false },   { "clicks", false },
        { "clicks_unique", false }, { "clicks_human", false },
        { "unsubscribes", false },  { "resubscribes", true },
    };
    const char *columns[ARRAY_LENGTH(counters) + 1] = { is_hourly ? "hour"
                                                                  : "day" };
    size_t count = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(counters); i++) {
        if (!counters[i].is_rare || was_counted(table, counters[i].name)) {
            columns[count++] = counters[i].name;
        }
    }
    output_columns(call, table, columns, count,
                   "Nothing was counted in that time.");
    return COMMAND_DONE;
}

static int show_counters(struct command_call *call)
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
      1, 1, counters_options, NEEDS_SCHEMA, show_counters },
};
const size_t group_command_count = ARRAY_LENGTH(group_commands);
