/* SPDX-License-Identifier: MIT */
/*
 * Addresses that are no longer sent to. A file of them is read as it comes, in
 * batches, into one transaction: its good rows are taken, its bad ones named.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/config.h"
#include "core/memory.h"
#include "relay/command_csv.h"
#include "relay/command_internal.h"
#include "tracking/group.h"

#define BATCH_ROWS 5000
#define BATCH_BYTES (4 * 1024 * 1024)
#define COMPLAINTS_MAX 20
#define EVIDENCE_BYTES_MAX 8192

static const char *const reasons[] = { "hard_bounce", "complaint",
                                       "unsubscribe", "manual" };

/* In any case; NULL: it is none. */
static const char *read_reason(const char *written)
{
    return command_read_word(written, reasons, ARRAY_LENGTH(reasons));
}

static int refuse_reason(const struct command_call *call, const char *written)
{
    return command_misuse(call,
                          "--reason expects hard_bounce, complaint, "
                          "unsubscribe or manual, not \"%s\"",
                          written);
}

/* -- which of them -- */

/* The whole account, one group, or everything. */
struct suppression_scope {
    const char *name; /* account, group, all */
    struct id_text group_id; /* of a group */
};

static const char *scope_group(const struct suppression_scope *scope)
{
    return strcmp(scope->name, "group") == 0 ? scope->group_id.text : NULL;
}

/* --group, or what holds without it. */
static bool read_scope(struct command_call *call, const char *account_id,
                       const char *initial, struct suppression_scope *out_scope)
{
    const char *group = command_option(call, "--group");
    out_scope->name = group != NULL ? "group" : initial;
    return group == NULL ||
           command_find_group(call, account_id, group, &out_scope->group_id);
}

static void name_scope(const struct command_call *call,
                       const struct suppression_scope *scope,
                       struct buffer *out_name)
{
    const char *group = command_option(call, "--group");
    if (strcmp(scope->name, "all") == 0) {
        buffer_printf(out_name, "account %s and all its groups",
                      call->arguments[0]);
    } else if (group == NULL) {
        buffer_printf(out_name, "account %s", call->arguments[0]);
    } else if (strcmp(scope->group_id.text, "0") == 0) {
        buffer_printf(out_name, "messages of account %s without a group",
                      call->arguments[0]);
    } else {
        buffer_printf(out_name, "group \"%s\" of account %s", group,
                      call->arguments[0]);
    }
}

/* "example.org", "@example.org", "*@example.org" */
static bool means_domain(const char *written)
{
    const char *at = strchr(written, '@');
    struct address address;
    struct error ignored;
    char domain[DOMAIN_TEXT_MAX + 1];
    if (at != NULL) {
        return at == written || (at == written + 1 && written[0] == '*');
    }
    return strchr(written, '.') != NULL &&
           domain_normalize(text_of(written), domain, &ignored) &&
           !address_parse(text_of(written), true, &address, &ignored);
}

static bool is_address(const char *written, struct error *out_why)
{
    struct address address;
    return means_domain(written)
               ? error_set(out_why,
                           "name one address; domains cannot be suppressed")
               : address_parse(text_of(written), true, &address, out_why);
}

static bool read_address(const char *written)
{
    struct error error;
    bool is_good = is_address(written, &error);
    if (!is_good) {
        command_fail("\"%s\" is no mail address: %s", written, error.text);
    }
    return is_good;
}

/* -- list -- */

static int suppression_list(struct command_call *call)
{
    struct id_text account;
    struct id_text limit;
    struct suppression_scope scope;
    char kept[ADDRESS_TEXT_MAX + 1];
    const char *written = command_option(call, "--reason");
    const char *reason = written == NULL ? NULL : read_reason(written);
    if (written != NULL && reason == NULL) {
        return refuse_reason(call, written);
    }
    if (!command_read_limit(call, "100", &limit)) {
        return COMMAND_MISUSED;
    }
    if (!command_find_account(call, call->arguments[0], &account) ||
        !read_scope(call, account.text, "all", &scope)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = {
        account.text,
        command_kept_address(command_option(call, "--address"), kept),
        scope.name,
        scope_group(&scope),
        reason,
        limit.text,
    };
    struct admin_table *table = command_query(
        call, "admin_suppression_list", parameters, ARRAY_LENGTH(parameters));
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_narrowed = strcmp(scope.name, "all") != 0 || reason != NULL ||
                       command_option(call, "--address") != NULL;
    output_table(call, table,
                 is_narrowed ? "No such address is suppressed."
                             : "Nobody is suppressed.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

/* -- add -- */

/* Give up what is queued for them. -1: failed, and that was said. */
static long long apply_to_queue(struct command_call *call,
                                const char *account_id, const char *address)
{
    const char *parameters[] = { account_id, address };
    uint64_t count = 0;
    struct admin_table *table = command_change_directory(
        call, "admin_suppression_apply", parameters, 2);
    if (table == NULL) {
        return -1;
    }
    check(text_to_uint64(text_of(admin_value(table, 0, "delivery_count")),
                         &count));
    admin_table_free(&table);
    return (long long)count;
}

/* --expires in seconds; NULL: for good. */
static bool read_expiry(struct command_call *call, struct id_text *out_seconds,
                        const char **out_parameter)
{
    const char *written = command_option(call, "--expires");
    int64_t milliseconds = 0;
    *out_parameter = NULL;
    if (written == NULL) {
        return true;
    }
    if (!config_parse_span(text_of(written), &milliseconds) ||
        milliseconds < 1000) {
        command_misuse(call,
                       "--expires expects a span such as 12 h or 90 d, "
                       "not \"%s\"",
                       written);
        return false;
    }
    snprintf(out_seconds->text, sizeof(out_seconds->text), "%" PRId64,
             milliseconds / 1000);
    *out_parameter = out_seconds->text;
    return true;
}

static const char *describe_addition(bool is_new, bool is_kept)
{
    if (is_kept) {
        return " already, by an unsubscribe without an end: that stays";
    }
    return is_new ? "" : " (it was before; what is known of it is new)";
}

static int say_added(struct command_call *call,
                     const struct suppression_scope *scope, bool is_new,
                     bool is_kept, long long count)
{
    struct buffer name = { 0 };
    name_scope(call, scope, &name);
    output_done(call,
                json_pack("{sssssbsI}", "account", call->arguments[0],
                          "address", call->arguments[1], "is_new", is_new,
                          "suppressed_count", (json_int_t)count),
                "%s is suppressed for %s%s; %lld queued %s given up",
                call->arguments[1], name.data,
                describe_addition(is_new, is_kept), count,
                output_noun(count, "delivery was", "deliveries were"));
    buffer_free(&name);
    return COMMAND_DONE;
}

static int suppression_add(struct command_call *call)
{
    struct id_text account;
    struct id_text seconds;
    struct suppression_scope scope;
    const char *expires = NULL;
    char kept[ADDRESS_TEXT_MAX + 1];
    const char *written = command_option(call, "--reason");
    const char *evidence = command_option(call, "--evidence");
    const char *reason = read_reason(written != NULL ? written : "manual");
    if (reason == NULL) {
        return refuse_reason(call, written);
    }
    if (!read_expiry(call, &seconds, &expires)) {
        return COMMAND_MISUSED;
    }
    if (!read_address(call->arguments[1]) ||
        !command_find_account(call, call->arguments[0], &account) ||
        !read_scope(call, account.text, "account", &scope)) {
        return COMMAND_FAILED;
    }
    call->arguments[1] = command_kept_address(call->arguments[1], kept);
    const char *parameters[] = {
        account.text,
        call->arguments[1],
        scope_group(&scope),
        reason,
        evidence != NULL ? evidence : "",
        expires,
    };
    struct admin_table *table = command_change_directory(
        call, "admin_suppression_add", parameters, ARRAY_LENGTH(parameters));
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    bool is_kept = admin_row_count(table) == 0;
    bool is_new = !is_kept && admin_value(table, 0, "is_new")[0] == 't';
    admin_table_free(&table);
    long long count = apply_to_queue(call, account.text, call->arguments[1]);
    return count < 0 ? COMMAND_FAILED
                     : say_added(call, &scope, is_new, is_kept, count);
}

/* -- remove -- */

static int suppression_remove(struct command_call *call)
{
    struct id_text account;
    struct suppression_scope scope;
    char kept[ADDRESS_TEXT_MAX + 1];
    bool is_all = command_option(call, "--all") != NULL;
    if (is_all && command_option(call, "--group") != NULL) {
        return command_misuse(call, "--all and --group exclude each other");
    }
    if (!command_find_account(call, call->arguments[0], &account) ||
        !read_scope(call, account.text, is_all ? "all" : "account", &scope)) {
        return COMMAND_FAILED;
    }
    call->arguments[1] = command_kept_address(call->arguments[1], kept);
    const char *parameters[] = { account.text, call->arguments[1], scope.name,
                                 scope_group(&scope) };
    struct admin_table *table = command_change_directory(
        call, "admin_suppression_remove", parameters, 4);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    size_t count = admin_row_count(table);
    admin_table_free(&table);
    struct buffer name = { 0 };
    name_scope(call, &scope, &name);
    int status = COMMAND_DONE;
    if (count == 0) {
        status = command_fail("%s is not suppressed for %s: baton suppression "
                              "list %s --address %s shows for what it is",
                              call->arguments[1], name.data, call->arguments[0],
                              call->arguments[1]);
    } else {
        output_done(call,
                    json_pack("{sssI}", "address", call->arguments[1],
                              "removed_count", (json_int_t)count),
                    "%s may be sent to again by %s", call->arguments[1],
                    name.data);
    }
    buffer_free(&name);
    return status;
}

/* -- export -- */

static const char *const csv_columns[] = { "address",    "group",
                                           "reason",     "evidence",
                                           "created_at", "expires_at" };

static void append_row(const json_t *row, struct buffer *lines)
{
    const char *fields[ARRAY_LENGTH(csv_columns)];
    for (size_t i = 0; i < ARRAY_LENGTH(csv_columns); i++) {
        const char *column = strcmp(csv_columns[i], "group") == 0
                                 ? "group_name"
                                 : csv_columns[i];
        const char *value = json_string_value(json_object_get(row, column));
        fields[i] = value != NULL ? value : "";
    }
    csv_append(lines, fields, ARRAY_LENGTH(fields));
}

static void print_rows(const struct command_call *call,
                       const struct admin_table *table, bool is_first)
{
    json_t *rows = admin_table_json(table);
    struct buffer lines = { 0 };
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (call->is_json) {
            fputs(is_first && i == 0 ? "\n  " : ",\n  ", stdout);
            json_dumpf(row, stdout, JSON_COMPACT);
        } else {
            append_row(row, &lines);
        }
    }
    fwrite(lines.data != NULL ? lines.data : "", 1, lines.length, stdout);
    buffer_free(&lines);
    json_decref(rows);
}

static bool print_all(struct command_call *call)
{
    size_t count = 1;
    for (bool is_first = true; count > 0; is_first = false) {
        struct admin_table *table =
            command_query(call, "admin_suppression_fetch", NULL, 0);
        if (table == NULL) {
            return false;
        }
        count = admin_row_count(table);
        print_rows(call, table, is_first);
        admin_table_free(&table);
    }
    return true;
}

static int suppression_export(struct command_call *call)
{
    struct id_text account;
    struct error error;
    const char *parameter = account.text;
    if (!command_find_account(call, call->arguments[0], &account)) {
        return COMMAND_FAILED;
    }
    if (!admin_begin(call->admin, &error)) {
        return command_fail("%s", error.text);
    }
    struct admin_table *cursor =
        command_query(call, "admin_suppression_export", &parameter, 1);
    if (cursor == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&cursor);
    fputs(call->is_json ? "["
                        : "address,group,reason,evidence,created_at,"
                          "expires_at\n",
          stdout);
    bool is_done = print_all(call);
    fputs(call->is_json ? "\n]\n" : "", stdout);
    admin_rollback(call->admin);
    return is_done ? COMMAND_DONE : COMMAND_FAILED;
}

/* -- import -- */

enum import_column {
    COLUMN_ADDRESS,
    COLUMN_GROUP,
    COLUMN_REASON,
    COLUMN_EVIDENCE,
    COLUMN_CREATED_AT,
    COLUMN_EXPIRES_AT,
    COLUMN_COUNT
};

_Static_assert(ARRAY_LENGTH(csv_columns) == COLUMN_COUNT,
               "every column has a name");

struct import {
    struct command_call *call;
    const char *account_id;
    struct csv_reader reader;
    size_t places[COLUMN_COUNT]; /* CSV_FIELDS_MAX: the file has no such */
    size_t field_count; /* of the header */
    struct buffer lines; /* array literals of PostgreSQL, one a column */
    struct buffer arrays[COLUMN_COUNT];
    size_t batch_rows;
    bool has_group;
    uint64_t row_count;
    uint64_t imported_count;
    uint64_t bad_count;
    uint64_t group_count; /* made */
};

static void name_bad_row(struct import *import, const char *line,
                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void name_bad_row(struct import *import, const char *line,
                         const char *format, ...)
{
    import->bad_count++;
    if (import->bad_count > COMPLAINTS_MAX) {
        return;
    }
    struct buffer why = { 0 };
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&why, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < why.length; i++) {
        unsigned char byte = (unsigned char)why.data[i];
        why.data[i] = byte < ' ' || byte == 0x7f ? '?' : why.data[i];
    }
    command_fail("line %s: %s", line, why.data);
    buffer_free(&why);
}

static bool read_header(struct import *import)
{
    struct csv_reader *reader = &import->reader;
    if (!csv_next(reader) || reader->problem != NULL) {
        command_fail("the file has no header: the first line has to name its "
                     "columns, as address,group,reason,evidence,created_at,"
                     "expires_at");
        return false;
    }
    import->field_count = reader->field_count;
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        import->places[c] = CSV_FIELDS_MAX;
    }
    for (size_t i = 0; i < reader->field_count; i++) {
        struct text name = text_trim(text_of(csv_field(reader, i)));
        size_t c = 0;
        while (c < COLUMN_COUNT &&
               !text_is_ignoring_case(name, csv_columns[c])) {
            c++;
        }
        if (c == COLUMN_COUNT || import->places[c] != CSV_FIELDS_MAX) {
            command_fail("the header names \"%.*s\"%s: expected are address, "
                         "group, reason, evidence, created_at and expires_at, "
                         "in any order; only address has to be there",
                         TEXT_ARGUMENTS(name),
                         c < COLUMN_COUNT ? " twice" : "");
            return false;
        }
        import->places[c] = i;
    }
    if (import->places[COLUMN_ADDRESS] == CSV_FIELDS_MAX) {
        command_fail("the header names no column address: the first line has "
                     "to be like address,group,reason");
        return false;
    }
    return true;
}

static const char *value_of(const struct import *import,
                            enum import_column column)
{
    return csv_field(&import->reader, import->places[column]);
}

/* An element of an array literal. */
static void append_element(struct buffer *array, const char *value)
{
    buffer_append_string(array, array->length == 0 ? "{\"" : ",\"");
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            buffer_append_byte(array, '\\');
        }
        buffer_append_byte(array, *value);
    }
    buffer_append_byte(array, '"');
}

/* Whether the row can be what it says; else it was named. */
static bool check_row(struct import *import, const char *line)
{
    const char *address = value_of(import, COLUMN_ADDRESS);
    const char *group = value_of(import, COLUMN_GROUP);
    const char *reason = value_of(import, COLUMN_REASON);
    bool is_name = group[0] != '\0' && strcmp(group, "{}") != 0;
    const char *problem = is_name ? group_name_problem(group) : NULL;
    struct error error;
    if (import->reader.problem != NULL) {
        name_bad_row(import, line, "%s", import->reader.problem);
    } else if (import->reader.field_count != import->field_count) {
        name_bad_row(import, line, "it has %zu fields, the header %zu",
                     import->reader.field_count, import->field_count);
    } else if (!is_address(address, &error)) {
        name_bad_row(import, line, "\"%.100s\" is no mail address: %s", address,
                     error.text);
    } else if (reason[0] != '\0' && read_reason(reason) == NULL) {
        name_bad_row(import, line,
                     "the reason \"%.100s\" is none of hard_bounce, complaint, "
                     "unsubscribe and manual",
                     reason);
    } else if (problem != NULL) {
        name_bad_row(import, line, "\"%.100s\" is no name for a group: %s",
                     group, problem);
    } else if (strlen(value_of(import, COLUMN_EVIDENCE)) > EVIDENCE_BYTES_MAX) {
        name_bad_row(import, line, "the evidence is longer than 8 KB");
    } else {
        return true;
    }
    return false;
}

static void keep_row(struct import *import, const char *line)
{
    char kept[ADDRESS_TEXT_MAX + 1];
    append_element(&import->lines, line);
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        const char *value = value_of(import, (enum import_column)c);
        if (c == COLUMN_REASON) {
            value = read_reason(value[0] != '\0' ? value : "manual");
        } else if (c == COLUMN_ADDRESS) {
            value = command_kept_address(value, kept);
        }
        append_element(&import->arrays[c], value);
    }
    import->has_group =
        import->has_group || value_of(import, COLUMN_GROUP)[0] != '\0';
    import->batch_rows++;
}

static bool make_groups(struct import *import)
{
    const char *parameters[] = { import->account_id,
                                 import->arrays[COLUMN_GROUP].data };
    struct admin_table *table =
        !import->has_group
            ? NULL
            : command_query(import->call, "admin_suppression_import_groups",
                            parameters, 2);
    if (table == NULL) {
        return !import->has_group;
    }
    import->group_count += admin_row_count(table);
    admin_table_free(&table);
    return true;
}

static void take_answer(struct import *import, const struct admin_table *table)
{
    uint64_t count = 0;
    check(text_to_uint64(text_of(admin_value(table, 0, "imported_count")),
                         &count));
    import->imported_count += count;
    for (size_t row = 0; row < admin_row_count(table); row++) {
        if (!admin_is_null(table, row, "line")) {
            name_bad_row(import, admin_value(table, row, "line"),
                         "\"%.100s\" is no time: expected "
                         "2026-11-21T08:00:00Z",
                         admin_value(table, row, "wrong"));
        }
    }
}

static void empty_batch(struct import *import)
{
    buffer_clear(&import->lines);
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        buffer_clear(&import->arrays[c]);
    }
    import->batch_rows = 0;
    import->has_group = false;
}

static bool store_batch(struct import *import)
{
    const char *parameters[COLUMN_COUNT + 2] = { import->account_id };
    if (import->batch_rows == 0) {
        return true;
    }
    buffer_append_byte(&import->lines, '}');
    parameters[1] = import->lines.data;
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        buffer_append_byte(&import->arrays[c], '}');
        parameters[c + 2] = import->arrays[c].data;
    }
    struct admin_table *table =
        !make_groups(import)
            ? NULL
            : command_query(import->call, "admin_suppression_import",
                            parameters, ARRAY_LENGTH(parameters));
    bool is_stored = table != NULL;
    if (is_stored) {
        take_answer(import, table);
    }
    admin_table_free(&table);
    empty_batch(import);
    return is_stored;
}

static bool store_rows(struct import *import)
{
    while (csv_next(&import->reader)) {
        struct id_text line;
        snprintf(line.text, sizeof(line.text), "%" PRIu64, import->reader.line);
        import->row_count++;
        if (check_row(import, line.text)) {
            keep_row(import, line.text);
        }
        if ((import->batch_rows == BATCH_ROWS ||
             import->arrays[COLUMN_EVIDENCE].length > BATCH_BYTES) &&
            !store_batch(import)) {
            return false;
        }
    }
    if (ferror(import->reader.borrowed_file)) {
        command_fail("the file could not be read to its end: nothing was "
                     "imported");
        return false;
    }
    return store_batch(import);
}

/* All good rows, or none if PostgreSQL fails. */
static bool store_file(struct import *import)
{
    struct error error;
    if (!admin_begin(import->call->admin, &error)) {
        command_fail("%s", error.text);
        return false;
    }
    if (!store_rows(import)) {
        admin_rollback(import->call->admin);
        return false;
    }
    if (!admin_commit(import->call->admin, &error)) {
        command_fail("%s", error.text);
        return false;
    }
    return true;
}

static int say_imported(struct import *import, long long given_up)
{
    uint64_t known_count =
        import->row_count - import->bad_count - import->imported_count;
    if (import->bad_count > COMPLAINTS_MAX) {
        uint64_t more = import->bad_count - COMPLAINTS_MAX;
        command_fail("and %" PRIu64 " more bad %s", more,
                     output_noun((long long)more, "row", "rows"));
    }
    output_done(import->call,
                json_pack("{sIsIsIsIsI}", "imported_count",
                          (json_int_t)import->imported_count, "known_count",
                          (json_int_t)known_count, "bad_count",
                          (json_int_t)import->bad_count, "group_count",
                          (json_int_t)import->group_count, "suppressed_count",
                          (json_int_t)given_up),
                "%" PRIu64 " imported, %" PRIu64 " known already, %" PRIu64
                " bad; %" PRIu64 " %s made; %lld queued %s given up",
                import->imported_count, known_count, import->bad_count,
                import->group_count,
                output_noun((long long)import->group_count, "group", "groups"),
                given_up,
                output_noun(given_up, "delivery was", "deliveries were"));
    return import->bad_count == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static int import_file(struct command_call *call, const char *account_id,
                       FILE *file)
{
    struct import import = {
        .call = call,
        .account_id = account_id,
        .reader = { .borrowed_file = file },
    };
    bool is_done = read_header(&import) && store_file(&import);
    long long given_up = is_done ? apply_to_queue(call, account_id, NULL) : -1;
    int status =
        given_up < 0 ? COMMAND_FAILED : say_imported(&import, given_up);
    csv_free(&import.reader);
    buffer_free(&import.lines);
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        buffer_free(&import.arrays[c]);
    }
    return status;
}

static int suppression_import(struct command_call *call)
{
    struct id_text account;
    const char *path = call->argument_count > 1 ? call->arguments[1] : "-";
    if (!command_find_account(call, call->arguments[0], &account)) {
        return COMMAND_FAILED;
    }
    if (strcmp(path, "-") == 0) {
        return import_file(call, account.text, stdin);
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return command_fail("%s cannot be opened: %m", path);
    }
    int status = import_file(call, account.text, file);
    fclose(file);
    return status;
}

/* -- the table -- */

#define GROUP_OPTION                                                         \
    {                                                                        \
        "--group", "NAME", "of this group only; {} are messages without one" \
    }

static const struct command_option list_options[] = {
    GROUP_OPTION,
    { "--address", "ADDRESS", "of this address only" },
    { "--reason", "REASON", "hard_bounce, complaint, unsubscribe or manual" },
    { "--limit", "N", "at most so many, the newest (100)" },
    { 0 },
};

static const struct command_option add_options[] = {
    { "--group", "NAME",
      "for this group, not the whole account; {} are messages without one" },
    { "--reason", "REASON",
      "manual (else), hard_bounce, complaint or unsubscribe" },
    { "--evidence", "TEXT", "how that is known; clients are told" },
    { "--expires", "SPAN", "for so long, as 90 d" },
    { 0 },
};

static const struct command_option remove_options[] = {
    GROUP_OPTION,
    { "--all", NULL, "for the account and all its groups" },
    { 0 },
};

const struct command suppression_commands[] = {
    { "suppression list", "ACCOUNT", "list addresses that get no more mail", 1,
      1, list_options, NEEDS_SCHEMA, suppression_list },
    { "suppression add", "ACCOUNT ADDRESS",
      "send an address nothing more, what is queued included", 2, 2,
      add_options, NEEDS_SCHEMA, suppression_add },
    { "suppression remove", "ACCOUNT ADDRESS", "send to an address again", 2, 2,
      remove_options, NEEDS_SCHEMA, suppression_remove },
    { "suppression import", "ACCOUNT [FILE]",
      "take over a list (CSV; else from the standard input)", 1, 2, NULL,
      NEEDS_SCHEMA, suppression_import },
    { "suppression export", "ACCOUNT", "print all as CSV, for import", 1, 1,
      NULL, NEEDS_SCHEMA, suppression_export },
};
const size_t suppression_command_count = ARRAY_LENGTH(suppression_commands);
