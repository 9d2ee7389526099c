/* SPDX-License-Identifier: MIT */
#include "http/routes.h"

#include "core/memory.h"
#include "core/metrics.h"

struct route {
    const char *path;
    void (*answer)(const struct http_probes *probes, void *owner,
                   struct http_answer *answer);
};

/* The process answers: that is all it says. */
static void answer_health(const struct http_probes *probes, void *owner,
                          struct http_answer *answer)
{
    (void)probes;
    (void)owner;
    buffer_append_string(&answer->body, "ok\n");
}

static void answer_ready(const struct http_probes *probes, void *owner,
                         struct http_answer *answer)
{
    if (probes->is_ready(owner, &answer->body)) {
        buffer_clear(&answer->body);
        buffer_append_string(&answer->body, "ready\n");
    } else {
        answer->status = 503;
        buffer_append_byte(&answer->body, '\n');
    }
}

static void answer_metrics(const struct http_probes *probes, void *owner,
                           struct http_answer *answer)
{
    (void)probes;
    (void)owner;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_print(&answer->body);
}

static const struct route routes[] = {
    { "/healthz", answer_health },
    { "/readyz", answer_ready },
    { "/metrics", answer_metrics },
};

void http_routes_answer(const struct http_probes *probes, void *owner,
                        struct text path, struct http_answer *out_answer)
{
    *out_answer =
        (struct http_answer){ .status = 200,
                              .content_type = "text/plain; charset=utf-8" };
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
        if (text_is(path, routes[i].path)) {
            routes[i].answer(probes, owner, out_answer);
            return;
        }
    }
    out_answer->status = 404;
    buffer_append_string(&out_answer->body, "There is nothing here.\n");
}
