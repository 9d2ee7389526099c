/* SPDX-License-Identifier: MIT */
/* IP addresses, ports and ranges. IPv4-mapped IPv6 is treated as IPv4. */
#ifndef BATON_CORE_NETWORK_H
#define BATON_CORE_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/error.h"
#include "core/text.h"

/* An address with a port (0 where none is meant). */
struct network_address {
    socklen_t length; /* of what follows; 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket;
};

struct network_range { /* 203.0.113.0/24, 2001:db8::/32 */
    struct network_address base;
    unsigned prefix_bits;
};

#define NETWORK_TEXT_SIZE 64

/* "203.0.113.9", "2001:db8::1"; also in brackets. No names. */
bool network_address_parse(struct text text, uint16_t port,
                           struct network_address *out_address);
/* "203.0.113.9:25", "[2001:db8::1]:25", "*:25" (every IPv6 and IPv4). */
bool network_address_parse_with_port(struct text text,
                                     struct network_address *out_address,
                                     struct error *error) MUST_USE;
void network_address_from_socket(const struct sockaddr *socket,
                                 socklen_t length,
                                 struct network_address *out_address);
uint16_t network_address_port(const struct network_address *address);
void network_address_set_port(struct network_address *address, uint16_t port);
/* Without port: "203.0.113.9". */
const char *network_address_text(const struct network_address *address,
                                 char out_text[NETWORK_TEXT_SIZE]);
/* With port: "203.0.113.9:25", "[2001:db8::1]:25". */
const char *network_address_text_with_port(const struct network_address *,
                                           char out_text[NETWORK_TEXT_SIZE]);
/* As an SMTP address literal: "[203.0.113.9]", "[IPv6:2001:db8::1]". */
const char *network_address_literal(const struct network_address *address,
                                    char out_text[NETWORK_TEXT_SIZE]);
bool network_address_equal(const struct network_address *a,
                           const struct network_address *b); /* not the port */

/* What counts as one client where clients are counted: an IPv4 address, or an
 * IPv6 /64, of which a client usually has all addresses. Returns the length. */
#define NETWORK_CLIENT_KEY_SIZE 9
size_t network_address_client_key(const struct network_address *address,
                                  char out_key[NETWORK_CLIENT_KEY_SIZE]);

/* "10.0.0.0/8"; a bare address is a range of one. Bits below the prefix must be
 * zero: the error says what was meant. */
bool network_range_parse(struct text text, struct network_range *out_range,
                         struct error *error) MUST_USE;
bool network_range_contains(const struct network_range *range,
                            const struct network_address *address);
const char *network_range_text(const struct network_range *range,
                               char out_text[NETWORK_TEXT_SIZE]);

/* Not reachable as a mail exchanger on the internet: loopback, unspecified,
 * private (RFC 1918, 4193), link-local, shared (RFC 6598), multicast,
 * documentation and reserved. */
bool network_address_is_special(const struct network_address *address);
/* One of this machine's own interface addresses. */
bool network_address_is_own(const struct network_address *address);

#endif
