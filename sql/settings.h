/* SPDX-License-Identifier: MIT */
/* Values of [database] and [retention]; private to sql/. */
#ifndef BATON_SQL_SETTINGS_H
#define BATON_SQL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

bool sql_allows_unsafe_durability(void);

/* Spans in milliseconds. */
struct sql_settings_values {
    const char *url;
    bool allow_unsafe_durability;
    int64_t commit_timeout;
    int64_t query_timeout;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t keep_bodies;
    int64_t keep_messages;
    int64_t keep_events;
    int64_t keep_sandbox;
};

const struct sql_settings_values *sql_settings_now(void);

#endif
