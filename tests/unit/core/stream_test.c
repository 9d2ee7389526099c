/* SPDX-License-Identifier: MIT */
/* Tests of core/stream.c over real sockets, in clear and under TLS. */
#include "core/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/listener.h"
#include "core/memory.h"
#include "test_certificate.h"

#define MEGABYTES (5 * 1024 * 1024)

struct world;

/* One end of a connection and what happened to it. */
struct end {
    struct world *world;
    struct stream *stream;
    struct buffer received;
    int connected_count;
    int tls_count;
    int readable_count;
    int drained_count;
    int closed_count;
    enum stream_end end;
    struct error error;
    size_t take_at_most; /* per on_readable; 0: everything */
    bool takes_nothing;
    size_t stop_after_bytes; /* received: stop the loop */
    void (*on_readable)(struct end *end);
    void (*on_tls)(struct end *end);
};

struct world {
    struct loop *loop;
    int listening;
    struct network_address address;
    struct timer watchdog;
    struct timer delay;
    struct end server;
    struct end client;
    struct tls_context *server_tls;
    struct tls_context *client_tls;
    int ended_count;
    int stop_at_end_count;
};

static struct test_certificate certificate;
static char *megabytes;

static void on_connected(void *owner)
{
    struct end *end = owner;
    end->connected_count++;
}

static void on_tls_started(void *owner)
{
    struct end *end = owner;
    end->tls_count++;
    if (end->on_tls != NULL) {
        end->on_tls(end);
    }
}

static void take_input(struct end *end)
{
    struct text input = stream_input(end->stream);
    size_t length = input.length;
    if (end->take_at_most > 0 && length > end->take_at_most) {
        length = end->take_at_most;
    }
    buffer_append(&end->received, input.data, length);
    stream_consume(end->stream, length);
}

static void on_readable(void *owner)
{
    struct end *end = owner;
    end->readable_count++;
    if (end->on_readable != NULL) {
        end->on_readable(end);
    } else if (!end->takes_nothing) {
        take_input(end);
    }
    if (end->stop_after_bytes > 0 &&
        end->received.length >= end->stop_after_bytes) {
        end->stop_after_bytes = 0;
        loop_stop(end->world->loop);
    }
}

static void on_drained(void *owner)
{
    struct end *end = owner;
    end->drained_count++;
}

static void on_closed(void *owner, enum stream_end how,
                      const struct error *error)
{
    struct end *end = owner;
    end->closed_count++;
    end->end = how;
    end->error = *error;
    if (++end->world->ended_count == end->world->stop_at_end_count) {
        loop_stop(end->world->loop);
    }
}

static const struct stream_handler handler = {
    on_connected, on_tls_started, on_readable, on_drained, on_closed,
};

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 20 seconds");
}

static void stop(void *owner)
{
    struct world *world = owner;
    loop_stop(world->loop);
}

/* Let happen what happens at once, and nothing else. */
static void settle(struct world *world)
{
    for (int i = 0; i < 3; i++) {
        timer_start(&world->delay, world->loop, 5, stop, world);
        loop_run(world->loop);
    }
}

static int accept_raw(struct world *world)
{
    int descriptor = -1;
    for (int i = 0; i < 1000 && descriptor < 0; i++) {
        descriptor =
            accept4(world->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            usleep(1000);
        }
    }
    assert_true(descriptor >= 0);
    return descriptor;
}

static int connect_raw(struct world *world)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(descriptor, &world->address.socket.any, world->address.length),
        0);
    return descriptor;
}

static void serve(struct world *world)
{
    world->server.stream =
        stream_accept(world->loop, accept_raw(world), &handler, &world->server);
}

static void start_client(struct world *world)
{
    world->client.stream = stream_connect(world->loop, &world->address, NULL,
                                          &handler, &world->client);
}

static void connect_both(struct world *world)
{
    start_client(world);
    serve(world);
}

static void use_tls(struct world *world, enum tls_verify verify,
                    const char *ca_path)
{
    struct error error;
    world->server_tls = tls_server_context_create(certificate.certificate_path,
                                                  certificate.key_path, &error);
    assert_non_null(world->server_tls);
    world->client_tls = tls_client_context_create(verify, ca_path, &error);
    assert_non_null(world->client_tls);
}

static void start_tls(struct world *world, const char *host)
{
    stream_start_tls_server(world->server.stream, world->server_tls);
    stream_start_tls_client(world->client.stream, world->client_tls, host);
}

static void stop_when_both_started(struct end *end)
{
    if (end->world->client.tls_count + end->world->server.tls_count == 2) {
        loop_stop(end->world->loop);
    }
}

static void handshake(struct world *world)
{
    connect_both(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->client.on_tls = stop_when_both_started;
    world->server.on_tls = stop_when_both_started;
    start_tls(world, "mx.example.net");
    loop_run(world->loop);
    assert_int_equal(world->client.tls_count, 1);
    assert_int_equal(world->server.tls_count, 1);
}

static int set_up(void **state)
{
    static struct world world;
    struct error error;
    socklen_t length = sizeof(world.address.socket);
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    world.server.world = &world;
    world.client.world = &world;
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
    stream_close(&world->client.stream);
    stream_close(&world->server.stream);
    stream_close(&world->server.stream);
    tls_context_free(&world->server_tls);
    tls_context_free(&world->client_tls);
    buffer_free(&world->client.received);
    buffer_free(&world->server.received);
    timer_stop(&world->watchdog);
    timer_stop(&world->delay);
    close(world->listening);
    loop_run(world->loop);
    loop_free(&world->loop);
    return 0;
}

static void assert_received(const struct end *end, const char *expected)
{
    struct text got = buffer_text(&end->received);
    if (!text_is(got, expected)) {
        fail_msg("expected \"%s\", got \"%.*s\"", expected,
                 TEXT_ARGUMENTS(got));
    }
}

static void bytes_pass_both_ways(void **state)
{
    struct world *world = *state;
    char text[NETWORK_TEXT_SIZE];
    connect_both(world);
    stream_write(world->client.stream, "hello", 5);
    stream_printf(world->server.stream, "%d ready\r\n", 220);
    assert_int_equal(world->server.readable_count, 0);
    settle(world);
    assert_received(&world->server, "hello");
    assert_received(&world->client, "220 ready\r\n");
    assert_int_equal(world->client.connected_count, 1);
    assert_int_equal(world->server.connected_count, 0);
    assert_int_equal(world->client.drained_count, 1);
    assert_int_equal(stream_output_length(world->client.stream), 0);
    assert_true(network_address_equal(stream_peer(world->client.stream),
                                      stream_local(world->server.stream)));
    assert_int_equal(network_address_port(stream_local(world->client.stream)),
                     network_address_port(stream_peer(world->server.stream)));
    assert_string_equal(
        network_address_text(stream_peer(world->server.stream), text),
        "127.0.0.1");
    assert_false(stream_is_tls(world->client.stream));
    assert_null(stream_tls_version(world->client.stream));
}

static void source_address_is_used(void **state)
{
    struct world *world = *state;
    struct network_address source;
    char text[NETWORK_TEXT_SIZE];
    assert_true(network_address_parse(text_of("127.0.0.9"), 0, &source));
    world->client.stream = stream_connect(world->loop, &world->address, &source,
                                          &handler, &world->client);
    serve(world);
    settle(world);
    assert_string_equal(
        network_address_text(stream_peer(world->server.stream), text),
        "127.0.0.9");
}

static void refused_connection_is_told_later(void **state)
{
    struct world *world = *state;
    int one = 1;
    world->stop_at_end_count = one;
    close(world->listening);
    world->listening = dup(0);
    start_client(world);
    stream_write(world->client.stream, "x", 1);
    assert_int_equal(world->client.closed_count, 0);
    loop_run(world->loop);
    assert_int_equal(world->client.closed_count, 1);
    assert_int_equal(world->client.end, STREAM_END_ERROR);
    assert_non_null(strstr(world->client.error.text, "cannot connect to "
                                                     "127.0.0.1:"));
    assert_non_null(strstr(world->client.error.text, "Connection refused"));
    assert_int_equal(world->client.connected_count, 0);
    settle(world);
    assert_int_equal(world->client.closed_count, 1);
}

static void impossible_source_is_told_later(void **state)
{
    struct world *world = *state;
    struct network_address source;
    assert_true(network_address_parse(text_of("192.0.2.1"), 0, &source));
    world->stop_at_end_count = 1;
    world->client.stream = stream_connect(world->loop, &world->address, &source,
                                          &handler, &world->client);
    assert_int_equal(world->client.closed_count, 0);
    loop_run(world->loop);
    assert_int_equal(world->client.end, STREAM_END_ERROR);
}

static void writes_of_one_callback_leave_together(void **state)
{
    struct world *world = *state;
    char bytes[64];
    int raw = connect_raw(world);
    serve(world);
    stream_write_text(world->server.stream, TEXT_LITERAL("250-a\r\n"));
    stream_write_borrowed(world->server.stream, TEXT_LITERAL("250-b\r\n"));
    stream_printf(world->server.stream, "250 c\r\n");
    assert_int_equal(recv(raw, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
    settle(world);
    assert_int_equal(recv(raw, bytes, sizeof(bytes), MSG_DONTWAIT), 21);
    close(raw);
}

static void owner_that_takes_little_is_called_again(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.take_at_most = 3;
    stream_write(world->client.stream, "aaabbbcccd", 10);
    settle(world);
    assert_received(&world->server, "aaabbbcccd");
    assert_int_equal(world->server.readable_count, 4);
}

static void half_a_line_does_not_keep_the_loop_busy(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.takes_nothing = true;
    stream_write(world->client.stream, "MAIL FR", 7);
    settle(world);
    assert_int_equal(world->server.readable_count, 1);
    stream_write(world->client.stream, "OM:", 3);
    settle(world);
    assert_int_equal(world->server.readable_count, 2);
    assert_int_equal(stream_input(world->server.stream).length, 10);
}

static void reading_stops_at_the_input_limit(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.takes_nothing = true;
    stream_set_input_limit(world->server.stream, 1000);
    stream_write(world->client.stream, megabytes, 5000);
    settle(world);
    assert_int_equal(stream_input(world->server.stream).length, 1000);
    stream_set_input_limit(world->server.stream, 1500);
    settle(world);
    assert_int_equal(stream_input(world->server.stream).length, 1500);
    stream_consume(world->server.stream, 400);
    settle(world);
    assert_int_equal(stream_input(world->server.stream).length, 1500);
    assert_memory_equal(stream_input(world->server.stream).data,
                        megabytes + 400, 1500);
    world->server.takes_nothing = false;
    stream_consume(world->server.stream, 1);
    settle(world);
    assert_int_equal(world->server.received.length, 4599);
}

static void pause_at_once(struct end *end)
{
    take_input(end);
    stream_pause(end->stream);
    stream_pause(end->stream);
}

static void paused_stream_takes_nothing(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.on_readable = pause_at_once;
    world->server.take_at_most = 2;
    stream_write(world->client.stream, "abcdef", 6);
    settle(world);
    assert_received(&world->server, "ab");
    stream_write(world->client.stream, "gh", 2);
    settle(world);
    assert_received(&world->server, "ab");
    assert_int_equal(stream_input(world->server.stream).length, 4);
    stream_resume(world->server.stream);
    assert_received(&world->server, "ab");
    settle(world);
    assert_received(&world->server, "abcd");
    stream_resume(world->server.stream);
    settle(world);
    stream_resume(world->server.stream);
    settle(world);
    assert_received(&world->server, "abcdefgh");
}

static void end_comes_after_the_last_bytes(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.take_at_most = 2;
    world->stop_at_end_count = 1;
    stream_write(world->client.stream, "QUIT\r\n", 6);
    settle(world);
    world->server.received.length = 0;
    stream_write(world->client.stream, "abcde", 5);
    stream_close(&world->client.stream);
    assert_null(world->client.stream);
    loop_run(world->loop);
    assert_received(&world->server, "abcde");
    assert_int_equal(world->server.end, STREAM_END_EOF);
    assert_int_equal(world->server.closed_count, 1);
    assert_int_equal(world->client.closed_count, 0);
}

static void end_comes_when_the_rest_is_of_no_use(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.takes_nothing = true;
    world->stop_at_end_count = 1;
    stream_write(world->client.stream, "MAIL", 4);
    settle(world);
    stream_close(&world->client.stream);
    loop_run(world->loop);
    assert_int_equal(world->server.end, STREAM_END_EOF);
    assert_int_equal(stream_input(world->server.stream).length, 4);
}

static void last_words_are_read_when_writing_fails(void **state)
{
    struct world *world = *state;
    start_client(world);
    int raw = accept_raw(world);
    settle(world);
    assert_int_equal(send(raw, "554 go away\r\n", 13, 0), 13);
    assert_int_equal(send(raw, "", 0, 0), 0);
    stream_pause(world->client.stream);
    settle(world);
    /* Unread bytes in a closed socket make it send a reset. */
    stream_write(world->client.stream, "MAIL FROM:<>\r\n", 14);
    settle(world);
    close(raw);
    world->stop_at_end_count = 1;
    stream_write(world->client.stream, "RCPT\r\n", 6);
    settle(world);
    stream_resume(world->client.stream);
    if (world->client.closed_count == 0) {
        loop_run(world->loop);
    }
    assert_int_equal(world->client.closed_count, 1);
    assert_int_equal(world->client.end, STREAM_END_ERROR);
}

static void close_in_callback(struct end *end)
{
    stream_printf(end->stream, "221 bye\r\n");
    stream_close(&end->stream);
}

static void closing_sends_what_was_written(void **state)
{
    struct world *world = *state;
    connect_both(world);
    world->server.on_readable = close_in_callback;
    world->stop_at_end_count = 1;
    stream_write(world->client.stream, "QUIT\r\n", 6);
    loop_run(world->loop);
    assert_received(&world->client, "221 bye\r\n");
    assert_int_equal(world->client.end, STREAM_END_EOF);
    assert_int_equal(world->server.closed_count, 0);
    assert_int_equal(world->server.drained_count, 0);
}

static void closing_with_a_post_pending_is_safe(void **state)
{
    struct world *world = *state;
    connect_both(world);
    stream_write(world->server.stream, "x", 1);
    stream_write(world->client.stream, "y", 1);
    stream_close(&world->server.stream);
    stream_close(&world->client.stream);
    settle(world);
    assert_int_equal(world->server.readable_count, 0);
    assert_int_equal(world->client.connected_count, 0);
}

static void exchange_megabytes(struct world *world)
{
    world->stop_at_end_count = 99;
    stream_write_borrowed(world->client.stream,
                          (struct text){ megabytes, MEGABYTES });
    stream_write(world->server.stream, "head", 4);
    stream_write_borrowed(world->server.stream,
                          (struct text){ megabytes, MEGABYTES });
    stream_write(world->server.stream, "tail", 4);
    world->server.stop_after_bytes = MEGABYTES;
    world->client.stop_after_bytes = MEGABYTES + 8;
    loop_run(world->loop);
    loop_run(world->loop);
    assert_int_equal(world->server.received.length, MEGABYTES);
    assert_int_equal(world->client.received.length, MEGABYTES + 8);
    assert_memory_equal(world->server.received.data, megabytes, MEGABYTES);
    assert_memory_equal(world->client.received.data, "head", 4);
    assert_memory_equal(world->client.received.data + 4, megabytes, MEGABYTES);
    assert_memory_equal(world->client.received.data + 4 + MEGABYTES, "tail", 4);
    settle(world);
    assert_int_equal(stream_output_length(world->server.stream), 0);
    assert_true(world->server.drained_count >= 1);
    assert_true(world->client.drained_count >= 1);
}

static void megabytes_pass_in_clear(void **state)
{
    struct world *world = *state;
    connect_both(world);
    exchange_megabytes(world);
}

static void megabytes_pass_under_tls(void **state)
{
    struct world *world = *state;
    handshake(world);
    exchange_megabytes(world);
}

static void bytes_pass_under_tls(void **state)
{
    struct world *world = *state;
    handshake(world);
    assert_true(stream_is_tls(world->server.stream));
    assert_string_equal(stream_tls_version(world->client.stream), "TLSv1.3");
    assert_non_null(strstr(stream_tls_cipher(world->server.stream), "TLS_"));
    assert_false(stream_tls_is_verified(world->client.stream));
    stream_write(world->client.stream, "EHLO ", 5);
    stream_write(world->client.stream, "x\r\n", 3);
    settle(world);
    assert_received(&world->server, "EHLO x\r\n");
    assert_int_equal(world->server.readable_count, 1); /* one record */
    world->stop_at_end_count = 1;
    stream_write(world->server.stream, "221 bye\r\n", 9);
    stream_close(&world->server.stream);
    loop_run(world->loop);
    assert_received(&world->client, "221 bye\r\n");
    assert_int_equal(world->client.end, STREAM_END_EOF);
}

static void record_longer_than_the_limit_is_read_in_parts(void **state)
{
    struct world *world = *state;
    handshake(world);
    world->server.takes_nothing = true;
    stream_set_input_limit(world->server.stream, 100);
    stream_write(world->client.stream, megabytes, 5000);
    settle(world);
    assert_int_equal(stream_input(world->server.stream).length, 100);
    world->server.takes_nothing = false;
    world->server.take_at_most = 70;
    stream_consume(world->server.stream, 1);
    world->server.stop_after_bytes = 4999;
    loop_run(world->loop);
    assert_int_equal(world->server.received.length, 4999);
    assert_memory_equal(world->server.received.data, megabytes + 1, 4999);
}

static void paused_tls_stream_takes_nothing(void **state)
{
    struct world *world = *state;
    handshake(world);
    stream_pause(world->server.stream);
    stream_write(world->client.stream, "hello", 5);
    settle(world);
    assert_int_equal(world->server.readable_count, 0);
    stream_write(world->server.stream, "still writing", 13);
    settle(world);
    assert_received(&world->client, "still writing");
    stream_resume(world->server.stream);
    settle(world);
    assert_received(&world->server, "hello");
}

static void server_starttls(struct end *end)
{
    struct text input = stream_input(end->stream);
    size_t line = text_find_byte(input, '\n') + 1;
    stream_consume(end->stream, line);
    stream_printf(end->stream, "220 ready\r\n");
    end->on_readable = NULL;
    stream_start_tls_server(end->stream, end->world->server_tls);
}

static void client_starttls(struct end *end)
{
    struct text input = stream_input(end->stream);
    size_t line = text_find_byte(input, '\n') + 1;
    buffer_append(&end->received, input.data, line);
    stream_consume(end->stream, line);
    end->on_readable = NULL;
    stream_start_tls_client(end->stream, end->world->client_tls, NULL);
}

static void starttls_in_the_dialogue(void **state)
{
    struct world *world = *state;
    connect_both(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->server.on_readable = server_starttls;
    world->client.on_readable = client_starttls;
    world->client.on_tls = stop_when_both_started;
    world->server.on_tls = stop_when_both_started;
    stream_write(world->client.stream, "STARTTLS\r\n", 10);
    loop_run(world->loop);
    assert_received(&world->client, "220 ready\r\n");
    assert_true(stream_is_tls(world->client.stream));
    assert_true(stream_is_tls(world->server.stream));
}

static void bytes_ahead_of_the_handshake_end_the_server(void **state)
{
    struct world *world = *state;
    int raw = connect_raw(world);
    serve(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->server.on_readable = server_starttls;
    world->stop_at_end_count = 1;
    assert_int_equal(send(raw, "STARTTLS\r\nMAIL FROM:<evil@a>\r\n", 30, 0),
                     30);
    loop_run(world->loop);
    assert_int_equal(world->server.end, STREAM_END_TLS);
    assert_int_equal(world->server.closed_count, 1);
    assert_int_equal(world->server.tls_count, 0);
    assert_int_equal(world->server.received.length, 0);
    assert_non_null(strstr(world->server.error.text, "ahead of the handshake"));
    close(raw);
}

static void bytes_in_place_of_the_handshake_end_the_server(void **state)
{
    struct world *world = *state;
    int raw = connect_raw(world);
    serve(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->server.on_readable = server_starttls;
    world->stop_at_end_count = 1;
    assert_int_equal(send(raw, "STARTTLS\r\n", 10, 0), 10);
    settle(world);
    assert_int_equal(send(raw, "MAIL FROM:<evil@a>\r\n", 20, 0), 20);
    loop_run(world->loop);
    assert_int_equal(world->server.end, STREAM_END_TLS);
    assert_int_equal(world->server.received.length, 0);
    close(raw);
}

static void bytes_ahead_of_the_handshake_end_the_client(void **state)
{
    struct world *world = *state;
    start_client(world);
    int raw = accept_raw(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->client.on_readable = client_starttls;
    world->stop_at_end_count = 1;
    assert_int_equal(send(raw, "220 ready\r\n250 AUTH\r\n", 21, 0), 21);
    loop_run(world->loop);
    assert_int_equal(world->client.end, STREAM_END_TLS);
    assert_received(&world->client, "220 ready\r\n");
    assert_int_equal(world->client.tls_count, 0);
    close(raw);
}

static void right_name_is_verified(void **state)
{
    struct world *world = *state;
    connect_both(world);
    use_tls(world, TLS_VERIFY_NAME, certificate.certificate_path);
    world->client.on_tls = stop_when_both_started;
    world->server.on_tls = stop_when_both_started;
    start_tls(world, "mx.example.net");
    loop_run(world->loop);
    assert_true(stream_tls_is_verified(world->client.stream));
}

static void assert_verification_fails(struct world *world, const char *ca_path,
                                      const char *host, const char *words)
{
    connect_both(world);
    use_tls(world, TLS_VERIFY_NAME, ca_path);
    world->stop_at_end_count = 2;
    start_tls(world, host);
    loop_run(world->loop);
    assert_int_equal(world->client.end, STREAM_END_TLS);
    assert_int_equal(world->client.tls_count, 0);
    if (strstr(world->client.error.text, words) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", world->client.error.text, words);
    }
}

static void wrong_name_is_refused(void **state)
{
    assert_verification_fails(*state, certificate.certificate_path,
                              "mx.example.com", "hostname mismatch");
}

static void unknown_root_is_refused(void **state)
{
    assert_verification_fails(*state, NULL, "mx.example.net", "self-signed");
}

/* A client of another make: says what the server sent at the end. */
struct blocking_client {
    int descriptor;
    int last_error;
    int shutdown_flags;
    bool is_old; /* TLS 1.1 at most */
    bool is_connected;
};

static void *run_blocking_client(void *argument)
{
    struct blocking_client *client = argument;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0");
    if (client->is_old) {
        SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    }
    SSL *ssl = SSL_new(context);
    char bytes[100];
    SSL_set_fd(ssl, client->descriptor);
    client->is_connected = SSL_connect(ssl) == 1;
    if (client->is_connected) {
        SSL_write(ssl, "QUIT\r\n", 6);
        int got;
        while ((got = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
        }
        client->last_error = SSL_get_error(ssl, got);
        client->shutdown_flags = SSL_get_shutdown(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(client->descriptor);
    return NULL;
}

static void closing_under_tls_says_goodbye(void **state)
{
    struct world *world = *state;
    struct blocking_client client = { .descriptor = connect_raw(world) };
    pthread_t thread;
    serve(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->server.on_readable = close_in_callback;
    stream_start_tls_server(world->server.stream, world->server_tls);
    pthread_create(&thread, NULL, run_blocking_client, &client);
    while (world->server.stream != NULL) {
        settle(world);
    }
    pthread_join(thread, NULL);
    assert_true(client.is_connected);
    assert_int_equal(client.last_error, SSL_ERROR_ZERO_RETURN);
    assert_true(client.shutdown_flags & SSL_RECEIVED_SHUTDOWN);
}

static void old_client_is_refused(void **state)
{
    struct world *world = *state;
    struct blocking_client client = { .descriptor = connect_raw(world),
                                      .is_old = true };
    pthread_t thread;
    serve(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->stop_at_end_count = 1;
    stream_start_tls_server(world->server.stream, world->server_tls);
    pthread_create(&thread, NULL, run_blocking_client, &client);
    loop_run(world->loop);
    pthread_join(thread, NULL);
    assert_false(client.is_connected);
    assert_int_equal(world->server.end, STREAM_END_TLS);
}

static void peer_that_vanishes_in_the_handshake_is_told(void **state)
{
    struct world *world = *state;
    int raw = connect_raw(world);
    serve(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    world->stop_at_end_count = 1;
    stream_start_tls_server(world->server.stream, world->server_tls);
    close(raw);
    loop_run(world->loop);
    assert_int_equal(world->server.end, STREAM_END_TLS);
}

static void bytes_right_after_the_handshake_arrive(void **state)
{
    struct world *world = *state;
    connect_both(world);
    use_tls(world, TLS_VERIFY_NONE, NULL);
    start_tls(world, NULL);
    /* Written before the handshake began: leaves after it. */
    settle(world);
    stream_write(world->client.stream, "EHLO\r\n", 6);
    stream_write(world->server.stream, "250\r\n", 5);
    settle(world);
    assert_received(&world->server, "EHLO\r\n");
    assert_received(&world->client, "250\r\n");
}

static void wrong_files_are_explained(void **state)
{
    struct error error;
    struct test_certificate other;
    (void)state;
    assert_null(tls_server_context_create("/nowhere/cert.pem",
                                          certificate.key_path, &error));
    assert_non_null(strstr(error.text, "/nowhere/cert.pem"));
    assert_non_null(strstr(error.text, "No such file"));
    assert_null(tls_server_context_create(certificate.certificate_path,
                                          "/nowhere/key.pem", &error));
    assert_non_null(strstr(error.text, "/nowhere/key.pem"));
    assert_null(
        tls_client_context_create(TLS_VERIFY_NAME, "/nowhere/ca.pem", &error));
    assert_non_null(strstr(error.text, "/nowhere/ca.pem"));
    assert_true(test_certificate_make(&other, "other.example"));
    assert_null(tls_server_context_create(certificate.certificate_path,
                                          other.key_path, &error));
    assert_non_null(strstr(error.text, "does not belong"));
    test_certificate_remove(&other);
}

static int make_files(void **state)
{
    (void)state;
    megabytes = malloc(MEGABYTES);
    for (size_t i = 0; i < MEGABYTES; i++) {
        megabytes[i] = (char)(i * 2654435761U >> 13);
    }
    return test_certificate_make(&certificate, "mx.example.net") ? 0 : -1;
}

static int remove_files(void **state)
{
    (void)state;
    free(megabytes);
    test_certificate_remove(&certificate);
    return 0;
}

#define STREAM_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define NAMED_TEST(n, f)              \
    {                                 \
        n, f, set_up, tear_down, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(bytes_pass_both_ways),
        STREAM_TEST(source_address_is_used),
        STREAM_TEST(refused_connection_is_told_later),
        STREAM_TEST(impossible_source_is_told_later),
        STREAM_TEST(writes_of_one_callback_leave_together),
        STREAM_TEST(owner_that_takes_little_is_called_again),
        STREAM_TEST(half_a_line_does_not_keep_the_loop_busy),
        STREAM_TEST(reading_stops_at_the_input_limit),
        STREAM_TEST(paused_stream_takes_nothing),
        STREAM_TEST(end_comes_after_the_last_bytes),
        STREAM_TEST(end_comes_when_the_rest_is_of_no_use),
        STREAM_TEST(last_words_are_read_when_writing_fails),
        STREAM_TEST(closing_sends_what_was_written),
        STREAM_TEST(closing_with_a_post_pending_is_safe),
        STREAM_TEST(megabytes_pass_in_clear),
        STREAM_TEST(megabytes_pass_under_tls),
        STREAM_TEST(bytes_pass_under_tls),
        STREAM_TEST(record_longer_than_the_limit_is_read_in_parts),
        STREAM_TEST(paused_tls_stream_takes_nothing),
        STREAM_TEST(starttls_in_the_dialogue),
        NAMED_TEST("A1: bytes ahead of the handshake end the server",
                   bytes_ahead_of_the_handshake_end_the_server),
        NAMED_TEST("A1: bytes in place of the handshake end the server",
                   bytes_in_place_of_the_handshake_end_the_server),
        NAMED_TEST("A2: bytes ahead of the handshake end the client",
                   bytes_ahead_of_the_handshake_end_the_client),
        STREAM_TEST(right_name_is_verified),
        STREAM_TEST(wrong_name_is_refused),
        STREAM_TEST(unknown_root_is_refused),
        STREAM_TEST(closing_under_tls_says_goodbye),
        NAMED_TEST("A7: TLS before 1.2 is refused", old_client_is_refused),
        STREAM_TEST(peer_that_vanishes_in_the_handshake_is_told),
        STREAM_TEST(bytes_right_after_the_handshake_arrive),
        STREAM_TEST(wrong_files_are_explained),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
