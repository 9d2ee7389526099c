/* SPDX-License-Identifier: MIT */
/* Six connections, six batches, and whether PostgreSQL is there. */
#include "sql/database.h"

#include <string.h>

#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/settings.h"

struct line_plan {
    const char *purpose;
    bool listens;
    bool is_for_batches;
};

static const struct line_plan line_plans[CONNECTION_COUNT] = {
    [CONNECTION_STORE] = { "messages", false, true },
    [CONNECTION_STORE_LARGE] = { "large messages", false, true },
    [CONNECTION_RESULT] = { "results", false, true },
    [CONNECTION_QUERY] = { "queries", false, false },
    [CONNECTION_LISTEN] = { "listener", true, false },
    [CONNECTION_HIT] = { "hits", false, true },
};

struct batch_plan {
    const struct batch_kind *kind;
    enum database_connection connection;
};

static const struct batch_plan batch_plans[BATCH_COUNT] = {
    [BATCH_WITHDRAWALS] = { &withdrawal_batch_kind, CONNECTION_STORE },
    [BATCH_MESSAGES] = { &message_batch_kind, CONNECTION_STORE },
    [BATCH_LARGE_MESSAGES] = { &large_message_batch_kind,
                               CONNECTION_STORE_LARGE },
    [BATCH_RESULTS] = { &result_batch_kind, CONNECTION_RESULT },
    [BATCH_EVENTS] = { &event_batch_kind, CONNECTION_RESULT },
    [BATCH_HITS] = { &hit_batch_kind, CONNECTION_HIT },
    [BATCH_INBOUND] = { &inbound_batch_kind, CONNECTION_RESULT },
};

static bool is_ready(const struct database *database,
                     enum database_connection which)
{
    const struct connection *connection = database->lines[which].connection;
    return connection != NULL && connection_is_ready(connection);
}

/* Up when messages, results and queries can go; down when none of them can. */
static void update_up(struct database *database)
{
    size_t ready = 0;
    for (int i = 0; i < CONNECTION_LISTEN; i++) {
        ready += is_ready(database, (enum database_connection)i) ? 1 : 0;
    }
    if (!database->is_up && ready == CONNECTION_LISTEN) {
        database->is_up = true;
        database->handler->on_up(database->owner);
    } else if (database->is_up && ready == 0) {
        database->is_up = false;
        database->handler->on_down(database->owner, &database->error);
    }
}

static void start_batches(struct database *database, const void *line)
{
    for (int i = 0; i < BATCH_COUNT; i++) {
        struct database_line *own = &database->lines[batch_plans[i].connection];
        if (own == line) {
            batch_start(database->batches[i], own->connection);
        }
    }
}

static void on_ready(void *owner)
{
    struct database_line *line = owner;
    struct database *database = line->database;
    start_batches(database, line);
    if (line == &database->lines[CONNECTION_LISTEN]) {
        /* Whatever changed while nobody listened. */
        database->handler->on_directory_changed(database->owner);
    } else {
        update_up(database);
    }
}

static void on_lost(void *owner, const struct error *error)
{
    struct database_line *line = owner;
    struct database *database = line->database;
    database->error = *error;
    for (int i = 0; i < BATCH_COUNT; i++) {
        if (&database->lines[batch_plans[i].connection] == line) {
            batch_stop(database->batches[i]);
        }
    }
    update_up(database);
}

static void on_notify(void *owner, const char *channel, struct text payload)
{
    struct database_line *line = owner;
    struct database *database = line->database;
    if (strcmp(channel, "baton_directory") == 0) {
        database->handler->on_directory_changed(database->owner);
    } else if (strcmp(channel, "baton_queue") == 0) {
        database->handler->on_queue_command(database->owner, payload);
    }
}

static const struct connection_handler line_handler = {
    .on_ready = on_ready,
    .on_lost = on_lost,
    .on_notify = on_notify,
};

struct database *database_create(struct loop *loop,
                                 const struct database_handler *handler,
                                 void *owner)
{
    const struct sql_settings_values *settings = sql_settings_now();
    struct database *database = memory_alloc(sizeof(*database));
    char *url = connection_resolve(settings->url);
    database->loop = loop;
    database->handler = handler;
    database->owner = owner;
    for (int i = 0; i < BATCH_COUNT; i++) {
        database->batches[i] =
            batch_create(database, loop, batch_plans[i].kind);
    }
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        struct connection_options options = {
            .url = url,
            .purpose = line_plans[i].purpose,
            .timeout_milliseconds = line_plans[i].is_for_batches
                                        ? settings->commit_timeout
                                        : settings->query_timeout,
            .listens = line_plans[i].listens,
            .joins_arrays =
                i == CONNECTION_STORE || i == CONNECTION_STORE_LARGE,
        };
        database->lines[i].database = database;
        database->lines[i].connection = connection_create(
            loop, &options, &line_handler, &database->lines[i]);
    }
    memory_free(url);
    return database;
}

static void free_database(void *object)
{
    memory_free(object);
}

void database_free(struct database **database)
{
    struct database *doomed = *database;
    if (doomed == NULL) {
        return;
    }
    *database = NULL;
    doomed->is_closed = true;
    /* Withdrawals last: other batches may hold rows that point to theirs. */
    for (int i = BATCH_COUNT - 1; i >= 0; i--) {
        batch_free(&doomed->batches[i]);
    }
    queries_free(doomed);
    questions_free(doomed);
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        connection_free(&doomed->lines[i].connection);
    }
    loop_cancel_posts(doomed->loop, doomed);
    loop_dispose(doomed->loop, free_database, doomed);
}

bool database_is_up(const struct database *database)
{
    return database->is_up;
}

size_t database_pending_count(const struct database *database)
{
    size_t count = 0;
    for (int i = 0; i < BATCH_COUNT; i++) {
        count += batch_pending_count(database->batches[i]);
    }
    return count;
}

static void tell_flushed(void *owner)
{
    struct database *database = owner;
    loop_fn *on_flushed = database->on_flushed;
    if (on_flushed != NULL && database_pending_count(database) == 0) {
        database->on_flushed = NULL;
        on_flushed(database->flush_owner);
    }
}

void database_rows_done(struct database *database)
{
    if (database->on_flushed != NULL && database_pending_count(database) == 0) {
        loop_post(database->loop, tell_flushed, database);
    }
}

void database_flush(struct database *database, loop_fn *on_flushed, void *owner)
{
    database->on_flushed = on_flushed;
    database->flush_owner = owner;
    database_rows_done(database);
}
