/* SPDX-License-Identifier: MIT */
/*
 * Many deadlines of one span: what starts last ends last, so a list and one
 * timer are enough, and starting or stopping one costs no system call.
 */
#ifndef BATON_HTTP_DEADLINE_H
#define BATON_HTTP_DEADLINE_H

#include <stdint.h>

#include "core/list.h"
#include "core/loop.h"

/* Lies in its owner's struct; zero-initialise. */
struct deadline {
    struct list_link link;
    int64_t due_monotonic;
    void *owner;
};

/* Called from the loop with the owner of a deadline that has passed; it is no
 * longer in the queue. */
typedef void deadline_fn(void *owner);

struct deadline_queue {
    struct list list;
    struct timer timer;
    struct loop *loop;
    deadline_fn *on_due;
};

void deadline_queue_init(struct deadline_queue *queue, struct loop *loop,
                         deadline_fn *on_due);
/* No deadline passes any more; those that are left stay with their owners. */
void deadline_queue_stop(struct deadline_queue *queue);

/* (Re)start, in milliseconds of the real clock. */
void deadline_start(struct deadline_queue *queue, struct deadline *deadline,
                    int64_t milliseconds, void *owner);
void deadline_stop(struct deadline *deadline);

#endif
