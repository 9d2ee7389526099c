/* SPDX-License-Identifier: MIT */
/*
 * One line per fact on stderr: logfmt or JSON. The event text is constant; what
 * varies stands in key=value fields given by a printf format.
 *
 *   log_info(&session->log, "recipient accepted", "recipient=%s", address);
 *   time=… level=info session=… event="recipient accepted" recipient=…
 *
 * Fields are "key=%…" pairs separated by one space. A value that may hold
 * spaces, quotes or foreign bytes is passed as key="%s" through log_quote (the
 * line writer escapes control bytes anyway, so a hostile reply cannot forge a
 * line or colour a terminal).
 */
#ifndef BATON_CORE_LOG_H
#define BATON_CORE_LOG_H

#include <stdbool.h>

#include "core/text.h"

/* "" is how a call says that it has no fields. */
#pragma GCC diagnostic ignored "-Wformat-zero-length"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* Fields that every line of an object carries; NULL parent ends the chain. */
struct log_context {
    const struct log_context *parent;
    char fields[120]; /* "session=… peer=…", set by log_context_set */
};

void log_context_set(struct log_context *context,
                     const struct log_context *parent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void log_configure(enum log_level level, bool as_json);
enum log_level log_level(void);
bool log_level_parse(const char *name, enum log_level *out_level);

/* context may be NULL; format may be "" for no fields. */
void log_write(enum log_level level, const struct log_context *context,
               const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(context, event, ...) \
    log_write(LOG_ERROR, (context), (event), __VA_ARGS__)
#define log_warning(context, event, ...) \
    log_write(LOG_WARNING, (context), (event), __VA_ARGS__)
#define log_info(context, event, ...) \
    log_write(LOG_INFO, (context), (event), __VA_ARGS__)
#define log_debug(context, event, ...)                           \
    (log_level() >= LOG_DEBUG                                    \
         ? log_write(LOG_DEBUG, (context), (event), __VA_ARGS__) \
         : (void)0)

/* The text as it may stand between the quotes of key="…": quotes, backslashes,
 * control and 8-bit bytes escaped, cut at 400 bytes. The result lies in one of
 * eight static buffers used in turn. */
const char *log_quote(struct text text);

#endif
