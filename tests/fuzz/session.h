/* SPDX-License-Identifier: MIT */
/* A whole submission session for a fuzz target: fed with a script, in writes
 * whose sizes the target chooses; its replies must be well-formed. */
#ifndef BATON_TESTS_FUZZ_SESSION_H
#define BATON_TESTS_FUZZ_SESSION_H

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/config.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "smtp/server.h"

struct feed {
    struct loop *loop;
    int descriptor;
    struct text script; /* what is left of it */
    struct text cuts; /* the sizes of the writes less one, again and again */
    size_t write_count;
    struct buffer replies;
};

static struct smtp_server_session *current_session;

static void *on_session(void *owner, struct smtp_server_session *session,
                        const struct smtp_client_facts *facts,
                        struct smtp_reply *out_refusal)
{
    (void)facts;
    (void)out_refusal;
    current_session = session;
    return owner;
}

static void on_session_end(void *client)
{
    struct feed *feed = client;
    current_session = NULL;
    loop_stop(feed->loop);
}

static void on_mail(void *client, const struct smtp_transaction *transaction,
                    struct smtp_reply *out_reply)
{
    (void)client;
    (void)transaction;
    (void)out_reply;
}

static void on_recipient(void *client,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient,
                         struct smtp_reply *out_reply)
{
    (void)client;
    (void)transaction;
    (void)recipient;
    (void)out_reply;
}

static void read_replies(struct feed *feed)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(feed->descriptor, bytes, sizeof(bytes), MSG_DONTWAIT)) >
           0) {
        buffer_append(&feed->replies, bytes, (size_t)got);
    }
}

static void write_some(void *owner)
{
    struct feed *feed = owner;
    size_t length = feed->script.length;
    if (feed->cuts.length > 0) {
        size_t i = feed->write_count++ % feed->cuts.length;
        size_t cut = (unsigned char)feed->cuts.data[i] + (size_t)1;
        length = cut < length ? cut : length;
    }
    ssize_t sent = send(feed->descriptor, feed->script.data, length,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    read_replies(feed);
    if (sent > 0) {
        feed->script =
            text_slice(feed->script, (size_t)sent, feed->script.length);
    }
    if (feed->script.length == 0) {
        (void)shutdown(feed->descriptor, SHUT_WR);
    } else {
        loop_post(feed->loop, write_some, feed);
    }
}

static void load_limits(void)
{
    static struct config *config;
    struct error error;
    if (config == NULL) {
        config = config_create();
        setenv("BATON_LIMITS_AUTH_DELAY", "1 ms", 1);
        config_add(config, smtp_settings, smtp_setting_count);
        check(config_load(config, NULL, &error));
        id_set_worker(1);
        log_configure(LOG_ERROR, false);
    }
}

/* Lines of printable ASCII with a code, and CR LF. */
static void check_replies(struct text replies)
{
    struct text line;
    while (text_split(&replies, '\n', &line)) {
        check(line.length >= 4 && line.length <= 511);
        for (size_t i = 0; i < 3; i++) {
            check(ascii_is_digit(line.data[i]));
        }
        check(line.data[3] == ' ' || line.data[3] == '-');
        for (size_t i = 4; i < line.length - 1; i++) {
            check(line.data[i] >= ' ' && line.data[i] <= '~');
        }
        check(line.data[line.length - 1] == '\r');
    }
}

/* Returns what the server said; to be freed. */
static struct buffer run_session(const struct smtp_server_handler *handler,
                                 struct text script, struct text cuts)
{
    static const struct smtp_listener_policy policy = { .auth_in_clear = true };
    int pair[2];
    struct network_address peer;
    struct feed feed = { .loop = loop_create() };
    load_limits();
    struct budget *budget = budget_create(feed.loop, 1 << 20, 1 << 19);
    struct smtp_server_options options = {
        .hostname = "mx.example",
        .handler = handler,
        .owner = &feed,
        .budget = budget,
    };
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    check(network_address_parse(TEXT_LITERAL("203.0.113.9"), 1, &peer));
    struct smtp_server *server = smtp_server_create(feed.loop, &options);
    feed.descriptor = pair[1];
    feed.script = script;
    feed.cuts = cuts;
    smtp_server_accept(server, pair[0], &peer, &policy);
    loop_post(feed.loop, write_some, &feed);
    loop_run(feed.loop);
    read_replies(&feed);
    smtp_server_free(&server);
    check(budget_used_bytes(budget) == 0);
    close(pair[1]);
    budget_free(&budget);
    loop_free(&feed.loop);
    check_replies(buffer_text(&feed.replies));
    return feed.replies;
}

/* Take a counted piece off the front: one octet says how long, at most
 * limit. */
static inline struct text take_piece(struct text *rest, size_t limit)
{
    size_t length = 0;
    if (rest->length > 0) {
        length = (unsigned char)rest->data[0] % (limit + 1);
        *rest = text_slice(*rest, 1, rest->length);
    }
    length = length < rest->length ? length : rest->length;
    struct text piece = text_slice(*rest, 0, length);
    *rest = text_slice(*rest, length, rest->length);
    return piece;
}

#endif
