/* SPDX-License-Identifier: MIT */
/*
 * Who is suppressed, answered from a worker's memory: no query for those who
 * are not, and never the whole list (suppression_segments.h). What changes
 * anywhere, by whatever hand, is known here within a second: the worker asks
 * PostgreSQL twice a second what changed. While it has heard nothing for longer
 * the memory is not believed, and every check is a query.
 *
 * Callbacks run from the loop, once, unless cancelled.
 */
#ifndef BATON_RELAY_SUPPRESSION_CACHE_H
#define BATON_RELAY_SUPPRESSION_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/loop.h"
#include "sql/suppressions.h"

struct suppression_cache;
struct suppression_check;

/* bytes_max: of what is remembered. */
struct suppression_cache *suppression_cache_create(struct loop *loop,
                                                   struct database *database,
                                                   size_t bytes_max);
/* After its checks are cancelled, before database_free. */
void suppression_cache_free(struct suppression_cache **cache);

enum suppression_view {
    SUPPRESSION_NONE, /* it may be sent to */
    SUPPRESSION_FOUND,
    SUPPRESSION_UNKNOWN, /* not in memory: start a check */
};

/* What memory says, at once. group_id: 0 for messages without one,
 * SUPPRESSION_ANY_GROUP for those whose group is not known yet. *out_found is
 * set with SUPPRESSION_FOUND and valid until the next call here: that of the
 * whole account, if there are several. */
enum suppression_view suppression_cache_look(
    struct suppression_cache *cache, int64_t account_id, int64_t group_id,
    const char *address, const struct suppression **out_found);

/* Those of the addresses that are suppressed: at most one of each, its place
 * among them in `place`, in their order; valid during the callback only. The
 * addresses are borrowed until then. */
struct suppression_check *suppression_check_start(
    struct suppression_cache *cache, int64_t account_id, int64_t group_id,
    const char *const *addresses, size_t address_count,
    suppressions_found_fn *on_done, void *owner);
void suppression_check_cancel(struct suppression_check **check);

/* "a@b is suppressed in the group News: unsubscribe on 2026-11-02 (…)" */
const char *suppression_describe(const struct suppression *suppression,
                                 struct arena *arena);

#endif
