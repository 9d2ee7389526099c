/* SPDX-License-Identifier: MIT */
/*
 * Tests of relay/resolution.c with a DNS made of a table: the three functions
 * of core/dns.h that it calls are defined here.
 */
#include "relay/resolution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"

struct mx_row {
    const char *domain;
    enum dns_status status;
    uint16_t preference;
    const char *host;
};

static const struct mx_row mx_rows[] = {
    { "two.test", DNS_FOUND, 10, "a.two.test" },
    { "two.test", DNS_FOUND, 20, "b.two.test" },
    { "null.test", DNS_FOUND, 0, "" },
    { "gone.test", DNS_NO_NAME, 0, NULL },
    { "later.test", DNS_TEMPORARY, 0, NULL },
    { "bare.test", DNS_NO_DATA, 0, NULL },
    { "nothing.test", DNS_NO_DATA, 0, NULL },
    { "loop.test", DNS_FOUND, 10, "localhost.test" },
    { "mapped.test", DNS_FOUND, 10, "mapped.host.test" },
    { "private.test", DNS_FOUND, 10, "private.host.test" },
    { "mixed.test", DNS_FOUND, 10, "localhost.test" },
    { "mixed.test", DNS_FOUND, 20, "b.two.test" },
    { "dead.test", DNS_FOUND, 10, "no-address.test" },
    { "ours.test", DNS_FOUND, 10, "relay.test" },
    { "ours.test", DNS_FOUND, 20, "b.two.test" },
    { "backup.test", DNS_FOUND, 5, "a.two.test" },
    { "backup.test", DNS_FOUND, 10, "relay.test" },
    { "backup.test", DNS_FOUND, 10, "b.two.test" },
};

static const struct {
    const char *host;
    const char *address;
} address_rows[] = {
    { "a.two.test", "198.41.0.4" },
    { "a.two.test", "2001:500:200::b" },
    { "b.two.test", "199.9.14.201" },
    { "bare.test", "192.33.4.12" },
    { "localhost.test", "127.0.0.1" },
    { "mapped.host.test", "::ffff:10.0.0.1" },
    { "private.host.test", "10.1.2.3" },
    { "hop.test", "10.1.2.3" },
};

struct dns_lookup {
    struct loop *loop;
    char name[DNS_HOST_MAX + 1];
    dns_mx_fn *on_mx;
    dns_address_fn *on_address;
    void *owner;
};

static struct loop *the_loop;

static void answer_mx(void *argument)
{
    struct dns_lookup *lookup = argument;
    struct dns_mx records[8];
    size_t count = 0;
    enum dns_status status = DNS_NO_NAME;
    for (size_t i = 0; i < ARRAY_LENGTH(mx_rows); i++) {
        if (strcmp(mx_rows[i].domain, lookup->name) == 0) {
            status = mx_rows[i].status;
            if (mx_rows[i].host != NULL) {
                records[count].preference = mx_rows[i].preference;
                (void)snprintf(records[count++].host, sizeof(records->host),
                               "%s", mx_rows[i].host);
            }
        }
    }
    lookup->on_mx(lookup->owner, status, records, count, 300);
    memory_free(lookup);
}

static void answer_address(void *argument)
{
    struct dns_lookup *lookup = argument;
    struct network_address addresses[8];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(address_rows); i++) {
        if (strcmp(address_rows[i].host, lookup->name) == 0) {
            assert_true(network_address_parse(text_of(address_rows[i].address),
                                              0, &addresses[count++]));
        }
    }
    lookup->on_address(lookup->owner, count > 0 ? DNS_FOUND : DNS_NO_DATA,
                       addresses, count, 300);
    memory_free(lookup);
}

static struct dns_lookup *start(const char *name, loop_fn *answer, void *owner)
{
    struct dns_lookup *lookup = memory_alloc(sizeof(*lookup));
    lookup->owner = owner;
    (void)snprintf(lookup->name, sizeof(lookup->name), "%s", name);
    loop_post(the_loop, answer, lookup);
    return lookup;
}

struct dns_lookup *dns_lookup_mx(struct dns_resolver *resolver,
                                 const char *domain, dns_mx_fn *on_done,
                                 void *owner)
{
    (void)resolver;
    struct dns_lookup *lookup = start(domain, answer_mx, owner);
    lookup->on_mx = on_done;
    return lookup;
}

struct dns_lookup *dns_lookup_address(struct dns_resolver *resolver,
                                      const char *host, dns_address_fn *on_done,
                                      void *owner)
{
    (void)resolver;
    struct dns_lookup *lookup = start(host, answer_address, owner);
    lookup->on_address = on_done;
    return lookup;
}

void dns_cancel(struct dns_lookup **lookup)
{
    if (*lookup != NULL) {
        loop_cancel_posts(the_loop, *lookup);
        memory_free(*lookup);
        *lookup = NULL;
    }
}

struct answer {
    int count;
    enum smtp_verdict verdict; /* VERDICT_NONE: hosts were found */
    char enhanced[16];
    char text[SMTP_REPLY_TEXT_MAX];
    char hosts[400]; /* "name address name address" */
    char key[300];
};

static void on_done(void *owner, const struct resolution_result *result)
{
    struct answer *answer = owner;
    struct buffer hosts = { 0 };
    char address[NETWORK_TEXT_SIZE];
    answer->count++;
    if (result->failure != NULL) {
        answer->verdict = result->failure->verdict;
        (void)snprintf(answer->enhanced, sizeof(answer->enhanced), "%s",
                       result->failure->enhanced);
        (void)snprintf(answer->text, sizeof(answer->text), "%s",
                       result->failure->text);
        return;
    }
    for (size_t i = 0; i < result->host_count; i++) {
        buffer_printf(
            &hosts, "%s%s", i > 0 ? " " : "",
            network_address_text_with_port(&result->hosts[i].address, address));
    }
    (void)snprintf(answer->hosts, sizeof(answer->hosts), "%s", hosts.data);
    (void)snprintf(answer->key, sizeof(answer->key), "%s", result->site_key);
    buffer_free(&hosts);
}

static struct answer resolve(const char *name, bool is_host, bool allow_special)
{
    struct answer answer = { 0 };
    struct resolution_options options = {
        .loop = the_loop,
        .own_name = "Relay.Test",
        .port = 25,
        .allow_special_addresses = allow_special,
    };
    struct resolution *resolution =
        is_host ? resolution_of_host(&options, name, on_done, &answer)
                : resolution_of_domain(&options, name, on_done, &answer);
    assert_non_null(resolution);
    assert_int_equal(answer.count, 0); /* never from inside the call */
    loop_run(the_loop);
    assert_int_equal(answer.count, 1);
    return answer;
}

static int set_up(void **state)
{
    (void)state;
    the_loop = loop_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&the_loop);
    return 0;
}

static void hosts_are_found(void **state)
{
    static const struct {
        const char *name;
        const char *hosts;
    } cases[] = {
        { "two.test", "198.41.0.4:25 [2001:500:200::b]:25 199.9.14.201:25" },
        { "bare.test", "192.33.4.12:25" },
        { "mixed.test", "199.9.14.201:25" },
        { "backup.test", "198.41.0.4:25 [2001:500:200::b]:25" },
        { "[192.33.4.12]", "192.33.4.12:25" },
        { "[ipv6:2001:500:200::b]", "[2001:500:200::b]:25" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct answer answer = resolve(cases[i].name, false, false);
        assert_string_equal(answer.text, "");
        assert_string_equal(answer.hosts, cases[i].hosts);
    }
    assert_string_equal(resolve("two.test", false, false).key,
                        "a.two.test,b.two.test:25");
}

static void failures_have_their_reason(void **state)
{
    static const struct {
        const char *name;
        enum smtp_verdict verdict;
        const char *enhanced;
        const char *word; /* in the sentence */
    } cases[] = {
        { "null.test", VERDICT_FAILED, "5.1.10", "null MX" },
        { "gone.test", VERDICT_FAILED, "5.1.2", "does not exist" },
        { "later.test", VERDICT_DEFERRED, "4.4.3", "just now" },
        { "nothing.test", VERDICT_FAILED, "5.4.4", "neither" },
        { "dead.test", VERDICT_FAILED, "5.4.4", "no mail exchanger" },
        { "ours.test", VERDICT_FAILED, "5.4.6", "this server" },
        { "loop.test", VERDICT_FAILED, "5.4.6", "[127.0.0.1]" },
        { "mapped.test", VERDICT_FAILED, "5.4.6", "10.0.0.1" },
        { "private.test", VERDICT_FAILED, "5.4.6", "[10.1.2.3]" },
        { "[127.0.0.1]", VERDICT_FAILED, "5.4.6", "127.0.0.1" },
        { "[nonsense]", VERDICT_FAILED, "5.4.4", "no mail exchanger" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct answer answer = resolve(cases[i].name, false, false);
        assert_string_equal(answer.enhanced, cases[i].enhanced);
        assert_int_equal(answer.verdict, cases[i].verdict);
        assert_non_null(strstr(answer.text, cases[i].word));
    }
}

static void routes_may_name_any_address(void **state)
{
    (void)state;
    assert_string_equal(resolve("hop.test", true, false).hosts, "10.1.2.3:25");
    assert_string_equal(resolve("127.0.0.1", true, false).hosts,
                        "127.0.0.1:25");
    assert_string_equal(resolve("loop.test", false, true).hosts,
                        "127.0.0.1:25");
    struct answer answer = resolve("missing.test", true, false);
    assert_int_equal(answer.verdict, VERDICT_DEFERRED);
    assert_non_null(strstr(answer.text, "correct the route"));
}

static void cancelling_is_silent(void **state)
{
    (void)state;
    struct answer answer = { 0 };
    struct resolution_options options = { .loop = the_loop,
                                          .own_name = "relay.test" };
    struct resolution *resolutions[] = {
        resolution_of_domain(&options, "two.test", on_done, &answer),
        resolution_of_domain(&options, "[192.33.4.12]", on_done, &answer),
        resolution_of_host(&options, "hop.test", on_done, &answer),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(resolutions); i++) {
        resolution_cancel(&resolutions[i]);
        assert_null(resolutions[i]);
    }
    loop_run(the_loop);
    assert_int_equal(answer.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S10: exchangers in order, addresses without MX, ours and worse "
          "dropped",
          hosts_are_found, NULL, NULL, NULL },
        { "E12, T25: null MX, missing domains, special addresses",
          failures_have_their_reason, NULL, NULL, NULL },
        cmocka_unit_test(routes_may_name_any_address),
        cmocka_unit_test(cancelling_is_silent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
