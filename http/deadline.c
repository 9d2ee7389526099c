/* SPDX-License-Identifier: MIT */
#include "http/deadline.h"

#include "core/clock.h"

static void on_timer(void *owner)
{
    struct deadline_queue *queue = owner;
    int64_t now = clock_monotonic();
    struct deadline *first;
    while ((first = LIST_ITEM(queue->list.first, struct deadline, link)) !=
           NULL) {
        if (first->due_monotonic > now) {
            /* Rounded up, so that it is not called a moment too early. */
            timer_start(&queue->timer, queue->loop,
                        (first->due_monotonic - now) / CLOCK_MILLISECOND + 1,
                        on_timer, queue);
            return;
        }
        list_remove(&first->link);
        queue->on_due(first->owner);
    }
}

void deadline_queue_init(struct deadline_queue *queue, struct loop *loop,
                         deadline_fn *on_due)
{
    *queue = (struct deadline_queue){ .loop = loop, .on_due = on_due };
}

void deadline_queue_stop(struct deadline_queue *queue)
{
    timer_stop(&queue->timer);
}

void deadline_start(struct deadline_queue *queue, struct deadline *deadline,
                    int64_t milliseconds, void *owner)
{
    list_remove(&deadline->link);
    deadline->owner = owner;
    deadline->due_monotonic =
        clock_monotonic() + milliseconds * clock_rate() * CLOCK_MILLISECOND;
    list_append(&queue->list, &deadline->link);
    if (!timer_is_running(&queue->timer)) {
        timer_start(&queue->timer, queue->loop, milliseconds * clock_rate(),
                    on_timer, queue);
    }
}

void deadline_stop(struct deadline *deadline)
{
    list_remove(&deadline->link);
}
