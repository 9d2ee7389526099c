/* SPDX-License-Identifier: MIT */
/* Tests of core/budget.c. */
#include "core/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SMALL ((size_t)BUDGET_SMALL_BYTES)
#define SHARE_COUNT 64

/* Room for 16 small units: 4 for small bytes alone, 8 for both, 4 reserve. */
#define TOTAL (16 * SMALL)
#define LARGEST (4 * SMALL)

struct world {
    struct loop *loop;
    struct budget *budget;
    struct budget_share shares[SHARE_COUNT];
    int granted_count;
    struct budget_share *last_granted;
};

struct call {
    struct world *world;
    struct budget_share *share;
};
static struct call calls[SHARE_COUNT];

static void on_granted(void *owner)
{
    struct call *call = owner;
    call->world->granted_count++;
    call->world->last_granted = call->share;
}

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    world.budget = budget_create(world.loop, TOTAL, LARGEST);
    for (int i = 0; i < SHARE_COUNT; i++) {
        calls[i] = (struct call){ &world, &world.shares[i] };
    }
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < SHARE_COUNT; i++) {
        budget_give_back(&world->shares[i]);
    }
    assert_int_equal(budget_used_bytes(world->budget), 0);
    assert_int_equal(budget_waiting_count(world->budget), 0);
    budget_free(&world->budget);
    loop_run(world->loop);
    loop_free(&world->loop);
    return 0;
}

static bool take(struct world *world, int i, size_t bytes)
{
    return budget_take(world->budget, &world->shares[i], bytes, on_granted,
                       &calls[i]);
}

static void what_fits_is_granted_at_once(void **state)
{
    struct world *world = *state;
    assert_int_equal(budget_total_bytes(world->budget), TOTAL);
    assert_true(take(world, 0, 100));
    assert_true(take(world, 0, 200));
    assert_int_equal(budget_used_bytes(world->budget), 300);
    assert_int_equal(world->shares[0].bytes, 300);
    budget_give_back(&world->shares[0]);
    budget_give_back(&world->shares[0]);
    assert_int_equal(budget_used_bytes(world->budget), 0);
}

static void who_waits_is_told_once_and_later(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 12; i++) {
        assert_true(take(world, i, SMALL));
    }
    assert_true(take(world, 12, SMALL)); /* the reserve */
    assert_false(take(world, 13, SMALL));
    assert_false(take(world, 14, SMALL));
    assert_int_equal(budget_waiting_count(world->budget), 2);
    budget_give_back(&world->shares[3]);
    assert_int_equal(world->granted_count, 0);
    loop_run(world->loop);
    assert_int_equal(world->granted_count, 1);
    assert_ptr_equal(world->last_granted, &world->shares[13]);
    assert_int_equal(world->shares[13].bytes, SMALL);
    assert_int_equal(budget_waiting_count(world->budget), 1);
}

static void latecomer_does_not_overtake(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 12; i++) {
        assert_true(take(world, i, SMALL));
    }
    assert_true(take(world, 20, SMALL));
    assert_false(take(world, 12, SMALL));
    budget_give_back(&world->shares[0]);
    budget_give_back(&world->shares[1]);
    assert_true(take(world, 13, SMALL));
    assert_false(take(world, 14, SMALL));
    loop_run(world->loop);
    assert_ptr_equal(world->last_granted, &world->shares[12]);
}

static void large_ones_leave_a_quarter_to_small_ones(void **state)
{
    struct world *world = *state;
    /* Each takes 1 small unit and 2 large ones: 8 common units are for large
     * bytes, so four fit by size; the small part counts on top. */
    assert_true(take(world, 0, 3 * SMALL));
    assert_true(take(world, 1, 3 * SMALL));
    assert_true(take(world, 2, 3 * SMALL));
    assert_true(take(world, 3, 3 * SMALL));
    assert_false(take(world, 4, 3 * SMALL));
    budget_give_back(&world->shares[4]);
    budget_give_back(&world->shares[3]);
    assert_true(take(world, 5, SMALL));
    assert_true(take(world, 6, SMALL));
    assert_true(take(world, 7, SMALL));
}

static void large_bytes_cannot_touch_the_quarter(void **state)
{
    struct world *world = *state;
    assert_true(take(world, 0, LARGEST));
    assert_true(take(world, 1, LARGEST)); /* 2 small, 6 large units */
    assert_false(take(world, 2, LARGEST)); /* 9 large are too many */
    assert_true(take(world, 3, SMALL));
    assert_true(take(world, 4, SMALL));
    assert_true(take(world, 5, SMALL));
    assert_true(take(world, 6, SMALL));
}

static void oldest_large_one_may_always_go_on(void **state)
{
    struct world *world = *state;
    assert_true(take(world, 0, SMALL + 1));
    assert_true(take(world, 1, SMALL + 1));
    for (int i = 10; i < 20; i++) {
        (void)take(world, i, SMALL);
    }
    assert_false(take(world, 1, 2 * SMALL));
    assert_true(take(world, 0, SMALL));
    assert_true(take(world, 0, 2 * SMALL - 1));
    assert_int_equal(world->shares[0].bytes, LARGEST);
    /* When it is through, the next oldest may. */
    budget_give_back(&world->shares[0]);
    loop_run(world->loop);
    assert_ptr_equal(world->last_granted, &world->shares[1]);
}

static void small_ones_that_grow_together_do_not_lock(void **state)
{
    struct world *world = *state;
    int finished_count = 0;
    size_t step = SMALL / 8;
    bool is_waiting[SHARE_COUNT] = { false };
    bool is_finished[SHARE_COUNT] = { false };
    /* 64 messages want four times what there is, each a bit at a time. */
    while (finished_count < SHARE_COUNT) {
        int progress_count = world->granted_count;
        world->granted_count = 0;
        for (int i = 0; i < SHARE_COUNT; i++) {
            struct budget_share *share = &world->shares[i];
            if (is_waiting[i] && share->waiting.list == NULL) {
                is_waiting[i] = false;
                progress_count++;
            }
            if (is_waiting[i] || is_finished[i]) {
                continue;
            }
            if (share->bytes == SMALL) {
                budget_give_back(share);
                is_finished[i] = true;
                finished_count++;
                progress_count++;
            } else {
                is_waiting[i] = !take(world, i, step);
                progress_count += is_waiting[i] ? 0 : 1;
            }
        }
        loop_run(world->loop);
        assert_true(progress_count > 0);
        assert_true(budget_used_bytes(world->budget) <= TOTAL);
    }
}

static void giving_back_forgets_the_waiting(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 13; i++) {
        assert_true(take(world, i, SMALL));
    }
    assert_false(take(world, 13, SMALL));
    assert_false(take(world, 14, SMALL));
    budget_give_back(&world->shares[13]);
    budget_give_back(&world->shares[0]);
    /* Granted, but given back before it was told. */
    assert_int_equal(world->shares[14].bytes, SMALL);
    budget_give_back(&world->shares[14]);
    loop_run(world->loop);
    assert_int_equal(world->granted_count, 0);
}

static void moved_bytes_keep_their_place(void **state)
{
    struct world *world = *state;
    assert_true(take(world, 0, 2 * SMALL));
    assert_true(take(world, 1, 2 * SMALL));
    budget_move(&world->shares[0], &world->shares[2]);
    assert_int_equal(world->shares[0].bytes, 0);
    assert_int_equal(world->shares[2].bytes, 2 * SMALL);
    assert_int_equal(budget_used_bytes(world->budget), 4 * SMALL);
    for (int i = 10; i < 18; i++) {
        assert_true(take(world, i, SMALL));
    }
    assert_false(take(world, 1, SMALL));
    assert_true(take(world, 2, SMALL)); /* still the oldest */
    budget_move(&world->shares[2], &world->shares[3]);
    assert_true(take(world, 3, SMALL)); /* and holder of the reserve */
}

static void more_than_half_is_tight(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 8; i++) {
        assert_true(take(world, i, SMALL));
    }
    assert_false(budget_is_tight(world->budget, 2 * SMALL));
    assert_true(take(world, 8, 1));
    assert_true(budget_is_tight(world->budget, 2 * SMALL));
    assert_false(budget_is_tight(world->budget, SMALL));
}

static void tiny_budget_takes_one_after_the_other(void **state)
{
    struct world *world = *state;
    struct budget *tiny = budget_create(world->loop, SMALL, LARGEST);
    struct budget_share a = { 0 };
    struct budget_share b = { 0 };
    assert_true(budget_take(tiny, &a, LARGEST, on_granted, &calls[0]));
    assert_false(budget_take(tiny, &b, LARGEST, on_granted, &calls[1]));
    budget_give_back(&a);
    loop_run(world->loop);
    assert_ptr_equal(world->last_granted, &world->shares[1]);
    budget_give_back(&b);
    budget_free(&tiny);
}

#define BUDGET_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUDGET_TEST(what_fits_is_granted_at_once),
        BUDGET_TEST(who_waits_is_told_once_and_later),
        BUDGET_TEST(latecomer_does_not_overtake),
        BUDGET_TEST(large_ones_leave_a_quarter_to_small_ones),
        BUDGET_TEST(large_bytes_cannot_touch_the_quarter),
        BUDGET_TEST(oldest_large_one_may_always_go_on),
        BUDGET_TEST(small_ones_that_grow_together_do_not_lock),
        BUDGET_TEST(giving_back_forgets_the_waiting),
        BUDGET_TEST(moved_bytes_keep_their_place),
        BUDGET_TEST(more_than_half_is_tight),
        BUDGET_TEST(tiny_budget_takes_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
