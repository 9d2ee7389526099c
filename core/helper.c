/* SPDX-License-Identifier: MIT */
/*
 * The worker's one thread.
 *
 *   loop: helper_submit ──waiting──> thread: work ──done──> loop: on_done
 *
 * The two lists and the two flags are all that both threads touch, under one
 * mutex; an eventfd wakes the loop. Everything of the caller's (on_done,
 * free_argument) runs on the loop.
 */
#include "core/helper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/list.h"
#include "core/memory.h"

struct helper_job {
    struct list_link link;
    struct helper *helper;
    void (*work)(void *argument);
    void *argument;
    void (*free_argument)(void *argument);
    void (*on_done)(void *owner, void *argument);
    void *owner;
    bool is_cancelled; /* the loop's alone */
};

struct helper {
    struct watch wake;
    int wake_descriptor;
    size_t queue_limit;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    struct list waiting; /* under the mutex, as the next two */
    struct list done;
    bool is_stopping;
};

static void free_job(struct helper_job *job)
{
    if (job->free_argument != NULL) {
        job->free_argument(job->argument);
    }
    memory_free(job);
}

static struct helper_job *take_job(struct list *list)
{
    struct list_link *link = list_take_first(list);
    return LIST_ITEM(link, struct helper_job, link);
}

static struct helper_job *wait_for_job(struct helper *helper)
{
    struct helper_job *job = NULL;
    pthread_mutex_lock(&helper->mutex);
    while (!helper->is_stopping && helper->waiting.count == 0) {
        pthread_cond_wait(&helper->has_work, &helper->mutex);
    }
    if (!helper->is_stopping) {
        job = take_job(&helper->waiting);
    }
    pthread_mutex_unlock(&helper->mutex);
    return job;
}

static void hand_back(struct helper *helper, struct helper_job *job)
{
    uint64_t one = 1;
    pthread_mutex_lock(&helper->mutex);
    list_append(&helper->done, &job->link);
    pthread_mutex_unlock(&helper->mutex);
    while (write(helper->wake_descriptor, &one, sizeof(one)) < 0 &&
           errno == EINTR) {
    }
}

static void *run_thread(void *argument)
{
    struct helper *helper = argument;
    struct helper_job *job;
    while ((job = wait_for_job(helper)) != NULL) {
        job->work(job->argument);
        hand_back(helper, job);
    }
    return NULL;
}

static void on_wake(void *owner)
{
    struct helper *helper = owner;
    struct helper_job *job = NULL;
    uint64_t count;
    /* One job a turn: the descriptor stays readable while more are done. */
    pthread_mutex_lock(&helper->mutex);
    job = take_job(&helper->done);
    if (helper->done.count == 0) {
        (void)!read(helper->wake_descriptor, &count, sizeof(count));
    }
    pthread_mutex_unlock(&helper->mutex);
    if (job == NULL) {
        return;
    }
    if (!job->is_cancelled) {
        /* on_done may close its owner, which cancels what it believes to be
         * running; the job is freed below in any case. */
        job->is_cancelled = true;
        job->on_done(job->owner, job->argument);
    }
    free_job(job);
}

/* Signals are the loop's business: the thread lets none in. */
static void start_thread(struct helper *helper)
{
    sigset_t every;
    sigset_t before;
    sigfillset(&every);
    check(pthread_sigmask(SIG_SETMASK, &every, &before) == 0);
    check(pthread_create(&helper->thread, NULL, run_thread, helper) == 0);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

struct helper *helper_create(struct loop *loop, size_t queue_limit)
{
    struct helper *helper = memory_alloc(sizeof(*helper));
    helper->queue_limit = queue_limit;
    helper->wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check(helper->wake_descriptor >= 0);
    check(pthread_mutex_init(&helper->mutex, NULL) == 0);
    check(pthread_cond_init(&helper->has_work, NULL) == 0);
    watch_start(&helper->wake, loop, helper->wake_descriptor, WATCH_READ,
                on_wake, helper);
    start_thread(helper);
    return helper;
}

static void free_jobs(struct list *jobs)
{
    struct helper_job *job;
    while ((job = take_job(jobs)) != NULL) {
        free_job(job);
    }
}

void helper_free(struct helper **helper)
{
    struct helper *doomed = *helper;
    if (doomed == NULL) {
        return;
    }
    *helper = NULL;
    pthread_mutex_lock(&doomed->mutex);
    doomed->is_stopping = true;
    pthread_cond_signal(&doomed->has_work);
    pthread_mutex_unlock(&doomed->mutex);
    check(pthread_join(doomed->thread, NULL) == 0);
    watch_stop(&doomed->wake);
    close(doomed->wake_descriptor);
    free_jobs(&doomed->waiting);
    free_jobs(&doomed->done);
    pthread_cond_destroy(&doomed->has_work);
    pthread_mutex_destroy(&doomed->mutex);
    memory_free(doomed);
}

struct helper_job *helper_submit(struct helper *helper,
                                 void (*work)(void *argument), void *argument,
                                 void (*free_argument)(void *argument),
                                 void (*on_done)(void *owner, void *argument),
                                 void *owner)
{
    struct helper_job *job = NULL;
    pthread_mutex_lock(&helper->mutex);
    if (helper->waiting.count < helper->queue_limit) {
        job = memory_alloc(sizeof(*job));
        *job = (struct helper_job){
            .helper = helper,
            .work = work,
            .argument = argument,
            .free_argument = free_argument,
            .on_done = on_done,
            .owner = owner,
        };
        list_append(&helper->waiting, &job->link);
        pthread_cond_signal(&helper->has_work);
    }
    pthread_mutex_unlock(&helper->mutex);
    return job;
}

void helper_cancel(struct helper_job **job)
{
    struct helper_job *doomed = *job;
    if (doomed == NULL) {
        return;
    }
    *job = NULL;
    struct helper *helper = doomed->helper;
    pthread_mutex_lock(&helper->mutex);
    bool was_waiting = doomed->link.list == &helper->waiting;
    if (was_waiting) {
        list_remove(&doomed->link);
    }
    doomed->is_cancelled = true;
    pthread_mutex_unlock(&helper->mutex);
    if (was_waiting) {
        free_job(doomed);
    }
}
