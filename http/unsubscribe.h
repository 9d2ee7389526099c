/* SPDX-License-Identifier: MIT */
/*
 * /u/: GET shows a page and changes nothing, ever (U2); POST acts, by one click
 * (RFC 8058) or by the page's own form.
 */
#ifndef BATON_HTTP_UNSUBSCRIBE_H
#define BATON_HTTP_UNSUBSCRIBE_H

#include "http/request.h"

enum http_verdict unsubscribe_start(struct http_request *request);
void unsubscribe_done(struct http_request *request);
void unsubscribe_let_go(struct http_request *request);

#endif
