/* SPDX-License-Identifier: MIT */
/* /c/ and /o/: what recipients follow and what their readers load. */
#ifndef BATON_HTTP_TRACK_H
#define BATON_HTTP_TRACK_H

#include "http/request.h"
#include "tracking/token.h"

/* Read the token that the path ends with; its target or address is in the
 * service's payload. Under an account's own tracking host those of no other
 * account are honoured. False: answered; nothing may be known of it. */
bool track_read_token(struct http_request *request, enum token_kind kind,
                      struct token *out_token);

enum http_verdict track_click_start(struct http_request *request);
void track_click_done(struct http_request *request);
enum http_verdict track_open_start(struct http_request *request);
void track_open_done(struct http_request *request);

#endif
