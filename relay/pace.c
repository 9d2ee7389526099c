/* SPDX-License-Identifier: MIT */
#include "relay/pace.h"

#include <stdbool.h>

#include "core/clock.h"

/* Fresh mail counts as present for so long. */
#define FRESH_FOR CLOCK_SECOND
#define DECIDE_EVERY (CLOCK_SECOND / 4)
#define ROWS_PER_SECOND_MIN 200.0
#define ROWS_PER_SECOND_MAX 20000.0
#define FASTER 1.025 /* a decision: a tenth a second */
#define SLOWER 0.5
#define ALLOWANCE_SECONDS 0.25 /* what may collect */
/* The present wait is a mean of about so many messages. */
#define WAIT_WEIGHT 8
/* What was best fades: machines change. */
#define BEST_FADES_BY 4096
#define TOLERATED (CLOCK_MILLISECOND / 2)

void pace_note_fresh(struct pace *pace, int64_t now_monotonic, int64_t wait)
{
    struct pace_signal *signal = pace->signal;
    if (signal->best_wait == 0) {
        signal->wait = wait;
        signal->best_wait = wait;
    }
    signal->wait += (wait - signal->wait) / WAIT_WEIGHT;
    signal->best_wait += signal->best_wait / BEST_FADES_BY + 1;
    if (signal->wait < signal->best_wait) {
        signal->best_wait = signal->wait;
    }
    signal->fresh_monotonic = now_monotonic;
}

struct reading {
    bool is_fresh;
    bool is_slow;
};

static struct reading read_signals(const struct pace *pace,
                                   int64_t now_monotonic)
{
    struct reading reading = { 0 };
    for (size_t i = 0; i < pace->signal_count; i++) {
        const struct pace_signal *signal =
            (const void *)((const char *)pace->signals + i * pace->stride);
        if (signal->fresh_monotonic == 0 ||
            now_monotonic - signal->fresh_monotonic > FRESH_FOR) {
            continue;
        }
        reading.is_fresh = true;
        if (signal->wait >
            signal->best_wait + signal->best_wait / 2 + TOLERATED) {
            reading.is_slow = true;
        }
    }
    return reading;
}

static void decide(struct pace *pace, bool is_slow)
{
    pace->rows_per_second *= is_slow ? SLOWER : FASTER;
    if (pace->rows_per_second < ROWS_PER_SECOND_MIN) {
        pace->rows_per_second = ROWS_PER_SECOND_MIN;
    }
    if (pace->rows_per_second > ROWS_PER_SECOND_MAX) {
        pace->rows_per_second = ROWS_PER_SECOND_MAX;
    }
}

static void collect(struct pace *pace, int64_t now_monotonic)
{
    double most = pace->rows_per_second * ALLOWANCE_SECONDS;
    pace->allowance += pace->rows_per_second *
                       (double)(now_monotonic - pace->counted_monotonic) /
                       CLOCK_SECOND;
    if (pace->allowance > most) {
        pace->allowance = most;
    }
    pace->counted_monotonic = now_monotonic;
}

int64_t pace_rows(struct pace *pace, int64_t now_monotonic)
{
    struct reading reading = read_signals(pace, now_monotonic);
    if (!reading.is_fresh) {
        pace->rows_per_second = 0;
        return PACE_ROWS_UNLIMITED;
    }
    if (pace->rows_per_second == 0) { /* fresh mail has come */
        pace->rows_per_second = ROWS_PER_SECOND_MIN;
        pace->allowance = 0;
        pace->counted_monotonic = now_monotonic;
        pace->decided_monotonic = now_monotonic;
    }
    if (now_monotonic - pace->decided_monotonic >= DECIDE_EVERY) {
        pace->decided_monotonic = now_monotonic;
        decide(pace, reading.is_slow);
    }
    collect(pace, now_monotonic);
    return (int64_t)pace->allowance;
}

void pace_spend(struct pace *pace, int64_t rows)
{
    pace->allowance -= (double)rows;
}
