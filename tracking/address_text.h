/* SPDX-License-Identifier: MIT */
/* Mail addresses in running text and in fields that follow no grammar. */
#ifndef BATON_TRACKING_ADDRESS_TEXT_H
#define BATON_TRACKING_ADDRESS_TEXT_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/text.h"

/* Find the next address in *rest, which then begins behind it; the view lies
 * in the text. Brackets, quotes, "mailto:", "rfc822;", "SMTP=" and punctuation
 * around it are not part of it; a quoted local part is. False: no more. */
bool address_text_next(struct text *rest, struct text *out_address);

/* The first one in a field's value, in the arena; "" if there is none. */
const char *address_text_first(struct arena *arena, const char *value);

#endif
