/* SPDX-License-Identifier: MIT */
/* Tests of core/listener.c. */
#include "core/listener.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTION_COUNT 20

struct world {
    struct loop *loop;
    struct network_address address;
    int listening;
    struct listener *listener;
    struct timer watchdog;
    int clients[CONNECTION_COUNT];
    int client_count;
    int accepted_count;
    int stop_at_count;
    bool is_willing;
    bool stops_listener;
    int asked_count;
};

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 20 seconds");
}

static int set_up(void **state)
{
    static struct world world;
    struct error error;
    socklen_t length = sizeof(world.address.socket);
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    world.is_willing = true;
    assert_true(network_address_parse(text_of("127.0.0.1"), 0, &world.address));
    world.listening = listener_open(&world.address, &error);
    assert_true(world.listening >= 0);
    assert_int_equal(
        getsockname(world.listening, &world.address.socket.any, &length), 0);
    timer_start(&world.watchdog, world.loop, 20000, on_watchdog, NULL);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    listener_stop(&world->listener);
    listener_stop(&world->listener);
    timer_stop(&world->watchdog);
    for (int i = 0; i < world->client_count; i++) {
        close(world->clients[i]);
    }
    close(world->listening);
    loop_run(world->loop);
    loop_free(&world->loop);
    return 0;
}

static void connect_client(struct world *world)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(
        connect(client, &world->address.socket.any, world->address.length), 0);
    world->clients[world->client_count++] = client;
}

static void on_accept(void *owner, int descriptor,
                      const struct network_address *peer)
{
    struct world *world = owner;
    char text[NETWORK_TEXT_SIZE];
    assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(network_address_text(peer, text), "127.0.0.1");
    assert_true(network_address_port(peer) != 0);
    close(descriptor);
    if (world->stops_listener) {
        listener_stop(&world->listener);
    }
    if (++world->accepted_count == world->stop_at_count) {
        loop_stop(world->loop);
    }
}

static bool may_accept(void *owner)
{
    struct world *world = owner;
    if (++world->asked_count == 3) {
        world->is_willing = true;
    }
    return world->is_willing;
}

static void start(struct world *world)
{
    world->listener = listener_start(world->loop, world->listening, may_accept,
                                     on_accept, world);
}

static void every_connection_is_accepted(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        connect_client(world);
    }
    start(world);
    assert_int_equal(world->accepted_count, 0);
    world->stop_at_count = CONNECTION_COUNT;
    loop_run(world->loop);
    assert_int_equal(world->accepted_count, CONNECTION_COUNT);
}

static void unwilling_worker_is_asked_again(void **state)
{
    struct world *world = *state;
    connect_client(world);
    world->is_willing = false;
    world->stop_at_count = 1;
    start(world);
    loop_run(world->loop);
    assert_int_equal(world->accepted_count, 1);
    assert_true(world->asked_count >= 3);
}

static void stopping_in_the_callback_stops(void **state)
{
    struct world *world = *state;
    connect_client(world);
    connect_client(world);
    world->stops_listener = true;
    world->stop_at_count = 1;
    start(world);
    loop_run(world->loop);
    assert_null(world->listener);
    assert_int_equal(world->accepted_count, 1);
}

static void lift_limit(void *owner)
{
    struct rlimit *limit = owner;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, limit), 0);
}

static void out_of_descriptors_is_survived(void **state)
{
    struct world *world = *state;
    struct rlimit before;
    struct rlimit none;
    struct timer timer = { 0 };
    connect_client(world);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    start(world);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    timer_start(&timer, world->loop, 20, lift_limit, &before);
    world->stop_at_count = 1;
    loop_run(world->loop);
    assert_int_equal(world->accepted_count, 1);
}

static void taken_port_is_explained(void **state)
{
    struct world *world = *state;
    struct error error;
    assert_int_equal(listener_open(&world->address, &error), -1);
    assert_non_null(strstr(error.text, "cannot listen on 127.0.0.1:"));
    assert_non_null(strstr(error.text, "another program listens there"));
}

static void foreign_address_is_explained(void **state)
{
    struct network_address address;
    struct error error;
    (void)state;
    assert_true(network_address_parse(text_of("192.0.2.1"), 2525, &address));
    assert_int_equal(listener_open(&address, &error), -1);
    assert_non_null(strstr(error.text, "192.0.2.1:2525"));
    assert_non_null(strstr(error.text, "does not have that address"));
}

#define LISTENER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(every_connection_is_accepted),
        LISTENER_TEST(unwilling_worker_is_asked_again),
        LISTENER_TEST(stopping_in_the_callback_stops),
        LISTENER_TEST(out_of_descriptors_is_survived),
        LISTENER_TEST(taken_port_is_explained),
        LISTENER_TEST(foreign_address_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
