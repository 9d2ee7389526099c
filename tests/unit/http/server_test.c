/* SPDX-License-Identifier: MIT */
/* Requests as bytes, answers as status lines; no database is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/listener.h"
#include "core/memory.h"
#include "http/server.h"

struct rig {
    struct loop *loop;
    struct http_server *server;
    struct network_address address;
    int listener;
    int client;
    struct watch readable;
    struct timer timer;
    struct buffer received;
    bool is_closed;
    bool is_ready;
};

static bool is_ready(void *owner, struct buffer *out_reason)
{
    const struct rig *rig = owner;
    if (!rig->is_ready) {
        buffer_append_string(out_reason, "not yet");
    }
    return rig->is_ready;
}

static const struct http_probes probes = { .is_ready = is_ready };

static void stop(void *owner)
{
    struct rig *rig = owner;
    loop_stop(rig->loop);
}

static void on_readable(void *owner)
{
    struct rig *rig = owner;
    char bytes[4096];
    ssize_t length = recv(rig->client, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (length > 0) {
        buffer_append(&rig->received, bytes, (size_t)length);
    } else {
        rig->is_closed = true;
        watch_stop(&rig->readable);
    }
    /* What follows at once belongs to it. */
    timer_start(&rig->timer, rig->loop, 20, stop, rig);
}

static int set_up(void **state)
{
    struct rig *rig = memory_alloc(sizeof(*rig));
    struct error error;
    socklen_t length = sizeof(rig->address.socket);
    rig->loop = loop_create();
    assert_true(network_address_parse(text_of("127.0.0.1"), 0, &rig->address));
    rig->listener = listener_open(&rig->address, &error);
    assert_true(rig->listener >= 0);
    assert_int_equal(
        getsockname(rig->listener, &rig->address.socket.any, &length), 0);
    rig->is_ready = true;
    rig->server = http_server_create(rig->loop, rig->listener, NULL, &probes,
                                     rig, &error);
    assert_non_null(rig->server);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    http_server_stop(rig->server);
    http_server_stop(rig->server); /* twice is once */
    http_server_free(&rig->server);
    timer_stop(&rig->timer);
    loop_free(&rig->loop);
    close(rig->listener);
    memory_free(rig);
    return 0;
}

/* Send on a new connection, collect what comes back. */
static const char *converse(struct rig *rig, const char *bytes)
{
    rig->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rig->is_closed = false;
    buffer_clear(&rig->received);
    assert_int_equal(
        connect(rig->client, &rig->address.socket.any, rig->address.length), 0);
    size_t length = strlen(bytes);
    assert_int_equal(send(rig->client, bytes, length, 0), (ssize_t)length);
    watch_start(&rig->readable, rig->loop, rig->client, WATCH_READ, on_readable,
                rig);
    timer_start(&rig->timer, rig->loop, 5000, stop, rig);
    loop_run(rig->loop);
    watch_stop(&rig->readable);
    close(rig->client);
    buffer_append_byte(&rig->received, '\0');
    return rig->received.data;
}

static void requests_and_their_answers(void **state)
{
    static const struct {
        const char *request;
        const char *status;
        bool is_closed;
    } rows[] = {
        { "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200", false },
        { "GET http://y/healthz?a HTTP/1.1\r\nHost: x\r\n\r\n", "200", false },
        { "GET /healthz HTTP/1.0\r\n\r\n", "200", true },
        { "GET /heal%74hz HTTP/1.1\r\nHost: x\r\n\r\n", "200", false },
        { "GET /healthz/ HTTP/1.1\r\nHost: x\r\n\r\n", "404", false },
        { "GET /c HTTP/1.1\r\nHost: x\r\n\r\n", "404", false },
        { "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "404", false },
        { "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
          "405", false },
        { "DELETE /u/x HTTP/1.1\r\nHost: x\r\n\r\n", "405", false },
        /* Without keys: come again; but a pixel is a pixel. */
        { "GET /c/x HTTP/1.1\r\nHost: x\r\n\r\n", "503", false },
        { "GET /u/x HTTP/1.1\r\nHost: x\r\n\r\n", "503", false },
        { "GET /o/x HTTP/1.1\r\nHost: x\r\n\r\n", "200", false },
        { "GET /tls-host?domain=x HTTP/1.1\r\nHost: x\r\n\r\n", "404", false },
        { "GET /healthz HTTP/1.1\r\n\r\n", "400", true },
        { "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400", true },
        { "GET /healthz HTTP/1.1\r\nHost: x y\r\n\r\n", "400", true },
        { "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
          "400", true },
        { "POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
          "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "400", true },
        { "POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n",
          "413", true },
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *answer = converse(rig, rows[i].request);
        if (strncmp(answer, "HTTP/1.", 7) != 0 ||
            strncmp(answer + 9, rows[i].status, 3) != 0 ||
            rig->is_closed != rows[i].is_closed) {
            fail_msg("row %zu: %s", i, answer);
        }
        assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
        assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
    }
    buffer_free(&rig->received);
}

static void pipelined_requests_are_answered_one_by_one(void **state)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                                  "GET /o/ HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char *const statuses[] = { "200", "404", "200", "200" };
    struct rig *rig = *state;
    const char *at = converse(rig, request);
    for (size_t i = 0; i < ARRAY_LENGTH(statuses); i++) {
        at = strstr(at, "HTTP/1.1 ");
        assert_non_null(at);
        assert_memory_equal(at + 9, statuses[i], 3);
        at += 9;
    }
    buffer_free(&rig->received);
}

static void readiness_has_a_reason(void **state)
{
    struct rig *rig = *state;
    rig->is_ready = false;
    const char *answer =
        converse(rig, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_memory_equal(answer + 9, "503", 3);
    assert_non_null(strstr(answer, "not yet\n"));
    buffer_free(&rig->received);
}

static void nobody_is_accepted_after_quiescing(void **state)
{
    struct rig *rig = *state;
    http_server_quiesce(rig->server);
    rig->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(rig->client, &rig->address.socket.any, rig->address.length), 0);
    timer_start(&rig->timer, rig->loop, 50, stop, rig);
    loop_run(rig->loop);
    char byte;
    assert_int_equal(recv(rig->client, &byte, 1, MSG_DONTWAIT), -1);
    int taken_over = accept(rig->listener, NULL, NULL); /* is still there */
    assert_true(taken_over >= 0);
    close(taken_over);
    close(rig->client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_and_their_answers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            pipelined_requests_are_answered_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readiness_has_a_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_accepted_after_quiescing,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
