/* SPDX-License-Identifier: MIT */
/*
 * Tests of core/dns.c against a name server that answers from a table, on the
 * same loop.
 */
#include "core/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"
#include "tests/unit/name_server.h"

/* 300 octets: two strings. */
#define TEN_X "xxxxxxxxxx"
#define LONG_TEXT FIFTY_X FIFTY_X FIFTY_X FIFTY_X FIFTY_X FIFTY_X
#define FIFTY_X TEN_X TEN_X TEN_X TEN_X TEN_X

static const struct zone_row zone[] = {
    { "many.test", DNS_TYPE_MX, 0, "20 mx3.many.test" },
    { "many.test", DNS_TYPE_MX, 0, "10 MX1.many.test" },
    { "many.test", DNS_TYPE_MX, 0, "10 mx2.many.test" },
    { "null.test", DNS_TYPE_MX, 0, "0 ." },
    { "none.test", DNS_TYPE_MX, 0, NULL },
    { "gone.test", DNS_TYPE_MX, 3, NULL },
    { "gone.test", DNS_TYPE_A, 3, NULL },
    { "gone.test", DNS_TYPE_AAAA, 3, NULL },
    { "fail.test", DNS_TYPE_MX, 2, NULL },
    { "silent.test", DNS_TYPE_MX, -1, NULL },
    { "alias.test", DNS_TYPE_CNAME, 0, "many.test" },
    { "both.test", DNS_TYPE_A, 0, "192.0.2.1" },
    { "both.test", DNS_TYPE_A, 0, "192.0.2.2" },
    { "both.test", DNS_TYPE_AAAA, 0, "2001:db8::1" },
    { "v4.test", DNS_TYPE_A, 0, "192.0.2.3" },
    { "v4.test", DNS_TYPE_AAAA, 0, NULL },
    { "half.test", DNS_TYPE_A, 0, "192.0.2.4" },
    { "half.test", DNS_TYPE_AAAA, -1, NULL },
    { "bare.test", DNS_TYPE_A, 0, NULL },
    { "bare.test", DNS_TYPE_AAAA, 0, NULL },
    { "odd.test", DNS_TYPE_A, 0, NULL },
    { "odd.test", DNS_TYPE_AAAA, 2, NULL },
    { "texts.test", DNS_TYPE_TXT, 0, "v=spf1 |-all" },
    { "texts.test", DNS_TYPE_TXT, 0, "" },
    { "texts.test", DNS_TYPE_TXT, 0, LONG_TEXT },
    { "s._domainkey.test", DNS_TYPE_CNAME, 0, "Key.test" },
    { "key.test", DNS_TYPE_CNAME, 0, "texts.test" },
    { "1.2.0.193.in-addr.arpa", DNS_TYPE_PTR, 0, "A.test" },
    { "1.2.0.193.in-addr.arpa", DNS_TYPE_PTR, 0, "b.test" },
};

struct world {
    struct loop *loop;
    struct name_server server;
    struct timer watchdog;
    struct dns_resolver *resolver;
    struct dns_lookup *lookup;
    int answer_count;
    enum dns_status status;
    struct dns_mx mx[8];
    char addresses[8][NETWORK_TEXT_SIZE];
    size_t count;
    uint32_t ttl_seconds;
    struct {
        char text[320]; /* or name */
        size_t string_count;
    } records[8];
};

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 30 seconds");
}

static struct dns_resolver *create_resolver(struct world *world,
                                            int timeout_milliseconds)
{
    char servers[80];
    struct error error;
    struct dns_options options = { .servers = servers,
                                   .timeout_milliseconds =
                                       timeout_milliseconds };
    (void)snprintf(servers, sizeof(servers), " %s ", world->server.setting);
    struct dns_resolver *resolver =
        dns_resolver_create(world->loop, &options, &error);
    if (resolver == NULL) {
        fail_msg("%s", error.text);
    }
    return resolver;
}

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    name_server_open(&world.server, world.loop, zone, ARRAY_LENGTH(zone));
    timer_start(&world.watchdog, world.loop, 30000, on_watchdog, NULL);
    world.resolver = create_resolver(&world, 0);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    dns_resolver_free(&world->resolver);
    dns_resolver_free(&world->resolver);
    name_server_close(&world->server);
    timer_stop(&world->watchdog);
    loop_free(&world->loop);
    return 0;
}

static void keep_result(struct world *world, enum dns_status status,
                        size_t count, uint32_t ttl_seconds)
{
    world->lookup = NULL;
    world->answer_count++;
    world->status = status;
    world->count = count;
    world->ttl_seconds = ttl_seconds;
    loop_stop(world->loop);
}

static void on_mx(void *owner, enum dns_status status,
                  const struct dns_mx *records, size_t count,
                  uint32_t ttl_seconds)
{
    struct world *world = owner;
    for (size_t i = 0; i < count && i < 8; i++) {
        world->mx[i] = records[i];
    }
    keep_result(world, status, count, ttl_seconds);
}

static void on_addresses(void *owner, enum dns_status status,
                         const struct network_address *addresses, size_t count,
                         uint32_t ttl_seconds)
{
    struct world *world = owner;
    for (size_t i = 0; i < count && i < 8; i++) {
        network_address_text(&addresses[i], world->addresses[i]);
        assert_int_equal(network_address_port(&addresses[i]), 0);
    }
    keep_result(world, status, count, ttl_seconds);
}

static enum dns_status find_mx(struct world *world, const char *domain)
{
    int before = world->answer_count;
    world->lookup = dns_lookup_mx(world->resolver, domain, on_mx, world);
    assert_int_equal(world->answer_count, before);
    loop_run(world->loop);
    assert_int_equal(world->answer_count, before + 1);
    return world->status;
}

static enum dns_status find_addresses(struct world *world, const char *host)
{
    int before = world->answer_count;
    world->lookup =
        dns_lookup_address(world->resolver, host, on_addresses, world);
    assert_int_equal(world->answer_count, before);
    loop_run(world->loop);
    assert_int_equal(world->answer_count, before + 1);
    return world->status;
}

static void on_records(void *owner, const struct dns_answer *answer)
{
    struct world *world = owner;
    for (size_t i = 0; i < answer->count && i < 8; i++) {
        struct text text =
            answer->type == DNS_TYPE_TXT ? answer->records.texts[i].text
            : answer->type == DNS_TYPE_A
                ? text_of(network_address_text(&answer->records.addresses[i],
                                               world->addresses[i]))
            : answer->type == DNS_TYPE_MX
                ? text_of(answer->records.exchangers[i].host)
                : text_of(answer->records.names[i].host);
        assert_true(text.length < sizeof(world->records[i].text));
        memcpy(world->records[i].text, text.data, text.length);
        world->records[i].text[text.length] = '\0';
        world->records[i].string_count =
            answer->type == DNS_TYPE_TXT ? answer->records.texts[i].string_count
                                         : 0;
    }
    keep_result(world, answer->status, answer->count, answer->ttl_seconds);
}

static enum dns_status find_records(struct world *world, enum dns_type type,
                                    const char *name)
{
    int before = world->answer_count;
    world->lookup =
        dns_lookup_records(world->resolver, type, name, on_records, world);
    assert_int_equal(world->answer_count, before);
    loop_run(world->loop);
    assert_int_equal(world->answer_count, before + 1);
    return world->status;
}

static void exchangers_come_sorted_and_shuffled(void **state)
{
    struct world *world = *state;
    int first_count[2] = { 0, 0 };
    for (int i = 0; i < 64; i++) {
        assert_int_equal(find_mx(world, "many.test"), DNS_FOUND);
        assert_int_equal(world->count, 3);
        assert_int_equal(world->mx[0].preference, 10);
        assert_int_equal(world->mx[1].preference, 10);
        assert_int_equal(world->mx[2].preference, 20);
        assert_string_equal(world->mx[2].host, "mx3.many.test");
        first_count[strcmp(world->mx[0].host, "mx1.many.test") == 0]++;
    }
    assert_true(first_count[0] > 0 && first_count[1] > 0);
    assert_true(world->ttl_seconds > 290 && world->ttl_seconds <= 300);
    assert_int_equal(world->server.query_count,
                     1); /* the rest from the cache */
}

static void null_mx_is_one_record_for_the_root(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_mx(world, "null.test"), DNS_FOUND);
    assert_int_equal(world->count, 1);
    assert_int_equal(world->mx[0].preference, 0);
    assert_string_equal(world->mx[0].host, "");
}

static void aliases_are_followed(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_mx(world, "ALIAS.test"), DNS_FOUND);
    assert_int_equal(world->count, 3);
}

static void failures_are_told_apart(void **state)
{
    static const struct {
        const char *domain;
        enum dns_status status;
    } cases[] = {
        { "none.test", DNS_NO_DATA },
        { "gone.test", DNS_NO_NAME },
        { "fail.test", DNS_TEMPORARY },
        { "", DNS_NO_NAME },
        { "a..b", DNS_NO_NAME },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          ".test",
          DNS_NO_NAME },
    };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (find_mx(world, cases[i].domain) != cases[i].status) {
            fail_msg("%s: %s", cases[i].domain, dns_status_text(world->status));
        }
        assert_int_equal(world->count, 0);
    }
}

static void silent_server_is_a_temporary_failure(void **state)
{
    struct world *world = *state;
    dns_resolver_free(&world->resolver);
    world->resolver = create_resolver(world, 50);
    assert_int_equal(find_mx(world, "silent.test"), DNS_TEMPORARY);
}

static void both_families_alternate(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_addresses(world, "both.test"), DNS_FOUND);
    assert_int_equal(world->count, 3);
    assert_string_equal(world->addresses[0], "2001:db8::1");
    assert_int_equal(strncmp(world->addresses[1], "192.0.2.", 8), 0);
    assert_int_equal(strncmp(world->addresses[2], "192.0.2.", 8), 0);
    assert_true(world->ttl_seconds > 0);
}

static void one_family_is_enough(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_addresses(world, "v4.test"), DNS_FOUND);
    assert_int_equal(world->count, 1);
    assert_string_equal(world->addresses[0], "192.0.2.3");
    /* Also when the other one never answers. The time is also what the one
     * that does may take. */
    dns_resolver_free(&world->resolver);
    world->resolver = create_resolver(world, 1000);
    assert_int_equal(find_addresses(world, "half.test"), DNS_FOUND);
    assert_int_equal(world->count, 1);
    assert_string_equal(world->addresses[0], "192.0.2.4");
}

static void missing_addresses_are_told_apart(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_addresses(world, "gone.test"), DNS_NO_NAME);
    assert_int_equal(find_addresses(world, "bare.test"), DNS_NO_DATA);
    assert_int_equal(find_addresses(world, "odd.test"), DNS_TEMPORARY);
}

/* RFC 7208, 3.3; RFC 6376, 3.6.2.2. */
static void strings_of_a_text_are_joined(void **state)
{
    struct world *world = *state;
    bool is_found[3] = { false, false, false };
    assert_int_equal(find_records(world, DNS_TYPE_TXT, "texts.test"),
                     DNS_FOUND);
    assert_int_equal(world->count, 3);
    assert_true(world->ttl_seconds > 290 && world->ttl_seconds <= 300);
    for (size_t i = 0; i < 3; i++) { /* the resolver may turn them */
        const char *text = world->records[i].text;
        size_t strings = world->records[i].string_count;
        is_found[0] |= strcmp(text, "v=spf1 -all") == 0 && strings == 2;
        is_found[1] |= text[0] == '\0' && strings == 1;
        is_found[2] |= strcmp(text, LONG_TEXT) == 0 && strings == 2;
    }
    assert_true(is_found[0] && is_found[1] && is_found[2]);
}

static void an_alias_itself_is_an_answer_too(void **state)
{
    struct world *world = *state;
    assert_int_equal(find_records(world, DNS_TYPE_CNAME, "s._domainkey.test"),
                     DNS_FOUND);
    assert_int_equal(world->count, 1);
    assert_string_equal(world->records[0].text, "key.test");
    assert_int_equal(find_records(world, DNS_TYPE_TXT, "s._domainkey.test"),
                     DNS_FOUND);
    assert_int_equal(world->count, 3);
    assert_int_equal(find_records(world, DNS_TYPE_CNAME, "texts.test"),
                     DNS_NO_DATA);
}

static void one_type_at_a_time(void **state)
{
    struct world *world = *state;
    assert_int_equal(
        find_records(world, DNS_TYPE_PTR, "1.2.0.193.in-addr.arpa"), DNS_FOUND);
    assert_int_equal(world->count, 2);
    assert_int_equal(find_records(world, DNS_TYPE_A, "both.test"), DNS_FOUND);
    assert_int_equal(world->count, 2);
    assert_int_equal(find_records(world, DNS_TYPE_MX, "null.test"), DNS_FOUND);
    assert_string_equal(world->records[0].text, "");
    assert_int_equal(find_records(world, DNS_TYPE_A, "gone.test"), DNS_NO_NAME);
    assert_int_equal(find_records(world, DNS_TYPE_TXT, "both.test"),
                     DNS_NO_DATA);
    assert_int_equal(find_records(world, DNS_TYPE_AAAA, "odd.test"),
                     DNS_TEMPORARY);
    struct dns_lookup *lookup = dns_lookup_records(
        world->resolver, DNS_TYPE_TXT, "texts.test", on_records, world);
    dns_cancel(&lookup);
    (void)dns_lookup_records(world->resolver, DNS_TYPE_TXT, "texts.test",
                             on_records, world); /* freed by tear_down */
}

static void cancelled_lookups_do_not_call_back(void **state)
{
    struct world *world = *state;
    struct dns_lookup *lookup;
    /* On its way. */
    lookup = dns_lookup_mx(world->resolver, "many.test", on_mx, world);
    dns_cancel(&lookup);
    assert_null(lookup);
    dns_cancel(&lookup);
    /* Answered from the cache and not yet told. */
    assert_int_equal(find_mx(world, "null.test"), DNS_FOUND);
    lookup = dns_lookup_mx(world->resolver, "null.test", on_mx, world);
    dns_cancel(&lookup);
    assert_int_equal(find_mx(world, "none.test"), DNS_NO_DATA);
    assert_int_equal(world->answer_count, 2);
}

static void freeing_the_resolver_forgets_its_lookups(void **state)
{
    struct world *world = *state;
    (void)dns_lookup_mx(world->resolver, "silent.test", on_mx, world);
    (void)dns_lookup_address(world->resolver, "both.test", on_addresses, world);
    dns_resolver_free(&world->resolver);
    world->resolver = create_resolver(world, 0);
    assert_int_equal(find_mx(world, "many.test"), DNS_FOUND);
    assert_int_equal(world->answer_count, 1);
}

static void wrong_servers_are_explained(void **state)
{
    static const char *const wrong[] = { "dns.example.net", "127.0.0.1@",
                                         "127.0.0.1@70000", "10.0.0.1,10.0.0.2",
                                         "127.0.0.1 nonsense" };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct error error;
        struct dns_options options = { .servers = wrong[i] };
        assert_null(dns_resolver_create(world->loop, &options, &error));
        assert_non_null(strstr(error.text, "is not a DNS server: write"));
    }
}

static void other_kinds_of_servers_are_accepted(void **state)
{
    static const char *const kinds[] = { "", "recursive", "::1@5353 10.0.0.1" };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        struct error error;
        struct dns_options options = { .servers = kinds[i] };
        struct dns_resolver *resolver =
            dns_resolver_create(world->loop, &options, &error);
        if (resolver == NULL) {
            fail_msg("%s: %s", kinds[i], error.text);
        }
        dns_resolver_free(&resolver);
    }
}

#define DNS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define NAMED_TEST(n, f)              \
    {                                 \
        n, f, set_up, tear_down, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAMED_TEST("S10: exchangers come sorted, equal ones shuffled",
                   exchangers_come_sorted_and_shuffled),
        DNS_TEST(null_mx_is_one_record_for_the_root),
        DNS_TEST(aliases_are_followed),
        DNS_TEST(failures_are_told_apart),
        DNS_TEST(silent_server_is_a_temporary_failure),
        DNS_TEST(both_families_alternate),
        DNS_TEST(one_family_is_enough),
        DNS_TEST(missing_addresses_are_told_apart),
        DNS_TEST(strings_of_a_text_are_joined),
        DNS_TEST(an_alias_itself_is_an_answer_too),
        DNS_TEST(one_type_at_a_time),
        DNS_TEST(cancelled_lookups_do_not_call_back),
        DNS_TEST(freeing_the_resolver_forgets_its_lookups),
        DNS_TEST(wrong_servers_are_explained),
        DNS_TEST(other_kinds_of_servers_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
