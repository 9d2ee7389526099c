/* SPDX-License-Identifier: MIT */
/*
 * An open or a click on its way to the database. It lives longer than its
 * request where PostgreSQL takes longer than a client should wait.
 */
#ifndef BATON_HTTP_HIT_H
#define BATON_HTTP_HIT_H

#include "http/request.h"
#include "tracking/token.h"

struct hit;

/* Store what this request says about the token; url: of a click, else empty.
 * HTTP_LATER: the request's task is the hit, and wakes it. HTTP_ANSWERED: it
 * cannot be stored at once, and nobody shall wait. */
enum http_verdict hit_record(struct http_request *request,
                             const struct token *token, struct text url);
/* The URL of a click that waits. */
const char *hit_url(const struct hit *hit);
/* The request is answered, or gone. */
void hit_let_go(struct http_request *request);
/* Forget all that are on their way. Only after database_free. */
void hits_forget(struct list *hits);

#endif
