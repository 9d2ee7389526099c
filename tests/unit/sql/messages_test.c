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

/* How long other work would have waited. */
static void measure_turn(void *owner)
{
    static int64_t last;
    int64_t now = clock_monotonic();
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

static void withdrawn_after_it_was_sent(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    make_message(&sample, 5, 0, TEXT_LITERAL("x"));
    store_message(f, &sample);
    run_until(f, has_flight, &sample);
    batch_withdraw(&sample.stored.row);
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
    store_message(f, &sample);
    run_until(f, has_flight, &sample);
    batch_withdraw(&sample.stored.row);
    run_until(f, has_outcome, &sample.stored);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
