/* SPDX-License-Identifier: MIT */
/*
 * How fast the backlog is read back from the queue. Mail that is just being
 * accepted goes first: somebody waits for it. While some comes in, to whichever
 * worker of this node, the backlog is claimed slowly, a little faster every
 * second, and at half the rate as soon as storing takes notably longer than it
 * does at its best: the one figure in which processors, disks and PostgreSQL
 * all show. Nothing fresh: no limit.
 */
#ifndef BATON_RELAY_PACE_H
#define BATON_RELAY_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_ROWS_UNLIMITED INT64_MAX

/* What a worker tells the others; lies in shared memory. Microseconds. */
struct pace_signal {
    int64_t fresh_monotonic; /* when fresh mail was last stored */
    int64_t wait; /* how long storing takes at present */
    int64_t best_wait; /* and at its best */
};

struct pace {
    struct pace_signal *signal; /* our own; borrowed */
    /* Those of all workers of the node, `stride` bytes apart; borrowed. */
    const void *signals;
    size_t stride;
    size_t signal_count;
    double rows_per_second;
    double allowance; /* rows that may be claimed now */
    int64_t counted_monotonic;
    int64_t decided_monotonic;
};

/* Fresh mail was stored; it took `wait` microseconds of clock_monotonic(). */
void pace_note_fresh(struct pace *pace, int64_t now_monotonic, int64_t wait);

/* How many rows may be claimed now, or PACE_ROWS_UNLIMITED. */
int64_t pace_rows(struct pace *pace, int64_t now_monotonic);
/* So many were claimed. */
void pace_spend(struct pace *pace, int64_t rows);

#endif
