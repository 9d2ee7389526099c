/* SPDX-License-Identifier: MIT */
/*
 * This worker's lease: the one row that says that we are alive and that the
 * deliveries which carry our worker id are ours. It is renewed three times per
 * span; when it could not be, lease_is_valid turns false before anybody else
 * may take the deliveries over (self-fencing).
 */
#ifndef BATON_RELAY_LEASE_H
#define BATON_RELAY_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"

struct database;
struct lease;
struct worker_renewal; /* sql/queue.h */

struct lease_handler {
    /* We have a (new) worker id; id_set_worker was called. */
    void (*on_acquired)(void *owner, int64_t worker_id);
    /* It is gone: others may have our deliveries. A new one is being sought. */
    void (*on_lost)(void *owner);
    /* Renewed: what the other workers do, and what became due of the dead. The
     * first time right after on_acquired. */
    void (*on_renewed)(void *owner, const struct worker_renewal *renewal);
};

/* predecessor_worker_id: of the process that we replace and that is known to be
 * dead, or 0. */
struct lease *lease_create(struct loop *loop, struct database *database,
                           int64_t predecessor_worker_id,
                           const struct lease_handler *handler, void *owner);
void lease_free(struct lease **lease);

/* Try at once: the database came up. */
void lease_wake(struct lease *lease);
/* May a final dot be sent now? */
bool lease_is_valid(const struct lease *lease);
int64_t lease_worker_id(const struct lease *lease); /* 0: none */
/* Give the lease and what carries it back, then call on_resigned once, also if
 * the database is away. */
void lease_resign(struct lease *lease, loop_fn *on_resigned, void *owner);

#endif
