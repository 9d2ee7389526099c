/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd in external mode: one readable event on its epoll descriptor,
 * and once a second its own time-outs; both call `pump`.
 *
 *   connection ─> keep_target ─> on_request (head) ─> on_request (body …)
 *              ─> on_request (end): start ─── HTTP_ANSWERED ──> answer
 *                                     └ HTTP_LATER: suspended
 *   a batch was committed ─> http_request_wake … ─> one pump
 *              ─> on_request again: on_done ─────────────────> answer
 *
 * What the library leaves to us: resuming wakes nobody, so a pump is posted,
 * one for all that were resumed in a turn; suspended requests never time out,
 * so each has a deadline; its time-out begins anew with every byte of a slow
 * peer, so there is a deadline from one answer to the next; at its own limit of
 * connections it forgets the listener, so ours comes first; an answer given
 * before the last call for a request closes the connection, so only refusals
 * are; and it must not be stopped with a suspended request.
 */
#include "http/server.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "http/guesses.h"
#include "http/head.h"
#include "http/hit.h"
#include "http/http_metrics.h"
#include "http/request.h"
#include "http/settings.h"

#define CONNECTIONS_LIMIT_OF_LIBRARY 200000U
#define IDLE_SECONDS 15U
#define CONNECTION_MEMORY ((size_t)32 * 1024)
#define TICK_MILLISECONDS 1000
#define QUERY_PATIENCE_MILLISECONDS 10000
#define FLOOD_BYTES ((size_t)256 * 1024)

struct http_server {
    struct http_service service;
    struct MHD_Daemon *daemon; /* NULL: stopped */
    struct watch watch;
    struct timer tick;
    struct deadline_queue slow; /* of connections */
    struct deadline_queue patience[PATIENCE_COUNT];
    struct list connections;
    struct map *addresses; /* client key -> struct address_count */
    size_t suspended_count;
    bool is_pump_posted;
    bool is_quiesced;
    bool is_stopping; /* nothing may wait any more */
};

struct address_count {
    size_t count;
    size_t key_length;
    char key[NETWORK_CLIENT_KEY_SIZE];
};

/* Owned by the library's connection, by its socket context. */
struct connection {
    struct list_link link;
    struct http_server *server;
    struct deadline deadline;
    struct network_address peer;
    struct address_count *address_count; /* NULL: a proxy */
    int descriptor;
};

/* -- the loop -- */

static void pump(void *owner)
{
    struct http_server *server = owner;
    MHD_UNSIGNED_LONG_LONG milliseconds = 1;
    server->is_pump_posted = false;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &milliseconds) == MHD_YES &&
        milliseconds == 0) {
        server->is_pump_posted = true;
        loop_post(server->service.loop, pump, server);
    }
}

static void post_pump(struct http_server *server)
{
    if (!server->is_pump_posted) {
        server->is_pump_posted = true;
        loop_post(server->service.loop, pump, server);
    }
}

/* For the library's own time-outs, and the listener that it drops from its set
 * when descriptors run out. */
static void on_tick(void *owner)
{
    struct http_server *server = owner;
    timer_start(&server->tick, server->service.loop,
                (int64_t)TICK_MILLISECONDS * clock_rate(), on_tick, server);
    pump(server);
}

/* -- connections -- */

static void on_slow_connection(void *owner)
{
    const struct connection *connection = owner;
    metric_add(&http_metrics[METRIC_REQUESTS_TIMED_OUT], 1);
    shutdown(connection->descriptor, SHUT_RDWR);
}

static void restart_deadline(struct connection *connection)
{
    deadline_start(&connection->server->slow, &connection->deadline,
                   http_settings_now()->request_timeout, connection);
}

static struct address_count *count_address(struct http_server *server,
                                           const struct network_address *peer)
{
    if (proxies_trust(http_settings_proxies(), peer)) {
        return NULL;
    }
    struct address_count wanted = { .count = 1 };
    wanted.key_length = network_address_client_key(peer, wanted.key);
    struct text key = { wanted.key, wanted.key_length };
    struct address_count *found = map_get(server->addresses, key);
    if (found != NULL) {
        found->count++;
        return found;
    }
    found = memory_alloc(sizeof(*found));
    *found = wanted;
    map_set(server->addresses, key, found);
    return found;
}

static void uncount_address(struct connection *connection)
{
    struct address_count *count = connection->address_count;
    if (count != NULL && --count->count == 0) {
        map_remove(connection->server->addresses,
                   (struct text){ count->key, count->key_length });
        memory_free(count);
    }
}

static void open_connection(struct http_server *server,
                            struct MHD_Connection *handle, void **context)
{
    struct connection *connection = memory_alloc(sizeof(*connection));
    const struct sockaddr *peer =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
            ->client_addr;
    connection->server = server;
    connection->descriptor =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)
            ->connect_fd;
    network_address_from_socket(peer, sizeof(struct sockaddr_in6),
                                &connection->peer);
    connection->address_count = count_address(server, &connection->peer);
    list_append(&server->connections, &connection->link);
    restart_deadline(connection);
    *context = connection;
}

static void on_connection(void *owner, struct MHD_Connection *handle,
                          void **context, enum MHD_ConnectionNotificationCode c)
{
    struct connection *connection = *context;
    if (c == MHD_CONNECTION_NOTIFY_STARTED) {
        open_connection(owner, handle, context);
        return;
    }
    *context = NULL;
    deadline_stop(&connection->deadline);
    list_remove(&connection->link);
    uncount_address(connection);
    memory_free(connection);
}

static enum MHD_Result may_accept(void *owner, const struct sockaddr *peer,
                                  socklen_t length)
{
    struct http_server *server = owner;
    const struct http_settings_values *settings = http_settings_now();
    struct network_address address;
    network_address_from_socket(peer, length, &address);
    char key[NETWORK_CLIENT_KEY_SIZE];
    size_t key_length = network_address_client_key(&address, key);
    const struct address_count *count =
        map_get(server->addresses, (struct text){ key, key_length });
    if (server->connections.count < (size_t)settings->connections &&
        (count == NULL ||
         count->count < (size_t)settings->connections_per_address)) {
        return MHD_YES;
    }
    metric_add(&http_metrics[METRIC_CONNECTIONS_REFUSED], 1);
    return MHD_NO;
}

static struct connection *connection_of(struct MHD_Connection *handle)
{
    return MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

/* -- requests -- */

/* The target as it came: the library's own `url` is percent-decoded. */
static void *keep_target(void *owner, const char *target,
                         struct MHD_Connection *handle)
{
    struct http_server *server = owner;
    size_t size = strlen(target) + 1;
    struct http_request *request = memory_alloc(sizeof(*request) + size);
    request->service = &server->service;
    request->server = server;
    request->handle = handle;
    memcpy(request->target, target, size);
    metric_add(&http_metrics[METRIC_REQUESTS], 1);
    return request;
}

static void on_request_end(void *owner, struct MHD_Connection *handle,
                           void **context, enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *context;
    (void)owner;
    (void)code;
    *context = NULL;
    if (request == NULL) {
        return;
    }
    if (request->task != NULL) {
        request->route->let_go(request);
    }
    deadline_stop(&request->deadline);
    answer_free(&request->answer);
    buffer_free(&request->body);
    memory_free(request);
    struct connection *connection = connection_of(handle);
    if (connection == NULL) {
        return;
    }
    restart_deadline(connection);
    if (connection->server->is_quiesced) {
        /* Its last one: what was written leaves, nothing more is read. */
        shutdown(connection->descriptor, SHUT_RD);
    }
}

void http_request_wake(struct http_request *request)
{
    struct http_server *server = request->server;
    if (request->state != REQUEST_WAITS) {
        return;
    }
    request->state = REQUEST_WOKEN;
    deadline_stop(&request->deadline);
    server->suspended_count--;
    MHD_resume_connection(request->handle);
    post_pump(server);
}

static void on_patience_over(void *owner)
{
    http_request_wake(owner);
}

static void suspend(struct http_request *request)
{
    struct http_server *server = request->server;
    enum http_patience patience = request->route->patience;
    request->state = REQUEST_WAITS;
    server->suspended_count++;
    MHD_suspend_connection(request->handle);
    deadline_start(&server->patience[patience], &request->deadline,
                   patience == PATIENCE_HIT ? http_settings_now()->hit_deadline
                                            : QUERY_PATIENCE_MILLISECONDS,
                   request);
}

static enum MHD_Result send_answer(struct http_request *request)
{
    const struct answer *answer = &request->answer;
    return MHD_queue_response(request->handle, answer->status,
                              answer->response);
}

static enum MHD_Result send_page(struct http_request *request,
                                 enum answer_page page)
{
    answer_page(&request->answer, request->service->answers, page);
    return send_answer(request);
}

static enum MHD_Result finish(struct http_request *request)
{
    request->route->on_done(request);
    request->route->let_go(request);
    return send_answer(request);
}

/* The request is here as a whole. */
static enum MHD_Result start(struct http_request *request)
{
    const struct http_route *route = request->route;
    if (request->is_too_large) {
        return send_page(request, PAGE_TOO_LARGE);
    }
    if (route == NULL) {
        return send_page(request, PAGE_NOT_FOUND);
    }
    if (request->method == HTTP_OTHER_METHOD ||
        (request->method == HTTP_POST && !route->takes_post)) {
        return send_page(request,
                         route->takes_post ? PAGE_METHOD_POST : PAGE_METHOD);
    }
    if (route->start(request) == HTTP_ANSWERED) {
        return send_answer(request);
    }
    if (request->server->is_stopping) {
        return MHD_NO; /* closed: nothing may wait any more */
    }
    suspend(request);
    return MHD_YES;
}

static enum MHD_Result begin(struct http_request *request, const char *method,
                             const char *version)
{
    const struct connection *connection = connection_of(request->handle);
    request->state = REQUEST_READ;
    switch (head_read(request, method, version, &connection->peer)) {
    case HEAD_TAKEN:
        return MHD_YES; /* called again when the body is here, or at once */
    case HEAD_TOO_LARGE:
        metric_add(&http_metrics[METRIC_REQUESTS_REFUSED], 1);
        return send_page(request, PAGE_TOO_LARGE);
    case HEAD_NOT_LAWFUL:
    default:
        metric_add(&http_metrics[METRIC_REQUESTS_REFUSED], 1);
        return send_page(request, PAGE_BAD_REQUEST);
    }
}

/* A body without an announced length: it is dropped beyond our limit, and the
 * connection where somebody goes on and on. */
static enum MHD_Result take_body(struct http_request *request,
                                 const char *bytes, size_t *length)
{
    size_t taken = *length;
    *length = 0;
    if (request->body.length + taken <= HEAD_BODY_MAX) {
        buffer_append(&request->body, bytes, taken);
        return MHD_YES;
    }
    request->is_too_large = true;
    request->body.length += taken; /* counts only: nobody reads it */
    return request->body.length < FLOOD_BYTES ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_request(void *owner, struct MHD_Connection *handle,
                                  const char *url, const char *method,
                                  const char *version, const char *upload,
                                  size_t *upload_size, void **context)
{
    struct http_request *request = *context;
    (void)owner;
    (void)handle;
    (void)url;
    if (request->state == REQUEST_NEW) {
        return begin(request, method, version);
    }
    if (*upload_size > 0) {
        return take_body(request, upload, upload_size);
    }
    if (request->state == REQUEST_WOKEN) {
        return finish(request);
    }
    return start(request);
}

/* -- life -- */

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

static struct MHD_Daemon *start_daemon(struct http_server *server,
                                       int descriptor)
{
    /* TURBO: a new connection is read at once, without asking epoll first. */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO |
            MHD_USE_ERROR_LOG,
        0, may_accept, server, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
        log_line, NULL, MHD_OPTION_LISTEN_SOCKET, descriptor,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_LIMIT_OF_LIBRARY,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_request_end, server,
        MHD_OPTION_URI_LOG_CALLBACK, keep_target, server, MHD_OPTION_END);
}

static void free_shell(struct http_server *server)
{
    hits_forget(&server->service.hits);
    answers_free(&server->service.answers);
    guesses_free(&server->service.guesses);
    buffer_free(&server->service.payload);
    map_free(&server->addresses);
    memory_free(server);
}

struct http_server *http_server_create(struct loop *loop,
                                       int borrowed_descriptor,
                                       struct database *borrowed_database,
                                       const struct http_probes *probes,
                                       void *owner, struct error *error)
{
    struct http_server *server = memory_alloc(sizeof(*server));
    server->service.loop = loop;
    server->service.database = borrowed_database;
    server->service.probes = probes;
    server->service.probes_owner = owner;
    server->service.answers = answers_create();
    server->service.guesses = guesses_create();
    server->addresses = map_create();
    deadline_queue_init(&server->slow, loop, on_slow_connection);
    for (size_t i = 0; i < PATIENCE_COUNT; i++) {
        deadline_queue_init(&server->patience[i], loop, on_patience_over);
    }
    server->daemon = start_daemon(server, borrowed_descriptor);
    if (server->daemon == NULL) {
        free_shell(server);
        error_set(error, "the HTTP listener cannot be started");
        return NULL;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    watch_start(&server->watch, loop, info->epoll_fd, WATCH_READ, pump, server);
    on_tick(server);
    return server;
}

static void read_public_host(const char *url, char out_host[TARGET_HOST_SIZE])
{
    const char *mark = strstr(url, "://");
    struct text rest = text_of(mark != NULL ? mark + strlen("://") : url);
    if (!target_host(text_slice(rest, 0, text_find_byte(rest, '/')),
                     out_host)) {
        out_host[0] = '\0';
    }
}

void http_server_set_directory(struct http_server *server,
                               const struct directory *borrowed_directory,
                               const struct token_keys *borrowed_keys,
                               const char *public_url)
{
    read_public_host(public_url, server->service.public_host);
    server->service.directory = borrowed_directory;
    server->service.keys = borrowed_keys;
}

void http_server_quiesce(struct http_server *server)
{
    if (server->daemon != NULL && !server->is_quiesced) {
        server->is_quiesced = true;
        MHD_quiesce_daemon(server->daemon); /* the descriptor stays open */
    }
}

/* A hit that waits now may never be stored: it is left without an answer, and
 * its client asks again, elsewhere. */
static void wake_all(struct http_server *server)
{
    for (size_t i = 0; i < PATIENCE_COUNT; i++) {
        struct list_link *link;
        while ((link = server->patience[i].list.first) != NULL) {
            struct http_request *request =
                LIST_ITEM(link, struct deadline, link)->owner;
            if (i == PATIENCE_HIT) {
                shutdown(connection_of(request->handle)->descriptor, SHUT_RDWR);
            }
            http_request_wake(request);
        }
    }
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL || server->daemon == NULL) {
        return;
    }
    http_server_quiesce(server);
    server->is_stopping = true;
    wake_all(server);
    check(server->suspended_count == 0);
    MHD_run(server->daemon); /* those that were woken end in it */
    watch_stop(&server->watch);
    timer_stop(&server->tick);
    loop_cancel_posts(server->service.loop, server);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    deadline_queue_stop(&server->slow);
    for (size_t i = 0; i < PATIENCE_COUNT; i++) {
        deadline_queue_stop(&server->patience[i]);
    }
    server->service.directory = NULL;
    server->service.keys = NULL;
}

void http_server_free(struct http_server **server_pointer)
{
    struct http_server *server = *server_pointer;
    if (server == NULL) {
        return;
    }
    *server_pointer = NULL;
    http_server_stop(server);
    free_shell(server);
}
