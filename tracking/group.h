/* SPDX-License-Identifier: MIT */
/*
 * The group in a Subject: "Your order {Receipts}" belongs to the group Receipts
 * and leaves as "Your order", also within encoded words (RFC 2047) and folds,
 * which keep their form. Only braces at the very end count.
 */
#ifndef BATON_TRACKING_GROUP_H
#define BATON_TRACKING_GROUP_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/text.h"

#define GROUP_NAME_MAX 100 /* bytes of UTF-8 */

struct group_subject {
    const char *name; /* UTF-8, trimmed, in the arena */
    struct text value; /* the field's value without it, folds kept */
};

/* False: this Subject names no group. `value` is the field's value as it stands
 * behind the colon. */
bool group_from_subject(struct text value, struct arena *arena,
                        struct group_subject *out_subject);

/* Why this is no name for a group (empty, too long, control characters, not
 * UTF-8), or NULL. */
const char *group_name_problem(const char *name);

#endif
