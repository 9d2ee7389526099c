/* SPDX-License-Identifier: MIT */
/*
 * Where a route leads, as operators write it:
 *
 *   smtp://[user:password@]host[:port][?tls=never|opportunistic|required|
 *          verified]     port 25; tls opportunistic, with a password required
 *   smtps://[user:password@]host[:port]   port 465, TLS from the first byte
 *   sandbox:             deliveries end in a local mailbox
 *   discard:             deliveries end
 *
 * An IPv6 address stands in brackets; user and password are percent-encoded.
 */
#ifndef BATON_RELAY_ROUTE_TARGET_H
#define BATON_RELAY_ROUTE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"
#include "smtp/client.h"

enum route_kind { ROUTE_SMTP, ROUTE_SANDBOX, ROUTE_DISCARD };

struct route_target {
    enum route_kind kind;
    /* The rest of ROUTE_SMTP only. */
    enum smtp_client_tls tls;
    char host[256]; /* a normalised name, or an address without brackets */
    uint16_t port;
    char user[256]; /* "": no AUTH */
    char password[256];
};

bool route_target_parse(const char *text, struct route_target *out_target,
                        struct error *error) MUST_USE;
/* As it is written, but without its password. */
void route_target_print(const struct route_target *target,
                        struct buffer *out_text);

#endif
