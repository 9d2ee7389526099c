/* SPDX-License-Identifier: MIT */
/*
 * What waits and why; and an operator's hand on it. A change and the notice to
 * the workers are one transaction.
 */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/id.h"
#include "core/memory.h"
#include "relay/command_internal.h"

/* What a command is about, as the database and the workers name it. */
struct queue_scope {
    const char *scope; /* all, account, domain, message */
    char value[DOMAIN_TEXT_MAX + 1]; /* "" for all */
};

/* -- the scope -- */

static bool scope_all(struct command_call *call, const char *written,
                      struct queue_scope *scope)
{
    (void)call;
    (void)written;
    scope->value[0] = '\0';
    return true;
}

static bool scope_account(struct command_call *call, const char *written,
                          struct queue_scope *scope)
{
    struct id_text id;
    if (!command_find_account(call, written, &id)) {
        return false;
    }
    snprintf(scope->value, sizeof(scope->value), "%s", id.text);
    return true;
}

static bool scope_domain(struct command_call *call, const char *written,
                         struct queue_scope *scope)
{
    (void)call;
    return command_read_domain(written, scope->value, sizeof(scope->value));
}

static bool scope_message(struct command_call *call, const char *written,
                          struct queue_scope *scope)
{
    (void)call;
    int64_t id = 0;
    if (!id_parse(text_of(written), &id)) {
        command_fail("\"%s\" is no message id: it is the number in \"250 2.0.0 "
                     "Ok: queued as …\"",
                     written);
        return false;
    }
    snprintf(scope->value, sizeof(scope->value), "%s", written);
    return true;
}

static const struct {
    const char *option;
    const char *scope;
    bool (*read)(struct command_call *, const char *, struct queue_scope *);
} scopes[] = {
    { "--all", "all", scope_all },
    { "--account", "account", scope_account },
    { "--domain", "domain", scope_domain },
    { "--message", "message", scope_message },
};

/* Exactly one has to be given. COMMAND_DONE, or the exit status. */
static int read_scope(struct command_call *call, struct queue_scope *scope)
{
    size_t given = ARRAY_LENGTH(scopes);
    for (size_t i = 0; i < ARRAY_LENGTH(scopes); i++) {
        if (command_option(call, scopes[i].option) == NULL) {
            continue;
        }
        if (given != ARRAY_LENGTH(scopes)) {
            return command_misuse(call, "%s and %s exclude each other",
                                  scopes[given].option, scopes[i].option);
        }
        given = i;
    }
    if (given == ARRAY_LENGTH(scopes)) {
        return command_misuse(call, "say what is meant: --all, --account, "
                                    "--domain or --message");
    }
    scope->scope = scopes[given].scope;
    return scopes[given].read(call, command_option(call, scopes[given].option),
                              scope)
               ? COMMAND_DONE
               : COMMAND_FAILED;
}

/* "cancel domain example.org", "retry all" */
static void make_payload(const char *verb, const struct queue_scope *scope,
                         struct buffer *out_payload)
{
    buffer_printf(out_payload, "%s %s%s%s", verb, scope->scope,
                  scope->value[0] != '\0' ? " " : "", scope->value);
}

/* An account as it was written: its number says little. */
static void make_name(const struct command_call *call,
                      const struct queue_scope *scope, struct buffer *out_name)
{
    const char *account = command_option(call, "--account");
    if (scope->value[0] == '\0') {
        buffer_append_string(out_name, "everything");
    } else {
        buffer_printf(out_name, "%s %s", scope->scope,
                      account != NULL ? account : scope->value);
    }
}

/* -- acting -- */

/* How many a change reached, and (of a retry) left for their time. */
struct queue_change {
    long long delivery_count;
    long long later_count;
};

static long long read_count(const struct admin_table *table, const char *column)
{
    uint64_t count = 0;
    check(text_to_uint64(text_of(admin_value(table, 0, column)), &count));
    return (long long)count;
}

/* A change of queue rows, told to the workers as `verb`. False: it failed, and
 * that was said. */
static bool change_queue(struct command_call *call, const char *statement,
                         const char *const *parameters, size_t parameter_count,
                         const char *verb, const struct queue_scope *scope,
                         struct queue_change *out_change)
{
    struct buffer payload = { 0 };
    struct error error;
    make_payload(verb, scope, &payload);
    struct admin_table *analyzed =
        admin_run(call->admin, "admin_queue_analyze", NULL, 0, &error);
    admin_table_free(&analyzed); /* without it the change is slow, not wrong */
    struct admin_table *table =
        command_change(call, statement, parameters, parameter_count,
                       CHANNEL_QUEUE, payload.data, &error);
    buffer_free(&payload);
    if (table == NULL) {
        command_fail("%s", error.text);
        return false;
    }
    out_change->delivery_count = read_count(table, "delivery_count");
    out_change->later_count =
        strcmp(verb, "retry") == 0 ? read_count(table, "later_count") : 0;
    admin_table_free(&table);
    return true;
}

/* Nothing of a message waits: is there such a message at all? COMMAND_DONE, or
 * the exit status after saying that there is none. */
static int explain_message(struct command_call *call,
                           const struct queue_scope *scope)
{
    const char *parameter = scope->value;
    if (strcmp(scope->scope, "message") != 0) {
        return COMMAND_DONE;
    }
    struct admin_table *table =
        command_query(call, "admin_message_find", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_there = admin_row_count(table) > 0;
    admin_table_free(&table);
    return is_there ? COMMAND_DONE
                    : command_fail("there is no message %s: it was never "
                                   "accepted here, or its time of keeping "
                                   "([retention] message) is over",
                                   scope->value);
}

static int queue_cancel(struct command_call *call)
{
    struct queue_scope scope;
    struct queue_change change;
    int status = read_scope(call, &scope);
    if (status != COMMAND_DONE) {
        return status;
    }
    const char *parameters[] = { scope.scope, scope.value };
    if (!change_queue(call, "admin_queue_cancel", parameters, 2, "cancel",
                      &scope, &change)) {
        return COMMAND_FAILED;
    }
    long long count = change.delivery_count;
    if (count == 0) {
        status = explain_message(call, &scope);
    }
    if (status == COMMAND_DONE) {
        output_done(call, json_pack("{sI}", "cancelled_count", count),
                    count == 0 ? "0 deliveries cancelled: nothing of that "
                                 "waits"
                               : "%lld %s cancelled; what was on the wire this "
                                 "moment may still arrive",
                    count, output_noun(count, "delivery", "deliveries"));
    }
    return status;
}

/* "3 deliveries are due at once; 2 wait for the time their sender wants" */
static void say_retried(struct command_call *call, json_t *json,
                        const char *before, const struct queue_change *change)
{
    struct buffer later = { 0 };
    if (change->later_count > 0) {
        buffer_printf(&later,
                      "; %lld more %s for the time that %s sender wants",
                      change->later_count,
                      output_noun(change->later_count, "waits", "wait"),
                      output_noun(change->later_count, "its", "their"));
    }
    output_done(
        call, json, "%s%lld %s due at once%s", before, change->delivery_count,
        output_noun(change->delivery_count, "delivery is", "deliveries are"),
        later.data != NULL ? later.data : "");
    buffer_free(&later);
}

static int queue_retry(struct command_call *call)
{
    struct queue_scope scope;
    struct queue_change change;
    int status = read_scope(call, &scope);
    if (status != COMMAND_DONE) {
        return status;
    }
    const char *parameters[] = { scope.scope, scope.value, "false" };
    if (!change_queue(call, "admin_queue_retry", parameters, 3, "retry", &scope,
                      &change)) {
        return COMMAND_FAILED;
    }
    if (change.delivery_count + change.later_count == 0) {
        status = explain_message(call, &scope);
    }
    if (status == COMMAND_DONE) {
        say_retried(call,
                    json_pack("{sIsI}", "retried_count", change.delivery_count,
                              "later_count", change.later_count),
                    "", &change);
    }
    return status;
}

static int queue_suspend(struct command_call *call)
{
    struct queue_scope scope;
    const char *reason = command_option(call, "--reason");
    int status = read_scope(call, &scope);
    if (status != COMMAND_DONE) {
        return status;
    }
    const char *parameters[] = { scope.scope, scope.value,
                                 reason != NULL ? reason : "" };
    struct admin_table *table =
        command_change_directory(call, "admin_queue_suspend", parameters, 3);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    struct buffer name = { 0 };
    make_name(call, &scope, &name);
    output_done(call,
                json_pack("{ssss}", "scope", scope.scope, "value", scope.value),
                "%s is suspended: mail is accepted and kept, not delivered, "
                "until baton queue resume",
                name.data);
    buffer_free(&name);
    return COMMAND_DONE;
}

/* What was given back because of the suspension becomes due. */
static int retry_resumed(struct command_call *call,
                         const struct queue_scope *scope)
{
    struct queue_change change;
    const char *parameters[] = { scope->scope, scope->value, "true" };
    if (!change_queue(call, "admin_queue_retry", parameters, 3, "retry", scope,
                      &change)) {
        return COMMAND_FAILED;
    }
    say_retried(call,
                json_pack("{sssssIsI}", "scope", scope->scope, "value",
                          scope->value, "retried_count", change.delivery_count,
                          "later_count", change.later_count),
                "resumed; ", &change);
    return COMMAND_DONE;
}

static int queue_resume(struct command_call *call)
{
    struct queue_scope scope;
    int status = read_scope(call, &scope);
    if (status != COMMAND_DONE) {
        return status;
    }
    const char *parameters[] = { scope.scope, scope.value };
    struct admin_table *table =
        command_change_directory(call, "admin_queue_resume", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_found = admin_row_count(table) > 0;
    admin_table_free(&table);
    if (!is_found) {
        struct buffer name = { 0 };
        make_name(call, &scope, &name);
        status = command_fail("%s is not suspended as such: baton queue "
                              "suspended shows what is",
                              name.data);
        buffer_free(&name);
        return status;
    }
    return retry_resumed(call, &scope);
}

/* -- looking -- */

static int queue_suspended(struct command_call *call)
{
    struct admin_table *table =
        command_query(call, "admin_suspension_list", NULL, 0);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table, "Nothing is suspended.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static const char *nothing_waits(const struct command_call *call)
{
    bool is_narrowed = command_option(call, "--account") != NULL ||
                       command_option(call, "--domain") != NULL;
    return is_narrowed ? "Nothing of that waits in the queue."
                       : "The queue is empty.";
}

/* Groups, then the sites that workers hold deliveries for. */
static int show_why(struct command_call *call, const struct admin_table *groups)
{
    struct admin_table *sites =
        command_query(call, "admin_site_waits", NULL, 0);
    if (sites == NULL) {
        return COMMAND_FAILED;
    }
    if (call->is_json) {
        output_json(json_pack("{soso}", "queue", admin_table_json(groups),
                              "sites", admin_table_json(sites)));
    } else {
        output_table(call, groups, nothing_waits(call));
        if (admin_row_count(sites) > 0) {
            printf("\nIn the workers' hands, by site:\n");
            output_table(call, sites, "");
        }
    }
    admin_table_free(&sites);
    return COMMAND_DONE;
}

static int queue_list(struct command_call *call)
{
    struct id_text account;
    struct id_text limit;
    const char *account_parameter = NULL;
    char domain[DOMAIN_TEXT_MAX + 1];
    const char *written = command_option(call, "--domain");
    bool is_why = command_option(call, "--why") != NULL;
    if (!command_read_limit(call, "50", &limit)) {
        return COMMAND_MISUSED;
    }
    if (!command_find_account_option(call, &account, &account_parameter) ||
        (written != NULL &&
         !command_read_domain(written, domain, sizeof(domain)))) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { account_parameter,
                                 written != NULL ? domain : NULL, limit.text };
    struct admin_table *table = command_query(
        call, is_why ? "admin_queue_why" : "admin_queue_list", parameters, 3);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    int status = COMMAND_DONE;
    if (is_why) {
        status = show_why(call, table);
    } else {
        output_table(call, table, nothing_waits(call));
    }
    admin_table_free(&table);
    return status;
}

/* -- the table -- */

#define SCOPE_OPTIONS                                                  \
    { "--all", NULL, "everything" },                                   \
        { "--account", "ACCOUNT", "what an account sends" },           \
        { "--domain", "DOMAIN", "what goes to a recipient's domain" }, \
    {                                                                  \
        "--message", "ID", "one message"                               \
    }

static const struct command_option scope_options[] = { SCOPE_OPTIONS, { 0 } };

static const struct command_option suspend_options[] = {
    SCOPE_OPTIONS,
    { "--reason", "TEXT", "why, for those who look at the queue" },
    { 0 },
};

static const struct command_option queue_options[] = {
    { "--why", NULL, "in groups by reason, and what the workers wait for" },
    { "--account", "ACCOUNT", "of this account only" },
    { "--domain", "DOMAIN", "to this domain only" },
    { "--limit", "N", "at most so many lines (50)" },
    { 0 },
};

const struct command queue_commands[] = {
    { "queue", "", "what waits, and why", 0, 0, queue_options, NEEDS_SCHEMA,
      queue_list },
    { "queue retry", "",
      "try waiting deliveries now, but for those that their sender wants later",
      0, 0, scope_options, NEEDS_SCHEMA, queue_retry },
    { "queue cancel", "", "give deliveries up", 0, 0, scope_options,
      NEEDS_SCHEMA, queue_cancel },
    { "queue suspend", "", "accept and keep, but do not deliver", 0, 0,
      suspend_options, NEEDS_SCHEMA, queue_suspend },
    { "queue resume", "", "deliver what was suspended", 0, 0, scope_options,
      NEEDS_SCHEMA, queue_resume },
    { "queue suspended", "", "list what is suspended", 0, 0, NULL, NEEDS_SCHEMA,
      queue_suspended },
};
const size_t queue_command_count = ARRAY_LENGTH(queue_commands);
