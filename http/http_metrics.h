/* SPDX-License-Identifier: MIT */
/* What http/ counts; private to it. */
#ifndef BATON_HTTP_HTTP_METRICS_H
#define BATON_HTTP_HTTP_METRICS_H

#include "core/metrics.h"

enum http_metric {
    METRIC_REQUESTS,
    METRIC_REQUESTS_REFUSED,
    METRIC_CONNECTIONS_REFUSED,
    METRIC_REQUESTS_TIMED_OUT,
    METRIC_TOKENS_WRONG,
    METRIC_HITS_STORED,
    METRIC_HITS_ANSWERED_EARLY,
    METRIC_HITS_DROPPED,
    HTTP_METRIC_COUNT
};

extern struct metric http_metrics[HTTP_METRIC_COUNT];

#endif
