/* SPDX-License-Identifier: MIT */
/*
 * Tests of relay/destination.c: which deliveries share a site. Every route
 * leads to an address, so that no DNS is asked; the directory is one table.
 */
#include "relay/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static struct directory_route routes[] = {
    { "a.test", "smtp://127.0.0.1:2525" },
    { "b.test", "smtp://127.0.0.1:2525" },
    { "tls.test", "smtp://127.0.0.1:2525?tls=required" },
    { "login.test", "smtp://user:one@127.0.0.1:2525" },
};

const struct directory_route *directory_route(const struct directory *directory,
                                              const char *domain)
{
    (void)directory;
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
        if (strcmp(routes[i].destination, domain) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

static const struct directory_inbound_route inbound_routes[] = {
    { 1, "@a.test", "smtp://127.0.0.1:2526" },
    { 1, "x@a.test", "smtp://127.0.0.1:2527" },
};

const struct directory_inbound_route *directory_inbound_route(
    const struct directory *directory, const char *local, const char *domain)
{
    (void)directory;
    if (strcmp(domain, "a.test") != 0) {
        return NULL;
    }
    return &inbound_routes[strcmp(local, "x") == 0 ? 1 : 0];
}

const struct directory_domain *directory_domain(
    const struct directory *directory, int64_t account_id, const char *domain)
{
    (void)directory;
    (void)account_id;
    (void)domain;
    return NULL; /* nothing is signed here */
}

/* Nothing is loaded here. */
void message_load_cancel(struct message_load **load)
{
    assert_null(*load);
}

struct world {
    struct loop *loop;
    struct destinations *destinations;
    struct site *site; /* of the delivery routed last */
    char trouble[1100]; /* why there is none */
};

static void on_routed(void *owner, struct delivery *delivery, struct site *site)
{
    struct world *world = owner;
    (void)delivery;
    world->site = site;
    loop_stop(world->loop);
}

static void on_unroutable(void *owner, struct delivery *delivery,
                          const struct smtp_outcome *outcome)
{
    struct world *world = owner;
    if (!delivery->message->policy->is_inbound) {
        fail_msg("%s: %s", delivery->domain, outcome->text);
    }
    assert_int_equal(outcome->verdict, VERDICT_DEFERRED);
    snprintf(world->trouble, sizeof(world->trouble), "%s", outcome->text);
}

static bool may_send(void *owner)
{
    (void)owner;
    return false; /* nobody connects */
}

static const struct site_handler site_handler = { .may_send = may_send };
static const struct destinations_handler handler = {
    .on_routed = on_routed,
    .on_unroutable = on_unroutable,
};

static const struct directory *any_directory(void)
{
    static char something;
    return (const struct directory *)(const void *)&something;
}

static int set_up(void **state)
{
    struct world *world = memory_alloc(sizeof(*world));
    world->loop = loop_create();
    struct destinations_options options = {
        .loop = world->loop,
        .site_handler = &site_handler,
        .handler = &handler,
        .owner = world,
    };
    world->destinations = destinations_create(&options);
    destinations_set_directory(world->destinations, any_directory());
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    destinations_free(&world->destinations);
    loop_free(&world->loop);
    memory_free(world);
    return 0;
}

static struct site *route_delivery(struct world *world, const char *recipient,
                                   const char *domain, bool is_inbound)
{
    struct policy policy = { .is_inbound = is_inbound };
    struct held_message message = { .policy = &policy };
    struct delivery delivery = { .message = &message,
                                 .recipient = recipient,
                                 .domain = domain };
    world->site = NULL;
    world->trouble[0] = '\0';
    destinations_route(world->destinations, &delivery);
    while (world->site == NULL && world->trouble[0] == '\0') {
        loop_run(world->loop);
    }
    return world->site;
}

static struct site *route(struct world *world, const char *domain)
{
    return route_delivery(world, "y@x.test", domain, false);
}

/* Mail that came in for an address goes where its inbound route leads, not
 * where mail to its domain goes. */
static void inbound_routes_are_routes_of_their_own(void **state)
{
    struct world *world = *state;
    struct site *outward = route(world, "a.test");
    struct site *all = route_delivery(world, "Y@A.test", "a.test", true);
    struct site *own = route_delivery(world, "x@a.test", "a.test", true);
    assert_ptr_not_equal(all, outward);
    assert_ptr_not_equal(own, all);
    assert_ptr_equal(all, route_delivery(world, "z@a.test", "a.test", true));
    assert_non_null(strstr(site_key(all), "2526"));
    assert_non_null(strstr(site_key(own), "2527"));
    assert_null(route_delivery(world, "z@gone.test", "gone.test", true));
    assert_string_equal(world->trouble,
                        "the inbound route for z@gone.test was removed");
}

static void one_next_hop_is_one_site(void **state)
{
    assert_ptr_equal(route(*state, "a.test"), route(*state, "b.test"));
}

static void another_tls_is_another_site(void **state)
{
    struct site *plain = route(*state, "a.test");
    assert_ptr_not_equal(plain, route(*state, "tls.test"));
    assert_ptr_equal(plain, route(*state, "a.test"));
}

static void a_changed_password_is_a_new_site(void **state)
{
    struct world *world = *state;
    struct site *before = route(world, "login.test");
    routes[3].target = "smtp://user:two@127.0.0.1:2525";
    destinations_set_directory(world->destinations, any_directory());
    assert_ptr_not_equal(before, route(world, "login.test"));
    assert_null(strstr(site_key(world->site), "two"));
    destinations_tidy(world->destinations);
    assert_ptr_equal(world->site, route(world, "login.test"));
}

static void a_route_changed_during_the_look_up_counts(void **state)
{
    struct world *world = *state;
    struct policy policy = { 0 };
    struct held_message message = { .policy = &policy };
    struct delivery delivery = { .message = &message, .domain = "a.test" };
    destinations_route(world->destinations, &delivery);
    routes[0].target = "smtp://127.0.0.1:2626";
    destinations_set_directory(world->destinations, any_directory());
    while (world->site == NULL) {
        loop_run(world->loop);
    }
    assert_string_equal(site_key(route(world, "a.test")),
                        "route:127.0.0.1:2626");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(inbound_routes_are_routes_of_their_own,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_next_hop_is_one_site, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_tls_is_another_site, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_changed_password_is_a_new_site,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_route_changed_during_the_look_up_counts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
