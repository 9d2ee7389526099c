/* SPDX-License-Identifier: MIT */
/*
 * Looks every hour whether sender domains still publish what they should, and
 * writes down what it found. Workers of all nodes share the domains among them.
 */
#ifndef BATON_RELAY_DOMAIN_WATCH_H
#define BATON_RELAY_DOMAIN_WATCH_H

#include "core/dns.h"
#include "core/loop.h"
#include "sql/database.h"

struct domain_watch;

/* All borrowed. Begins a minute later. */
struct domain_watch *domain_watch_create(struct loop *loop,
                                         struct database *database,
                                         struct dns_resolver *resolver);
void domain_watch_free(struct domain_watch **watch);

#endif
