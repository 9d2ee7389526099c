/* SPDX-License-Identifier: MIT */
/*
 * From a domain (or a named host) to the hosts that take its mail: RFC 5321
 * 5.1, RFC 7505. An MX on a loopback, private or own address is no host (T25).
 */
#ifndef BATON_RELAY_RESOLUTION_H
#define BATON_RELAY_RESOLUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dns.h"
#include "smtp/client.h"

struct resolution;

struct resolution_options {
    struct loop *loop;
    struct dns_resolver *resolver;
    const char *own_name; /* our host name: it ends the list of exchangers */
    uint16_t port;
    bool allow_special_addresses;
};

#define RESOLUTION_HOSTS_MAX 32

struct resolution_result {
    /* NULL: hosts were found. Else why not, decided: failed or deferred. */
    const struct smtp_outcome *failure;
    const struct smtp_host *hosts; /* in the order to be tried */
    size_t host_count;
    /* Names the set of exchangers: equal for all domains of one site. */
    const char *site_key;
    uint32_t ttl_seconds;
};
/* Called in a later loop turn, once, unless cancelled. The result is valid
 * during the call. */
typedef void resolution_fn(void *owner, const struct resolution_result *result);

/* Find the mail exchangers of a normalised domain or an address literal. */
struct resolution *resolution_of_domain(
    const struct resolution_options *options, const char *domain,
    resolution_fn *on_done, void *owner);
/* Find the addresses of one host that an operator named: no MX, any address. */
struct resolution *resolution_of_host(const struct resolution_options *options,
                                      const char *host, resolution_fn *on_done,
                                      void *owner);
void resolution_cancel(struct resolution **resolution);

#endif
