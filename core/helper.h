/* SPDX-License-Identifier: MIT */
/*
 * The worker's one thread for what burns CPU (password hashing, later RSA).
 * A job is plain memory in and out: `work` runs on the thread and must touch
 * nothing but its argument; `on_done` runs on the loop.
 */
#ifndef BATON_CORE_HELPER_H
#define BATON_CORE_HELPER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop.h"

struct helper;
struct helper_job;

/* At most queue_limit jobs wait; the next one is refused. */
struct helper *helper_create(struct loop *loop, size_t queue_limit);
/* Wait for the running job, drop the rest without calling back. */
void helper_free(struct helper **helper);

/* NULL when the queue is full: answer "try again later". `argument` stays the
 * caller's; after helper_cancel the thread may still be using it, so it is
 * handed to free_argument (which may be NULL) when the thread is through;
 * without a cancel it is handed there after on_done. Both run on the loop. The
 * handle ends with on_done: null your copy there. */
struct helper_job *helper_submit(struct helper *helper,
                                 void (*work)(void *argument), void *argument,
                                 void (*free_argument)(void *argument),
                                 void (*on_done)(void *owner, void *argument),
                                 void *owner);
void helper_cancel(struct helper_job **job);

#endif
