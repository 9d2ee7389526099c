/* SPDX-License-Identifier: MIT */
#include "sql/query.h"

#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/sql_metrics.h"

/* Owned by its database, in `queries` until it is answered. */
struct query {
    struct list_link link;
    struct database *database;
    enum statement statement;
    struct parameters parameters;
    bool is_sent;
    struct request *request;
    query_done_fn *on_done;
    void *owner;
    struct rows *rows;
    void *kept;
};

static void free_query(struct query *query)
{
    list_remove(&query->link);
    loop_cancel_posts(query->database->loop, query);
    parameters_free(&query->parameters);
    rows_free(&query->rows);
    memory_free(query->kept);
    memory_free(query);
}

static bool send_query(void *owner, struct request *request)
{
    struct query *query = owner;
    if (query->is_sent) {
        return false;
    }
    query->is_sent = true;
    request_send(request, query->statement, &query->parameters);
    return true;
}

/* Kept until the Sync: before that it may still be undone. */
static bool on_rows(void *owner, struct rows *rows)
{
    struct query *query = owner;
    query->rows = rows;
    return true;
}

static void finish(struct query *query, enum database_result result,
                   const struct error *error)
{
    query_done_fn *on_done = query->on_done;
    void *owner = query->owner;
    struct rows *rows = query->rows;
    void *kept = query->kept;
    query->rows = NULL;
    query->kept = NULL;
    free_query(query);
    if (result != DATABASE_DONE) {
        metric_add(&sql_metrics[METRIC_QUERIES_FAILED], 1);
    }
    on_done(owner, result, result == DATABASE_DONE ? rows : NULL, error);
    rows_free(&rows);
    memory_free(kept);
}

static void on_outcome(void *owner, const struct request_outcome *outcome)
{
    struct query *query = owner;
    query->request = NULL;
    /* To the caller a statement that cannot be run is one that failed, unless
     * another try may help. */
    finish(query, outcome->result,
           outcome->result == DATABASE_DONE ? NULL : &outcome->error);
}

static void fail_query(void *owner)
{
    static const struct error error = { "there is no connection to "
                                        "PostgreSQL" };
    finish(owner, DATABASE_UNAVAILABLE, &error);
}

static const struct request_handler query_handler = {
    .send_next = send_query,
    .on_rows = on_rows,
    .on_done = on_outcome,
};

static void copy_parameters(struct parameters *to,
                            const struct parameters *from)
{
    *to = *from;
    for (size_t i = 0; i < PARAMETERS_MAX; i++) {
        to->values[i].bytes = (struct buffer){ 0 };
    }
    for (size_t i = 0; i < from->count; i++) {
        buffer_reserve(&to->values[i].bytes, 1);
        buffer_append_text(&to->values[i].bytes,
                           buffer_text(&from->values[i].bytes));
    }
}

struct query *query_run(struct database *database, enum statement statement,
                        const struct parameters *parameters,
                        query_done_fn *on_done, void *owner)
{
    struct connection *connection =
        database->lines[CONNECTION_QUERY].connection;
    struct query *query = memory_alloc(sizeof(*query));
    query->database = database;
    query->statement = statement;
    query->on_done = on_done;
    query->owner = owner;
    list_append(&database->queries, &query->link);
    if (parameters != NULL) {
        copy_parameters(&query->parameters, parameters);
    }
    if (connection_is_ready(connection)) {
        query->request = connection_submit(connection, &query_handler, query);
    } else {
        loop_post(database->loop, fail_query, query);
    }
    return query;
}

void query_keep(struct query *query, void *memory)
{
    query->kept = memory;
}

void query_cancel(struct query **query)
{
    if (*query != NULL) {
        request_cancel(&(*query)->request);
        free_query(*query);
        *query = NULL;
    }
}

void queries_free(struct database *database)
{
    while (database->queries.first != NULL) {
        struct query *query =
            LIST_ITEM(database->queries.first, struct query, link);
        query_cancel(&query);
    }
}
