/* SPDX-License-Identifier: MIT */
/* The schema itself: its statements, its days, and what may be read of it. */
#include "sql/admin.h"
#include "tests/unit/sql/database_fixture.h"

static int setup(void **state)
{
    struct fixture *f = memory_alloc(sizeof(*f));
    struct error error = { "" };
    configure(f);
    sql_reconnect(f);
    sql_do(f, "DROP SCHEMA IF EXISTS baton, report, baton_schema CASCADE");
    struct admin *admin = admin_connect(&error);
    if (admin == NULL || !admin_migrate(admin, &error)) {
        fail_msg("%s", error.text);
    }
    admin_free(&admin);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(&f->config);
    PQfinish(f->sql);
    memory_free(f);
    return 0;
}

static void every_statement_prepares(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        PGresult *result = PQprepare(f->sql, statement_table[i].name,
                                     statement_table[i].text, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            fail_msg("%s: %s", statement_table[i].name, PQerrorMessage(f->sql));
        }
        PQclear(result);
    }
}

/* -- ids -- */

static void ids_are_those_of_the_program(void **state)
{
    struct fixture *f = *state;
    int64_t at = INT64_C(1795226400123000); /* 2026-11-21T02:00:00.123Z */
    assert_int_equal(sql_number(f,
                                "SELECT baton.id_lowest_at(timestamptz 'epoch' "
                                "+ %" PRId64 " * interval '1 microsecond')",
                                at),
                     id_lowest_at(at));
    assert_int_equal(
        sql_number(f,
                   "SELECT (extract(epoch FROM baton.id_instant(%" PRId64
                   ")) * 1000000)::bigint",
                   id_lowest_at(at) + 4711),
        id_instant(id_lowest_at(at) + 4711));
    assert_int_equal(sql_number(f, "SELECT count(DISTINCT baton.make_id()) "
                                   "FROM generate_series(1, 10000)"),
                     10000);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.make_id() AS id "
                                   "WHERE abs(extract(epoch FROM "
                                   "baton.id_instant(id) - now())) < 5"),
                     1);
}

/* -- days -- */

#define TABLE_COUNT 6
#define MAINTAIN(days)                                                   \
    "SELECT baton.maintain(now() + interval '" days " days', '7 days', " \
    "'30 days', '60 days', '3 days')"

static int64_t days_of(struct fixture *f, const char *table)
{
    return sql_number(f,
                      "SELECT count(*) FROM baton.partition WHERE table_name = "
                      "'%s'",
                      table);
}

static void maintain_makes_nine_days_and_then_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.partition"),
                     9 * TABLE_COUNT);
    assert_int_equal(sql_number(f, MAINTAIN("0")), 0);
    assert_int_equal(sql_number(f, MAINTAIN("1")), TABLE_COUNT);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_locks WHERE "
                                   "locktype = 'advisory'"),
                     0);
    assert_int_equal(sql_number(f,
                                "SELECT count(*) FROM baton.delivery WHERE "
                                "delivery_id >= %" PRId64,
                                id_lowest_at(clock_now())),
                     0);
}

static void maintain_drops_what_is_past_its_retention(void **state)
{
    struct fixture *f = *state;
    sql_number(f, MAINTAIN("5"));
    assert_int_equal(days_of(f, "sandbox"), 11); /* 4 days back, 7 ahead */
    sql_number(f, MAINTAIN("45"));
    assert_int_equal(days_of(f, "sandbox"), 9);
    assert_int_equal(days_of(f, "body"), 9);
    assert_int_equal(days_of(f, "message"), 9);
    assert_int_equal(days_of(f, "delivery"), 9);
    assert_int_equal(days_of(f, "attempt"), 9);
    assert_int_equal(days_of(f, "event"), 9 + 14);
}

static void maintain_never_drops_without_a_retention(void **state)
{
    struct fixture *f = *state;
    sql_number(f, "SELECT baton.maintain(now() + interval '400 days', NULL, "
                  "NULL, NULL, NULL)");
    assert_int_equal(days_of(f, "body"), 18);
}

/* Some plans look at the day before the name, so also at that of an index. */
static void maintain_works_whatever_the_plan(void **state)
{
    static const char *const joins[] = { "hashjoin", "nestloop", "mergejoin" };
    struct fixture *f = *state;
    for (unsigned plan = 0; plan < 1u << ARRAY_LENGTH(joins); plan++) {
        for (size_t i = 0; i < ARRAY_LENGTH(joins); i++) {
            char text[64];
            snprintf(text, sizeof(text), "SET enable_%s = %s", joins[i],
                     (plan >> i & 1) != 0 ? "on" : "off");
            sql_do(f, text);
        }
        sql_do(f, "DISCARD PLANS");
        assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.partition "
                                       "WHERE day < '2000-01-01'"),
                         0);
        assert_in_range(sql_number(f,
                                   "SELECT baton.maintain(now() + interval "
                                   "'%u days', '1 day', '1 day', '1 day', "
                                   "'1 day')",
                                   plan + 1),
                        TABLE_COUNT, 2 * TABLE_COUNT);
    }
}

static void maintain_keeps_the_day_of_an_unfinished_delivery(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.queue SELECT 1, baton.make_id(), "
              "baton.make_id(), 'a.example', 0, now(), NULL, now(), 0, 1, ''");
    sql_number(f, MAINTAIN("45"));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.partition WHERE "
                                   "day = (now() AT TIME ZONE 'UTC')::date"),
                     TABLE_COUNT);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.partition WHERE "
                                   "table_name = 'body' AND day < (now() AT "
                                   "TIME ZONE 'UTC')::date"),
                     0);
    sql_do(f, "DELETE FROM baton.queue");
    sql_number(f, MAINTAIN("45"));
    assert_int_equal(days_of(f, "body"), 9);
}

/* A day that somebody reads right now is left for the next time. */
static void maintain_does_not_wait_long_for_a_reader(void **state)
{
    struct fixture *f = *state;
    PGconn *reader = PQconnectdb(getenv("BATON_DATABASE_URL"));
    PQclear(PQexec(reader, "BEGIN; SELECT count(*) FROM baton.body"));
    sql_number(f, MAINTAIN("45"));
    assert_true(days_of(f, "body") > 9);
    PQclear(PQexec(reader, "COMMIT"));
    sql_number(f, MAINTAIN("45"));
    assert_int_equal(days_of(f, "body"), 9);
    PQfinish(reader);
}

static void partitions_have_the_storage_that_they_need(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_class JOIN "
                                   "baton.partition ON relname = "
                                   "partition_name WHERE table_name = "
                                   "'delivery' AND reloptions = "
                                   "'{fillfactor=85}'"),
                     9);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_attribute JOIN "
                                   "baton.partition ON attrelid = "
                                   "('baton.' || partition_name)::regclass "
                                   "WHERE attcompression = 'l'"),
                     18);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_index JOIN "
                                   "baton.partition ON indrelid = "
                                   "('baton.' || partition_name)::regclass"),
                     9 * 11);
}

/* -- schema report -- */

static void fill(struct fixture *f)
{
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('shop')");
    sql_do(f, "INSERT INTO baton.message SELECT 1, baton.make_id(), "
              "'2026-11-21T10:00:02Z', now(), 'a@x', 'a@x', 'Hi', '<1@x>', 9, "
              "1, false, false, 1, NULL, 1, '::1', 'c', 'ESMTP', NULL, NULL, "
              "'', E'+0.500 < EHLO c\\n+2.000 > 250 Ok\\n'");
    sql_do(f, "INSERT INTO baton.delivery SELECT 1, baton.make_id(), "
              "message_id, 'b@y', 'y', 10, NULL, 'queued' FROM baton.message");
    sql_do(f, "INSERT INTO baton.attempt SELECT 1, baton.make_id(), "
              "delivery_id, message_id, 1, '2026-11-21T10:01:00Z', now(), 9, "
              "'mx.y', '[::1]', 'deferred', 'host', 'EHLO', 0, '', 'lost', "
              "NULL, 1, 2, 3, E'+0.012 < 220 mx\\n+0.013 > EHLO us\\n"
              "+1.250 = the connection was lost\\nno such line\\n' "
              "FROM baton.delivery");
    sql_do(f, "INSERT INTO baton.event SELECT 1, baton.make_id(), now(), "
              "'deferred', message_id, delivery_id, 'b@y' FROM "
              "baton.delivery");
    sql_do(f, "INSERT INTO baton.worker (number, node, process_id, "
              "alive_until) VALUES (1, 'n', 1, now())");
    sql_do(f, "INSERT INTO baton.site_wait SELECT worker_id, s, 1, 1, 'no "
              "connection to ' || s, now() FROM baton.worker, "
              "unnest('{mx.y:25,mx.z:25}'::text[]) AS s");
    sql_do(f, "INSERT INTO baton.queue SELECT 1, delivery_id, message_id, "
              "domain, 1, NULL, (SELECT worker_id FROM baton.worker), now(), "
              "1, 9, '' FROM baton.delivery");
}

static void the_smtp_log_is_the_conversation_line_by_line(void **state)
{
    static const struct {
        const char *condition;
        int64_t count;
    } rows[] = {
        { "true", 5 },
        { "attempt_id IS NULL AND delivery_id IS NULL", 2 },
        { "at = '2026-11-21T10:00:00.5Z' AND line = 'EHLO c' AND direction = "
          "'received'",
          1 },
        { "at = '2026-11-21T10:00:02Z' AND direction = 'sent' AND line = '250 "
          "Ok'",
          1 },
        { "at = '2026-11-21T10:01:00.013Z' AND line_number = 2 AND direction "
          "= 'sent' AND attempt_id IS NOT NULL AND delivery_id IS NOT NULL",
          1 },
        { "at = '2026-11-21T10:01:01.25Z' AND direction = 'remark'", 1 },
    };
    struct fixture *f = *state;
    fill(f);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t count =
            sql_number(f, "SELECT count(*) FROM report.smtp_log WHERE %s",
                       rows[i].condition);
        if (count != rows[i].count) {
            fail_msg("%s: %" PRId64, rows[i].condition, count);
        }
    }
}

static void the_queue_says_why(void **state)
{
    struct fixture *f = *state;
    fill(f);
#define WHY(state, why)                                                      \
    sql_number(                                                              \
        f, "SELECT count(*) FROM report.queue WHERE account = 'shop' "       \
           "AND recipient = 'b@y' AND priority = 'high' AND state = '" state \
           "' AND why = '" why "'")
    assert_int_equal(WHY("leased", "no connection to mx.y:25"), 1);
    sql_do(f, "UPDATE baton.queue SET worker_id = NULL, due_at = now(), why = "
              "'greylisted'");
    assert_int_equal(WHY("waiting", "greylisted"), 1);
    sql_do(f, "INSERT INTO baton.suspension VALUES ('domain', 'y', 'moving')");
    assert_int_equal(WHY("suspended", "suspended by an operator (domain): "
                                      "moving"),
                     1);
    sql_do(f, "UPDATE baton.suspension SET scope = 'message'");
    assert_int_equal(WHY("waiting", "greylisted"), 1);
}

static bool may(struct fixture *f, const char *statement)
{
    PGresult *result = PQexec(f->sql, statement);
    ExecStatusType status = PQresultStatus(result);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool is_allowed = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (!is_allowed) {
        assert_non_null(state);
        assert_string_equal(state, "42501"); /* insufficient privilege */
    }
    PQclear(result);
    return is_allowed;
}

static void baton_report_reads_report_and_nothing_else(void **state)
{
    static const struct {
        const char *statement;
        bool is_allowed;
    } rows[] = {
        { "SELECT * FROM report.message", true },
        { "SELECT * FROM report.delivery", true },
        { "SELECT * FROM report.attempt", true },
        { "SELECT * FROM report.event", true },
        { "SELECT * FROM report.smtp_log", true },
        { "SELECT * FROM report.queue", true },
        { "SELECT * FROM report.site_wait", true },
        { "SELECT * FROM baton.message", false },
        { "SELECT * FROM baton.credential", false },
        { "SELECT * FROM baton.account", false },
        { "SELECT baton.make_id()", false },
        { "SELECT baton.maintain(now(), '1 d', '1 d', '1 d', '1 d')", false },
        { "SELECT * FROM baton_schema.migration", false },
        { "CREATE TABLE report.mine ()", false },
        { "CREATE SCHEMA mine", false },
    };
    struct fixture *f = *state;
    fill(f);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_class WHERE "
                                   "relnamespace::regnamespace::text IN "
                                   "('baton', 'report', 'baton_schema') AND "
                                   "has_table_privilege('baton_report', oid, "
                                   "'INSERT, UPDATE, DELETE, TRUNCATE')"),
                     0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_class WHERE "
                                   "relnamespace::regnamespace::text IN "
                                   "('baton', 'baton_schema') AND relkind IN "
                                   "('r', 'p', 'v') AND "
                                   "has_table_privilege('baton_report', oid, "
                                   "'SELECT')"),
                     0);
    sql_do(f, "SET ROLE baton_report");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (may(f, rows[i].statement) != rows[i].is_allowed) {
            fail_msg("%s", rows[i].statement);
        }
    }
}

/* Tables that views or history show must all be described. */
static void every_view_has_a_comment(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_class WHERE "
                                   "relnamespace = 'report'::regnamespace AND "
                                   "relkind = 'v' AND obj_description(oid, "
                                   "'pg_class') IS NULL"),
                     0);
}

/* Who may not make roles gets everything else, and a word about it. */
static void migrating_without_createrole_works(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "DROP SCHEMA baton, report, baton_schema CASCADE");
    sql_do(f, "DROP OWNED BY baton_report");
    sql_do(f, "DROP ROLE baton_report");
    sql_do(f, "CREATE ROLE plain");
    sql_do(f, "GRANT CREATE ON DATABASE baton TO plain");
    sql_do(f, "SET ROLE plain");
    for (size_t i = 0; i < schema_migration_count; i++) {
        sql_do(f, schema_migrations[i].text);
    }
    sql_do(f, "SELECT baton.grant_report()");
    sql_do(f, "RESET ROLE");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_roles WHERE "
                                   "rolname = 'baton_report'"),
                     0);
    sql_do(f, "CREATE ROLE baton_report NOLOGIN");
    sql_do(f, "SET ROLE plain");
    sql_do(f, "SELECT baton.grant_report()");
    sql_do(f, "SET ROLE baton_report");
    assert_true(may(f, "SELECT * FROM report.smtp_log"));
    sql_do(f, "RESET ROLE");
    sql_do(f, "DROP OWNED BY plain CASCADE");
    sql_do(f, "DROP ROLE plain");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(every_statement_prepares),
        ROW(ids_are_those_of_the_program),
        ROW(maintain_makes_nine_days_and_then_nothing),
        ROW(maintain_drops_what_is_past_its_retention),
        ROW(maintain_never_drops_without_a_retention),
        ROW(maintain_works_whatever_the_plan),
        ROW(maintain_keeps_the_day_of_an_unfinished_delivery),
        ROW(maintain_does_not_wait_long_for_a_reader),
        ROW(partitions_have_the_storage_that_they_need),
        ROW(the_smtp_log_is_the_conversation_line_by_line),
        ROW(the_queue_says_why),
        ROW(baton_report_reads_report_and_nothing_else),
        ROW(every_view_has_a_comment),
        ROW(migrating_without_createrole_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
