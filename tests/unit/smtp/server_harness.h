/* SPDX-License-Identifier: MIT */
/*
 * A real submission server and a client on a socket pair, in one loop with a
 * watchdog. Dialogues are rows of "send this, expect these replies".
 */
#ifndef BATON_TESTS_SERVER_HARNESS_H
#define BATON_TESTS_SERVER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config.h"
#include "core/id.h"
#include "core/memory.h"
#include "core/stream.h"
#include "smtp/server.h"

#define WATCHDOG_MILLISECONDS 20000
#define HARNESS_HOST "mx.example"

struct harness {
    struct loop *loop;
    struct config *config;
    struct budget *budget;
    struct smtp_server *server;
    struct smtp_listener_policy policy;
    struct timer watchdog;
    bool has_timed_out;

    /* The client's side. */
    struct stream *client;
    struct buffer received; /* not yet expected */
    struct buffer outgoing;
    size_t bytes_per_write; /* 0: all at once */
    bool is_closed;
    size_t wanted_replies;
    bool wants_tls;
    bool has_tls;
    bool (*is_done)(struct harness *harness); /* instead of replies */

    /* The handler: what it does and what it saw. */
    struct smtp_reply session_refusal; /* code 0: none */
    struct smtp_reply message_reply;
    bool answers_later;
    bool never_answers;
    struct smtp_server_session *session;
    const struct smtp_client_facts *facts;
    enum smtp_auth_verdict verdict;
    size_t sessions_begun;
    size_t sessions_ended;
    size_t mail_count;
    size_t message_count;
    size_t auth_count;
    size_t recipient_count; /* of the last message */
    char user[256];
    char password[256];
    char sender[256];
    char transcript[20000];
    struct buffer data; /* the last message */
    bool has_8bit;
    bool is_smtputf8;
    size_t longest_line;
    char protocol[32];
    bool refuses_asked; /* the recipient that is answered later */
    bool is_drained;
    struct budget_share kept; /* where take_share moves the message's memory */
    bool take_share;
};

/* What the fake handler keeps of a session. */
struct harness_client {
    struct harness *harness;
    struct smtp_server_session *session;
};

/* --- the handler --- */

static inline void *harness_on_session(void *owner,
                                       struct smtp_server_session *session,
                                       const struct smtp_client_facts *facts,
                                       struct smtp_reply *out_refusal)
{
    struct harness *harness = owner;
    harness->session = session;
    harness->facts = facts;
    *out_refusal = harness->session_refusal;
    if (out_refusal->code != 0) {
        return NULL;
    }
    harness->sessions_begun++;
    struct harness_client *kept = memory_alloc(sizeof(*kept));
    kept->harness = harness;
    kept->session = session;
    return kept;
}

static inline void harness_on_session_end(void *client)
{
    struct harness_client *kept = client;
    struct harness *harness = kept->harness;
    harness->sessions_ended++;
    if (harness->session == kept->session) {
        harness->session = NULL;
    }
    memory_free(kept);
}

static inline void harness_answer_auth(void *owner)
{
    struct harness *harness = owner;
    if (harness->session != NULL) {
        smtp_server_authenticated(harness->session, harness->verdict);
    }
}

static inline void harness_on_authenticate(void *client, const char *user,
                                           const char *password)
{
    struct harness_client *kept = client;
    struct harness *harness = kept->harness;
    harness->session = kept->session;
    harness->auth_count++;
    (void)snprintf(harness->user, sizeof(harness->user), "%s", user);
    (void)snprintf(harness->password, sizeof(harness->password), "%s",
                   password);
    if (strcmp(user, "down") == 0) {
        harness->verdict = AUTH_UNAVAILABLE;
    } else if (strcmp(user, "throttled") == 0) {
        harness->verdict = AUTH_THROTTLED;
    } else {
        harness->verdict =
            strcmp(password, "secret") == 0 ? AUTH_ACCEPTED : AUTH_REFUSED;
    }
    if (harness->answers_later) {
        loop_post(harness->loop, harness_answer_auth, harness);
    } else {
        harness_answer_auth(harness);
    }
}

static inline void harness_on_mail(void *client,
                                   const struct smtp_transaction *transaction,
                                   struct smtp_reply *out_reply)
{
    struct harness *harness = ((struct harness_client *)client)->harness;
    harness->mail_count++;
    if (strcmp(transaction->sender_domain, "refused.example") == 0) {
        smtp_reply_set(out_reply, 550, "5.7.1", "Not your domain");
    }
}

static inline void harness_answer_recipient(void *owner)
{
    struct harness *harness = owner;
    struct smtp_reply reply = { 0 };
    if (harness->refuses_asked) {
        smtp_reply_set(&reply, 550, "5.7.1", "Suppressed");
    }
    if (harness->session != NULL) {
        smtp_server_answer_recipient(harness->session, &reply);
    }
}

static inline void harness_on_recipient(
    void *client, const struct smtp_transaction *transaction,
    const struct smtp_recipient *recipient, struct smtp_reply *out_reply)
{
    struct harness_client *kept = client;
    (void)transaction;
    if (strcmp(recipient->domain, "asked.example") == 0) {
        kept->harness->session = kept->session;
        kept->harness->refuses_asked = recipient->local[0] == 'x';
        out_reply->code = SMTP_REPLY_LATER;
        loop_post(kept->harness->loop, harness_answer_recipient, kept->harness);
    } else if (strcmp(recipient->domain, "refused.example") == 0) {
        smtp_reply_set(out_reply, 550, "5.1.1", "No such user");
    } else if (strcmp(recipient->domain, "later.example") == 0) {
        smtp_reply_set(out_reply, 451, "", "Try later");
    }
}

static inline void harness_answer_message(void *owner)
{
    struct harness *harness = owner;
    if (harness->session != NULL) {
        smtp_server_finish(harness->session, &harness->message_reply);
    }
}

static inline void harness_on_message(void *client,
                                      struct smtp_transaction *transaction,
                                      const struct transcript *transcript)
{
    struct harness_client *kept = client;
    struct harness *harness = kept->harness;
    harness->session = kept->session;
    harness->message_count++;
    harness->recipient_count = transaction->recipient_count;
    harness->has_8bit = transaction->has_8bit;
    harness->is_smtputf8 = transaction->is_smtputf8;
    harness->longest_line = transaction->longest_line;
    (void)snprintf(harness->sender, sizeof(harness->sender), "%s",
                   transaction->sender);
    (void)snprintf(harness->protocol, sizeof(harness->protocol), "%s",
                   harness->facts->protocol);
    (void)snprintf(harness->transcript, sizeof(harness->transcript), "%.*s",
                   TEXT_ARGUMENTS(buffer_text(&transcript->lines)));
    buffer_clear(&harness->data);
    buffer_append_text(&harness->data, buffer_text(&transaction->data));
    if (harness->take_share) {
        budget_move(&transaction->share, &harness->kept);
    }
    if (harness->never_answers) {
        return;
    }
    if (harness->answers_later) {
        loop_post(harness->loop, harness_answer_message, harness);
    } else {
        harness_answer_message(harness);
    }
}

static const struct smtp_server_handler harness_handler = {
    .on_session = harness_on_session,
    .on_session_end = harness_on_session_end,
    .on_authenticate = harness_on_authenticate,
    .on_mail = harness_on_mail,
    .on_recipient = harness_on_recipient,
    .on_message = harness_on_message,
};

/* --- the client --- */

/* The length of the first whole reply, or 0. */
static inline size_t harness_measure_reply(struct text bytes)
{
    size_t at = 0;
    while (at + 4 <= bytes.length) {
        const char *end = memmem(bytes.data + at, bytes.length - at, "\r\n", 2);
        if (end == NULL) {
            return 0;
        }
        size_t next = (size_t)(end - bytes.data) + 2;
        if (bytes.data[at + 3] != '-') {
            return next;
        }
        at = next;
    }
    return 0;
}

static inline size_t harness_count_replies(struct text bytes)
{
    size_t count = 0;
    size_t length;
    while ((length = harness_measure_reply(bytes)) > 0) {
        bytes = text_slice(bytes, length, bytes.length);
        count++;
    }
    return count;
}

static inline bool harness_has_replies(const struct harness *harness)
{
    return harness->outgoing.length == 0 &&
           (!harness->wants_tls || harness->has_tls) &&
           harness_count_replies(buffer_text(&harness->received)) >=
               harness->wanted_replies;
}

static inline void harness_stop_if_done(struct harness *harness)
{
    bool is_done = harness->is_done != NULL ? harness->is_done(harness)
                                            : harness_has_replies(harness);
    if (is_done || harness->is_closed || harness->has_timed_out) {
        loop_stop(harness->loop);
    }
}

static inline void harness_on_client_readable(void *owner)
{
    struct harness *harness = owner;
    struct text input = stream_input(harness->client);
    buffer_append_text(&harness->received, input);
    stream_consume(harness->client, input.length);
    harness_stop_if_done(harness);
}

static inline void harness_on_client_closed(void *owner, enum stream_end end,
                                            const struct error *error)
{
    struct harness *harness = owner;
    (void)end;
    (void)error;
    harness->is_closed = true;
    harness_stop_if_done(harness);
}

static inline void harness_on_client_tls(void *owner)
{
    struct harness *harness = owner;
    harness->has_tls = true;
    harness_stop_if_done(harness);
}

static const struct stream_handler harness_client_events = {
    .on_tls_started = harness_on_client_tls,
    .on_readable = harness_on_client_readable,
    .on_closed = harness_on_client_closed,
};

static inline void harness_pump(void *owner)
{
    struct harness *harness = owner;
    size_t length = harness->outgoing.length;
    if (harness->bytes_per_write > 0 && length > harness->bytes_per_write) {
        length = harness->bytes_per_write;
    }
    if (harness->client != NULL && !harness->is_closed) {
        stream_write(harness->client, harness->outgoing.data, length);
    }
    buffer_remove_front(&harness->outgoing, length);
    if (harness->outgoing.length > 0) {
        loop_post(harness->loop, harness_pump, harness);
    } else {
        harness_stop_if_done(harness);
    }
}

static inline void harness_on_watchdog(void *owner)
{
    struct harness *harness = owner;
    harness->has_timed_out = true;
    loop_stop(harness->loop);
}

static inline void harness_run(struct harness *harness)
{
    timer_start(&harness->watchdog, harness->loop, WATCHDOG_MILLISECONDS,
                harness_on_watchdog, harness);
    loop_run(harness->loop);
    timer_stop(&harness->watchdog);
    if (harness->has_timed_out) {
        fail_msg("timed out; received so far: %s",
                 harness->received.data != NULL ? harness->received.data : "");
    }
}

/* Run until the fake handler or the server is in a certain state. */
static inline void harness_check_state(void *owner)
{
    struct harness *harness = owner;
    if (harness->is_done != NULL) {
        harness_stop_if_done(harness);
        loop_post(harness->loop, harness_check_state, harness);
    }
}

static inline void harness_run_until(struct harness *harness,
                                     bool (*is_done)(struct harness *))
{
    bool was_closed = harness->is_closed;
    harness->is_done = is_done;
    harness->is_closed = false;
    loop_post(harness->loop, harness_check_state, harness);
    harness_run(harness);
    harness->is_done = NULL;
    harness->is_closed = harness->is_closed || was_closed;
}

static inline void harness_send(struct harness *harness, struct text bytes)
{
    buffer_append_text(&harness->outgoing, bytes);
    loop_post(harness->loop, harness_pump, harness);
}

/* Wait for one reply; its text, to be freed with memory_free. */
static inline char *harness_take_reply(struct harness *harness)
{
    harness->wanted_replies = 1;
    size_t length = harness_measure_reply(buffer_text(&harness->received));
    if (length == 0 && !harness->is_closed) {
        harness_run(harness);
        length = harness_measure_reply(buffer_text(&harness->received));
    }
    char *reply = memory_copy_bytes(
        harness->received.data != NULL ? harness->received.data : "", length);
    buffer_remove_front(&harness->received, length);
    return reply;
}

/* Expect the next replies: "250 2.1.0|354 ", each the beginning of one. "!" is
 * the end of the connection. */
static inline void harness_expect(struct harness *harness, const char *expected)
{
    struct text rest = text_of(expected);
    struct text beginning;
    while (text_split(&rest, '|', &beginning)) {
        char *reply = harness_take_reply(harness);
        bool is_right =
            text_is(beginning, "!")
                ? reply[0] == '\0' && harness->is_closed
                : strncmp(reply, beginning.data, beginning.length) == 0 &&
                      beginning.length <= strlen(reply);
        if (!is_right) {
            fail_msg("expected \"%.*s\", got \"%s\"", TEXT_ARGUMENTS(beginning),
                     reply);
        }
        memory_free(reply);
    }
}

struct exchange {
    const char *send;
    const char *expect;
};

static inline void harness_exchange(struct harness *harness, const char *send,
                                    const char *expect)
{
    harness_send(harness, text_of(send));
    harness_expect(harness, expect);
}

static inline void harness_talk(struct harness *harness,
                                const struct exchange *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        harness_exchange(harness, rows[i].send, rows[i].expect);
    }
}
#define TALK(harness, rows) harness_talk(harness, rows, ARRAY_LENGTH(rows))

static inline void harness_connect_from(struct harness *harness,
                                        const char *peer)
{
    int pair[2];
    struct network_address address;
    assert_true(network_address_parse(text_of(peer), 40000, &address));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
                     0);
    stream_close(&harness->client);
    buffer_clear(&harness->received);
    harness->is_closed = false;
    harness->has_tls = false;
    harness->wants_tls = false;
    harness->client =
        stream_accept(harness->loop, pair[1], &harness_client_events, harness);
    smtp_server_accept(harness->server, pair[0], &address, &harness->policy);
}

static inline void harness_connect(struct harness *harness)
{
    harness_connect_from(harness, "203.0.113.9");
}

/* Connect, greeting and EHLO. */
static inline void harness_say_hello(struct harness *harness)
{
    harness_connect(harness);
    harness_exchange(harness, "", "220 " HARNESS_HOST " ESMTP Baton\r\n");
    harness_exchange(harness, "EHLO client.example\r\n", "250-" HARNESS_HOST);
}

static inline void harness_start_tls(struct harness *harness,
                                     const struct tls_context *context)
{
    harness->wants_tls = true;
    harness->wanted_replies = 0;
    stream_start_tls_client(harness->client, context, NULL);
    harness_run(harness);
    assert_true(harness->has_tls);
}

static inline void harness_set_limit(const char *key, int64_t value)
{
    for (size_t i = 0; i < smtp_setting_count; i++) {
        if (strcmp(smtp_settings[i].key, key) == 0) {
            *(int64_t *)smtp_settings[i].value = value;
            return;
        }
    }
    fail_msg("there is no limit %s", key);
}

/* --- the frame --- */

static inline struct harness *harness_create_with(size_t budget_bytes)
{
    struct harness *harness = memory_alloc(sizeof(*harness));
    struct error error;
    log_configure(LOG_ERROR, false);
    id_set_worker(1);
    harness->config = config_create();
    config_add(harness->config, smtp_settings, smtp_setting_count);
    if (!config_load(harness->config, NULL, &error)) {
        fail_msg("%s", error.text);
    }
    harness_set_limit("auth_delay", 0);
    harness->loop = loop_create();
    harness->budget = budget_create(harness->loop, budget_bytes,
                                    (size_t)smtp_message_size_limit());
    struct smtp_server_options options = {
        .hostname = HARNESS_HOST,
        .handler = &harness_handler,
        .owner = harness,
        .budget = harness->budget,
    };
    harness->server = smtp_server_create(harness->loop, &options);
    return harness;
}

static inline int harness_set_up(void **state)
{
    *state = harness_create_with((size_t)256 * 1024 * 1024);
    return 0;
}

static inline int harness_tear_down(void **state)
{
    struct harness *harness = *state;
    size_t begun = harness->sessions_begun;
    smtp_server_free(&harness->server);
    budget_give_back(&harness->kept);
    assert_int_equal(harness->sessions_ended, begun);
    assert_int_equal(budget_used_bytes(harness->budget), 0);
    stream_close(&harness->client);
    loop_cancel_posts(harness->loop, harness);
    budget_free(&harness->budget);
    timer_stop(&harness->watchdog);
    loop_free(&harness->loop);
    config_free(&harness->config);
    buffer_free(&harness->received);
    buffer_free(&harness->outgoing);
    buffer_free(&harness->data);
    memory_free(harness);
    return 0;
}

#define SERVER_TEST(name, f)                                 \
    {                                                        \
        (name), (f), harness_set_up, harness_tear_down, NULL \
    }

#endif
