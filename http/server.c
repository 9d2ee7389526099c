/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd in external mode: one readable event on its epoll descriptor
 * and one timer for its own time-outs, both call `pump`. Each connection has a
 * deadline of ours as well, because the library's time-out starts anew with
 * every byte that a slow peer sends.
 */
#include "http/server.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "core/list.h"
#include "core/log.h"
#include "core/memory.h"

#define CONNECTIONS_MAX 1000
#define CONNECTION_MILLISECONDS 60000
#define IDLE_SECONDS 15
#define HEADER_BYTES_MAX (16 * 1024)

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    const struct http_probes *probes;
    void *owner;
    struct watch watch;
    struct timer timer;
    struct list connections;
};

struct connection {
    struct list_link link;
    struct timer deadline;
    int descriptor;
};

static void pump(void *owner)
{
    struct http_server *server = owner;
    MHD_UNSIGNED_LONG_LONG milliseconds = 0;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &milliseconds) == MHD_YES) {
        timer_start(&server->timer, server->loop, (int64_t)milliseconds, pump,
                    server);
    } else {
        timer_stop(&server->timer);
    }
}

static void on_deadline(void *owner)
{
    const struct connection *connection = owner;
    shutdown(connection->descriptor, SHUT_RDWR);
}

static void on_connection(void *owner, struct MHD_Connection *handle,
                          void **context, enum MHD_ConnectionNotificationCode c)
{
    struct http_server *server = owner;
    if (c == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct connection *connection = memory_alloc(sizeof(*connection));
        connection->descriptor = info->connect_fd;
        list_append(&server->connections, &connection->link);
        timer_start(&connection->deadline, server->loop,
                    CONNECTION_MILLISECONDS, on_deadline, connection);
        *context = connection;
    } else {
        struct connection *connection = *context;
        timer_stop(&connection->deadline);
        list_remove(&connection->link);
        memory_free(connection);
        *context = NULL;
    }
}

static enum MHD_Result may_accept(void *owner, const struct sockaddr *peer,
                                  socklen_t length)
{
    const struct http_server *server = owner;
    (void)peer;
    (void)length;
    return server->connections.count < CONNECTIONS_MAX ? MHD_YES : MHD_NO;
}

/* Keep the target as it came: the library's own `url` is percent-decoded. */
static void *keep_target(void *owner, const char *target,
                         struct MHD_Connection *handle)
{
    (void)owner;
    (void)handle;
    return memory_copy_string(target);
}

static void on_request_end(void *owner, struct MHD_Connection *handle,
                           void **context, enum MHD_RequestTerminationCode code)
{
    (void)owner;
    (void)handle;
    (void)code;
    memory_free(*context);
    *context = NULL;
}

static enum MHD_Result send_answer(struct MHD_Connection *handle,
                                   struct http_answer *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.length, answer->body.data, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", answer->content_type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    enum MHD_Result result =
        MHD_queue_response(handle, answer->status, response);
    MHD_destroy_response(response);
    buffer_free(&answer->body);
    return result;
}

static enum MHD_Result on_request(void *owner, struct MHD_Connection *handle,
                                  const char *url, const char *method,
                                  const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
    const struct http_server *server = owner;
    (void)url;
    (void)version;
    (void)upload;
    struct http_answer answer = { .status = 405,
                                  .content_type = "text/plain; charset=utf-8" };
    if (*upload_size > 0) { /* nobody here takes a body */
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        struct text target = text_of(*context);
        struct text path = text_slice(target, 0, text_find_byte(target, '?'));
        http_routes_answer(server->probes, server->owner, path, &answer);
    } else {
        buffer_append_string(&answer.body, "Use GET.\n");
    }
    return send_answer(handle, &answer);
}

static void log_line(void *owner, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void log_line(void *owner, const char *format, va_list arguments)
{
    struct buffer line = { 0 };
    (void)owner;
    buffer_vprintf(&line, format, arguments);
    log_debug(NULL, "http", "detail=\"%s\"",
              log_quote(text_trim(buffer_text(&line))));
    buffer_free(&line);
}

struct http_server *http_server_create(struct loop *loop,
                                       int borrowed_descriptor,
                                       const struct http_probes *probes,
                                       void *owner, struct error *error)
{
    struct http_server *server = memory_alloc(sizeof(*server));
    server->loop = loop;
    server->probes = probes;
    server->owner = owner;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, may_accept, server, on_request,
        server, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, borrowed_descriptor,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * CONNECTIONS_MAX),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES_MAX * 2,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_request_end, server,
        MHD_OPTION_URI_LOG_CALLBACK, keep_target, server, MHD_OPTION_END);
    if (server->daemon == NULL) {
        memory_free(server);
        error_set(error, "the HTTP listener cannot be started");
        return NULL;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    watch_start(&server->watch, loop, info->epoll_fd, WATCH_READ, pump, server);
    return server;
}

void http_server_free(struct http_server **server_pointer)
{
    struct http_server *server = *server_pointer;
    if (server == NULL) {
        return;
    }
    *server_pointer = NULL;
    watch_stop(&server->watch);
    timer_stop(&server->timer);
    MHD_quiesce_daemon(server->daemon); /* the descriptor stays open */
    MHD_stop_daemon(server->daemon);
    memory_free(server);
}
