/* SPDX-License-Identifier: MIT */
/* Links in plain text: where a mail reader would see one, and where it would
 * end it. What is not certain is no link. */
#ifndef BATON_TRACKING_TEXT_LINK_H
#define BATON_TRACKING_TEXT_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

struct text_link {
    size_t from;
    size_t to;
};

/* The first link at *position or behind it; *position is moved behind it.
 * `joins_lines`: a blank at a line's end joins it with the next one (RFC 3676,
 * DelSp), so a link there may go on. */
bool text_link_next(struct text text, bool joins_lines, size_t *position,
                    struct text_link *out_link);

#endif
