/* SPDX-License-Identifier: MIT */
/* An arena for each test: its state. Behind cmocka.h. */
#ifndef BATON_TESTS_ARENA_FIXTURE_H
#define BATON_TESTS_ARENA_FIXTURE_H

#include "core/arena.h"

static int create_arena(void **state)
{
    *state = arena_create();
    return 0;
}

static int free_arena(void **state)
{
    struct arena *arena = *state;
    arena_free(&arena);
    return 0;
}

#endif
