/* SPDX-License-Identifier: MIT */
#include "sql/limits.h"

#include <string.h>

#include "core/text.h"

#define LIMIT_MAX 1000000000

const struct limit_name limit_names[LIMIT_COUNT] = {
    { "messages_per_minute", LIMIT_MESSAGES, PERIOD_MINUTE },
    { "messages_per_hour", LIMIT_MESSAGES, PERIOD_HOUR },
    { "messages_per_day", LIMIT_MESSAGES, PERIOD_DAY },
    { "messages_per_month", LIMIT_MESSAGES, PERIOD_MONTH },
    { "recipients_per_minute", LIMIT_RECIPIENTS, PERIOD_MINUTE },
    { "recipients_per_hour", LIMIT_RECIPIENTS, PERIOD_HOUR },
    { "recipients_per_day", LIMIT_RECIPIENTS, PERIOD_DAY },
    { "recipients_per_month", LIMIT_RECIPIENTS, PERIOD_MONTH },
};

const char *limit_kind_text(enum limit_kind kind)
{
    return kind == LIMIT_MESSAGES ? "messages" : "recipients";
}

const struct limit_name *limit_name_find(const char *key)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (strcmp(limit_names[i].key, key) == 0) {
            return &limit_names[i];
        }
    }
    return NULL;
}

/* 0 for no limit, -1 for what is neither. */
static int64_t read_limit(const char *value)
{
    uint64_t number = 0;
    if (strcmp(value, "none") == 0 || strcmp(value, "unlimited") == 0) {
        return 0;
    }
    return text_to_uint64(text_of(value), &number) && number <= LIMIT_MAX
               ? (int64_t)number
               : -1;
}

bool limit_is_value(const char *value)
{
    return read_limit(value) >= 0;
}

void limits_set(struct limits *limits, const struct limit_name *name,
                const char *value)
{
    limits->most[name->period][name->kind] = read_limit(value);
}

bool limits_has_period(const struct limits *limits, enum clock_period period)
{
    for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
        if (limits->most[period][kind] > 0) {
            return true;
        }
    }
    return false;
}

bool limits_has_any(const struct limits *limits)
{
    for (int period = 0; period < PERIOD_COUNT; period++) {
        if (limits_has_period(limits, (enum clock_period)period)) {
            return true;
        }
    }
    return false;
}
