/* SPDX-License-Identifier: MIT */
/*
 * Tests of relay/site.c: who is served next. The discard kind has the same
 * queues as any site and needs no next hop.
 */
#include "relay/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "relay/relay_settings.h"
#include "tracking/return_path.h"

#define MESSAGE "From: a@example.org\r\nSubject: s\r\n\r\nBody\r\n"

struct world {
    struct loop *loop;
    struct site *site;
    struct buffer order; /* the accounts in the order they were served */
    bool may_send;
    struct held_message *messages[200];
    size_t message_count;
};

/* Nothing is loaded here. */
void message_load_cancel(struct message_load **load)
{
    assert_null(*load);
}

static void on_attempt(void *owner, struct delivery *delivery,
                       const struct attempt_facts *facts,
                       const struct smtp_outcome *outcome)
{
    struct world *world = owner;
    assert_int_equal(outcome->verdict, VERDICT_DELIVERED);
    assert_string_equal(facts->host, "discard");
    buffer_append_byte(&world->order,
                       (char)('A' + delivery->message->account_id));
}

static bool may_send(void *owner)
{
    const struct world *world = owner;
    return world->may_send;
}

static bool may_connect(void *owner, bool is_first)
{
    (void)owner;
    (void)is_first;
    return true;
}

static bool may_begin(void *owner, int64_t account_id)
{
    (void)owner;
    (void)account_id;
    return true;
}

static void on_begin(void *owner, int64_t account_id)
{
    (void)owner;
    (void)account_id;
}

static void on_connection_closed(void *owner)
{
    (void)owner;
}

static bool is_wanted(void *owner, struct delivery *delivery)
{
    (void)owner;
    (void)delivery;
    return true;
}

static bool is_still_wanted(void *owner, const struct delivery *delivery)
{
    (void)owner;
    (void)delivery;
    return true;
}

static const struct site_handler handler = {
    .is_wanted = is_wanted,
    .is_still_wanted = is_still_wanted,
    .on_attempt = on_attempt,
    .may_send = may_send,
    .may_finish = may_send,
    .may_connect = may_connect,
    .may_begin = may_begin,
    .on_begin = on_begin,
    .on_end = on_begin,
    .on_connection_closed = on_connection_closed,
};

static struct delivery *make_delivery(struct world *world, char account,
                                      int priority)
{
    struct held_message *message = held_message_create();
    message->account_id = account - 'A';
    message->priority = priority;
    message->sender = "";
    message->is_loaded = true;
    buffer_append_string(&message->data, MESSAGE);
    world->messages[world->message_count++] = message;
    return held_message_add_delivery(message, (int64_t)world->message_count,
                                     "b@example.com", "example.com", 0, NULL,
                                     0);
}

static int set_up(void **state)
{
    static struct world world;
    struct site_options options = { .kind = SITE_DISCARD, .key = "discard" };
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    world.site = site_create(world.loop, &options, &handler, &world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    while (site_take_waiting(world->site) != NULL) {
    }
    site_free(&world->site);
    for (size_t i = 0; i < world->message_count; i++) {
        held_message_free(&world->messages[i]);
    }
    buffer_free(&world->order);
    loop_free(&world->loop);
    return 0;
}

static void add_all(struct world *world, const char *accounts, int priority)
{
    for (size_t i = 0; accounts[i] != '\0'; i++) {
        site_add(world->site, make_delivery(world, accounts[i], priority),
                 false);
    }
}

static void accounts_take_turns(void **state)
{
    struct world *world = *state;
    add_all(world, "AAAAAAAABBC", 0);
    world->may_send = true;
    site_wake(world->site);
    loop_run(world->loop);
    assert_string_equal(world->order.data, "ABCABAAAAAA");
    assert_true(site_is_idle(world->site));
}

static void high_priority_goes_first(void **state)
{
    struct world *world = *state;
    add_all(world, "AAAB", 0);
    add_all(world, "CA", 1);
    world->may_send = true;
    site_wake(world->site);
    loop_run(world->loop);
    assert_string_equal(world->order.data, "CAABAA");
}

static void nothing_is_sent_without_a_lease(void **state)
{
    struct world *world = *state;
    add_all(world, "AB", 0);
    loop_run(world->loop);
    assert_int_equal(world->order.length, 0);
    assert_int_equal(site_waiting_count(world->site), 2);
    assert_non_null(strstr(site_why(world->site), "lease"));
}

static void waiting_deliveries_can_be_taken_out(void **state)
{
    struct world *world = *state;
    add_all(world, "ABA", 0);
    struct delivery *first = LIST_ITEM(world->messages[0]->deliveries.first,
                                       struct delivery, of_message);
    site_remove(first);
    assert_int_equal(site_waiting_count(world->site), 2);
    assert_int_equal(site_take_waiting(world->site)->message->account_id, 0);
    assert_int_equal(site_take_waiting(world->site)->message->account_id, 1);
    assert_null(site_take_waiting(world->site));
}

static struct token_keys *make_keys(void)
{
    static const uint8_t secret[MAC_SECRET_BYTES] = { 3 };
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 1, secret);
    return keys;
}

/* B5: each recipient has an envelope sender of his own; the null sender stays
 * null, and without a host or a key the sender's own address stays. */
static void senders_are_return_paths(void **state)
{
    struct world *world = *state;
    struct token_keys *keys = make_keys();
    struct delivery *delivery = make_delivery(world, 'C', 0);
    struct held_message *message = delivery->message;
    struct return_path path;
    message->borrowed_keys = keys;
    message->sender = "a@example.org";
    assert_false(held_message_has_return_paths(message));
    message->policy->return_host = "bounce.example";
    assert_false(held_message_has_return_paths(message));
    assert_string_equal(held_message_sender(message, delivery, message->arena),
                        "a@example.org");
    token_keys_use(keys, 1);
    const char *sender = held_message_sender(message, delivery, message->arena);
    struct text local = { sender, RETURN_PATH_LOCAL_CHARACTERS };
    assert_true(held_message_has_return_paths(message));
    assert_string_equal(sender + local.length, "@bounce.example");
    assert_true(return_path_read(keys, local, &path));
    assert_int_equal(path.kind, RETURN_BOUNCE);
    assert_int_equal(path.account_id, message->account_id);
    assert_int_equal(path.delivery_id, delivery->delivery_id);
    message->sender = "";
    assert_false(held_message_has_return_paths(message));
    assert_string_equal(held_message_sender(message, delivery, message->arena),
                        "");
    token_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accounts_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(high_priority_goes_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_sent_without_a_lease, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(waiting_deliveries_can_be_taken_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(senders_are_return_paths, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
