/* SPDX-License-Identifier: MIT */
#include "sql/admin.h"

#include <sys/wait.h>

#include "tests/unit/sql/database_fixture.h"

static struct fixture *start_empty(void)
{
    struct fixture *f = memory_alloc(sizeof(*f));
    configure(f);
    sql_reconnect(f);
    sql_do(f, "DROP SCHEMA IF EXISTS baton, report, baton_schema CASCADE");
    return f;
}

static int setup_empty(void **state)
{
    *state = start_empty();
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

static struct admin *connect_admin(void)
{
    struct error error = { "" };
    struct admin *admin = admin_connect(&error);
    if (admin == NULL) {
        fail_msg("%s", error.text);
    }
    return admin;
}

static void migrate(struct admin *admin)
{
    struct error error = { "" };
    if (!admin_migrate(admin, &error)) {
        fail_msg("%s", error.text);
    }
}

static int setup_migrated(void **state)
{
    *state = start_empty();
    struct admin *admin = connect_admin();
    migrate(admin);
    admin_free(&admin);
    return 0;
}

/* -- the schema -- */

static void migrate_twice_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    struct error error = { "" };
    assert_false(admin_check(admin, &error));
    assert_non_null(strstr(error.text, "baton migrate"));
    migrate(admin);
    int64_t relations = sql_number(f, "SELECT count(*) FROM pg_class");
    migrate(admin);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM pg_class"), relations);
    assert_true(admin_check(admin, &error));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM "
                                   "baton_schema.migration"),
                     (int64_t)schema_migration_count);
    admin_free(&admin);
}

static void migrate_by_several_at_once_is_safe(void **state)
{
    struct fixture *f = *state;
    pid_t children[4];
    for (size_t i = 0; i < ARRAY_LENGTH(children); i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct error error = { "" };
            struct admin *admin = admin_connect(&error);
            bool is_done = admin != NULL && admin_migrate(admin, &error);
            if (!is_done) {
                fprintf(stderr, "%s\n", error.text);
            }
            admin_free(&admin);
            _exit(is_done ? 0 : 1);
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(children); i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM "
                                   "baton_schema.migration"),
                     (int64_t)schema_migration_count);
}

static void check_refuses_a_newer_schema(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    struct error error = { "" };
    sql_do(f, "INSERT INTO baton_schema.migration VALUES (9999, 'later')");
    assert_false(admin_check(admin, &error));
    assert_non_null(strstr(error.text, "newer"));
    assert_false(admin_migrate(admin, &error));
    assert_non_null(strstr(error.text, "newer"));
    admin_free(&admin);
}

static void check_refuses_unsafe_durability(void **state)
{
    struct fixture *f = *state;
    struct error error = { "" };
    sql_do(f, "ALTER DATABASE baton SET synchronous_commit = off");
    struct admin *admin = connect_admin();
    assert_false(admin_check(admin, &error));
    assert_non_null(strstr(error.text, "synchronous_commit"));
    setenv("BATON_DATABASE_ALLOW_UNSAFE_DURABILITY", "on", 1);
    assert_true(config_load(f->config, NULL, &error));
    assert_true(admin_check(admin, &error));
    unsetenv("BATON_DATABASE_ALLOW_UNSAFE_DURABILITY");
    sql_do(f, "ALTER DATABASE baton RESET synchronous_commit");
    admin_free(&admin);
}

static void connecting_in_vain_says_how_to_name_another(void **state)
{
    struct fixture *f = *state;
    struct error error = { "" };
    char *url = memory_copy_string(getenv("BATON_DATABASE_URL"));
    setenv("BATON_DATABASE_URL", "postgresql:///x?host=/nonexistent", 1);
    assert_true(config_load(f->config, NULL, &error));
    assert_null(admin_connect(&error));
    assert_non_null(strstr(error.text, "BATON_DATABASE_URL"));
    setenv("BATON_DATABASE_URL", url, 1);
    memory_free(url);
}

/* -- statements -- */

static struct admin_table *run(struct admin *admin, const char *statement,
                               const char *const *parameters, size_t count)
{
    struct error error = { "" };
    struct admin_table *table =
        admin_run(admin, statement, parameters, count, &error);
    if (table == NULL) {
        fail_msg("%s: %s", statement, error.text);
    }
    return table;
}

static void values_are_read_by_name_and_made_json(void **state)
{
    (void)state;
    struct admin *admin = connect_admin();
    const char *parameters[] = { "shop", NULL };
    struct admin_table *table = run(admin, "admin_account_add", parameters, 2);
    assert_int_equal(admin_row_count(table), 1);
    assert_int_equal(admin_column_count(table), 2);
    assert_string_equal(admin_column_name(table, 1), "name");
    assert_string_equal(admin_value(table, 0, "name"), "shop");
    admin_table_free(&table);
    table = run(admin, "admin_account_list", NULL, 0);
    assert_true(admin_is_null(table, 0, "manager_email"));
    assert_string_equal(admin_value(table, 0, "manager_email"), "");
    json_t *json = admin_table_json(table);
    json_t *row = json_array_get(json, 0);
    assert_true(json_is_string(json_object_get(row, "account_id")));
    assert_true(json_is_integer(json_object_get(row, "queued_count")));
    assert_true(json_is_null(json_object_get(row, "manager_email")));
    const char *created = json_string_value(json_object_get(row, "created_at"));
    assert_non_null(created);
    assert_int_equal(strlen(created), strlen("2026-11-21T02:13:02Z"));
    assert_int_equal(created[10], 'T');
    assert_int_equal(created[19], 'Z');
    json_decref(json);
    admin_table_free(&table);
    admin_free(&admin);
}

static void a_violation_can_be_told_by_its_state(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    struct error error = { "" };
    const char *parameters[] = { "shop", NULL };
    assert_true(admin_begin(admin, &error));
    struct admin_table *table = run(admin, "admin_account_add", parameters, 2);
    admin_table_free(&table);
    assert_null(admin_run(admin, "admin_account_add", parameters, 2, &error));
    assert_string_equal(admin_sqlstate(admin), "23505");
    assert_false(admin_commit(admin, &error)); /* it is a rollback by now */
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.account"), 0);
    assert_true(admin_begin(admin, &error));
    admin_rollback(admin);
    admin_free(&admin);
}

static void bytes_are_decoded(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    struct buffer bytes = { 0 };
    const char *id = "8";
    sql_do(f, "CREATE TABLE baton.sandbox_all PARTITION OF baton.sandbox "
              "FOR VALUES FROM (0) TO (100)");
    sql_do(f, "INSERT INTO baton.sandbox VALUES (1, 8, 7, 'b@x', 'a@x', now(), "
              "'\\x00ff5c0d0a'::bytea)");
    struct admin_table *table = run(admin, "admin_sandbox_show", &id, 1);
    assert_int_equal(admin_row_count(table), 1);
    admin_bytes(table, 0, "message", &bytes);
    assert_int_equal(bytes.length, 5);
    assert_memory_equal(bytes.data, "\0\xff\\\r\n", 5);
    buffer_free(&bytes);
    admin_table_free(&table);
    admin_free(&admin);
}

/* -- what operators do to the queue -- */

static void make_queue(struct fixture *f)
{
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
    sql_do(f, "INSERT INTO baton.queue "
              "SELECT 1 + n % 2, baton.make_id(), baton.make_id(), "
              "'d' || n % 3 || '.example', 0, "
              "CASE WHEN n % 4 = 0 THEN NULL ELSE now() + '1 h' END, "
              "CASE WHEN n % 4 = 0 THEN 9 END, now() + '1 d', 1, 100, "
              "CASE WHEN n % 6 = 1 THEN 'suspended by an operator' "
              "ELSE 'greylisted' END FROM generate_series(1, 12) AS n");
    sql_do(f, "INSERT INTO baton.delivery SELECT account_id, delivery_id, "
              "message_id, 'r@' || domain, domain, 0, NULL, 'queued' "
              "FROM baton.queue");
}

static const char *change(struct admin *admin, const char *statement,
                          const char *scope, const char *value,
                          const char *third, char out_count[24])
{
    const char *parameters[] = { scope, value, third };
    struct admin_table *table =
        run(admin, statement, parameters, third != NULL ? 3 : 2);
    snprintf(out_count, 24, "%s", admin_value(table, 0, "delivery_count"));
    admin_table_free(&table);
    return out_count;
}

static void cancel_takes_rows_out_and_writes_what_it_did(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    char count[24];
    make_queue(f);
    assert_string_equal(change(admin, "admin_queue_cancel", "domain",
                               "d0.example", NULL, count),
                        "4");
    assert_string_equal(change(admin, "admin_queue_cancel", "domain",
                               "d0.example", NULL, count),
                        "0");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 8);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'cancelled' AND finished_at IS NOT "
                                   "NULL AND domain = 'd0.example'"),
                     4);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event JOIN "
                                   "baton.delivery USING (account_id, "
                                   "delivery_id, message_id, recipient) WHERE "
                                   "kind = 'cancelled'"),
                     4);
    change(admin, "admin_queue_cancel", "account", "1", NULL, count);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "account_id = 1"),
                     0);
    change(admin, "admin_queue_cancel", "all", "", NULL, count);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    admin_free(&admin);
}

static void retry_leaves_leased_rows_alone(void **state)
{
    struct fixture *f = *state;
    struct admin *admin = connect_admin();
    char count[24];
    make_queue(f);
    assert_string_equal(
        change(admin, "admin_queue_retry", "all", "", "true", count), "2");
    assert_string_equal(
        change(admin, "admin_queue_retry", "all", "", "false", count), "7");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 9 AND due_at IS NULL"),
                     3);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "due_at <= now()"),
                     9);
    admin_free(&admin);
}

int main(void)
{
#define ROW(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(migrate_twice_changes_nothing, setup_empty),
        ROW(migrate_by_several_at_once_is_safe, setup_empty),
        ROW(check_refuses_a_newer_schema, setup_migrated),
        ROW(check_refuses_unsafe_durability, setup_migrated),
        ROW(connecting_in_vain_says_how_to_name_another, setup_migrated),
        ROW(values_are_read_by_name_and_made_json, setup_migrated),
        ROW(a_violation_can_be_told_by_its_state, setup_migrated),
        ROW(bytes_are_decoded, setup_migrated),
        ROW(cancel_takes_rows_out_and_writes_what_it_did, setup_migrated),
        ROW(retry_leaves_leased_rows_alone, setup_migrated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
