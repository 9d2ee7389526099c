/* SPDX-License-Identifier: MIT */
/* Steps that many subcommands begin with or end in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "tracking/group.h"

#define SQLSTATE_UNIQUE_VIOLATION "23505"
#define SQLSTATE_DEADLOCK "40P01"
#define SQLSTATE_SERIALIZATION "40001"
#define TRIES_MAX 5
#define LIMIT_MAX 100000

struct admin_table *command_query(struct command_call *call,
                                  const char *statement,
                                  const char *const *parameters,
                                  size_t parameter_count)
{
    struct error error;
    struct admin_table *table =
        admin_run(call->admin, statement, parameters, parameter_count, &error);
    if (table == NULL) {
        command_fail("%s", error.text);
    }
    return table;
}

static bool is_worth_repeating(const struct command_call *call)
{
    const char *state = admin_sqlstate(call->admin);
    return strcmp(state, SQLSTATE_DEADLOCK) == 0 ||
           strcmp(state, SQLSTATE_SERIALIZATION) == 0;
}

bool command_is_duplicate(const struct command_call *call)
{
    return strcmp(admin_sqlstate(call->admin), SQLSTATE_UNIQUE_VIOLATION) == 0;
}

static struct admin_table *change_once(struct command_call *call,
                                       const char *statement,
                                       const char *const *parameters,
                                       size_t parameter_count,
                                       const char *const notice[2],
                                       struct error *error)
{
    if (!admin_begin(call->admin, error)) {
        return NULL;
    }
    struct admin_table *table =
        admin_run(call->admin, statement, parameters, parameter_count, error);
    struct admin_table *told =
        table == NULL
            ? NULL
            : admin_run(call->admin, "admin_notify", notice, 2, error);
    bool is_done = told != NULL;
    admin_table_free(&told);
    if (!is_done) {
        admin_rollback(call->admin);
    } else {
        is_done = admin_commit(call->admin, error);
    }
    if (!is_done) {
        admin_table_free(&table);
    }
    return table;
}

/* Workers lock queue rows in an order of their own: whoever PostgreSQL chose to
 * break a deadlock tries again. */
struct admin_table *command_change(struct command_call *call,
                                   const char *statement,
                                   const char *const *parameters,
                                   size_t parameter_count, const char *channel,
                                   const char *payload, struct error *out_error)
{
    const char *const notice[2] = { channel, payload };
    struct admin_table *table = NULL;
    for (int i = 0; i < TRIES_MAX && table == NULL; i++) {
        table = change_once(call, statement, parameters, parameter_count,
                            notice, out_error);
        if (table == NULL && !is_worth_repeating(call)) {
            break;
        }
    }
    return table;
}

struct admin_table *command_change_directory(struct command_call *call,
                                             const char *statement,
                                             const char *const *parameters,
                                             size_t parameter_count)
{
    struct error error;
    struct admin_table *table =
        command_change(call, statement, parameters, parameter_count,
                       CHANNEL_DIRECTORY, "", &error);
    if (table == NULL) {
        command_fail("%s", error.text);
    }
    return table;
}

bool command_find_account(struct command_call *call, const char *name,
                          struct id_text *out_id)
{
    struct admin_table *table =
        command_query(call, "admin_account_find", &name, 1);
    if (table == NULL) {
        return false;
    }
    bool is_found = admin_row_count(table) == 1;
    if (is_found) {
        snprintf(out_id->text, sizeof(out_id->text), "%s",
                 admin_value(table, 0, "account_id"));
    } else {
        command_fail("there is no account \"%s\": baton account list shows "
                     "them, baton account add makes one",
                     name);
    }
    admin_table_free(&table);
    return is_found;
}

bool command_find_account_argument(struct command_call *call,
                                   struct id_text *out_id,
                                   const char **out_parameter)
{
    *out_parameter = call->argument_count == 0 ? NULL : out_id->text;
    return call->argument_count == 0 ||
           command_find_account(call, call->arguments[0], out_id);
}

int command_list_of_account(struct command_call *call, const char *statement,
                            const char *nothing)
{
    struct id_text id;
    const char *parameter = NULL;
    if (!command_find_account_argument(call, &id, &parameter)) {
        return COMMAND_FAILED;
    }
    struct admin_table *table = command_query(call, statement, &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table, nothing);
    admin_table_free(&table);
    return COMMAND_DONE;
}

int command_remove_from_account(struct command_call *call,
                                const char *statement, const char *noun,
                                const char *value)
{
    struct id_text id;
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, value };
    struct admin_table *table =
        command_change_directory(call, statement, parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        return command_fail("account %s has no %s %s: baton %s list %s",
                            call->arguments[0], noun, value,
                            strcmp(noun, "user") == 0 ? "credential" : noun,
                            call->arguments[0]);
    }
    output_done(call, json_pack("{ss}", "removed", value), "%s %s removed",
                noun, value);
    return COMMAND_DONE;
}

bool command_find_group(struct command_call *call, const char *account_id,
                        const char *name, struct id_text *out_id)
{
    if (name[0] == '\0' || strcmp(name, "{}") == 0) {
        snprintf(out_id->text, sizeof(out_id->text), "0");
        return true;
    }
    const char *parameters[] = { account_id, name };
    struct admin_table *table =
        command_query(call, "admin_group_find", parameters, 2);
    if (table == NULL) {
        return false;
    }
    bool is_found = admin_row_count(table) == 1;
    if (is_found) {
        snprintf(out_id->text, sizeof(out_id->text), "%s",
                 admin_value(table, 0, "group_id"));
    } else {
        command_fail("account %s has no group \"%s\": baton group list %s "
                     "shows them; its first message makes one, or baton group "
                     "add",
                     call->arguments[0], name, call->arguments[0]);
    }
    admin_table_free(&table);
    return is_found;
}

const char *command_read_since(const char *written,
                               char out_text[CLOCK_TEXT_SIZE])
{
    static const char units[] = "smhd";
    static const int64_t unit_seconds[] = { 1, 60, 3600, 86400 };
    struct text text = text_of(written);
    uint64_t number = 0;
    if (text.length < 2) {
        return written;
    }
    const char *unit = strchr(units, text.data[text.length - 1]);
    struct text digits = text_trim(text_slice(text, 0, text.length - 1));
    if (unit == NULL || !text_to_uint64(digits, &number) || number > 1000000) {
        return written;
    }
    int64_t seconds = (int64_t)number * unit_seconds[unit - units];
    return clock_iso8601(clock_now() - seconds * CLOCK_SECOND, out_text);
}

int command_fail_since(struct command_call *call, const char *since,
                       const struct error *error)
{
    return strncmp(admin_sqlstate(call->admin), "2200", 4) == 0
               ? command_misuse(call,
                                "--since \"%s\" is no time: expected "
                                "2026-11-21, 2026-11-21T08:00:00Z, "
                                "or 30m, 2h, 1d for so long ago",
                                since != NULL ? since : "")
               : command_fail("%s", error->text);
}

bool command_find_account_option(struct command_call *call,
                                 struct id_text *out_id,
                                 const char **out_parameter)
{
    const char *name = command_option(call, "--account");
    *out_parameter = name == NULL ? NULL : out_id->text;
    return name == NULL || command_find_account(call, name, out_id);
}

const char *command_kept_address(const char *written,
                                 char out_kept[ADDRESS_TEXT_MAX + 1])
{
    struct error ignored;
    return written != NULL &&
                   address_normalize(text_of(written), out_kept, &ignored)
               ? out_kept
               : written;
}

bool command_read_domain(const char *name, char *out_domain, size_t size)
{
    char domain[DOMAIN_TEXT_MAX + 1];
    struct error error;
    if (!domain_normalize(text_of(name), domain, &error)) {
        command_fail("\"%s\" is no domain: %s", name, error.text);
        return false;
    }
    snprintf(out_domain, size, "%s", domain);
    return true;
}

const char *command_read_word(const char *written, const char *const *words,
                              size_t word_count)
{
    for (size_t i = 0; i < word_count; i++) {
        if (text_is_ignoring_case(text_of(written), words[i])) {
            return words[i];
        }
    }
    return NULL;
}

bool command_check_group_name(const char *option, const char *name)
{
    const char *problem =
        strpbrk(name, "{}") != NULL
            ? "give the name without its braces; they mark it in a Subject"
            : group_name_problem(name);
    if (problem != NULL) {
        command_fail("%s\"%s\" is no name for a group: %s", option, name,
                     problem);
    }
    return problem == NULL;
}

bool command_read_limit(const struct command_call *call, const char *initial,
                        struct id_text *out_limit)
{
    const char *written = command_option(call, "--limit");
    uint64_t limit = 0;
    if (!text_to_uint64(text_of(written != NULL ? written : initial), &limit) ||
        limit == 0 || limit > LIMIT_MAX) {
        command_misuse(call, "--limit expects a number from 1 to %d",
                       LIMIT_MAX);
        return false;
    }
    snprintf(out_limit->text, sizeof(out_limit->text), "%" PRIu64, limit);
    return true;
}
