/* SPDX-License-Identifier: MIT */
/* What the modules of sql/ share of a database. */
#ifndef BATON_SQL_DATABASE_INTERNAL_H
#define BATON_SQL_DATABASE_INTERNAL_H

#include "core/list.h"
#include "core/loop.h"
#include "sql/batch_internal.h"
#include "sql/connection.h"
#include "sql/database.h"

enum database_connection {
    CONNECTION_STORE,
    CONNECTION_STORE_LARGE,
    CONNECTION_RESULT,
    CONNECTION_QUERY,
    CONNECTION_LISTEN,
    CONNECTION_HIT, /* behind those that database_is_up asks for */
    CONNECTION_COUNT
};

enum database_batch {
    BATCH_WITHDRAWALS, /* before the messages that may follow */
    BATCH_MESSAGES,
    BATCH_LARGE_MESSAGES,
    BATCH_RESULTS,
    BATCH_EVENTS,
    BATCH_HITS,
    BATCH_INBOUND,
    BATCH_COUNT
};

/* The last part of a counter's shard: two connections never write one row. */
enum counter_lane {
    LANE_MESSAGES,
    LANE_LARGE_MESSAGES,
    LANE_RESULTS,
    LANE_EVENTS, /* stands in baton.take_report, too */
    LANE_HITS, /* stands in hit_insert.sql */
    LANE_QUERIES, /* stands in the statements of queries */
};

/* One of the connections with its place in its database. */
struct database_line {
    struct database *database;
    struct connection *connection;
};

struct database {
    struct loop *loop;
    const struct database_handler *handler;
    void *owner;
    struct database_line lines[CONNECTION_COUNT];
    struct batch *batches[BATCH_COUNT];
    struct list queries; /* query.c: not answered yet */
    bool is_up;
    bool is_closed;
    struct error error;
    loop_fn *on_flushed;
    void *flush_owner;
    struct list claims; /* queue.c, with what follows */
    struct list questions;
    int64_t claim_number;
    bool has_lost_claim;
};

/* A batch has no rows any more. */
void database_rows_done(struct database *database);

extern const struct batch_kind message_batch_kind;
extern const struct batch_kind large_message_batch_kind;
extern const struct batch_kind withdrawal_batch_kind;
extern const struct batch_kind result_batch_kind;
extern const struct batch_kind event_batch_kind;
extern const struct batch_kind hit_batch_kind;
extern const struct batch_kind inbound_batch_kind;

/* query.c and queue.c: at the end of a database. */
void queries_free(struct database *database);
void questions_free(struct database *database);

#endif
