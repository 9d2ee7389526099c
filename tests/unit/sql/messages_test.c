/* SPDX-License-Identifier: MIT */
#include "tests/unit/sql/database_fixture.h"

struct loaded {
    int result;
    struct buffer trace;
    struct buffer data;
    struct message_load *load;
};

static void on_loaded(void *owner, enum database_result result,
                      struct buffer *trace, struct buffer *data,
                      const struct error *error)
{
    struct loaded *loaded = owner;
    (void)error;
    loaded->result = (int)result;
    loaded->trace = *trace;
    loaded->data = *data;
    *trace = (struct buffer){ 0 };
    *data = (struct buffer){ 0 };
}

static bool is_loaded(void *owner)
{
    return ((struct loaded *)owner)->result != -1;
}

static void load(struct fixture *f, const struct new_message *message,
                 struct loaded *loaded)
{
    *loaded = (struct loaded){ .result = -1 };
    loaded->load = message_load(f->database, message->account_id,
                                message->message_id, on_loaded, loaded);
    assert_int_equal(loaded->result, -1); /* never from inside the call */
    run_until(f, is_loaded, loaded);
}

static void free_loaded(struct loaded *loaded)
{
    buffer_free(&loaded->trace);
    buffer_free(&loaded->data);
}

static void a_message_is_stored_once_with_all_it_consists_of(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct loaded loaded;
    make_message(&sample, 5, 0, TEXT_LITERAL("Subject: Hi\r\n\r\n\0\xff!\r\n"));
    store_message(f, &sample);
    assert_int_equal(sample.stored.call_count, 0);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(sample.stored.call_count, 1);
    static const char *const tables[] = { "message", "body", "delivery",
                                          "queue", "event" };
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
        assert_int_equal(sql_number(f,
                                    "SELECT count(*) FROM baton.%s WHERE "
                                    "account_id = 5",
                                    tables[i]),
                         1);
    }
    assert_int_equal(sql_number(f,
                                "SELECT count(*) FROM baton.queue WHERE due_at "
                                "<= now() AND worker_id IS NULL AND size_bytes "
                                "= %zu",
                                sample.message.data.length),
                     1);
    load(f, &sample.message, &loaded);
    assert_int_equal(loaded.result, DATABASE_DONE);
    assert_true(text_equal(buffer_text(&loaded.data), sample.message.data));
    assert_true(text_equal(buffer_text(&loaded.trace), sample.message.trace));
    free_loaded(&loaded);
}

static void an_empty_message_can_be_read_back(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct loaded loaded;
    make_message(&sample, 5, 0, TEXT_LITERAL(""));
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    load(f, &sample.message, &loaded);
    assert_int_equal(loaded.result, DATABASE_DONE);
    assert_int_equal(loaded.data.length, 0);
    free_loaded(&loaded);
    sql_do(f, "DELETE FROM baton.body");
    load(f, &sample.message, &loaded);
    assert_int_equal(loaded.result, DATABASE_FAILED);
    free_loaded(&loaded);
}

static int64_t longest_turn;

/* Of the processor: what others take of it on a busy machine is not ours. */
static int64_t own_microseconds(void)
{
    struct timespec spent;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent), 0);
    return spent.tv_sec * CLOCK_SECOND + spent.tv_nsec / 1000;
}

/* How long other work would have waited. */
static void measure_turn(void *owner)
{
    static int64_t last;
    int64_t now = own_microseconds();
    struct timer *timer = owner;
    if (last != 0 && now - last > longest_turn) {
        longest_turn = now - last;
    }
    last = now;
    timer_start(timer, timer->loop, 0, measure_turn, timer);
}

static void a_large_message_goes_in_slices(void **state)
{
    struct fixture *f = *state;
    struct sample_message large;
    struct sample_message small;
    struct loaded loaded;
    struct timer turns = { .loop = f->loop };
    size_t size = 20 * 1024 * 1024 + 1;
    char *bytes = memory_alloc(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(i * 2654435761u >> 13);
    }
    make_message(&large, 5, 0, (struct text){ bytes, size });
    make_message(&small, 5, 0, TEXT_LITERAL("small"));
    measure_turn(&turns);
    store_message(f, &large);
    store_message(f, &small);
    run_until(f, has_outcome, &small.stored);
    run_until(f, has_outcome, &large.stored);
    timer_stop(&turns);
    assert_int_equal(large.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f,
                                "SELECT count(*) FROM baton.body WHERE "
                                "message_id = %" PRId64,
                                large.message.message_id),
                     (size + BODY_CHUNK_BYTES - 1) / BODY_CHUNK_BYTES);
    print_message("20 MB: longest turn of the loop %" PRId64 " us\n",
                  longest_turn);
    assert_true(longest_turn < 100000);
    load(f, &large.message, &loaded);
    assert_int_equal(loaded.result, DATABASE_DONE);
    assert_true(text_equal(buffer_text(&loaded.data), large.message.data));
    free_loaded(&loaded);
    memory_free(bytes);
}

static void text_that_postgresql_refuses_is_repaired(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    sample.message.subject = "caf\xe9 \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x8f\x83";
    sample.message.transcript = TEXT_LITERAL("a\0b");
    sample.delivery.recipient = "\xff@example.net";
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_string_equal(sample.stored.reason.text, "");
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.message WHERE subject = "
                      "U&'caf\\FFFD \\00E9 \\FFFD\\FFFD\\FFFD \\+01F3C3' AND "
                      "transcript = U&'a\\FFFDb'"),
        1);
}

static void many_recipients_are_one_message(void **state)
{
    enum { COUNT = 3000 };
    struct fixture *f = *state;
    struct sample_message sample;
    struct new_delivery *deliveries =
        memory_alloc_array(COUNT, sizeof(*deliveries));
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    for (size_t i = 0; i < COUNT; i++) {
        deliveries[i] = sample.delivery;
        deliveries[i].delivery_id = id_make();
    }
    sample.message.deliveries = deliveries;
    sample.message.delivery_count = COUNT;
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), COUNT);
    memory_free(deliveries);
}

static void withdrawn_before_it_was_sent(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    batch_withdraw(&sample.stored.row);
    assert_int_equal(sample.stored.call_count, 0);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_WITHDRAWN);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"), 0);
}

static bool has_flight(void *owner)
{
    const struct sample_message *sample = owner;
    return sample->stored.row.is_in_flight;
}

/* The lock holds the answer back until the row is withdrawn. */
static void withdraw_in_flight(struct fixture *f, struct sample_message *sample)
{
    sql_do(f, "BEGIN; LOCK TABLE baton.message");
    store_message(f, sample);
    run_until(f, has_flight, sample);
    assert_int_equal(sample->stored.result, -1);
    batch_withdraw(&sample->stored.row);
    sql_do(f, "COMMIT");
}

static void withdrawn_after_it_was_sent(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    withdraw_in_flight(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_WITHDRAWN);
    assert_int_equal(sample.stored.call_count, 1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"), 1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'withdrawn'"),
                     1);
    assert_int_equal(database_pending_count(f->database), 0);
}

static void a_withdrawal_also_stops_what_comes_later(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct sample_message again;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    withdraw_in_flight(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_WITHDRAWN);
    again = sample;
    again.stored = (struct outcome){ .result = -1 };
    again.message.deliveries = &again.delivery;
    store_message(f, &again);
    run_until(f, has_outcome, &again.stored);
    assert_int_equal(again.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'withdrawn'"),
                     1);
}

static void a_load_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct loaded loaded = { .result = -1 };
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    loaded.load = message_load(f->database, 5, 1, on_loaded, &loaded);
    message_load_cancel(&loaded.load);
    assert_null(loaded.load);
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(loaded.result, -1);
}

static int64_t counter(struct fixture *f, const char *name)
{
    return sql_number(f,
                      "SELECT coalesce(sum(%s), 0) FROM baton.counter WHERE "
                      "account_id = 5 AND group_id = 3",
                      name);
}

static void what_acceptance_found_is_kept(void **state)
{
    static const char *const tags[] = { "plain", "with \"quotes\" \\ {and, so}",
                                        "" };
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("12345"));
    sample.message.group_id = 3;
    sample.message.policy = "{\"privacy\": \"off\"}";
    sample.message.tags = tags;
    sample.message.tag_count = ARRAY_LENGTH(tags);
    sample.message.metadata = "{\"order\": 7}";
    sample.message.is_sandboxed = true;
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_string_equal(sample.stored.reason.text, "");
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.message WHERE group_id = 3 "
                      "AND policy->>'privacy' = 'off' AND metadata->>'order' = "
                      "'7' AND is_sandboxed AND tags = ARRAY['plain', 'with "
                      "\"quotes\" \\ {and, so}', '']"),
        1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery JOIN "
                                   "baton.event USING (account_id, message_id) "
                                   "WHERE delivery.group_id = 3 AND "
                                   "event.group_id = 3"),
                     1);
    assert_int_equal(counter(f, "outbound"), 1);
    assert_int_equal(counter(f, "bytes"), 5);
    assert_int_equal(sql_number(f, "SELECT shard FROM baton.counter"), 7 * 8);
}

static void a_message_may_be_due_later(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 41, TEXT_LITERAL("x"));
    sample.message.due_at = clock_now() + 3600 * CLOCK_SECOND;
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id IS NULL AND due_at > now() + "
                                   "interval '59 min'"),
                     1);
}

static void who_is_not_sent_to_is_counted_apart(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct new_delivery deliveries[4];
    make_message(&sample, 5, 0, TEXT_LITERAL("12345"));
    for (size_t i = 0; i < ARRAY_LENGTH(deliveries); i++) {
        deliveries[i] = sample.delivery;
        deliveries[i].delivery_id = id_make();
        deliveries[i].refusal_event_id = id_make();
    }
    deliveries[1].refusal = "452 4.3.1 over account limit";
    deliveries[2].refusal = "550 5.7.1 suppressed";
    deliveries[2].refusal_state = "suppressed";
    deliveries[2].refusal_detail = "{\"evidence\": \"550 5.1.1\"}";
    sample.message.deliveries = deliveries;
    sample.message.delivery_count = ARRAY_LENGTH(deliveries);
    sample.message.group_id = 3;
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_string_equal(sample.stored.reason.text, "");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 2);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event JOIN "
                                   "baton.delivery USING (account_id, "
                                   "delivery_id) WHERE kind = state AND "
                                   "(kind, detail) IN (('rejected', '{\"kind\""
                                   ": \"quota\"}'), ('suppressed', "
                                   "'{\"evidence\": \"550 5.1.1\"}'))"),
                     2);
    assert_int_equal(counter(f, "outbound"), 3);
    assert_int_equal(counter(f, "bytes"), 15);
    assert_int_equal(counter(f, "refused"), 1);
    assert_int_equal(counter(f, "failed_suppressed"), 1);
}

static void our_own_notices_move_no_counter(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    sample.message.is_notice = true;
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    assert_int_equal(sample.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.counter"), 0);
}

static void what_is_withdrawn_counts_no_more(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    struct sample_message never;
    for (int i = 0; i < 2; i++) {
        make_message(&sample, 5, 0, TEXT_LITERAL("12345"));
        sample.message.group_id = 3;
        sample.message.idempotency_key = "key";
        withdraw_in_flight(f, &sample);
        run_until(f, has_outcome, &sample.stored);
        assert_int_equal(sample.stored.result, DATABASE_WITHDRAWN);
        assert_int_equal(counter(f, "outbound"), 0);
        assert_int_equal(counter(f, "bytes"), 0);
        assert_int_equal(sql_number(f, "SELECT count(*) FROM "
                                       "baton.idempotency"),
                         0);
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"), 2);
    /* What was never stored was never counted. */
    make_message(&never, 5, 0, TEXT_LITERAL("x"));
    never.message.group_id = 3;
    message_batch_kind.undo(f->database, &never.message, NULL, NULL);
    run_until(f, has_nothing_pending, f);
    assert_int_equal(counter(f, "outbound"), 0);
}

/* -- idempotency keys -- */

static void make_keyed(struct sample_message *sample, const char *key,
                       struct text digest)
{
    make_message(sample, 5, 0, TEXT_LITERAL("x"));
    sample->message.idempotency_key = key;
    sample->message.content_digest = digest;
}

struct found_key {
    int call_count;
    int64_t message_id;
    char digest[40];
};

static void on_key(void *owner, enum database_result result, int64_t message_id,
                   struct text content_digest)
{
    struct found_key *found = owner;
    assert_int_equal(result, DATABASE_DONE);
    found->message_id = message_id;
    found->call_count++;
    snprintf(found->digest, sizeof(found->digest), "%.*s",
             TEXT_ARGUMENTS(content_digest));
}

static struct found_key find_key(struct fixture *f, const char *key)
{
    struct found_key found = { 0 };
    idempotency_find(f->database, 5, key, on_key, &found);
    assert_int_equal(found.call_count, 0);
    run_until(f, is_nonzero, &found.call_count);
    return found;
}

static void a_key_is_one_message_s(void **state)
{
    struct fixture *f = *state;
    struct sample_message first;
    struct sample_message second;
    make_keyed(&first, "order-7", TEXT_LITERAL("digest"));
    make_keyed(&second, "order-7", TEXT_LITERAL("digest"));
    assert_int_equal(find_key(f, "order-7").message_id, 0);
    store_message(f, &first);
    run_until(f, has_outcome, &first.stored);
    assert_int_equal(first.stored.result, DATABASE_DONE);
    store_message(f, &second);
    run_until(f, has_outcome, &second.stored);
    assert_int_equal(second.stored.result, DATABASE_FAILED);
    assert_non_null(strstr(second.stored.reason.text, "idempotency key"));
    struct found_key found = find_key(f, "order-7");
    assert_int_equal(found.message_id, first.message.message_id);
    assert_string_equal(found.digest, "digest");
    assert_int_equal(find_key(f, "order-8").message_id, 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"), 1);
    assert_int_equal(sql_number(f, "SELECT sum(outbound) FROM baton.counter"),
                     1);
    /* The same message again, as after a lost answer, is the same message. */
    first.stored = (struct outcome){ .result = -1 };
    store_message(f, &first);
    run_until(f, has_outcome, &first.stored);
    assert_int_equal(first.stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT sum(outbound) FROM baton.counter"),
                     1);
}

static void of_two_at_once_one_has_the_key(void **state)
{
    struct fixture *f = *state;
    struct sample_message samples[3];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        make_keyed(&samples[i], i < 2 ? "same" : "other", TEXT_LITERAL("d"));
        samples[i].message.deliveries = &samples[i].delivery;
        store_message(f, &samples[i]);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        run_until(f, has_outcome, &samples[i].stored);
    }
    assert_int_equal(samples[0].stored.result, DATABASE_DONE);
    assert_int_equal(samples[1].stored.result, DATABASE_FAILED);
    assert_int_equal(samples[2].stored.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message"), 2);
}

static void a_key_is_free_after_a_day(void **state)
{
    struct fixture *f = *state;
    struct sample_message first;
    struct sample_message second;
    make_keyed(&first, "k", TEXT_LITERAL("d"));
    make_keyed(&second, "k", TEXT_LITERAL("e"));
    store_message(f, &first);
    run_until(f, has_outcome, &first.stored);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.idempotency "
                                   "WHERE expires_at BETWEEN now() + interval "
                                   "'1439 min' AND now() + interval '1441 "
                                   "min'"),
                     1);
    sql_do(f, "UPDATE baton.idempotency SET expires_at = now() - interval '1 "
              "s'");
    assert_int_equal(find_key(f, "k").message_id, 0);
    store_message(f, &second);
    run_until(f, has_outcome, &second.stored);
    assert_int_equal(second.stored.result, DATABASE_DONE);
    assert_int_equal(find_key(f, "k").message_id, second.message.message_id);
    sql_do(f, "UPDATE baton.idempotency SET expires_at = now() - interval '1 "
              "s'");
    struct outcome maintained = { .result = -1 };
    database_maintain(f->database, clock_now(), on_outcome, &maintained);
    run_until(f, has_outcome, &maintained);
    assert_int_equal(maintained.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.idempotency"),
                     0);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_message_is_stored_once_with_all_it_consists_of),
        ROW(an_empty_message_can_be_read_back),
        ROW(a_large_message_goes_in_slices),
        ROW(text_that_postgresql_refuses_is_repaired),
        ROW(many_recipients_are_one_message),
        ROW(withdrawn_before_it_was_sent),
        ROW(withdrawn_after_it_was_sent),
        ROW(a_withdrawal_also_stops_what_comes_later),
        ROW(a_load_can_be_cancelled),
        ROW(what_acceptance_found_is_kept),
        ROW(a_message_may_be_due_later),
        ROW(who_is_not_sent_to_is_counted_apart),
        ROW(our_own_notices_move_no_counter),
        ROW(what_is_withdrawn_counts_no_more),
        ROW(a_key_is_one_message_s),
        ROW(of_two_at_once_one_has_the_key),
        ROW(a_key_is_free_after_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
