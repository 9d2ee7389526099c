/* SPDX-License-Identifier: MIT */
/*
 * Tests of core/dns.c against a name server of a few lines that answers from a
 * table, on the same loop.
 */
#include "core/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/dns_packet.h"
#include "core/memory.h"
#include "core/text.h"

struct zone_row {
    const char *name;
    int type;
    int rcode; /* -1: no answer at all */
    const char *data; /* "10 host", an address, a name; NULL: none */
};

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
};

struct world {
    struct loop *loop;
    int socket;
    int port;
    struct watch watch;
    struct timer watchdog;
    struct dns_resolver *resolver;
    struct dns_lookup *lookup;
    int query_count;
    int answer_count;
    enum dns_status status;
    struct dns_mx mx[8];
    char addresses[8][NETWORK_TEXT_SIZE];
    size_t count;
    uint32_t ttl_seconds;
};

static void put_16(struct buffer *buffer, int value)
{
    buffer_append_byte(buffer, (char)(value >> 8));
    buffer_append_byte(buffer, (char)value);
}

static void put_name(struct buffer *buffer, const char *name)
{
    struct text rest = text_of(strcmp(name, ".") == 0 ? "" : name);
    struct text label;
    while (text_split(&rest, '.', &label)) {
        buffer_append_byte(buffer, (char)label.length);
        buffer_append_text(buffer, label);
    }
    buffer_append_byte(buffer, 0);
}

static void put_data(struct buffer *data, const struct zone_row *row)
{
    struct network_address address;
    if (row->type == DNS_TYPE_MX) {
        put_16(data, (row->data[0] - '0') * (row->data[1] == '0' ? 10 : 1));
        put_name(data, strchr(row->data, ' ') + 1);
    } else if (row->type == DNS_TYPE_CNAME) {
        put_name(data, row->data);
    } else {
        assert_true(network_address_parse(text_of(row->data), 0, &address));
        bool is_v4 = row->type == DNS_TYPE_A;
        buffer_append(data,
                      is_v4 ? (void *)&address.socket.v4.sin_addr
                            : (void *)&address.socket.v6.sin6_addr,
                      is_v4 ? 4 : 16);
    }
}

static void put_record(struct buffer *answer, const struct zone_row *row)
{
    struct buffer data = { 0 };
    put_data(&data, row);
    put_name(answer, row->name);
    put_16(answer, row->type);
    put_16(answer, 1);
    put_16(answer, 0);
    put_16(answer, 300);
    put_16(answer, (int)data.length);
    buffer_append(answer, data.data, data.length);
    buffer_free(&data);
}

/* Append what the zone has; the rcode is -1 where the server keeps silent. */
static int put_answers(struct buffer *answer, const char *name, int type,
                       int *count)
{
    int rcode = 3;
    for (size_t i = 0; i < ARRAY_LENGTH(zone); i++) {
        const struct zone_row *row = &zone[i];
        bool is_alias = row->type == DNS_TYPE_CNAME;
        if (strcmp(row->name, name) != 0 || (row->type != type && !is_alias)) {
            continue;
        }
        rcode = row->rcode;
        if (row->data != NULL) {
            put_record(answer, row);
            (*count)++;
        }
        if (is_alias) {
            return put_answers(answer, row->data, type, count);
        }
    }
    return rcode;
}

static void on_query(void *owner)
{
    struct world *world = owner;
    uint8_t query[512];
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    char name[DNS_HOST_MAX + 1];
    size_t end = 0;
    int count = 0;
    ssize_t got = recvfrom(world->socket, query, sizeof(query), 0,
                           (struct sockaddr *)&from, &from_length);
    assert_true(got > 12);
    struct dns_packet packet = { .borrowed_bytes = query,
                                 .length = (size_t)got };
    assert_true(dns_packet_read_name(&packet, 12, name, &end));
    struct buffer records = { 0 };
    int rcode = put_answers(&records, name, query[end + 1], &count);
    struct buffer answer = { 0 };
    buffer_append(&answer, query, 2);
    put_16(&answer, 0x8180 | (rcode & 15));
    put_16(&answer, 1);
    put_16(&answer, count);
    put_16(&answer, 0);
    put_16(&answer, 0);
    buffer_append(&answer, query + 12, end + 4 - 12);
    buffer_append(&answer, records.data, records.length);
    world->query_count++;
    if (rcode >= 0) {
        (void)sendto(world->socket, answer.data, answer.length, 0,
                     (struct sockaddr *)&from, from_length);
    }
    buffer_free(&answer);
    buffer_free(&records);
}

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 30 seconds");
}

static struct dns_resolver *create_resolver(struct world *world,
                                            int timeout_milliseconds)
{
    char servers[64];
    struct error error;
    struct dns_options options = { .servers = servers,
                                   .timeout_milliseconds =
                                       timeout_milliseconds };
    (void)snprintf(servers, sizeof(servers), " 127.0.0.1@%d ", world->port);
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
    struct network_address address;
    socklen_t length = sizeof(address.socket);
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    assert_true(network_address_parse(text_of("127.0.0.1"), 0, &address));
    world.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world.socket, &address.socket.any, address.length),
                     0);
    assert_int_equal(getsockname(world.socket, &address.socket.any, &length),
                     0);
    world.port = network_address_port(&address);
    watch_start(&world.watch, world.loop, world.socket, WATCH_READ, on_query,
                &world);
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
    watch_stop(&world->watch);
    timer_stop(&world->watchdog);
    close(world->socket);
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
    assert_int_equal(world->query_count, 1); /* the rest from the cache */
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
        DNS_TEST(cancelled_lookups_do_not_call_back),
        DNS_TEST(freeing_the_resolver_forgets_its_lookups),
        DNS_TEST(wrong_servers_are_explained),
        DNS_TEST(other_kinds_of_servers_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
