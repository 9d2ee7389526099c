/* SPDX-License-Identifier: MIT */
/* How a kind of row becomes statements; private to sql/. */
#ifndef BATON_SQL_BATCH_INTERNAL_H
#define BATON_SQL_BATCH_INTERNAL_H

#include "core/loop.h"
#include "sql/batch.h"
#include "sql/connection.h"

/* One of the statements that a batch consists of. */
struct batch_statement {
    enum statement statement;
    /* The same for rows that may be there already: an ON CONFLICT makes every
     * insert twice as dear, and nearly no row is sent again. */
    enum statement again;
    /* Append a row's part to the columns. Called with position 0, 1 … until it
     * returns true: nothing is left of this row. Parts that are together larger
     * than a slice go into several statements. A call may append nothing. NULL:
     * the statement has no parameters and goes once, behind those before it. */
    bool (*append)(struct parameters *parameters, const void *values,
                   size_t position);
    /* Behind the columns come the lowest and the highest column_id as two more
     * parameters, so that PostgreSQL opens only the partitions it needs. */
    bool has_id_bounds;
};

struct batch_kind {
    const char *name;
    const struct batch_statement *statements;
    size_t statement_count;
    /* Undo a row that is or may be committed: make a row for another batch
     * that lives by itself. on_undone (may be NULL) runs when nothing of the
     * row remains. NULL: rows of this kind need no undoing. */
    void (*undo)(struct database *database, const void *values,
                 batch_done_fn *on_undone, void *owner);
    /* Rows that could not be stored within [database] commit_timeout are
     * reported DATABASE_UNAVAILABLE; else they are kept until they are. */
    bool has_deadline;
    /* Bytes of rows that may wait; beyond it the answer is
     * DATABASE_UNAVAILABLE. 0: the callers bound it. */
    size_t bytes_limit;
    /* Nobody waits for these rows: so long the first of them waits for others
     * that share its commit. 0: not at all. */
    int gather_milliseconds;
    /* Free a row that the batch itself owns, when the batch goes; or NULL. */
    void (*free_row)(struct batch_row *row);
};

/* Owned by the database. */
struct batch *batch_create(struct database *database, struct loop *loop,
                           const struct batch_kind *kind);
void batch_free(struct batch **batch);
/* The connection its rows travel on stands, until batch_stop. */
void batch_start(struct batch *batch, struct connection *connection);
void batch_stop(struct batch *batch);
void batch_add(struct batch *batch, struct batch_row *row, const void *values,
               size_t size_bytes, batch_done_fn *on_done, void *owner);
size_t batch_pending_count(const struct batch *batch);
/* Some rows may have been committed without our knowing. */
bool batch_has_doubt(const struct batch *batch);

#endif
