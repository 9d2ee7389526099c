/* SPDX-License-Identifier: MIT */
/*
 *   batch_add ──> waiting ──┐
 *                           ├──> flight (at most two) ──Sync──> on_done
 *   returned  (answer lost) ┤        │
 *   alone (batch refused)  ─┘ <──────┘
 *
 * A flight is one request: its statements one after the other, each filled row
 * by row and cut into slices, so that a large message never blocks the loop.
 */
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "sql/batch_internal.h"
#include "sql/database_internal.h"
#include "sql/settings.h"
#include "sql/sql_metrics.h"

#define FLIGHTS_MAX 2
#define SLICE_BYTES (256 * 1024)
/* While one flight is not answered, a second one leaves only with this many
 * rows: better wait a little and share the commit. */
#define SECOND_FLIGHT_ROWS 16
/* So many rows do not wait for more. */
#define GATHERED_ROWS 48
#define RETRY_MILLISECONDS 100
#define COMPLAIN_EVERY (60 * CLOCK_SECOND)

struct flight {
    struct list_link link;
    struct batch *batch;
    struct list rows;
    struct request *request;
    int64_t started_monotonic;
    const struct batch_statement *statement;
    struct list_link *row; /* the next to append */
    size_t position;
    bool is_sent;
    bool is_again; /* some of its rows may be there already */
};

struct batch {
    struct database *database;
    struct loop *loop;
    const struct batch_kind *kind;
    struct connection *connection; /* NULL: not ready */
    struct list alone;
    struct list returned;
    struct list waiting;
    struct list cancelled; /* withdrawn before they were sent */
    struct list refused; /* too many wait */
    struct list undoing;
    struct list flights;
    struct parameters parameters; /* of the slice being made */
    size_t row_count; /* not called back yet */
    size_t bytes; /* of these */
    struct timer deadline_timer;
    struct timer retry_timer;
    struct timer gather_timer;
    int64_t gathering_monotonic; /* since when the first of `waiting` waits */
    int64_t quiet_until_monotonic; /* refusals are not logged before */
    bool is_pump_posted;
    bool is_closed;
};

static void pump(void *owner);

static struct batch_row *row_of(struct list_link *link)
{
    return LIST_ITEM(link, struct batch_row, link);
}

static void post_pump(struct batch *batch)
{
    if (!batch->is_pump_posted && !batch->is_closed) {
        batch->is_pump_posted = true;
        loop_post(batch->loop, pump, batch);
    }
}

/* -- the end of a row -- */

static void complete(struct batch_row *row, enum database_result result,
                     const struct error *error)
{
    struct batch *batch = row->batch;
    list_remove(&row->link);
    row->batch = NULL;
    batch->row_count--;
    batch->bytes -= row->size_bytes;
    metric_add(&sql_metrics[METRIC_ROWS_PENDING], -1);
    if (result == DATABASE_WITHDRAWN) {
        metric_add(&sql_metrics[METRIC_ROWS_WITHDRAWN], 1);
    }
    row->on_done(row->owner, result, error);
    if (!batch->is_closed && batch->row_count == 0) {
        database_rows_done(batch->database);
    }
}

static void on_undone(void *owner, enum database_result result,
                      const struct error *error)
{
    struct batch_row *row = owner;
    (void)result;
    complete(row, DATABASE_WITHDRAWN, error);
}

/* The caller withdrew a row that is or may be committed. */
static void undo(struct batch_row *row)
{
    struct batch *batch = row->batch;
    if (batch->kind->undo == NULL) {
        complete(row, DATABASE_WITHDRAWN, NULL);
        return;
    }
    list_append(&batch->undoing, &row->link);
    batch->kind->undo(batch->database, row->borrowed_values, on_undone, row);
}

void batch_withdraw(struct batch_row *row)
{
    struct batch *batch = row->batch;
    if (batch == NULL || row->is_withdrawn) {
        return;
    }
    row->is_withdrawn = true;
    struct list *list = row->link.list;
    if (list == &batch->waiting || list == &batch->alone ||
        list == &batch->returned) {
        list_remove(&row->link);
        if (row->is_in_doubt) {
            undo(row);
        } else {
            list_append(&batch->cancelled, &row->link);
            post_pump(batch);
        }
    }
}

/* -- deadlines -- */

static bool is_late(const struct batch_row *row, int64_t now)
{
    return row->deadline_monotonic != 0 && now >= row->deadline_monotonic;
}

/* Whoever gave it is told that it was not stored, so it must not stay. */
static void give_up(struct batch_row *row)
{
    static const struct error error = {
        "PostgreSQL did not store this in time"
    };
    struct batch *batch = row->batch;
    if (row->is_in_doubt && batch->kind->undo != NULL) {
        batch->kind->undo(batch->database, row->borrowed_values, NULL, NULL);
    }
    metric_add(&sql_metrics[METRIC_ROWS_TIMED_OUT], 1);
    complete(row, DATABASE_UNAVAILABLE, &error);
}

static void collect_late(struct list *from, struct list *to)
{
    int64_t now = clock_monotonic();
    struct list_link *link = from->first;
    while (link != NULL) {
        struct list_link *next = link->next;
        if (is_late(row_of(link), now)) {
            list_remove(link);
            list_append(to, link);
        }
        link = next;
    }
}

static void watch_deadlines(struct batch *batch);

static void check_deadlines(void *owner)
{
    struct batch *batch = owner;
    struct list late = { 0 };
    collect_late(&batch->alone, &late);
    collect_late(&batch->returned, &late);
    collect_late(&batch->waiting, &late);
    while (late.first != NULL && !batch->is_closed) {
        give_up(row_of(late.first));
    }
    watch_deadlines(batch);
}

static void watch_deadlines(struct batch *batch)
{
    if (batch->kind->has_deadline && batch->row_count > 0 &&
        !batch->is_closed && !timer_is_running(&batch->deadline_timer)) {
        timer_start(&batch->deadline_timer, batch->loop,
                    (sql_settings_now()->commit_timeout / 16 + 1) *
                        clock_rate(),
                    check_deadlines, batch);
    }
}

/* -- sending a flight -- */

static void append_rows(struct flight *flight)
{
    struct parameters *parameters = &flight->batch->parameters;
    while (flight->row != NULL && parameters->size_bytes < SLICE_BYTES) {
        const struct batch_row *row = row_of(flight->row);
        if (flight->statement->append(parameters, row->borrowed_values,
                                      flight->position++)) {
            flight->row = flight->row->next;
            flight->position = 0;
        }
    }
}

static void send_slice(struct flight *flight, struct request *request)
{
    struct parameters *parameters = &flight->batch->parameters;
    if (flight->statement->has_id_bounds) {
        parameter_int64(parameters, parameters->lowest_id);
        parameter_int64(parameters, parameters->highest_id);
    }
    request_send(request,
                 flight->is_again ? flight->statement->again
                                  : flight->statement->statement,
                 parameters);
}

static void turn_to_next_statement(struct flight *flight)
{
    flight->statement++;
    flight->row = flight->rows.first;
    flight->position = 0;
}

static bool send_next(void *owner, struct request *request)
{
    struct flight *flight = owner;
    const struct batch *batch = flight->batch;
    const struct batch_statement *end =
        batch->kind->statements + batch->kind->statement_count;
    while (flight->statement < end) {
        parameters_clear(&flight->batch->parameters);
        if (flight->statement->append == NULL) {
            send_slice(flight, request);
            turn_to_next_statement(flight);
            return true;
        }
        append_rows(flight);
        if (flight->batch->parameters.row_count > 0) {
            send_slice(flight, request);
            return true;
        }
        turn_to_next_statement(flight);
    }
    flight->is_sent = true;
    post_pump(flight->batch);
    return false;
}

/* -- the end of a flight -- */

static void commit_rows(struct flight *flight)
{
    const struct batch *batch = flight->batch;
    metric_add(&sql_metrics[METRIC_BATCHES], 1);
    metric_add(&sql_metrics[METRIC_BATCH_ROWS], (int64_t)flight->rows.count);
    metric_add(&sql_metrics[METRIC_BATCH_MILLISECONDS],
               (clock_monotonic() - flight->started_monotonic) /
                   CLOCK_MILLISECOND);
    while (flight->rows.first != NULL && !batch->is_closed) {
        struct batch_row *row = row_of(flight->rows.first);
        if (row->is_withdrawn) {
            list_remove(&row->link);
            undo(row);
        } else {
            complete(row, DATABASE_DONE, NULL);
        }
    }
}

/* Nothing of the flight was committed, or nobody knows. */
static void return_rows(struct flight *flight, bool is_in_doubt)
{
    struct batch *batch = flight->batch;
    struct list_link *link;
    metric_add(&sql_metrics[METRIC_BATCHES_RESENT], 1);
    while ((link = list_take_first(&flight->rows)) != NULL) {
        struct batch_row *row = row_of(link);
        row->is_in_flight = false;
        row->is_in_doubt = row->is_in_doubt || is_in_doubt;
        if (!row->is_withdrawn) {
            list_append(row->is_alone ? &batch->alone : &batch->returned, link);
        } else if (row->is_in_doubt) {
            undo(row);
        } else {
            list_append(&batch->cancelled, link);
        }
    }
    post_pump(batch);
}

/* One of the rows is poison: each goes by itself, so that it harms no other. */
static void isolate_rows(struct flight *flight)
{
    struct list_link *link;
    for (link = flight->rows.first; link != NULL; link = link->next) {
        row_of(link)->is_alone = true;
    }
    return_rows(flight, false);
}

static void refuse_row(struct batch_row *row, const struct error *error)
{
    metric_add(&sql_metrics[METRIC_ROWS_REFUSED], 1);
    complete(row, row->is_withdrawn ? DATABASE_WITHDRAWN : DATABASE_FAILED,
             error);
}

static void free_flight(struct flight *flight)
{
    list_remove(&flight->link);
    memory_free(flight);
}

static void pump_again(void *owner)
{
    pump(owner);
}

/* A connection that broke is told of elsewhere. One that stands and refuses
 * (no room on the disk, a right or a partition that is missing) needs somebody
 * to look after it, and nothing else would say so. */
static void log_unavailable(struct batch *batch, const struct flight *flight,
                            const struct request_outcome *outcome)
{
    int64_t now = clock_monotonic();
    bool is_refused =
        batch->connection != NULL && connection_is_ready(batch->connection);
    bool is_told = is_refused && now >= batch->quiet_until_monotonic;
    if (is_told) {
        batch->quiet_until_monotonic = now + COMPLAIN_EVERY * clock_rate();
    }
    log_write(is_told ? LOG_WARNING : LOG_DEBUG, NULL, "batch to be sent again",
              "batch=%s rows=%zu doubt=%d reason=\"%s\"", batch->kind->name,
              flight->rows.count, outcome->is_in_doubt,
              log_quote(text_of(outcome->error.text)));
}

static void on_flight_done(void *owner, const struct request_outcome *outcome)
{
    struct flight *flight = owner;
    struct batch *batch = flight->batch;
    flight->request = NULL;
    list_remove(&flight->link);
    if (outcome->result == DATABASE_DONE) {
        commit_rows(flight);
    } else if (outcome->result == DATABASE_UNAVAILABLE) {
        log_unavailable(batch, flight, outcome);
        timer_start(&batch->retry_timer, batch->loop,
                    RETRY_MILLISECONDS * clock_rate(), pump_again, batch);
        return_rows(flight, outcome->is_in_doubt);
    } else if (row_of(flight->rows.first)->is_alone) {
        refuse_row(row_of(flight->rows.first), &outcome->error);
    } else {
        isolate_rows(flight);
    }
    if (flight->rows.count > 0) { /* closed by a callback */
        list_append(&batch->flights, &flight->link);
        return;
    }
    memory_free(flight);
    post_pump(batch);
}

static const struct request_handler flight_handler = {
    .send_next = send_next,
    .on_done = on_flight_done,
};

/* -- making a flight -- */

static void take_rows(struct flight *flight, struct list *from,
                      size_t row_limit)
{
    size_t size_limit = (size_t)sql_settings_now()->batch_bytes;
    size_t size = 0;
    while (from->first != NULL && flight->rows.count < row_limit) {
        struct batch_row *row = row_of(from->first);
        if (flight->rows.count > 0 && size + row->size_bytes > size_limit) {
            return;
        }
        size += row->size_bytes;
        list_remove(&row->link);
        list_append(&flight->rows, &row->link);
        row->is_in_flight = true;
        flight->is_again =
            flight->is_again || row->is_in_doubt || row->is_alone;
    }
}

static void launch(struct batch *batch)
{
    struct flight *flight = memory_alloc(sizeof(*flight));
    flight->batch = batch;
    flight->started_monotonic = clock_monotonic();
    if (batch->alone.first != NULL) {
        take_rows(flight, &batch->alone, 1);
    } else {
        take_rows(flight,
                  batch->returned.first != NULL ? &batch->returned
                                                : &batch->waiting,
                  (size_t)sql_settings_now()->batch_rows);
    }
    flight->statement = batch->kind->statements;
    flight->row = flight->rows.first;
    list_append(&batch->flights, &flight->link);
    flight->request =
        connection_submit(batch->connection, &flight_handler, flight);
}

/* Whether those who wait go on waiting for more to come. */
static bool is_gathering(struct batch *batch)
{
    int64_t span = batch->kind->gather_milliseconds * clock_rate();
    int64_t left = batch->gathering_monotonic + span * CLOCK_MILLISECOND -
                   clock_monotonic();
    if (left <= 0 || batch->waiting.count >= GATHERED_ROWS ||
        batch->alone.count + batch->returned.count > 0) {
        return false;
    }
    if (!timer_is_running(&batch->gather_timer)) {
        timer_start(&batch->gather_timer, batch->loop,
                    left / CLOCK_MILLISECOND + 1, pump_again, batch);
    }
    return true;
}

static bool has_place(struct batch *batch)
{
    const struct flight *last =
        LIST_ITEM(batch->flights.last, struct flight, link);
    size_t count =
        batch->alone.count + batch->returned.count + batch->waiting.count;
    if (batch->connection == NULL || count == 0 ||
        timer_is_running(&batch->retry_timer) ||
        !connection_is_ready(batch->connection)) {
        return false;
    }
    bool has_room =
        last == NULL || (batch->flights.count < FLIGHTS_MAX && last->is_sent &&
                         count >= SECOND_FLIGHT_ROWS);
    return has_room && !is_gathering(batch);
}

static void report_unsent(struct batch *batch)
{
    while (batch->cancelled.first != NULL && !batch->is_closed) {
        complete(row_of(batch->cancelled.first), DATABASE_WITHDRAWN, NULL);
    }
    while (batch->refused.first != NULL && !batch->is_closed) {
        give_up(row_of(batch->refused.first));
    }
}

static void pump(void *owner)
{
    struct batch *batch = owner;
    batch->is_pump_posted = false;
    while (has_place(batch)) {
        launch(batch);
    }
    report_unsent(batch);
    watch_deadlines(batch);
}

/* -- public -- */

struct batch *batch_create(struct database *database, struct loop *loop,
                           const struct batch_kind *kind)
{
    struct batch *batch = memory_alloc(sizeof(*batch));
    batch->database = database;
    batch->loop = loop;
    batch->kind = kind;
    return batch;
}

static void drop_rows(struct batch *batch, struct list *rows)
{
    struct list_link *link;
    while ((link = list_take_first(rows)) != NULL) {
        row_of(link)->batch = NULL;
        if (batch->kind->free_row != NULL) {
            batch->kind->free_row(row_of(link));
        }
    }
}

static void free_batch(void *object)
{
    struct batch *batch = object;
    while (batch->flights.first != NULL) {
        struct flight *flight =
            LIST_ITEM(batch->flights.first, struct flight, link);
        drop_rows(batch, &flight->rows);
        free_flight(flight);
    }
    parameters_free(&batch->parameters);
    memory_free(batch);
}

void batch_free(struct batch **batch)
{
    struct batch *doomed = *batch;
    if (doomed == NULL) {
        return;
    }
    *batch = NULL;
    doomed->is_closed = true;
    metric_add(&sql_metrics[METRIC_ROWS_PENDING], -(int64_t)doomed->row_count);
    timer_stop(&doomed->deadline_timer);
    timer_stop(&doomed->retry_timer);
    timer_stop(&doomed->gather_timer);
    loop_cancel_posts(doomed->loop, doomed);
    struct list *lists[] = { &doomed->alone,   &doomed->returned,
                             &doomed->waiting, &doomed->cancelled,
                             &doomed->refused, &doomed->undoing };
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        drop_rows(doomed, lists[i]);
    }
    for (struct list_link *link = doomed->flights.first; link != NULL;
         link = link->next) {
        struct flight *flight = LIST_ITEM(link, struct flight, link);
        request_cancel(&flight->request);
        drop_rows(doomed, &flight->rows);
    }
    loop_dispose(doomed->loop, free_batch, doomed);
}

void batch_start(struct batch *batch, struct connection *connection)
{
    batch->connection = connection;
    timer_stop(&batch->retry_timer);
    post_pump(batch);
}

void batch_stop(struct batch *batch)
{
    batch->connection = NULL;
}

void batch_add(struct batch *batch, struct batch_row *row, const void *values,
               size_t size_bytes, batch_done_fn *on_done, void *owner)
{
    *row = (struct batch_row){
        .batch = batch,
        .borrowed_values = values,
        .size_bytes = size_bytes,
        .on_done = on_done,
        .owner = owner,
    };
    if (batch->kind->has_deadline) {
        row->deadline_monotonic =
            clock_monotonic() + sql_settings_now()->commit_timeout *
                                    clock_rate() * CLOCK_MILLISECOND;
    }
    bool is_full = batch->kind->bytes_limit > 0 &&
                   batch->bytes + size_bytes > batch->kind->bytes_limit;
    if (batch->waiting.count == 0) {
        batch->gathering_monotonic = clock_monotonic();
    }
    list_append(is_full ? &batch->refused : &batch->waiting, &row->link);
    batch->row_count++;
    batch->bytes += size_bytes;
    metric_add(&sql_metrics[METRIC_ROWS_PENDING], 1);
    post_pump(batch);
}

size_t batch_pending_count(const struct batch *batch)
{
    return batch->row_count;
}

static bool has_doubt(const struct list *rows)
{
    for (struct list_link *link = rows->first; link != NULL;
         link = link->next) {
        if (row_of(link)->is_in_doubt) {
            return true;
        }
    }
    return false;
}

bool batch_has_doubt(const struct batch *batch)
{
    for (struct list_link *link = batch->flights.first; link != NULL;
         link = link->next) {
        if (has_doubt(&LIST_ITEM(link, struct flight, link)->rows)) {
            return true;
        }
    }
    return has_doubt(&batch->returned) || has_doubt(&batch->alone);
}
