/* SPDX-License-Identifier: MIT */
/*
 * The delivery client: a pool of connections to one site. The pool opens as
 * many connections as its limits and the waiting work allow, keeps them, and
 * pulls work whenever one is ready. RFC 5321, with PIPELINING, SIZE, 8BITMIME,
 * SMTPUTF8, DSN, STARTTLS, AUTH, LIMITS and ENHANCEDSTATUSCODES where offered.
 */
#ifndef BATON_SMTP_CLIENT_H
#define BATON_SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/loop.h"
#include "core/network.h"
#include "core/text.h"
#include "core/tls.h"
#include "smtp/outcome.h"
#include "smtp/server.h" /* enum smtp_dsn_notify, enum smtp_dsn_return */
#include "smtp/transcript.h"

/* One address of one mail exchanger. */
struct smtp_host {
    char name[256]; /* for SNI, name check and the log */
    struct network_address address; /* with port */
};

enum smtp_client_tls {
    CLIENT_TLS_OPPORTUNISTIC, /* STARTTLS if offered; a failed handshake is
                                 tried again in clear on a new connection (T6)
                               */
    CLIENT_TLS_NEVER,
    CLIENT_TLS_REQUIRED, /* encrypted, whoever it is */
    CLIENT_TLS_VERIFIED, /* and the certificate is right */
    CLIENT_TLS_IMPLICIT, /* handshake first (smtps, 465), verified */
};

/* Borrowed by the pool for its lifetime; strings too. */
struct smtp_pool_options {
    const char *hostname; /* said in EHLO */
    enum smtp_client_tls tls;
    const struct tls_context *tls_any; /* TLS_VERIFY_NONE */
    const struct tls_context *tls_verified; /* TLS_VERIFY_NAME */
    const char *user; /* AUTH, only under TLS unless auth_in_clear; or NULL */
    const char *password;
    bool auth_in_clear;
    const struct network_address *source; /* or NULL */
    size_t connections_max; /* may change; wake the pool then */
    size_t messages_per_connection_max;
    int64_t idle_milliseconds; /* how long an unused connection is kept */
    int64_t connect_timeout_milliseconds;
    int64_t host_penalty_milliseconds; /* how long a bad host is passed over */
};

struct smtp_client_recipient {
    const char *address;
    unsigned notify; /* enum smtp_dsn_notify */
    const char *original_recipient; /* ORCPT, or NULL */
    struct smtp_outcome outcome; /* set by the time on_done runs */
    void *owner; /* the caller's */
};

/* One message to one or more recipients at one host: one attempt. Owned by
 * whoever gave it; untouched by the pool after on_done. */
struct smtp_client_transaction {
    const char *sender; /* "" is the null sender */
    bool needs_smtputf8;
    bool has_8bit;
    enum smtp_dsn_return dsn_return;
    const char *envelope_id; /* ENVID, or NULL */
    /* The copy that goes on the wire, in order: CRLF lines, dots not stuffed,
     * no bare CR or LF. Borrowed until on_done. */
    const struct text *pieces;
    size_t piece_count;
    size_t size_bytes; /* sum of the pieces */
    struct smtp_client_recipient *recipients;
    size_t recipient_count;
    /* May the final dot be sent now? NULL: yes. False (this worker's lease ran
     * out) drops the connection before the dot: VERDICT_DEFERRED. */
    bool (*may_finish)(void *owner);
    void *owner; /* the caller's; also may_finish's argument */

    /* Facts of the attempt, set by the time on_done runs. */
    struct smtp_host host;
    struct transcript transcript; /* the caller frees it (transcript_free) */
    int64_t started_at; /* wall clock */
    int64_t connect_milliseconds; /* 0 on a reused connection */
    int64_t transfer_milliseconds;
    const char *tls_version; /* static or valid until on_done returns; NULL */
    const char *tls_cipher;
    bool tls_is_verified;
    bool peer_has_dsn; /* NOTIFY etc. were passed on (E8) */

    /* The pool's own; zero-initialise. */
    struct list_link retry_link;
    bool is_second_try;
};

struct smtp_pool;

struct smtp_pool_handler {
    /* A connection is ready: the next transaction, or NULL if there is none.
     * Without 8BITMIME its pieces should be 7-bit. Called from the loop only.
     */
    struct smtp_client_transaction *(*take_work)(void *owner,
                                                 bool peer_has_8bitmime);
    /* Every recipient's outcome is decided. */
    void (*on_done)(void *owner, struct smtp_client_transaction *transaction);
    /* A connection could not be made ready (connect, greeting, EHLO, TLS,
     * AUTH). No transaction was touched. transcript is valid during the call.
     * smtp_pool_has_host tells whether another host is left to try; the pool
     * goes on with it by itself while work_waiting says so. */
    void (*on_connect_failed)(void *owner, const struct smtp_host *host,
                              const struct smtp_outcome *outcome,
                              const struct transcript *transcript,
                              int64_t started_at);
    /* How many transactions wait: as many connections are worth opening. */
    size_t (*work_waiting)(void *owner);
    /* May one more connection be opened (a limit over all sites)? It is
     * counted until on_connection_closed. */
    bool (*may_connect)(void *owner);
    void (*on_connection_closed)(void *owner);
};

struct smtp_pool *smtp_pool_create(struct loop *loop,
                                   const struct smtp_pool_options *options,
                                   const struct smtp_pool_handler *handler,
                                   void *owner);
/* Close every connection now. Transactions in flight are not reported. */
void smtp_pool_free(struct smtp_pool **pool);
/* Hosts in order of preference; copied. Those that stay keep what penalty they
 * have. */
void smtp_pool_set_hosts(struct smtp_pool *pool, const struct smtp_host *hosts,
                         size_t host_count);
/* Whether a host is left that is not being passed over just now. A host is
 * passed over for a while after every outcome of SCOPE_HOST. */
bool smtp_pool_has_host(const struct smtp_pool *pool);
/* Forget all penalties (an operator asked to retry now). */
void smtp_pool_forgive(struct smtp_pool *pool);
/* There is work: use idle connections, open more. Returns at once; take_work
 * is called from the loop. */
void smtp_pool_wake(struct smtp_pool *pool);
/* No new work is taken; on_drained runs once when nothing is in flight. */
void smtp_pool_drain(struct smtp_pool *pool, loop_fn *on_drained, void *owner);
/* Those that can or will soon carry work; not those saying QUIT. */
size_t smtp_pool_connection_count(const struct smtp_pool *pool);
/* The client's metrics, registered at start. */
void smtp_client_metrics_register(void);

#endif
