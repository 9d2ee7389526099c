/* SPDX-License-Identifier: MIT */
/*
 * One statement on a worker's connection for queries, in its own transaction.
 */
#ifndef BATON_SQL_QUERY_H
#define BATON_SQL_QUERY_H

#include "core/error.h"
#include "sql/database.h"
#include "sql/parameters.h"
#include "sql/rows.h"
#include "sql/statement_table.h"

struct query;

/* rows is NULL unless result is DATABASE_DONE. Runs from the loop, once, unless
 * cancelled. After a lost connection (DATABASE_UNAVAILABLE) it is not known
 * whether a statement that writes was done. */
typedef void query_done_fn(void *owner, enum database_result result,
                           const struct rows *rows, const struct error *error);

/* Run it; the parameters are copied before this returns. NULL: none. */
struct query *query_run(struct database *database, enum statement statement,
                        const struct parameters *parameters,
                        query_done_fn *on_done, void *owner);
/* Memory that lives as long as the query: freed when on_done has run, or when
 * it is cancelled. */
void query_keep(struct query *query, void *memory);
/* on_done will not run; the statement may. NULL is accepted. */
void query_cancel(struct query **query);

#endif
