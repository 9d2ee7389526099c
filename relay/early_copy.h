/* SPDX-License-Identifier: MIT */
/*
 * A copy that is composed and signed while its message is still being stored:
 * the signature and the commit take their time side by side. It does not leave
 * before the commit, and is thrown away if there is none.
 *
 *   intake: early_copy_start ──> delivery->early ──> site: early_copy_wait
 */
#ifndef BATON_RELAY_EARLY_COPY_H
#define BATON_RELAY_EARLY_COPY_H

#include <stdbool.h>

#include "relay/held_message.h"
#include "relay/signing.h"

struct early_copy {
    struct arena *arena; /* of the copy; NULL: taken over */
    struct held_copy copy;
    struct signing_job *job; /* running; or NULL */
    bool is_signed;
    struct text fields; /* the signatures, in the arena */
    signing_done_fn *on_signed; /* who waits for them; or NULL */
    void *owner;
};

/* Begin one for a message that has a single delivery and something to sign
 * with, unless the thread has enough to do: it is the delivery's then. It is
 * for a host that takes the message as it is (8BITMIME). */
void early_copy_start(struct held_message *message, struct signing *signing);

/* The delivery's, if that is the copy which is wanted (in 7 bits or not); the
 * caller's from now on. Else NULL, and what it had is freed. */
struct early_copy *early_copy_take(struct delivery *delivery, bool to_7bit);
/* on_signed runs when it is signed; only while a job runs. */
void early_copy_wait(struct early_copy *early, signing_done_fn *on_signed,
                     void *owner);
/* Also ends what is running. NULL is accepted, and the pointer nulled. */
void early_copy_free(struct early_copy **early);

#endif
