/* SPDX-License-Identifier: MIT */
#include "http/routes.h"

#include <string.h>

#include "core/memory.h"
#include "core/metrics.h"
#include "http/hit.h"
#include "http/track.h"
#include "http/unsubscribe.h"
#include "sql/directory.h"

#define PLAIN "text/plain; charset=utf-8"

/* The process answers: that is all it says. */
static enum http_verdict start_health(struct http_request *request)
{
    answer_text(&request->answer, 200, PLAIN, TEXT_LITERAL("ok\n"));
    return HTTP_ANSWERED;
}

static enum http_verdict start_ready(struct http_request *request)
{
    struct http_service *service = request->service;
    struct buffer reason = { 0 };
    if (service->probes->is_ready(service->probes_owner, &reason)) {
        answer_text(&request->answer, 200, PLAIN, TEXT_LITERAL("ready\n"));
    } else {
        buffer_append_byte(&reason, '\n');
        answer_text(&request->answer, 503, PLAIN, buffer_text(&reason));
    }
    buffer_free(&reason);
    return HTTP_ANSWERED;
}

static enum http_verdict start_metrics(struct http_request *request)
{
    struct buffer text = { 0 };
    metrics_print(&text);
    answer_text(&request->answer, 200,
                "text/plain; version=0.0.4; charset=utf-8", buffer_text(&text));
    buffer_free(&text);
    return HTTP_ANSWERED;
}

/* Asked by our own TLS front before it gets a certificate: is this host one of
 * ours? Nobody else is told who has one. */
static enum http_verdict start_host_check(struct http_request *request)
{
    const struct http_service *service = request->service;
    char host[TARGET_HOST_SIZE];
    bool is_asked = request->is_from_proxy && service->directory != NULL &&
                    text_starts_with_ignoring_case(request->query, "domain=");
    bool is_ours = is_asked &&
                   target_host(text_slice(request->query, strlen("domain="),
                                          text_find_byte(request->query, '&')),
                               host) &&
                   directory_is_tracking_host(service->directory, host);
    answer_page(&request->answer, service->answers,
                is_ours ? PAGE_NOTHING : PAGE_NOT_FOUND);
    return HTTP_ANSWERED;
}

const struct http_route http_routes[] = {
    { .path = "/c/",
      .patience = PATIENCE_HIT,
      .start = track_click_start,
      .on_done = track_click_done,
      .let_go = hit_let_go },
    { .path = "/o/",
      .patience = PATIENCE_HIT,
      .start = track_open_start,
      .on_done = track_open_done,
      .let_go = hit_let_go },
    { .path = "/u/",
      .takes_post = true,
      .patience = PATIENCE_QUERY,
      .start = unsubscribe_start,
      .on_done = unsubscribe_done,
      .let_go = unsubscribe_let_go },
    { .path = "/healthz", .start = start_health },
    { .path = "/readyz", .start = start_ready },
    { .path = "/metrics", .start = start_metrics },
    { .path = "/tls-host", .start = start_host_check },
};
const size_t http_route_count = ARRAY_LENGTH(http_routes);

const struct http_route *http_route_find(struct text path,
                                         struct text *out_rest)
{
    for (size_t i = 0; i < http_route_count; i++) {
        const char *own = http_routes[i].path;
        size_t length = strlen(own);
        if (path.length < length || memcmp(path.data, own, length) != 0) {
            continue;
        }
        if (path.length == length || own[length - 1] == '/') {
            *out_rest = text_slice(path, length, path.length);
            return &http_routes[i];
        }
    }
    return NULL;
}
