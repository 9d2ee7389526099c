/* SPDX-License-Identifier: MIT */
/*
 * Counters and gauges in memory that all workers share, one row of slots a
 * worker, so that any worker can answer for all. Each room has a table of its
 * metrics; a table's order is its own enum.
 */
#ifndef BATON_CORE_METRICS_H
#define BATON_CORE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
    const char *name; /* Prometheus: baton_…_total for a counter */
    const char *help;
    enum metric_kind kind;
    const char *labels; /* "" or `outcome="delivered"` */
    size_t slot; /* set by metrics_register */
};

/* Before metrics_open; the table stays the caller's. */
void metrics_register(struct metric *table, size_t metric_count);
/* Make the shared memory for so many workers (supervisor, before fork). Without
 * this call the process counts for itself alone. */
void metrics_open(size_t worker_count);
/* Choose this process's row and zero its gauges (worker, after fork). */
void metrics_attach(size_t worker_index);

void metric_add(const struct metric *metric, int64_t amount);
void metric_set(const struct metric *metric, int64_t value); /* gauge */
int64_t metric_sum(const struct metric *metric); /* over all workers */
int64_t metric_of_worker(const struct metric *metric, size_t worker_index);

/* Prometheus text format, version 0.0.4. */
void metrics_print(struct buffer *out_text);

#endif
