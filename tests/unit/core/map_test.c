/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/map.h"
#include "core/memory.h"

#define MANY 20000

static int values[MANY];

static void text_keys_are_copied_and_compared_by_bytes(void **state)
{
    (void)state;
    struct map *map = map_create();
    char key[] = "a key that does not fit into its slot";
    map_set(map, text_of(key), &values[0]);
    map_set(map, text_of(""), &values[1]);
    map_set(map, (struct text){ "a\0b", 3 }, &values[2]);
    map_set(map, (struct text){ "a\0c", 3 }, &values[3]);
    key[0] = 'A';
    assert_null(map_get(map, text_of(key)));
    key[0] = 'a';
    assert_ptr_equal(map_get(map, text_of(key)), &values[0]);
    assert_ptr_equal(map_get(map, text_of("")), &values[1]);
    assert_ptr_equal(map_get(map, (struct text){ "a\0c", 3 }), &values[3]);
    assert_null(map_get(map, text_of("a")));
    map_set(map, text_of(key), &values[9]);
    assert_int_equal(map_count(map), 4);
    assert_ptr_equal(map_remove(map, text_of(key)), &values[9]);
    assert_null(map_remove(map, text_of(key)));
    assert_int_equal(map_count(map), 3);
    map_free(&map);
    assert_null(map);
    map_free(&map);
}

static void many_keys_come_and_go(void **state)
{
    (void)state;
    struct map *map = map_create();
    char key[40];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), i % 2 ? "%d" : "domain-%d.example.com", i);
        map_set(map, text_of(key), &values[i]);
        map_set_id(map, i, &values[i]);
    }
    assert_int_equal(map_count(map), 2 * MANY);
    for (int i = 0; i < MANY; i += 3) {
        assert_ptr_equal(map_remove_id(map, i), &values[i]);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), i % 2 ? "%d" : "domain-%d.example.com", i);
        assert_ptr_equal(map_get(map, text_of(key)), &values[i]);
        assert_ptr_equal(map_get_id(map, i), i % 3 ? &values[i] : NULL);
    }
    map_free(&map);
}

/* Graves must neither fill the table nor stop a search. */
static void one_key_at_a_time_for_long(void **state)
{
    (void)state;
    struct map *map = map_create();
    map_set_id(map, -1, &values[1]);
    for (int64_t i = 0; i < 200000; i++) {
        map_set_id(map, i, &values[0]);
        assert_ptr_equal(map_remove_id(map, i), &values[0]);
        assert_null(map_get_id(map, i));
    }
    assert_ptr_equal(map_get_id(map, -1), &values[1]);
    assert_int_equal(map_count(map), 1);
    map_free(&map);
}

static void visiting_may_remove(void **state)
{
    (void)state;
    struct map *map = map_create();
    for (int i = 0; i < 1000; i++) {
        values[i] = 0;
        map_set_id(map, i, &values[i]);
    }
    size_t position = 0;
    struct text key;
    void *value;
    while (map_next(map, &position, &key, &value)) {
        int *seen = value;
        (*seen)++;
        assert_int_equal(key.length, sizeof(int64_t));
        if ((seen - values) % 2) {
            assert_ptr_equal(map_remove(map, key), seen);
        }
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(values[i], 1);
        assert_ptr_equal(map_get_id(map, i), i % 2 ? NULL : &values[i]);
    }
    assert_int_equal(map_count(map), 500);
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_keys_are_copied_and_compared_by_bytes),
        cmocka_unit_test(many_keys_come_and_go),
        cmocka_unit_test(one_key_at_a_time_for_long),
        cmocka_unit_test(visiting_may_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
