/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "sql/query.h"
#include "tests/unit/sql/database_fixture.h"

/* NULL for every parameter: the types and names are right, or it fails. */
static void every_statement_runs_against_the_real_schema(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        const struct statement_text *statement = &statement_table[i];
        const char *values[PARAMETERS_MAX] = { NULL };
        assert_int_equal(statement_by_name(statement->name), i);
        assert_in_range(statement->parameter_count, 0, PARAMETERS_MAX);
        sql_do(f, "BEGIN");
        sql_do(f, "SAVEPOINT before");
        PGresult *result =
            PQexecParams(f->sql, statement->text, statement->parameter_count,
                         NULL, values, NULL, NULL, 1);
        const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        /* That NULL is no account's name is not the statement's fault, nor that
         * no cursor (34) is open. */
        if (code != NULL && strncmp(code, "23", 2) != 0 &&
            strncmp(code, "22", 2) != 0 && strncmp(code, "34", 2) != 0 &&
            strcmp(code, "42P07") != 0 && strcmp(code, "42P06") != 0 &&
            strcmp(code, "42710") != 0) {
            fail_msg("%s: %s", statement->name, PQerrorMessage(f->sql));
        }
        PQclear(result);
        sql_do(f, "ROLLBACK");
    }
    assert_int_equal(statement_by_name("no such"), STATEMENT_COUNT);
}

static bool has_command(void *owner)
{
    return ((struct fixture *)owner)->command[0] != '\0';
}

static bool has_two_changes(void *owner)
{
    return ((struct fixture *)owner)->directory_count >= 2;
}

static void notifications_arrive(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->directory_count, 1);
    sql_do(f, "NOTIFY baton_directory");
    run_until(f, has_two_changes, f);
    sql_do(f, "NOTIFY baton_queue, 'cancel message 123'");
    run_until(f, has_command, f);
    assert_string_equal(f->command, "cancel message 123");
}

static void sessions_are_set_up(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_stat_activity "
                                   "WHERE application_name LIKE 'baton %%'"),
                     CONNECTION_COUNT);
    assert_int_equal(f->up_count, 1);
}

struct answer {
    int result;
    struct error error;
    int call_count;
};

static void on_answer(void *owner, enum database_result result,
                      const struct rows *rows, const struct error *error)
{
    struct answer *answer = owner;
    assert_int_equal(rows != NULL, result == DATABASE_DONE);
    answer->result = (int)result;
    answer->call_count++;
    answer->error = error != NULL ? *error : (struct error){ "" };
}

static bool is_answered(void *owner)
{
    return ((struct answer *)owner)->result != -1;
}

static struct query *ask(struct fixture *f, struct answer *answer)
{
    struct parameters parameters = { 0 };
    parameter_instant(&parameters, clock_now());
    *answer = (struct answer){ .result = -1 };
    struct query *query = query_run(f->database, STATEMENT_QUEUE_MEASURE,
                                    &parameters, on_answer, answer);
    parameters_free(&parameters);
    return query;
}

static void a_lost_connection_comes_back(void **state)
{
    struct fixture *f = *state;
    struct answer answer;
    sql_do(f, "BEGIN");
    sql_do(f, "LOCK TABLE baton.queue IN ACCESS EXCLUSIVE MODE");
    ask(f, &answer);
    int64_t until = clock_monotonic() + 10 * CLOCK_SECOND;
    struct timer ticks = { 0 };
    while (sql_number(f, "SELECT count(*) FROM pg_locks WHERE NOT granted") ==
           0) {
        assert_true(clock_monotonic() < until);
        timer_start(&ticks, f->loop, 1, tick, f->loop);
        loop_run(f->loop);
    }
    timer_stop(&ticks);
    sql_do(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
              "application_name LIKE 'baton %'");
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_UNAVAILABLE);
    sql_do(f, "ROLLBACK");
    run_until(f, is_fixture_up, f);
    ask(f, &answer);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_DONE);
}

static void a_query_without_a_connection_fails_later(void **state)
{
    struct fixture *f = *state;
    struct answer answer;
    connection_break(f->database->lines[CONNECTION_QUERY].connection, true);
    ask(f, &answer);
    assert_int_equal(answer.call_count, 0);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_UNAVAILABLE);
}

static void a_cancelled_query_is_silent(void **state)
{
    struct fixture *f = *state;
    struct answer cancelled;
    struct answer answer;
    struct query *query = ask(f, &cancelled);
    query_cancel(&query);
    assert_null(query);
    ask(f, &answer);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_DONE);
    assert_int_equal(cancelled.call_count, 0);
}

static void a_query_has_a_deadline(void **state)
{
    struct fixture *f = *state;
    struct answer answer;
    struct error error;
    setenv("BATON_DATABASE_QUERY_TIMEOUT", "1 s", 1);
    assert_true(config_load(f->config, NULL, &error));
    unsetenv("BATON_DATABASE_QUERY_TIMEOUT");
    database_free(&f->database);
    f->database = database_create(f->loop, &fixture_handler, f);
    run_until(f, is_fixture_up, f);
    sql_do(f, "BEGIN");
    sql_do(f, "LOCK TABLE baton.queue IN ACCESS EXCLUSIVE MODE");
    ask(f, &answer);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_UNAVAILABLE);
    sql_do(f, "ROLLBACK");
}

static void set_synchronous_commit(struct fixture *f, const char *value)
{
    char text[100];
    snprintf(text, sizeof(text),
             "ALTER DATABASE baton SET synchronous_commit = %s", value);
    sql_do(f, text);
}

static bool has_tried(void *owner)
{
    struct fixture *f = owner;
    return f->database->error.text[0] != '\0';
}

static void unsafe_durability_is_refused_unless_allowed(void **state)
{
    struct fixture *f = *state;
    struct error error;
    set_synchronous_commit(f, "off");
    database_free(&f->database);
    f->up_count = 0;
    f->database = database_create(f->loop, &fixture_handler, f);
    run_until(f, has_tried, f);
    assert_non_null(strstr(f->database->error.text, "synchronous_commit"));
    assert_int_equal(f->up_count, 0);
    setenv("BATON_DATABASE_ALLOW_UNSAFE_DURABILITY", "on", 1);
    assert_true(config_load(f->config, NULL, &error));
    run_until(f, is_fixture_up, f);
    unsetenv("BATON_DATABASE_ALLOW_UNSAFE_DURABILITY");
    set_synchronous_commit(f, "on");
}

static void a_wrong_schema_keeps_the_worker_down(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "ALTER TABLE baton.queue RENAME COLUMN why TO reason");
    database_free(&f->database);
    f->up_count = 0;
    f->database = database_create(f->loop, &fixture_handler, f);
    run_until(f, has_tried, f);
    assert_non_null(strstr(f->database->error.text, "why"));
    assert_int_equal(f->up_count, 0);
    sql_do(f, "ALTER TABLE baton.queue RENAME COLUMN reason TO why");
    run_until(f, is_fixture_up, f);
}

static void names_are_resolved_before_the_loop_runs(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *found;
        const char *not_found;
    } rows[] = {
        { "postgresql:///baton?host=/run", "host=/run", "hostaddr" },
        { "postgresql://localhost:5433/baton", "hostaddr='", "?" },
        { "host=localhost password='a\\'b'", "password='a\\'b'", "?" },
        { "host=localhost hostaddr=192.0.2.1", "hostaddr=192.0.2.1",
          "hostaddr='" },
        { "host=name.invalid", "host=name.invalid", "hostaddr" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char *resolved = connection_resolve(rows[i].url);
        assert_non_null(strstr(resolved, rows[i].found));
        assert_null(strstr(resolved, rows[i].not_found));
        memory_free(resolved);
    }
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_resolved_before_the_loop_runs),
        ROW(every_statement_runs_against_the_real_schema),
        ROW(notifications_arrive),
        ROW(sessions_are_set_up),
        ROW(a_lost_connection_comes_back),
        ROW(a_query_without_a_connection_fails_later),
        ROW(a_cancelled_query_is_silent),
        ROW(a_query_has_a_deadline),
        ROW(unsafe_durability_is_refused_unless_allowed),
        ROW(a_wrong_schema_keeps_the_worker_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
