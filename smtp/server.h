/* SPDX-License-Identifier: MIT */
/*
 * The submission server: sessions on accepted sockets, RFC 5321 with
 * PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, CHUNKING, DSN,
 * STARTTLS, AUTH and LIMITS. It knows the protocol; who a client is, whom it
 * may write to and where a message goes is asked of the handler.
 */
#ifndef BATON_SMTP_SERVER_H
#define BATON_SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/budget.h"
#include "core/config.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/network.h"
#include "core/text.h"
#include "core/tls.h"
#include "smtp/reply.h"
#include "smtp/transcript.h"

struct smtp_server;
struct smtp_server_session;

enum smtp_tls_mode {
    SMTP_TLS_NONE, /* STARTTLS is not offered */
    SMTP_TLS_OPTIONAL, /* STARTTLS offered */
    SMTP_TLS_REQUIRED, /* MAIL before STARTTLS: 530 5.7.0 */
    SMTP_TLS_IMPLICIT, /* handshake first (465) */
};

/* What one listener allows; stays the caller's, outlives its sessions. */
struct smtp_listener_policy {
    char name[64];
    enum smtp_tls_mode tls;
    bool auth_required; /* a network's client must log in, too */
    bool no_auth; /* AUTH is not there at all */
    bool auth_in_clear; /* AUTH without TLS is offered (A4) */
    bool proxy_protocol; /* PROXY v1 or v2 comes first */
};

enum smtp_dsn_notify { /* RFC 3461 4.1; 0: not given */
                       DSN_NOTIFY_NEVER = 1,
                       DSN_NOTIFY_SUCCESS = 2,
                       DSN_NOTIFY_FAILURE = 4,
                       DSN_NOTIFY_DELAY = 8,
};
enum smtp_dsn_return { DSN_RETURN_UNSET, DSN_RETURN_FULL, DSN_RETURN_HEADERS };

struct smtp_recipient {
    const char *address; /* local@domain as given, but with A-labels */
    const char *local;
    const char *domain; /* normalised (address.h) */
    unsigned notify; /* enum smtp_dsn_notify */
    const char *original_recipient; /* ORCPT as given, or NULL */
};

/* One mail transaction. Lives from MAIL until its final reply or RSET; all its
 * strings lie in its arena. */
struct smtp_transaction {
    struct arena *arena;
    const char *sender; /* local@domain as given; "" is the null sender */
    const char *sender_domain; /* normalised; "" for the null sender */
    bool is_smtputf8;
    bool is_8bit_declared; /* BODY=8BITMIME */
    enum smtp_dsn_return dsn_return;
    const char *envelope_id; /* ENVID as given, or NULL */
    uint64_t declared_size; /* SIZE=, or 0 */
    struct smtp_recipient *recipients; /* the accepted ones */
    size_t recipient_count;
    /* The message as it came: CRLF lines, dots unstuffed, no bare CR or LF, no
     * NUL. on_message may take the buffer and the share. */
    struct buffer data;
    struct budget_share share;
    bool has_8bit;
    size_t longest_line; /* octets without CRLF */
    int64_t received_at; /* the final dot */
};

/* What the handler must know of a session; valid as long as the session. */
struct smtp_client_facts {
    struct network_address peer; /* behind PROXY: the real one */
    const char *helo_name; /* as given, printable; "" before HELO */
    bool is_esmtp;
    bool is_tls;
    const char *tls_version; /* or NULL */
    const char *tls_cipher;
    const char *auth_user; /* or NULL */
    const char *protocol; /* "ESMTPSA" … (RFC 3848, 6531) for Received */
    const struct smtp_listener_policy *policy;
    int64_t session_id;
};

enum smtp_auth_verdict {
    AUTH_ACCEPTED,
    AUTH_REFUSED, /* 535 5.7.8 */
    AUTH_UNAVAILABLE, /* 454 4.7.0: the back-end is down or busy */
    AUTH_THROTTLED, /* 454 4.7.0 too many wrong guesses: wait */
};

/*
 * The handler's functions get the `client` pointer that on_session returned.
 * A reply they fill with code 0 means "accepted, say the usual thing"; one of
 * on_recipient with SMTP_REPLY_LATER is given by smtp_server_answer_recipient,
 * later: the session reads no further command until then. The
 * asynchronous ones (on_authenticate, on_message) are answered by
 * smtp_server_authenticated and smtp_server_finish, which may be called from
 * inside them or later; the session reads no further command until then.
 */
#define SMTP_REPLY_LATER (-1)

struct smtp_server_handler {
    /* A session begins. Filling *out_refusal (421 or 554) ends it. Returns the
     * handler's own object for the session, NULL only with a refusal. */
    void *(*on_session)(void *owner, struct smtp_server_session *session,
                        const struct smtp_client_facts *facts,
                        struct smtp_reply *out_refusal);
    /* The session is over; forget it. A pending on_message of it will not be
     * answered: the client is gone. */
    void (*on_session_end)(void *client);
    /* User and password are valid until it returns. */
    void (*on_authenticate)(void *client, const char *user,
                            const char *password);
    void (*on_mail)(void *client, const struct smtp_transaction *transaction,
                    struct smtp_reply *out_reply);
    void (*on_recipient)(void *client,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient,
                         struct smtp_reply *out_reply);
    /* The whole message is there. transcript: the session's conversation since
     * its start or its last message. */
    void (*on_message)(void *client, struct smtp_transaction *transaction,
                       const struct transcript *transcript);
};

/* Numbers, all from [limits]; see smtp/settings.c for the rows. */
struct smtp_server_options {
    const char *hostname; /* in the banner, EHLO and Received */
    const struct tls_context *tls; /* NULL: no TLS on any listener */
    const struct smtp_server_handler *handler;
    void *owner;
    struct budget *budget;
};

struct smtp_server *smtp_server_create(struct loop *loop,
                                       const struct smtp_server_options *);
void smtp_server_free(struct smtp_server **server);
/* New sessions and STARTTLS use this context from now on (A8). */
void smtp_server_set_tls(struct smtp_server *server,
                         const struct tls_context *tls);
/* Take over an accepted descriptor. */
void smtp_server_accept(struct smtp_server *server, int descriptor,
                        const struct network_address *peer,
                        const struct smtp_listener_policy *policy);
size_t smtp_server_session_count(const struct smtp_server *server);
/* Answer 421 4.3.2 to whoever is between transactions, let running
 * transactions end, then call on_drained once. */
void smtp_server_drain(struct smtp_server *server, loop_fn *on_drained,
                       void *owner);

/* Answers to on_authenticate and on_message. With AUTH_REFUSED the session
 * waits a little before it answers. */
void smtp_server_authenticated(struct smtp_server_session *session,
                               enum smtp_auth_verdict verdict);
void smtp_server_finish(struct smtp_server_session *session,
                        const struct smtp_reply *reply);
/* The reply to a recipient, after SMTP_REPLY_LATER; not from inside
 * on_recipient. Code 0: accepted. */
void smtp_server_answer_recipient(struct smtp_server_session *session,
                                  const struct smtp_reply *reply);

const struct log_context *smtp_server_session_log(
    const struct smtp_server_session *session);

/* The room's table of settings ([limits] of submission). */
extern const struct setting smtp_settings[];
extern const size_t smtp_setting_count;
/* The largest message accepted, bytes ([limits] message_size). */
int64_t smtp_message_size_limit(void);
/* [limits] sessions_per_worker */
int64_t smtp_session_limit(void);
/* The room's metrics, registered at start. */
void smtp_metrics_register(void);

#endif
