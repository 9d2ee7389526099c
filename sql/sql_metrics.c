/* SPDX-License-Identifier: MIT */
#include "sql/sql_metrics.h"

#include "sql/database.h"

#define COUNTER_ROW(name, help)               \
    {                                         \
        (name), (help), METRIC_COUNTER, "", 0 \
    }

struct metric sql_metrics[SQL_METRIC_COUNT] = {
    [METRIC_CONNECTION_LOST] =
        COUNTER_ROW("baton_database_connections_lost_total",
                    "Connections to PostgreSQL that broke"),
    [METRIC_BATCHES] = COUNTER_ROW("baton_database_batches_total",
                                   "Transactions with the rows of many"),
    [METRIC_BATCH_ROWS] = COUNTER_ROW("baton_database_batch_rows_total",
                                      "Rows committed in batches"),
    [METRIC_BATCH_MILLISECONDS] =
        COUNTER_ROW("baton_database_batch_milliseconds_total",
                    "Time that batches were on their way, added up"),
    [METRIC_BATCHES_RESENT] =
        COUNTER_ROW("baton_database_batches_resent_total",
                    "Batches whose outcome was not heard, sent again"),
    [METRIC_ROWS_REFUSED] = COUNTER_ROW("baton_database_rows_refused_total",
                                        "Rows that PostgreSQL refused"),
    [METRIC_ROWS_TIMED_OUT] =
        COUNTER_ROW("baton_database_rows_timed_out_total",
                    "Rows given up because PostgreSQL was away for too long"),
    [METRIC_ROWS_WITHDRAWN] =
        COUNTER_ROW("baton_database_rows_withdrawn_total",
                    "Rows withdrawn by those who gave them"),
    [METRIC_ROWS_PENDING] = { "baton_database_rows_pending",
                              "Rows waiting for a batch or on their way",
                              METRIC_GAUGE, "", 0 },
    [METRIC_QUERIES_FAILED] = COUNTER_ROW("baton_database_queries_failed_total",
                                          "Queries without an answer"),
};

void sql_metrics_register(void)
{
    metrics_register(sql_metrics, SQL_METRIC_COUNT);
}
