/* SPDX-License-Identifier: MIT */
/*
 * From a recipient's domain to its site: by route if there is one, else by DNS.
 * Destinations (one a domain) are remembered for the time DNS allows; sites are
 * shared by all domains with the same exchangers.
 */
#ifndef BATON_RELAY_DESTINATION_H
#define BATON_RELAY_DESTINATION_H

#include <stddef.h>

#include "core/dns.h"
#include "core/loop.h"
#include "core/tls.h"
#include "relay/held_message.h"
#include "relay/site.h"
#include "sql/directory.h"

struct destinations;

struct destinations_handler {
    /* The delivery's site is known; it is in no queue. Called from the loop or
     * from inside destinations_route. */
    void (*on_routed)(void *owner, struct delivery *delivery,
                      struct site *site);
    /* There is none, for good or for now. */
    void (*on_unroutable)(void *owner, struct delivery *delivery,
                          const struct smtp_outcome *outcome);
};

struct destinations_options {
    struct loop *loop;
    struct dns_resolver *resolver;
    const struct tls_context *tls_any;
    const struct tls_context *tls_verified;
    struct signing *signing;
    const struct site_handler *site_handler;
    const struct destinations_handler *handler;
    void *owner; /* of both handlers */
};

struct destinations *destinations_create(
    const struct destinations_options *options);
/* Nothing may be queued any more. */
void destinations_free(struct destinations **destinations);
/* Routes may have changed: remembered destinations are looked up anew. */
void destinations_set_directory(struct destinations *destinations,
                                const struct directory *directory);

/* Of so many workers this is the one of that rank (from 0): its part of what is
 * allowed per site. */
void destinations_set_share(struct destinations *destinations,
                            size_t worker_count, size_t rank);

/* Find the delivery's site. */
void destinations_route(struct destinations *destinations,
                        struct delivery *delivery);

/* site_recall of all. */
void destinations_recall_all(struct destinations *destinations);
void destinations_wake_all(struct destinations *destinations);
void destinations_forgive_all(struct destinations *destinations);
void destinations_each_site(struct destinations *destinations,
                            void (*visit)(void *owner, const struct site *),
                            void *owner);
/* Deliveries on the wire, over all sites. */
size_t destinations_busy_count(const struct destinations *destinations);
/* Forget what is idle or outdated. */
void destinations_tidy(struct destinations *destinations);

#endif
