/* SPDX-License-Identifier: MIT */
/*
 * A pool of the delivery client and scripted next hops, in one loop. A hop
 * plays one dialogue per connection, a text of lines:
 *
 *   S 250 Ok     say this
 *   C MAIL …     expect exactly this line
 *   N            nothing more may have come (the client does not pipeline)
 *   B            take a message up to its final dot
 *   L 100        take this many octets and no more for the moment
 *   T            start TLS as the server
 *   F            flood: 10 MB of reply lines
 *   G            garbage: 10 MB without a line end
 *   X            close
 *   W            say nothing more
 *
 * QUIT is answered whenever it comes, unless the script awaits it.
 */
#ifndef BATON_TESTS_CLIENT_RIG_H
#define BATON_TESTS_CLIENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/list.h"
#include "core/listener.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/stream.h"
#include "smtp/client.h"
#include "tests/unit/core/test_certificate.h"

#define RIG_DIALOGUES_MAX 6
#define RIG_HOPS_MAX 3
#define RIG_MESSAGES_MAX 64
#define RIG_RECIPIENTS_MAX 8

/* The usual beginning and one whole delivery from s@x to r@x. */
#define HELLO                                 \
    "S 220 mx\nC EHLO me.example\nS 250-mx\n" \
    "S 250-PIPELINING\nS 250 ENHANCEDSTATUSCODES\n"
#define HELLO_SLOW "S 220 mx\nC EHLO me.example\nS 250 mx\n"
#define ENVELOPE "C MAIL FROM:<s@x>\nC RCPT TO:<r@x>\nC DATA\n"
#define DELIVERY ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\nS 250 2.0.0 taken\n"

struct rig;

struct rig_connection {
    struct list_link link;
    struct rig_hop *hop;
    struct stream *stream;
    const char *script; /* what is left of it */
    bool is_in_body;
    bool is_in_work;
    size_t octets_left; /* of an L line */
};

struct rig_hop {
    struct rig *rig;
    struct smtp_host host;
    int descriptor;
    struct listener *listener;
    const char *dialogues[RIG_DIALOGUES_MAX];
    size_t accepted;
    struct list connections;
};

struct rig_message {
    struct smtp_client_transaction transaction;
    struct smtp_client_recipient recipients[RIG_RECIPIENTS_MAX];
    char names[RIG_RECIPIENTS_MAX][64];
    struct text piece;
    bool is_refused_to_finish;
};

struct rig {
    struct loop *loop;
    struct smtp_pool_options options;
    struct smtp_pool *pool;
    struct timer watchdog;
    struct timer poll;
    struct rig_hop hops[RIG_HOPS_MAX];
    size_t hop_count;
    struct rig_message messages[RIG_MESSAGES_MAX];
    size_t message_count;
    size_t taken;
    size_t done;
    size_t open_connections;
    size_t connections_most;
    bool is_drained;
    bool keeps_waiting; /* a failed host does not end what waits */
    bool stops_when_closed; /* though messages wait */
    bool may_not_connect;
    size_t held_back; /* messages not offered yet */
    void (*on_event)(struct rig *rig); /* done, failed or closed */
    struct buffer report; /* "r@x delivered …\n" */
    struct buffer bodies; /* as they came, dots and all */
    struct buffer transcripts;
    struct buffer complaints;
    bool has_timed_out;
};

static struct test_certificate rig_certificate;
static struct tls_context *rig_server_tls;
static struct tls_context *rig_any_tls;
static struct tls_context *rig_verified_tls; /* trusts the certificate */
static struct tls_context *rig_strict_tls; /* does not */

/* -- the hops -- */

static inline void rig_connection_close(struct rig_connection *connection)
{
    list_remove(&connection->link);
    stream_close(&connection->stream);
    loop_dispose(connection->hop->rig->loop, memory_free, connection);
}

static inline struct text rig_next_row(struct rig_connection *connection)
{
    size_t length = strcspn(connection->script, "\n");
    return (struct text){ connection->script, length };
}

static inline void rig_skip_row(struct rig_connection *connection)
{
    connection->script += strcspn(connection->script, "\n");
    connection->script += connection->script[0] == '\n' ? 1 : 0;
}

static inline void rig_complain(struct rig_connection *connection,
                                struct text wanted, struct text got)
{
    buffer_printf(&connection->hop->rig->complaints,
                  "expected '%.*s', got '%.*s'\n", TEXT_ARGUMENTS(wanted),
                  TEXT_ARGUMENTS(got));
    rig_connection_close(connection);
}

/* One line off the input, without CRLF; false if there is none yet. */
static inline bool rig_peek_line(struct rig_connection *connection,
                                 struct text *out_line)
{
    struct text input = stream_input(connection->stream);
    const char *end = memmem(input.data, input.length, "\r\n", 2);
    if (end == NULL) {
        return false;
    }
    *out_line = text_slice(input, 0, (size_t)(end - input.data));
    return true;
}

static inline bool rig_take_body(struct rig_connection *connection)
{
    struct rig *rig = connection->hop->rig;
    struct text line;
    while (rig_peek_line(connection, &line)) {
        bool is_dot = text_is(line, ".");
        buffer_append_text(&rig->bodies, line);
        buffer_append_string(&rig->bodies, "\r\n");
        stream_consume(connection->stream, line.length + 2);
        if (is_dot) {
            rig_skip_row(connection);
            return true;
        }
    }
    return false;
}

static inline bool rig_take_octets(struct rig_connection *connection,
                                   struct text row)
{
    struct text input = stream_input(connection->stream);
    uint64_t wanted = 0;
    assert_true(text_to_uint64(text_slice(row, 2, row.length), &wanted));
    if (connection->octets_left == 0) {
        connection->octets_left = wanted;
    }
    size_t now = input.length < connection->octets_left
                     ? input.length
                     : connection->octets_left;
    stream_consume(connection->stream, now);
    connection->octets_left -= now;
    if (connection->octets_left == 0) {
        rig_skip_row(connection);
        return true;
    }
    return false;
}

static inline void rig_say_goodbye(struct rig_connection *connection)
{
    stream_printf(connection->stream, "221 bye\r\n");
    rig_connection_close(connection);
}

static inline bool rig_take_command(struct rig_connection *connection,
                                    struct text row)
{
    struct text wanted = text_slice(row, 2, row.length);
    struct text line;
    if (!rig_peek_line(connection, &line)) {
        return false;
    }
    if (text_is(line, "QUIT") && !text_equal(line, wanted)) {
        rig_say_goodbye(connection);
        return false;
    }
    if (!text_equal(line, wanted)) {
        rig_complain(connection, wanted, line);
        return false;
    }
    stream_consume(connection->stream, line.length + 2);
    rig_skip_row(connection);
    return true;
}

static inline void rig_flood(struct rig_connection *connection,
                             const char *unit)
{
    for (size_t i = 0; i < (size_t)10 * 1024 * 1024 / strlen(unit); i++) {
        stream_write(connection->stream, unit, strlen(unit));
    }
}

static inline void rig_answer_quit(struct rig_connection *connection)
{
    struct text line;
    if (rig_peek_line(connection, &line)) {
        if (text_is(line, "QUIT")) {
            rig_say_goodbye(connection);
        } else {
            rig_complain(connection, TEXT_LITERAL("QUIT"), line);
        }
    }
}

/* Play one row; whether the next one can be played now. */
static inline bool rig_play_row(struct rig_connection *connection)
{
    struct text row = rig_next_row(connection);
    struct text line;
    switch (row.length > 0 ? row.data[0] : '\0') {
    case 'S':
        stream_printf(connection->stream, "%.*s\r\n", (int)row.length - 2,
                      row.data + 2);
        break;
    case 'C':
        return rig_take_command(connection, row);
    case 'N':
        line = stream_input(connection->stream);
        if (line.length > 0) {
            rig_complain(connection, TEXT_LITERAL("nothing"), line);
            return false;
        }
        break;
    case 'B':
        return rig_take_body(connection);
    case 'L':
        return rig_take_octets(connection, row);
    case 'T':
        rig_skip_row(connection);
        stream_start_tls_server(connection->stream, rig_server_tls);
        return false;
    case 'F':
        rig_flood(connection, "250-more and more and more and more\r\n");
        break;
    case 'G':
        rig_flood(connection, "250-more and more and more and more and ");
        break;
    case 'X':
        rig_connection_close(connection);
        return false;
    case 'W':
        return false;
    default:
        rig_answer_quit(connection);
        return false;
    }
    rig_skip_row(connection);
    return true;
}

static inline void rig_play(void *owner)
{
    struct rig_connection *connection = owner;
    if (!connection->is_in_work) {
        connection->is_in_work = true;
        while (connection->stream != NULL && rig_play_row(connection)) {
        }
        connection->is_in_work = false;
    }
}

static inline void rig_on_closed(void *owner, enum stream_end end,
                                 const struct error *error)
{
    struct rig_connection *connection = owner;
    (void)end;
    (void)error;
    rig_connection_close(connection);
}

static const struct stream_handler rig_stream_handler = {
    .on_tls_started = rig_play,
    .on_readable = rig_play,
    .on_closed = rig_on_closed,
};

static inline void rig_on_accept(void *owner, int descriptor,
                                 const struct network_address *peer)
{
    struct rig_hop *hop = owner;
    struct rig_connection *connection = memory_alloc(sizeof(*connection));
    (void)peer;
    connection->hop = hop;
    connection->script = "";
    if (hop->accepted < RIG_DIALOGUES_MAX &&
        hop->dialogues[hop->accepted] != NULL) {
        connection->script = hop->dialogues[hop->accepted];
    } else {
        buffer_printf(&hop->rig->complaints,
                      "connection %zu was not expected\n", hop->accepted + 1);
    }
    hop->accepted++;
    connection->stream = stream_accept(hop->rig->loop, descriptor,
                                       &rig_stream_handler, connection);
    stream_set_input_limit(connection->stream, (size_t)4 * 1024 * 1024);
    list_append(&hop->connections, &connection->link);
    rig_play(connection);
}

/* dialogues NULL: nobody listens there. */
static inline void rig_add_hop(struct rig *rig, const char *const *dialogues)
{
    struct rig_hop *hop = &rig->hops[rig->hop_count++];
    struct network_address any;
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    struct error error;
    hop->rig = rig;
    assert_true(network_address_parse(text_of("127.0.0.1"), 0, &any));
    hop->descriptor = listener_open(&any, &error);
    assert_true(hop->descriptor >= 0);
    assert_int_equal(
        getsockname(hop->descriptor, (struct sockaddr *)&bound, &length), 0);
    network_address_from_socket((struct sockaddr *)&bound, length,
                                &hop->host.address);
    snprintf(hop->host.name, sizeof(hop->host.name), "mx%zu.example",
             rig->hop_count);
    if (dialogues == NULL) {
        close(hop->descriptor);
        hop->descriptor = -1;
        return;
    }
    for (size_t i = 0; i < RIG_DIALOGUES_MAX && dialogues[i] != NULL; i++) {
        hop->dialogues[i] = dialogues[i];
    }
    hop->listener =
        listener_start(rig->loop, hop->descriptor, NULL, rig_on_accept, hop);
}

/* -- the pool's caller -- */

static inline void rig_check_end(struct rig *rig);

static inline void rig_report_outcome(struct rig *rig, const char *who,
                                      const struct smtp_outcome *outcome)
{
    buffer_printf(&rig->report, "%s %s", who,
                  smtp_verdict_text(outcome->verdict));
    if (outcome->verdict != VERDICT_DELIVERED) {
        buffer_printf(&rig->report, " %s %s at %s%s",
                      smtp_scope_text(outcome->scope), outcome->enhanced,
                      outcome->step, outcome->is_untried ? " untried" : "");
    }
    buffer_append_byte(&rig->report, '\n');
}

static inline struct smtp_client_transaction *rig_take_work(
    void *owner, bool peer_has_8bitmime)
{
    struct rig *rig = owner;
    (void)peer_has_8bitmime;
    if (rig->taken + rig->held_back >= rig->message_count) {
        return NULL;
    }
    return &rig->messages[rig->taken++].transaction;
}

static inline void rig_on_done(void *owner,
                               struct smtp_client_transaction *transaction)
{
    struct rig *rig = owner;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        rig_report_outcome(rig, transaction->recipients[i].address,
                           &transaction->recipients[i].outcome);
    }
    buffer_append_text(&rig->transcripts,
                       buffer_text(&transaction->transcript.lines));
    transcript_free(&transaction->transcript);
    rig->done++;
    rig_check_end(rig);
}

static inline void rig_on_connect_failed(void *owner,
                                         const struct smtp_host *host,
                                         const struct smtp_outcome *outcome,
                                         const struct transcript *transcript,
                                         int64_t started_at)
{
    struct rig *rig = owner;
    assert_true(started_at > 0);
    rig_report_outcome(rig, host->name, outcome);
    buffer_append_text(&rig->transcripts, buffer_text(&transcript->lines));
    if (!smtp_pool_has_host(rig->pool) && !rig->keeps_waiting) {
        rig->done += rig->message_count - rig->taken;
        rig->taken = rig->message_count;
    }
    rig_check_end(rig);
}

static inline size_t rig_work_waiting(void *owner)
{
    const struct rig *rig = owner;
    return rig->message_count - rig->taken - rig->held_back;
}

static inline bool rig_may_connect(void *owner)
{
    struct rig *rig = owner;
    if (rig->may_not_connect) {
        return false;
    }
    rig->open_connections++;
    if (rig->open_connections > rig->connections_most) {
        rig->connections_most = rig->open_connections;
    }
    return true;
}

static inline void rig_on_connection_closed(void *owner)
{
    struct rig *rig = owner;
    rig->open_connections--;
    rig_check_end(rig);
}

static const struct smtp_pool_handler rig_pool_handler = {
    .take_work = rig_take_work,
    .on_done = rig_on_done,
    .on_connect_failed = rig_on_connect_failed,
    .work_waiting = rig_work_waiting,
    .may_connect = rig_may_connect,
    .on_connection_closed = rig_on_connection_closed,
};

static inline void rig_on_drained(void *owner)
{
    struct rig *rig = owner;
    rig->is_drained = true;
    rig_check_end(rig);
}

/* All messages done: drain, then wait until the last QUIT is answered. */
static inline void rig_check_end(struct rig *rig)
{
    if (rig->pool != NULL && rig->on_event != NULL) {
        rig->on_event(rig);
    }
    if (rig->stops_when_closed && rig->open_connections == 0) {
        loop_stop(rig->loop);
    }
    if (rig->pool == NULL || rig->done < rig->message_count) {
        return;
    }
    if (!rig->is_drained) {
        smtp_pool_drain(rig->pool, rig_on_drained, rig);
    } else if (rig->open_connections == 0) {
        loop_stop(rig->loop);
    }
}

static inline bool rig_may_finish(void *owner)
{
    const struct rig_message *message = owner;
    return !message->is_refused_to_finish;
}

/* recipients: "a@x b@x". */
static inline struct rig_message *rig_add_message(struct rig *rig,
                                                  const char *recipients,
                                                  const char *body)
{
    struct rig_message *message = &rig->messages[rig->message_count++];
    struct smtp_client_transaction *transaction = &message->transaction;
    struct text rest = text_of(recipients);
    struct text word;
    message->piece = text_of(body);
    transaction->sender = "s@x";
    transaction->pieces = &message->piece;
    transaction->piece_count = 1;
    transaction->size_bytes = message->piece.length;
    transaction->recipients = message->recipients;
    transaction->may_finish = rig_may_finish;
    transaction->owner = message;
    while (text_split(&rest, ' ', &word)) {
        size_t i = transaction->recipient_count++;
        snprintf(message->names[i], sizeof(message->names[i]), "%.*s",
                 TEXT_ARGUMENTS(word));
        message->recipients[i].address = message->names[i];
    }
    return message;
}

static inline void rig_on_watchdog(void *owner)
{
    struct rig *rig = owner;
    rig->has_timed_out = true;
    loop_stop(rig->loop);
}

static inline void rig_open(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    log_configure(LOG_ERROR, false);
    rig->loop = loop_create();
    rig->options = (struct smtp_pool_options){
        .hostname = "me.example",
        .tls = CLIENT_TLS_OPPORTUNISTIC,
        .tls_any = rig_any_tls,
        .tls_verified = rig_verified_tls,
        .connections_max = 1,
        .idle_milliseconds = 60000,
        .connect_timeout_milliseconds = 30000,
        .host_penalty_milliseconds = 600000,
    };
}

/* Create the pool and run until every message is done. */
static inline void rig_run(struct rig *rig)
{
    struct smtp_host hosts[RIG_HOPS_MAX];
    rig->pool =
        smtp_pool_create(rig->loop, &rig->options, &rig_pool_handler, rig);
    for (size_t i = 0; i < rig->hop_count; i++) {
        hosts[i] = rig->hops[i].host;
    }
    smtp_pool_set_hosts(rig->pool, hosts, rig->hop_count);
    timer_start(&rig->watchdog, rig->loop, (int64_t)20000 * clock_rate(),
                rig_on_watchdog, rig);
    loop_run(rig->loop);
}

static inline void rig_close(struct rig *rig)
{
    timer_stop(&rig->watchdog);
    timer_stop(&rig->poll);
    smtp_pool_free(&rig->pool);
    for (size_t i = 0; i < rig->hop_count; i++) {
        struct rig_hop *hop = &rig->hops[i];
        struct list_link *link;
        while ((link = hop->connections.first) != NULL) {
            rig_connection_close(LIST_ITEM(link, struct rig_connection, link));
        }
        listener_stop(&hop->listener);
        if (hop->descriptor >= 0) {
            close(hop->descriptor);
        }
    }
    buffer_free(&rig->report);
    buffer_free(&rig->bodies);
    buffer_free(&rig->transcripts);
    buffer_free(&rig->complaints);
    loop_free(&rig->loop);
}

static inline const char *rig_text(struct buffer *buffer)
{
    buffer_append(buffer, "", 0);
    return buffer->data != NULL ? buffer->data : "";
}

/* The hops got what they expected and every outcome is as wanted. */
static inline void rig_expect(struct rig *rig, const char *name,
                              const char *report)
{
    const char *complaints = rig_text(&rig->complaints);
    if (rig->has_timed_out || complaints[0] != '\0' ||
        strcmp(rig_text(&rig->report), report) != 0) {
        print_error("%s%s\n%s--- got:\n%s--- wanted:\n%s--- transcript:\n%s",
                    name, rig->has_timed_out ? ": hangs" : "", complaints,
                    rig_text(&rig->report), report,
                    rig_text(&rig->transcripts));
        fail();
    }
}

static inline int rig_set_up_tls(void **state)
{
    struct error error;
    (void)state;
    if (!test_certificate_make(&rig_certificate, "mx1.example")) {
        return 1;
    }
    rig_server_tls = tls_server_context_create(
        rig_certificate.certificate_path, rig_certificate.key_path, &error);
    rig_any_tls = tls_client_context_create(TLS_VERIFY_NONE, NULL, &error);
    rig_verified_tls = tls_client_context_create(
        TLS_VERIFY_NAME, rig_certificate.certificate_path, &error);
    rig_strict_tls = tls_client_context_create(TLS_VERIFY_NAME, NULL, &error);
    return rig_server_tls == NULL || rig_any_tls == NULL ||
                   rig_verified_tls == NULL || rig_strict_tls == NULL
               ? 1
               : 0;
}

static inline int rig_tear_down_tls(void **state)
{
    (void)state;
    tls_context_free(&rig_server_tls);
    tls_context_free(&rig_any_tls);
    tls_context_free(&rig_verified_tls);
    tls_context_free(&rig_strict_tls);
    test_certificate_remove(&rig_certificate);
    return 0;
}

/* A table's rows: one message each, unless a row says otherwise. */
struct rig_row {
    const char *name;
    const char *recipients; /* NULL: r@x */
    const char *report;
    const char *dialogues[RIG_DIALOGUES_MAX]; /* of the first host */
    const char *others[RIG_DIALOGUES_MAX]; /* of the second, if any */
    size_t messages; /* 0: one */
    void (*adjust)(struct rig *rig);
};

#define RIG_BODY "Subject: x\r\n\r\nhello\r\n"

static inline void rig_run_row(const struct rig_row *row)
{
    static struct rig rig;
    rig_open(&rig);
    rig_add_hop(&rig, row->dialogues);
    if (row->others[0] != NULL) {
        rig_add_hop(&rig, row->others);
    }
    for (size_t i = 0; i == 0 || i < row->messages; i++) {
        rig_add_message(&rig, row->recipients != NULL ? row->recipients : "r@x",
                        RIG_BODY);
    }
    if (row->adjust != NULL) {
        row->adjust(&rig);
    }
    rig_run(&rig);
    rig_expect(&rig, row->name, row->report);
    rig_close(&rig);
}

#endif
