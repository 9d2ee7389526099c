/* SPDX-License-Identifier: MIT */
/* Lines of a message: what every scanner of this folder begins with. */
#ifndef BATON_TRACKING_LINE_H
#define BATON_TRACKING_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

/* Octets of a line without its CRLF: RFC 5322, 2.1.1. */
#define LINE_OCTETS_MAX 998

/* Cut the first line, its line end included, off *rest. Empty at the end. */
static inline struct text line_take(struct text *rest)
{
    size_t end = text_find_byte(*rest, '\n');
    size_t length = end < rest->length ? end + 1 : end;
    struct text line = { rest->data, length };
    if (length > 0) {
        *rest = (struct text){ rest->data + length, rest->length - length };
    }
    return line;
}

/* The line without its line end. */
static inline struct text line_content(struct text line)
{
    if (line.length > 0 && line.data[line.length - 1] == '\n') {
        line.length--;
        if (line.length > 0 && line.data[line.length - 1] == '\r') {
            line.length--;
        }
    }
    return line;
}

static inline bool line_is_folded(struct text line)
{
    return line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
}

static inline size_t line_count(struct text lines)
{
    size_t count = 0;
    while (lines.length > 0) {
        line_take(&lines);
        count++;
    }
    return count;
}

/* The number, counted from 1, of the first line over LINE_OCTETS_MAX; 0 if
 * there is none. */
static inline size_t line_find_long(struct text lines)
{
    for (size_t number = 1; lines.length > 0; number++) {
        if (line_content(line_take(&lines)).length > LINE_OCTETS_MAX) {
            return number;
        }
    }
    return 0;
}

#endif
