/* SPDX-License-Identifier: MIT */
/* Tests of sql/usage.c and baton.take_usage: who gets what of a limit. */
#include "sql/usage.h"

#include "tests/unit/sql/database_fixture.h"

#define ACCOUNT 5

/* An answer; result starts at -1. */
struct taken {
    int result;
    size_t count;
    struct usage_grant grants[8];
    struct error reason;
};

static void on_taken(void *owner, enum database_result result,
                     const struct usage_grant *grants,
                     const struct error *error)
{
    struct taken *taken = owner;
    taken->result = (int)result;
    taken->reason = error != NULL ? *error : (struct error){ "" };
    for (size_t i = 0; grants != NULL && i < taken->count; i++) {
        taken->grants[i] = grants[i];
    }
}

static bool is_taken(void *owner)
{
    return ((struct taken *)owner)->result != -1;
}

static struct usage_line line_of(const char *user_name,
                                 enum clock_period period, int64_t messages,
                                 int64_t recipients)
{
    return (struct usage_line){
        .key = { user_name, period, clock_period_start(clock_now(), period) },
        .most = { messages, recipients },
    };
}

static struct taken take(struct fixture *f, int64_t worker_id,
                         const struct usage_line *lines, size_t line_count,
                         const struct usage_ask *asks, size_t ask_count)
{
    struct taken taken = { .result = -1, .count = ask_count };
    usage_take(f->database, ACCOUNT, worker_id, lines, line_count, asks,
               ask_count, on_taken, &taken);
    assert_int_equal(taken.result, -1); /* never from inside the call */
    run_until(f, is_taken, &taken);
    return taken;
}

static int64_t add_worker(struct fixture *f)
{
    return sql_number(f, "INSERT INTO baton.worker (number, node, process_id, "
                         "alive_until) SELECT coalesce(max(number), 0) + 1, "
                         "'n', 1, now() + interval '1 h' FROM baton.worker "
                         "RETURNING worker_id");
}

static void what_fits_is_granted_in_order(void **state)
{
    struct fixture *f = *state;
    int64_t worker = add_worker(f);
    struct usage_line line = line_of("", PERIOD_DAY, 0, 10);
    const struct usage_ask asks[] = {
        { "", 6, USAGE_WHOLE }, { "", 5, USAGE_WHOLE }, { "", 3, USAGE_WHOLE },
        { "", 5, USAGE_PART },  { "", 1, USAGE_PART },  { "", 2, USAGE_FORCED },
    };
    static const struct usage_grant expected[] = {
        { .recipients = 6 },
        { .recipients = 0, .is_over = true },
        { .recipients = 3 },
        { .recipients = 1, .is_over = true },
        { .recipients = 0, .is_over = true },
        { .recipients = 2, .is_over = true },
    };
    struct taken taken = take(f, worker, &line, 1, asks, ARRAY_LENGTH(asks));
    assert_string_equal(taken.reason.text, "");
    for (size_t i = 0; i < ARRAY_LENGTH(asks); i++) {
        assert_int_equal(taken.grants[i].recipients, expected[i].recipients);
        assert_int_equal(taken.grants[i].is_over, expected[i].is_over);
        assert_true(!expected[i].is_over ||
                    taken.grants[i].kind == LIMIT_RECIPIENTS);
    }
    assert_int_equal(sql_number(f, "SELECT messages * 100 + recipients FROM "
                                   "baton.usage_grant"),
                     412);
}

static void the_longest_limit_in_the_way_is_named(void **state)
{
    struct fixture *f = *state;
    int64_t worker = add_worker(f);
    struct usage_line lines[] = {
        line_of("", PERIOD_MINUTE, 1, 0),
        line_of("", PERIOD_MONTH, 0, 100),
        line_of("app", PERIOD_HOUR, 1, 0),
        line_of("web", PERIOD_HOUR, 50, 0),
    };
    const struct usage_ask asks[] = {
        { "app", 1, USAGE_WHOLE },
        { "app", 1, USAGE_WHOLE },
        { "web", 1, USAGE_WHOLE },
        { "web", 100, USAGE_WHOLE },
    };
    struct taken taken = take(f, worker, lines, 4, asks, 4);
    assert_string_equal(taken.reason.text, "");
    assert_false(taken.grants[0].is_over);
    assert_int_equal(taken.grants[1].line, 2); /* the hour, not the minute */
    assert_int_equal(taken.grants[1].kind, LIMIT_MESSAGES);
    assert_int_equal(taken.grants[2].line, 0);
    assert_int_equal(taken.grants[3].line, 1);
    assert_int_equal(taken.grants[3].kind, LIMIT_RECIPIENTS);
}

static void workers_share_a_limit_and_the_dead_leave_theirs(void **state)
{
    struct fixture *f = *state;
    int64_t first = add_worker(f);
    int64_t second = add_worker(f);
    struct usage_line line = line_of("", PERIOD_DAY, 3, 0);
    const struct usage_ask ask = { "", 1, USAGE_WHOLE };
    const struct usage_ask two[] = { ask, ask };
    assert_false(take(f, first, &line, 1, two, 2).grants[1].is_over);
    struct taken taken = take(f, second, &line, 1, two, 2);
    assert_int_equal(taken.grants[0].recipients, 1);
    assert_int_equal(taken.grants[1].recipients, 0);
    /* What the second says it has is right, also if an answer was lost. */
    assert_int_equal(take(f, second, &line, 1, &ask, 1).grants[0].recipients,
                     1);
    line.held[LIMIT_MESSAGES] = 1;
    assert_int_equal(take(f, second, &line, 1, &ask, 1).grants[0].recipients,
                     0);
    sql_do(f, "DELETE FROM baton.worker WHERE number = 1");
    assert_int_equal(take(f, second, &line, 1, two, 2).grants[1].recipients, 1);
}

struct waiter {
    struct fixture *f;
    struct taken taken;
};

/* It stands in line, or (which would be wrong) was answered. */
static bool is_waiting(void *owner)
{
    struct waiter *waiter = owner;
    return is_taken(&waiter->taken) ||
           sql_number(waiter->f, "SELECT count(*) FROM pg_locks WHERE locktype "
                                 "= 'advisory' AND NOT granted") == 1;
}

/* Of two that ask at once the second sees what the first was granted. */
static void who_asks_for_one_account_waits(void **state)
{
    struct fixture *f = *state;
    int64_t first = add_worker(f);
    int64_t second = add_worker(f);
    struct usage_line line = line_of("", PERIOD_DAY, 1, 0);
    const struct usage_ask ask = { "", 1, USAGE_WHOLE };
    struct waiter waiter = { .f = f, .taken = { .result = -1, .count = 1 } };
    sql_do(f, "BEGIN");
    assert_int_equal(
        sql_number(f,
                   "SELECT granted FROM baton.take_usage(%d, %" PRId64
                   ", '{\"\"}', '{2}', ARRAY[baton.period_start(2::smallint, "
                   "now())], '{1}', '{0}', '{0}', '{0}', '{\"\"}', '{1}', "
                   "'{0}')",
                   ACCOUNT, first),
        1);
    usage_take(f->database, ACCOUNT, second, &line, 1, &ask, 1, on_taken,
               &waiter.taken);
    run_until(f, is_waiting, &waiter);
    assert_int_equal(waiter.taken.result, -1);
    sql_do(f, "COMMIT");
    run_until(f, is_taken, &waiter.taken);
    assert_int_equal(waiter.taken.grants[0].recipients, 0);
}

static void who_is_no_worker_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct usage_line line = line_of("", PERIOD_DAY, 3, 0);
    const struct usage_ask ask = { "", 1, USAGE_WHOLE };
    struct taken taken = take(f, 4711, &line, 1, &ask, 1);
    assert_int_equal(taken.result, DATABASE_FAILED);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.usage_grant"),
                     0);
}

/* -- what is stored -- */

static bool has_flight(void *owner)
{
    const struct sample_message *sample = owner;
    return sample->stored.row.is_in_flight;
}

static void make_counted(struct sample_message *sample, int64_t worker_id)
{
    make_message(sample, ACCOUNT, 0, TEXT_LITERAL("x"));
    sample->message.usage = (struct usage_claim){
        .recipients = 1,
        .counted_at = clock_now(),
        .worker_id = worker_id,
        .user_name = "app",
        .account_periods = 1U << PERIOD_DAY | 1U << PERIOD_MONTH,
        .user_periods = 1U << PERIOD_MINUTE,
    };
}

static int64_t counted(struct fixture *f, const char *user_name)
{
    return sql_number(f,
                      "SELECT coalesce(sum(messages * 10 + recipients), 0) "
                      "FROM baton.usage WHERE user_name = '%s'",
                      user_name);
}

static void what_is_stored_is_counted_with_it(void **state)
{
    struct fixture *f = *state;
    struct sample_message samples[3];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        make_counted(&samples[i], 9);
        store_message(f, &samples[i]);
    }
    run_until(f, has_outcome, &samples[2].stored);
    assert_int_equal(samples[2].stored.result, DATABASE_DONE);
    assert_int_equal(counted(f, "app"), 33);
    assert_int_equal(counted(f, ""), 66);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.usage"), 3);
}

static void what_is_not_limited_has_no_row(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, ACCOUNT, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.usage"), 0);
}

/* Bad in the middle of it: every row of the batch is sent again by itself, in
 * the form for what may be there already. */
static void what_is_sent_again_counts_once(void **state)
{
    struct fixture *f = *state;
    struct sample_message samples[3];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        make_counted(&samples[i], 9);
    }
    samples[1].message.metadata = "no JSON";
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        store_message(f, &samples[i]);
    }
    run_until(f, has_outcome, &samples[2].stored);
    assert_int_equal(samples[0].stored.result, DATABASE_DONE);
    assert_int_equal(samples[1].stored.result, DATABASE_FAILED);
    assert_int_equal(counted(f, "app"), 22);
    /* The very same once more, as after an answer that was lost. */
    samples[0].stored = (struct outcome){ .result = -1 };
    samples[1].stored = (struct outcome){ .result = -1 };
    store_message(f, &samples[0]);
    store_message(f, &samples[1]);
    run_until(f, has_outcome, &samples[0].stored);
    run_until(f, has_outcome, &samples[1].stored);
    assert_int_equal(samples[0].stored.result, DATABASE_DONE);
    assert_int_equal(counted(f, "app"), 22);
}

static void what_is_withdrawn_is_taken_back(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct sample_message never;
    make_counted(&sample, 9);
    sql_do(f, "BEGIN");
    sql_do(f, "LOCK TABLE baton.message");
    store_message(f, &sample);
    run_until(f, has_flight, &sample);
    batch_withdraw(&sample.stored.row);
    sql_do(f, "COMMIT");
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_WITHDRAWN);
    assert_int_equal(counted(f, ""), 0);
    assert_int_equal(counted(f, "app"), 0);
    /* What was never stored, or is withdrawn a second time, was not counted. */
    make_counted(&never, 9);
    message_batch_kind.undo(f->database, &never.message, NULL, NULL);
    message_batch_kind.undo(f->database, &sample.message, NULL, NULL);
    run_until(f, has_nothing_pending, f);
    assert_int_equal(counted(f, ""), 0);
}

/* -- periods -- */

static void sql_has_the_same_periods(void **state)
{
    struct fixture *f = *state;
    char at[CLOCK_TEXT_SIZE];
    char start[CLOCK_TEXT_SIZE];
    char end[CLOCK_TEXT_SIZE];
    sql_do(f, "SET TimeZone = 'Europe/Berlin'");
    for (int i = 0; i < 400; i++) {
        /* Odd steps over twelve years, on both sides of every boundary. */
        int64_t instant =
            INT64_C(1700000000000000) + i * INT64_C(947123) * CLOCK_SECOND;
        enum clock_period period = (enum clock_period)(i % PERIOD_COUNT);
        if (i % 3 > 0) {
            instant = clock_period_end(instant, PERIOD_MONTH) - i % 2;
        }
        clock_iso8601(instant, at);
        clock_iso8601(clock_period_start(instant, period), start);
        clock_iso8601(clock_period_end(instant, period), end);
        assert_int_equal(
            sql_number(f,
                       "SELECT (baton.period_start(%d::smallint, '%s') = '%s' "
                       "AND baton.period_end(%d::smallint, '%s') = '%s')::int",
                       (int)period, at, start, (int)period, start, end),
            1);
    }
}

static void what_is_over_is_forgotten(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.usage VALUES "
              "(5, '', 0, '2026-11-21 15:03Z', 1, 0, 1, 1), "
              "(5, '', 0, '2026-11-21 14:02Z', 1, 0, 1, 1), "
              "(5, '', 3, '2026-11-01 00:00Z', 1, 0, 1, 1), "
              "(5, '', 3, '2026-10-01 00:00Z', 1, 0, 1, 1)");
    usage_forget(f->database, INT64_C(1795273499) * CLOCK_SECOND);
    struct taken taken = { .result = -1, .count = 0 };
    struct usage_line line = line_of("", PERIOD_DAY, 1, 1);
    usage_take(f->database, ACCOUNT, add_worker(f), &line, 1, NULL, 0, on_taken,
               &taken); /* behind it on the same connection */
    run_until(f, is_taken, &taken);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.usage"), 2);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(what_fits_is_granted_in_order),
        ROW(the_longest_limit_in_the_way_is_named),
        ROW(workers_share_a_limit_and_the_dead_leave_theirs),
        ROW(who_asks_for_one_account_waits),
        ROW(who_is_no_worker_gets_nothing),
        ROW(what_is_stored_is_counted_with_it),
        ROW(what_is_not_limited_has_no_row),
        ROW(what_is_sent_again_counts_once),
        ROW(what_is_withdrawn_is_taken_back),
        ROW(sql_has_the_same_periods),
        ROW(what_is_over_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
