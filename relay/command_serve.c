/* SPDX-License-Identifier: MIT */
#include "relay/command_serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"
#include "relay/relay_settings.h"
#include "relay/supervisor.h"

#define HEALTH_TIMEOUT_SECONDS 5
#define HEALTH_ANSWER_MAX 4096

static int serve(struct command_call *call)
{
    return supervisor_run(call->config, call->config_path);
}

/* Where the HTTP listener can be reached from this machine. */
static bool find_http(struct network_address *out_address, struct error *error)
{
    struct relay_listener listeners[RELAY_LISTENERS_MAX];
    size_t count = 0;
    if (!relay_settings_listeners(listeners, &count, error)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].is_http) {
            *out_address = listeners[i].address;
            return true;
        }
    }
    return error_set(error, "no HTTP listener is configured: set http in the "
                            "section [listen]");
}

static bool exchange(int descriptor, const struct network_address *address,
                     struct buffer *out_answer)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\n"
                                  "Host: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct timeval timeout = { .tv_sec = HEALTH_TIMEOUT_SECONDS };
    char bytes[512];
    ssize_t got;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(descriptor, &address->socket.any, address->length) != 0 ||
        send(descriptor, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
        return false;
    }
    while (out_answer->length < HEALTH_ANSWER_MAX &&
           (got = recv(descriptor, bytes, sizeof(bytes), 0)) > 0) {
        buffer_append(out_answer, bytes, (size_t)got);
    }
    return out_answer->length > 0;
}

static struct text body_of(struct text answer)
{
    for (size_t i = 0; i + 4 <= answer.length; i++) {
        if (memcmp(answer.data + i, "\r\n\r\n", 4) == 0) {
            return text_slice(answer, i + 4, answer.length);
        }
    }
    return text_of("");
}

static int health(struct command_call *call)
{
    struct network_address address;
    struct error error;
    struct buffer answer = { 0 };
    char text[NETWORK_TEXT_SIZE];
    (void)call;
    if (!find_http(&address, &error)) {
        return command_fail("%s", error.text);
    }
    int descriptor =
        socket(address.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return command_fail("no socket: %s", strerror(errno));
    }
    bool is_answered = exchange(descriptor, &address, &answer);
    close(descriptor);
    if (!is_answered) {
        buffer_free(&answer);
        return command_fail("nothing answers at %s: is baton serve running?",
                            network_address_text_with_port(&address, text));
    }
    bool is_ready =
        text_starts_with_ignoring_case(buffer_text(&answer), "HTTP/1.1 200");
    struct text body = body_of(buffer_text(&answer));
    printf("%.*s", TEXT_ARGUMENTS(body));
    buffer_free(&answer);
    return is_ready ? COMMAND_DONE : COMMAND_FAILED;
}

const struct command serve_commands[] = {
    { "serve", "", "accept and deliver mail until SIGTERM", 0, 0, NULL,
      NEEDS_SETTINGS, serve },
    { "health", "", "ask the serving baton whether it is ready", 0, 0, NULL,
      NEEDS_SETTINGS, health },
};
const size_t serve_command_count = ARRAY_LENGTH(serve_commands);
