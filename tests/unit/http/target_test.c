/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/memory.h"
#include "http/target.h"

static void targets_are_paths(void **state)
{
    static const struct {
        const char *target;
        const char *authority;
        const char *path; /* NULL: it is none */
    } rows[] = {
        { "/", "", "/" },
        { "/c/abc", "", "/c/abc" },
        { "/c/abc?utm_source=x&url=http://evil.example/", "", "/c/abc" },
        { "/c/abc#x", "", "/c/abc" },
        { "/c/a%2Db%5Fc%7e%41", "", "/c/a-b_c~A" },
        { "/c/a%2Fb%00c%zz%4", "", "/c/a%2Fb%00c%zz%4" },
        { "/c/a%252D", "", "/c/a%252D" },
        { "//evil.example/c/", "", "//evil.example/c/" },
        { "http://Host.example:80/c/x?y", "Host.example:80", "/c/x" },
        { "HTTPS://h/", "h", "/" },
        { "http://h", "", NULL },
        { "http://h?/c/x", "", NULL },
        { "ftp://h/c/x", "", NULL },
        { "*", "", NULL },
        { "", "", NULL },
        { "?", "", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char *target = memory_copy_string(rows[i].target);
        struct text authority;
        struct text path;
        bool is_path = target_read(target, &authority, &path);
        assert_int_equal(is_path, rows[i].path != NULL);
        if (is_path) {
            assert_true(text_is(path, rows[i].path));
            assert_true(text_is(authority, rows[i].authority));
        }
        memory_free(target);
    }
}

static void hosts_are_compared_in_one_form(void **state)
{
    static const struct {
        const char *written;
        const char *host; /* NULL: it cannot be one */
    } rows[] = {
        { "Links.Example", "links.example" },
        { " links.example:8080 ", "links.example" },
        { "links.example.", "links.example" },
        { "links.example.:443", "links.example" },
        { "203.0.113.9:80", "203.0.113.9" },
        { "[2001:DB8::1]:80", "2001:db8::1" },
        { "[::1]", "::1" },
        { "a_b.example", "a_b.example" },
        { "", NULL },
        { ":80", NULL },
        { "[::1", NULL },
        { "[::1]x", NULL },
        { "a b", NULL },
        { "a/b", NULL },
        { "user@host", NULL },
        { "a,b", NULL },
        { "a:b", NULL },
        { "links.example\x80", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char host[TARGET_HOST_SIZE];
        bool is_host = target_host(text_of(rows[i].written), host);
        assert_int_equal(is_host, rows[i].host != NULL);
        if (is_host) {
            assert_string_equal(host, rows[i].host);
        }
    }
}

static void a_host_has_a_longest_form(void **state)
{
    char name[TARGET_HOST_SIZE + 1];
    char host[TARGET_HOST_SIZE];
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(target_host((struct text){ name, TARGET_HOST_SIZE - 1 }, host));
    assert_false(target_host((struct text){ name, TARGET_HOST_SIZE }, host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_paths),
        cmocka_unit_test(hosts_are_compared_in_one_form),
        cmocka_unit_test(a_host_has_a_longest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
