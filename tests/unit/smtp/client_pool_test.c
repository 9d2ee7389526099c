/* SPDX-License-Identifier: MIT */
/* Tests of smtp/client_pool.c: connections, hosts, reuse. */
#include "core/metrics.h"
#include "tests/unit/smtp/client_rig.h"

#define DELIVERED_2 "r@x delivered\nr@x delivered\n"
#define DELIVERY_SLOW                                                  \
    "C MAIL FROM:<s@x>\nS 250 ok\nC RCPT TO:<r@x>\nS 250 ok\nC DATA\n" \
    "S 354 go\nB\nS 250 taken\n"

static void two_messages_per_connection(struct rig *rig)
{
    rig->options.messages_per_connection_max = 2;
}

static const struct rig_row rows[] = {
    { .name = "a connection is used again",
      .messages = 3,
      .dialogues = { HELLO DELIVERY DELIVERY DELIVERY },
      .report = DELIVERED_2 "r@x delivered\n" },
    { .name = "messages_per_connection_max",
      .messages = 5,
      .dialogues = { HELLO DELIVERY DELIVERY "C QUIT\nS 221 bye\nX\n",
                     HELLO DELIVERY DELIVERY "C QUIT\nS 221 bye\nX\n",
                     HELLO DELIVERY },
      .adjust = two_messages_per_connection,
      .report = DELIVERED_2 DELIVERED_2 "r@x delivered\n" },
    { .name = "E10: MAILMAX",
      .messages = 2,
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 250-mx\n"
                     "S 250-PIPELINING\nS 250 LIMITS MAILMAX=1\n" DELIVERY,
                     HELLO DELIVERY },
      .report = DELIVERED_2 },
    { .name = "RSET after all were refused, one at a time",
      .messages = 2,
      .dialogues = { HELLO_SLOW "C MAIL FROM:<s@x>\nS 250 ok\n"
                                "C RCPT TO:<r@x>\nS 550 5.1.1 no\n"
                                "C RSET\nN\nS 250 ok\n" DELIVERY_SLOW },
      .report = "r@x failed recipient 5.1.1 at RCPT\nr@x delivered\n" },
    { .name = "RSET after all were refused, pipelined with MAIL",
      .messages = 2,
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 550 5.1.1 no\nS 503 no\n"
                                    "C RSET\n" ENVELOPE
                                    "S 250 ok\nS 250 ok\nS 250 ok\n"
                                    "S 354 go\nB\nS 250 taken\n" },
      .report = "r@x failed recipient 5.1.1 at RCPT\nr@x delivered\n" },
    { .name = "no RSET after a message that ended with its dot",
      .messages = 2,
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\n"
                                    "S 550 5.7.1 spam\n" DELIVERY },
      .report = "r@x failed message 5.7.1 at final dot\nr@x delivered\n" },
    { .name = "a reused connection that is dead: again on a fresh one",
      .messages = 2,
      .dialogues = { HELLO DELIVERY ENVELOPE "X\n", HELLO DELIVERY },
      .report = DELIVERED_2 },
    { .name = "a reused connection that says 421: again on a fresh one",
      .messages = 2,
      .dialogues = { HELLO DELIVERY ENVELOPE "S 421 4.4.2 idle too long\nX\n",
                     HELLO DELIVERY },
      .report = DELIVERED_2 },
    { .name = "but only once",
      .messages = 2,
      .dialogues = { HELLO DELIVERY ENVELOPE "X\n", HELLO ENVELOPE "X\n" },
      .report = "r@x delivered\nr@x deferred host 4.4.2 at MAIL\n" },
    { .name = "and not where the peer has answered",
      .messages = 2,
      .dialogues = { HELLO DELIVERY ENVELOPE "S 250 ok\nX\n" },
      .report = "r@x delivered\nr@x deferred host 4.4.2 at RCPT\n" },
    { .name = "no fresh connection to be had",
      .messages = 2,
      .dialogues = { HELLO DELIVERY ENVELOPE "X\n", "S 421 4.3.2 busy\n" },
      .report = "r@x delivered\n"
                "mx1.example deferred host 4.3.2 at greeting\n"
                "r@x deferred host 4.3.2 at greeting\n" },
    { .name = "S15: after a 421 the next host is taken",
      .messages = 2,
      .dialogues = { HELLO ENVELOPE "S 421 4.3.2 busy\n" },
      .others = { HELLO DELIVERY },
      .report = "r@x deferred host 4.3.2 at MAIL\nr@x delivered\n" },
};

static void run_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        rig_run_row(&rows[i]);
    }
}

static void dead_first_host(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY, NULL };
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, NULL);
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "dead first",
               "mx1.example deferred host 4.4.1 at connect\n"
               "r@x delivered\n");
    rig_close(&rig);
}

static void all_hosts_dead(void **state)
{
    static struct rig rig;
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, NULL);
    rig_add_hop(&rig, NULL);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "all dead",
               "mx1.example deferred host 4.4.1 at connect\n"
               "mx2.example deferred host 4.4.1 at connect\n");
    assert_non_null(strstr(rig_text(&rig.transcripts), "refused"));
    rig_close(&rig);
}

/* A queue of connections that is full swallows the next one. */
static void fill_backlog(const struct rig_hop *hop, int out_clients[3])
{
    const struct network_address *address = &hop->host.address;
    assert_int_equal(listen(hop->descriptor, 0), 0);
    for (size_t i = 0; i < 3; i++) {
        out_clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(out_clients[i], &address->socket.any, address->length);
    }
}

static void connecting_times_out(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { "W\n", NULL };
    int clients[3];
    (void)state;
    clock_set_rate(1000);
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    listener_stop(&rig.hops[0].listener);
    fill_backlog(&rig.hops[0], clients);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "connect", "mx1.example deferred host 4.4.1 at connect\n");
    assert_non_null(strstr(rig_text(&rig.transcripts),
                           "timed out after 30 s waiting for the connection"));
    for (size_t i = 0; i < 3; i++) {
        close(clients[i]);
    }
    rig_close(&rig);
    clock_set_rate(1);
}

static void reuse_is_told(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY DELIVERY, NULL };
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    struct rig_message *second = rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "reuse", DELIVERED_2);
    const char *text = rig_text(&rig.transcripts);
    text = strstr(text, "= connection to mx1.example [127.0.0.1:");
    assert_non_null(text);
    assert_non_null(strstr(text, "] reused, message 2\n"));
    assert_null(strstr(text, "EHLO"));
    assert_int_equal(second->transaction.connect_milliseconds, 0);
    assert_int_equal(rig.hops[0].accepted, 1);
    rig_close(&rig);
}

#define DELIVERY_4 DELIVERY DELIVERY DELIVERY DELIVERY
#define DELIVERY_16 DELIVERY_4 DELIVERY_4 DELIVERY_4 DELIVERY_4
#define DELIVERY_64 DELIVERY_16 DELIVERY_16 DELIVERY_16 DELIVERY_16

static void busy_site_gets_more_connections(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY_64, HELLO DELIVERY_64,
                                HELLO DELIVERY_64, HELLO DELIVERY_64, NULL };
    (void)state;
    rig_open(&rig);
    rig.options.connections_max = 4;
    rig_add_hop(&rig, dialogues);
    for (size_t i = 0; i < 60; i++) {
        rig_add_message(&rig, "r@x", RIG_BODY);
    }
    rig_run(&rig);
    assert_false(rig.has_timed_out);
    assert_string_equal(rig_text(&rig.complaints), "");
    assert_int_equal(rig.done, 60);
    assert_int_equal(rig.connections_most, 4);
    assert_int_equal(rig.hops[0].accepted, 4);
    rig_close(&rig);
}

static size_t open_at_the_end;

static void lower_limit_when_all_are_open(struct rig *rig)
{
    if (rig->open_connections == 4) {
        rig->options.connections_max = 1;
    }
    if (rig->done == 58) {
        open_at_the_end = rig->open_connections;
    }
}

static void a_lowered_limit_is_obeyed_at_once(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY_64, HELLO DELIVERY_64,
                                HELLO DELIVERY_64, HELLO DELIVERY_64, NULL };
    (void)state;
    rig_open(&rig);
    rig.options.connections_max = 4;
    rig.on_event = lower_limit_when_all_are_open;
    rig_add_hop(&rig, dialogues);
    for (size_t i = 0; i < 60; i++) {
        rig_add_message(&rig, "r@x", RIG_BODY);
    }
    rig_run(&rig);
    assert_false(rig.has_timed_out);
    assert_int_equal(rig.done, 60);
    assert_int_equal(rig.connections_most, 4);
    assert_int_equal(open_at_the_end, 1);
    rig_close(&rig);
}

static void one_connection_is_tried_first(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { "W\n", NULL };
    (void)state;
    clock_set_rate(2000);
    rig_open(&rig);
    rig.options.connections_max = 20;
    rig_add_hop(&rig, dialogues);
    for (size_t i = 0; i < 10; i++) {
        rig_add_message(&rig, "r@x", RIG_BODY);
    }
    rig_run(&rig);
    rig_expect(&rig, "one first",
               "mx1.example deferred host 4.4.2 at greeting\n");
    assert_int_equal(rig.connections_most, 1);
    rig_close(&rig);
    clock_set_rate(1);
}

static void idle_connection_says_quit(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY "C QUIT\nS 221 bye\nX\n", NULL };
    (void)state;
    rig_open(&rig);
    rig.options.idle_milliseconds = 20;
    rig.stops_when_closed = true;
    rig.held_back = 1;
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "idle", "r@x delivered\n");
    assert_int_equal(rig.done, 1);
    rig_close(&rig);
}

static void bring_when_quitting(void *owner)
{
    struct rig *rig = owner;
    const struct rig_connection *connection =
        LIST_ITEM(rig->hops[0].connections.first, struct rig_connection, link);
    if (connection != NULL && connection->script[0] == 'W') {
        rig->held_back = 0;
        smtp_pool_wake(rig->pool);
    } else {
        timer_start(&rig->poll, rig->loop, 1, bring_when_quitting, rig);
    }
}

/* QUIT is not answered; the work that comes meanwhile goes elsewhere. */
static void leaving_connection_gets_no_work(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY "C QUIT\nW\n", HELLO DELIVERY,
                                NULL };
    (void)state;
    rig_open(&rig);
    rig.options.idle_milliseconds = 20;
    rig.options.connections_max = 2;
    rig.held_back = 1;
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_add_message(&rig, "r@x", RIG_BODY);
    timer_start(&rig.poll, rig.loop, 1, bring_when_quitting, &rig);
    clock_set_rate(10);
    rig_run(&rig);
    rig_expect(&rig, "leaving", DELIVERED_2);
    assert_int_equal(rig.hops[0].accepted, 2);
    rig_close(&rig);
    clock_set_rate(1);
}

static void host_is_tried_again_after_its_penalty(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { "S 421 4.3.2 busy\n", HELLO DELIVERY, NULL };
    (void)state;
    rig_open(&rig);
    rig.options.host_penalty_milliseconds = 10;
    rig.keeps_waiting = true;
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "penalty",
               "mx1.example deferred host 4.3.2 at greeting\n"
               "r@x delivered\n");
    rig_close(&rig);
}

static void forgive(struct rig *rig)
{
    if (!smtp_pool_has_host(rig->pool)) {
        smtp_pool_forgive(rig->pool);
    }
}

static void forgiven_host_is_tried_at_once(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { "S 421 4.3.2 busy\n", HELLO DELIVERY, NULL };
    (void)state;
    rig_open(&rig);
    rig.keeps_waiting = true;
    rig.on_event = forgive;
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "forgiven",
               "mx1.example deferred host 4.3.2 at greeting\n"
               "r@x delivered\n");
    rig_close(&rig);
}

static void free_pool(struct rig *rig)
{
    smtp_pool_free(&rig->pool);
    loop_stop(rig->loop);
}

static void pool_may_be_freed_in_a_callback(void **state)
{
    static struct rig rig;
    static const char *const cases[][2] = {
        { HELLO DELIVERY_4, NULL },
        { HELLO ENVELOPE "X\n", NULL },
        { "S 554 no\n", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        rig_open(&rig);
        rig.on_event = free_pool;
        rig.keeps_waiting = true;
        rig_add_hop(&rig, cases[i]);
        rig_add_message(&rig, "r@x", RIG_BODY);
        rig_add_message(&rig, "r@x", RIG_BODY);
        rig_run(&rig);
        assert_false(rig.has_timed_out);
        assert_null(rig.pool);
        assert_int_equal(rig.open_connections, 0);
        rig_close(&rig);
    }
}

static void free_pool_now(void *owner)
{
    free_pool(owner);
}

static void pool_may_be_freed_in_flight(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO ENVELOPE "S 250 ok\nW\n", NULL };
    struct timer timer = { 0 };
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    struct rig_message *message = rig_add_message(&rig, "r@x", RIG_BODY);
    timer_start(&timer, rig.loop, 20, free_pool_now, &rig);
    rig_run(&rig);
    assert_int_equal(rig.done, 0); /* not reported */
    transcript_free(&message->transaction.transcript);
    timer_stop(&timer);
    rig_close(&rig);
}

static void allow_and_wake(void *owner)
{
    struct rig *rig = owner;
    assert_int_equal(rig->hops[0].accepted, 0);
    rig->may_not_connect = false;
    smtp_pool_wake(rig->pool);
}

static void limit_over_all_sites_is_obeyed(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY, NULL };
    struct timer timer = { 0 };
    (void)state;
    rig_open(&rig);
    rig.may_not_connect = true;
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    timer_start(&timer, rig.loop, 20, allow_and_wake, &rig);
    rig_run(&rig);
    rig_expect(&rig, "limit", "r@x delivered\n");
    timer_stop(&timer);
    rig_close(&rig);
}

static void bring_second(struct rig *rig)
{
    if (rig->done == 1 && rig->held_back == 1) {
        struct smtp_host host = rig->hops[1].host;
        rig->held_back = 0;
        smtp_pool_set_hosts(rig->pool, &host, 1);
    }
}

static void other_hosts_get_other_connections(void **state)
{
    static struct rig rig;
    const char *first[] = { HELLO DELIVERY "C QUIT\nS 221 bye\nX\n", NULL };
    const char *second[] = { HELLO DELIVERY, NULL };
    (void)state;
    rig_open(&rig);
    rig.held_back = 1;
    rig.options.messages_per_connection_max = 1;
    rig.on_event = bring_second;
    rig_add_hop(&rig, first);
    rig_add_hop(&rig, second);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "other hosts", DELIVERED_2);
    assert_int_equal(rig.hops[1].accepted, 1);
    rig_close(&rig);
}

static void metrics_count(void **state)
{
    static struct rig rig;
    struct buffer text = { 0 };
    const char *dialogues[] = { HELLO DELIVERY DELIVERY, NULL };
    (void)state;
    smtp_client_metrics_register();
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_close(&rig);
    metrics_print(&text);
    assert_non_null(
        strstr(text.data, "baton_smtp_client_connections_opened_total 1\n"));
    assert_non_null(strstr(text.data, "{connection=\"reused\"} 1\n"));
    assert_non_null(strstr(text.data, "baton_smtp_client_connections 0\n"));
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "E10, S15: reuse", run_table, NULL, NULL, NULL },
        { "S10: dead first host", dead_first_host, NULL, NULL, NULL },
        { "S10: all hosts dead", all_hosts_dead, NULL, NULL, NULL },
        { "S11: connecting times out", connecting_times_out, NULL, NULL, NULL },
        cmocka_unit_test(reuse_is_told),
        cmocka_unit_test(busy_site_gets_more_connections),
        cmocka_unit_test(a_lowered_limit_is_obeyed_at_once),
        cmocka_unit_test(one_connection_is_tried_first),
        cmocka_unit_test(idle_connection_says_quit),
        cmocka_unit_test(leaving_connection_gets_no_work),
        cmocka_unit_test(host_is_tried_again_after_its_penalty),
        cmocka_unit_test(forgiven_host_is_tried_at_once),
        cmocka_unit_test(pool_may_be_freed_in_a_callback),
        cmocka_unit_test(pool_may_be_freed_in_flight),
        cmocka_unit_test(limit_over_all_sites_is_obeyed),
        cmocka_unit_test(other_hosts_get_other_connections),
        cmocka_unit_test(metrics_count),
    };
    return cmocka_run_group_tests(tests, rig_set_up_tls, rig_tear_down_tls);
}
