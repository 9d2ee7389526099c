/* SPDX-License-Identifier: MIT */
/*
 * The HTTP listener of a worker: libmicrohttpd driven by our loop, without
 * threads. What is served stands in routes.c.
 */
#ifndef BATON_HTTP_SERVER_H
#define BATON_HTTP_SERVER_H

#include "core/error.h"
#include "core/loop.h"
#include "http/routes.h"

struct http_server;

/* Serve on a listening descriptor, which stays the caller's. */
struct http_server *http_server_create(struct loop *loop,
                                       int borrowed_descriptor,
                                       const struct http_probes *probes,
                                       void *owner,
                                       struct error *error) MUST_USE;
/* Stop accepting, close every connection. */
void http_server_free(struct http_server **server);

#endif
