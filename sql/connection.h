/* SPDX-License-Identifier: MIT */
/*
 * One asynchronous connection to PostgreSQL in pipeline mode, on the loop. It
 * connects and reconnects by itself and prepares every statement each time.
 * A request is one or more statements and a Sync: one transaction with one
 * outcome. Owned by the database (database.c); private to sql/.
 */
#ifndef BATON_SQL_CONNECTION_H
#define BATON_SQL_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/loop.h"
#include "core/text.h"
#include "sql/database.h"
#include "sql/parameters.h"
#include "sql/rows.h"
#include "sql/statement_table.h"

struct connection;
struct request;

struct connection_handler {
    void (*on_ready)(void *owner);
    /* After every request was called back. Also when connecting failed. */
    void (*on_lost)(void *owner, const struct error *error);
    void (*on_notify)(void *owner, const char *channel, struct text payload);
};

struct connection_options {
    const char *url;
    const char *purpose; /* shown in pg_stat_activity and in logs */
    int64_t timeout_milliseconds; /* of each request, and of each statement */
    bool listens;
    /* Statements join what they are given with itself, not with tables: hash
     * joins are good there and bad everywhere else. */
    bool joins_arrays;
};

/* What became of a request. */
struct request_outcome {
    /* DONE: the Sync was answered. FAILED: refused for its data. UNAVAILABLE:
     * the connection was lost or PostgreSQL cannot do it just now. */
    enum database_result result;
    /* UNAVAILABLE: it may have been committed nevertheless. */
    bool is_in_doubt;
    size_t failed_statement; /* counted from 0, of FAILED and UNAVAILABLE */
    struct error error;
};

struct request_handler {
    /* Send one statement with request_send and return true; false: that was
     * all. Called again when the socket has taken what was sent. */
    bool (*send_next)(void *owner, struct request *request);
    /* The rows of a statement that gives any; NULL: not wanted. They are of no
     * worth until on_done says DONE. True: kept, for rows_free. */
    bool (*on_rows)(void *owner, struct rows *rows);
    void (*on_done)(void *owner, const struct request_outcome *outcome);
};

struct connection *connection_create(struct loop *loop,
                                     const struct connection_options *options,
                                     const struct connection_handler *handler,
                                     void *owner);
/* Requests on their way are not called back. */
void connection_free(struct connection **connection);
bool connection_is_ready(const struct connection *connection);

/* For tests: break the connection and stay away until told otherwise, as if the
 * network were cut. */
void connection_break(struct connection *connection, bool is_broken);

/* Begin a request; the connection must be ready. It is gone after on_done. */
struct request *connection_submit(struct connection *connection,
                                  const struct request_handler *handler,
                                  void *owner);
/* No callback will come; the statements may still run. */
void request_cancel(struct request **request);
void request_send(struct request *request, enum statement statement,
                  const struct parameters *parameters);

/* Resolve the host names in a URL or "key=value" string, once and blocking, so
 * that connecting never waits for DNS. The caller frees the result. */
char *connection_resolve(const char *url);

#endif
