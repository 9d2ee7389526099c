/* SPDX-License-Identifier: MIT */
/*
 * The event loop of a worker: timers, readiness of descriptors, signals and
 * work for the next turn. Everything here belongs to one thread.
 *
 * Callbacks run from loop_run only, never from inside the call that asked for
 * them. Stopping a timer, watch or signal guarantees that its callback does
 * not run any more.
 */
#ifndef BATON_CORE_LOOP_H
#define BATON_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;

typedef void loop_fn(void *owner);

struct loop *loop_create(void);
void loop_free(struct loop **loop);
void loop_run(struct loop *loop); /* until loop_stop or nothing is left */
void loop_stop(struct loop *loop);
/* For libraries that sit on the same loop (libpq, libmicrohttpd, libunbound).*/
struct event_base *loop_event_base(struct loop *loop);

/* Run fn once, after the callbacks of this turn; in the order of posting. It
 * goes through the poll, so a chain of posts starves nobody. */
void loop_post(struct loop *loop, loop_fn *fn, void *owner);
/* Forget every posted call of this owner that has not run. */
void loop_cancel_posts(struct loop *loop, const void *owner);
/* Free an object at the end of the loop turn, after every call that was posted
 * until now; at the latest in loop_free. Cannot be cancelled. */
void loop_dispose(struct loop *loop, loop_fn *free_object, void *object);

/* A timer lies in its owner's struct; zero-initialise it. */
struct timer {
    struct event *event;
    struct loop *loop;
    loop_fn *fn;
    void *owner;
};
/* (Re)start: fn runs once, after this many milliseconds of the clock. */
void timer_start(struct timer *timer, struct loop *loop, int64_t milliseconds,
                 loop_fn *fn, void *owner);
/* Stop; a stopped or zeroed timer is accepted. Frees what start allocated. */
void timer_stop(struct timer *timer);
bool timer_is_running(const struct timer *timer);

/* Readiness of a descriptor, level-triggered, until stopped. */
enum watch_for { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch {
    struct event *event;
    loop_fn *fn;
    void *owner;
};
void watch_start(struct watch *watch, struct loop *loop, int descriptor,
                 enum watch_for direction, loop_fn *fn, void *owner);
void watch_stop(struct watch *watch);

/* A signal, until stopped (the same struct and rules as a watch). */
void watch_signal(struct watch *watch, struct loop *loop, int signal_number,
                  loop_fn *fn, void *owner);

#endif
