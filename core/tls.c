/* SPDX-License-Identifier: MIT */
/* TLS contexts, on OpenSSL. */
#include "core/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "core/memory.h"

struct tls_context {
    SSL_CTX *ssl;
    bool is_verifying;
};

/* The root of the failure ("No such file or directory"); what OpenSSL puts
 * behind it only names the layers above. */
static const char *first_reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
                                                : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

static void *allocate_for_openssl(size_t size_bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return memory_resize(NULL, size_bytes);
}

static void free_for_openssl(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    memory_free(block);
}

static void *resize_for_openssl(void *block, size_t size_bytes,
                                const char *file, int line)
{
    if (size_bytes == 0) {
        free_for_openssl(block, file, line);
        return NULL;
    }
    return memory_resize(block, size_bytes);
}

void tls_stop_without_memory(void)
{
    (void)CRYPTO_set_mem_functions(allocate_for_openssl, resize_for_openssl,
                                   free_for_openssl);
}

static struct tls_context *create(const SSL_METHOD *method)
{
    struct tls_context *context = memory_alloc(sizeof(*context));
    context->ssl = SSL_CTX_new(method);
    check(context->ssl != NULL);
    /* Renegotiation lets a client burn our CPU and, in old versions, inject
     * (CVE-2009-3555); compression leaks (CVE-2012-4929). Mail software closes
     * without close_notify all the time, and SMTP has its own end marks. */
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION |
                                          SSL_OP_NO_COMPRESSION |
                                          SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS |
                                       SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    check(SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION) == 1);
    return context;
}

static bool load_certificate(SSL_CTX *ssl, const char *certificate_path,
                             const char *key_path, struct error *error)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ssl, certificate_path) != 1) {
        return error_set(error,
                         "cannot read the TLS certificate chain %s: %s; it "
                         "must be a PEM file that begins with the server's "
                         "own certificate",
                         certificate_path, first_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, key_path, SSL_FILETYPE_PEM) != 1) {
        unsigned long code = ERR_peek_last_error();
        if (ERR_GET_LIB(code) == ERR_LIB_X509 &&
            ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
            ERR_clear_error();
            return error_set(error,
                             "the TLS key %s does not belong to the first "
                             "certificate in %s",
                             key_path, certificate_path);
        }
        return error_set(error,
                         "cannot read the TLS key %s: %s; it must be a PEM "
                         "file without passphrase that Baton may read",
                         key_path, first_reason());
    }
    if (SSL_CTX_check_private_key(ssl) != 1) {
        ERR_clear_error();
        return error_set(error,
                         "the TLS key %s does not belong to the first "
                         "certificate in %s",
                         key_path, certificate_path);
    }
    return true;
}

/* A key file with a passphrase must fail, not ask on the terminal. */
static int refuse_passphrase(char *buffer, int size, int is_writing,
                             void *argument)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)argument;
    return -1;
}

struct tls_context *tls_server_context_create(const char *certificate_path,
                                              const char *key_path,
                                              struct error *error)
{
    static const unsigned char session_scope[] = "baton";
    struct tls_context *context = create(TLS_server_method());
    SSL_CTX_set_default_passwd_cb(context->ssl, refuse_passphrase);
    if (!load_certificate(context->ssl, certificate_path, key_path, error)) {
        tls_context_free(&context);
        return NULL;
    }
    SSL_CTX_set_options(context->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    check(SSL_CTX_set_session_id_context(context->ssl, session_scope,
                                         sizeof(session_scope) - 1) == 1);
    /* Tickets only: a cache in each worker would help nobody else's. */
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    return context;
}

static bool load_roots(SSL_CTX *ssl, const char *ca_path, struct error *error)
{
    ERR_clear_error();
    if (ca_path == NULL) {
        (void)SSL_CTX_set_default_verify_paths(ssl);
        ERR_clear_error();
        return true;
    }
    if (SSL_CTX_load_verify_file(ssl, ca_path) != 1) {
        return error_set(error,
                         "cannot read the trusted roots %s: %s; it must be a "
                         "PEM file of certificates",
                         ca_path, first_reason());
    }
    return true;
}

struct tls_context *tls_client_context_create(enum tls_verify verify,
                                              const char *ca_path,
                                              struct error *error)
{
    struct tls_context *context = create(TLS_client_method());
    if (!load_roots(context->ssl, ca_path, error)) {
        tls_context_free(&context);
        return NULL;
    }
    /* A resumed session keeps the verdict of the first handshake, which may
     * have been made under another policy; so none is resumed. */
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    context->is_verifying = verify == TLS_VERIFY_NAME;
    if (context->is_verifying) {
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
        return context;
    }
    /* Opportunistic (RFC 7435): the alternative to an old protocol or a short
     * key is no encryption at all, so anything is accepted that encrypts. */
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL);
    check(SSL_CTX_set_min_proto_version(context->ssl, TLS1_VERSION) == 1);
    check(SSL_CTX_set_cipher_list(context->ssl, "DEFAULT@SECLEVEL=0") == 1);
    return context;
}

void tls_context_free(struct tls_context **context)
{
    if (*context != NULL) {
        SSL_CTX_free((*context)->ssl);
        memory_free(*context);
        *context = NULL;
    }
}

struct ssl_ctx_st *tls_context_ssl(const struct tls_context *context)
{
    return context->ssl;
}

bool tls_context_verifies(const struct tls_context *context)
{
    return context->is_verifying;
}
