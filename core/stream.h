/* SPDX-License-Identifier: MIT */
/*
 * A connected socket as two buffers, in clear or under TLS. Owned by whoever
 * created it; ends with stream_close.
 *
 * Callbacks run from the loop, never from inside a stream_ call. After
 * on_closed nothing more is called; the owner still has to stream_close. After
 * stream_close nothing is called at all.
 */
#ifndef BATON_CORE_STREAM_H
#define BATON_CORE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/loop.h"
#include "core/network.h"
#include "core/text.h"
#include "core/tls.h"

struct stream;

enum stream_end {
    STREAM_END_EOF, /* the peer closed; what it sent before is still there */
    STREAM_END_ERROR, /* reset, unreachable, refused */
    STREAM_END_TLS, /* handshake or record failed */
};

struct stream_handler {
    /* The TCP connection stands (stream_connect only). */
    void (*on_connected)(void *owner);
    /* The handshake that stream_start_tls began is done. */
    void (*on_tls_started)(void *owner);
    /* There are unread bytes. Called again each loop turn while bytes are left
     * over and reading is not paused, so a handler may take a few lines and
     * return (fairness). A handler that takes nothing is called again with the
     * next bytes or after stream_resume, so half a line costs nothing. */
    void (*on_readable)(void *owner);
    /* Everything written has been given to the system. */
    void (*on_drained)(void *owner);
    void (*on_closed)(void *owner, enum stream_end end,
                      const struct error *error);
};

/* Take over an accepted, non-blocking descriptor. Sets TCP_NODELAY. */
struct stream *stream_accept(struct loop *loop, int descriptor,
                             const struct stream_handler *handler, void *owner);
/* Connect; failure of any kind comes as on_closed. source may be NULL. */
struct stream *stream_connect(struct loop *loop,
                              const struct network_address *peer,
                              const struct network_address *source,
                              const struct stream_handler *handler,
                              void *owner);
/* Stop all callbacks now; send what is still in the output buffer as far as the
 * system takes it without waiting, close (TLS: with close_notify), free at the
 * end of the loop turn. Nulls the pointer; NULL is accepted. */
void stream_close(struct stream **stream);

/* The unread bytes, contiguous; valid until the next stream_ call on it. */
struct text stream_input(struct stream *stream);
/* Forget the first bytes of the input. */
void stream_consume(struct stream *stream, size_t length);
/* How many unread bytes are collected before reading stops by itself
 * (default 64 KB); raise it for a protocol element that is longer. */
void stream_set_input_limit(struct stream *stream, size_t bytes);
/* Stop and resume taking bytes from the socket (budget, fairness). Nested
 * pauses do not add up. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Queue bytes; they are copied. What was written in one callback leaves in one
 * system call where it fits. */
void stream_write(struct stream *stream, const void *bytes, size_t length);
void stream_write_text(struct stream *stream, struct text text);
void stream_printf(struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Queue bytes without copying; they must stay until on_drained or
 * stream_close. */
void stream_write_borrowed(struct stream *stream, struct text borrowed_text);
size_t stream_output_length(const struct stream *stream); /* not yet sent */

/* Begin a handshake. As a server call it with the reply "220 ready" already
 * written: the handshake starts when that has left. Unread input at this
 * moment is discarded by a server only if the caller consumed it: unread bytes
 * end the stream with STREAM_END_TLS (A1, A2). host_name (client): for SNI and,
 * where the context verifies, the name check; NULL for none. */
void stream_start_tls_server(struct stream *stream,
                             const struct tls_context *context);
void stream_start_tls_client(struct stream *stream,
                             const struct tls_context *context,
                             const char *host_name);
bool stream_is_tls(const struct stream *stream); /* handshake done */
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; NULL in clear. */
const char *stream_tls_version(const struct stream *stream);
const char *stream_tls_cipher(const struct stream *stream);
/* Whether the peer's certificate chain and name were right (client). */
bool stream_tls_is_verified(const struct stream *stream);

/* The peer and our own end of the connection. */
const struct network_address *stream_peer(const struct stream *stream);
const struct network_address *stream_local(const struct stream *stream);

#endif
