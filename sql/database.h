/* SPDX-License-Identifier: MIT */
/*
 * A worker's connections to PostgreSQL: one for storing messages, one for those
 * that are large, one for results (pipelined, each with its batches), one for
 * queries, one that listens, one for hits. They reconnect by themselves, with
 * back-off 50 ms to 1 s; every statement is prepared at connect. Made after
 * fork.
 */
#ifndef BATON_SQL_DATABASE_H
#define BATON_SQL_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/text.h"

struct database;

struct database_handler {
    /* Messages, results and queries can all go / none of them can any more.
     * Called from the loop. */
    void (*on_up)(void *owner);
    void (*on_down)(void *owner, const struct error *error);
    /* NOTIFY on channel baton_directory (accounts, credentials, networks,
     * routes … changed), also after the listening connection came back. */
    void (*on_directory_changed)(void *owner);
    /* NOTIFY on channel baton_queue: an operator's command, its payload, like
     * "cancel message 123" (queue.h). */
    void (*on_queue_command)(void *owner, struct text command);
};

struct database *database_create(struct loop *loop,
                                 const struct database_handler *handler,
                                 void *owner);
/* Requests on their way are not reported. */
void database_free(struct database **database);
bool database_is_up(const struct database *database);
/* Rows waiting or on their way in all batches. */
size_t database_pending_count(const struct database *database);
/* Calls on_flushed once, when database_pending_count is 0. */
void database_flush(struct database *database, loop_fn *on_flushed,
                    void *owner);

/* What became of a request. */
enum database_result {
    DATABASE_DONE, /* committed: the Sync was answered */
    DATABASE_FAILED, /* refused for what it is; sending it again is no use */
    DATABASE_UNAVAILABLE, /* no connection; nothing is known to have happened */
    DATABASE_WITHDRAWN, /* the caller withdrew it; nothing of it remains */
};

/* [database] url, allow_unsafe_durability, … */
extern const struct setting sql_settings[];
extern const size_t sql_setting_count;
const char *database_url(void);
size_t database_batch_rows(void); /* most results in one transaction */
void sql_metrics_register(void);

#endif
