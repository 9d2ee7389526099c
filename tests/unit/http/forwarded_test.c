/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/memory.h"
#include "http/forwarded.h"

static void the_client_is_the_last_one_that_is_not_ours(void **state)
{
    static const char ranges[] = "10.0.0.0/8, 192.0.2.1\n2001:db8::/32";
    static const struct {
        const char *peer;
        const char *forwarded_for;
        const char *client;
    } rows[] = {
        { "203.0.113.9", "", "203.0.113.9" },
        /* A client may say what it likes of itself. */
        { "203.0.113.9", "198.51.100.1", "203.0.113.9" },
        { "10.0.0.1", "", "10.0.0.1" },
        { "10.0.0.1", "203.0.113.9", "203.0.113.9" },
        { "10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9" },
        { "10.0.0.1", "198.51.100.1,203.0.113.9 , 10.2.3.4", "203.0.113.9" },
        { "10.0.0.1", "10.9.9.9, 10.2.3.4", "10.9.9.9" },
        { "192.0.2.1", "203.0.113.9:4711", "203.0.113.9" },
        { "2001:db8::5", "\"[2001:dead::1]:99\"", "2001:dead::1" },
        { "10.0.0.1", "2001:dead::1", "2001:dead::1" },
        /* What is no address ends the search. */
        { "10.0.0.1", "203.0.113.9, unknown", "10.0.0.1" },
        { "10.0.0.1", "203.0.113.9, unknown, 10.1.1.1", "10.1.1.1" },
        { "10.0.0.1", ",,,", "10.0.0.1" },
        { "::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9" },
    };
    struct proxies proxies;
    struct error error;
    (void)state;
    assert_true(proxies_read(TEXT_LITERAL(ranges), &proxies, &error));
    assert_int_equal(proxies.count, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address peer;
        struct network_address client;
        char text[NETWORK_TEXT_SIZE];
        assert_true(network_address_parse(text_of(rows[i].peer), 1, &peer));
        forwarded_client(&proxies, &peer, text_of(rows[i].forwarded_for),
                         &client);
        assert_string_equal(network_address_text(&client, text),
                            rows[i].client);
    }
}

static void wrong_ranges_are_named(void **state)
{
    struct proxies proxies;
    struct error error = { "" };
    struct buffer many = { 0 };
    (void)state;
    assert_true(proxies_read(text_of(""), &proxies, &error));
    assert_int_equal(proxies.count, 0);
    assert_false(
        proxies_read(text_of("10.0.0.0/8 nonsense"), &proxies, &error));
    assert_true(error.text[0] != '\0');
    for (int i = 0; i <= FORWARDED_PROXIES_MAX; i++) {
        buffer_printf(&many, "10.0.0.%d ", i);
    }
    assert_false(proxies_read(buffer_text(&many), &proxies, &error));
    buffer_free(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_last_one_that_is_not_ours),
        cmocka_unit_test(wrong_ranges_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
