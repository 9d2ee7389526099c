/* SPDX-License-Identifier: MIT */
/* What came back of deliveries: B7, B9, once each. */
#include "sql/inbound.h"

#include "tests/unit/sql/database_fixture.h"

#define WORKER 41

struct stored_report {
    struct inbound_report report;
    struct outcome outcome;
};

static bool has_stored(void *owner)
{
    return ((struct outcome *)owner)->call_count > 0;
}

/* A delivery in this state, counted as it would be. */
static void make_delivery(struct fixture *f, struct sample_message *sample,
                          const char *state)
{
    char text[300];
    sql_do(f, "INSERT INTO baton.account (account_id, name) OVERRIDING SYSTEM "
              "VALUE VALUES (3, 'a') ON CONFLICT DO NOTHING");
    make_message(sample, 3, WORKER, TEXT_LITERAL("x"));
    store_message(f, sample);
    run_until(f, has_outcome, &sample->stored);
    assert_int_equal(sample->stored.result, DATABASE_DONE);
    if (strcmp(state, "queued") == 0) {
        return;
    }
    make_result(sample, RESULT_FINISHED);
    sample->result.counts = true;
    sample->result.state = state;
    sample->result.event_kind =
        strcmp(state, "delivered") == 0 ? "delivered" : "bounced";
    store_result(f, sample);
    run_until(f, has_outcome, &sample->resulted);
    assert_int_equal(sample->resulted.result, DATABASE_DONE);
    snprintf(text, sizeof(text),
             "UPDATE baton.delivery SET finished_at = finished_at - interval "
             "'3 hours' WHERE delivery_id = %" PRId64,
             sample->delivery.delivery_id);
    sql_do(f, text); /* another hour's counters are taken back */
    sql_do(f, "UPDATE baton.counter SET hour = hour - interval '3 hours'");
}

static void begin_report(const struct sample_message *sample,
                         enum inbound_kind kind, struct stored_report *out)
{
    *out = (struct stored_report){
        .report = {
            .account_id = 3,
            .delivery_id = sample->delivery.delivery_id,
            .event_id = id_make(),
            .occurred_at = clock_now(),
            .kind = kind,
            .detail = "{\"class\": \"x\", \"text\": \"\\u0000\"}",
            .reply = kind == INBOUND_BOUNCED ? "550 5.1.1 No" : NULL,
            .client_address = "192.0.2.1",
            .recipient = sample->delivery.recipient,
        },
    };
    out->outcome.result = -1;
}

static void store(struct fixture *f, struct stored_report *stored)
{
    stored->outcome.call_count = 0;
    inbound_store(f->database, &stored->outcome.row, &stored->report,
                  on_outcome, &stored->outcome);
    assert_int_equal(stored->outcome.call_count, 0);
    run_until(f, has_stored, &stored->outcome);
    assert_string_equal(stored->outcome.reason.text, "");
    assert_int_equal(stored->outcome.result, DATABASE_DONE);
}

static void report(struct fixture *f, const struct sample_message *sample,
                   enum inbound_kind kind, const char *suppression)
{
    struct stored_report stored;
    begin_report(sample, kind, &stored);
    stored.report.suppression =
        (struct suppression_note){ .reason = suppression,
                                   .evidence = "550 5.1.1 No" };
    store(f, &stored);
}

static int64_t count_events(struct fixture *f, const char *kind)
{
    return sql_number(f, "SELECT count(*) FROM baton.event WHERE kind = '%s'",
                      kind);
}

static int64_t counter(struct fixture *f, const char *name)
{
    return sql_number(
        f, "SELECT coalesce(sum(%s), 0)::bigint FROM baton.counter", name);
}

static void assert_state(struct fixture *f, const struct sample_message *sample,
                         const char *state)
{
    assert_int_equal(
        sql_number(f,
                   "SELECT count(*) FROM baton.delivery WHERE delivery_id = "
                   "%" PRId64 " AND state = '%s'",
                   sample->delivery.delivery_id, state),
        1);
}

static void a_bounce_moves_sent_to_failed_once(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct stored_report stored;
    make_delivery(f, &sample, "delivered");
    assert_int_equal(counter(f, "sent"), 1);
    begin_report(&sample, INBOUND_BOUNCED, &stored);
    for (int i = 0; i < 3; i++) { /* as when the answer was lost */
        store(f, &stored);
        report(f, &sample, INBOUND_BOUNCED, NULL); /* and by another one */
        assert_state(f, &sample, "failed");
        assert_int_equal(count_events(f, "bounced"), 1);
        assert_int_equal(count_events(f, "delivered"), 1);
        assert_int_equal(counter(f, "sent"), 0);
        assert_int_equal(counter(f, "failed_permanent"), 1);
    }
    assert_int_equal(
        sql_number(f, "SELECT sum(sent) FROM baton.counter WHERE hour < now() "
                      "- interval '2 hours'"),
        0); /* taken back in the hour in which it had counted */
    assert_int_equal(sql_number(f, "SELECT sum(failed_permanent) FROM "
                                   "baton.counter WHERE hour > now() - "
                                   "interval '2 hours'"),
                     1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "last_reply = '550 5.1.1 No' AND "
                                   "finished_at > now() - interval '1 hour'"),
                     1);
}

static bool is_told(void *owner)
{
    const struct fixture *f = owner;
    return f->command[0] != '\0';
}

/* It was accepted, and we do not know it yet: not sent again, and the result
 * that comes late counts for nothing. */
static void a_bounce_ends_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_delivery(f, &sample, "queued");
    report(f, &sample, INBOUND_BOUNCED, NULL);
    assert_state(f, &sample, "failed");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    run_until(f, is_told, f);
    assert_non_null(strstr(f->command, "cancel delivery"));
    make_result(&sample, RESULT_FINISHED);
    sample.result.counts = true;
    sample.result.state = "delivered";
    sample.result.event_kind = "delivered";
    store_result(f, &sample);
    run_until(f, has_outcome, &sample.resulted);
    assert_state(f, &sample, "failed");
    assert_int_equal(counter(f, "sent"), 0);
    assert_int_equal(counter(f, "failed_permanent"), 1);
}

static void what_failed_stays_failed(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_delivery(f, &sample, "failed");
    report(f, &sample, INBOUND_BOUNCED, NULL);
    assert_state(f, &sample, "failed");
    assert_int_equal(count_events(f, "bounced"), 2);
    assert_int_equal(counter(f, "failed_permanent"), 1);
    assert_int_equal(counter(f, "sent"), 0);
}

static void each_kind_is_noted_once(void **state)
{
    static const enum inbound_kind kinds[] = { INBOUND_DEFERRED,
                                               INBOUND_AUTOREPLIED,
                                               INBOUND_COMPLAINED,
                                               INBOUND_FEEDBACK };
    struct fixture *f = *state;
    struct sample_message sample;
    make_delivery(f, &sample, "delivered");
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(kinds); i++) {
        report(f, &sample, kinds[i / 2], NULL);
        assert_int_equal(count_events(f, inbound_kind_name(kinds[i / 2])), 1);
    }
    assert_state(f, &sample, "delivered");
    assert_int_equal(counter(f, "complaints"), 1);
    assert_int_equal(counter(f, "deferred"), 0);
    assert_int_equal(counter(f, "sent"), 1);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        assert_int_equal(sql_number(f, "SELECT baton.report_bit('%s')",
                                    inbound_kind_name(kinds[i])),
                         (int64_t)inbound_report_bit(kinds[i]));
    }
}

static void suppressions_follow(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_delivery(f, &sample, "delivered");
    report(f, &sample, INBOUND_DEFERRED, NULL);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.suppression"),
                     0);
    report(f, &sample, INBOUND_BOUNCED, "hard_bounce");
    assert_int_equal(
        sql_number(f,
                   "SELECT count(*) FROM baton.suppression WHERE address = "
                   "lower('%s') AND group_id IS NULL AND reason = "
                   "'hard_bounce' AND evidence = '550 5.1.1 No' AND "
                   "expires_at IS NULL",
                   sample.delivery.recipient),
        1);
    /* What is there stays, unless its time is over. */
    report(f, &sample, INBOUND_COMPLAINED, "complaint");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.suppression "
                                   "WHERE reason = 'hard_bounce'"),
                     1);
    sql_do(f, "UPDATE baton.suppression SET expires_at = now() - interval '1 "
              "h'");
    report(f, &sample, INBOUND_FEEDBACK, "complaint");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.suppression "
                                   "WHERE reason = 'complaint' AND expires_at "
                                   "IS NULL"),
                     1);
}

static void what_is_not_there_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_delivery(f, &sample, "delivered");
    sql_do(f, "DELETE FROM baton.delivery");
    report(f, &sample, INBOUND_BOUNCED, NULL);
    assert_int_equal(count_events(f, "bounced"), 0);
    sql_do(f, "DELETE FROM baton.account");
    report(f, &sample, INBOUND_BOUNCED, "hard_bounce");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.suppression"),
                     0);
}

/* -- looking up -- */

struct found {
    int call_count;
    bool is_found;
    char recipient[100];
    char state[20];
    char sender[100];
    unsigned reports;
    int64_t message_id;
};

static bool is_answered(void *owner)
{
    return ((struct found *)owner)->call_count > 0;
}

static void on_found(void *owner, enum database_result result,
                     const struct returned_delivery *delivery)
{
    struct found *found = owner;
    assert_int_equal(result, DATABASE_DONE);
    found->call_count++;
    found->is_found = delivery != NULL;
    if (delivery != NULL) {
        snprintf(found->recipient, sizeof(found->recipient), "%s",
                 delivery->recipient);
        snprintf(found->state, sizeof(found->state), "%s", delivery->state);
        snprintf(found->sender, sizeof(found->sender), "%s", delivery->sender);
        found->reports = delivery->reports;
        found->message_id = delivery->message_id;
    }
}

static void find(struct fixture *f, int64_t account_id, int64_t delivery_id,
                 struct found *out)
{
    memset(out, 0, sizeof(*out));
    inbound_find(f->database, account_id, delivery_id, on_found, out);
    assert_int_equal(out->call_count, 0);
    run_until(f, is_answered, out);
}

static void deliveries_are_found(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct found found;
    make_delivery(f, &sample, "delivered");
    report(f, &sample, INBOUND_AUTOREPLIED, NULL);
    find(f, 3, sample.delivery.delivery_id, &found);
    assert_true(found.is_found);
    assert_string_equal(found.recipient, sample.delivery.recipient);
    assert_string_equal(found.state, "delivered");
    assert_string_equal(found.sender, sample.message.sender);
    assert_int_equal(found.reports, inbound_report_bit(INBOUND_AUTOREPLIED));
    assert_true(found.message_id == sample.message.message_id);
    find(f, 4, sample.delivery.delivery_id, &found);
    assert_false(found.is_found);
    find(f, 3, 1, &found);
    assert_false(found.is_found);
}

/* -- messages for inbound routes -- */

static bool has_flight(void *owner)
{
    const struct sample_message *sample = owner;
    return sample->stored.row.is_in_flight;
}

/* Once a message, whatever its recipients; and not at all if its client was
 * gone before it heard 250. */
static void messages_for_routes_count_as_inbound(void **state)
{
    struct fixture *f = *state;
    for (int is_withdrawn = 0; is_withdrawn < 2; is_withdrawn++) {
        struct sample_message sample;
        make_message(&sample, 3, 0, TEXT_LITERAL("12345"));
        struct new_delivery deliveries[] = { sample.delivery, sample.delivery };
        deliveries[1].delivery_id = id_make();
        sample.message.deliveries = deliveries;
        sample.message.delivery_count = 2;
        sample.message.is_inbound = true;
        sql_do(f, "BEGIN");
        sql_do(f, "LOCK TABLE baton.message");
        store_message(f, &sample);
        run_until(f, has_flight, &sample);
        if (is_withdrawn) {
            batch_withdraw(&sample.stored.row);
        }
        sql_do(f, "COMMIT");
        run_until(f, has_outcome, &sample.stored);
        assert_int_equal(sample.stored.result,
                         is_withdrawn ? DATABASE_WITHDRAWN : DATABASE_DONE);
        assert_int_equal(counter(f, "inbound"), 1);
        assert_int_equal(counter(f, "outbound"), 0);
        assert_int_equal(counter(f, "bytes"), 0);
        assert_int_equal(count_events(f, "inbound"), 1 + is_withdrawn);
        assert_int_equal(count_events(f, "accepted"), 0);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bounce_moves_sent_to_failed_once),
        TEST(a_bounce_ends_what_is_queued),
        TEST(what_failed_stays_failed),
        TEST(each_kind_is_noted_once),
        TEST(suppressions_follow),
        TEST(what_is_not_there_is_nothing),
        TEST(deliveries_are_found),
        TEST(messages_for_routes_count_as_inbound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
