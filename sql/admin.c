/* SPDX-License-Identifier: MIT */
/*
 * One blocking connection. Statements are sent as they are needed, not prepared
 * before: most invocations run three of them.
 */
#include "sql/admin.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "sql/binary.h"
#include "sql/database.h"
#include "sql/settings.h"
#include "sql/statement_table.h"

#define PARAMETERS_MOST 16

struct admin {
    PGconn *connection;
    char sqlstate[6];
};

struct admin_table {
    PGresult *result;
};

/* -- results and errors -- */

/* libpq ends its messages with a line feed; the first line says it all. */
static struct text first_line(const char *message)
{
    struct text text = text_of(message);
    return text_trim(text_slice(text, 0, text_find_byte(text, '\n')));
}

static void keep_sqlstate(struct admin *admin, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(admin->sqlstate, sizeof(admin->sqlstate), "%s",
             state != NULL ? state : "08006");
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static bool set_failure(struct admin *admin, const PGresult *result,
                        struct error *error)
{
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    keep_sqlstate(admin, result);
    return error_set(
        error, "PostgreSQL says: %.*s",
        TEXT_ARGUMENTS(first_line(
            primary != NULL ? primary : PQerrorMessage(admin->connection))));
}

/* Text that may hold several statements, without parameters. */
static bool run_script(struct admin *admin, const char *text,
                       struct error *error)
{
    PGresult *result = PQexec(admin->connection, text);
    bool is_done = is_good(result) || set_failure(admin, result, error);
    PQclear(result);
    return is_done;
}

const char *admin_sqlstate(const struct admin *admin)
{
    return admin->sqlstate;
}

/* -- the connection -- */

static void on_notice(void *argument, const char *message)
{
    (void)argument;
    struct text line = first_line(message);
    fprintf(stderr, "%.*s\n", TEXT_ARGUMENTS(line));
}

struct admin *admin_connect(struct error *error)
{
    static const char *const keywords[] = { "dbname", "application_name",
                                            "client_encoding",
                                            "connect_timeout", NULL };
    const char *const values[] = { database_url(), "baton command", "UTF8",
                                   "10", NULL };
    struct admin *admin = memory_alloc(sizeof(*admin));
    admin->connection = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(admin->connection) != CONNECTION_OK) {
        error_set(
            error,
            "cannot connect to PostgreSQL: %.*s; set [database] url in "
            "the configuration or BATON_DATABASE_URL in the environment",
            TEXT_ARGUMENTS(first_line(PQerrorMessage(admin->connection))));
        admin_free(&admin);
        return NULL;
    }
    PQsetNoticeProcessor(admin->connection, on_notice, NULL);
    if (!run_script(admin, "SET timezone = 'UTC'; SET datestyle = 'ISO'",
                    error)) {
        admin_free(&admin);
    }
    return admin;
}

void admin_free(struct admin **admin)
{
    if (*admin != NULL) {
        PQfinish((*admin)->connection);
        memory_free(*admin);
        *admin = NULL;
    }
}

bool admin_begin(struct admin *admin, struct error *error)
{
    return run_script(admin, "BEGIN", error);
}

/* COMMIT of a failed transaction is answered with ROLLBACK, not an error. */
bool admin_commit(struct admin *admin, struct error *error)
{
    PGresult *result = PQexec(admin->connection, "COMMIT");
    bool is_done = is_good(result) || set_failure(admin, result, error);
    if (is_done && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        is_done = error_set(error, "nothing was changed: an earlier statement "
                                   "of the same command failed");
    }
    PQclear(result);
    return is_done;
}

void admin_rollback(struct admin *admin)
{
    struct error ignored;
    if (!run_script(admin, "ROLLBACK", &ignored)) {
        return; /* the connection is gone, and the transaction with it */
    }
}

struct admin_table *admin_run(struct admin *admin, const char *statement,
                              const char *const *parameters,
                              size_t parameter_count, struct error *error)
{
    enum statement found = statement_by_name(statement);
    check(found != STATEMENT_COUNT);
    const struct statement_text *row = &statement_table[found];
    check((size_t)row->parameter_count == parameter_count &&
          parameter_count <= PARAMETERS_MOST);
    PGresult *result =
        PQexecParams(admin->connection, row->text, (int)parameter_count, NULL,
                     parameters, NULL, NULL, 0);
    if (!is_good(result)) {
        set_failure(admin, result, error);
        PQclear(result);
        return NULL;
    }
    struct admin_table *table = memory_alloc(sizeof(*table));
    table->result = result;
    return table;
}

/* -- tables -- */

size_t admin_row_count(const struct admin_table *table)
{
    return (size_t)PQntuples(table->result);
}

size_t admin_column_count(const struct admin_table *table)
{
    return (size_t)PQnfields(table->result);
}

const char *admin_column_name(const struct admin_table *table, size_t column)
{
    return PQfname(table->result, (int)column);
}

static int column_number(const struct admin_table *table, const char *column)
{
    int number = PQfnumber(table->result, column);
    check(number >= 0);
    return number;
}

const char *admin_value(const struct admin_table *table, size_t row,
                        const char *column)
{
    return PQgetvalue(table->result, (int)row, column_number(table, column));
}

bool admin_is_null(const struct admin_table *table, size_t row,
                   const char *column)
{
    return PQgetisnull(table->result, (int)row, column_number(table, column)) !=
           0;
}

void admin_bytes(const struct admin_table *table, size_t row,
                 const char *column, struct buffer *out_bytes)
{
    const char *value = admin_value(table, row, column);
    size_t length = 0;
    unsigned char *bytes =
        PQunescapeBytea((const unsigned char *)value, &length);
    check(bytes != NULL);
    buffer_append(out_bytes, bytes, length);
    PQfreemem(bytes);
}

void admin_table_free(struct admin_table **table)
{
    if (*table != NULL) {
        PQclear((*table)->result);
        memory_free(*table);
        *table = NULL;
    }
}

static bool is_id(const char *name)
{
    return text_is(text_of(name), "id") ||
           text_ends_with_ignoring_case(text_of(name), "_id");
}

/* Numbers as jansson reads them; NaN and infinity are no JSON: text. */
static json_t *parsed_or_text(const char *value)
{
    json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);
    return json != NULL ? json : json_string(value);
}

/* "2026-11-21 02:13:02.5+00" (the connection's time zone is UTC) as RFC 3339:
 * "2026-11-21T02:13:02.5Z". */
static json_t *json_of_instant(const char *value)
{
    struct text text = text_of(value);
    size_t blank = text_find_byte(text, ' ');
    if (blank == text.length || !text_ends_with_ignoring_case(text, "+00")) {
        return json_string(value); /* infinity */
    }
    return json_sprintf("%.*sT%.*sZ", (int)blank, value,
                        (int)(text.length - blank - 4), value + blank + 1);
}

static json_t *json_of_value(const struct admin_table *table, int row,
                             int column)
{
    const char *value = PQgetvalue(table->result, row, column);
    if (PQgetisnull(table->result, row, column) != 0) {
        return json_null();
    }
    switch (PQftype(table->result, column)) {
    case TYPE_BOOL:
        return json_boolean(value[0] == 't');
    case TYPE_INT8:
        return is_id(PQfname(table->result, column)) ? json_string(value)
                                                     : parsed_or_text(value);
    case TYPE_TIMESTAMPTZ:
        return json_of_instant(value);
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
    case TYPE_JSON:
    case TYPE_JSONB:
        return parsed_or_text(value);
    default:
        return json_string(value);
    }
}

json_t *admin_table_json(const struct admin_table *table)
{
    json_t *rows = json_array();
    for (int row = 0; row < PQntuples(table->result); row++) {
        json_t *object = json_object();
        for (int column = 0; column < PQnfields(table->result); column++) {
            json_object_set_new(object, PQfname(table->result, column),
                                json_of_value(table, row, column));
        }
        json_array_append_new(rows, object);
    }
    return rows;
}

/* -- the schema -- */

static bool run_alone(struct admin *admin, const char *statement,
                      const char *const *parameters, size_t count,
                      struct error *error)
{
    struct admin_table *table =
        admin_run(admin, statement, parameters, count, error);
    bool is_done = table != NULL;
    admin_table_free(&table);
    return is_done;
}

static bool read_is_there(struct admin *admin, bool *out_is_there,
                          struct error *error)
{
    struct admin_table *table =
        admin_run(admin, "admin_migration_is_there", NULL, 0, error);
    if (table == NULL) {
        return false;
    }
    *out_is_there = admin_value(table, 0, "is_there")[0] == 't';
    admin_table_free(&table);
    return true;
}

/* 0: there is no schema yet. */
static bool read_version(struct admin *admin, uint64_t *out_version,
                         struct error *error)
{
    bool is_there = false;
    *out_version = 0;
    if (!read_is_there(admin, &is_there, error)) {
        return false;
    }
    if (!is_there) {
        return true;
    }
    struct admin_table *table =
        admin_run(admin, "admin_migration_version", NULL, 0, error);
    if (table == NULL) {
        return false;
    }
    bool is_read =
        text_to_uint64(text_of(admin_value(table, 0, "version")), out_version);
    admin_table_free(&table);
    return is_read || error_set(error, "baton_schema.migration holds a number "
                                       "that is no version");
}

static uint64_t newest_version(void)
{
    return (uint64_t)schema_migrations[schema_migration_count - 1].number;
}

static bool refuse_newer(uint64_t version, struct error *error)
{
    return error_set(error,
                     "the database has schema version %" PRIu64
                     ", but this program knows %" PRIu64
                     " at most: install the newer Baton that made it",
                     version, newest_version());
}

static bool apply(struct admin *admin, const struct schema_migration *migration,
                  struct error *error)
{
    char number[16];
    const char *parameters[] = { number, migration->name };
    struct error reason;
    snprintf(number, sizeof(number), "%d", migration->number);
    if (!run_script(admin, migration->text, &reason)) {
        return error_set(error, "migration %04d_%s failed: %s",
                         migration->number, migration->name, reason.text);
    }
    return run_alone(admin, "admin_migration_record", parameters, 2, error);
}

/* Within the transaction that holds the lock. Whoever waited for it finds the
 * work done, and reads that as the version. */
static bool apply_missing(struct admin *admin, size_t *out_count,
                          struct error *error)
{
    uint64_t version = 0;
    bool is_there = false;
    if (!run_alone(admin, "admin_migration_lock", NULL, 0, error) ||
        !read_is_there(admin, &is_there, error) ||
        (!is_there &&
         !run_alone(admin, "admin_migration_create", NULL, 0, error)) ||
        !read_version(admin, &version, error)) {
        return false;
    }
    if (version > newest_version()) {
        return refuse_newer(version, error);
    }
    *out_count = 0;
    for (size_t i = 0; i < schema_migration_count; i++) {
        if ((uint64_t)schema_migrations[i].number > version) {
            if (!apply(admin, &schema_migrations[i], error)) {
                return false;
            }
            (*out_count)++;
        }
    }
    char now[CLOCK_TEXT_SIZE];
    const char *parameters[] = { clock_iso8601(clock_now(), now) };
    return run_alone(admin, "admin_maintain", parameters, 1, error) &&
           run_alone(admin, "admin_grant_report", NULL, 0, error);
}

/* Not on stdout, which may be wanted as JSON. */
static void print_applied(size_t count)
{
    for (size_t i = schema_migration_count - count; i < schema_migration_count;
         i++) {
        fprintf(stderr, "applied %04d_%s\n", schema_migrations[i].number,
                schema_migrations[i].name);
    }
}

bool admin_migrate(struct admin *admin, struct error *error)
{
    size_t count = 0;
    if (!admin_begin(admin, error)) {
        return false;
    }
    if (!apply_missing(admin, &count, error)) {
        admin_rollback(admin);
        return false;
    }
    if (!admin_commit(admin, error)) {
        return false;
    }
    print_applied(count);
    return true;
}

/* What a server must promise for 250 to be true. */
static bool check_durability(struct admin *admin, struct error *error)
{
    static const char *const switches[] = { "fsync", "synchronous_commit",
                                            "full_page_writes" };
    struct admin_table *table =
        admin_run(admin, "admin_durability", NULL, 0, error);
    if (table == NULL) {
        return false;
    }
    bool is_safe = true;
    for (size_t i = 0; is_safe && i < ARRAY_LENGTH(switches); i++) {
        if (text_is(text_of(admin_value(table, 0, switches[i])), "off")) {
            is_safe = error_set(
                error,
                "PostgreSQL has %s = off, so that mail answered with 250 can "
                "be lost: switch it on, or set [database] "
                "allow_unsafe_durability = on",
                switches[i]);
        }
    }
    admin_table_free(&table);
    return is_safe;
}

bool admin_check(struct admin *admin, struct error *error)
{
    uint64_t version = 0;
    if (!read_version(admin, &version, error)) {
        return false;
    }
    if (version > newest_version()) {
        return refuse_newer(version, error);
    }
    if (version < newest_version()) {
        return error_set(error,
                         "the database has schema version %" PRIu64
                         ", this program needs %" PRIu64 ": run baton migrate",
                         version, newest_version());
    }
    return sql_allows_unsafe_durability() || check_durability(admin, error);
}
