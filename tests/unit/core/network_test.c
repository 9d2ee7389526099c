/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "core/memory.h"
#include "core/network.h"

static struct network_address parse(const char *text)
{
    struct network_address address;
    assert_true(network_address_parse(text_of(text), 25, &address));
    return address;
}

static void addresses_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        const char *plain; /* NULL: no address */
        const char *with_port;
        const char *literal;
    } rows[] = {
        { "203.0.113.9", "203.0.113.9", "203.0.113.9:25", "[203.0.113.9]" },
        { "[203.0.113.9]", "203.0.113.9", "203.0.113.9:25", "[203.0.113.9]" },
        { "2001:DB8:0::1", "2001:db8::1", "[2001:db8::1]:25",
          "[IPv6:2001:db8::1]" },
        { "[::1]", "::1", "[::1]:25", "[IPv6:::1]" },
        { "::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1:25", "[10.0.0.1]" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
          "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:25",
          "[IPv6:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]" },
        { .written = "" },
        { .written = "10.0.0" },
        { .written = "10.0.0.256" },
        { .written = "010.0.0.1" },
        { .written = "localhost" },
        { .written = "[10.0.0.1" },
        { .written = "[]" },
        { .written = "2001:db8::1%eth0" },
        { .written = "1::2::3" },
    };
    char text[NETWORK_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address address;
        bool is_address =
            network_address_parse(text_of(rows[i].written), 25, &address);
        assert_int_equal(is_address, rows[i].plain != NULL);
        if (is_address) {
            assert_string_equal(network_address_text(&address, text),
                                rows[i].plain);
            assert_string_equal(network_address_text_with_port(&address, text),
                                rows[i].with_port);
            assert_string_equal(network_address_literal(&address, text),
                                rows[i].literal);
        }
    }
}

static void addresses_with_ports(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        const char *read; /* NULL: refused */
    } rows[] = {
        { "203.0.113.9:25", "203.0.113.9:25" },
        { "[2001:db8::1]:65535", "[2001:db8::1]:65535" },
        { "*:587", "[::]:587" },
        { "[::ffff:1.2.3.4]:1", "1.2.3.4:1" },
        { "203.0.113.9", NULL },
        { "203.0.113.9:", NULL },
        { "203.0.113.9:0", NULL },
        { "203.0.113.9:65536", NULL },
        { "203.0.113.9:smtp", NULL },
        { "2001:db8::1:25", NULL },
        { "[2001:db8::1]", NULL },
        { "localhost:25", NULL },
        { ":25", NULL },
        { "", NULL },
    };
    char text[NETWORK_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address address;
        struct error error = { .text = "" };
        bool is_right = network_address_parse_with_port(
            text_of(rows[i].written), &address, &error);
        assert_int_equal(is_right, rows[i].read != NULL);
        if (is_right) {
            assert_string_equal(network_address_text_with_port(&address, text),
                                rows[i].read);
        } else {
            assert_true(strlen(error.text) > 20);
        }
    }
}

static void sockets_become_addresses(void **state)
{
    (void)state;
    struct sockaddr_in6 mapped = { .sin6_family = AF_INET6,
                                   .sin6_port = htons(99) };
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &mapped.sin6_addr);
    struct network_address address;
    char text[NETWORK_TEXT_SIZE];
    network_address_from_socket((struct sockaddr *)&mapped, sizeof(mapped),
                                &address);
    assert_int_equal(address.socket.any.sa_family, AF_INET);
    assert_int_equal(address.length, sizeof(struct sockaddr_in));
    assert_string_equal(network_address_text_with_port(&address, text),
                        "192.0.2.7:99");
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    network_address_from_socket((struct sockaddr *)&local, sizeof(local),
                                &address);
    assert_int_equal(address.length, 0);
    assert_string_equal(network_address_text(&address, text), "unknown");
}

static void equality_leaves_ports_out(void **state)
{
    (void)state;
    struct network_address a = parse("192.0.2.1");
    struct network_address b = parse("::ffff:192.0.2.1");
    network_address_set_port(&b, 99);
    assert_int_equal(network_address_port(&a), 25);
    assert_int_equal(network_address_port(&b), 99);
    assert_true(network_address_equal(&a, &b));
    b = parse("192.0.2.2");
    assert_false(network_address_equal(&a, &b));
    b = parse("::1");
    assert_false(network_address_equal(&a, &b));
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        const char *inside;
        const char *outside;
    } rows[] = {
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
        { "203.0.113.128/25", "203.0.113.128", "203.0.113.127" },
        { "192.0.2.7", "192.0.2.7", "192.0.2.6" },
        { "0.0.0.0/0", "255.1.2.3", "::1" },
        { "::/0", "2001:db8::1", "1.2.3.4" },
        { "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
        { "2001:db8::9/128", "2001:db8::9", "2001:db8::8" },
        { "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3" },
        { "10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:11.1.1.1" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_range range;
        struct error error;
        struct network_address inside = parse(rows[i].inside);
        struct network_address outside = parse(rows[i].outside);
        assert_true(
            network_range_parse(text_of(rows[i].range), &range, &error));
        assert_true(network_range_contains(&range, &inside));
        assert_false(network_range_contains(&range, &outside));
    }
}

static void a_wrong_range_says_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        const char *hint;
    } rows[] = {
        { "10.0.0.1/8", "10.0.0.0/8" },
        { "2001:db8::1/32", "2001:db8::/32" },
        { "10.0.0.0/33", "0 to 32" },
        { "::/129", "0 to 128" },
        { "::ffff:10.0.0.0/95", "96 to 128" },
        { "10.0.0.0/", "0 to 32" },
        { "10.0.0.0/-1", "0 to 32" },
        { "example.com/8", "no IP range" },
        { "", "no IP range" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_range range;
        struct error error;
        assert_false(
            network_range_parse(text_of(rows[i].range), &range, &error));
        assert_non_null(strstr(error.text, rows[i].hint));
    }
}

static void special_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool is_special;
    } rows[] = {
        { "0.0.0.0", true },
        { "10.1.2.3", true },
        { "100.64.0.1", true },
        { "100.127.255.255", true },
        { "100.128.0.1", false },
        { "127.0.0.1", true },
        { "169.254.169.254", true },
        { "172.15.255.255", false },
        { "172.16.0.1", true },
        { "172.32.0.1", false },
        { "192.0.2.1", true },
        { "192.168.1.1", true },
        { "192.169.1.1", false },
        { "198.18.0.1", true },
        { "198.20.0.1", false },
        { "198.51.100.1", true },
        { "203.0.113.1", true },
        { "224.0.0.1", true },
        { "255.255.255.255", true },
        { "8.8.8.8", false },
        { "1.1.1.1", false },
        { "::", true },
        { "::1", true },
        { "::7f00:1", true },
        { "::ffff:127.0.0.1", true },
        { "::ffff:8.8.8.8", false },
        { "64:ff9b::8.8.8.8", false },
        { "64:ff9b::10.0.0.1", true },
        { "100::1", true },
        { "2001::1", true },
        { "2001:db8::1", true },
        { "2001:4860:4860::8888", false },
        { "2002:0a00:0001::1", true },
        { "2002:0808:0808::1", false },
        { "2a00:1450::1", false },
        { "3fff::1", true },
        { "3ffe::1", false },
        { "fc00::1", true },
        { "fdff::1", true },
        { "fe80::1", true },
        { "fec0::1", true },
        { "ff02::1", true },
        { "4000::1", true },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address address = parse(rows[i].address);
        if (network_address_is_special(&address) != rows[i].is_special) {
            fail_msg("%s", rows[i].address);
        }
    }
}

static void own_addresses(void **state)
{
    (void)state;
    struct network_address loopback = parse("127.0.0.1");
    struct network_address foreign = parse("203.0.113.250");
    assert_true(network_address_is_own(&loopback));
    assert_false(network_address_is_own(&foreign));
}

static void a_client_is_an_address_or_a_64(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "2001:db8::1", "2001:db8::ffff:0:0:1", true },
        { "2001:db8::1", "2001:db8:0:1::1", false },
        { "32.1.13.184", "2001:db8::", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address a;
        struct network_address b;
        char a_key[NETWORK_CLIENT_KEY_SIZE];
        char b_key[NETWORK_CLIENT_KEY_SIZE];
        assert_true(network_address_parse(text_of(rows[i].a), 1, &a));
        assert_true(network_address_parse(text_of(rows[i].b), 2, &b));
        size_t a_length = network_address_client_key(&a, a_key);
        size_t b_length = network_address_client_key(&b, b_key);
        bool is_same =
            a_length == b_length && memcmp(a_key, b_key, a_length) == 0;
        if (is_same != rows[i].is_same) {
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_an_address_or_a_64),
        cmocka_unit_test(addresses_go_both_ways),
        cmocka_unit_test(addresses_with_ports),
        cmocka_unit_test(sockets_become_addresses),
        cmocka_unit_test(equality_leaves_ports_out),
        cmocka_unit_test(ranges),
        cmocka_unit_test(a_wrong_range_says_what_was_meant),
        cmocka_unit_test(special_addresses),
        cmocka_unit_test(own_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
