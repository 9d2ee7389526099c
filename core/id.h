/* SPDX-License-Identifier: MIT */
/*
 * Ids of messages, deliveries, attempts and events: 63 bits that sort by time
 * and are unique without asking anybody.
 *
 *   41 bits milliseconds since 2024-01-01 UTC | 10 bits worker | 12 bits count
 */
#ifndef BATON_CORE_ID_H
#define BATON_CORE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

#define ID_WORKER_MAX 1023

/* Name this process's worker number (0 to ID_WORKER_MAX), which no other live
 * worker has. Before this call id_make must not be used. */
void id_set_worker(int worker_number);

/* A new id, larger than every one this process made before, even when the
 * clock steps back. */
int64_t id_make(void);

/* The instant in an id, to the millisecond; and the smallest id of an instant
 * (for ranges and partition bounds). */
int64_t id_instant(int64_t id);
int64_t id_lowest_at(int64_t at);

/* Decimal text, as shown to people; false if it is no id. */
bool id_parse(struct text text, int64_t *out_id);

#endif
