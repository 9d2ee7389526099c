/* SPDX-License-Identifier: MIT */
/* [database] and [retention]. */
#include "sql/settings.h"

#include <libpq-fe.h>

#include "core/config.h"
#include "core/memory.h"
#include "sql/database.h"

#define DEFAULT_URL "postgresql:///baton"
#define SECOND INT64_C(1000)
#define DAY (24 * 3600 * SECOND)

/* As they stand before any configuration is loaded (tests). */
static struct sql_settings_values values = {
    .url = DEFAULT_URL,
    .commit_timeout = 30 * SECOND,
    .query_timeout = 30 * SECOND,
    .batch_rows = 256,
    .batch_bytes = 4 * 1024 * 1024,
    .keep_bodies = 7 * DAY,
    .keep_messages = 90 * DAY,
    .keep_events = 90 * DAY,
    .keep_sandbox = 7 * DAY,
};

static bool check_url(const char *url, struct error *error)
{
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &reason);
    if (options == NULL) {
        error_set(error,
                  "expected a URL like postgresql://user@host:5432/baton: %s",
                  reason != NULL ? reason : "out of memory");
        PQfreemem(reason);
        return false;
    }
    PQconninfoFree(options);
    return true;
}

#define RETENTION_ROW(name, variable, start, text)                     \
    {                                                                  \
        .section = "retention", .key = (name), .type = SETTING_SPAN,   \
        .value = &values.variable, .initial = (start), .minimum = DAY, \
        .maximum = 3650 * DAY, .description = (text),                  \
    }

const struct setting sql_settings[] = {
    { .section = "database",
      .key = "url",
      .type = SETTING_TEXT,
      .value = &values.url,
      .initial = DEFAULT_URL,
      .is_secret = true,
      .description = "Where PostgreSQL is: a libpq URL or key=value string",
      .check_value = check_url },
    { .section = "database",
      .key = "allow_unsafe_durability",
      .type = SETTING_BOOLEAN,
      .value = &values.allow_unsafe_durability,
      .initial = "off",
      .description = "Start although fsync or synchronous_commit is off, so "
                     "that accepted mail can be lost" },
    { .section = "database",
      .key = "commit_timeout",
      .type = SETTING_SPAN,
      .value = &values.commit_timeout,
      .initial = "30 s",
      .minimum = SECOND,
      .maximum = 600 * SECOND,
      .description = "How long a client waits for its message to be stored "
                     "before it is told to come again (451)" },
    { .section = "database",
      .key = "query_timeout",
      .type = SETTING_SPAN,
      .value = &values.query_timeout,
      .initial = "30 s",
      .minimum = SECOND,
      .maximum = 600 * SECOND,
      .description = "How long a query may take" },
    { .section = "database",
      .key = "batch_rows",
      .type = SETTING_NUMBER,
      .value = &values.batch_rows,
      .initial = "256",
      .minimum = 1,
      .maximum = 4096,
      .description = "Most messages or results in one transaction" },
    { .section = "database",
      .key = "batch_size",
      .type = SETTING_SIZE,
      .value = &values.batch_bytes,
      .initial = "4 MB",
      .minimum = 65536,
      .maximum = INT64_C(64) * 1024 * 1024,
      .description = "Most bytes in one transaction; a larger message goes "
                     "alone" },
    RETENTION_ROW("body", keep_bodies, "7 d",
                  "How long the bytes of messages are kept; at least as long "
                  "as a delivery may be tried"),
    RETENTION_ROW("message", keep_messages, "90 d",
                  "How long messages, deliveries and attempts are kept"),
    RETENTION_ROW("event", keep_events, "90 d", "How long events are kept"),
    RETENTION_ROW("sandbox", keep_sandbox, "7 d",
                  "How long mail in the sandbox is kept"),
};
const size_t sql_setting_count = ARRAY_LENGTH(sql_settings);

const struct sql_settings_values *sql_settings_now(void)
{
    return &values;
}

size_t database_batch_rows(void)
{
    return (size_t)values.batch_rows;
}

const char *database_url(void)
{
    return values.url;
}

bool sql_allows_unsafe_durability(void)
{
    return values.allow_unsafe_durability;
}
