/* SPDX-License-Identifier: MIT */
/*
 * Human or machine? A verdict on one hit, by what it says of itself (P4). The
 * function baton.hit_verdict in SQL decides alike, so that verdicts can be made
 * anew; bursts are recognised in the database, where all workers' hits meet.
 */
#ifndef BATON_TRACKING_MACHINE_H
#define BATON_TRACKING_MACHINE_H

#include <stdbool.h>

#include "core/text.h"

struct hit_facts {
    struct text user_agent; /* "" if none was said */
    struct text address; /* of the client, without port */
    bool is_prefetch; /* Sec-Purpose, Purpose or X-Moz said so */
};

/* NULL: nothing speaks against a human. Else "apple-proxy", "gmail-proxy",
 * "scanner" or "prefetch". */
const char *machine_reason(const struct hit_facts *facts);

#endif
