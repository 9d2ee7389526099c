/* SPDX-License-Identifier: MIT */
/* B5: at most 64 octets, keyed, proof against case folding. */
#include "tracking/return_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static const uint8_t secret_one[MAC_SECRET_BYTES] = { 1, 2, 3 };
static const uint8_t secret_two[MAC_SECRET_BYTES] = { 4, 5, 6 };

static const struct return_path paths[] = {
    { RETURN_BOUNCE, 0xfedcba9876, 0x0123456789abcdef },
    { RETURN_FEEDBACK, 0, 0 },
    { RETURN_UNSUBSCRIBE, 0xffffffffff, INT64_MAX },
};

static struct token_keys *make_keys(void)
{
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 258, secret_one);
    token_keys_use(keys, 258);
    return keys;
}

static bool reads(const struct token_keys *keys, struct text local)
{
    struct return_path path = { 0 };
    bool is_read = return_path_read(keys, local, &path);
    assert_true(is_read || path.kind == 0);
    return is_read;
}

static void paths_go_both_ways(void **state)
{
    struct token_keys *keys = make_keys();
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        struct return_path path;
        return_path_write(keys, &paths[i], local);
        assert_int_equal(strlen(local), RETURN_PATH_LOCAL_CHARACTERS);
        assert_true(strlen(local) <= 64);
        assert_int_equal(strspn(local, "abcdefghijklmnopqrstuvwxyz234567+"),
                         strlen(local));
        assert_true(return_path_read(keys, text_of(local), &path));
        assert_int_equal(path.kind, paths[i].kind);
        assert_int_equal(path.account_id, paths[i].account_id);
        assert_int_equal(path.delivery_id, paths[i].delivery_id);
    }
    token_keys_free(&keys);
}

/* What is out stays good: made by Python's hmac and base64. */
static void path_as_it_is_written(void **state)
{
    struct token_keys *keys = make_keys();
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    return_path_write(keys, &paths[0], local);
    assert_string_equal(local,
                        "b+ceaqf7w4xkmhmajdivtytk6n573pi6d45lggwvai5kahwhip");
    token_keys_free(&keys);
}

static void case_does_not_matter(void **state)
{
    struct token_keys *keys = make_keys();
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    return_path_write(keys, &paths[0], local);
    for (size_t i = 0; i < RETURN_PATH_LOCAL_CHARACTERS; i++) {
        if (local[i] >= 'a' && local[i] <= 'z') {
            local[i] = (char)(local[i] - 'a' + 'A');
        }
        assert_true(reads(keys, text_of(local)));
    }
    token_keys_free(&keys);
}

static void changed_ones_are_not_ours(void **state)
{
    struct token_keys *keys = make_keys();
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        return_path_write(keys, &paths[i], local);
        for (size_t at = 0; at < RETURN_PATH_LOCAL_CHARACTERS; at++) {
            char right = local[at];
            for (int byte = 0; byte < 256; byte++) {
                local[at] = (char)byte;
                assert_int_equal(
                    reads(keys,
                          (struct text){ local, RETURN_PATH_LOCAL_CHARACTERS }),
                    ascii_lower((char)byte) == right);
            }
            local[at] = right;
        }
        for (size_t length = 0; length < RETURN_PATH_LOCAL_CHARACTERS;
             length++) {
            assert_false(reads(keys, (struct text){ local, length }));
        }
        assert_false(reads(keys, (struct text){ local, sizeof(local) }));
    }
    token_keys_free(&keys);
}

static void keys_rotate(void **state)
{
    struct token_keys *keys = make_keys();
    struct token_keys *others = token_keys_create();
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    return_path_write(keys, &paths[0], local);
    token_keys_add(keys, 259, secret_two);
    token_keys_use(keys, 259);
    assert_true(reads(keys, text_of(local)));
    assert_false(reads(others, text_of(local))); /* no key at all */
    token_keys_add(others, 258, secret_two);
    assert_false(reads(others, text_of(local))); /* another one of that id */
    token_keys_free(&keys);
    token_keys_free(&others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_go_both_ways),
        cmocka_unit_test(path_as_it_is_written),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(changed_ones_are_not_ours),
        cmocka_unit_test(keys_rotate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
