/* SPDX-License-Identifier: MIT */
/* Listening sockets. */
#include "core/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"

#define BACKLOG 1024
/* More wait for the next turn, so that accepting starves nobody. */
#define ACCEPTS_PER_TURN 8
#define EXHAUSTED_PAUSE_MILLISECONDS 100
/* When another worker should take the connection, look again this soon. */
#define UNWILLING_PAUSE_MILLISECONDS 5

struct listener {
    struct loop *loop;
    int descriptor;
    listener_may_accept_fn *may_accept;
    listener_fn *on_accept;
    void *owner;
    struct watch watch;
    struct timer pause;
    bool is_stopped;
    bool has_complained; /* out of descriptors; said once until it is over */
};

static const char *advice_for(int number)
{
    switch (number) {
    case EACCES:
        return "; ports below 1024 need root or CAP_NET_BIND_SERVICE: start "
               "as root (Baton drops its privileges) or choose a higher port";
    case EADDRINUSE:
        return "; another program listens there: stop it or choose another "
               "port";
    case EADDRNOTAVAIL:
        return "; this machine does not have that address";
    default:
        return "";
    }
}

static int refuse(int descriptor, const struct network_address *address,
                  int number, struct error *error)
{
    char text[NETWORK_TEXT_SIZE];
    if (descriptor >= 0) {
        close(descriptor);
    }
    (void)error_set(error, "cannot listen on %s: %s%s",
                    network_address_text_with_port(address, text),
                    strerror(number), advice_for(number));
    errno = number;
    return -1;
}

static bool is_any_v6(const struct network_address *address)
{
    return address->socket.any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->socket.v6.sin6_addr);
}

int listener_open(const struct network_address *address, struct error *error)
{
    int on = 1;
    int descriptor = socket(address->socket.any.sa_family,
                            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return refuse(descriptor, address, errno, error);
    }
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) !=
        0) {
        return refuse(descriptor, address, errno, error);
    }
    if (address->socket.any.sa_family == AF_INET6) {
        /* "*:25" is written as [::]:25 and means IPv4 as well, whatever
         * net.ipv6.bindv6only says. */
        int v6_only = is_any_v6(address) ? 0 : 1;
        (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only,
                         sizeof(v6_only));
    }
    if (bind(descriptor, &address->socket.any, address->length) != 0 ||
        listen(descriptor, BACKLOG) != 0) {
        return refuse(descriptor, address, errno, error);
    }
    return descriptor;
}

static void on_connection(void *owner);

static void resume(void *owner)
{
    struct listener *listener = owner;
    watch_start(&listener->watch, listener->loop, listener->descriptor,
                WATCH_READ, on_connection, listener);
}

static void pause_for(struct listener *listener, int64_t milliseconds)
{
    watch_stop(&listener->watch);
    timer_start(&listener->pause, listener->loop, milliseconds, resume,
                listener);
}

static bool is_exhausted(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS ||
           number == ENOMEM;
}

static void on_accept_failed(struct listener *listener, int number)
{
    if (!is_exhausted(number)) {
        return; /* the connection is gone, or another worker was faster */
    }
    if (!listener->has_complained) {
        listener->has_complained = true;
        log_error(NULL, "cannot accept connections", "reason=\"%s\"",
                  log_quote(text_of(strerror(number))));
    }
    pause_for(listener, EXHAUSTED_PAUSE_MILLISECONDS);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage socket;
    struct network_address peer;
    socklen_t length = sizeof(socket);
    int descriptor = accept4(listener->descriptor, (struct sockaddr *)&socket,
                             &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        int number = errno;
        on_accept_failed(listener, number);
        return number == ECONNABORTED || number == EINTR;
    }
    listener->has_complained = false;
    network_address_from_socket((struct sockaddr *)&socket, length, &peer);
    listener->on_accept(listener->owner, descriptor, &peer);
    return true;
}

static void on_connection(void *owner)
{
    struct listener *listener = owner;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (listener->is_stopped) {
            return;
        }
        if (listener->may_accept != NULL &&
            !listener->may_accept(listener->owner)) {
            /* The descriptor stays readable: without a pause we would spin. */
            pause_for(listener, UNWILLING_PAUSE_MILLISECONDS);
            return;
        }
        if (!accept_one(listener)) {
            return;
        }
    }
}

struct listener *listener_start(struct loop *loop, int borrowed_descriptor,
                                listener_may_accept_fn *may_accept,
                                listener_fn *on_accept, void *owner)
{
    struct listener *listener = memory_alloc(sizeof(*listener));
    listener->loop = loop;
    listener->descriptor = borrowed_descriptor;
    listener->may_accept = may_accept;
    listener->on_accept = on_accept;
    listener->owner = owner;
    resume(listener);
    return listener;
}

void listener_stop(struct listener **listener)
{
    struct listener *doomed = *listener;
    if (doomed == NULL) {
        return;
    }
    *listener = NULL;
    doomed->is_stopped = true;
    watch_stop(&doomed->watch);
    timer_stop(&doomed->pause);
    loop_dispose(doomed->loop, memory_free, doomed);
}
