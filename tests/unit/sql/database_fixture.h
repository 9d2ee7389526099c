/* SPDX-License-Identifier: MIT */
/*
 * A database with the real schema, in the private cluster of
 * tests/with_postgres, and a loop that runs until something is true.
 */
#ifndef BATON_TESTS_SQL_DATABASE_FIXTURE_H
#define BATON_TESTS_SQL_DATABASE_FIXTURE_H

#include <inttypes.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/id.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "sql/database.h"
#include "sql/database_internal.h"
#include "sql/messages.h"
#include "sql/queue.h"
#include "sql/results.h"
#include "sql/statement_table.h"

#define WATCHDOG_MILLISECONDS 60000

struct fixture {
    struct loop *loop;
    struct database *database;
    struct config *config;
    PGconn *sql; /* the test's own eyes and hands */
    int up_count;
    int down_count;
    int directory_count;
    char command[100];
    bool is_flushed;
};

static inline void sql_do(struct fixture *f, const char *text)
{
    PGresult *result = PQexec(f->sql, text);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", text, PQerrorMessage(f->sql));
    }
    PQclear(result);
}

static inline int64_t sql_number(struct fixture *f, const char *format, ...)
{
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    PGresult *result = PQexec(f->sql, text);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        fail_msg("%s: %s", text, PQerrorMessage(f->sql));
    }
    int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

static inline void sql_reconnect(struct fixture *f)
{
    for (int i = 0; i < 1200; i++) {
        PQfinish(f->sql);
        f->sql = PQconnectdb(getenv("BATON_DATABASE_URL"));
        PGresult *result = PQexec(f->sql, "SET client_min_messages = warning");
        bool is_done = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (is_done) {
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    }
    fail_msg("PostgreSQL did not come back: %s", PQerrorMessage(f->sql));
}

/* After a backend was killed the server ends all others and starts again. */
static inline void sql_await_crash(struct fixture *f)
{
    ExecStatusType status;
    do {
        PGresult *result = PQexec(f->sql, "SELECT 1");
        status = PQresultStatus(result);
        PQclear(result);
    } while (status == PGRES_TUPLES_OK);
    sql_reconnect(f);
}

static inline void on_fixture_up(void *owner)
{
    ((struct fixture *)owner)->up_count++;
}

static inline void on_fixture_down(void *owner, const struct error *error)
{
    (void)error;
    ((struct fixture *)owner)->down_count++;
}

static inline void on_fixture_directory(void *owner)
{
    ((struct fixture *)owner)->directory_count++;
}

static inline void on_fixture_command(void *owner, struct text command)
{
    struct fixture *f = owner;
    snprintf(f->command, sizeof(f->command), "%.*s", TEXT_ARGUMENTS(command));
}

static const struct database_handler fixture_handler = {
    .on_up = on_fixture_up,
    .on_down = on_fixture_down,
    .on_directory_changed = on_fixture_directory,
    .on_queue_command = on_fixture_command,
};

static inline void bark(void *owner)
{
    (void)owner;
    fprintf(stderr, "watchdog: the loop waits for what does not come\n");
    fflush(NULL); /* the name of the test */
    abort();
}

static inline void tick(void *owner)
{
    loop_stop(owner);
}

/* Let the loop run until is_true(owner). */
static inline void run_until(struct fixture *f, bool (*is_true)(void *),
                             void *owner)
{
    struct timer watchdog = { 0 };
    struct timer ticks = { 0 };
    timer_start(&watchdog, f->loop, WATCHDOG_MILLISECONDS, bark, f);
    while (!is_true(owner)) {
        timer_start(&ticks, f->loop, 1, tick, f->loop);
        loop_run(f->loop);
    }
    timer_stop(&ticks);
    timer_stop(&watchdog);
}

static inline bool is_fixture_up(void *owner)
{
    struct fixture *f = owner;
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        if (!connection_is_ready(f->database->lines[i].connection)) {
            return false;
        }
    }
    return database_is_up(f->database);
}

static inline bool is_nonzero(void *owner)
{
    return *(int *)owner != 0;
}

static inline bool has_nothing_pending(void *owner)
{
    struct fixture *f = owner;
    return database_pending_count(f->database) == 0;
}

/* A session notices that its client has gone only when it has done what it was
 * given. The locks that those of the test before hold until then, for example
 * of the statements they prepare, make a deadlock with DROP SCHEMA. */
static inline void end_other_sessions(struct fixture *f)
{
    for (int i = 0; i < 10; i++) {
        if (sql_number(f, "SELECT count(pg_terminate_backend(pid, 60000)) FROM "
                          "pg_stat_activity WHERE pid <> pg_backend_pid() AND "
                          "datname = current_database() AND backend_type = "
                          "'client backend'") == 0) {
            return;
        }
    }
    fail_msg("sessions of another test do not end");
}

static inline void make_schema(struct fixture *f)
{
    end_other_sessions(f);
    sql_do(f, "DROP SCHEMA IF EXISTS baton CASCADE");
    sql_do(f, "DROP SCHEMA IF EXISTS report CASCADE");
    sql_do(f, "DROP SCHEMA IF EXISTS baton_schema CASCADE");
    sql_do(f, statement_table[STATEMENT_ADMIN_MIGRATION_CREATE].text);
    for (size_t i = 0; i < schema_migration_count; i++) {
        sql_do(f, schema_migrations[i].text);
    }
    sql_do(f, "SELECT baton.maintain(now(), NULL, NULL, NULL, NULL)");
}

static inline void configure(struct fixture *f)
{
    const char *url = getenv("BATON_DATABASE_URL");
    struct error error = { "" };
    if (url == NULL) {
        fail_msg("run this by tests/with_postgres");
    }
    f->config = config_create();
    config_add(f->config, sql_settings, sql_setting_count);
    if (!config_load(f->config, NULL, &error)) {
        fail_msg("%s", error.text);
    }
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = memory_alloc(sizeof(*f));
    *state = f;
    configure(f);
    sql_reconnect(f);
    make_schema(f);
    id_set_worker(7);
    f->loop = loop_create();
    f->database = database_create(f->loop, &fixture_handler, f);
    run_until(f, is_fixture_up, f);
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    unsetenv("BATON_DATABASE_COMMIT_TIMEOUT");
    database_free(&f->database);
    loop_free(&f->loop);
    config_free(&f->config);
    PQfinish(f->sql);
    memory_free(f);
    return 0;
}

/* -- rows -- */

/* A row with its outcome; results start at -1. */
struct outcome {
    struct batch_row row;
    int result;
    int call_count;
    struct error reason;
};

static inline void on_outcome(void *owner, enum database_result result,
                              const struct error *error)
{
    struct outcome *outcome = owner;
    outcome->result = (int)result;
    outcome->call_count++;
    outcome->reason = error != NULL ? *error : (struct error){ "" };
}

struct sample_message {
    struct new_message message;
    struct new_delivery delivery;
    struct outcome stored;
    struct delivery_result result;
    struct outcome resulted;
};

static inline void make_message(struct sample_message *sample,
                                int64_t account_id, int64_t worker_id,
                                struct text data)
{
    memset(sample, 0, sizeof(*sample));
    sample->delivery = (struct new_delivery){
        .delivery_id = id_make(),
        .recipient = "runner@example.net",
        .domain = "example.net",
    };
    sample->message = (struct new_message){
        .account_id = account_id,
        .message_id = id_make(),
        .accepted_at = clock_now(),
        .expires_at = clock_now() + 3600 * CLOCK_SECOND,
        .sender = "race@example.com",
        .from_address = "race@example.com",
        .subject = "Your result",
        .internet_message_id = "<1@example.com>",
        .client_address = "127.0.0.1",
        .client_name = "client.example.com",
        .protocol = "ESMTPSA",
        .tls = "TLSv1.3",
        .user_name = "demo",
        .trace = TEXT_LITERAL("Received: from client.example.com\r\n"),
        .transcript = TEXT_LITERAL("> MAIL FROM\n< 250\n"),
        .data = data,
        .deliveries = &sample->delivery,
        .delivery_count = 1,
        .worker_id = worker_id,
        .event_id = id_make(),
    };
    sample->stored.result = -1;
    sample->resulted.result = -1;
}

static inline void make_result(struct sample_message *sample,
                               enum result_next next)
{
    sample->result = (struct delivery_result){
        .account_id = sample->message.account_id,
        .message_id = sample->message.message_id,
        .delivery_id = sample->delivery.delivery_id,
        .worker_id = sample->message.worker_id,
        .next = next,
        .state = next == RESULT_FINISHED ? "delivered" : NULL,
        .next_at = clock_now() + 60 * CLOCK_SECOND,
        .why = "greylisted",
        .has_attempt = true,
        .attempt_id = id_make(),
        .attempt_number = 1,
        .started_at = clock_now(),
        .finished_at = clock_now(),
        .host = "mx.example.net",
        .address = "192.0.2.1",
        .outcome = next == RESULT_FINISHED ? "delivered" : "deferred",
        .scope = "recipient",
        .step = "end of data",
        .reply_code = 250,
        .enhanced_code = "2.0.0",
        .reply = "250 2.0.0 Ok",
        .tls = "TLSv1.3",
        .transcript = TEXT_LITERAL("> .\n< 250 2.0.0 Ok\n"),
        .event_kind = next == RESULT_FINISHED ? "delivered" : "deferred",
        .event_id = id_make(),
        .recipient = "runner@example.net",
        .event_detail = "{\"code\": 250}",
    };
}

static inline void store_message(struct fixture *f,
                                 struct sample_message *sample)
{
    message_store(f->database, &sample->stored.row, &sample->message,
                  on_outcome, &sample->stored);
}

static inline void store_result(struct fixture *f,
                                struct sample_message *sample)
{
    result_store(f->database, &sample->resulted.row, &sample->result,
                 on_outcome, &sample->resulted);
}

static inline bool has_outcome(void *owner)
{
    const struct outcome *outcome = owner;
    return outcome->result != -1;
}

/* -- workers and claims -- */

struct registration {
    int result;
    int64_t worker_id;
    int number;
};

static inline void on_registration(void *owner, enum database_result result,
                                   int64_t worker_id, int worker_number,
                                   const struct error *error)
{
    struct registration *registration = owner;
    (void)error;
    registration->result = (int)result;
    registration->worker_id = worker_id;
    registration->number = worker_number;
}

static inline bool is_registered(void *owner)
{
    return ((struct registration *)owner)->result != -1;
}

static inline int64_t make_worker(struct fixture *f, int lease_seconds,
                                  int64_t retired_worker_id)
{
    struct registration registration = { .result = -1 };
    worker_register(f->database, "node.example.com", lease_seconds,
                    retired_worker_id, clock_now(), on_registration,
                    &registration);
    run_until(f, is_registered, &registration);
    assert_int_equal(registration.result, DATABASE_DONE);
    assert_in_range(registration.number, 0, 1022);
    return registration.worker_id;
}

#endif
