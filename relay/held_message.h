/* SPDX-License-Identifier: MIT */
/*
 * Messages and deliveries that this worker has leased and keeps in memory.
 *
 * A held message owns its deliveries and is freed with the last of them. Its
 * bytes are there from acceptance, or are read back when the queue row was
 * claimed; they are accounted in the worker's budget.
 */
#ifndef BATON_RELAY_HELD_MESSAGE_H
#define BATON_RELAY_HELD_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/budget.h"
#include "core/list.h"
#include "core/text.h"
#include "smtp/client.h"
#include "sql/messages.h"
#include "sql/queue.h"
#include "tracking/compose.h"

struct scheduler;
struct site;

enum delivery_phase {
    DELIVERY_LOADING, /* waits for its message's bytes */
    DELIVERY_ROUTING, /* waits for its destination's hosts */
    DELIVERY_WAITING, /* stands in a site's queue */
    DELIVERY_CHECKING, /* waits for whether its recipient is suppressed */
    DELIVERY_ON_WIRE, /* part of a running transaction */
};

struct held_message {
    struct scheduler *scheduler; /* whose it is, once it has been added */
    struct list_link link; /* in the scheduler's messages */
    struct list deliveries; /* struct delivery, of_message */
    struct arena *arena; /* this struct's strings and its deliveries */
    int64_t account_id;
    int64_t message_id;
    int64_t accepted_at;
    int64_t expires_at;
    const char *sender;
    const char *envelope_id; /* or NULL */
    enum smtp_dsn_return dsn_return;
    bool is_smtputf8;
    bool has_8bit;
    int priority;
    int64_t size_bytes;

    bool is_loaded;
    struct message_load *load;
    struct budget_share share;
    struct buffer trace;
    struct buffer data;
    /* What is done to its copies; never NULL. */
    struct policy *policy;
    const struct token_keys *borrowed_keys; /* NULL: nothing is tracked */
    bool is_sandboxed; /* whatever the route of its recipients */
    /* Made when the first delivery needs them: for hops with 8BITMIME and for
     * those without, and for recipients who are not tracked. */
    struct held_wire {
        struct compose_plan *plan; /* NULL until then */
        const char *obstacle; /* why there can be none; NULL: there can */
        struct arena *arena;
        struct policy policy; /* the message's; off for who is not tracked */
        struct held_copy *shared; /* the one copy, if all are the same */
    } wires[2][2]; /* to_7bit, is_untracked */
    struct held_arena *retired; /* of earlier plans: copies of theirs may be on
                                 * the wire */
};

struct held_arena {
    struct arena *arena;
    struct held_arena *next;
};

/* A copy for the wire. */
struct held_copy {
    struct text *pieces;
    size_t piece_count;
    size_t size_bytes;
    struct text signature; /* "", until it is known */
    struct held_copy *shared; /* itself, kept for others; NULL: personal */
    struct arena *arena; /* of a shared one */
};

struct delivery {
    struct list_link of_message;
    struct list_link link; /* in a destination's or a site's queue, or none */
    struct held_message *message;
    struct site *site; /* while WAITING or ON_WIRE */
    size_t part_bytes; /* of its message's memory, counted by that site */
    enum delivery_phase phase;
    int64_t delivery_id;
    const char *recipient;
    const char *domain; /* normalised */
    const char *original_recipient; /* or NULL */
    const char *refusal; /* taken in the dialogue only; NULL: deliver it */
    bool is_suppressed; /* which is why */
    bool is_untracked; /* the recipient objects (P6) */
    const char *last_reply; /* of the last round of tries; or NULL */
    /* Whether it is suppressed is being asked; or NULL. */
    struct suppression_check *suppression_check;
    int64_t cleared_monotonic; /* when it was not; 0: never asked */
    const char *bypassed; /* what would suppress it, but for its message's
                             bypass; or NULL */
    unsigned notify;
    int attempt_count; /* rounds begun before this one */
    int hosts_tried; /* in this round */
    int64_t ready_monotonic; /* since when it could have been sent */
    bool is_cancelled; /* an operator's wish, met when it leaves the wire */
};

/* An empty message with its own arena. */
struct held_message *held_message_create(void);
/* Give bytes back to the budget and free all. It must be in no list, and its
 * deliveries neither. */
void held_message_free(struct held_message **message);

/* Add a delivery; strings are copied. */
struct delivery *held_message_add_delivery(struct held_message *message,
                                           int64_t delivery_id,
                                           const char *recipient,
                                           const char *domain, unsigned notify,
                                           const char *original_recipient,
                                           int attempt_count);

/* Make a delivery's copy for the wire. What is this delivery's alone lies in
 * the given arena. False: it cannot be made (the stored bytes are not what
 * intake let through; 8-bit text that cannot become 7-bit). */
bool held_message_compose(struct held_message *message,
                          const struct delivery *delivery, bool to_7bit,
                          struct arena *arena, struct held_copy *out_copy,
                          struct error *error) MUST_USE;
/* The signature of a shared copy, for those who are sent it later. */
void held_copy_keep_signature(struct held_copy *shared, struct text fields);
/* The envelope sender of this delivery's copy: a return path of its own when
 * the policy has a host for it, else the message's. In the arena. */
const char *held_message_sender(const struct held_message *message,
                                const struct delivery *delivery,
                                struct arena *arena);
/* Recipients cannot share a transaction: each has its own envelope sender. */
bool held_message_has_return_paths(const struct held_message *message);
/* The policy was changed: copies from now on are made by it. Those that are on
 * their way stay as they are. */
void held_message_plan_anew(struct held_message *message);
/* The copy made last for such a hop is that of all recipients who are tracked
 * (or not) like this one. */
bool held_message_is_shared(const struct held_message *message,
                            const struct delivery *delivery, bool to_7bit);

#endif
