/* SPDX-License-Identifier: MIT */
/* The paths that are served, one row each. */
#ifndef BATON_HTTP_ROUTES_H
#define BATON_HTTP_ROUTES_H

#include <stdbool.h>

#include "core/text.h"

/* What the answers are made of; asked of relay/. */
struct http_probes {
    /* Can mail be accepted and delivered? If not, append a sentence. */
    bool (*is_ready)(void *owner, struct buffer *out_reason);
};

struct http_answer {
    unsigned status;
    const char *content_type;
    struct buffer body;
};

/* Answer a GET or HEAD of this path (raw, as on the wire, without a query). */
void http_routes_answer(const struct http_probes *probes, void *owner,
                        struct text path, struct http_answer *out_answer);

#endif
