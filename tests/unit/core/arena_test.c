/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/arena.h"

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena *arena = arena_create();
    unsigned char *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        size_t size = i * 37 % 3000;
        blocks[i] = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(blocks[i][j], 0);
        }
        memset(blocks[i], (int)(i % 251) + 1, size);
        arena_copy_string(arena, "odd");
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t j = 0; j < i * 37 % 3000; j++) {
            assert_int_equal(blocks[i][j], i % 251 + 1);
        }
    }
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

static void strings_are_copied(void **state)
{
    (void)state;
    struct arena *arena = arena_create();
    struct text text = { "a\0b", 3 };
    const char *copy = arena_copy_text(arena, text);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(arena_copy_string(arena, "plain"), "plain");
    assert_string_equal(arena_copy_text(arena, text_of(NULL)), "");
    assert_string_equal(arena_printf(arena, "%s-%d", "x", 42), "x-42");
    const char *wide = arena_printf(arena, "%0100000d", 7);
    assert_int_equal(strlen(wide), 100000);
    arena_free(&arena);
}

static void the_size_is_what_the_system_gave(void **state)
{
    (void)state;
    struct arena *arena = arena_create();
    size_t before = arena_size_bytes(arena);
    arena_alloc(arena, 1000000);
    size_t large = arena_size_bytes(arena);
    assert_true(large >= before + 1000000);
    assert_true(large < before + 1001000);
    for (int i = 0; i < 100000; i++) {
        arena_alloc(arena, 16);
    }
    size_t many = arena_size_bytes(arena) - large;
    assert_true(many >= 1600000);
    assert_true(many < 1600000 + 100000);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(the_size_is_what_the_system_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
