/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"

static const struct {
    int64_t at;
    const char *iso8601;
    const char *rfc5322;
} instants[] = {
    { 0, "1970-01-01T00:00:00.000000Z", "Thu, 1 Jan 1970 00:00:00 +0000" },
    { INT64_C(1795227182123456), "2026-11-21T02:13:02.123456Z",
      "Sat, 21 Nov 2026 02:13:02 +0000" },
    { INT64_C(951782399999999), "2000-02-28T23:59:59.999999Z",
      "Mon, 28 Feb 2000 23:59:59 +0000" },
    { INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z",
      "Tue, 29 Feb 2000 00:00:00 +0000" },
    { INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z",
      "Mon, 1 Mar 2100 00:00:00 +0000" },
    { INT64_C(1735689599000000), "2024-12-31T23:59:59.000000Z",
      "Tue, 31 Dec 2024 23:59:59 +0000" },
    { -1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 +0000" },
};

static void instants_are_written(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(instants); i++) {
        assert_string_equal(clock_iso8601(instants[i].at, text),
                            instants[i].iso8601);
        assert_string_equal(clock_rfc5322(instants[i].at, text),
                            instants[i].rfc5322);
    }
    clock_iso8601(INT64_MAX, text);
    clock_iso8601(INT64_MIN, text);
}

/* The C library as an oracle, day by day over more than a Gregorian cycle. */
static void dates_agree_with_the_system(void **state)
{
    (void)state;
    for (int64_t day = -30000; day < 150000; day += 7) {
        char text[CLOCK_TEXT_SIZE];
        char expected[CLOCK_TEXT_SIZE];
        time_t seconds = (time_t)(day * 86400 + 86399);
        struct tm calendar;
        assert_non_null(gmtime_r(&seconds, &calendar));
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z",
                 &calendar);
        assert_string_equal(clock_iso8601(seconds * CLOCK_SECOND, text),
                            expected);
    }
}

static int64_t real_now(clockid_t source)
{
    struct timespec now;
    clock_gettime(source, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

static void the_clock_is_the_systems(void **state)
{
    (void)state;
    int64_t before = real_now(CLOCK_REALTIME);
    int64_t now = clock_now();
    assert_true(now >= before && now <= real_now(CLOCK_REALTIME));
    assert_int_equal(clock_rate(), 1);
}

/* What the clock showed lies between what the real one allows. */
static void assert_runs_at(int rate, int64_t (*read_clock)(void),
                           clockid_t source)
{
    int64_t outer = real_now(source);
    int64_t from = read_clock();
    int64_t inner = real_now(source);
    while (real_now(source) - inner < 300) {
    }
    int64_t inner_span = real_now(source) - inner;
    int64_t span = read_clock() - from;
    int64_t outer_span = real_now(source) - outer;
    assert_true(span >= inner_span * rate);
    assert_true(span <= (outer_span + 1) * rate);
}

static void the_rate_counts_from_now_on(void **state)
{
    (void)state;
    int64_t real_before = real_now(CLOCK_MONOTONIC);
    int64_t before = clock_now();
    int64_t steady_before = clock_monotonic();
    clock_set_rate(1000);
    assert_int_equal(clock_rate(), 1000);
    int64_t span = clock_now() - before;
    int64_t steady_span = clock_monotonic() - steady_before;
    int64_t most = (real_now(CLOCK_MONOTONIC) - real_before + 1) * 1000;
    assert_true(span >= 0 && span <= most);
    assert_true(steady_span >= 0 && steady_span <= most);
    assert_runs_at(1000, clock_now, CLOCK_REALTIME);
    assert_runs_at(1000, clock_monotonic, CLOCK_MONOTONIC);
}

static void a_child_has_the_same_clock(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int64_t before = clock_now();
    pid_t child = fork();
    if (child == 0) {
        int64_t now = clock_now();
        _exit(write(ends[1], &now, sizeof(now)) != sizeof(now));
    }
    int64_t of_child = 0;
    assert_int_equal(read(ends[0], &of_child, sizeof(of_child)),
                     sizeof(of_child));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(of_child >= before && of_child <= clock_now());
    close(ends[0]);
    close(ends[1]);
}

#define DAY (24 * 3600 * CLOCK_SECOND)

static void assert_period(int64_t at, enum clock_period period,
                          const char *start, const char *end)
{
    char text[CLOCK_TEXT_SIZE];
    clock_iso8601(clock_period_start(at, period), text);
    text[sizeof("2026-11-21T15:04") - 1] = '\0';
    assert_string_equal(text, start);
    clock_iso8601(clock_period_end(at, period), text);
    assert_string_equal(text + sizeof("2026-11-21T15:04") - 1, ":00.000000Z");
    text[sizeof("2026-11-21T15:04") - 1] = '\0';
    assert_string_equal(text, end);
}

static void periods_are_those_of_the_calendar(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        enum clock_period period;
        const char *start;
        const char *end;
    } rows[] = {
        { 1795273499, PERIOD_MINUTE, "2026-11-21T15:04", "2026-11-21T15:05" },
        { 1795273499, PERIOD_HOUR, "2026-11-21T15:00", "2026-11-21T16:00" },
        { 1795273499, PERIOD_DAY, "2026-11-21T00:00", "2026-11-22T00:00" },
        { 1795273499, PERIOD_MONTH, "2026-11-01T00:00", "2026-12-01T00:00" },
        /* The last second of a year, and the first of the next. */
        { 1798761599, PERIOD_MINUTE, "2026-12-31T23:59", "2027-01-01T00:00" },
        { 1798761599, PERIOD_MONTH, "2026-12-01T00:00", "2027-01-01T00:00" },
        { 1798761600, PERIOD_MONTH, "2027-01-01T00:00", "2027-02-01T00:00" },
        /* February, in years with and without a 29th. */
        { 1709164800, PERIOD_MONTH, "2024-02-01T00:00", "2024-03-01T00:00" },
        { 1709164800, PERIOD_DAY, "2024-02-29T00:00", "2024-03-01T00:00" },
        { 1803859199, PERIOD_MONTH, "2027-02-01T00:00", "2027-03-01T00:00" },
        { 4107542399, PERIOD_MONTH, "2100-02-01T00:00", "2100-03-01T00:00" },
        { 951782400, PERIOD_DAY, "2000-02-29T00:00", "2000-03-01T00:00" },
        { -1, PERIOD_MONTH, "1969-12-01T00:00", "1970-01-01T00:00" },
        { -1, PERIOD_MINUTE, "1969-12-31T23:59", "1970-01-01T00:00" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_period(rows[i].seconds * CLOCK_SECOND + CLOCK_SECOND - 1,
                      rows[i].period, rows[i].start, rows[i].end);
        assert_period(rows[i].seconds * CLOCK_SECOND, rows[i].period,
                      rows[i].start, rows[i].end);
    }
}

/* One after the other, without a gap; of months, over 400 years. */
static void periods_follow_each_other(void **state)
{
    (void)state;
    for (int period = 0; period < PERIOD_COUNT; period++) {
        int64_t at = 0;
        for (int i = 0; i < 5000; i++) {
            int64_t end = clock_period_end(at, (enum clock_period)period);
            assert_int_equal(clock_period_start(at, (enum clock_period)period),
                             at);
            assert_int_equal(
                clock_period_start(end - 1, (enum clock_period)period), at);
            assert_int_equal(
                clock_period_end(end - 1, (enum clock_period)period), end);
            assert_true(period != PERIOD_MONTH ||
                        (end - at >= 28 * DAY && end - at <= 31 * DAY));
            at = end;
        }
    }
    assert_string_equal(clock_period_text(PERIOD_MONTH), "month");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_written),
        cmocka_unit_test(dates_agree_with_the_system),
        cmocka_unit_test(periods_are_those_of_the_calendar),
        cmocka_unit_test(periods_follow_each_other),
        cmocka_unit_test(the_clock_is_the_systems),
        cmocka_unit_test(the_rate_counts_from_now_on),
        cmocka_unit_test(a_child_has_the_same_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
