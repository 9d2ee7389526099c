/* SPDX-License-Identifier: MIT */
/* The submission server's metrics. */
#include "core/memory.h"
#include "smtp/server_internal.h"

#define REFUSED_SESSIONS "baton_smtp_sessions_refused_total"
#define REFUSED_SESSIONS_HELP "Sessions refused at the greeting"
#define AUTHENTICATIONS "baton_smtp_authentications_total"
#define AUTHENTICATIONS_HELP "Logins tried, by result"
#define RECIPIENTS "baton_smtp_recipients_total"
#define RECIPIENTS_HELP "RCPT commands, by result"
#define REFUSED_CONTENT "baton_smtp_content_refused_total"
#define REFUSED_CONTENT_HELP "Messages refused for what was received"

static struct metric metrics[] = {
    [METRIC_SESSIONS] = { "baton_smtp_sessions", "Open submission sessions",
                          METRIC_GAUGE, "", 0 },
    [METRIC_SESSIONS_STARTED] = { "baton_smtp_sessions_started_total",
                                  "Submission sessions begun", METRIC_COUNTER,
                                  "", 0 },
    [METRIC_REFUSED_WORKER] = { REFUSED_SESSIONS, REFUSED_SESSIONS_HELP,
                                METRIC_COUNTER, "reason=\"worker_full\"", 0 },
    [METRIC_REFUSED_ADDRESS] = { REFUSED_SESSIONS, REFUSED_SESSIONS_HELP,
                                 METRIC_COUNTER, "reason=\"address_full\"", 0 },
    [METRIC_REFUSED_POLICY] = { REFUSED_SESSIONS, REFUSED_SESSIONS_HELP,
                                METRIC_COUNTER, "reason=\"policy\"", 0 },
    [METRIC_TLS_STARTED] = { "baton_smtp_tls_started_total",
                             "TLS handshakes done", METRIC_COUNTER, "", 0 },
    [METRIC_TLS_FAILED] = { "baton_smtp_tls_failed_total",
                            "TLS handshakes or records that failed",
                            METRIC_COUNTER, "", 0 },
    [METRIC_AUTH_ACCEPTED] = { AUTHENTICATIONS, AUTHENTICATIONS_HELP,
                               METRIC_COUNTER, "result=\"accepted\"", 0 },
    [METRIC_AUTH_REFUSED] = { AUTHENTICATIONS, AUTHENTICATIONS_HELP,
                              METRIC_COUNTER, "result=\"refused\"", 0 },
    [METRIC_AUTH_UNAVAILABLE] = { AUTHENTICATIONS, AUTHENTICATIONS_HELP,
                                  METRIC_COUNTER, "result=\"unavailable\"", 0 },
    [METRIC_COMMAND_ERRORS] = { "baton_smtp_command_errors_total",
                                "Commands refused as mistakes of the client",
                                METRIC_COUNTER, "", 0 },
    [METRIC_TIMEOUTS] = { "baton_smtp_timeouts_total",
                          "Sessions closed because the client was silent",
                          METRIC_COUNTER, "", 0 },
    [METRIC_RECIPIENTS_ACCEPTED] = { RECIPIENTS, RECIPIENTS_HELP,
                                     METRIC_COUNTER, "result=\"accepted\"", 0 },
    [METRIC_RECIPIENTS_REFUSED] = { RECIPIENTS, RECIPIENTS_HELP, METRIC_COUNTER,
                                    "result=\"refused\"", 0 },
    [METRIC_MESSAGES_TAKEN] = { "baton_smtp_messages_received_total",
                                "Messages received whole", METRIC_COUNTER, "",
                                0 },
    [METRIC_MESSAGE_BYTES] = { "baton_smtp_message_bytes_received_total",
                               "Octets of messages received whole",
                               METRIC_COUNTER, "", 0 },
    [METRIC_CONTENT_MALFORMED] = { REFUSED_CONTENT, REFUSED_CONTENT_HELP,
                                   METRIC_COUNTER, "reason=\"malformed\"", 0 },
    [METRIC_CONTENT_TOO_LARGE] = { REFUSED_CONTENT, REFUSED_CONTENT_HELP,
                                   METRIC_COUNTER, "reason=\"too_large\"", 0 },
    [METRIC_BUDGET_WAITS] = { "baton_smtp_memory_waits_total",
                              "Times a session waited for message memory",
                              METRIC_COUNTER, "", 0 },
};
_Static_assert(ARRAY_LENGTH(metrics) == SMTP_METRIC_COUNT,
               "every metric needs a row");

void smtp_metrics_register(void)
{
    metrics_register(metrics, ARRAY_LENGTH(metrics));
}

void smtp_metric_add(enum smtp_metric metric, int64_t amount)
{
    metric_add(&metrics[metric], amount);
}
