/* SPDX-License-Identifier: MIT */
/* What sql/ counts; private to it. */
#ifndef BATON_SQL_SQL_METRICS_H
#define BATON_SQL_SQL_METRICS_H

#include "core/metrics.h"

enum sql_metric {
    METRIC_CONNECTION_LOST,
    METRIC_BATCHES,
    METRIC_BATCH_ROWS,
    METRIC_BATCH_MILLISECONDS,
    METRIC_BATCHES_RESENT,
    METRIC_ROWS_REFUSED,
    METRIC_ROWS_TIMED_OUT,
    METRIC_ROWS_WITHDRAWN,
    METRIC_ROWS_PENDING,
    METRIC_QUERIES_FAILED,
    SQL_METRIC_COUNT
};

extern struct metric sql_metrics[SQL_METRIC_COUNT];

#endif
