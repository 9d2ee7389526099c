/* SPDX-License-Identifier: MIT */
#include "sql/notices.h"
#include "tests/unit/sql/database_fixture.h"

#define WORKER 41

static void store_and_wait(struct fixture *f, struct sample_message *sample)
{
    make_message(sample, 3, WORKER, TEXT_LITERAL("x"));
    store_message(f, sample);
    run_until(f, has_outcome, &sample->stored);
    assert_int_equal(sample->stored.result, DATABASE_DONE);
}

static void finish_and_wait(struct fixture *f, struct sample_message *sample)
{
    store_result(f, sample);
    assert_int_equal(sample->resulted.call_count, 0);
    run_until(f, has_outcome, &sample->resulted);
    assert_string_equal(sample->resulted.reason.text, "");
    assert_int_equal(sample->resulted.result, DATABASE_DONE);
    assert_int_equal(sample->resulted.call_count, 1);
}

static void a_finished_delivery_leaves_the_queue(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_FINISHED);
    sample.result.sandbox_message = TEXT_LITERAL("the copy");
    sample.result.sandbox_sender = "race@example.com";
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.delivery WHERE state = "
                      "'delivered' AND attempt_count = 1 AND last_reply = "
                      "'250 2.0.0 Ok' AND finished_at IS NOT NULL"),
        1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.attempt WHERE "
                                   "reply_code = 250 AND number = 1"),
                     1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "kind = 'delivered' AND detail->>'code' = "
                                   "'250' AND recipient IS NOT NULL"),
                     1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.sandbox WHERE "
                                   "message = 'the copy'::bytea"),
                     1);
}

static void a_rescheduled_delivery_is_given_back(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_RESCHEDULED);
    finish_and_wait(f, &sample);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.queue WHERE worker_id IS "
                      "NULL AND due_at BETWEEN now() + interval '50 s' AND "
                      "now() + interval '70 s' AND attempt_count = 1 AND why "
                      "= 'greylisted'"),
        1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'queued' AND attempt_count = 1"),
                     1);
}

static void a_kept_delivery_stays_the_worker_s(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_KEPT);
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 41 AND attempt_count = 1"),
                     1);
}

static void given_back_untried(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_RESCHEDULED);
    sample.result.has_attempt = false;
    sample.result.attempt_number = 0;
    sample.result.event_kind = NULL;
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.attempt"), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id IS NULL AND attempt_count = 0"),
                     1);
}

/* Fencing: the delivery was taken over, its old owner comes late. */
static void who_lost_the_delivery_changes_nothing_but_the_story(void **state)
{
    static const enum result_next cases[] = { RESULT_FINISHED,
                                              RESULT_RESCHEDULED, RESULT_KEPT };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sample_message sample;
        store_and_wait(f, &sample);
        sql_do(f, "UPDATE baton.queue SET worker_id = 42");
        make_result(&sample, cases[i]);
        finish_and_wait(f, &sample);
        assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue "
                                       "WHERE worker_id = 42 AND "
                                       "attempt_count = 0"),
                         1);
        assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery "
                                       "WHERE state = 'queued'"),
                         1);
        assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.attempt"),
                         1);
        sql_do(f, "TRUNCATE baton.queue, baton.delivery, baton.attempt");
    }
}

static void a_result_stored_twice_is_stored_once(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_FINISHED);
    finish_and_wait(f, &sample);
    sample.resulted = (struct outcome){ .result = -1 };
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.attempt"), 1);
    /* And the message again, as after a lost answer: it is not queued anew. */
    sample.stored = (struct outcome){ .result = -1 };
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'delivered'"),
                     1);
}

/* The answer to the first was lost; the delivery was claimed meanwhile. */
static void given_back_again_it_stays_with_who_claimed_it(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_RESCHEDULED);
    finish_and_wait(f, &sample);
    sql_do(f, "UPDATE baton.queue SET worker_id = 41, due_at = NULL");
    sample.resulted = (struct outcome){ .result = -1 };
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 41 AND attempt_count = 1"),
                     1);
}

static int64_t counter(struct fixture *f, const char *name)
{
    return sql_number(f,
                      "SELECT coalesce(sum(%s), 0) FROM baton.counter WHERE "
                      "group_id = 9",
                      name);
}

static void what_became_of_a_delivery_is_counted_once(void **state)
{
    static const struct {
        const char *kind;
        const char *counter;
    } rows[] = {
        { "delivered", "sent" },
        { "deferred", "deferred" },
        { "bounced", "failed_permanent" },
        { "expired", "failed_expired" },
        { "suppressed", "failed_suppressed" },
        { "cancelled", "cancelled" },
        { "rejected", "refused" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct sample_message sample;
        store_and_wait(f, &sample);
        for (int k = 0; k < 3; k++) {
            make_result(&sample, RESULT_KEPT);
            sample.result.event_kind = rows[i].kind;
            sample.result.group_id = 9;
            sample.result.counts = k > 0; /* the first is of a notice */
            sample.resulted = (struct outcome){ .result = -1 };
            finish_and_wait(f, &sample);
        }
        sample.resulted = (struct outcome){ .result = -1 };
        finish_and_wait(f, &sample); /* the same once more */
        assert_int_equal(counter(f, rows[i].counter), 2);
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "group_id = 9"),
                     3 * ARRAY_LENGTH(rows));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.counter WHERE "
                                   "group_id = 9 AND shard = 7 * 8 + 2"),
                     1);
}

static void a_block_is_no_failure_of_the_recipient(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_FINISHED);
    sample.result.event_kind = "bounced";
    sample.result.event_detail = "{\"class\": \"reputation_block\"}";
    sample.result.group_id = 9;
    sample.result.counts = true;
    finish_and_wait(f, &sample);
    assert_int_equal(counter(f, "blocked"), 1);
    assert_int_equal(counter(f, "failed_permanent"), 0);
}

/* -- notices -- */

/* A batch may be sent again after its answer was lost, and a worker may have
 * lost the delivery: only who ends it says whom it is told. */
static void who_ends_a_delivery_tells_of_it_once(void **state)
{
    static const struct new_notice notice = {
        .manager = "boss@manager.example",
        .class = "invalid_address",
        .status = "5.1.1",
        .reply = "550 5.1.1 Nobody",
        .host = "mx.example",
        .explanation = "nobody of that name",
    };
    struct fixture *f = *state;
    struct sample_message sample;
    store_and_wait(f, &sample);
    (void)sql_number(f,
                     "INSERT INTO baton.account (account_id, name) OVERRIDING "
                     "SYSTEM VALUE VALUES (%lld, 'told') RETURNING account_id",
                     (long long)sample.message.account_id);
    make_result(&sample, RESULT_FINISHED);
    sample.result.state = "failed";
    sample.result.event_kind = "bounced";
    sample.result.notice = &notice;
    finish_and_wait(f, &sample);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.notice_failure "
                                   "WHERE addressee = 'boss@manager.example' "
                                   "AND reply = '550 5.1.1 Nobody'"),
                     1);
    sql_do(f, "DELETE FROM baton.notice_failure");
    sample.resulted = (struct outcome){ .result = -1 };
    finish_and_wait(f, &sample); /* the same once more */
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.notice_failure"),
                     0);
}

/* -- suppressions -- */

#define DAY (INT64_C(24) * 3600 * CLOCK_SECOND)

/* A failure whose reply says something of the address. */
static void fail_and_wait(struct fixture *f, struct sample_message *sample,
                          int64_t finished_at, const char *recipient,
                          bool counts_inactive)
{
    store_and_wait(f, sample);
    make_result(sample, RESULT_FINISHED);
    sample->result.finished_at = finished_at;
    sample->result.state = "failed";
    sample->result.event_kind = "bounced";
    sample->result.recipient = recipient;
    sample->result.suppression = (struct suppression_note){
        .reason = "hard_bounce",
        .evidence = "550 5.1.1 Unknown",
        .inactive_count = counts_inactive ? 3 : 0,
        .inactive_milliseconds = 7 * DAY / CLOCK_MILLISECOND,
    };
    finish_and_wait(f, sample);
}

static int64_t count_suppressions(struct fixture *f, const char *where)
{
    return sql_number(f, "SELECT count(*) FROM baton.suppression WHERE %s",
                      where);
}

/* B1 */
static void a_hard_bounce_suppresses_with_its_result(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b'), ('c')");
    fail_and_wait(f, &sample, clock_now(), "Runner@Example.net", false);
    assert_int_equal(count_suppressions(f, "account_id = 3 AND address = "
                                           "'runner@example.net' AND group_id "
                                           "IS NULL AND reason = 'hard_bounce' "
                                           "AND evidence = '550 5.1.1 Unknown' "
                                           "AND expires_at IS NULL"),
                     1);
    assert_int_equal(sql_number(f,
                                "SELECT count(*) FROM baton.suppression WHERE "
                                "delivery_id = %" PRId64,
                                sample.delivery.delivery_id),
                     1);
    sql_do(f, "UPDATE baton.suppression SET evidence = 'kept'");
    sample.resulted = (struct outcome){ .result = -1 };
    finish_and_wait(f, &sample); /* the answer was lost */
    fail_and_wait(f, &sample, clock_now(), "runner@example.net", false);
    assert_int_equal(count_suppressions(f, "evidence = 'kept'"), 1);
    assert_int_equal(count_suppressions(f, "true"), 1);
    sql_do(f, "UPDATE baton.suppression SET expires_at = now()");
    fail_and_wait(f, &sample, clock_now(), "runner@example.net", false);
    assert_int_equal(count_suppressions(f, "evidence = '550 5.1.1 Unknown' AND "
                                           "expires_at IS NULL"),
                     1);
}

static void an_account_that_is_gone_suppresses_nothing(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    fail_and_wait(f, &sample, clock_now(), "runner@example.net", false);
    assert_int_equal(count_suppressions(f, "true"), 0);
}

/* B3: inactive suppresses when it is repeated. */
static void repeated_inactivity_suppresses(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    int64_t now = clock_now();
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b'), ('c')");
    fail_and_wait(f, &sample, now - 8 * DAY, "Runner@example.net", true);
    sample.resulted = (struct outcome){ .result = -1 };
    finish_and_wait(f, &sample); /* once more, as after a lost answer */
    fail_and_wait(f, &sample, now - 4 * DAY, "runner@example.net", true);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.inactivity "
                                   "WHERE address = 'runner@example.net'"),
                     2);
    fail_and_wait(f, &sample, now - 2 * DAY, "runner@example.net", true);
    assert_int_equal(count_suppressions(f, "true"), 0); /* six days */
    fail_and_wait(f, &sample, now, "runner@example.net", true);
    assert_int_equal(count_suppressions(f,
                                        "reason = 'hard_bounce' AND evidence "
                                        "LIKE 'inactive 4 times since "
                                        "20__-__-__; the last reply: 550 "
                                        "5.1.1 Unknown'"),
                     1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.inactivity"), 0);
}

static void what_arrives_begins_the_count_anew(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    int64_t now = clock_now();
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b'), ('c')");
    fail_and_wait(f, &sample, now - 20 * DAY, "runner@example.net", true);
    fail_and_wait(f, &sample, now - 15 * DAY, "runner@example.net", true);
    store_and_wait(f, &sample);
    make_result(&sample, RESULT_FINISHED);
    sample.result.finished_at = now - 10 * DAY;
    finish_and_wait(f, &sample);
    fail_and_wait(f, &sample, now - 9 * DAY, "runner@example.net", true);
    fail_and_wait(f, &sample, now - DAY, "runner@example.net", true);
    assert_int_equal(count_suppressions(f, "true"), 0);
    fail_and_wait(f, &sample, now, "runner@example.net", true);
    assert_int_equal(
        count_suppressions(f, "evidence LIKE 'inactive 3 times%%'"), 1);
}

static void an_event_stands_alone(void **state)
{
    struct fixture *f = *state;
    struct outcome outcome = { .result = -1 };
    struct new_event event = {
        .account_id = 0,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .kind = "rejected",
        .recipient = "nobody\xff@example.net",
        .detail = "{\"reply\": \"a\\u0000b \\\\u0000\"}",
        .quantity = 4,
    };
    event_store(f->database, &outcome.row, &event, on_outcome, &outcome);
    run_until(f, has_outcome, &outcome);
    assert_string_equal(outcome.reason.text, "");
    assert_int_equal(outcome.result, DATABASE_DONE);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.event WHERE message_id IS "
                      "NULL AND detail->>'reply' = U&'a\\FFFDb \\\\u0000'"),
        1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.counter WHERE "
                                   "refused = 4 AND shard = 7 * 8 + 3"),
                     1);
}

static void result_waits_do_not_grow_without_bound(void **state)
{
    enum { COUNT = 1100 }; /* of 16 KB each */
    static char detail[16 * 1024];
    struct fixture *f = *state;
    memset(detail, ' ', sizeof(detail) - 1);
    memcpy(detail, "{}", 2);
    struct outcome *outcomes = memory_alloc_array(COUNT, sizeof(*outcomes));
    struct new_event event = {
        .event_id = 1,
        .occurred_at = clock_now(),
        .kind = "rejected",
        .detail = detail,
    };
    connection_break(f->database->lines[CONNECTION_RESULT].connection, true);
    for (size_t i = 0; i < COUNT; i++) {
        outcomes[i].result = -1;
        event_store(f->database, &outcomes[i].row, &event, on_outcome,
                    &outcomes[i]);
    }
    run_until(f, has_outcome, &outcomes[COUNT - 1]);
    assert_int_equal(outcomes[COUNT - 1].result, DATABASE_UNAVAILABLE);
    assert_int_equal(outcomes[0].result, -1);
    database_free(&f->database);
    memory_free(outcomes);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_finished_delivery_leaves_the_queue),
        ROW(a_rescheduled_delivery_is_given_back),
        ROW(a_kept_delivery_stays_the_worker_s),
        ROW(given_back_untried),
        ROW(who_lost_the_delivery_changes_nothing_but_the_story),
        ROW(a_result_stored_twice_is_stored_once),
        ROW(given_back_again_it_stays_with_who_claimed_it),
        ROW(what_became_of_a_delivery_is_counted_once),
        ROW(a_block_is_no_failure_of_the_recipient),
        ROW(who_ends_a_delivery_tells_of_it_once),
        ROW(a_hard_bounce_suppresses_with_its_result),
        ROW(an_account_that_is_gone_suppresses_nothing),
        ROW(repeated_inactivity_suppresses),
        ROW(what_arrives_begins_the_count_anew),
        ROW(an_event_stands_alone),
        ROW(result_waits_do_not_grow_without_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
