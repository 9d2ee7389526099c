/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol, versions 1 and 2: a load balancer's word on who the
 * client really is, sent before anything else.
 */
#ifndef BATON_SMTP_PROXY_PROTOCOL_H
#define BATON_SMTP_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/network.h"
#include "core/text.h"

/* Longer headers (with additions that nobody needs here) are refused. */
#define PROXY_HEADER_MAX 4096
/* No header is shorter, so that many bytes may be read at first. */
#define PROXY_HEADER_MIN 15

struct proxy_header {
    /* The balancer speaks for itself (a health check) or does not know the
     * client: source is not set, the peer is who it is. */
    bool is_local;
    struct network_address source;
    size_t length; /* of the header in the input */
};

enum proxy_progress { PROXY_MORE, PROXY_COMPLETE, PROXY_BAD };

/* Read a header at the start of the input. With PROXY_MORE *out_wanted is how
 * many bytes the header has at least: reading up to there never takes a byte
 * of what follows it, which may be a TLS handshake. */
enum proxy_progress proxy_header_parse(struct text input,
                                       struct proxy_header *out_header,
                                       size_t *out_wanted);

#endif
