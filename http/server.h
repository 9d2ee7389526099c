/* SPDX-License-Identifier: MIT */
/*
 * The HTTP listener of a worker: libmicrohttpd driven by our loop, without
 * threads. What is served stands in routes.c.
 */
#ifndef BATON_HTTP_SERVER_H
#define BATON_HTTP_SERVER_H

#include <stdbool.h>

#include "core/config.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/text.h"
#include "sql/database.h"
#include "sql/directory.h"
#include "tracking/token.h"

struct http_server;

/* What /readyz says; asked of relay/. */
struct http_probes {
    /* Can mail be accepted and delivered? If not, append a sentence. */
    bool (*is_ready)(void *owner, struct buffer *out_reason);
};

/* Serve on a listening descriptor, which stays the caller's; so do the probes
 * and the database, where opens, clicks and unsubscribes go. */
struct http_server *http_server_create(struct loop *loop,
                                       int borrowed_descriptor,
                                       struct database *borrowed_database,
                                       const struct http_probes *probes,
                                       void *owner,
                                       struct error *error) MUST_USE;

/* What tokens are read with, and who is who; both borrowed until the next call
 * or http_server_stop. Under the host of public_url, which is copied, tokens of
 * all accounts are honoured. Until the first call, which must not come before
 * id_set_worker, recipients' URLs are answered 503. */
void http_server_set_directory(struct http_server *server,
                               const struct directory *borrowed_directory,
                               const struct token_keys *borrowed_keys,
                               const char *public_url);

/* Accept nothing any more; each connection ends with its next answer. */
void http_server_quiesce(struct http_server *server);
/* Close every connection. Opens and clicks on their way to the database go on,
 * unanswered: after http_server_quiesce and database_flush there are hardly
 * any. NULL is accepted. */
void http_server_stop(struct http_server *server);
/* Stop, and forget opens and clicks on their way: only after database_free.
 * Nulls the pointer. */
void http_server_free(struct http_server **server);

/* [http] */
extern const struct setting http_settings[];
extern const size_t http_setting_count;
void http_metrics_register(void);

#endif
