/* SPDX-License-Identifier: MIT */
#include "sql/suppressions.h"

#include "core/arena.h"
#include "core/log.h"
#include "core/memory.h"

/* -- finding -- */

struct suppression_search {
    suppressions_found_fn *on_found;
    void *owner;
};

/* SQL counts from 1. */
static size_t read_place(const struct rows *rows, size_t row)
{
    return (size_t)(rows_int64(rows, row, "place") - 1);
}

static struct suppression *read_suppressions(const struct rows *rows,
                                             struct arena *arena)
{
    size_t count = rows_count(rows);
    struct suppression *found =
        arena_alloc(arena, (count + 1) * sizeof(*found));
    for (size_t i = 0; i < count; i++) {
        found[i] = (struct suppression){
            .place = read_place(rows, i),
            .address = rows_copy(rows, i, "address", arena),
            .reason = rows_copy(rows, i, "reason", arena),
            .evidence = rows_copy(rows, i, "evidence", arena),
            .created_at = rows_instant(rows, i, "created_at"),
            .group_name = rows_copy(rows, i, "group_name", arena),
        };
    }
    return found;
}

static void on_suppressions(void *owner, enum database_result result,
                            const struct rows *rows, const struct error *error)
{
    const struct suppression_search *search = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        search->on_found(search->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    search->on_found(search->owner, result, read_suppressions(rows, arena),
                     rows_count(rows));
    arena_free(&arena);
}

struct query *suppressions_find(struct database *database, int64_t account_id,
                                int64_t group_id, const char *const *addresses,
                                size_t address_count,
                                suppressions_found_fn *on_found, void *owner)
{
    struct parameters parameters = { 0 };
    struct suppression_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_int64(&parameters, group_id);
    parameter_texts(&parameters, addresses, address_count);
    struct query *query = query_run(database, STATEMENT_SUPPRESSION_FIND,
                                    &parameters, on_suppressions, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- objections -- */

struct objection_search {
    untracked_found_fn *on_found;
    void *owner;
};

static void on_untracked(void *owner, enum database_result result,
                         const struct rows *rows, const struct error *error)
{
    const struct objection_search *search = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        search->on_found(search->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    size_t count = rows_count(rows);
    size_t *places = arena_alloc(arena, (count + 1) * sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        places[i] = read_place(rows, i);
    }
    search->on_found(search->owner, result, places, count);
    arena_free(&arena);
}

struct query *untracked_find(struct database *database, int64_t account_id,
                             const char *const *addresses, size_t address_count,
                             untracked_found_fn *on_found, void *owner)
{
    struct parameters parameters = { 0 };
    struct objection_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_texts(&parameters, addresses, address_count);
    struct query *query = query_run(database, STATEMENT_UNTRACKED_FIND,
                                    &parameters, on_untracked, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- a recipient's wish -- */

struct subscription_wish {
    subscription_changed_fn *on_changed;
    void *owner;
};

static void on_subscription(void *owner, enum database_result result,
                            const struct rows *rows, const struct error *error)
{
    const struct subscription_wish *wish = owner;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "an unsubscribe or its end could not be stored",
                  "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    wish->on_changed(wish->owner, result,
                     result == DATABASE_DONE &&
                         rows_boolean(rows, 0, "was_changed"));
}

static struct query *change_subscription(
    struct database *database, enum statement statement,
    const struct subscription_change *change,
    subscription_changed_fn *on_changed, void *owner)
{
    struct parameters parameters = { 0 };
    struct subscription_wish *wish = memory_alloc(sizeof(*wish));
    wish->on_changed = on_changed;
    wish->owner = owner;
    parameter_int64(&parameters, change->account_id);
    parameter_int64(&parameters, change->group_id);
    parameter_int64(&parameters, change->delivery_id);
    parameter_int64(&parameters, change->event_id);
    parameter_instant(&parameters, change->occurred_at);
    parameter_text(&parameters, change->address);
    parameter_text(&parameters, change->how);
    parameter_text(&parameters, change->client_address);
    parameter_text(&parameters, change->user_agent);
    struct query *query =
        query_run(database, statement, &parameters, on_subscription, wish);
    query_keep(query, wish);
    parameters_free(&parameters);
    return query;
}

struct query *subscription_end(struct database *database,
                               const struct subscription_change *change,
                               subscription_changed_fn *on_changed, void *owner)
{
    return change_subscription(database, STATEMENT_SUBSCRIPTION_END, change,
                               on_changed, owner);
}

struct query *subscription_resume(struct database *database,
                                  const struct subscription_change *change,
                                  subscription_changed_fn *on_changed,
                                  void *owner)
{
    return change_subscription(database, STATEMENT_SUBSCRIPTION_RESUME, change,
                               on_changed, owner);
}
