/* SPDX-License-Identifier: MIT */
/* One TLS connection, on OpenSSL's own socket input and output. */
#include "core/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/memory.h"

struct tls_session {
    SSL *ssl;
    bool has_name_check;
    bool is_dead; /* after a fatal error nothing may be sent any more */
};

static struct tls_session *create(const struct tls_context *context,
                                  int descriptor)
{
    struct tls_session *session = memory_alloc(sizeof(*session));
    /* Holds a reference to the context: it may be replaced meanwhile. */
    session->ssl = SSL_new(tls_context_ssl(context));
    check(session->ssl != NULL);
    check(SSL_set_fd(session->ssl, descriptor) == 1);
    return session;
}

struct tls_session *tls_session_create_server(const struct tls_context *context,
                                              int descriptor)
{
    struct tls_session *session = create(context, descriptor);
    SSL_set_accept_state(session->ssl);
    return session;
}

static bool is_address_literal(const char *host_name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host_name, address) == 1 ||
           inet_pton(AF_INET6, host_name, address) == 1;
}

/* The check is set up also where nothing is enforced: its result is logged. */
static bool expect_name(SSL *ssl, const char *host_name)
{
    if (is_address_literal(host_name)) { /* never in SNI (RFC 6066, 3) */
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host_name) ==
               1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host_name) == 1 &&
           SSL_set1_host(ssl, host_name) == 1;
}

struct tls_session *tls_session_create_client(const struct tls_context *context,
                                              int descriptor,
                                              const char *host_name)
{
    struct tls_session *session = create(context, descriptor);
    SSL_set_connect_state(session->ssl);
    if (host_name != NULL) {
        session->has_name_check = expect_name(session->ssl, host_name);
        /* A name that cannot be checked must not pass as checked. */
        session->is_dead =
            !session->has_name_check && tls_context_verifies(context);
    }
    return session;
}

void tls_session_free(struct tls_session **session)
{
    if (*session != NULL) {
        SSL_free((*session)->ssl);
        ERR_clear_error();
        memory_free(*session);
        *session = NULL;
    }
}

static enum tls_step fail(struct tls_session *session, struct error *error)
{
    unsigned long code = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(session->ssl);
    const char *reason = ERR_reason_error_string(code);
    session->is_dead = true;
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verdict != X509_V_OK) {
        (void)error_set(error, "%s (%s)", reason,
                        X509_verify_cert_error_string(verdict));
    } else {
        (void)error_set(error, "%s",
                        reason != NULL ? reason : "protocol error");
    }
    ERR_clear_error();
    return TLS_STEP_FAILED;
}

static enum tls_step step_of(struct tls_session *session, int result,
                             int system_error, struct error *error)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_STEP_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_STEP_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_STEP_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_STEP_EOF;
    case SSL_ERROR_SYSCALL:
        session->is_dead = true;
        ERR_clear_error();
        if (system_error == 0) {
            return TLS_STEP_EOF;
        }
        (void)error_set(error, "%s", strerror(system_error));
        return TLS_STEP_BROKEN;
    default:
        return fail(session, error);
    }
}

/* OpenSSL's queue of errors is per thread and must be empty before a call. */
static void prepare(void)
{
    ERR_clear_error();
    errno = 0;
}

static enum tls_step refuse_dead(struct error *error)
{
    (void)error_set(error, "the TLS connection cannot be used");
    return TLS_STEP_FAILED;
}

enum tls_step tls_session_handshake(struct tls_session *session,
                                    struct error *error)
{
    if (session->is_dead) {
        return refuse_dead(error);
    }
    prepare();
    int result = SSL_do_handshake(session->ssl);
    return step_of(session, result, errno, error);
}

enum tls_step tls_session_read(struct tls_session *session, char *out_bytes,
                               size_t capacity, size_t *out_length,
                               struct error *error)
{
    if (session->is_dead) {
        return refuse_dead(error);
    }
    prepare();
    int result = SSL_read_ex(session->ssl, out_bytes, capacity, out_length);
    return step_of(session, result, errno, error);
}

enum tls_step tls_session_write(struct tls_session *session, const void *bytes,
                                size_t length, size_t *out_written,
                                struct error *error)
{
    if (session->is_dead) {
        return refuse_dead(error);
    }
    prepare();
    int result = SSL_write_ex(session->ssl, bytes, length, out_written);
    return step_of(session, result, errno, error);
}

void tls_session_say_goodbye(struct tls_session *session)
{
    if (!session->is_dead && SSL_is_init_finished(session->ssl)) {
        prepare();
        (void)SSL_shutdown(session->ssl);
        ERR_clear_error();
    }
}

const char *tls_session_version(const struct tls_session *session)
{
    return SSL_get_version(session->ssl);
}

const char *tls_session_cipher(const struct tls_session *session)
{
    return SSL_get_cipher_name(session->ssl);
}

bool tls_session_is_verified(const struct tls_session *session)
{
    return session->has_name_check &&
           SSL_get0_peer_certificate(session->ssl) != NULL &&
           SSL_get_verify_result(session->ssl) == X509_V_OK;
}
