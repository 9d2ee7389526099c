/* SPDX-License-Identifier: MIT */
/*
 * How many messages a second one worker's connections store and finish:
 * message, body, delivery, queue row and event, then attempt, event, delivery
 * state and the queue row's end; each waits for its commit.
 *
 *   tests/with_postgres store_bench [MESSAGES [AT_A_TIME [BYTES]]]
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/id.h"
#include "core/loop.h"
#include "core/memory.h"
#include "sql/database.h"
#include "sql/messages.h"
#include "sql/results.h"
#include "sql/statement_table.h"

struct bench {
    struct loop *loop;
    struct database *database;
    size_t to_start;
    size_t to_finish;
    struct text data;
    int64_t started_at;
    size_t at_a_time;
    int64_t latency_sum;
    int64_t latency_highest;
};

struct job {
    struct bench *bench;
    struct new_message message;
    struct new_delivery delivery;
    struct delivery_result result;
    struct batch_row row;
    int64_t started_at;
};

static void start_job(struct job *job);

static void on_finished(void *owner, enum database_result result,
                        const struct error *error)
{
    struct job *job = owner;
    struct bench *bench = job->bench;
    (void)error;
    check(result == DATABASE_DONE);
    if (--bench->to_finish == 0) {
        loop_stop(bench->loop);
    }
    if (bench->to_start > 0) {
        start_job(job);
    } else {
        memory_free(job);
    }
}

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct job *job = owner;
    (void)error;
    check(result == DATABASE_DONE);
    int64_t latency = clock_monotonic() - job->started_at;
    job->bench->latency_sum += latency;
    if (latency > job->bench->latency_highest) {
        job->bench->latency_highest = latency;
    }
    job->result = (struct delivery_result){
        .account_id = job->message.account_id,
        .message_id = job->message.message_id,
        .delivery_id = job->delivery.delivery_id,
        .worker_id = 1,
        .next = RESULT_FINISHED,
        .state = "delivered",
        .has_attempt = true,
        .attempt_id = id_make(),
        .attempt_number = 1,
        .started_at = clock_now(),
        .finished_at = clock_now(),
        .host = "mx.example.net",
        .address = "192.0.2.1",
        .outcome = "delivered",
        .scope = "recipient",
        .step = "end of data",
        .reply_code = 250,
        .enhanced_code = "2.0.0",
        .reply = "250 2.0.0 Ok: queued as 4711",
        .transcript = TEXT_LITERAL("> MAIL FROM:<race@example.com>\n< 250 Ok\n"
                                   "> RCPT TO:<runner@example.net>\n< 250 Ok\n"
                                   "> DATA\n< 354 Go\n> .\n< 250 Ok\n"),
        .event_kind = "delivered",
        .event_id = id_make(),
        .recipient = "runner@example.net",
        .event_detail = "{\"attempt\": 1, \"host\": \"mx.example.net\"}",
    };
    result_store(job->bench->database, &job->row, &job->result, on_finished,
                 job);
}

static void start_job(struct job *job)
{
    struct bench *bench = job->bench;
    bench->to_start--;
    job->started_at = clock_monotonic();
    job->delivery = (struct new_delivery){
        .delivery_id = id_make(),
        .recipient = "runner@example.net",
        .domain = "example.net",
    };
    job->message = (struct new_message){
        .account_id = 1,
        .message_id = id_make(),
        .accepted_at = clock_now(),
        .expires_at = clock_now() + 345600 * CLOCK_SECOND,
        .sender = "race@example.com",
        .from_address = "race@example.com",
        .subject = "You passed the half marathon mark",
        .internet_message_id = "<4711@example.com>",
        .client_address = "127.0.0.1",
        .client_name = "client.example.com",
        .protocol = "ESMTPSA",
        .user_name = "demo",
        .trace = TEXT_LITERAL("Received: from client.example.com by "
                              "relay.example.com with ESMTPSA\r\n"),
        .transcript = TEXT_LITERAL("> EHLO client\n< 250\n> MAIL FROM\n< 250"),
        .data = bench->data,
        .deliveries = &job->delivery,
        .delivery_count = 1,
        .worker_id = 1,
        .event_id = id_make(),
    };
    message_store(bench->database, &job->row, &job->message, on_stored, job);
}

static void on_up(void *owner)
{
    struct bench *bench = owner;
    bench->started_at = clock_monotonic();
    for (size_t i = 0; i < bench->at_a_time; i++) {
        struct job *job = memory_alloc(sizeof(*job));
        job->bench = bench;
        start_job(job);
    }
}

static void on_down(void *owner, const struct error *error)
{
    (void)owner;
    fprintf(stderr, "down: %s\n", error->text);
}

static void ignore(void *owner)
{
    (void)owner;
}

static void ignore_command(void *owner, struct text command)
{
    (void)owner;
    (void)command;
}

static const struct database_handler handler = {
    .on_up = on_up,
    .on_down = on_down,
    .on_directory_changed = ignore,
    .on_queue_command = ignore_command,
};

static void make_schema(const char *url)
{
    PGconn *link = PQconnectdb(url);
    PQclear(PQexec(link, "SET client_min_messages = warning"));
    for (size_t i = 0; i < schema_migration_count; i++) {
        PQclear(PQexec(link, schema_migrations[i].text));
    }
    PGresult *result =
        PQexec(link, "SELECT baton.maintain(now(), NULL, NULL, NULL, NULL)");
    check(PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(link);
}

/* Half of it compresses, like the HTML of a newsletter. */
static struct text make_data(size_t size)
{
    char *bytes = memory_alloc(size + 1);
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = i % 64 < 32 ? (char)('a' + i % 26)
                               : (char)('a' + (seed >> 24) % 26);
    }
    return (struct text){ bytes, size };
}

static size_t argument(int count, char **values, int i, size_t otherwise)
{
    return i < count ? strtoul(values[i], NULL, 10) : otherwise;
}

int main(int count, char **values)
{
    struct error error;
    struct bench bench = {
        .to_start = argument(count, values, 1, 100000),
        .at_a_time = argument(count, values, 2, 1000),
        .data = make_data(argument(count, values, 3, 4096)),
    };
    struct config *config = config_create();
    config_add(config, sql_settings, sql_setting_count);
    if (!config_load(config, NULL, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    make_schema(database_url());
    id_set_worker(1);
    bench.to_finish = bench.to_start;
    size_t total = bench.to_start;
    bench.loop = loop_create();
    bench.database = database_create(bench.loop, &handler, &bench);
    loop_run(bench.loop);
    double seconds =
        (double)(clock_monotonic() - bench.started_at) / CLOCK_SECOND;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%zu messages of %zu bytes, %zu at a time: %.0f/s stored and "
           "finished; stored after %.1f ms, at most %.1f ms; client CPU %.1f "
           "us a message\n",
           total, bench.data.length, bench.at_a_time, (double)total / seconds,
           (double)bench.latency_sum / (double)total / 1000,
           (double)bench.latency_highest / 1000,
           ((double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)) /
               (double)total);
    database_free(&bench.database);
    loop_free(&bench.loop);
    config_free(&config);
    return 0;
}
