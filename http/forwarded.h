/* SPDX-License-Identifier: MIT */
/*
 * Who is behind a proxy. What a client says of itself in X-Forwarded-… counts
 * for nothing; what a proxy of [http] proxies says does.
 */
#ifndef BATON_HTTP_FORWARDED_H
#define BATON_HTTP_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "core/network.h"
#include "core/text.h"

#define FORWARDED_PROXIES_MAX 64

/* The ranges of trusted proxies; zero-initialised there are none. */
struct proxies {
    struct network_range ranges[FORWARDED_PROXIES_MAX];
    size_t count;
};

/* Read ranges between blanks, commas or line feeds. */
bool proxies_read(struct text list, struct proxies *out_proxies,
                  struct error *error) MUST_USE;
bool proxies_trust(const struct proxies *proxies,
                   const struct network_address *address);

/* The client: the peer, or behind a trusted one the right-most address of
 * X-Forwarded-For ("client, proxy1, proxy2") that is none of ours. What is no
 * address ends the search: left of it anything may stand. */
void forwarded_client(const struct proxies *proxies,
                      const struct network_address *peer,
                      struct text forwarded_for,
                      struct network_address *out_client);

#endif
