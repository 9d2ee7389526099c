/* SPDX-License-Identifier: MIT */
#include "sql/groups.h"

#include "core/memory.h"

struct group_search {
    group_found_fn *on_found;
    void *owner;
};

static void on_group(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    const struct group_search *search = owner;
    (void)error;
    search->on_found(search->owner, result,
                     result == DATABASE_DONE ? rows_int64(rows, 0, "group_id")
                                             : 0);
}

struct query *group_find_or_make(struct database *database, int64_t account_id,
                                 const char *name, int group_limit,
                                 group_found_fn *on_found, void *owner)
{
    struct parameters parameters = { 0 };
    struct group_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_text(&parameters, name);
    parameter_int64(&parameters, group_limit);
    struct query *query = query_run(database, STATEMENT_GROUP_FIND_OR_MAKE,
                                    &parameters, on_group, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}
