/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a part whose lines cannot go on the wire as they are: one
 * place, so that compose_inspect refuses exactly what compose_copy cannot do.
 */
#ifndef BATON_TRACKING_CONVERSION_INTERNAL_H
#define BATON_TRACKING_CONVERSION_INTERNAL_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"
#include "tracking/mime.h"

enum conversion {
    CONVERSION_NONE, /* the part goes as it is */
    CONVERSION_TO_QUOTED_PRINTABLE,
    CONVERSION_TO_BASE64,
    CONVERSION_WRAP_QUOTED_PRINTABLE, /* encoding stays, lines get short */
    CONVERSION_WRAP_BASE64,
};

struct conversion_wish {
    bool to_7bit; /* E4 */
    bool wraps_76; /* text parts, where it can be done */
};

/* What a part needs. False: it cannot be done; the sentence names the line. */
bool conversion_plan(struct text message, const struct mime_part *part,
                     const struct conversion_wish *wish,
                     enum conversion *out_conversion,
                     struct error *error) MUST_USE;

/* The value of Content-Transfer-Encoding afterwards, or NULL if it stays. */
const char *conversion_encoding(enum conversion conversion);

/* The part's body afterwards, in the arena; not for CONVERSION_NONE. */
struct text conversion_apply(enum conversion conversion, struct text body,
                             struct arena *arena);

#endif
