/* SPDX-License-Identifier: MIT */
/*
 *   check ──> memory ──────────────────────────────────────────> on_done
 *               │ nothing: its segment is loaded      ^   ^
 *               └──> load (one at a time, of all      │   │
 *                    checks that wait) ───────────────┘   │
 *               │ alike, or memory is not believed        │
 *               └──> query for those addresses ───────────┘
 *
 * Loads, and questions about changes, go over the same connection and are
 * answered in the order they were asked: what was loaded before a change became
 * visible is here when the change is heard of.
 */
#include "relay/suppression_cache.h"

#include "core/clock.h"
#include "core/list.h"
#include "core/memory.h"
#include "relay/relay_metrics.h"
#include "relay/suppression_segments.h"

#define POLL_MILLISECONDS 400
/* Since the question was asked that was answered last. */
#define BELIEVED_MILLISECONDS 1000
#define RANGES_MAX 256 /* in one load */
/* A segment may be pushed out before its check is looked at again. */
#define LOADS_PER_CHECK 4

struct suppression_cache {
    struct loop *loop;
    struct database *database;
    struct suppression_segments *segments;
    struct list waiting; /* checks, for a load to come */
    struct list loading; /* checks, for the load on its way */
    struct query *load;
    bool is_telling; /* checks what a load gave; they wait for the next one */
    struct suppression_range ranges[RANGES_MAX]; /* of that load */
    size_t range_count;
    struct timer poll_timer;
    struct query *poll;
    int64_t asked_monotonic; /* the question on its way */
    int64_t heard_monotonic; /* when that was asked which was answered; 0: none
                                was, or since then one was not */
    char *snapshot; /* NULL: nothing was heard yet */
    int64_t answered_at;
};

struct suppression_check {
    struct suppression_cache *cache;
    struct list_link link; /* in waiting or loading, or in none */
    int64_t account_id;
    int64_t group_id;
    const char *const *addresses;
    size_t address_count;
    struct arena *arena; /* of what is found */
    struct suppression *found; /* one an address; reason NULL: not suppressed */
    size_t *asked; /* the places of those that the query asks for */
    size_t asked_count;
    int load_count;
    struct query *query;
    suppressions_found_fn *on_done;
    void *owner;
};

/* -- memory -- */

static bool is_believed(const struct suppression_cache *cache)
{
    return cache->heard_monotonic != 0 &&
           clock_monotonic() - cache->heard_monotonic <
               BELIEVED_MILLISECONDS * CLOCK_MILLISECOND * clock_rate();
}

static enum suppression_sight look(struct suppression_cache *cache,
                                   int64_t account_id, const char *address,
                                   struct suppression_answer *out_answer)
{
    int64_t hash = 0;
    if (!is_believed(cache) || !suppression_hash(address, &hash)) {
        return SIGHT_ALIKE;
    }
    return suppression_segments_look(cache->segments, account_id, hash, address,
                                     out_answer);
}

static const struct suppression *find_applying(
    const struct suppression *suppressions, size_t count, int64_t group_id)
{
    int64_t now = clock_now();
    for (size_t i = 0; i < count; i++) {
        if (suppression_applies(&suppressions[i], group_id, now)) {
            return &suppressions[i];
        }
    }
    return NULL;
}

enum suppression_view suppression_cache_look(
    struct suppression_cache *cache, int64_t account_id, int64_t group_id,
    const char *address, const struct suppression **out_found)
{
    struct suppression_answer answer;
    switch (look(cache, account_id, address, &answer)) {
    case SIGHT_CLEAR:
        return SUPPRESSION_NONE;
    case SIGHT_ANSWER:
        *out_found = find_applying(answer.suppressions, answer.count, group_id);
        return *out_found != NULL ? SUPPRESSION_FOUND : SUPPRESSION_NONE;
    case SIGHT_ALIKE:
    case SIGHT_NOTHING:
        break;
    }
    return SUPPRESSION_UNKNOWN;
}

/* -- the end of a check -- */

static void free_check(struct suppression_check *check)
{
    list_remove(&check->link);
    loop_cancel_posts(check->cache->loop, check);
    query_cancel(&check->query);
    arena_free(&check->arena);
    memory_free(check);
}

static void finish(struct suppression_check *check, enum database_result result,
                   const struct suppression *found, size_t count)
{
    suppressions_found_fn *on_done = check->on_done;
    void *owner = check->owner;
    struct arena *arena = check->arena; /* where `found` lies */
    check->arena = NULL;
    free_check(check);
    on_done(owner, result, found, count);
    arena_free(&arena);
}

void suppression_check_cancel(struct suppression_check **check)
{
    if (*check != NULL) {
        free_check(*check);
        *check = NULL;
    }
}

/* -- asking exactly -- */

/* The rows of one address: from `first` on, of the place. */
static size_t count_rows_of(const struct suppression *rows, size_t first,
                            size_t count, size_t place)
{
    size_t end = first;
    while (end < count && rows[end].place == place) {
        end++;
    }
    return end - first;
}

/* Before anything was heard of changes nothing may be remembered. */
static void keep_answer(const struct suppression_check *check, size_t place,
                        const struct suppression *rows, size_t count)
{
    const char *address = check->addresses[place];
    int64_t hash = 0;
    if (check->cache->heard_monotonic != 0 &&
        suppression_hash(address, &hash)) {
        suppression_segments_keep(check->cache->segments, check->account_id,
                                  hash, address, rows, count);
    }
}

static void note_found(struct suppression_check *check, size_t place,
                       const struct suppression *suppressions, size_t count)
{
    const struct suppression *found =
        find_applying(suppressions, count, check->group_id);
    struct arena *arena = check->arena;
    if (found == NULL) {
        return;
    }
    struct suppression *copy = &check->found[place];
    *copy = *found;
    copy->place = place;
    copy->address = arena_copy_string(arena, found->address);
    copy->reason = arena_copy_string(arena, found->reason);
    copy->evidence = arena_copy_string(arena, found->evidence);
    if (found->group_name != NULL) {
        copy->group_name = arena_copy_string(arena, found->group_name);
    }
}

static void conclude(struct suppression_check *check)
{
    struct suppression *all =
        arena_alloc(check->arena, (check->address_count + 1) * sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; i < check->address_count; i++) {
        if (check->found[i].reason != NULL) {
            all[count++] = check->found[i];
        }
    }
    finish(check, DATABASE_DONE, all, count);
}

static void on_found(void *owner, enum database_result result,
                     const struct suppression *rows, size_t count)
{
    struct suppression_check *check = owner;
    check->query = NULL;
    if (result != DATABASE_DONE) {
        finish(check, result, NULL, 0);
        return;
    }
    size_t row = 0;
    for (size_t i = 0; i < check->asked_count; i++) {
        size_t own = count_rows_of(rows, row, count, i);
        note_found(check, check->asked[i], rows + row, own);
        keep_answer(check, check->asked[i], rows + row, own);
        row += own;
    }
    conclude(check);
}

static void ask(struct suppression_check *check)
{
    const char **addresses =
        memory_alloc_array(check->asked_count, sizeof(*addresses));
    for (size_t i = 0; i < check->asked_count; i++) {
        addresses[i] = check->addresses[check->asked[i]];
    }
    metric_add(&relay_metrics[METRIC_SUPPRESSION_QUERIES], 1);
    check->query =
        suppressions_find(check->cache->database, check->account_id, addresses,
                          check->asked_count, on_found, check);
    memory_free(addresses);
}

/* -- loading -- */

static void advance(struct suppression_check *check);

static void want_range(struct suppression_cache *cache,
                       const struct suppression_check *check, size_t place)
{
    struct suppression_range range;
    int64_t hash = 0;
    check(suppression_hash(check->addresses[place], &hash));
    suppression_segments_range(cache->segments, check->account_id, hash,
                               &range);
    for (size_t i = 0; i < cache->range_count; i++) {
        if (cache->ranges[i].account_id == range.account_id &&
            cache->ranges[i].lowest == range.lowest) {
            return;
        }
    }
    if (cache->range_count < RANGES_MAX) {
        cache->ranges[cache->range_count++] = range;
    }
}

/* Those that found no room in the load come with the next one. */
static void want_ranges(struct suppression_cache *cache,
                        const struct suppression_check *check)
{
    struct suppression_answer answer;
    for (size_t i = 0;
         i < check->address_count && cache->range_count < RANGES_MAX; i++) {
        if (look(cache, check->account_id, check->addresses[i], &answer) ==
            SIGHT_NOTHING) {
            want_range(cache, check, i);
        }
    }
}

static void on_loaded(void *owner, enum database_result result,
                      const struct text *hashes);

static void on_nothing_to_load(void *owner)
{
    on_loaded(owner, DATABASE_DONE, NULL);
}

static void load(struct suppression_cache *cache)
{
    struct list_link *link;
    cache->range_count = 0;
    while (cache->range_count < RANGES_MAX &&
           (link = list_take_first(&cache->waiting)) != NULL) {
        struct suppression_check *check =
            LIST_ITEM(link, struct suppression_check, link);
        list_append(&cache->loading, &check->link);
        want_ranges(cache, check);
    }
    if (cache->range_count == 0) { /* the load before brought it along */
        loop_post(cache->loop, on_nothing_to_load, cache);
        return;
    }
    metric_add(&relay_metrics[METRIC_SUPPRESSION_LOADS], 1);
    cache->load = suppression_ranges_load(
        cache->database, cache->ranges, cache->range_count,
        SUPPRESSION_SEGMENT_LIMIT, on_loaded, cache);
}

static void on_loaded(void *owner, enum database_result result,
                      const struct text *hashes)
{
    struct suppression_cache *cache = owner;
    struct list_link *link;
    cache->load = NULL;
    for (size_t i = 0; hashes != NULL && i < cache->range_count; i++) {
        suppression_segments_fill(cache->segments, &cache->ranges[i],
                                  hashes[i]);
    }
    cache->is_telling = true;
    while ((link = list_take_first(&cache->loading)) != NULL) {
        struct suppression_check *check =
            LIST_ITEM(link, struct suppression_check, link);
        if (result == DATABASE_DONE) {
            advance(check);
        } else {
            finish(check, result, NULL, 0);
        }
    }
    cache->is_telling = false;
    if (cache->waiting.count > 0) {
        load(cache);
    }
}

/* -- checks -- */

/* What memory knows, and whom PostgreSQL has to be asked for. */
static void find_asked(struct suppression_check *check, bool *out_is_missing)
{
    struct suppression_answer answer;
    bool is_patient = check->load_count < LOADS_PER_CHECK;
    *out_is_missing = false;
    check->asked_count = 0;
    for (size_t i = 0; i < check->address_count; i++) {
        enum suppression_sight sight =
            look(check->cache, check->account_id, check->addresses[i], &answer);
        check->found[i].reason = NULL;
        if (sight == SIGHT_ANSWER) {
            note_found(check, i, answer.suppressions, answer.count);
        } else if (sight == SIGHT_NOTHING && is_patient) {
            *out_is_missing = true;
        } else if (sight == SIGHT_NOTHING || sight == SIGHT_ALIKE) {
            check->asked[check->asked_count++] = i;
        }
    }
}

static void advance(struct suppression_check *check)
{
    struct suppression_cache *cache = check->cache;
    bool is_missing = false;
    find_asked(check, &is_missing);
    if (is_missing) {
        check->load_count++;
        list_append(&cache->waiting, &check->link);
        if (cache->loading.count == 0 && !cache->is_telling) {
            load(cache);
        }
    } else if (check->asked_count > 0) {
        ask(check);
    } else {
        conclude(check);
    }
}

static void on_posted(void *owner)
{
    advance(owner);
}

struct suppression_check *suppression_check_start(
    struct suppression_cache *cache, int64_t account_id, int64_t group_id,
    const char *const *addresses, size_t address_count,
    suppressions_found_fn *on_done, void *owner)
{
    struct suppression_check *check = memory_alloc(sizeof(*check));
    check->cache = cache;
    check->account_id = account_id;
    check->group_id = group_id;
    check->addresses = addresses;
    check->address_count = address_count;
    check->arena = arena_create();
    check->found =
        arena_alloc(check->arena, (address_count + 1) * sizeof(*check->found));
    check->asked =
        arena_alloc(check->arena, (address_count + 1) * sizeof(*check->asked));
    check->on_done = on_done;
    check->owner = owner;
    loop_post(cache->loop, on_posted, check);
    return check;
}

/* -- what changed -- */

static void poll(void *owner);

static void poll_later(struct suppression_cache *cache)
{
    timer_start(&cache->poll_timer, cache->loop,
                POLL_MILLISECONDS * clock_rate(), poll, cache);
}

static void forget(struct suppression_cache *cache)
{
    suppression_segments_forget_all(cache->segments);
    cache->heard_monotonic = 0;
    memory_free(cache->snapshot);
    cache->snapshot = NULL;
    cache->answered_at = 0;
}

static void take_change(struct suppression_cache *cache,
                        const struct suppression_change *change)
{
    if (change->account_id == 0) {
        suppression_segments_forget_all(cache->segments);
    } else if (change->is_of_account) {
        suppression_segments_forget_account(cache->segments,
                                            change->account_id);
    } else {
        suppression_segments_note(cache->segments, change->account_id,
                                  change->hash);
    }
}

/* Behind a connection that was lost there may be another PostgreSQL, which
 * lacks what the first one said last. */
static void on_changes(void *owner, enum database_result result,
                       const struct suppression_changes *changes)
{
    struct suppression_cache *cache = owner;
    cache->poll = NULL;
    if (result != DATABASE_DONE) {
        forget(cache);
    } else {
        if (!changes->is_complete) {
            forget(cache);
        }
        for (size_t i = 0; i < changes->count; i++) {
            take_change(cache, &changes->changes[i]);
        }
        memory_free(cache->snapshot);
        cache->snapshot = memory_copy_string(changes->snapshot);
        cache->answered_at = changes->answered_at;
        cache->heard_monotonic = cache->asked_monotonic;
    }
    metric_set(&relay_metrics[METRIC_SUPPRESSION_MEMORY],
               (int64_t)suppression_segments_bytes(cache->segments));
    poll_later(cache);
}

static void poll(void *owner)
{
    struct suppression_cache *cache = owner;
    if (!database_is_up(cache->database)) {
        forget(cache);
        poll_later(cache);
        return;
    }
    cache->asked_monotonic = clock_monotonic();
    cache->poll =
        suppression_changes_ask(cache->database, cache->snapshot,
                                cache->answered_at, on_changes, cache);
}

/* -- life -- */

struct suppression_cache *suppression_cache_create(struct loop *loop,
                                                   struct database *database,
                                                   size_t bytes_max)
{
    struct suppression_cache *cache = memory_alloc(sizeof(*cache));
    cache->loop = loop;
    cache->database = database;
    cache->segments = suppression_segments_create(bytes_max);
    timer_start(&cache->poll_timer, loop, 0, poll, cache);
    return cache;
}

void suppression_cache_free(struct suppression_cache **cache)
{
    if (*cache != NULL) {
        timer_stop(&(*cache)->poll_timer);
        loop_cancel_posts((*cache)->loop, *cache);
        query_cancel(&(*cache)->poll);
        query_cancel(&(*cache)->load);
        suppression_segments_free(&(*cache)->segments);
        memory_free((*cache)->snapshot);
        memory_free(*cache);
        *cache = NULL;
    }
}

/* -- for people -- */

const char *suppression_describe(const struct suppression *suppression,
                                 struct arena *arena)
{
    char at[CLOCK_TEXT_SIZE];
    clock_iso8601(suppression->created_at, at);
    at[sizeof("2026-11-02") - 1] = '\0';
    const char *group = suppression->group_name;
    const char *where = "";
    if (group != NULL) {
        where = group[0] != '\0' ? " in the group " : " without a group";
    }
    return arena_printf(
        arena, "%s is suppressed%s%s: %s on %s%s%s%s", suppression->address,
        where, group != NULL ? group : "", suppression->reason, at,
        suppression->evidence[0] != '\0' ? " (" : "", suppression->evidence,
        suppression->evidence[0] != '\0' ? ")" : "");
}
