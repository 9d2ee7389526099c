/* SPDX-License-Identifier: MIT */
/*
 * One request, as the handlers see it, and what they all share. A handler is
 * two functions and a way to let go: `start` answers at once or starts
 * something and returns HTTP_LATER; whoever ends that calls http_request_wake;
 * `on_done` then answers. It also runs when the route's patience is over and
 * nothing has ended yet.
 */
#ifndef BATON_HTTP_REQUEST_H
#define BATON_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/network.h"
#include "core/text.h"
#include "http/answer.h"
#include "http/deadline.h"
#include "http/server.h"
#include "http/target.h"

struct http_request;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER_METHOD };
enum http_verdict { HTTP_ANSWERED, HTTP_LATER };
/* How long a suspended request waits at most. */
enum http_patience { PATIENCE_HIT, PATIENCE_QUERY, PATIENCE_COUNT };

struct http_route {
    const char *path; /* with "/" at its end: and all below */
    bool takes_post;
    enum http_patience patience;
    enum http_verdict (*start)(struct http_request *request);
    /* NULL where start always answers: */
    void (*on_done)(struct http_request *request);
    /* The request ends: what it waits for must not wake it any more. */
    void (*let_go)(struct http_request *request);
};

/* The row for a path, and what stands behind the row's own; NULL: none. */
const struct http_route *http_route_find(struct text path,
                                         struct text *out_rest);

/* What handlers work with; owned by the server. */
struct http_service {
    struct loop *loop;
    struct database *database;
    const struct directory *directory; /* NULL: not loaded yet */
    const struct token_keys *keys;
    char public_host[TARGET_HOST_SIZE]; /* of all accounts; "": none */
    const struct http_probes *probes;
    void *probes_owner;
    struct answers *answers;
    struct list hits; /* on their way to the database; they outlive requests */
    struct buffer payload; /* of the token that was read last */
    struct guesses *guesses;
};

/* Owned by its connection; the texts lie in libmicrohttpd's memory or in
 * `target` until the request ends. */
struct http_request {
    struct http_service *service;
    struct MHD_Connection *handle;
    const struct http_route *route;
    enum http_method method;
    bool is_prefetch; /* it says so itself */
    bool is_from_proxy; /* the peer is a trusted one */
    char host[TARGET_HOST_SIZE]; /* "" if none was named */
    struct text rest; /* of the path, behind that of the route */
    struct text user_agent;
    struct text content_type;
    struct text query; /* as it came, without "?" */
    struct network_address client;
    struct buffer body;
    void *task; /* the handler's; let_go when it is not NULL at the end */
    struct answer answer;
    /* The server's own: */
    struct http_server *server;
    struct deadline deadline;
    enum { REQUEST_NEW, REQUEST_READ, REQUEST_WAITS, REQUEST_WOKEN } state;
    bool is_too_large;
    char target[];
};

/* The request goes on in the next turn of the loop. Not from inside start. */
void http_request_wake(struct http_request *request);

#endif
