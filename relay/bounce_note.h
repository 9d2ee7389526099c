/* SPDX-License-Identifier: MIT */
/* What a refusal means for the address that was refused: the same in the
 * dialogue and in a report that comes later (B1). */
#ifndef BATON_RELAY_BOUNCE_NOTE_H
#define BATON_RELAY_BOUNCE_NOTE_H

#include <stdbool.h>

#include "sql/directory.h"
#include "sql/suppressions.h"

/* Only an address that is none suppresses at once, and one that is not used any
 * more when it is so repeatedly (B3). account NULL (removed meanwhile) or
 * suppress_hard_bounces off: nothing. The evidence is borrowed. */
struct suppression_note bounce_note(const struct directory_account *account,
                                    bool suppresses, bool is_inactive,
                                    const char *evidence);

#endif
