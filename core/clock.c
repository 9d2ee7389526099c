/* SPDX-License-Identifier: MIT */
/*
 * Scaling: a clock shows `shown + (real - start) * rate`, where start is the
 * instant of clock_set_rate and shown what the clock showed then. The state is
 * plain static memory, so a forked child goes on with the same clock.
 */
#include "core/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "core/memory.h"

#define SECONDS_PER_DAY INT64_C(86400)

static struct scaled_clock {
    const clockid_t source;
    int64_t start; /* real */
    int64_t shown; /* at the start */
} wall = { .source = CLOCK_REALTIME }, steady = { .source = CLOCK_MONOTONIC };

static int rate = 1;

static int64_t read_source(const struct scaled_clock *scaled)
{
    struct timespec now;
    clock_gettime(scaled->source, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

static int64_t read_scaled(const struct scaled_clock *scaled)
{
    return scaled->shown + (read_source(scaled) - scaled->start) * rate;
}

static void restart(struct scaled_clock *scaled)
{
    int64_t real = read_source(scaled);
    scaled->shown += (real - scaled->start) * rate;
    scaled->start = real;
}

int64_t clock_now(void)
{
    return read_scaled(&wall);
}

int64_t clock_monotonic(void)
{
    return read_scaled(&steady);
}

void clock_set_rate(int new_rate)
{
    check(new_rate >= 1 && new_rate <= 10000);
    restart(&wall);
    restart(&steady);
    rate = new_rate;
}

int clock_rate(void)
{
    return rate;
}

struct calendar {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day; /* 1 to 31 */
    unsigned weekday; /* 0 is Sunday */
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned microsecond;
};

/* Division that rounds down, for instants before 1970. */
static int64_t divide_down(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

static bool is_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30,
                                          31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && is_leap_year(year) ? 1u : 0u);
}

/* Days from 1970-01-01 to the first of January of a year. */
static int64_t days_before_year(int64_t year)
{
    int64_t before = year - 1;
    return before * 365 + divide_down(before, 4) - divide_down(before, 100) +
           divide_down(before, 400) - INT64_C(719162);
}

static void set_date(struct calendar *calendar, int64_t day_number)
{
    int64_t year = 1970 + divide_down(day_number * 400, 146097);
    while (days_before_year(year) > day_number) {
        year--;
    }
    while (days_before_year(year + 1) <= day_number) {
        year++;
    }
    unsigned left = (unsigned)(day_number - days_before_year(year));
    unsigned month = 1;
    while (left >= days_in_month(year, month)) {
        left -= days_in_month(year, month);
        month++;
    }
    calendar->year = year;
    calendar->month = month;
    calendar->day = left + 1;
    /* 1970-01-01 was a Thursday. */
    calendar->weekday =
        (unsigned)(day_number + 4 - divide_down(day_number + 4, 7) * 7);
}

static struct calendar calendar_of(int64_t at)
{
    int64_t seconds = divide_down(at, CLOCK_SECOND);
    int64_t day_number = divide_down(seconds, SECONDS_PER_DAY);
    unsigned of_day = (unsigned)(seconds - day_number * SECONDS_PER_DAY);
    struct calendar calendar = {
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
        .microsecond =
            (unsigned)((at % CLOCK_SECOND + CLOCK_SECOND) % CLOCK_SECOND),
    };
    set_date(&calendar, day_number);
    return calendar;
}

const char *clock_iso8601(int64_t at, char out_text[CLOCK_TEXT_SIZE])
{
    struct calendar calendar = calendar_of(at);
    snprintf(out_text, CLOCK_TEXT_SIZE, "%04lld-%02u-%02uT%02u:%02u:%02u.%06uZ",
             (long long)calendar.year, calendar.month, calendar.day,
             calendar.hour, calendar.minute, calendar.second,
             calendar.microsecond);
    return out_text;
}

const char *clock_rfc5322(int64_t at, char out_text[CLOCK_TEXT_SIZE])
{
    static const char weekdays[][4] = { "Sun", "Mon", "Tue", "Wed",
                                        "Thu", "Fri", "Sat" };
    static const char months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    struct calendar calendar = calendar_of(at);
    snprintf(out_text, CLOCK_TEXT_SIZE, "%s, %u %s %04lld %02u:%02u:%02u +0000",
             weekdays[calendar.weekday], calendar.day,
             months[calendar.month - 1], (long long)calendar.year,
             calendar.hour, calendar.minute, calendar.second);
    return out_text;
}

/* -- periods -- */

/* Of all but the month, whose length varies. */
static const int64_t period_seconds[PERIOD_MONTH] = {
    [PERIOD_MINUTE] = 60,
    [PERIOD_HOUR] = 3600,
    [PERIOD_DAY] = SECONDS_PER_DAY,
};

int64_t clock_period_start(int64_t at, enum clock_period period)
{
    if (period == PERIOD_MONTH) {
        int64_t day = SECONDS_PER_DAY * CLOCK_SECOND;
        return (divide_down(at, day) - calendar_of(at).day + 1) * day;
    }
    int64_t span = period_seconds[period] * CLOCK_SECOND;
    return divide_down(at, span) * span;
}

int64_t clock_period_end(int64_t at, enum clock_period period)
{
    int64_t seconds = 0;
    if (period == PERIOD_MONTH) {
        struct calendar calendar = calendar_of(at);
        seconds =
            days_in_month(calendar.year, calendar.month) * SECONDS_PER_DAY;
    } else {
        seconds = period_seconds[period];
    }
    return clock_period_start(at, period) + seconds * CLOCK_SECOND;
}

const char *clock_period_text(enum clock_period period)
{
    static const char *const names[PERIOD_COUNT] = {
        [PERIOD_MINUTE] = "minute",
        [PERIOD_HOUR] = "hour",
        [PERIOD_DAY] = "day",
        [PERIOD_MONTH] = "month",
    };
    return names[period];
}
