/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "tests/unit/sql/database_fixture.h"

static bool all_have_outcomes(struct sample_message *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (samples[i].stored.result == -1) {
            return false;
        }
    }
    return true;
}

#define SAMPLES 600

struct many {
    struct fixture *f;
    struct sample_message samples[SAMPLES];
};

static bool are_stored(void *owner)
{
    struct many *many = owner;
    return all_have_outcomes(many->samples, SAMPLES);
}

static struct many *store_many(struct fixture *f)
{
    struct many *many = memory_alloc(sizeof(*many));
    many->f = f;
    for (size_t i = 0; i < SAMPLES; i++) {
        make_message(&many->samples[i], 1 + (int64_t)(i % 3), 0,
                     TEXT_LITERAL("Subject: x\r\n\r\nbody\r\n"));
        store_message(f, &many->samples[i]);
    }
    return many;
}

static void check_all_stored_once(struct many *many)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(many->samples[i].stored.result, DATABASE_DONE);
        assert_int_equal(many->samples[i].stored.call_count, 1);
    }
    assert_int_equal(sql_number(many->f, "SELECT count(*) FROM baton.message"),
                     SAMPLES);
    assert_int_equal(sql_number(many->f, "SELECT count(*) FROM baton.queue"),
                     SAMPLES);
    assert_int_equal(sql_number(many->f, "SELECT count(*) FROM baton.event"),
                     SAMPLES);
}

static void rows_share_transactions(void **state)
{
    struct fixture *f = *state;
    struct many *many = store_many(f);
    run_until(f, are_stored, many);
    check_all_stored_once(many);
    assert_in_range(
        sql_number(f, "SELECT count(DISTINCT xmin::text) FROM baton.message"),
        1, 10);
    memory_free(many);
}

/* Every row that was called back is visible to others at that moment. */
struct witness {
    struct fixture *f;
    struct sample_message *sample;
    int64_t seen;
};

static void on_witnessed(void *owner, enum database_result result,
                         const struct error *error)
{
    struct witness *witness = owner;
    witness->seen = sql_number(witness->f,
                               "SELECT count(*) FROM baton.queue WHERE "
                               "message_id = %" PRId64,
                               witness->sample->message.message_id);
    on_outcome(&witness->sample->stored, result, error);
}

static void nothing_is_acknowledged_before_its_commit(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct witness witness = { .f = f, .sample = &sample };
    /* The transaction fails at its very end, after every statement was
     * answered: as a deferred constraint does. */
    sql_do(f, "CREATE TABLE baton.gate (open boolean)");
    sql_do(f, "CREATE FUNCTION baton.gate() RETURNS trigger LANGUAGE plpgsql "
              "AS $$BEGIN IF NOT EXISTS (SELECT FROM baton.gate) THEN RAISE "
              "'closed' USING ERRCODE = '40001'; END IF; RETURN NULL; END$$");
    sql_do(f, "CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON baton.queue "
              "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
              "baton.gate()");
    make_message(&sample, 1, 0, TEXT_LITERAL("x"));
    message_store(f->database, &sample.stored.row, &sample.message,
                  on_witnessed, &witness);
    int64_t until = clock_monotonic() + 300 * CLOCK_MILLISECOND;
    struct timer ticks = { 0 };
    while (clock_monotonic() < until) {
        timer_start(&ticks, f->loop, 5, tick, f->loop);
        loop_run(f->loop);
    }
    timer_stop(&ticks);
    assert_int_equal(sample.stored.call_count, 0);
    sql_do(f, "INSERT INTO baton.gate VALUES (true)");
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(witness.seen, 1);
}

static void a_poisonous_row_harms_nobody_else(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "ALTER TABLE baton.message ADD CONSTRAINT poison CHECK (subject "
              "<> 'poison')");
    struct many *many = store_many(f);
    many->samples[100].message.subject = "poison";
    many->samples[577].message.subject = "poison";
    run_until(f, are_stored, many);
    for (size_t i = 0; i < SAMPLES; i++) {
        bool is_poison = i == 100 || i == 577;
        assert_int_equal(many->samples[i].stored.result,
                         is_poison ? DATABASE_FAILED : DATABASE_DONE);
        assert_int_equal(many->samples[i].stored.call_count, 1);
    }
    assert_non_null(strstr(many->samples[100].stored.reason.text, "poison"));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"),
                     SAMPLES - 2);
    memory_free(many);
}

static void a_missing_partition_is_not_the_message_s_fault(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    sql_do(f, "DO $$DECLARE t text; BEGIN FOR t IN SELECT inhrelid::regclass "
              "FROM pg_inherits WHERE inhparent = 'baton.message'::regclass "
              "LOOP EXECUTE 'DROP TABLE ' || t; END LOOP; END$$");
    make_message(&sample, 1, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    int64_t until = clock_monotonic() + 300 * CLOCK_MILLISECOND;
    struct timer ticks = { 0 };
    while (clock_monotonic() < until) {
        timer_start(&ticks, f->loop, 5, tick, f->loop);
        loop_run(f->loop);
    }
    timer_stop(&ticks);
    assert_int_equal(sample.stored.call_count, 0);
    sql_do(f, "SELECT baton.maintain(now(), NULL, NULL, NULL, NULL)");
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
}

/* As a crash: kill -9 of one backend makes the whole server start again. */
static void kill_backend(struct fixture *f, const char *purpose)
{
    pid_t process = (pid_t)sql_number(
        f,
        "SELECT pid FROM pg_stat_activity WHERE application_name = "
        "'baton %s' AND pid IS NOT NULL ORDER BY backend_start DESC LIMIT 1",
        purpose);
    assert_true(process > 1);
    assert_int_equal(kill(process, SIGKILL), 0);
}

struct waves {
    struct fixture *f;
    struct sample_message *samples;
    size_t count;
    size_t done_count;
    size_t kill_after;
    bool is_killed;
};

static void on_wave_row(void *owner, enum database_result result,
                        const struct error *error)
{
    struct outcome *outcome = owner;
    on_outcome(outcome, result, error);
}

static bool has_some(void *owner)
{
    struct waves *waves = owner;
    size_t done = 0;
    for (size_t i = 0; i < waves->count; i++) {
        done += waves->samples[i].stored.result != -1 ? 1 : 0;
    }
    waves->done_count = done;
    return done >= waves->kill_after;
}

static void a_killed_backend_loses_and_doubles_nothing(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3000 };
    struct waves waves = { .f = f, .count = COUNT, .kill_after = 300 };
    waves.samples = memory_alloc_array(COUNT, sizeof(*waves.samples));
    char *body = memory_alloc(20000);
    memset(body, 'x', 20000);
    for (size_t i = 0; i < COUNT; i++) {
        make_message(&waves.samples[i], 1, 0, (struct text){ body, 20000 });
        message_store(f->database, &waves.samples[i].stored.row,
                      &waves.samples[i].message, on_wave_row,
                      &waves.samples[i].stored);
    }
    run_until(f, has_some, &waves);
    assert_in_range(waves.done_count, 300, COUNT - 1);
    bool *was_acknowledged = memory_alloc_array(COUNT, sizeof(bool));
    for (size_t i = 0; i < COUNT; i++) {
        was_acknowledged[i] = waves.samples[i].stored.result == DATABASE_DONE;
    }
    kill_backend(f, "messages");
    sql_await_crash(f);
    for (size_t i = 0; i < COUNT; i++) {
        if (was_acknowledged[i]) {
            assert_int_equal(
                sql_number(f,
                           "SELECT count(*) FROM baton.message WHERE "
                           "account_id = 1 AND message_id = %" PRId64,
                           waves.samples[i].message.message_id),
                1);
        }
    }
    waves.kill_after = COUNT;
    run_until(f, has_some, &waves);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(waves.samples[i].stored.result, DATABASE_DONE);
        assert_int_equal(waves.samples[i].stored.call_count, 1);
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"),
                     COUNT);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), COUNT);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event"), COUNT);
    memory_free(was_acknowledged);
    memory_free(waves.samples);
    memory_free(body);
}

static bool is_down(void *owner)
{
    struct fixture *f = owner;
    return !database_is_up(f->database);
}

static bool is_sent_and_waits(void *owner)
{
    struct sample_message *sample = owner;
    return sample->stored.row.is_in_flight;
}

/* The commit happens, its answer does not arrive, the client is told 451: the
 * message must not go out when PostgreSQL is back. */
static void what_was_given_up_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct sample_message later;
    struct error error;
    setenv("BATON_DATABASE_COMMIT_TIMEOUT", "1 s", 1);
    assert_true(config_load(f->config, NULL, &error));
    sql_do(f, "BEGIN; LOCK TABLE baton.event IN ACCESS EXCLUSIVE MODE");
    make_message(&sample, 1, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    run_until(f, is_sent_and_waits, &sample);
    /* Its last statement waits for the lock: cut the line, not the server. */
    connection_break(f->database->lines[CONNECTION_STORE].connection, true);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_UNAVAILABLE);
    assert_true(database_pending_count(f->database) > 0);
    sql_do(f, "COMMIT");
    connection_break(f->database->lines[CONNECTION_STORE].connection, false);
    run_until(f, has_nothing_pending, f);
    make_message(&later, 2, 0, TEXT_LITERAL("x"));
    store_message(f, &later);
    run_until(f, has_outcome, &later.stored);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "account_id = 1"),
                     0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "account_id = 1 AND state = 'withdrawn'"),
                     1);
    assert_int_equal(sample.stored.call_count, 1);
}

static void what_was_never_sent_is_unavailable_in_time(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct error error;
    setenv("BATON_DATABASE_COMMIT_TIMEOUT", "1 s", 1);
    assert_true(config_load(f->config, NULL, &error));
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        connection_break(f->database->lines[i].connection, true);
    }
    run_until(f, is_down, f);
    assert_int_equal(f->down_count, 1);
    make_message(&sample, 1, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    make_result(&sample, RESULT_FINISHED);
    store_result(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_UNAVAILABLE);
    /* Results are never given up. */
    assert_int_equal(sample.resulted.result, -1);
    assert_int_equal(database_pending_count(f->database), 1);
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        connection_break(f->database->lines[i].connection, false);
    }
    run_until(f, has_outcome, &sample.resulted);
    assert_int_equal(sample.resulted.result, DATABASE_DONE);
}

static void on_flushed(void *owner)
{
    ((struct fixture *)owner)->is_flushed = true;
}

static bool is_flushed(void *owner)
{
    return ((struct fixture *)owner)->is_flushed;
}

static void flush_waits_for_every_row(void **state)
{
    struct fixture *f = *state;
    struct many *many = store_many(f);
    assert_int_equal(database_pending_count(f->database), SAMPLES);
    database_flush(f->database, on_flushed, f);
    assert_false(f->is_flushed);
    run_until(f, is_flushed, f);
    assert_true(are_stored(many));
    f->is_flushed = false;
    database_flush(f->database, on_flushed, f);
    assert_false(f->is_flushed);
    run_until(f, is_flushed, f);
    memory_free(many);
}

/* A session notices only when it has done what it was given. */
static bool has_no_session(void *owner)
{
    struct fixture *f = owner;
    return sql_number(f, "SELECT count(*) FROM pg_stat_activity WHERE pid <> "
                         "pg_backend_pid() AND datname = current_database() "
                         "AND backend_type = 'client backend'") == 0;
}

static void a_database_can_be_freed_with_rows_on_their_way(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "BEGIN; LOCK TABLE baton.event IN ACCESS EXCLUSIVE MODE");
    struct many *many = store_many(f);
    run_until(f, is_sent_and_waits, &many->samples[0]);
    batch_withdraw(&many->samples[1].stored.row);
    database_free(&f->database);
    sql_do(f, "COMMIT");
    run_until(f, has_no_session, f);
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(many->samples[i].stored.call_count, 0);
    }
    memory_free(many);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(rows_share_transactions),
        ROW(nothing_is_acknowledged_before_its_commit),
        ROW(a_poisonous_row_harms_nobody_else),
        ROW(a_missing_partition_is_not_the_message_s_fault),
        ROW(what_was_given_up_is_withdrawn),
        ROW(what_was_never_sent_is_unavailable_in_time),
        ROW(flush_waits_for_every_row),
        ROW(a_database_can_be_freed_with_rows_on_their_way),
        ROW(a_killed_backend_loses_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
