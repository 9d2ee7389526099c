/* SPDX-License-Identifier: MIT */
/* The submission server as a whole: its sessions, their counts, their end. */
#include "core/memory.h"
#include "smtp/server_internal.h"

struct smtp_server *smtp_server_create(
    struct loop *loop, const struct smtp_server_options *options)
{
    struct smtp_server *server = memory_alloc(sizeof(*server));
    server->loop = loop;
    server->options = *options;
    server->addresses = map_create();
    return server;
}

static void close_all(struct smtp_server *server, const char *reason)
{
    while (server->sessions.first != NULL) {
        session_close(
            LIST_ITEM(server->sessions.first, struct smtp_server_session, link),
            reason);
    }
}

void smtp_server_free(struct smtp_server **server)
{
    struct smtp_server *doomed = *server;
    if (doomed == NULL) {
        return;
    }
    *server = NULL;
    /* Nobody is told any more that the last session has ended. */
    doomed->on_drained = NULL;
    close_all(doomed, "the server stops");
    loop_cancel_posts(doomed->loop, doomed);
    map_free(&doomed->addresses);
    buffer_free(&doomed->line);
    memory_free(doomed);
}

void smtp_server_set_tls(struct smtp_server *server,
                         const struct tls_context *tls)
{
    server->options.tls = tls;
}

void smtp_server_accept(struct smtp_server *server, int descriptor,
                        const struct network_address *peer,
                        const struct smtp_listener_policy *policy)
{
    session_start(server, descriptor, peer, policy);
}

size_t smtp_server_session_count(const struct smtp_server *server)
{
    return server->sessions.count;
}

bool server_count_address(struct smtp_server_session *session)
{
    struct smtp_server *server = session->server;
    struct address_count wanted = { 0 };
    wanted.key_length =
        network_address_client_key(&session->facts.peer, wanted.key);
    struct text key = { wanted.key, wanted.key_length };
    struct address_count *count = map_get(server->addresses, key);
    if (count == NULL) {
        count = memory_alloc(sizeof(*count));
        *count = wanted;
        map_set(server->addresses, key, count);
    }
    count->count++;
    session->address_count = count;
    return count->count <= (size_t)smtp_limits_now()->sessions_per_address;
}

static void uncount_address(struct smtp_server_session *session)
{
    struct address_count *count = session->address_count;
    session->address_count = NULL;
    if (count != NULL && --count->count == 0) {
        (void)map_remove(session->server->addresses,
                         (struct text){ count->key, count->key_length });
        memory_free(count);
    }
}

static void tell_drained(void *owner)
{
    struct smtp_server *server = owner;
    loop_fn *on_drained = server->on_drained;
    server->on_drained = NULL;
    if (on_drained != NULL) {
        on_drained(server->drain_owner);
    }
}

static void post_if_drained(struct smtp_server *server)
{
    if (server->is_draining && server->sessions.count == 0 &&
        server->on_drained != NULL) {
        loop_cancel_posts(server->loop, server);
        loop_post(server->loop, tell_drained, server);
    }
}

void server_forget(struct smtp_server_session *session)
{
    list_remove(&session->link);
    uncount_address(session);
    loop_dispose(session->server->loop, memory_free, session);
    post_if_drained(session->server);
}

static bool is_between_transactions(const struct smtp_server_session *session)
{
    return session->transaction == NULL && session->intake == NULL &&
           session->state != SESSION_ASKING &&
           session->state != SESSION_PENALTY;
}

void smtp_server_drain(struct smtp_server *server, loop_fn *on_drained,
                       void *owner)
{
    server->is_draining = true;
    server->on_drained = on_drained;
    server->drain_owner = owner;
    struct list_link *link = server->sessions.first;
    while (link != NULL) {
        struct smtp_server_session *session =
            LIST_ITEM(link, struct smtp_server_session, link);
        link = link->next;
        /* A new one is told when it begins. */
        if (session->state == SESSION_NEW ||
            !is_between_transactions(session)) {
            continue;
        }
        if (session->state == SESSION_COMMAND ||
            session->state == SESSION_AUTH) {
            session_end(session, 421, "4.3.2", "%s %s",
                        server->options.hostname,
                        "is going down for a moment, try again later");
            session_settle(session);
        } else {
            session_close(session, "the server stops");
        }
    }
    post_if_drained(server);
}
