/* SPDX-License-Identifier: MIT */
#include "http/http_metrics.h"

#include "http/server.h"

#define COUNTER_ROW(name, help)               \
    {                                         \
        (name), (help), METRIC_COUNTER, "", 0 \
    }

struct metric http_metrics[HTTP_METRIC_COUNT] = {
    [METRIC_REQUESTS] =
        COUNTER_ROW("baton_http_requests_total", "Requests over HTTP"),
    [METRIC_REQUESTS_REFUSED] =
        COUNTER_ROW("baton_http_requests_refused_total",
                    "Requests that were not what HTTP allows, or too large"),
    [METRIC_CONNECTIONS_REFUSED] =
        COUNTER_ROW("baton_http_connections_refused_total",
                    "Connections closed at once: too many"),
    [METRIC_REQUESTS_TIMED_OUT] =
        COUNTER_ROW("baton_http_requests_timed_out_total",
                    "Connections closed because a request took too long"),
    [METRIC_TOKENS_WRONG] =
        COUNTER_ROW("baton_http_tokens_wrong_total",
                    "Links that are not ours, or were altered"),
    [METRIC_HITS_STORED] =
        COUNTER_ROW("baton_hits_stored_total", "Opens and clicks stored"),
    [METRIC_HITS_ANSWERED_EARLY] =
        COUNTER_ROW("baton_hits_answered_early_total",
                    "Opens and clicks answered before they were stored"),
    [METRIC_HITS_DROPPED] =
        COUNTER_ROW("baton_hits_dropped_total",
                    "Opens and clicks that were answered and are lost"),
};

void http_metrics_register(void)
{
    metrics_register(http_metrics, HTTP_METRIC_COUNT);
}
