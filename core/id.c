/* SPDX-License-Identifier: MIT */
#include "core/id.h"

#include "core/clock.h"
#include "core/memory.h"

#define EPOCH_MILLISECONDS INT64_C(1704067200000) /* 2024-01-01 UTC */
#define COUNT_BITS 12
#define WORKER_BITS 10
#define TIME_SHIFT (COUNT_BITS + WORKER_BITS)
#define COUNT_LIMIT (INT64_C(1) << COUNT_BITS)
#define LAST_MILLISECOND ((INT64_C(1) << 41) - 1)

static int64_t worker = -1;
static int64_t last_millisecond; /* since the epoch */
static int64_t next_count;

void id_set_worker(int worker_number)
{
    check(worker_number >= 0 && worker_number <= ID_WORKER_MAX);
    worker = worker_number;
}

static int64_t milliseconds_at(int64_t at)
{
    int64_t milliseconds = at / CLOCK_MILLISECOND;
    if (milliseconds < EPOCH_MILLISECONDS) {
        return 0;
    }
    milliseconds -= EPOCH_MILLISECONDS;
    return milliseconds < LAST_MILLISECOND ? milliseconds : LAST_MILLISECOND;
}

/* A clock that steps back is not followed, and a millisecond whose counts are
 * used up borrows the next one: both let the ids run ahead of the clock until
 * it has caught up. */
int64_t id_make(void)
{
    check(worker >= 0);
    int64_t now = milliseconds_at(clock_now());
    if (now > last_millisecond) {
        last_millisecond = now;
        next_count = 0;
    } else if (next_count == COUNT_LIMIT) {
        last_millisecond++;
        next_count = 0;
    }
    return last_millisecond << TIME_SHIFT | worker << COUNT_BITS | next_count++;
}

int64_t id_instant(int64_t id)
{
    return ((id >> TIME_SHIFT) + EPOCH_MILLISECONDS) * CLOCK_MILLISECOND;
}

int64_t id_lowest_at(int64_t at)
{
    return milliseconds_at(at) << TIME_SHIFT;
}

bool id_parse(struct text text, int64_t *out_id)
{
    uint64_t value;
    if (!text_to_uint64(text, &value) || value == 0 || value > INT64_MAX ||
        text.data[0] == '0') {
        return false;
    }
    *out_id = (int64_t)value;
    return true;
}
