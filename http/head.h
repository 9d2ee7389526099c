/* SPDX-License-Identifier: MIT */
/* The head of a request: what its fields say, and whether they may be so. */
#ifndef BATON_HTTP_HEAD_H
#define BATON_HTTP_HEAD_H

#include "http/request.h"

#define HEAD_BODY_MAX (16 * 1024)

/* What becomes of a request by its head alone. */
enum head_verdict {
    HEAD_TAKEN,
    HEAD_NOT_LAWFUL, /* two readers could differ on where it ends, or on its
                        host: RFC 9112, 3.2, 6.1 and 6.3 */
    HEAD_TOO_LARGE /* its body will be */
};

/* Fill method, host, rest, user_agent, client … and route (NULL: none). */
enum head_verdict head_read(struct http_request *request, const char *method,
                            const char *version,
                            const struct network_address *peer);

#endif
