/* SPDX-License-Identifier: MIT */
/* The event loop of a worker, on libevent. */
#include "core/loop.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/time.h>

#include "core/clock.h"
#include "core/list.h"
#include "core/memory.h"

/* A call that waits for the next turn. */
struct post {
    struct list_link link;
    loop_fn *fn;
    void *owner;
};

struct loop {
    struct event_base *base;
    struct event *post_event;
    struct list posts;
    struct list running_posts; /* taken from posts, not yet run */
    struct list disposals; /* run after the posts that were made before */
    bool is_stopping;
};

static struct timeval to_timeval(int64_t microseconds)
{
    return (struct timeval){
        .tv_sec = (time_t)(microseconds / CLOCK_SECOND),
        .tv_usec = (suseconds_t)(microseconds % CLOCK_SECOND),
    };
}

/* event_active would run the posts before the next poll; a timer of zero goes
 * round through it, so sockets are looked at between two batches of posts. */
static void arm_posts(struct loop *loop)
{
    struct timeval at_once = { 0, 0 };
    if (!evtimer_pending(loop->post_event, NULL)) {
        check(event_add(loop->post_event, &at_once) == 0);
    }
}

static void add_post(struct loop *loop, struct list *list, loop_fn *fn,
                     void *owner)
{
    struct post *post = memory_alloc(sizeof(*post));
    post->fn = fn;
    post->owner = owner;
    list_append(list, &post->link);
    arm_posts(loop);
}

static void move_all(struct list *from, struct list *to)
{
    struct list_link *link;
    while ((link = list_take_first(from)) != NULL) {
        list_append(to, link);
    }
}

static void run_all(struct list *posts)
{
    struct list_link *link;
    while ((link = list_take_first(posts)) != NULL) {
        struct post *post = LIST_ITEM(link, struct post, link);
        loop_fn *fn = post->fn;
        void *owner = post->owner;
        memory_free(post);
        fn(owner);
    }
}

static void forget_all(struct list *posts, const void *owner, bool is_any_owner)
{
    struct list_link *link = posts->first;
    while (link != NULL) {
        struct post *post = LIST_ITEM(link, struct post, link);
        link = link->next;
        if (is_any_owner || post->owner == owner) {
            list_remove(&post->link);
            memory_free(post);
        }
    }
}

static void on_posts_due(evutil_socket_t descriptor, short what, void *argument)
{
    struct loop *loop = argument;
    struct list due_disposals = { 0 };
    (void)descriptor;
    (void)what;
    move_all(&loop->posts, &loop->running_posts);
    move_all(&loop->disposals, &due_disposals);
    run_all(&loop->running_posts);
    run_all(&due_disposals);
}

static void *allocate_for_libevent(size_t size_bytes)
{
    return memory_resize(NULL, size_bytes);
}

struct loop *loop_create(void)
{
    struct loop *loop = memory_alloc(sizeof(*loop));
    /* So that a want of memory is called by its name. */
    event_set_mem_functions(allocate_for_libevent, memory_resize, memory_free);
    struct event_config *config = event_config_new();
    check(config != NULL);
    /* The default clock of libevent moves in steps of 4 ms. */
    check(event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    check(loop->base != NULL);
    loop->post_event = evtimer_new(loop->base, on_posts_due, loop);
    check(loop->post_event != NULL);
    /* Writing to a closed connection is an error of that connection alone. */
    signal(SIGPIPE, SIG_IGN);
    return loop;
}

void loop_free(struct loop **loop)
{
    struct loop *doomed = *loop;
    if (doomed == NULL) {
        return;
    }
    *loop = NULL;
    forget_all(&doomed->posts, NULL, true);
    while (doomed->disposals.count > 0) {
        run_all(&doomed->disposals);
    }
    event_free(doomed->post_event);
    event_base_free(doomed->base);
    memory_free(doomed);
}

void loop_run(struct loop *loop)
{
    if (!loop->is_stopping) {
        check(event_base_dispatch(loop->base) >= 0);
    }
    loop->is_stopping = false;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
    event_base_loopbreak(loop->base);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

void loop_post(struct loop *loop, loop_fn *fn, void *owner)
{
    add_post(loop, &loop->posts, fn, owner);
}

void loop_cancel_posts(struct loop *loop, const void *owner)
{
    forget_all(&loop->posts, owner, false);
    forget_all(&loop->running_posts, owner, false);
}

void loop_dispose(struct loop *loop, loop_fn *free_object, void *object)
{
    add_post(loop, &loop->disposals, free_object, object);
}

static void on_timer_due(evutil_socket_t descriptor, short what, void *argument)
{
    struct timer *timer = argument;
    loop_fn *fn = timer->fn;
    void *owner = timer->owner;
    (void)descriptor;
    (void)what;
    /* First, since fn may free the timer's owner or start the timer again. */
    timer_stop(timer);
    fn(owner);
}

void timer_start(struct timer *timer, struct loop *loop, int64_t milliseconds,
                 loop_fn *fn, void *owner)
{
    if (timer->event != NULL && timer->loop != loop) {
        timer_stop(timer);
    }
    if (timer->event == NULL) {
        timer->event = evtimer_new(loop->base, on_timer_due, timer);
        check(timer->event != NULL);
    }
    timer->loop = loop;
    timer->fn = fn;
    timer->owner = owner;
    int64_t span = milliseconds < 0 ? 0 : milliseconds;
    span = span > INT64_MAX / CLOCK_MILLISECOND ? INT64_MAX
                                                : span * CLOCK_MILLISECOND;
    struct timeval real_span = to_timeval(span / clock_rate());
    check(event_add(timer->event, &real_span) == 0);
}

void timer_stop(struct timer *timer)
{
    if (timer->event != NULL) {
        event_free(timer->event);
        timer->event = NULL;
    }
}

bool timer_is_running(const struct timer *timer)
{
    return timer->event != NULL && evtimer_pending(timer->event, NULL);
}

static void on_watch_ready(evutil_socket_t descriptor, short what,
                           void *argument)
{
    struct watch *watch = argument;
    (void)descriptor;
    (void)what;
    watch->fn(watch->owner);
}

static void start_watch(struct watch *watch, struct loop *loop, int subject,
                        short what, loop_fn *fn, void *owner)
{
    watch_stop(watch);
    watch->fn = fn;
    watch->owner = owner;
    watch->event = event_new(loop->base, subject, (short)(what | EV_PERSIST),
                             on_watch_ready, watch);
    check(watch->event != NULL);
    check(event_add(watch->event, NULL) == 0);
}

void watch_start(struct watch *watch, struct loop *loop, int descriptor,
                 enum watch_for direction, loop_fn *fn, void *owner)
{
    int what = ((direction & WATCH_READ) ? EV_READ : 0) |
               ((direction & WATCH_WRITE) ? EV_WRITE : 0);
    start_watch(watch, loop, descriptor, (short)what, fn, owner);
}

void watch_stop(struct watch *watch)
{
    if (watch->event != NULL) {
        event_free(watch->event);
        watch->event = NULL;
    }
}

void watch_signal(struct watch *watch, struct loop *loop, int signal_number,
                  loop_fn *fn, void *owner)
{
    start_watch(watch, loop, signal_number, EV_SIGNAL, fn, owner);
}
