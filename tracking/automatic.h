/* SPDX-License-Identifier: MIT */
/* Whether a message was sent by a program by itself, or to many: nobody answers
 * such mail automatically (RFC 3834). */
#ifndef BATON_TRACKING_AUTOMATIC_H
#define BATON_TRACKING_AUTOMATIC_H

#include <stdbool.h>

#include "core/text.h"

struct automatic_signs {
    bool is_automatic; /* Auto-Submitted other than "no" (RFC 3834, 5) */
    bool is_bulk; /* Precedence: bulk, junk or list */
};

/* Read the header of a message, which may be anything. */
void automatic_read(struct text message, struct automatic_signs *out_signs);

#endif
