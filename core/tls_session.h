/* SPDX-License-Identifier: MIT */
/*
 * One TLS connection on a non-blocking socket. Owned by its stream; nobody but
 * stream.c uses it. Every step says what it waits for.
 */
#ifndef BATON_CORE_TLS_SESSION_H
#define BATON_CORE_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/tls.h"

struct tls_session;

enum tls_step {
    TLS_STEP_DONE,
    TLS_STEP_WANTS_READ, /* call again when the socket is readable */
    TLS_STEP_WANTS_WRITE, /* call again when the socket is writable */
    TLS_STEP_EOF, /* the peer closed, with or without close_notify */
    TLS_STEP_BROKEN, /* the connection failed below TLS */
    TLS_STEP_FAILED, /* the peer and we do not agree, or a record is bad */
};

struct tls_session *tls_session_create_server(const struct tls_context *,
                                              int descriptor);
/* host_name: for SNI and the name check; NULL for none. */
struct tls_session *tls_session_create_client(const struct tls_context *,
                                              int descriptor,
                                              const char *host_name);
/* Does not close the descriptor. */
void tls_session_free(struct tls_session **session);

/* On TLS_STEP_BROKEN and TLS_STEP_FAILED the reason is in *error, as half a
 * sentence: "certificate verify failed (self-signed certificate)". */
enum tls_step tls_session_handshake(struct tls_session *session,
                                    struct error *error);
enum tls_step tls_session_read(struct tls_session *session, char *out_bytes,
                               size_t capacity, size_t *out_length,
                               struct error *error);
/* A call that wants something is repeated with the same bytes, or more. */
enum tls_step tls_session_write(struct tls_session *session, const void *bytes,
                                size_t length, size_t *out_written,
                                struct error *error);
/* Send close_notify if the system takes it at once. */
void tls_session_say_goodbye(struct tls_session *session);

const char *tls_session_version(const struct tls_session *session);
const char *tls_session_cipher(const struct tls_session *session);
/* Whether the chain leads to a trusted root and the name is the one given. */
bool tls_session_is_verified(const struct tls_session *session);

#endif
