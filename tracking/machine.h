/* SPDX-License-Identifier: MIT */
/*
 * Human or machine? A verdict on one hit, by what it says of itself (P4). The
 * function baton.hit_verdict in SQL decides alike, so that verdicts can be made
 * anew; bursts are recognised in the database, where all workers' hits meet.
 */
#ifndef BATON_TRACKING_MACHINE_H
#define BATON_TRACKING_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

/* So many bytes of a user agent are looked at (and kept, sql/hits.h). */
#define MACHINE_AGENT_BYTES 512

struct hit_facts {
    struct text user_agent; /* "" if none was said */
    struct text address; /* of the client, without port */
    bool is_prefetch; /* Sec-Purpose, Purpose or X-Moz said so */
};

/* What machines call themselves; the first row that fits decides. The same rows
 * stand in baton.hit_verdict. */
struct machine_pattern {
    const char *words; /* lower case; found in any case of letters */
    bool is_whole; /* the whole user agent; else a part of it */
    const char *reason;
};
extern const struct machine_pattern machine_patterns[];
extern const size_t machine_pattern_count;

/* NULL: nothing speaks against a human. Else "apple-proxy", "gmail-proxy",
 * "scanner" or, if the user agent says nothing, "prefetch". */
const char *machine_reason(const struct hit_facts *facts);

#endif
