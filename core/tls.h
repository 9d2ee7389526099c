/* SPDX-License-Identifier: MIT */
/*
 * TLS contexts: what a server shows and what a client asks for. Inbound: TLS
 * 1.2 or later. Outbound opportunistic: whatever encrypts, unauthenticated.
 */
#ifndef BATON_CORE_TLS_H
#define BATON_CORE_TLS_H

#include <stdbool.h>

#include "core/error.h"

struct tls_context;
struct ssl_ctx_st;

/* OpenSSL, too, takes its memory by core/memory.h, and so goes on with half of
 * the trusted roots never. Before any other use of it. */
void tls_stop_without_memory(void);

/* Read certificate chain and key (PEM files). Sessions in use keep the context
 * that they started with: reloading is making another and freeing the old. */
struct tls_context *tls_server_context_create(const char *certificate_path,
                                              const char *key_path,
                                              struct error *error) MUST_USE;

enum tls_verify {
    TLS_VERIFY_NONE, /* opportunistic (RFC 7435) */
    TLS_VERIFY_NAME, /* chain and name must be right */
};
/* ca_path: a PEM file of trusted roots, or NULL for the system's. */
struct tls_context *tls_client_context_create(enum tls_verify verify,
                                              const char *ca_path,
                                              struct error *error) MUST_USE;

void tls_context_free(struct tls_context **context);

/* For stream.c only. */
struct ssl_ctx_st *tls_context_ssl(const struct tls_context *context);
bool tls_context_verifies(const struct tls_context *context);

#endif
