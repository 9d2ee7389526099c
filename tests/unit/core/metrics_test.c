/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/metrics.h"

enum { ACCEPTED, REFUSED, SESSIONS };

static struct metric server[] = {
    [ACCEPTED] = { "baton_messages_total", "Messages \\ by\noutcome",
                   METRIC_COUNTER, "outcome=\"accepted\"", 0 },
    [REFUSED] = { "baton_messages_total", "Messages \\ by\noutcome",
                  METRIC_COUNTER, "outcome=\"refused\"", 0 },
    [SESSIONS] = { "baton_sessions", "Open sessions", METRIC_GAUGE, "", 0 },
};
static struct metric client[] = {
    { "baton_attempts_total", "Attempts", METRIC_COUNTER, NULL, 0 },
    { "baton_messages_total", "Messages", METRIC_COUNTER, "outcome=\"late\"",
      0 },
};
static struct metric unknown = { "baton_unknown", "", METRIC_COUNTER, "", 0 };

/* The tests are the steps of one life: alone, then with workers. */

static void a_process_counts_for_itself(void **state)
{
    (void)state;
    metric_add(&unknown, 1);
    metrics_register(server, ARRAY_LENGTH(server));
    metrics_register(client, ARRAY_LENGTH(client));
    metrics_register(server, ARRAY_LENGTH(server));
    metric_add(&unknown, 1);
    assert_int_equal(metric_sum(&server[ACCEPTED]), 0);
    metric_add(&server[ACCEPTED], 5);
    metric_add(&server[ACCEPTED], 2);
    metric_set(&server[SESSIONS], 9);
    metric_add(&server[SESSIONS], -1);
    assert_int_equal(metric_sum(&server[ACCEPTED]), 7);
    assert_int_equal(metric_sum(&server[REFUSED]), 0);
    assert_int_equal(metric_sum(&server[SESSIONS]), 8);
    metric_set(&server[SESSIONS], 0);
}

static void be_worker(size_t index, int64_t amount)
{
    pid_t child = fork();
    if (child == 0) {
        metrics_attach(index);
        metric_add(&server[ACCEPTED], amount);
        metric_add(&server[SESSIONS], amount);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void workers_count_together(void **state)
{
    (void)state;
    metrics_open(3);
    assert_int_equal(metric_sum(&server[ACCEPTED]), 7);
    be_worker(0, 100);
    be_worker(2, 1000);
    assert_int_equal(metric_sum(&server[ACCEPTED]), 1107);
    assert_int_equal(metric_of_worker(&server[ACCEPTED], 0), 100);
    assert_int_equal(metric_of_worker(&server[ACCEPTED], 1), 0);
    assert_int_equal(metric_of_worker(&server[ACCEPTED], 2), 1000);
    assert_int_equal(metric_of_worker(&server[ACCEPTED], 99), 0);
}

static void a_successor_keeps_counters_and_zeroes_gauges(void **state)
{
    (void)state;
    assert_int_equal(metric_of_worker(&server[SESSIONS], 2), 1000);
    be_worker(2, 3);
    assert_int_equal(metric_of_worker(&server[ACCEPTED], 2), 1003);
    assert_int_equal(metric_of_worker(&server[SESSIONS], 2), 3);
    assert_int_equal(metric_of_worker(&server[SESSIONS], 0), 100);
}

static void lines_of_one_name_stand_together(void **state)
{
    (void)state;
    struct buffer text = { 0 };
    metrics_print(&text);
    assert_string_equal(
        text.data, "# HELP baton_messages_total Messages \\\\ by\\noutcome\n"
                   "# TYPE baton_messages_total counter\n"
                   "baton_messages_total{outcome=\"accepted\"} 1110\n"
                   "baton_messages_total{outcome=\"refused\"} 0\n"
                   "baton_messages_total{outcome=\"late\"} 0\n"
                   "# HELP baton_sessions Open sessions\n"
                   "# TYPE baton_sessions gauge\n"
                   "baton_sessions 103\n"
                   "# HELP baton_attempts_total Attempts\n"
                   "# TYPE baton_attempts_total counter\n"
                   "baton_attempts_total 0\n");
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_counts_for_itself),
        cmocka_unit_test(workers_count_together),
        cmocka_unit_test(a_successor_keeps_counters_and_zeroes_gauges),
        cmocka_unit_test(lines_of_one_name_stand_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
