/* SPDX-License-Identifier: MIT */
#include "sql/domains.h"

#include "core/memory.h"

struct claim {
    domains_claimed_fn *on_claimed;
    void *owner;
};

static void on_rows(void *owner, enum database_result result,
                    const struct rows *rows, const struct error *error)
{
    const struct claim *claim = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        claim->on_claimed(claim->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    size_t count = rows_count(rows);
    struct claimed_domain_row *found =
        arena_alloc(arena, (count + 1) * sizeof(*found));
    for (size_t i = 0; i < count; i++) {
        found[i] = (struct claimed_domain_row){
            .account_id = rows_int64(rows, i, "account_id"),
            .name = rows_copy(rows, i, "name", arena),
            .return_host = rows_copy(rows, i, "return_host", arena),
            .link_host = rows_copy(rows, i, "link_host", arena),
            .dkim_is_right = rows_boolean(rows, i, "dkim_is_right"),
            .return_is_right = rows_boolean(rows, i, "return_is_right"),
            .link_is_right = rows_boolean(rows, i, "link_is_right"),
            .selector = rows_copy(rows, i, "selector", arena),
            .state = rows_copy(rows, i, "state", arena),
            .record = rows_copy(rows, i, "record", arena),
        };
    }
    claim->on_claimed(claim->owner, result, found, count);
    arena_free(&arena);
}

struct query *domains_claim(struct database *database, int64_t now,
                            int64_t limit, domains_claimed_fn *on_claimed,
                            void *owner)
{
    struct parameters parameters = { 0 };
    struct claim *claim = memory_alloc(sizeof(*claim));
    claim->on_claimed = on_claimed;
    claim->owner = owner;
    parameter_instant(&parameters, now);
    parameter_int64(&parameters, limit);
    struct query *query = query_run(database, STATEMENT_DOMAIN_CLAIM,
                                    &parameters, on_rows, claim);
    query_keep(query, claim);
    parameters_free(&parameters);
    return query;
}

struct store {
    domain_stored_fn *on_stored;
    void *owner;
};

static void on_store(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    const struct store *store = owner;
    (void)error;
    store->on_stored(store->owner, result,
                     result == DATABASE_DONE && rows_count(rows) > 0 &&
                         rows_boolean(rows, 0, "has_broken"));
}

struct query *domain_store(struct database *database,
                           const struct domain_result *domain,
                           domain_stored_fn *on_stored, void *owner)
{
    struct parameters parameters = { 0 };
    struct store *store = memory_alloc(sizeof(*store));
    store->on_stored = on_stored;
    store->owner = owner;
    parameter_int64(&parameters, domain->account_id);
    parameter_text(&parameters, domain->name);
    parameter_instant(&parameters, domain->checked_at);
    parameter_boolean(&parameters, domain->dkim_is_right);
    parameter_boolean(&parameters, domain->return_is_right);
    parameter_boolean(&parameters, domain->link_is_right);
    parameter_text(&parameters, domain->findings);
    parameter_texts(&parameters, domain->next_selectors, domain->next_count);
    struct query *query = query_run(database, STATEMENT_DOMAIN_STORE,
                                    &parameters, on_store, store);
    query_keep(query, store);
    parameters_free(&parameters);
    return query;
}
