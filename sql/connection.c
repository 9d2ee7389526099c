/* SPDX-License-Identifier: MIT */
/*
 *   down ──timer──> connecting ──> starting ──> ready
 *     ^                 │    (session settings,   │
 *     └─────────────────┴──── every statement) ───┘  lost
 *
 * Requests wait in `waiting`, move to `sent` when their first statement goes
 * out, and leave it when their Sync is answered. One request is being sent at a
 * time: the next slice goes out when the socket has taken the one before, so
 * neither libpq's buffer nor the time in one call grows with the batch.
 *
 * A session that was lost may live on in PostgreSQL and work off late what was
 * sent to it, when the caller has done something else already. So the first
 * thing that a new one does is to end it.
 */
#include "sql/connection.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/encoding.h"
#include "core/list.h"
#include "core/log.h"
#include "core/memory.h"
#include "sql/settings.h"
#include "sql/sql_metrics.h"

#define CONNECT_TIMEOUT_MILLISECONDS 10000
#define BACKOFF_FIRST_MILLISECONDS 50
#define BACKOFF_LAST_MILLISECONDS 1000
#define SLICES_PER_TURN 8

enum connection_state {
    STATE_DOWN,
    STATE_CONNECTING,
    STATE_STARTING,
    STATE_READY
};

struct request {
    struct list_link link;
    struct connection *connection;
    const struct request_handler *handler; /* NULL: cancelled */
    void *owner;
    int64_t deadline_monotonic;
    size_t statement_count; /* sent */
    size_t answered_count;
    bool is_synced; /* its Sync was given to libpq */
    bool has_failed;
    bool is_for_data; /* what failed is the data's fault */
    struct request_outcome outcome;
};

/* A session on the server's side. */
struct session {
    int64_t process_id; /* 0: none */
    char since[64];
};

struct connection {
    struct loop *loop;
    const struct connection_handler *handler;
    void *owner;
    char *url;
    const char *purpose;
    int64_t timeout_milliseconds;
    bool listens;
    bool joins_arrays;
    enum connection_state state;
    PGconn *link;
    struct watch on_readable;
    struct watch on_writable;
    struct timer timer; /* back-off, connecting */
    struct timer deadline_timer;
    int64_t backoff_milliseconds;
    struct list waiting;
    struct list sent;
    bool is_losing;
    bool is_closed;
    bool is_broken; /* by connection_break */
    bool is_unsafe; /* durability is off and not allowed */
    bool is_alone; /* our last session is over */
    struct session own; /* PostgreSQL's name for the one that we have */
    struct session last; /* for one that was lost and may not know it */
    bool was_refusal_logged;
    struct error error;
    struct log_context log;
};

/* Timers follow the clock, which tests run faster; PostgreSQL does not. */
static int64_t world_milliseconds(int64_t milliseconds)
{
    return milliseconds * clock_rate();
}

static void start_connecting(void *owner);
static void pump(struct connection *connection);

/* -- errors -- */

static void set_message(struct error *error, const char *message)
{
    struct text rest = text_of(message);
    while (rest.length > 0 && rest.data[rest.length - 1] == '\n') {
        rest.length--;
    }
    error_set(error, "%.*s", TEXT_ARGUMENTS(rest));
    for (char *c = error->text; *c != '\0'; c++) {
        if (*c == '\n') {
            *c = ' ';
        }
    }
}

/* Whether sending the same data again cannot help: class 22 data exception, 23
 * integrity violation (but a missing partition is a check violation without a
 * constraint, and not the row's fault), 54 program limit exceeded. */
static bool is_fault_of_data(const PGresult *result)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (code == NULL) {
        return false;
    }
    if (strcmp(code, "23514") == 0) {
        return PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) != NULL;
    }
    return strncmp(code, "22", 2) == 0 || strncmp(code, "23", 2) == 0 ||
           strncmp(code, "54", 2) == 0;
}

static void ignore_notice(void *owner, const PGresult *result)
{
    (void)owner;
    (void)result;
}

/* -- the end of a connection -- */

static void drop_link(struct connection *connection)
{
    watch_stop(&connection->on_readable);
    watch_stop(&connection->on_writable);
    if (connection->link != NULL) {
        PQfinish(connection->link);
        connection->link = NULL;
    }
}

static void finish_request(struct request *request)
{
    list_remove(&request->link);
    if (request->handler != NULL) {
        request->handler->on_done(request->owner, &request->outcome);
    }
    memory_free(request);
}

static void move_requests(struct list *from, struct list *to)
{
    struct list_link *link;
    while ((link = list_take_first(from)) != NULL) {
        list_append(to, link);
    }
}

static void fail_requests(struct connection *connection, struct list *requests)
{
    struct request *request;
    while (!connection->is_closed &&
           (request = LIST_ITEM(requests->first, struct request, link)) !=
               NULL) {
        request->outcome.result = DATABASE_UNAVAILABLE;
        request->outcome.is_in_doubt = request->is_synced;
        request->outcome.error = connection->error;
        finish_request(request);
    }
    move_requests(requests, &connection->waiting); /* closed meanwhile */
}

static int64_t next_backoff(struct connection *connection)
{
    int64_t wait = connection->backoff_milliseconds;
    uint8_t jitter;
    random_bytes(&jitter, sizeof(jitter));
    connection->backoff_milliseconds = wait * 2 < BACKOFF_LAST_MILLISECONDS
                                           ? wait * 2
                                           : BACKOFF_LAST_MILLISECONDS;
    return wait / 2 + wait * jitter / 256;
}

static void enter_state(struct connection *connection,
                        enum connection_state state)
{
    static const char *const names[] = { "down", "connecting", "starting",
                                         "ready" };
    log_debug(&connection->log, "state", "from=%s to=%s",
              names[connection->state], names[state]);
    connection->state = state;
}

static void on_loss(void *owner)
{
    struct connection *connection = owner;
    bool was_ready = connection->state == STATE_READY;
    drop_link(connection);
    if (was_ready) {
        connection->last = connection->own;
    }
    timer_stop(&connection->timer);
    timer_stop(&connection->deadline_timer);
    enter_state(connection, STATE_DOWN);
    connection->is_losing = false;
    if (was_ready) {
        metric_add(&sql_metrics[METRIC_CONNECTION_LOST], 1);
    }
    struct list doomed = { 0 };
    move_requests(&connection->sent, &doomed);
    move_requests(&connection->waiting, &doomed);
    fail_requests(connection, &doomed);
    if (connection->is_closed) {
        return;
    }
    timer_start(&connection->timer, connection->loop,
                world_milliseconds(next_backoff(connection)), start_connecting,
                connection);
    connection->handler->on_lost(connection->owner, &connection->error);
}

/* The rest follows from the loop, so that nobody is called back from inside
 * the call that failed. */
static void lose(struct connection *connection, const char *message)
{
    if (connection->is_losing || connection->is_closed) {
        return;
    }
    connection->is_losing = true;
    set_message(&connection->error, message);
    log_debug(&connection->log, "connection lost", "reason=\"%s\"",
              log_quote(text_of(connection->error.text)));
    loop_post(connection->loop, on_loss, connection);
}

static void lose_link(struct connection *connection)
{
    lose(connection, PQerrorMessage(connection->link));
}

/* A link without memory or socket is lost like any other. */
static void watch_link(struct connection *connection, enum watch_for direction,
                       void (*callback)(void *owner))
{
    int descriptor = PQsocket(connection->link);
    if (descriptor < 0) {
        lose_link(connection);
        return;
    }
    watch_start(direction == WATCH_READ ? &connection->on_readable
                                        : &connection->on_writable,
                connection->loop, descriptor, direction, callback, connection);
}

/* -- deadlines -- */

static void check_deadlines(void *owner)
{
    struct connection *connection = owner;
    const struct request *request =
        LIST_ITEM(connection->sent.first != NULL ? connection->sent.first
                                                 : connection->waiting.first,
                  struct request, link);
    if (request == NULL) {
        return;
    }
    if (clock_monotonic() >= request->deadline_monotonic) {
        lose(connection, "PostgreSQL did not answer in time");
        return;
    }
    timer_start(&connection->deadline_timer, connection->loop,
                world_milliseconds(connection->timeout_milliseconds / 16 + 1),
                check_deadlines, connection);
}

/* -- receiving -- */

static void take_error(struct request *request, const PGresult *result)
{
    if (request->has_failed) {
        return;
    }
    request->has_failed = true;
    request->is_for_data = is_fault_of_data(result);
    request->outcome.failed_statement = request->answered_count;
    set_message(&request->outcome.error, PQresultErrorMessage(result));
}

static void take_sync(struct request *request)
{
    request->outcome.result = !request->has_failed   ? DATABASE_DONE
                              : request->is_for_data ? DATABASE_FAILED
                                                     : DATABASE_UNAVAILABLE;
    finish_request(request);
}

static bool give_rows(struct request *request, PGresult *result)
{
    return request->handler != NULL && request->handler->on_rows != NULL &&
           request->handler->on_rows(request->owner,
                                     (struct rows *)(void *)result);
}

/* An error without a code is none of PostgreSQL's: libpq could not read the
 * answer, for want of memory for example. What was asked may have been done. */
static bool is_unread(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) &&
           PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL;
}

static void take_result(struct request *request, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        take_sync(request);
        return;
    }
    if (status == PGRES_TUPLES_OK) {
        if (give_rows(request, result)) {
            result = NULL;
        }
    } else if (status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_ABORTED) {
        take_error(request, result);
    }
    request->answered_count++;
    PQclear(result);
}

static void take_notifications(struct connection *connection)
{
    PGnotify *notice;
    while (!connection->is_closed &&
           (notice = PQnotifies(connection->link)) != NULL) {
        connection->handler->on_notify(connection->owner, notice->relname,
                                       text_of(notice->extra));
        PQfreemem(notice);
    }
}

/* PQgetResult says NULL after each statement and when nothing is expected: two
 * in a row are the end. */
static void take_results(struct connection *connection)
{
    int null_count = 0;
    while (!connection->is_closed && !connection->is_losing &&
           connection->sent.first != NULL && null_count < 2 &&
           !PQisBusy(connection->link)) {
        PGresult *result = PQgetResult(connection->link);
        struct request *request =
            LIST_ITEM(connection->sent.first, struct request, link);
        if (result == NULL) {
            null_count++;
            continue;
        }
        null_count = 0;
        if (PQstatus(connection->link) == CONNECTION_BAD || is_unread(result)) {
            lose(connection, PQresultErrorMessage(result));
            PQclear(result);
        } else {
            take_result(request, result);
        }
    }
}

static void on_readable(void *owner)
{
    struct connection *connection = owner;
    if (connection->is_losing) {
        return;
    }
    if (PQconsumeInput(connection->link) == 0) {
        /* What a dying server said stands in the results. */
        take_results(connection);
        if (!connection->is_closed) {
            lose_link(connection);
        }
        return;
    }
    take_results(connection);
    if (!connection->is_losing) {
        take_notifications(connection);
    }
    if (!connection->is_closed) {
        pump(connection);
    }
}

/* -- sending -- */

static void on_writable(void *owner)
{
    struct connection *connection = owner;
    watch_stop(&connection->on_writable);
    pump(connection);
}

static void pump_again(void *owner)
{
    pump(owner);
}

/* The request whose statements go out now. */
static struct request *request_to_send(struct connection *connection)
{
    struct request *last =
        LIST_ITEM(connection->sent.last, struct request, link);
    if (last != NULL && !last->is_synced) {
        return last;
    }
    struct list_link *link = list_take_first(&connection->waiting);
    if (link != NULL) {
        list_append(&connection->sent, link);
    }
    return LIST_ITEM(link, struct request, link);
}

static void send_slice(struct connection *connection, struct request *request)
{
    if (request->handler != NULL &&
        request->handler->send_next(request->owner, request)) {
        return;
    }
    request->is_synced = true;
    if (!connection->is_losing && PQpipelineSync(connection->link) == 0) {
        lose_link(connection);
    }
}

static void pump(struct connection *connection)
{
    for (int i = 0; i < SLICES_PER_TURN; i++) {
        if (connection->is_losing || connection->state < STATE_STARTING) {
            return;
        }
        int flushed = PQflush(connection->link);
        if (flushed < 0) {
            lose_link(connection);
            return;
        }
        if (flushed > 0) {
            if (connection->on_writable.event == NULL) {
                watch_link(connection, WATCH_WRITE, on_writable);
            }
            return;
        }
        struct request *request = request_to_send(connection);
        if (request == NULL) {
            return;
        }
        send_slice(connection, request);
    }
    loop_post(connection->loop, pump_again, connection);
}

static struct request *submit(struct connection *connection,
                              const struct request_handler *handler,
                              void *owner)
{
    struct request *request = memory_alloc(sizeof(*request));
    request->connection = connection;
    request->handler = handler;
    request->owner = owner;
    request->deadline_monotonic =
        clock_monotonic() +
        world_milliseconds(connection->timeout_milliseconds) *
            CLOCK_MILLISECOND;
    list_append(&connection->waiting, &request->link);
    if (!timer_is_running(&connection->deadline_timer)) {
        check_deadlines(connection);
    }
    pump(connection);
    return request;
}

struct argument_list {
    const char *values[PARAMETERS_MAX];
    int lengths[PARAMETERS_MAX];
    int formats[PARAMETERS_MAX];
};

static void list_arguments(const struct parameters *parameters,
                           struct argument_list *out_list)
{
    for (size_t i = 0; i < parameters->count; i++) {
        const struct parameter *parameter = &parameters->values[i];
        out_list->values[i] = parameter->is_null ? NULL : parameter->bytes.data;
        out_list->lengths[i] = (int)parameter->bytes.length;
        out_list->formats[i] = 1;
    }
}

void request_send(struct request *request, enum statement statement,
                  const struct parameters *parameters)
{
    static const struct parameters none;
    struct connection *connection = request->connection;
    struct argument_list list;
    if (connection->is_losing) {
        return;
    }
    parameters = parameters != NULL ? parameters : &none;
    check((int)parameters->count == statement_table[statement].parameter_count);
    list_arguments(parameters, &list);
    request->statement_count++;
    if (PQsendQueryPrepared(connection->link, statement_table[statement].name,
                            (int)parameters->count, list.values, list.lengths,
                            list.formats, 1) == 0) {
        lose_link(connection);
    }
}

/* -- starting: the session's settings, then every statement -- */

static void send_session_start(struct connection *connection)
{
    char timeout[32];
    char process_id[32];
    snprintf(timeout, sizeof(timeout), "%" PRId64 "ms",
             connection->timeout_milliseconds);
    snprintf(process_id, sizeof(process_id), "%" PRId64,
             connection->last.process_id);
    const char *values[] = { timeout, connection->joins_arrays ? "on" : "off",
                             process_id, connection->last.since };
    if (PQsendQueryParams(
            connection->link, statement_table[STATEMENT_SESSION_START].text,
            (int)ARRAY_LENGTH(values), NULL, values, NULL, NULL, 1) == 0) {
        lose_link(connection);
    }
}

static void send_listen(struct connection *connection, enum statement statement)
{
    if (PQsendQueryParams(connection->link, statement_table[statement].text, 0,
                          NULL, NULL, NULL, NULL, 1) == 0) {
        lose_link(connection);
    }
}

/* Statements of the command line are none of a worker's. */
static bool is_for_workers(size_t statement)
{
    return strncmp(statement_table[statement].name, "admin_", 6) != 0;
}

static void send_prepare(struct connection *connection, size_t statement)
{
    if (PQsendPrepare(connection->link, statement_table[statement].name,
                      statement_table[statement].text, 0, NULL) == 0) {
        lose_link(connection);
    }
}

static bool send_start(void *owner, struct request *request)
{
    struct connection *connection = owner;
    size_t i = request->statement_count++;
    while (i > 0 && i <= STATEMENT_COUNT && !is_for_workers(i - 1)) {
        i = request->statement_count++;
        request->answered_count++; /* counts as its place in the table */
    }
    if (connection->is_losing) {
        return false;
    }
    if (i == 0) {
        send_session_start(connection);
    } else if (i <= STATEMENT_COUNT) {
        send_prepare(connection, i - 1);
    } else if (i <= STATEMENT_COUNT + 2 && connection->listens) {
        send_listen(connection, i == STATEMENT_COUNT + 1
                                    ? STATEMENT_LISTEN_DIRECTORY
                                    : STATEMENT_LISTEN_QUEUE);
    } else {
        return false;
    }
    return true;
}

static bool check_session(void *owner, struct rows *rows)
{
    struct connection *connection = owner;
    connection->is_unsafe =
        !sql_allows_unsafe_durability() && !rows_boolean(rows, 0, "is_durable");
    connection->is_alone = rows_boolean(rows, 0, "is_alone");
    connection->own.process_id = rows_int64(rows, 0, "process_id");
    snprintf(connection->own.since, sizeof(connection->own.since), "%.*s",
             TEXT_ARGUMENTS(rows_text(rows, 0, "since")));
    return false;
}

/* Log once what keeps us down, not at every try. */
static void refuse(struct connection *connection, const char *statement,
                   const char *reason)
{
    if (!connection->was_refusal_logged) {
        connection->was_refusal_logged = true;
        log_error(&connection->log, "PostgreSQL cannot be used",
                  "statement=%s reason=\"%s\"", statement,
                  log_quote(text_of(reason)));
    }
    lose(connection, reason);
}

static void on_started(void *owner, const struct request_outcome *outcome)
{
    struct connection *connection = owner;
    size_t failed = outcome->failed_statement;
    if (connection->link == NULL) {
        return; /* lost while it started */
    }
    if (outcome->result != DATABASE_DONE) {
        refuse(connection,
               failed > 0 && failed <= STATEMENT_COUNT
                   ? statement_table[failed - 1].name
                   : "session_start",
               outcome->error.text);
        return;
    }
    if (connection->is_unsafe) {
        refuse(connection, "session_start",
               "fsync or synchronous_commit is off in PostgreSQL, so mail "
               "could be lost: switch them on, or set [database] "
               "allow_unsafe_durability = on");
        return;
    }
    if (!connection->is_alone) {
        lose(connection, "this connection's last session does not end yet");
        return;
    }
    connection->was_refusal_logged = false;
    connection->backoff_milliseconds = BACKOFF_FIRST_MILLISECONDS;
    enter_state(connection, STATE_READY);
    connection->handler->on_ready(connection->owner);
}

static const struct request_handler start_handler = {
    .send_next = send_start,
    .on_rows = check_session,
    .on_done = on_started,
};

static void start_session(struct connection *connection)
{
    timer_stop(&connection->timer);
    enter_state(connection, STATE_STARTING);
    if (PQsetnonblocking(connection->link, 1) != 0 ||
        PQenterPipelineMode(connection->link) == 0) {
        lose_link(connection);
        return;
    }
    watch_link(connection, WATCH_READ, on_readable);
    submit(connection, &start_handler, connection);
}

/* -- connecting -- */

static void poll_connecting(void *owner)
{
    struct connection *connection = owner;
    /* The socket may be another one after each step. */
    watch_stop(&connection->on_readable);
    watch_stop(&connection->on_writable);
    switch (PQconnectPoll(connection->link)) {
    case PGRES_POLLING_OK:
        start_session(connection);
        break;
    case PGRES_POLLING_READING:
        watch_link(connection, WATCH_READ, poll_connecting);
        break;
    case PGRES_POLLING_WRITING:
        watch_link(connection, WATCH_WRITE, poll_connecting);
        break;
    default:
        lose_link(connection);
        break;
    }
}

static void on_connect_timeout(void *owner)
{
    lose(owner, "PostgreSQL could not be reached in time");
}

static void start_connecting(void *owner)
{
    struct connection *connection = owner;
    char name[64];
    snprintf(name, sizeof(name), "baton %s", connection->purpose);
    /* What the URL says wins over what stands before it. */
    const char *keywords[] = { "application_name", "keepalives_idle",
                               "tcp_user_timeout", "dbname",
                               "client_encoding",  NULL };
    const char *values[] = {
        name, "30", "30000", connection->url, "UTF8", NULL
    };
    if (connection->is_broken) {
        lose(connection, "the connection is cut");
        return;
    }
    enter_state(connection, STATE_CONNECTING);
    connection->link = PQconnectStartParams(keywords, values, 1);
    if (PQstatus(connection->link) == CONNECTION_BAD) { /* or is NULL */
        lose_link(connection);
        return;
    }
    PQsetNoticeReceiver(connection->link, ignore_notice, NULL);
    timer_start(&connection->timer, connection->loop,
                world_milliseconds(CONNECT_TIMEOUT_MILLISECONDS),
                on_connect_timeout, connection);
    watch_link(connection, WATCH_WRITE, poll_connecting);
}

/* -- public -- */

struct connection *connection_create(struct loop *loop,
                                     const struct connection_options *options,
                                     const struct connection_handler *handler,
                                     void *owner)
{
    struct connection *connection = memory_alloc(sizeof(*connection));
    connection->loop = loop;
    connection->handler = handler;
    connection->owner = owner;
    connection->url = memory_copy_string(options->url);
    connection->purpose = options->purpose;
    connection->timeout_milliseconds = options->timeout_milliseconds;
    connection->listens = options->listens;
    connection->joins_arrays = options->joins_arrays;
    connection->backoff_milliseconds = BACKOFF_FIRST_MILLISECONDS;
    log_context_set(&connection->log, NULL, "database=%s", connection->purpose);
    timer_start(&connection->timer, loop, 0, start_connecting, connection);
    return connection;
}

static void free_connection(void *object)
{
    struct connection *connection = object;
    struct list_link *link;
    drop_link(connection);
    move_requests(&connection->sent, &connection->waiting);
    while ((link = list_take_first(&connection->waiting)) != NULL) {
        memory_free(LIST_ITEM(link, struct request, link));
    }
    memory_free(connection->url);
    memory_free(connection);
}

void connection_free(struct connection **connection)
{
    struct connection *doomed = *connection;
    if (doomed == NULL) {
        return;
    }
    *connection = NULL;
    doomed->is_closed = true;
    doomed->is_losing = true; /* nothing is sent any more */
    watch_stop(&doomed->on_readable);
    watch_stop(&doomed->on_writable);
    timer_stop(&doomed->timer);
    timer_stop(&doomed->deadline_timer);
    loop_cancel_posts(doomed->loop, doomed);
    loop_dispose(doomed->loop, free_connection, doomed);
}

bool connection_is_ready(const struct connection *connection)
{
    return connection->state == STATE_READY && !connection->is_losing;
}

void connection_break(struct connection *connection, bool is_broken)
{
    connection->is_broken = is_broken;
    if (is_broken) {
        lose(connection, "the connection is cut");
    }
}

struct request *connection_submit(struct connection *connection,
                                  const struct request_handler *handler,
                                  void *owner)
{
    check(connection_is_ready(connection));
    return submit(connection, handler, owner);
}

void request_cancel(struct request **request)
{
    if (*request != NULL) {
        (*request)->handler = NULL;
        *request = NULL;
    }
}
