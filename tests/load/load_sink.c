/* SPDX-License-Identifier: MIT */
/*
 * A next hop that takes everything and keeps a log of it.
 *
 *   load_sink HOST:PORT [HOST:PORT ...] [-l LOG] [-w MILLISECONDS]
 *
 * Each message is looked at for `X-Load: ID SENT_NS` in its header; LOG gets
 * `ID RECEIVED_NS SENT_NS`, with "mixed-up:" in front of an ID that is not the
 * recipient's local part. -w delays the reply to the final dot. SIGTERM or
 * SIGINT ends it: then it prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#define INPUT_BYTES (64 * 1024)
#define OUTPUT_BYTES 8192

enum part { COMMANDS, HEADER, BODY };

struct connection {
    int fd;
    enum part part;
    bool is_waiting; /* for the delayed reply to the dot */
    int64_t due_ns;
    struct connection *next_waiting;
    char id[64];
    char recipient[64]; /* local part of the last RCPT */
    long long sent_ns;
    size_t input_length;
    size_t output_length;
    char input[INPUT_BYTES];
    char output[OUTPUT_BYTES];
};

static struct {
    int epoll;
    FILE *log;
    int64_t delay_ns;
    struct connection *waiting;
    struct connection **waiting_end;
    uint64_t *seen; /* hashes of the ids: open addressing */
    size_t seen_room;
    size_t seen_count;
    size_t messages;
    size_t connections;
    size_t connections_at_once;
    size_t connections_peak;
    int64_t first_ns;
    int64_t last_ns;
    struct latencies latencies;
    volatile sig_atomic_t is_over;
} sink = { .waiting_end = &sink.waiting };

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 1469598103934665603u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    }
    return hash | 1;
}

static bool seen_put(uint64_t hash)
{
    size_t at = hash % sink.seen_room;
    while (sink.seen[at] != 0) {
        if (sink.seen[at] == hash) {
            return false;
        }
        at = (at + 1) % sink.seen_room;
    }
    sink.seen[at] = hash;
    return true;
}

static void seen_grow(void)
{
    uint64_t *old = sink.seen;
    size_t room = sink.seen_room;
    sink.seen_room = room ? room * 4 : 1 << 16;
    sink.seen = must(calloc(sink.seen_room, sizeof *sink.seen));
    for (size_t i = 0; i < room; i++) {
        if (old[i] != 0) {
            seen_put(old[i]);
        }
    }
    free(old);
}

/* The content of one message came for the recipient of another. */
static bool is_mixed_up(const struct connection *c)
{
    return c->id[0] != '\0' && strcmp(c->id, c->recipient) != 0;
}

static void count_message(const struct connection *c)
{
    int64_t now = now_ns();
    if (sink.messages++ == 0) {
        sink.first_ns = now;
    }
    sink.last_ns = now;
    if (sink.seen_count * 2 >= sink.seen_room) {
        seen_grow();
    }
    sink.seen_count += seen_put(hash_of(c->id));
    if (c->sent_ns > 0) {
        latency_add(&sink.latencies, now - c->sent_ns);
    }
    if (sink.log != NULL) {
        fprintf(sink.log, "%s%s %lld %lld\n", is_mixed_up(c) ? "mixed-up:" : "",
                c->id[0] ? c->id : "-", (long long)now, c->sent_ns);
    }
}

static void connection_close(struct connection *c)
{
    for (struct connection **at = &sink.waiting; *at != NULL;) {
        if (*at == c) {
            *at = c->next_waiting;
        } else {
            at = &(*at)->next_waiting;
        }
    }
    sink.waiting_end = &sink.waiting;
    while (*sink.waiting_end != NULL) {
        sink.waiting_end = &(*sink.waiting_end)->next_waiting;
    }
    close(c->fd);
    free(c);
    sink.connections_at_once--;
}

static void say(struct connection *c, const char *reply)
{
    size_t length = strlen(reply);
    if (length <= OUTPUT_BYTES - c->output_length) {
        memcpy(c->output + c->output_length, reply, length);
        c->output_length += length;
    }
}

/* False: the connection is gone. */
static bool flush(struct connection *c)
{
    size_t at = 0;
    if (sink.log != NULL) {
        fflush(sink.log); /* who kills us finds in it all that we took */
    }
    while (at < c->output_length) {
        ssize_t sent =
            send(c->fd, c->output + at, c->output_length - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd writable = { .fd = c->fd, .events = POLLOUT };
            poll(&writable, 1, 1000);
        } else if (sent <= 0) {
            return false;
        } else {
            at += (size_t)sent;
        }
    }
    c->output_length = 0;
    return true;
}

static void copy_up_to(const char *text, size_t length, char out[64])
{
    snprintf(out, 64, "%.*s", (int)length, text);
}

static void take_command(struct connection *c, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0) {
        say(c, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
               "250-SMTPUTF8\r\n250 SIZE 104857600\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        say(c, "354 Go on\r\n");
        c->part = HEADER;
        c->id[0] = '\0';
        c->sent_ns = 0;
    } else if (strncasecmp(line, "RCPT", 4) == 0) {
        const char *path = strchr(line, '<');
        path = path != NULL ? path + 1 : "";
        copy_up_to(path, strcspn(path, "@>"), c->recipient);
        say(c, "250 2.1.5 Ok\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        say(c, "221 2.0.0 Bye\r\n");
    } else {
        say(c, "250 2.1.0 Ok\r\n");
    }
}

static void end_message(struct connection *c)
{
    c->part = COMMANDS;
    count_message(c);
    if (sink.delay_ns == 0) {
        say(c, "250 2.0.0 Ok\r\n");
        return;
    }
    c->is_waiting = true;
    c->due_ns = now_ns() + sink.delay_ns;
    c->next_waiting = NULL;
    *sink.waiting_end = c;
    sink.waiting_end = &c->next_waiting;
}

/* One line without its end. */
static void take_line(struct connection *c, char *line)
{
    if (c->part == COMMANDS) {
        take_command(c, line);
    } else if (strcmp(line, ".") == 0) {
        end_message(c);
    } else if (c->part == HEADER && line[0] == '\0') {
        c->part = BODY;
    } else if (c->part == HEADER && strncmp(line, "X-Load: ", 8) == 0) {
        size_t length = strcspn(line + 8, " ");
        copy_up_to(line + 8, length, c->id);
        c->sent_ns = number_in(line + 8 + length);
    }
}

static void take_lines(struct connection *c)
{
    size_t at = 0;
    while (!c->is_waiting) {
        char *end = memchr(c->input + at, '\n', c->input_length - at);
        if (end == NULL) {
            break;
        }
        *end = '\0';
        if (end > c->input + at && end[-1] == '\r') {
            end[-1] = '\0';
        }
        take_line(c, c->input + at);
        at = (size_t)(end + 1 - c->input);
    }
    if (at == 0 && c->input_length == INPUT_BYTES && c->part != COMMANDS) {
        at = INPUT_BYTES; /* a line of content without end: nothing for us */
    }
    memmove(c->input, c->input + at, c->input_length - at);
    c->input_length -= at;
}

static void read_from(struct connection *c)
{
    if (c->is_waiting && c->input_length == INPUT_BYTES) {
        return;
    }
    ssize_t count =
        read(c->fd, c->input + c->input_length, INPUT_BYTES - c->input_length);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        connection_close(c);
        return;
    }
    c->input_length += (size_t)count;
    if (!c->is_waiting) {
        take_lines(c);
    }
    if (!flush(c)) {
        connection_close(c);
    }
}

static void accept_on(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = must(calloc(1, sizeof *c));
        int on = 1;
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
        epoll_ctl(sink.epoll, EPOLL_CTL_ADD, fd, &event);
        sink.connections++;
        if (++sink.connections_at_once > sink.connections_peak) {
            sink.connections_peak = sink.connections_at_once;
        }
        say(c, "220 sink ESMTP\r\n");
        if (!flush(c)) {
            connection_close(c);
        }
    }
}

static int listen_on(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        fprintf(stderr, "\"%s\" is not HOST:PORT\n", address);
        exit(2);
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port =
                                  htons((uint16_t)number_in(colon + 1)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
        listen(fd, 1024) < 0) {
        fprintf(stderr, "cannot listen on %s: %s\n", address, strerror(errno));
        exit(1);
    }
    return fd;
}

/* Those whose delay is over; milliseconds to the next, or -1. */
static int wake_waiting(void)
{
    struct connection *c;
    while ((c = sink.waiting) != NULL) {
        int64_t left = c->due_ns - now_ns();
        if (left > 0) {
            return (int)(left / 1000000) + 1;
        }
        sink.waiting = c->next_waiting;
        if (sink.waiting == NULL) {
            sink.waiting_end = &sink.waiting;
        }
        c->is_waiting = false;
        say(c, "250 2.0.0 Ok\r\n");
        take_lines(c);
        if (!flush(c)) {
            connection_close(c);
        }
    }
    return -1;
}

static void on_signal(int number)
{
    (void)number;
    sink.is_over = 1;
}

static void print_figures(void)
{
    latency_sort(&sink.latencies);
    double seconds = (double)(sink.last_ns - sink.first_ns) / 1e9;
    printf("{\"messages\": %zu, \"unique\": %zu, \"twice\": %zu, "
           "\"seconds\": %.3f, \"rate\": %.1f, "
           "\"latency_p50_ms\": %.3f, \"latency_p99_ms\": %.3f, "
           "\"latency_max_ms\": %.3f, \"connections\": %zu, "
           "\"connections_peak\": %zu}\n",
           sink.messages, sink.seen_count, sink.messages - sink.seen_count,
           seconds, seconds > 0 ? (double)sink.messages / seconds : 0,
           latency_at(&sink.latencies, 0.5), latency_at(&sink.latencies, 0.99),
           latency_at(&sink.latencies, 1), sink.connections,
           sink.connections_peak);
}

static void serve(const int *listeners, int count)
{
    struct epoll_event events[256];
    while (!sink.is_over) {
        int ready = epoll_wait(sink.epoll, events, 256, wake_waiting());
        for (int i = 0; i < ready; i++) {
            const int *listener = events[i].data.ptr;
            if (listener >= listeners && listener < listeners + count) {
                accept_on(*listener);
            } else {
                read_from(events[i].data.ptr);
            }
        }
        if (sink.log != NULL) {
            fflush(sink.log);
        }
    }
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "l:w:")) != -1) {
        if (option == 'l') {
            sink.log = must(fopen(optarg, "a"));
        } else if (option == 'w') {
            sink.delay_ns = number_in(optarg) * 1000000;
        } else {
            return 2;
        }
    }
    if (optind == argc) {
        fputs("usage: load_sink HOST:PORT ... [-l LOG] [-w MILLISECONDS]\n",
              stderr);
        return 2;
    }
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    seen_grow();
    sink.epoll = epoll_create1(0);
    int *listeners = must(calloc((size_t)argc, sizeof *listeners));
    for (int i = optind; i < argc; i++) {
        listeners[i] = listen_on(argv[i]);
        struct epoll_event event = { .events = EPOLLIN,
                                     .data.ptr = &listeners[i] };
        epoll_ctl(sink.epoll, EPOLL_CTL_ADD, listeners[i], &event);
    }
    serve(listeners, argc);
    print_figures();
    return 0;
}
