/* SPDX-License-Identifier: MIT */
/*
 * Clients that hand in mail and keep a ledger of what was acknowledged.
 *
 *   load_generator HOST:PORT [-c CONNECTIONS] [-n ACKNOWLEDGED] [-d SECONDS]
 *       [-r MESSAGES_A_SECOND] [-s BYTES] [-f FILE] [-D DOMAINS] [-p PREFIX]
 *       [-t SUFFIX] [-u USER:PASSWORD] [-m MESSAGES_A_CONNECTION] [-l LEDGER]
 *       [-k]
 *
 * Every message has an id (PREFIX-number) of its own, the local part of its
 * one recipient at dN.SUFFIX (rcpt.example), N from 0 to DOMAINS - 1, and a
 * header field `X-Load: ID SENT_NS`.
 * LEDGER gets `ID SENT_NS ACKED_NS` for every 250. With -r messages are due at
 * fixed times, whatever the server does, and SENT_NS is that time. With -k a
 * refusal or a lost connection is counted and the next id is taken; without
 * it, it ends the program. At the end it prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#define INPUT_BYTES 8192
#define CODES 600
#define AGAIN_AFTER_NS 50000000
#define GIVES_UP_AFTER_NS 120000000000

enum step { DOWN, BANNER, HELLO, LOGIN, IDLE, ENVELOPE, CONTENT };

struct session {
    int fd;
    enum step step;
    int replies_due;
    int refused; /* code of the first refusal of this envelope, or 0 */
    bool is_last_354;
    long sent_here;
    int64_t since_ns; /* of this step */
    int64_t sent_ns;
    char id[64];
    size_t input_length;
    char input[INPUT_BYTES];
    char *output;
    size_t output_length;
    size_t output_sent;
};

static struct {
    struct sockaddr_in to;
    int connections;
    long wanted;
    int64_t end_ns;
    double rate;
    int domains;
    const char *prefix;
    const char *suffix; /* of the recipients' domains */
    char login[512]; /* the AUTH command, or empty */
    long a_connection;
    bool keeps_going;
    FILE *ledger;
    char *body;
    size_t body_length;

    int epoll;
    int64_t start_ns;
    int64_t last_ns;
    long started;
    long failed; /* of those that were started */
    long acknowledged;
    long lost_connections;
    long refused[CODES];
    struct latencies latencies;
    volatile sig_atomic_t is_over;
} load = { .connections = 32,
           .domains = 1,
           .prefix = "load",
           .suffix = "rcpt.example",
           .a_connection = 1000000000 };

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "load_generator: %s: %s\n", what, detail);
    exit(1);
}

static void go_down(struct session *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    load.failed += s->step == ENVELOPE || s->step == CONTENT;
    s->fd = -1;
    s->step = DOWN;
    s->since_ns = now_ns();
    s->input_length = s->output_length = s->output_sent = 0;
}

static void lose(struct session *s, const char *why)
{
    if (!load.keeps_going) {
        fail("a connection was lost", why);
    }
    load.lost_connections++;
    go_down(s);
}

static void watch(const struct session *s, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data.ptr = (void *)s };
    epoll_ctl(load.epoll, operation, s->fd, &event);
}

static void dial(struct session *s)
{
    int on = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        fail("socket", strerror(errno));
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->step = BANNER;
    s->replies_due = 1;
    s->sent_here = 0;
    s->since_ns = now_ns();
    if (connect(s->fd, (struct sockaddr *)&load.to, sizeof load.to) < 0 &&
        errno != EINPROGRESS) {
        lose(s, strerror(errno));
        return;
    }
    watch(s, EPOLLIN, EPOLL_CTL_ADD);
}

/* False: the connection was lost. */
static bool flush(struct session *s)
{
    while (s->output_sent < s->output_length) {
        ssize_t sent = send(s->fd, s->output + s->output_sent,
                            s->output_length - s->output_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return true;
        }
        if (sent <= 0) {
            lose(s, strerror(errno));
            return false;
        }
        s->output_sent += (size_t)sent;
    }
    s->output_length = s->output_sent = 0;
    return true;
}

static bool say(struct session *s, enum step step, int replies,
                const char *text, size_t length)
{
    memcpy(s->output, text, length);
    s->output_length = length;
    s->output_sent = 0;
    s->step = step;
    s->replies_due = replies;
    s->since_ns = now_ns();
    return flush(s);
}

static bool has_more(void)
{
    int64_t now = now_ns();
    if (load.is_over || (load.end_ns > 0 && now >= load.end_ns)) {
        return false;
    }
    return load.wanted == 0 || load.started - load.failed < load.wanted;
}

/* When the next message is due; without a rate at once. */
static int64_t next_due_ns(void)
{
    if (load.rate <= 0) {
        return 0;
    }
    return load.start_ns + (int64_t)((double)load.started * 1e9 / load.rate);
}

static void begin_message(struct session *s)
{
    char text[1024];
    int64_t due = next_due_ns();
    int64_t now = now_ns();
    if (!has_more() || due > now) {
        return;
    }
    if (s->sent_here++ >= load.a_connection) {
        (void)send(s->fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
        go_down(s);
        s->since_ns = 0; /* look_after dials at once: not here, where replies
                            are being read and the descriptor may be the same */
        return;
    }
    s->sent_ns = due > 0 ? due : now;
    s->refused = 0;
    s->is_last_354 = false;
    snprintf(s->id, sizeof s->id, "%s-%ld", load.prefix, load.started);
    int length = snprintf(text, sizeof text,
                          "MAIL FROM:<a@sender.example>\r\n"
                          "RCPT TO:<%s@d%ld.%s>\r\nDATA\r\n",
                          s->id, load.started % load.domains, load.suffix);
    load.started++;
    say(s, ENVELOPE, 3, text, (size_t)length);
}

static void send_content(struct session *s)
{
    char header[512];
    int length = snprintf(header, sizeof header,
                          "X-Load: %s %lld\r\nFrom: a@sender.example\r\n"
                          "To: %s@rcpt.example\r\nSubject: %s\r\n"
                          "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
                          "Message-ID: <%s@sender.example>\r\n",
                          s->id, (long long)s->sent_ns, s->id, s->id, s->id);
    memcpy(s->output, header, (size_t)length);
    memcpy(s->output + length, load.body, load.body_length);
    s->output_length = (size_t)length + load.body_length;
    s->output_sent = 0;
    s->step = CONTENT;
    s->replies_due = 1;
    s->since_ns = now_ns();
    flush(s);
}

static void count_acknowledged(struct session *s)
{
    int64_t now = now_ns();
    load.acknowledged++;
    load.last_ns = now;
    latency_add(&load.latencies, now - s->sent_ns);
    if (load.ledger != NULL) {
        fprintf(load.ledger, "%s %lld %lld\n", s->id, (long long)s->sent_ns,
                (long long)now);
    }
}

static void count_refusal(int code, const char *line)
{
    if (!load.keeps_going) {
        fail("refused", line);
    }
    load.refused[code]++;
}

static void end_envelope(struct session *s)
{
    if (s->is_last_354) {
        send_content(s); /* also where RCPT was refused: DATA was not */
        return;
    }
    load.failed++;
    s->step = IDLE;
    begin_message(s);
}

/* All replies to what was said are there. */
static void go_on(struct session *s)
{
    if (s->step == BANNER) {
        say(s, HELLO, 1, "EHLO client.example\r\n", 21);
    } else if (s->step == HELLO && load.login[0] != '\0') {
        say(s, LOGIN, 1, load.login, strlen(load.login));
    } else if (s->step == ENVELOPE) {
        end_envelope(s);
    } else {
        s->step = IDLE;
        begin_message(s);
    }
}

/* False: the session is not where it was. */
static bool take_reply(struct session *s, const char *line)
{
    int code = (int)number_in(line);
    if (line[3] == '-') {
        return true;
    }
    if (code < 200 || code >= CODES) {
        fail("not a reply", line);
    }
    if (s->step == CONTENT && code == 250) {
        count_acknowledged(s);
    } else if (code >= 400 && s->refused == 0) {
        s->refused = code;
        load.failed += s->step == CONTENT;
        count_refusal(code, line);
    }
    if (code >= 400 && s->step == CONTENT) {
        s->step = IDLE;
    }
    if (code == 421 || (code >= 400 && s->step < IDLE)) {
        lose(s, line);
        return false;
    }
    s->is_last_354 = code == 354;
    if (--s->replies_due > 0) {
        return true;
    }
    go_on(s);
    return s->fd >= 0;
}

static void read_from(struct session *s)
{
    ssize_t count = read(s->fd, s->input + s->input_length,
                         INPUT_BYTES - 1 - s->input_length);
    if (count < 0 && errno == EAGAIN) {
        return;
    }
    if (count <= 0) {
        lose(s, count == 0 ? "closed by the server" : strerror(errno));
        return;
    }
    s->input_length += (size_t)count;
    size_t at = 0;
    char *end;
    int fd = s->fd;
    while ((end = memchr(s->input + at, '\n', s->input_length - at)) != NULL) {
        const char *line = s->input + at;
        *end = '\0';
        at = (size_t)(end + 1 - s->input);
        if (!take_reply(s, line) || s->fd != fd) {
            return;
        }
    }
    memmove(s->input, s->input + at, s->input_length - at);
    s->input_length -= at;
}

static void take_event(struct session *s, uint32_t events)
{
    if (s->fd < 0) {
        return;
    }
    if (events & EPOLLOUT) {
        watch(s, EPOLLIN, EPOLL_CTL_MOD);
        if (!flush(s)) {
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_from(s);
    }
}

/* Dials who is down, starts what is due, ends who hangs; how many still have
 * something to do. */
static int look_after(struct session *sessions)
{
    int64_t now = now_ns();
    int busy = 0;
    for (int i = 0; i < load.connections; i++) {
        struct session *s = &sessions[i];
        if (s->step == DOWN && has_more() &&
            now - s->since_ns > AGAIN_AFTER_NS) {
            dial(s);
        } else if (s->step == IDLE) {
            begin_message(s);
        } else if (s->step != DOWN && now - s->since_ns > GIVES_UP_AFTER_NS) {
            lose(s, "no reply for two minutes");
        }
        busy += s->step == ENVELOPE || s->step == CONTENT;
    }
    return busy;
}

static void run(struct session *sessions)
{
    struct epoll_event events[256];
    int64_t over_ns = 0;
    for (;;) {
        int busy = look_after(sessions);
        if (!has_more()) {
            over_ns = over_ns ? over_ns : now_ns();
            if (busy == 0 || now_ns() - over_ns > GIVES_UP_AFTER_NS) {
                break;
            }
        }
        int ready = epoll_wait(load.epoll, events, 256, load.rate > 0 ? 1 : 20);
        for (int i = 0; i < ready; i++) {
            take_event(events[i].data.ptr, events[i].events);
        }
        if (load.ledger != NULL) {
            fflush(load.ledger);
        }
    }
}

static void print_figures(void)
{
    const char *comma = "";
    double seconds = (double)(load.last_ns - load.start_ns) / 1e9;
    latency_sort(&load.latencies);
    printf("{\"started\": %ld, \"acknowledged\": %ld, \"errors\": %ld, "
           "\"refused\": {",
           load.started, load.acknowledged, load.lost_connections);
    for (int code = 0; code < CODES; code++) {
        if (load.refused[code] > 0) {
            printf("%s\"%d\": %ld", comma, code, load.refused[code]);
            comma = ", ";
        }
    }
    printf("}, \"seconds\": %.3f, \"rate\": %.1f, \"ack_p50_ms\": %.3f, "
           "\"ack_p99_ms\": %.3f, \"ack_max_ms\": %.3f}\n",
           seconds, seconds > 0 ? (double)load.acknowledged / seconds : 0,
           latency_at(&load.latencies, 0.5), latency_at(&load.latencies, 0.99),
           latency_at(&load.latencies, 1));
}

static void set_target(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        fail("not HOST:PORT", address);
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    load.to.sin_family = AF_INET;
    load.to.sin_port = htons((uint16_t)number_in(colon + 1));
    if (inet_pton(AF_INET, host, &load.to.sin_addr) != 1) {
        fail("not an IPv4 address", host);
    }
}

/* AUTH PLAIN with its initial response (RFC 4954, RFC 4616). */
static void set_login(const char *pair)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[256] = "";
    size_t length = strlen(pair) + 1;
    char *out =
        load.login + snprintf(load.login, sizeof load.login, "AUTH PLAIN ");
    if (length >= sizeof plain - 3) {
        fail("too long", pair);
    }
    memcpy(plain + 1, pair, length);
    plain[1 + strcspn(pair, ":")] = '\0';
    for (size_t i = 0; i < length; i += 3) {
        unsigned a = (unsigned char)plain[i];
        unsigned b = i + 1 < length ? (unsigned char)plain[i + 1] : 0;
        unsigned c = i + 2 < length ? (unsigned char)plain[i + 2] : 0;
        *out++ = digits[a >> 2];
        *out++ = digits[(a & 3) << 4 | b >> 4];
        *out++ = i + 1 < length ? digits[(b & 15) << 2 | c >> 6] : '=';
        *out++ = i + 2 < length ? digits[c & 63] : '=';
    }
    memcpy(out, "\r\n", 3);
}

/* Lines of 72 letters to about so many bytes, and the dot. */
static void make_body(size_t bytes)
{
    load.body = must(malloc(bytes + 256));
    size_t at = (size_t)snprintf(load.body, 200,
                                 "MIME-Version: 1.0\r\n"
                                 "Content-Type: text/plain\r\n\r\n");
    while (at < bytes) {
        size_t line = bytes - at < 72 ? bytes - at : 72;
        memset(load.body + at, 'a' + (int)(at % 26), line);
        at += line;
        memcpy(load.body + at, "\r\n", 2);
        at += 2;
    }
    memcpy(load.body + at, ".\r\n", 3);
    load.body_length = at + 3;
}

/* A file of further header fields, an empty line and lines without dots. */
static void read_body(const char *path)
{
    FILE *file = must(fopen(path, "r"));
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    load.body = must(malloc(size + 16));
    if (fread(load.body, 1, size, file) != size) {
        fail("cannot read", path);
    }
    fclose(file);
    memcpy(load.body + size, ".\r\n", 3);
    load.body_length = size + 3;
}

static void take_options(int argc, char **argv)
{
    size_t bytes = 4096;
    const char *file = NULL;
    int option;
    while ((option = getopt(argc, argv, "c:n:d:r:s:f:D:p:t:u:m:l:k")) != -1) {
        switch (option) {
        case 'c':
            load.connections = (int)number_in(optarg);
            break;
        case 'n':
            load.wanted = number_in(optarg);
            break;
        case 'd':
            load.end_ns = now_ns() + (int64_t)(strtod(optarg, NULL) * 1e9);
            break;
        case 'r':
            load.rate = strtod(optarg, NULL);
            break;
        case 's':
            bytes = (size_t)number_in(optarg);
            break;
        case 'f':
            file = optarg;
            break;
        case 'D':
            load.domains = (int)number_in(optarg);
            break;
        case 'p':
            load.prefix = optarg;
            break;
        case 't':
            load.suffix = optarg;
            break;
        case 'u':
            set_login(optarg);
            break;
        case 'm':
            load.a_connection = number_in(optarg);
            break;
        case 'l':
            load.ledger = must(fopen(optarg, "a"));
            break;
        case 'k':
            load.keeps_going = true;
            break;
        default:
            exit(2);
        }
    }
    if (optind + 1 != argc || load.connections < 1 || load.domains < 1) {
        fputs(
            "usage: load_generator HOST:PORT [-c CONNECTIONS] [-n COUNT] "
            "[-d SECONDS] [-r RATE] [-s BYTES] [-f FILE] [-D DOMAINS] "
            "[-p PREFIX] [-t SUFFIX] [-u USER:PASSWORD] [-m COUNT] [-l LEDGER] "
            "[-k]\n",
            stderr);
        exit(2);
    }
    set_target(argv[optind]);
    if (file != NULL) {
        read_body(file);
    } else {
        make_body(bytes);
    }
}

static void on_signal(int number)
{
    (void)number;
    load.is_over = 1;
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    load.epoll = epoll_create1(0);
    struct session *sessions =
        must(calloc((size_t)load.connections, sizeof *sessions));
    for (int i = 0; i < load.connections; i++) {
        sessions[i].fd = -1;
        sessions[i].output = must(malloc(load.body_length + 2048));
    }
    load.start_ns = now_ns();
    run(sessions);
    print_figures();
    return 0;
}
