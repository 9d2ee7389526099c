/* SPDX-License-Identifier: MIT */
/*
 * Who asks for links that are none, how often: a table of fixed size by client
 * address, anew every minute. A right link is honoured whatever stands here, so
 * that nobody can shut out those who share an address.
 */
#ifndef BATON_HTTP_GUESSES_H
#define BATON_HTTP_GUESSES_H

#include <stdbool.h>

#include "core/network.h"

struct guesses;

struct guesses *guesses_create(void);
void guesses_free(struct guesses **guesses);
/* Count a wrong one. True: this client had too many within the minute. */
bool guesses_count(struct guesses *guesses,
                   const struct network_address *client);

#endif
