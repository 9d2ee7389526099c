/* SPDX-License-Identifier: MIT */
/*
 * The one source of time. An instant is an int64_t of microseconds since
 * 1970-01-01 UTC and is named `…_at`; a span is named with its unit. Tests run
 * the clock faster than the world; timers (loop.h) follow it.
 */
#ifndef BATON_CORE_CLOCK_H
#define BATON_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_MILLISECOND INT64_C(1000)

/* The wall clock. It may jump; never measure spans with it. */
int64_t clock_now(void);
/* Microseconds since some start; never goes back. For spans and deadlines. */
int64_t clock_monotonic(void);

/* Let `rate` seconds pass per second from now on (1 to 10000). Every clock of
 * the process follows, before and after a fork. Call once, at start. */
void clock_set_rate(int rate);
int clock_rate(void);

/* "2026-11-21T02:13:02.123456Z". */
#define CLOCK_TEXT_SIZE 40
const char *clock_iso8601(int64_t at, char out_text[CLOCK_TEXT_SIZE]);
/* "Sat, 21 Nov 2026 02:13:02 +0000" (RFC 5322, 3.3). */
const char *clock_rfc5322(int64_t at, char out_text[CLOCK_TEXT_SIZE]);

/* What limits count in: periods of the calendar, UTC. The numbers stand in the
 * database. */
enum clock_period {
    PERIOD_MINUTE,
    PERIOD_HOUR,
    PERIOD_DAY,
    PERIOD_MONTH,
    PERIOD_COUNT
};
/* The first instant of the period that an instant lies in, and of the next. */
int64_t clock_period_start(int64_t at, enum clock_period period);
int64_t clock_period_end(int64_t at, enum clock_period period);
const char *clock_period_text(enum clock_period period); /* "minute" … */

#endif
