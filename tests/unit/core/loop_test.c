/* SPDX-License-Identifier: MIT */
/* Tests of core/loop.c. */
#include "core/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"

struct trace {
    struct loop *loop;
    char text[32];
    size_t length;
    int pipe[2];
    struct timer timers[3];
    struct watch watch;
    int remaining;
};

static void note(struct trace *trace, char letter)
{
    assert_true(trace->length + 1 < sizeof(trace->text));
    trace->text[trace->length++] = letter;
}

static int set_up(void **state)
{
    static struct trace trace;
    memset(&trace, 0, sizeof(trace));
    trace.loop = loop_create();
    *state = &trace;
    return pipe(trace.pipe);
}

static int tear_down(void **state)
{
    struct trace *trace = *state;
    close(trace->pipe[0]);
    close(trace->pipe[1]);
    loop_free(&trace->loop);
    assert_null(trace->loop);
    return 0;
}

static void note_a(void *owner)
{
    note(owner, 'a');
}

static void note_b(void *owner)
{
    note(owner, 'b');
}

static void post_again(void *owner)
{
    struct trace *trace = owner;
    note(trace, 'p');
    if (--trace->remaining > 0) {
        loop_post(trace->loop, post_again, trace);
    }
}

static void posts_run_later_in_order(void **state)
{
    struct trace *trace = *state;
    loop_post(trace->loop, note_a, trace);
    loop_post(trace->loop, note_b, trace);
    loop_post(trace->loop, note_a, trace);
    assert_string_equal(trace->text, "");
    loop_run(trace->loop);
    assert_string_equal(trace->text, "aba");
}

static void cancel_b_of_other(void *owner)
{
    struct trace **pair = owner;
    loop_cancel_posts(pair[0]->loop, pair[0]);
}

static void cancelled_posts_do_not_run(void **state)
{
    struct trace *trace = *state;
    struct trace *pair[] = { trace };
    loop_post(trace->loop, note_a, trace);
    loop_cancel_posts(trace->loop, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "");

    /* Also from a post of the same batch. */
    loop_post(trace->loop, note_a, trace);
    loop_post(trace->loop, cancel_b_of_other, pair);
    loop_post(trace->loop, note_b, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "a");
}

static void read_byte(void *owner)
{
    struct trace *trace = owner;
    char byte;
    assert_int_equal(read(trace->pipe[0], &byte, 1), 1);
    note(trace, 'r');
    watch_stop(&trace->watch);
}

static void chain_of_posts_starves_nobody(void **state)
{
    struct trace *trace = *state;
    assert_int_equal(write(trace->pipe[1], "x", 1), 1);
    watch_start(&trace->watch, trace->loop, trace->pipe[0], WATCH_READ,
                read_byte, trace);
    trace->remaining = 10;
    loop_post(trace->loop, post_again, trace);
    loop_run(trace->loop);
    assert_int_equal(trace->length, 11);
    /* The pipe was looked at before the chain had ended. */
    assert_true(strchr(trace->text, 'r') < trace->text + 3);
}

static void timers_run_in_order_of_time(void **state)
{
    struct trace *trace = *state;
    int64_t started_at = clock_monotonic();
    timer_start(&trace->timers[0], trace->loop, 8, note_a, trace);
    timer_start(&trace->timers[1], trace->loop, 2, note_b, trace);
    timer_start(&trace->timers[2], trace->loop, 1, note_a, trace);
    assert_true(timer_is_running(&trace->timers[2]));
    timer_stop(&trace->timers[2]);
    assert_false(timer_is_running(&trace->timers[2]));
    timer_stop(&trace->timers[2]);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "ba");
    assert_false(timer_is_running(&trace->timers[0]));
    assert_true(clock_monotonic() - started_at >= 7 * CLOCK_MILLISECOND);
}

static void restarted_timer_runs_once(void **state)
{
    struct trace *trace = *state;
    timer_start(&trace->timers[0], trace->loop, 60000, note_a, trace);
    timer_start(&trace->timers[0], trace->loop, 1, note_b, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "b");
}

static void stop_loop(void *owner)
{
    struct trace *trace = owner;
    note(trace, 's');
    loop_stop(trace->loop);
}

static void stop_ends_the_run(void **state)
{
    struct trace *trace = *state;
    timer_start(&trace->timers[0], trace->loop, 60000, note_a, trace);
    loop_post(trace->loop, stop_loop, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "s");
    loop_stop(trace->loop);
    loop_run(trace->loop);
    loop_post(trace->loop, stop_loop, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "ss");
    timer_stop(&trace->timers[0]);
}

static void on_signal(void *owner)
{
    struct trace *trace = owner;
    note(trace, 'u');
    watch_stop(&trace->watch);
}

static void raise_signal(void *owner)
{
    (void)owner;
    raise(SIGUSR1);
}

static void signals_come_as_calls(void **state)
{
    struct trace *trace = *state;
    watch_signal(&trace->watch, trace->loop, SIGUSR1, on_signal, trace);
    loop_post(trace->loop, raise_signal, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "u");
}

static void disposals_follow_posts(void **state)
{
    struct trace *trace = *state;
    loop_dispose(trace->loop, note_b, trace);
    loop_post(trace->loop, note_a, trace);
    loop_run(trace->loop);
    assert_string_equal(trace->text, "ab");
}

static void freeing_the_loop_runs_disposals_only(void **state)
{
    struct trace *trace = *state;
    loop_post(trace->loop, note_a, trace);
    loop_dispose(trace->loop, note_b, trace);
    loop_free(&trace->loop);
    assert_string_equal(trace->text, "b");
    loop_free(&trace->loop);
    trace->loop = loop_create();
}

static void timers_follow_the_fast_clock(void **state)
{
    struct trace *trace = *state;
    clock_set_rate(10000);
    timer_start(&trace->timers[0], trace->loop, 600000, note_a, trace);
    loop_run(trace->loop); /* ten minutes are 60 ms */
    assert_string_equal(trace->text, "a");
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(posts_run_later_in_order),
        LOOP_TEST(cancelled_posts_do_not_run),
        LOOP_TEST(chain_of_posts_starves_nobody),
        LOOP_TEST(timers_run_in_order_of_time),
        LOOP_TEST(restarted_timer_runs_once),
        LOOP_TEST(stop_ends_the_run),
        LOOP_TEST(signals_come_as_calls),
        LOOP_TEST(disposals_follow_posts),
        LOOP_TEST(freeing_the_loop_runs_disposals_only),
        LOOP_TEST(timers_follow_the_fast_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
