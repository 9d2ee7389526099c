/* SPDX-License-Identifier: MIT */
/*
 * How much an account, or one of its user names, may have accepted: messages
 * and recipients in each period of the calendar (UTC). The settings are named
 * like messages_per_minute.
 */
#ifndef BATON_SQL_LIMITS_H
#define BATON_SQL_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/clock.h"

enum limit_kind { LIMIT_MESSAGES, LIMIT_RECIPIENTS, LIMIT_KIND_COUNT };
#define LIMIT_COUNT (LIMIT_KIND_COUNT * PERIOD_COUNT)
#define LIMIT_VALUES "none, or a number up to 1000000000"

struct limits {
    int64_t most[PERIOD_COUNT][LIMIT_KIND_COUNT]; /* 0: no limit */
};

/* A setting that is a limit. */
struct limit_name {
    const char *key;
    enum limit_kind kind;
    enum clock_period period;
};
extern const struct limit_name limit_names[LIMIT_COUNT];

const char *limit_kind_text(enum limit_kind kind); /* "messages" … */
/* NULL: no limit has this key. */
const struct limit_name *limit_name_find(const char *key);
/* A number, or none, unlimited or 0 for no limit. */
bool limit_is_value(const char *value);
/* `value` was checked. */
void limits_set(struct limits *limits, const struct limit_name *name,
                const char *value);
bool limits_has_period(const struct limits *limits, enum clock_period period);
bool limits_has_any(const struct limits *limits);

#endif
