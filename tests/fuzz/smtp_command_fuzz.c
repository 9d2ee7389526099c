/* SPDX-License-Identifier: MIT */
/*
 * A whole submission session fed with anything, in writes of a size that the
 * first octet chooses. It must neither crash nor hang nor keep memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/config.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
    struct loop *loop;
    struct smtp_server *server;
    int descriptor;
    const uint8_t *data;
    size_t left;
    size_t step;
};

static struct smtp_server_session *current;
static const struct smtp_listener_policy policy = { .auth_in_clear = true };

static void *on_session(void *owner, struct smtp_server_session *session,
                        const struct smtp_client_facts *facts,
                        struct smtp_reply *out_refusal)
{
    (void)facts;
    (void)out_refusal;
    current = session;
    return owner;
}

static void on_session_end(void *client)
{
    struct feed *feed = client;
    current = NULL;
    loop_stop(feed->loop);
}

static void on_authenticate(void *client, const char *user,
                            const char *password)
{
    (void)client;
    (void)user;
    smtp_server_authenticated(current, password[0] == 's' ? AUTH_ACCEPTED
                                                          : AUTH_REFUSED);
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

static void on_message(void *client, struct smtp_transaction *transaction,
                       struct text transcript)
{
    static const struct smtp_reply usual;
    (void)client;
    (void)transcript;
    check(transaction->recipient_count > 0);
    smtp_server_finish(current, &usual);
}

static const struct smtp_server_handler handler = {
    on_session, on_session_end, on_authenticate,
    on_mail,    on_recipient,   on_message,
};

static void read_away(int descriptor)
{
    char bytes[4096];
    while (recv(descriptor, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}

static void write_some(void *owner)
{
    struct feed *feed = owner;
    size_t length = feed->left < feed->step ? feed->left : feed->step;
    ssize_t sent =
        send(feed->descriptor, feed->data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    read_away(feed->descriptor);
    if (sent > 0) {
        feed->data += sent;
        feed->left -= (size_t)sent;
    }
    if (feed->left == 0) {
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
        config_add(config, smtp_settings, smtp_setting_count);
        check(config_load(config, NULL, &error));
        id_set_worker(1);
        log_configure(LOG_ERROR, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    struct network_address peer;
    struct feed feed = { .loop = loop_create() };
    load_limits();
    if (size == 0) {
        loop_free(&feed.loop);
        return 0;
    }
    struct budget *budget = budget_create(feed.loop, 1 << 20, 1 << 19);
    struct smtp_server_options options = {
        .hostname = "mx.example",
        .handler = &handler,
        .owner = &feed,
        .budget = budget,
    };
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    check(network_address_parse(TEXT_LITERAL("203.0.113.9"), 1, &peer));
    feed.server = smtp_server_create(feed.loop, &options);
    feed.descriptor = pair[1];
    feed.step = (size_t)data[0] + 1;
    feed.data = data + 1;
    feed.left = size - 1;
    smtp_server_accept(feed.server, pair[0], &peer, &policy);
    loop_post(feed.loop, write_some, &feed);
    loop_run(feed.loop);
    smtp_server_free(&feed.server);
    check(budget_used_bytes(budget) == 0);
    close(pair[1]);
    budget_free(&budget);
    loop_free(&feed.loop);
    return 0;
}
