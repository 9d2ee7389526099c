/* SPDX-License-Identifier: MIT */
/*
 * Who is due, and what limits it. The scheduler has every delivery that this
 * worker leased: those just accepted come from intake with their bytes, others
 * are claimed from the queue and read back. Each goes to its destination's
 * site; what does not fit, is suspended or has to wait long is given back.
 */
#ifndef BATON_RELAY_SCHEDULER_H
#define BATON_RELAY_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/budget.h"
#include "core/dns.h"
#include "core/loop.h"
#include "core/text.h"
#include "core/tls.h"
#include "relay/held_message.h"
#include "relay/lease.h"
#include "relay/pace.h"
#include "sql/database.h"
#include "sql/directory.h"

struct attempt_writer;
struct scheduler;
struct suppression_cache;

struct scheduler_options {
    struct loop *loop;
    struct database *database;
    struct dns_resolver *resolver;
    struct budget *budget;
    struct attempt_writer *writer; /* outlives the scheduler */
    struct suppression_cache *suppressions; /* as well */
    const struct lease *lease;
    const struct token_keys *keys; /* of the copies that are made */
    const struct tls_context *tls_any;
    const struct tls_context *tls_verified;
    struct signing *signing;
    struct pace pace; /* copied: how fast to claim beside fresh mail */
};

struct scheduler *scheduler_create(const struct scheduler_options *options);
void scheduler_free(struct scheduler **scheduler);

/* The newest directory; borrowed until the next call has returned. What waits
 * and is suspended or routed elsewhere by it is taken along. */
void scheduler_set_directory(struct scheduler *scheduler,
                             const struct directory *directory);
/* We have a lease: begin to claim. */
void scheduler_start(struct scheduler *scheduler, int64_t worker_id);
/* So many workers of all nodes are alive, and this one's rank among them. */
void scheduler_set_share(struct scheduler *scheduler, size_t worker_count,
                         size_t rank);
/* The lease was lost: drop everything that is not on the wire, and what is on
 * the wire will not reach its final dot. */
void scheduler_drop_all(struct scheduler *scheduler);
/* Look for work and wake the sites: the lease was renewed, deliveries were
 * taken over. */
void scheduler_wake(struct scheduler *scheduler);

/* Whether so many deliveries of a message of an account may be born leased to
 * us. */
bool scheduler_has_room(const struct scheduler *scheduler, int64_t account_id,
                        size_t delivery_count, size_t message_bytes);
/* Take over a stored message with its bytes. */
void scheduler_add(struct scheduler *scheduler, struct held_message *message);

/* Somebody's message was stored; it took so many microseconds. */
void scheduler_note_fresh(struct scheduler *scheduler, int64_t wait);

/* An operator's command: "cancel|retry
 * message|delivery|account|domain|all [VALUE]". */
void scheduler_command(struct scheduler *scheduler, struct text command);

/* Take no new work, let transactions end, wait for their results to be stored,
 * then call on_drained once. */
void scheduler_drain(struct scheduler *scheduler, loop_fn *on_drained,
                     void *owner);

#endif
