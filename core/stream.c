/* SPDX-License-Identifier: MIT */
/*
 * A connected socket as two buffers.
 *
 *   socket ──read_socket──> input ──on_readable──> owner
 *   socket <──flush─────── output <──stream_write── owner
 *
 * Whatever happens (socket readable, socket writable, our own post) leads to
 * advance(): it takes bytes in, calls the owner, sends what the owner wrote and
 * sets the two events of the socket to what is wanted next. So an owner's
 * writes of one callback leave in one system call, and no callback runs inside
 * a stream_ call: those only change the buffers and post an advance().
 *
 * The input is a plain growing block with a read position: always contiguous,
 * moved only when more than half of it was consumed. The output is an evbuffer,
 * which sends borrowed blocks without copying them.
 */
#include "core/stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/tls_session.h"

#define READ_CHUNK_BYTES ((size_t)64 * 1024)
#define DEFAULT_INPUT_LIMIT ((size_t)64 * 1024)
/* A TLS record holds this much; smaller writes are joined up to it. */
#define RECORD_BYTES ((size_t)16 * 1024)
/* How much one stream encrypts before others have their turn. */
#define RECORDS_PER_TURN 16
/* How many bytes are thrown away to close without a reset. */
#define CLOSE_DISCARD_BYTES ((size_t)1024 * 1024)

enum phase {
    PHASE_CONNECTING,
    PHASE_CLEAR,
    PHASE_BEFORE_TLS, /* the last bytes in clear are leaving */
    PHASE_HANDSHAKE,
    PHASE_TLS,
};

enum trigger { ON_READ_EVENT, ON_WRITE_EVENT, ON_POST };

/* One direction's event; added only while it is wanted. */
struct direction {
    struct event *event;
    bool is_added;
};

struct stream {
    struct loop *loop;
    const struct stream_handler *handler;
    void *owner;
    int descriptor;
    enum phase phase;
    struct direction reading;
    struct direction writing;

    struct buffer input;
    size_t input_position; /* what lies before it is consumed */
    size_t input_limit;
    struct evbuffer *output;

    bool is_closed; /* stream_close was called */
    bool is_in_callback;
    bool is_posted;
    bool is_paused;
    bool has_fresh_input; /* the owner has not seen all of it */
    bool has_more_to_read; /* in the TLS layer, where no event tells of it */
    bool is_output_blocked; /* the system took no more */
    bool has_drained; /* on_drained is due */
    bool read_wants_write; /* TLS only */
    bool write_wants_read; /* TLS only */
    bool has_ended; /* no more input will come and no output will leave */
    bool is_end_told; /* on_closed was called */
    enum stream_end end;
    struct error *end_error;

    struct tls_session *tls; /* from stream_start_tls_* on */
    struct network_address peer;
    struct network_address local;
};

/* Bytes pass through here on their way from the socket to a stream's input, so
 * that an idle stream holds no large block. One loop a process, one thread. */
static char read_chunk[64 * 1024];

static size_t unread_length(const struct stream *stream)
{
    return stream->input.length - stream->input_position;
}

static const char *peer_text(const struct stream *stream,
                             char out_text[NETWORK_TEXT_SIZE])
{
    return stream->peer.length == 0
               ? "an unknown address"
               : network_address_text_with_port(&stream->peer, out_text);
}

/* The first reason stays: what follows it is its consequence. */
static void end_stream(struct stream *stream, enum stream_end end,
                       const char *what, const char *why)
{
    char peer[NETWORK_TEXT_SIZE];
    if (stream->has_ended) {
        return;
    }
    stream->has_ended = true;
    stream->end = end;
    stream->end_error = memory_alloc(sizeof(*stream->end_error));
    (void)error_set(stream->end_error, "%s %s%s%s", what,
                    peer_text(stream, peer), why[0] == '\0' ? "" : ": ", why);
    evbuffer_drain(stream->output, evbuffer_get_length(stream->output));
    stream->has_drained = false;
}

static void end_by_errno(struct stream *stream, const char *what, int number)
{
    end_stream(stream, STREAM_END_ERROR, what, strerror(number));
}

static void end_by_eof(struct stream *stream)
{
    end_stream(stream, STREAM_END_EOF, "the connection was closed by", "");
}

static void set_direction(struct direction *direction, bool is_wanted)
{
    if (direction->event == NULL || direction->is_added == is_wanted) {
        return;
    }
    direction->is_added = is_wanted;
    check((is_wanted ? event_add(direction->event, NULL)
                     : event_del(direction->event)) == 0);
}

static bool may_take_input(const struct stream *stream)
{
    return !stream->has_ended && !stream->is_paused &&
           unread_length(stream) < stream->input_limit &&
           (stream->phase == PHASE_CLEAR || stream->phase == PHASE_TLS);
}

static bool wants_readable(const struct stream *stream)
{
    if (stream->has_ended) {
        return false;
    }
    if (stream->phase == PHASE_HANDSHAKE) {
        return !stream->read_wants_write;
    }
    return stream->write_wants_read ||
           (may_take_input(stream) && !stream->read_wants_write);
}

static bool wants_writable(const struct stream *stream)
{
    if (stream->has_ended) {
        return false;
    }
    return stream->phase == PHASE_CONNECTING || stream->read_wants_write ||
           (stream->is_output_blocked && !stream->write_wants_read);
}

static void set_events(struct stream *stream)
{
    set_direction(&stream->reading, wants_readable(stream));
    set_direction(&stream->writing, wants_writable(stream));
}

static void on_post(void *owner);

static void post_advance(struct stream *stream)
{
    if (!stream->is_posted && !stream->is_closed) {
        stream->is_posted = true;
        loop_post(stream->loop, on_post, stream);
    }
}

/* After a change from outside: a callback's own advance() takes care of it. */
static void note_change(struct stream *stream)
{
    if (!stream->is_in_callback) {
        post_advance(stream);
    }
}

static void drop_consumed(struct stream *stream)
{
    if (unread_length(stream) == 0) {
        buffer_free(&stream->input);
        stream->input_position = 0;
    } else if (stream->input_position > stream->input.length / 2) {
        buffer_remove_front(&stream->input, stream->input_position);
        stream->input_position = 0;
    }
}

static void add_input(struct stream *stream, size_t length)
{
    drop_consumed(stream);
    buffer_append(&stream->input, read_chunk, length);
    stream->has_fresh_input = true;
}

static size_t room_for_input(const struct stream *stream)
{
    size_t unread = unread_length(stream);
    size_t room =
        unread < stream->input_limit ? stream->input_limit - unread : 0;
    return room < READ_CHUNK_BYTES ? room : READ_CHUNK_BYTES;
}

static void read_clear(struct stream *stream)
{
    ssize_t got =
        recv(stream->descriptor, read_chunk, room_for_input(stream), 0);
    if (got > 0) {
        add_input(stream, (size_t)got);
    } else if (got == 0) {
        end_by_eof(stream);
    } else if (errno != EAGAIN && errno != EINTR) {
        end_by_errno(stream, "lost the connection with", errno);
    }
}

static void end_by_tls(struct stream *stream, enum tls_step step,
                       const struct error *error)
{
    if (step == TLS_STEP_EOF) {
        end_by_eof(stream);
    } else if (step == TLS_STEP_BROKEN) {
        end_stream(stream, STREAM_END_ERROR, "lost the connection with",
                   error->text);
    } else {
        end_stream(stream, STREAM_END_TLS, "TLS failed with", error->text);
    }
}

static void read_tls(struct stream *stream)
{
    size_t taken = 0;
    stream->read_wants_write = false;
    stream->has_more_to_read = false;
    while (room_for_input(stream) > 0 && taken < READ_CHUNK_BYTES) {
        struct error error;
        size_t got = 0;
        enum tls_step step = tls_session_read(
            stream->tls, read_chunk, room_for_input(stream), &got, &error);
        if (step == TLS_STEP_DONE) {
            add_input(stream, got);
            taken += got;
            continue;
        }
        if (step == TLS_STEP_WANTS_WRITE) {
            stream->read_wants_write = true;
        } else if (step != TLS_STEP_WANTS_READ) {
            end_by_tls(stream, step, &error);
        }
        return;
    }
    stream->has_more_to_read = true;
}

static void read_socket(struct stream *stream)
{
    if (!may_take_input(stream)) {
        return;
    }
    if (stream->phase == PHASE_TLS) {
        read_tls(stream);
    } else {
        read_clear(stream);
    }
}

/* A peer that refuses us often says why and closes; our write then fails before
 * we have read its words. So they are read before the end is told. */
static void end_by_write(struct stream *stream, int number)
{
    bool was_paused = stream->is_paused;
    stream->is_paused = false;
    read_socket(stream);
    stream->is_paused = was_paused;
    end_by_errno(stream, "lost the connection with", number);
}

static void flush_clear(struct stream *stream)
{
    int written = evbuffer_write(stream->output, stream->descriptor);
    if (written < 0 && errno != EAGAIN && errno != EINTR) {
        end_by_write(stream, errno);
        return;
    }
    stream->is_output_blocked = evbuffer_get_length(stream->output) > 0;
}

/* The bytes of the next record: small writes are joined. */
static struct text next_record(struct stream *stream)
{
    size_t length = evbuffer_get_length(stream->output);
    length = length < RECORD_BYTES ? length : RECORD_BYTES;
    const unsigned char *bytes =
        evbuffer_pullup(stream->output, (ev_ssize_t)length);
    check(bytes != NULL);
    return (struct text){ (const char *)bytes, length };
}

static void flush_tls(struct stream *stream)
{
    stream->write_wants_read = false;
    stream->is_output_blocked = true;
    for (int i = 0; i < RECORDS_PER_TURN; i++) {
        struct error error;
        size_t written = 0;
        struct text record = next_record(stream);
        enum tls_step step = tls_session_write(stream->tls, record.data,
                                               record.length, &written, &error);
        evbuffer_drain(stream->output, written);
        if (step == TLS_STEP_WANTS_READ) {
            stream->write_wants_read = true;
            return;
        }
        if (step == TLS_STEP_WANTS_WRITE) {
            return;
        }
        if (step != TLS_STEP_DONE) {
            end_by_tls(stream, step, &error);
            return;
        }
        if (evbuffer_get_length(stream->output) == 0) {
            break;
        }
    }
    stream->is_output_blocked = evbuffer_get_length(stream->output) > 0;
}

static bool can_send(const struct stream *stream)
{
    return !stream->has_ended && stream->phase != PHASE_CONNECTING &&
           stream->phase != PHASE_HANDSHAKE &&
           evbuffer_get_length(stream->output) > 0;
}

static void flush(struct stream *stream)
{
    if (!can_send(stream)) {
        return;
    }
    if (stream->phase == PHASE_TLS) {
        flush_tls(stream);
    } else {
        flush_clear(stream);
    }
    if (!stream->has_ended && !stream->is_output_blocked) {
        stream->has_drained = true;
    }
}

static void call(struct stream *stream, void (*callback)(void *owner))
{
    if (callback != NULL && !stream->is_closed) {
        stream->is_in_callback = true;
        callback(stream->owner);
        stream->is_in_callback = false;
    }
}

/* Once per advance: an owner that takes a few lines and returns is called again
 * in the next turn. One that takes nothing waits for more bytes, or else half a
 * line from a slow peer would keep the loop busy. */
static void tell_readable(struct stream *stream)
{
    size_t before = unread_length(stream);
    if (before == 0 || stream->is_paused || !stream->has_fresh_input ||
        stream->phase == PHASE_BEFORE_TLS || stream->is_closed) {
        return;
    }
    stream->has_fresh_input = false;
    call(stream, stream->handler->on_readable);
    if (!stream->is_closed && unread_length(stream) > 0 &&
        stream->has_fresh_input) {
        post_advance(stream);
    }
}

static void tell_drained(struct stream *stream)
{
    if (stream->has_drained && !stream->is_closed) {
        stream->has_drained = false;
        call(stream, stream->handler->on_drained);
    }
}

/* What the peer sent before it left is read first, unless the owner does not
 * make anything of it. */
static void tell_end(struct stream *stream)
{
    bool is_input_left = unread_length(stream) > 0 &&
                         (stream->has_fresh_input || stream->is_paused);
    if (!stream->has_ended || stream->is_closed || stream->is_end_told ||
        (is_input_left && stream->end != STREAM_END_TLS)) {
        return;
    }
    stream->is_end_told = true;
    if (stream->handler->on_closed != NULL) {
        stream->is_in_callback = true;
        stream->handler->on_closed(stream->owner, stream->end,
                                   stream->end_error);
        stream->is_in_callback = false;
    }
}

static void learn_local_address(struct stream *stream)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof(local);
    if (getsockname(stream->descriptor, (struct sockaddr *)&local, &length) ==
        0) {
        network_address_from_socket((struct sockaddr *)&local, length,
                                    &stream->local);
    }
}

static void finish_connecting(struct stream *stream)
{
    int number = 0;
    socklen_t length = sizeof(number);
    if (getsockopt(stream->descriptor, SOL_SOCKET, SO_ERROR, &number,
                   &length) != 0) {
        number = errno;
    }
    if (number != 0) {
        end_by_errno(stream, "cannot connect to", number);
        return;
    }
    stream->phase = stream->tls != NULL ? PHASE_BEFORE_TLS : PHASE_CLEAR;
    learn_local_address(stream);
    call(stream, stream->handler->on_connected);
}

static void continue_handshake(struct stream *stream)
{
    struct error error;
    enum tls_step step = tls_session_handshake(stream->tls, &error);
    stream->read_wants_write = step == TLS_STEP_WANTS_WRITE;
    if (step == TLS_STEP_WANTS_READ || step == TLS_STEP_WANTS_WRITE) {
        return;
    }
    if (step != TLS_STEP_DONE) {
        end_stream(stream, STREAM_END_TLS, "the TLS handshake failed with",
                   step == TLS_STEP_EOF ? "it closed the connection"
                                        : error.text);
        return;
    }
    stream->phase = PHASE_TLS;
    stream->has_more_to_read = true; /* may have come with the last record */
    call(stream, stream->handler->on_tls_started);
}

static void begin_handshake_when_drained(struct stream *stream)
{
    if (!stream->is_closed && !stream->has_ended &&
        stream->phase == PHASE_BEFORE_TLS &&
        evbuffer_get_length(stream->output) == 0) {
        stream->phase = PHASE_HANDSHAKE;
        continue_handshake(stream);
    }
}

static void take_in(struct stream *stream, enum trigger trigger)
{
    if (stream->has_ended) {
        return;
    }
    if (stream->phase == PHASE_CONNECTING) {
        if (trigger == ON_WRITE_EVENT) {
            finish_connecting(stream);
        }
    } else if (stream->phase == PHASE_HANDSHAKE) {
        if (trigger != ON_POST) {
            continue_handshake(stream);
        }
    } else if (trigger == ON_READ_EVENT || stream->read_wants_write ||
               stream->has_more_to_read) {
        read_socket(stream);
    }
}

static void advance(struct stream *stream, enum trigger trigger)
{
    take_in(stream, trigger);
    tell_readable(stream);
    if (stream->is_closed) {
        return;
    }
    flush(stream);
    tell_drained(stream);
    if (stream->is_closed) {
        return;
    }
    /* What on_drained wrote; its own on_drained waits for the next turn. */
    flush(stream);
    begin_handshake_when_drained(stream);
    tell_end(stream);
    if (stream->is_closed) {
        return;
    }
    if (stream->has_drained ||
        (stream->has_more_to_read && may_take_input(stream)) ||
        (stream->phase == PHASE_TLS && can_send(stream) &&
         !stream->is_output_blocked) ||
        (stream->has_ended && !stream->is_end_told && !stream->is_paused)) {
        post_advance(stream);
    }
    set_events(stream);
}

static void on_post(void *owner)
{
    struct stream *stream = owner;
    stream->is_posted = false;
    if (!stream->is_closed) {
        advance(stream, ON_POST);
    }
}

static void on_read_event(evutil_socket_t descriptor, short what,
                          void *argument)
{
    (void)descriptor;
    (void)what;
    advance(argument, ON_READ_EVENT);
}

static void on_write_event(evutil_socket_t descriptor, short what,
                           void *argument)
{
    (void)descriptor;
    (void)what;
    advance(argument, ON_WRITE_EVENT);
}

static struct stream *create(struct loop *loop,
                             const struct stream_handler *handler, void *owner)
{
    struct stream *stream = memory_alloc(sizeof(*stream));
    stream->loop = loop;
    stream->handler = handler;
    stream->owner = owner;
    stream->descriptor = -1;
    stream->input_limit = DEFAULT_INPUT_LIMIT;
    stream->output = evbuffer_new();
    check(stream->output != NULL);
    return stream;
}

static void attach(struct stream *stream, int descriptor)
{
    struct event_base *base = loop_event_base(stream->loop);
    int on = 1;
    stream->descriptor = descriptor;
    /* Replies are written whole; waiting to fill a packet only delays them. */
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    stream->reading.event = event_new(base, descriptor, EV_READ | EV_PERSIST,
                                      on_read_event, stream);
    stream->writing.event = event_new(base, descriptor, EV_WRITE | EV_PERSIST,
                                      on_write_event, stream);
    check(stream->reading.event != NULL && stream->writing.event != NULL);
}

struct stream *stream_accept(struct loop *loop, int descriptor,
                             const struct stream_handler *handler, void *owner)
{
    struct stream *stream = create(loop, handler, owner);
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    attach(stream, descriptor);
    if (getpeername(descriptor, (struct sockaddr *)&peer, &length) == 0) {
        network_address_from_socket((struct sockaddr *)&peer, length,
                                    &stream->peer);
    }
    learn_local_address(stream);
    stream->phase = PHASE_CLEAR;
    set_events(stream);
    return stream;
}

/* 0 or the errno of what did not work. */
static int start_connecting(int descriptor, const struct network_address *peer,
                            const struct network_address *source)
{
    int on = 1;
    if (source != NULL && source->length > 0) {
        /* The kernel chooses the port when the peer is known, so that many
         * connections to different peers can share one. */
        (void)setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                         sizeof(on));
        if (bind(descriptor, &source->socket.any, source->length) != 0) {
            return errno;
        }
    }
    if (connect(descriptor, &peer->socket.any, peer->length) != 0 &&
        errno != EINPROGRESS) {
        return errno;
    }
    return 0;
}

struct stream *stream_connect(struct loop *loop,
                              const struct network_address *peer,
                              const struct network_address *source,
                              const struct stream_handler *handler, void *owner)
{
    struct stream *stream = create(loop, handler, owner);
    stream->phase = PHASE_CONNECTING;
    stream->peer = *peer;
    int descriptor = socket(peer->socket.any.sa_family,
                            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int number = errno;
    if (descriptor >= 0) {
        attach(stream, descriptor);
        number = start_connecting(descriptor, peer, source);
    }
    if (number != 0 || descriptor < 0) {
        end_by_errno(stream, "cannot connect to", number);
        post_advance(stream);
    }
    set_events(stream);
    return stream;
}

/* Closing with unread bytes makes the kernel send a reset, and a reset can
 * overtake our last reply. */
static void discard_unread(int descriptor)
{
    size_t discarded = 0;
    ssize_t got = 1;
    while (got > 0 && discarded < CLOSE_DISCARD_BYTES) {
        got = recv(descriptor, read_chunk, sizeof(read_chunk), MSG_DONTWAIT);
        discarded += got > 0 ? (size_t)got : 0;
    }
}

static void close_descriptor(struct stream *stream)
{
    if (stream->descriptor < 0) {
        return;
    }
    if (!stream->has_ended && stream->phase != PHASE_CONNECTING) {
        if (stream->phase == PHASE_TLS) {
            tls_session_say_goodbye(stream->tls);
        }
        (void)shutdown(stream->descriptor, SHUT_WR);
        discard_unread(stream->descriptor);
    }
    close(stream->descriptor);
    stream->descriptor = -1;
}

static void free_stream(void *owner)
{
    struct stream *stream = owner;
    buffer_free(&stream->input);
    memory_free(stream->end_error);
    memory_free(stream);
}

void stream_close(struct stream **stream)
{
    struct stream *doomed = *stream;
    if (doomed == NULL) {
        return;
    }
    *stream = NULL;
    flush(doomed);
    doomed->is_closed = true;
    if (doomed->reading.event != NULL) {
        event_free(doomed->reading.event);
        event_free(doomed->writing.event);
    }
    close_descriptor(doomed);
    tls_session_free(&doomed->tls);
    /* Now, since borrowed bytes may go as soon as we return. */
    evbuffer_free(doomed->output);
    doomed->output = NULL;
    loop_dispose(doomed->loop, free_stream, doomed);
}

struct text stream_input(struct stream *stream)
{
    return text_slice(buffer_text(&stream->input), stream->input_position,
                      stream->input.length);
}

void stream_consume(struct stream *stream, size_t length)
{
    check(length <= unread_length(stream));
    if (length == 0) {
        return;
    }
    stream->input_position += length;
    stream->has_fresh_input = true; /* the rest is worth another look */
    drop_consumed(stream);
    note_change(stream);
}

void stream_set_input_limit(struct stream *stream, size_t bytes)
{
    stream->input_limit = bytes;
    note_change(stream);
}

void stream_pause(struct stream *stream)
{
    stream->is_paused = true;
    set_events(stream);
}

void stream_resume(struct stream *stream)
{
    if (stream->is_paused) {
        stream->is_paused = false;
        stream->has_fresh_input = true;
        post_advance(stream);
    }
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
    if (!stream->has_ended && length > 0) {
        check(evbuffer_add(stream->output, bytes, length) == 0);
        note_change(stream);
    }
}

void stream_write_text(struct stream *stream, struct text text)
{
    stream_write(stream, text.data, text.length);
}

void stream_printf(struct stream *stream, const char *format, ...)
{
    va_list arguments;
    if (stream->has_ended) {
        return;
    }
    va_start(arguments, format);
    check(evbuffer_add_vprintf(stream->output, format, arguments) >= 0);
    va_end(arguments);
    note_change(stream);
}

void stream_write_borrowed(struct stream *stream, struct text borrowed_text)
{
    if (!stream->has_ended && borrowed_text.length > 0) {
        check(evbuffer_add_reference(stream->output, borrowed_text.data,
                                     borrowed_text.length, NULL, NULL) == 0);
        note_change(stream);
    }
}

size_t stream_output_length(const struct stream *stream)
{
    return evbuffer_get_length(stream->output);
}

/* Bytes that came in clear before the handshake must not be taken for bytes
 * under TLS (CVE-2011-0411), so they end the stream. */
static void start_tls(struct stream *stream, struct tls_session *session)
{
    check(stream->tls == NULL);
    stream->tls = session;
    if (unread_length(stream) > 0) {
        end_stream(stream, STREAM_END_TLS,
                   "TLS was not started: bytes were sent ahead of the "
                   "handshake by",
                   "");
    } else if (stream->phase == PHASE_CLEAR) {
        stream->phase = PHASE_BEFORE_TLS;
    }
    note_change(stream);
}

void stream_start_tls_server(struct stream *stream,
                             const struct tls_context *context)
{
    start_tls(stream, tls_session_create_server(context, stream->descriptor));
}

void stream_start_tls_client(struct stream *stream,
                             const struct tls_context *context,
                             const char *host_name)
{
    start_tls(stream, tls_session_create_client(context, stream->descriptor,
                                                host_name));
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->phase == PHASE_TLS;
}

const char *stream_tls_version(const struct stream *stream)
{
    return stream_is_tls(stream) ? tls_session_version(stream->tls) : NULL;
}

const char *stream_tls_cipher(const struct stream *stream)
{
    return stream_is_tls(stream) ? tls_session_cipher(stream->tls) : NULL;
}

bool stream_tls_is_verified(const struct stream *stream)
{
    return stream_is_tls(stream) && tls_session_is_verified(stream->tls);
}

const struct network_address *stream_peer(const struct stream *stream)
{
    return &stream->peer;
}

const struct network_address *stream_local(const struct stream *stream)
{
    return &stream->local;
}
