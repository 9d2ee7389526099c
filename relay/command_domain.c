/* SPDX-License-Identifier: MIT */
/* Domains that accounts write from: their keys, what they have to publish, and
 * what DNS says about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/encoding.h"
#include "core/loop.h"
#include "core/memory.h"
#include "dkim/key.h"
#include "relay/command_internal.h"
#include "relay/dkim_secret.h"
#include "relay/domain_records.h"
#include "relay/domain_status.h"
#include "relay/relay_settings.h"

#define SELECTOR_LETTERS 6
#define SELECTOR_SIZE 16

/* A domain of an account, read from PostgreSQL. */
struct domain_subject_row {
    struct arena *arena;
    struct id_text account_id;
    char name[DOMAIN_TEXT_MAX + 1];
    struct domain_row row;
    struct domain_status status; /* as it was found last */
};

/* -- reading -- */

static bool read_keys(struct command_call *call,
                      struct domain_subject_row *subject)
{
    const char *parameters[] = { subject->account_id.text, subject->name };
    struct admin_table *table =
        command_query(call, "admin_dkim_key_list", parameters, 2);
    if (table == NULL) {
        return false;
    }
    size_t count = admin_row_count(table);
    struct domain_key_row *keys =
        arena_alloc(subject->arena, (count + 1) * sizeof(*keys));
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct domain_key_row){
            .selector = arena_copy_string(subject->arena,
                                          admin_value(table, i, "selector")),
            .state = arena_copy_string(subject->arena,
                                       admin_value(table, i, "state")),
            .record = arena_copy_string(subject->arena,
                                        admin_value(table, i, "record")),
        };
    }
    subject->row.keys = keys;
    subject->row.key_count = count;
    admin_table_free(&table);
    return true;
}

static bool is_true(const struct admin_table *table, const char *column)
{
    return strcmp(admin_value(table, 0, column), "t") == 0;
}

/* False after saying why: ACCOUNT DOMAIN of the command name none. */
static bool read_subject(struct command_call *call,
                         struct domain_subject_row *out_subject)
{
    struct domain_subject_row *subject = out_subject;
    subject->arena = NULL;
    if (!command_read_domain(call->arguments[1], subject->name,
                             sizeof(subject->name)) ||
        !command_find_account(call, call->arguments[0], &subject->account_id)) {
        return false;
    }
    const char *parameters[] = { subject->account_id.text, subject->name };
    struct admin_table *table =
        command_query(call, "admin_domain_show", parameters, 2);
    if (table == NULL) {
        return false;
    }
    bool is_found = admin_row_count(table) == 1;
    if (is_found) {
        subject->arena = arena_create();
        subject->row = (struct domain_row){
            .name = subject->name,
            .return_host = arena_copy_string(
                subject->arena, admin_value(table, 0, "return_host")),
            .link_host = arena_copy_string(subject->arena,
                                           admin_value(table, 0, "link_host")),
        };
        subject->status = (struct domain_status){
            .dkim_is_right = is_true(table, "dkim_is_right"),
            .return_is_right = is_true(table, "return_is_right"),
            .link_is_right = is_true(table, "link_is_right"),
        };
    } else {
        command_fail("account %s has no domain %s: baton domain list %s",
                     call->arguments[0], subject->name, call->arguments[0]);
    }
    admin_table_free(&table);
    return is_found && read_keys(call, subject);
}

static const struct domain_key_row *find_key(
    const struct domain_subject_row *subject, const char *state)
{
    for (size_t i = 0; i < subject->row.key_count; i++) {
        if (strcmp(subject->row.keys[i].state, state) == 0) {
            return &subject->row.keys[i];
        }
    }
    return NULL;
}

/* -- keys -- */

/* "bk7x2mq-rsa": one stem for what is made at once. */
static void make_stem(char out_stem[SELECTOR_LETTERS + 2])
{
    static const char letters[33] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t bytes[SELECTOR_LETTERS];
    random_bytes(bytes, sizeof(bytes));
    out_stem[0] = 'b';
    for (size_t i = 0; i < SELECTOR_LETTERS; i++) {
        out_stem[1 + i] = letters[bytes[i] & 31];
    }
    out_stem[SELECTOR_LETTERS + 1] = '\0';
}

static bool add_key(struct command_call *call, const char *account_id,
                    const char *domain, const char *selector,
                    enum dkim_algorithm algorithm, const char *state,
                    struct error *error)
{
    struct dkim_owner owner = { .account_id = strtoll(account_id, NULL, 10),
                                .domain = domain,
                                .selector = selector };
    struct dkim_key *key = dkim_key_make(algorithm);
    struct buffer sealed = { 0 };
    struct buffer record = { 0 };
    dkim_secret_seal(key, &owner, &sealed);
    dkim_key_record(key, &record);
    dkim_key_free(&key);
    const char *parameters[] = { account_id, domain,
                                 selector,   dkim_algorithm_name(algorithm),
                                 state,      sealed.data,
                                 record.data };
    struct admin_table *table =
        admin_run(call->admin, "admin_dkim_key_add", parameters,
                  ARRAY_LENGTH(parameters), error);
    bool is_added = table != NULL;
    admin_table_free(&table);
    buffer_free(&sealed);
    buffer_free(&record);
    return is_added;
}

/* A key of either kind, within the running transaction. */
static bool add_keys(struct command_call *call, const char *account_id,
                     const char *domain, const char *state, struct error *error)
{
    char stem[SELECTOR_LETTERS + 2];
    char rsa[SELECTOR_SIZE];
    char ed25519[SELECTOR_SIZE];
    make_stem(stem);
    snprintf(rsa, sizeof(rsa), "%s-rsa", stem);
    snprintf(ed25519, sizeof(ed25519), "%s-ed", stem);
    return add_key(call, account_id, domain, rsa, DKIM_RSA_SHA256, state,
                   error) &&
           add_key(call, account_id, domain, ed25519, DKIM_ED25519_SHA256,
                   state, error);
}

static bool tell_workers(struct command_call *call, struct error *error)
{
    const char *notice[] = { CHANNEL_DIRECTORY, "" };
    struct admin_table *table =
        admin_run(call->admin, "admin_notify", notice, 2, error);
    bool is_told = table != NULL;
    admin_table_free(&table);
    return is_told;
}

/* -- showing records -- */

static json_t *records_json(const struct domain_record *records, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *record = json_pack(
            "{ss, ss, ss, ss, sb}", "purpose", records[i].purpose, "name",
            records[i].name, "type", records[i].type, "value", records[i].value,
            "alternative", (int)records[i].is_alternative);
        json_array_append_new(list, record);
    }
    return list;
}

static void print_records(const struct domain_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct domain_record *record = &records[i];
        bool goes_on = i > 0 && records[i - 1].is_alternative &&
                       record->is_alternative &&
                       strcmp(records[i - 1].purpose, record->purpose) == 0;
        if (record->is_alternative) {
            printf("%s", goes_on ? "    and\n" : "    or, instead of it\n");
        } else {
            printf("%s%s%s%s\n", i > 0 ? "\n" : "",
                   record->note[0] != '\0' ? "; " : "", record->note,
                   record->note[0] != '\0' ? "" : "");
        }
        printf("%s  %s  %s%s%s\n", record->name, record->type,
               strcmp(record->type, "TXT") == 0 ? "\"" : "", record->value,
               strcmp(record->type, "TXT") == 0 ? "\"" : "");
    }
}

static json_t *subject_json(const struct command_call *call,
                            const struct domain_subject_row *subject)
{
    struct domain_expectation expectation;
    size_t count = 0;
    domain_records_expect(&subject->row, subject->arena, &expectation);
    const struct domain_record *records =
        domain_records_list(&expectation, subject->arena, &count);
    return json_pack("{ss, ss, so}", "account", call->arguments[0], "domain",
                     subject->name, "records", records_json(records, count));
}

/* What is missing in the configuration leaves a record out: say so. */
static void print_gaps(const struct domain_subject_row *subject,
                       const struct domain_expectation *expectation)
{
    struct error error;
    if (expectation->selector_count == 0 && !dkim_secret_is_set(&error)) {
        printf("\nThere is no key, and mail of this domain is not signed: %s. "
               "Then make one: baton domain rotate ACCOUNT %s\n",
               error.text, subject->name);
    }
    if (expectation->return_host == NULL) {
        printf("\nBounces go to the sender's own address, where Baton does not "
               "see them: [server] return_path_host is not set.\n");
    }
    if (expectation->link_host == NULL) {
        printf("\nLinks lead to [server] public_url (%s), which other "
               "machines do not know by a name.\n",
               relay_settings_now()->public_url);
    }
}

static int show_records(struct command_call *call,
                        const struct domain_subject_row *subject)
{
    struct domain_expectation expectation;
    size_t count = 0;
    if (call->is_json) {
        output_json(subject_json(call, subject));
        return COMMAND_DONE;
    }
    domain_records_expect(&subject->row, subject->arena, &expectation);
    const struct domain_record *records =
        domain_records_list(&expectation, subject->arena, &count);
    printf("Publish in the zone of %s:\n", subject->name);
    print_records(records, count);
    print_gaps(subject, &expectation);
    printf("\nThen see whether the world knows: baton domain verify %s %s\n",
           call->arguments[0], subject->name);
    return COMMAND_DONE;
}

/* -- subcommands -- */

/* LABEL.DOMAIN of an option; false after saying why not. */
static bool read_host_option(struct command_call *call, const char *option,
                             const char *initial, const char *domain,
                             char out_host[DOMAIN_TEXT_MAX + 1])
{
    const char *label = command_option(call, option);
    char written[2 * DOMAIN_TEXT_MAX];
    label = label != NULL ? label : initial;
    if (strlen(label) > DOMAIN_TEXT_MAX || strchr(label, '.') != NULL) {
        command_misuse(call, "%s expects one label, as in %s %s for %s.%s",
                       option, option, initial, initial, domain);
        return false;
    }
    snprintf(written, sizeof(written), "%s.%s", label, domain);
    return command_read_domain(written, out_host, DOMAIN_TEXT_MAX + 1);
}

static bool add_domain(struct command_call *call,
                       const char *const parameters[5], struct error *error)
{
    struct error ignored;
    struct admin_table *table =
        admin_run(call->admin, "admin_domain_add", parameters, 5, error);
    bool is_added = table != NULL;
    admin_table_free(&table);
    return is_added &&
           (!dkim_secret_is_set(&ignored) ||
            add_keys(call, parameters[0], parameters[1], "signing", error)) &&
           tell_workers(call, error);
}

static int domain_add(struct command_call *call)
{
    struct id_text id;
    struct error error;
    char domain[DOMAIN_TEXT_MAX + 1];
    char return_host[DOMAIN_TEXT_MAX + 1];
    char link_host[DOMAIN_TEXT_MAX + 1];
    const char *scheme =
        strncmp(relay_settings_now()->public_url, "http:", 5) == 0 ? "http"
                                                                   : "https";
    if (!command_read_domain(call->arguments[1], domain, sizeof(domain)) ||
        !read_host_option(call, "--return", "bounce", domain, return_host) ||
        !read_host_option(call, "--link", "click", domain, link_host) ||
        !command_find_account(call, call->arguments[0], &id) ||
        !admin_begin(call->admin, &error)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, domain, return_host, link_host,
                                 scheme };
    if (!add_domain(call, parameters, &error)) {
        bool is_there = command_is_duplicate(call);
        admin_rollback(call->admin);
        return is_there ? command_fail("account %s has the domain %s already",
                                       call->arguments[0], domain)
                        : command_fail("%s", error.text);
    }
    if (!admin_commit(call->admin, &error)) {
        return command_fail("%s", error.text);
    }
    struct domain_subject_row subject;
    if (!read_subject(call, &subject)) {
        arena_free(&subject.arena);
        return COMMAND_FAILED;
    }
    if (!call->is_json) {
        printf("account %s may write from %s and what lies under it\n\n",
               call->arguments[0], domain);
    }
    int status = show_records(call, &subject);
    arena_free(&subject.arena);
    return status;
}

static int domain_records(struct command_call *call)
{
    struct domain_subject_row subject;
    int status = COMMAND_FAILED;
    if (read_subject(call, &subject)) {
        status = show_records(call, &subject);
    }
    arena_free(&subject.arena);
    return status;
}

static int domain_zone(struct command_call *call)
{
    struct domain_subject_row subject;
    struct domain_expectation expectation;
    size_t count = 0;
    if (!read_subject(call, &subject)) {
        arena_free(&subject.arena);
        return COMMAND_FAILED;
    }
    domain_records_expect(&subject.row, subject.arena, &expectation);
    const struct domain_record *records =
        domain_records_zone(&expectation, subject.arena, &count);
    if (call->is_json) {
        output_json(records_json(records, count));
    } else if (count == 0) {
        printf("Nothing: neither [server] return_path_host nor [dkim] host is "
               "set.\n");
    } else {
        printf("Publish in zones of your own:\n");
        print_records(records, count);
    }
    arena_free(&subject.arena);
    return COMMAND_DONE;
}

static int domain_list(struct command_call *call)
{
    return command_list_of_account(call, "admin_domain_list",
                                   "There is no domain: baton domain add "
                                   "ACCOUNT DOMAIN.");
}

static int domain_remove(struct command_call *call)
{
    char domain[DOMAIN_TEXT_MAX + 1];
    return command_read_domain(call->arguments[1], domain, sizeof(domain))
               ? command_remove_from_account(call, "admin_domain_remove",
                                             "domain", domain)
               : COMMAND_FAILED;
}

/* -- verifying -- */

struct verification {
    struct loop *loop;
    struct command_call *call;
    struct domain_subject_row *subject;
    int status;
};

static void print_finding(const struct domain_finding *finding)
{
    static const char *const marks[] = {
        [DOMAIN_RIGHT] = "right",     [DOMAIN_MISSING] = "MISSING",
        [DOMAIN_WRONG] = "WRONG",     [DOMAIN_HALF] = "HALF RIGHT",
        [DOMAIN_UNKNOWN] = "UNKNOWN",
    };
    printf("%-10s  %s  %s\n", marks[finding->state],
           domain_subject_text(finding->subject), finding->name);
    if (finding->state != DOMAIN_RIGHT && finding->expected[0] != '\0') {
        printf("            expected: %s\n", finding->expected);
    }
    if (finding->found[0] != '\0') {
        printf("            found:    ");
        output_text(finding->found);
        printf("\n");
    }
    if (finding->advice[0] != '\0') {
        printf("            ");
        output_text(finding->advice);
        printf("\n");
    }
}

/* What happens to mail meanwhile (D9). */
static void print_consequences(const struct domain_subject_row *subject,
                               const struct domain_status *status)
{
    if (find_key(subject, "signing") == NULL && !status->switches) {
        printf("\nMail of this domain is not signed: it has no key (baton "
               "domain rotate).\n");
    } else if (!status->dkim_is_right) {
        printf("\nUntil its DKIM records are right, mail of this domain is "
               "treated as the account's setting unverified_domain says; "
               "receivers take it as unsigned.\n");
    }
    if (!status->return_is_right && subject->row.return_host[0] != '\0') {
        const char *host = relay_settings_now()->return_path_host;
        printf("Bounces come back to %s, not to %s.\n",
               host[0] != '\0' ? host : "the sender's own address",
               subject->row.return_host);
    }
    if (!status->link_is_right) {
        printf("Links lead to the account's tracking host or to %s, not to "
               "%s.\n",
               relay_settings_now()->public_url, subject->row.link_host);
    }
    if (status->switches) {
        printf("The new keys are published: they sign from now on.\n");
    }
}

/* An array of PostgreSQL; selectors are letters, digits and hyphens. */
static void write_selectors(const struct domain_subject_row *subject,
                            const struct domain_status *status,
                            struct buffer *out_array)
{
    size_t count = 0;
    const char *const *selectors = domain_status_next_selectors(
        &subject->row, status, subject->arena, &count);
    buffer_append_string(out_array, "{");
    for (size_t i = 0; i < count; i++) {
        buffer_printf(out_array, "%s%s", i > 0 ? "," : "", selectors[i]);
    }
    buffer_append_string(out_array, "}");
    buffer_append_byte(out_array, 0);
}

static bool store_findings(struct verification *verification,
                           const struct domain_status *status,
                           const char *findings)
{
    char now[CLOCK_TEXT_SIZE];
    struct buffer selectors = { 0 };
    write_selectors(verification->subject, status, &selectors);
    const char *parameters[] = {
        verification->subject->account_id.text,
        verification->subject->name,
        clock_iso8601(clock_now(), now),
        status->dkim_is_right ? "true" : "false",
        status->return_is_right ? "true" : "false",
        status->link_is_right ? "true" : "false",
        findings,
        buffer_text(&selectors).data,
    };
    struct admin_table *table =
        command_query(verification->call, "domain_store", parameters,
                      ARRAY_LENGTH(parameters));
    bool is_stored = table != NULL;
    buffer_free(&selectors);
    admin_table_free(&table);
    return is_stored;
}

static void on_checked(void *owner, const struct domain_report *report)
{
    struct verification *verification = owner;
    const struct domain_subject_row *subject = verification->subject;
    struct domain_status status;
    json_t *json = domain_report_json(report);
    char *findings = json_dumps(json, JSON_COMPACT);
    domain_status_decide(&subject->row, &subject->status, report, &status);
    bool is_stored = store_findings(verification, &status, findings);
    verification->status = !is_stored                       ? COMMAND_FAILED
                           : domain_report_is_right(report) ? COMMAND_DONE
                                                            : COMMAND_FAILED;
    if (verification->call->is_json) {
        output_json(json_incref(json));
    } else {
        for (size_t i = 0; i < report->finding_count; i++) {
            print_finding(&report->findings[i]);
        }
        print_consequences(subject, &status);
    }
    json_decref(json);
    memory_free(findings);
    loop_stop(verification->loop);
}

static int check_subject(struct command_call *call,
                         struct domain_subject_row *subject)
{
    const struct relay_settings_values *settings = relay_settings_now();
    struct dns_options dns = { .servers = settings->dns_servers,
                               .timeout_milliseconds =
                                   (int)settings->dns_timeout };
    struct verification verification = { .loop = loop_create(),
                                         .call = call,
                                         .subject = subject,
                                         .status = COMMAND_FAILED };
    struct error error;
    struct domain_expectation expectation;
    struct dns_resolver *resolver =
        dns_resolver_create(verification.loop, &dns, &error);
    if (resolver == NULL) {
        command_fail("%s", error.text);
    } else {
        domain_records_expect(&subject->row, subject->arena, &expectation);
        domain_check_start(verification.loop, resolver, &expectation,
                           on_checked, &verification);
        loop_run(verification.loop);
    }
    dns_resolver_free(&resolver);
    loop_free(&verification.loop);
    return verification.status;
}

static int domain_verify(struct command_call *call)
{
    struct domain_subject_row subject;
    int status = COMMAND_FAILED;
    if (read_subject(call, &subject)) {
        status = check_subject(call, &subject);
    }
    arena_free(&subject.arena);
    return status;
}

/* -- rotation -- */

static bool switch_keys(struct command_call *call,
                        const struct domain_subject_row *subject,
                        struct error *error)
{
    const char *parameters[] = { subject->account_id.text, subject->name };
    struct admin_table *table =
        admin_run(call->admin, "admin_dkim_key_switch", parameters, 2, error);
    bool is_done = table != NULL;
    admin_table_free(&table);
    return is_done;
}

/* Make new keys unless some wait already; with `now`, or if nothing signs yet,
 * they sign at once. */
static bool rotate(struct command_call *call,
                   const struct domain_subject_row *subject, bool is_now,
                   struct error *error)
{
    bool must_make = find_key(subject, "next") == NULL;
    if (!admin_begin(call->admin, error)) {
        return false;
    }
    bool is_done = (!must_make || add_keys(call, subject->account_id.text,
                                           subject->name, "next", error)) &&
                   (!is_now || switch_keys(call, subject, error)) &&
                   tell_workers(call, error);
    if (!is_done) {
        admin_rollback(call->admin);
        return false;
    }
    return admin_commit(call->admin, error);
}

static int domain_rotate(struct command_call *call)
{
    struct domain_subject_row subject;
    struct error error;
    int status = COMMAND_FAILED;
    bool is_now = command_option(call, "--now") != NULL;
    if (!read_subject(call, &subject)) {
        arena_free(&subject.arena);
        return COMMAND_FAILED;
    }
    is_now |= find_key(&subject, "signing") == NULL;
    if (!dkim_secret_is_set(&error) ||
        !rotate(call, &subject, is_now, &error)) {
        command_fail("%s", error.text);
    } else if (read_keys(call, &subject)) {
        if (!call->is_json) {
            printf("%s\n\n",
                   is_now ? "The new keys sign from now on. Leave the old "
                            "records where they are for a week: mail that is "
                            "on its way was signed with them."
                          : "The new keys sign as soon as DNS has them (baton "
                            "domain verify, or the check of every hour); until "
                            "then the present ones do. Leave all records where "
                            "they are.");
        }
        status = show_records(call, &subject);
    }
    arena_free(&subject.arena);
    return status;
}

/* -- the table -- */

static const struct command_option add_options[] = {
    { "--return", "LABEL", "where bounces come back: bounce" },
    { "--link", "LABEL", "where links lead to: click" },
    { 0 },
};

static const struct command_option rotate_options[] = {
    { "--now", NULL, "sign with the new keys at once" },
    { 0 },
};

const struct command domain_commands[] = {
    { "domain add", "ACCOUNT DOMAIN",
      "let an account write from a domain; prints the records to publish", 2, 2,
      add_options, NEEDS_SCHEMA, domain_add },
    { "domain list", "[ACCOUNT]", "list domains", 0, 1, NULL, NEEDS_SCHEMA,
      domain_list },
    { "domain records", "ACCOUNT DOMAIN", "print the records to publish", 2, 2,
      NULL, NEEDS_SCHEMA, domain_records },
    { "domain remove", "ACCOUNT DOMAIN", "remove a domain and its keys", 2, 2,
      NULL, NEEDS_SCHEMA, domain_remove },
    { "domain rotate", "ACCOUNT DOMAIN",
      "make new keys; they sign once DNS has them", 2, 2, rotate_options,
      NEEDS_SCHEMA, domain_rotate },
    { "domain verify", "ACCOUNT DOMAIN",
      "look the records up and say what is wrong with each", 2, 2, NULL,
      NEEDS_SCHEMA, domain_verify },
    { "domain zone", "ACCOUNT DOMAIN",
      "print what your own zones need for a domain", 2, 2, NULL, NEEDS_SCHEMA,
      domain_zone },
};
const size_t domain_command_count = ARRAY_LENGTH(domain_commands);
