/* SPDX-License-Identifier: MIT */
/*
 * A worker's budget for message bytes in memory. When it is used up, those who
 * collect wait (they stop reading from their sockets); nobody is refused and
 * nothing grows.
 *
 * So that waiting cannot become a deadlock: the first BUDGET_SMALL_BYTES of
 * every message come from a quarter that large messages cannot touch, and
 * among holders of more than that the oldest may always go on, within the
 * reserve of one largest message.
 */
#ifndef BATON_CORE_BUDGET_H
#define BATON_CORE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/list.h"
#include "core/loop.h"

#define BUDGET_SMALL_BYTES (256 * 1024)

struct budget;

/* One message's share. Lies in its owner; zero-initialise. */
struct budget_share {
    struct budget *budget;
    struct list_link link; /* among holders of large shares, oldest first */
    struct list_link waiting;
    size_t bytes; /* granted; the three below add up to it */
    size_t small_bytes;
    size_t large_bytes;
    size_t reserve_bytes;
    size_t wanted_bytes;
    loop_fn *on_granted;
    void *owner;
};

struct budget *budget_create(struct loop *loop, size_t total_bytes,
                             size_t largest_message_bytes);
void budget_free(struct budget **budget);

/* Ask for so many bytes more. True: granted. False: the share waits; on_granted
 * runs later, once, and the bytes are then granted. A share that waits must not
 * ask again. A share must not grow beyond the largest message: beyond it
 * nothing promises that the waiting ends. */
bool budget_take(struct budget *budget, struct budget_share *share,
                 size_t more_bytes, loop_fn *on_granted, void *owner);
/* Give all bytes of a share back and forget its waiting, also an on_granted
 * that is due and did not run yet. A zeroed share is accepted. */
void budget_give_back(struct budget_share *share);
/* Move the bytes to another, empty share (they change their owner). A share
 * that waits, or whose on_granted is due, must not move. */
void budget_move(struct budget_share *from, struct budget_share *to);

size_t budget_used_bytes(const struct budget *budget);
size_t budget_total_bytes(const struct budget *budget);
size_t budget_waiting_count(const struct budget *budget);
/* What messages of this size may still take, besides the reserve: small ones
 * find their quarter however many large ones there are. */
size_t budget_left_bytes(const struct budget *budget, size_t message_bytes);
/* Keep nothing of this size that can be read back later: more than half of all
 * is in use, for small messages more than half of their quarter, too. */
bool budget_is_tight(const struct budget *budget, size_t message_bytes);

#endif
