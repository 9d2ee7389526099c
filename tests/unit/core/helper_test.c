/* SPDX-License-Identifier: MIT */
/* Tests of core/helper.c. */
#include "core/helper.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Jobs wait at a gate, so that the test knows what the thread is doing. */
struct world {
    struct loop *loop;
    struct helper *helper;
    pthread_mutex_t gate;
    sem_t arrived; /* jobs that stand at the gate */
    pthread_t main_thread;
    int done_count;
    int freed_count;
    int stop_at_count;
    struct timer watchdog;
};

struct task {
    struct world *world;
    struct helper_job *job;
    int number;
    int square;
    bool was_on_thread;
    bool waits_at_gate;
    bool cancels_itself;
};

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 20 seconds");
}

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    world.helper = helper_create(world.loop, 2);
    world.main_thread = pthread_self();
    pthread_mutex_init(&world.gate, NULL);
    sem_init(&world.arrived, 0, 0);
    timer_start(&world.watchdog, world.loop, 20000, on_watchdog, NULL);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    timer_stop(&world->watchdog);
    helper_free(&world->helper);
    helper_free(&world->helper);
    pthread_mutex_destroy(&world->gate);
    sem_destroy(&world->arrived);
    loop_free(&world->loop);
    return 0;
}

static void compute_square(void *argument)
{
    struct task *task = argument;
    if (task->waits_at_gate) {
        sem_post(&task->world->arrived);
        pthread_mutex_lock(&task->world->gate);
        pthread_mutex_unlock(&task->world->gate);
    }
    task->was_on_thread =
        !pthread_equal(pthread_self(), task->world->main_thread);
    task->square = task->number * task->number;
}

static void count_freed(void *argument)
{
    struct task *task = argument;
    assert_true(pthread_equal(pthread_self(), task->world->main_thread));
    if (++task->world->freed_count == task->world->stop_at_count) {
        loop_stop(task->world->loop);
    }
}

static void on_done(void *owner, void *argument)
{
    struct task *task = argument;
    assert_ptr_equal(owner, task->world);
    assert_int_equal(task->world->freed_count, task->world->done_count);
    task->world->done_count++;
    if (task->cancels_itself) {
        helper_cancel(&task->job);
    }
    task->job = NULL;
}

static bool submit(struct task *task)
{
    task->job = helper_submit(task->world->helper, compute_square, task,
                              count_freed, on_done, task->world);
    return task->job != NULL;
}

static void result_comes_on_the_loop(void **state)
{
    struct world *world = *state;
    struct task task = { .world = world, .number = 7 };
    assert_true(submit(&task));
    assert_int_equal(world->done_count, 0);
    world->stop_at_count = 1;
    loop_run(world->loop);
    assert_int_equal(task.square, 49);
    assert_true(task.was_on_thread);
    assert_int_equal(world->done_count, 1);
    assert_int_equal(world->freed_count, 1);
}

static void job_may_be_cancelled_in_its_own_callback(void **state)
{
    struct world *world = *state;
    struct task task = { .world = world, .cancels_itself = true };
    assert_true(submit(&task));
    world->stop_at_count = 1;
    loop_run(world->loop);
    assert_int_equal(world->freed_count, 1);
}

static void full_queue_refuses(void **state)
{
    struct world *world = *state;
    struct task tasks[5];
    int accepted_count = 0;
    pthread_mutex_lock(&world->gate);
    for (int i = 0; i < 5; i++) {
        tasks[i] = (struct task){ .world = world, .waits_at_gate = true };
        accepted_count += submit(&tasks[i]) ? 1 : 0;
    }
    /* Two wait; a third one has perhaps begun meanwhile. */
    assert_true(accepted_count == 2 || accepted_count == 3);
    assert_null(tasks[4].job);
    pthread_mutex_unlock(&world->gate);
    world->stop_at_count = accepted_count;
    loop_run(world->loop);
    assert_int_equal(world->done_count, accepted_count);
    assert_true(submit(&tasks[4]));
    world->stop_at_count++;
    loop_run(world->loop);
    assert_int_equal(world->done_count, accepted_count + 1);
}

static void cancelled_jobs_do_not_call_back(void **state)
{
    struct world *world = *state;
    struct task first = { .world = world, .waits_at_gate = true };
    struct task second = { .world = world, .waits_at_gate = true };
    pthread_mutex_lock(&world->gate);
    assert_true(submit(&first));
    assert_true(submit(&second));
    sem_wait(&world->arrived);
    helper_cancel(&first.job); /* runs */
    helper_cancel(&second.job); /* waits */
    helper_cancel(&second.job);
    assert_null(first.job);
    pthread_mutex_unlock(&world->gate);
    world->stop_at_count = 2;
    if (world->freed_count < 2) {
        loop_run(world->loop);
    }
    assert_int_equal(world->done_count, 0);
    assert_int_equal(world->freed_count, 2);
}

static void freeing_drops_jobs_and_frees_arguments(void **state)
{
    struct world *world = *state;
    struct task first = { .world = world };
    struct task second = { .world = world };
    assert_true(submit(&first));
    assert_true(submit(&second));
    helper_free(&world->helper);
    assert_int_equal(world->done_count, 0);
    assert_int_equal(world->freed_count, 2);
}

#define HELPER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HELPER_TEST(result_comes_on_the_loop),
        HELPER_TEST(job_may_be_cancelled_in_its_own_callback),
        HELPER_TEST(full_queue_refuses),
        HELPER_TEST(cancelled_jobs_do_not_call_back),
        HELPER_TEST(freeing_drops_jobs_and_frees_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
