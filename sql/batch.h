/* SPDX-License-Identifier: MIT */
/*
 * Many callers' rows in one transaction. While a transaction is on its way,
 * rows collect; when a place is free (at most two on their way) all of them go
 * as one set of array parameters through prepared statements in pipeline mode,
 * and the answer to that Sync answers all. No timer: the busier the system, the
 * larger the batch, capped in rows and bytes.
 *
 * A batch whose Sync got no answer is sent again after reconnecting; its
 * statements are written so that twice is once (ids are made by the worker, ON
 * CONFLICT DO NOTHING). A batch that PostgreSQL refused is sent again row by
 * row, so that one poisonous row harms nobody else.
 *
 * Memory of a row is borrowed until its callback. Every row is called back
 * exactly once, from the loop.
 */
#ifndef BATON_SQL_BATCH_H
#define BATON_SQL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/list.h"
#include "sql/database.h"

struct batch;
struct batch_row;

typedef void batch_done_fn(void *owner, enum database_result result,
                           const struct error *error);

/* Lies in the caller's struct; zero-initialise. */
struct batch_row {
    struct list_link link;
    struct batch *batch;
    const void *borrowed_values; /* what the batch's kind makes columns of */
    size_t size_bytes;
    batch_done_fn *on_done;
    void *owner;
    bool is_withdrawn;
    /* The batch's own: */
    bool is_in_flight;
    bool is_in_doubt; /* may have been committed, the answer was lost */
    bool is_alone; /* its batch was refused: it goes by itself */
    int64_t deadline_monotonic; /* 0: none */
};

/* Withdraw a row: if it has not been sent it never will be; if it has, it is
 * undone after its commit (kinds that can: see their headers). Either way
 * on_done runs later, with DATABASE_WITHDRAWN, and the memory stays borrowed
 * until then. */
void batch_withdraw(struct batch_row *row);

#endif
