/* SPDX-License-Identifier: MIT */
/*
 * How the parts of the delivery client hang together:
 *
 *   client_pool  ──open, run, quit──>  client_session  ──reply──>
 *   client_transaction  ──slices──>  client_body
 *
 * A session is one connection: its steps take it from connect to "ready" and
 * on to QUIT. While it is ready the pool gives it one transaction at a time,
 * which is a queue of commands. What a session has to say to its pool it says
 * through struct client_session_handler.
 */
#ifndef BATON_SMTP_CLIENT_INTERNAL_H
#define BATON_SMTP_CLIENT_INTERNAL_H

#include "core/list.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/stream.h"
#include "smtp/client.h"

/* -- client_body.c: a message on its way out -- */

/* The largest part of a message that is handed to the stream at once. */
#define CLIENT_SLICE_BYTES ((size_t)256 * 1024)
/* With no more than this left the final dot goes along; after a longer slice
 * it waits until that has left, so that it is late and not early. */
#define CLIENT_DOT_SLICE_BYTES ((size_t)64 * 1024)

struct client_body {
    const struct text *pieces;
    size_t piece_count;
    size_t piece; /* the current one */
    size_t offset; /* in it */
    bool is_inside_line;
};

/* Whether every CR and LF of the message is part of a CRLF (S2). */
bool client_body_is_clean(const struct text *pieces, size_t piece_count);
void client_body_begin(struct client_body *body, const struct text *pieces,
                       size_t piece_count);
/* Octets left, before dot-stuffing. */
size_t client_body_left(const struct client_body *body);
/* Write the next octets, at most slice_bytes of them before dot-stuffing (S5).
 * Long spans are borrowed until the stream has drained. */
void client_body_write(struct client_body *body, struct stream *stream,
                       size_t slice_bytes);
/* "." CRLF, after the CRLF that the last line may lack. */
void client_body_write_dot(const struct client_body *body,
                           struct stream *stream);

/* -- client_capabilities.c: what EHLO offers -- */

struct client_capabilities {
    bool has_pipelining;
    bool has_size;
    uint64_t size_max; /* 0: no fixed maximum */
    bool has_8bitmime;
    bool has_smtputf8;
    bool has_dsn;
    bool has_starttls;
    bool has_auth_plain;
    bool has_auth_login;
    uint64_t recipients_max; /* LIMITS RCPTMAX; 0: none given */
    uint64_t messages_max; /* LIMITS MAILMAX; 0: none given */
};

/* Take what stands behind the code in one line of the reply to EHLO, except
 * the first: "SIZE 1000000". */
void client_capabilities_read(struct client_capabilities *capabilities,
                              struct text line);

/* -- client_session.c -- */

enum client_step {
    STEP_NEW,
    STEP_CONNECT,
    STEP_HANDSHAKE,
    STEP_GREETING,
    STEP_EHLO,
    STEP_HELO,
    STEP_STARTTLS,
    STEP_AUTH,
    STEP_READY,
    STEP_QUIT,
    STEP_CLOSED,
    STEP_COUNT
};

/* What a session waits for, and how long: RFC 5321 4.5.3.2 (S11). */
struct client_wait {
    const char *name; /* the step in outcomes */
    const char *awaited; /* "timed out after 300 s waiting for …" */
    int seconds; /* 0: for ever, or set by the options */
};

struct client_verb;

/* A command of the running transaction; its line lies in exchange.lines. */
struct client_command {
    const struct client_verb *verb;
    struct smtp_client_recipient *recipient; /* RCPT */
    size_t from;
    size_t to;
};

/* The running transaction: a queue of commands. Those before `answered` are
 * done with, those before `sent` are written, the others wait. */
struct client_exchange {
    struct smtp_client_transaction *transaction; /* NULL: none runs */
    struct client_command *commands;
    size_t capacity;
    size_t count;
    size_t sent;
    size_t answered;
    struct buffer lines;
    struct client_body body;
    bool is_body_running; /* between 354 and the final dot */
    bool has_reply; /* to MAIL or later */
    bool is_over; /* the peer answered a final dot */
    bool needs_reset; /* the one before was broken off: RSET comes first */
    size_t accepted_count;
    int64_t started_monotonic;
};

struct client_session;

/* What a session tells its pool, from the loop only. */
struct client_session_handler {
    /* A transaction can be run: set up, or done with the one before. */
    void (*on_ready)(void *owner, struct client_session *session);
    /* It has had nothing to do for too long: quit it. */
    void (*on_idle)(void *owner, struct client_session *session);
    /* It could not be made ready and is closed. */
    void (*on_failed)(void *owner, struct client_session *session,
                      const struct smtp_outcome *outcome);
    /* Every outcome is decided. on_ready or on_closed follows. */
    void (*on_done)(void *owner, struct client_session *session,
                    struct smtp_client_transaction *transaction);
    /* A connection used before was dead already when this transaction began:
     * nothing was decided. on_closed follows. */
    void (*on_stale)(void *owner, struct client_session *session,
                     struct smtp_client_transaction *transaction);
    /* The connection, which had been ready, is gone. */
    void (*on_closed)(void *owner, struct client_session *session);
};

/* Owned by its pool, which keeps it in one of its lists. */
struct client_session {
    struct list_link link;
    struct loop *loop;
    const struct smtp_pool_options *options;
    const struct client_session_handler *handler;
    void *owner;
    struct smtp_host host;
    struct log_context log;
    struct stream *stream;
    enum client_step step;
    const struct client_wait *wait;
    struct timer deadline;
    struct smtp_reply_reader reader;
    struct client_capabilities capabilities;
    struct transcript transcript; /* of the set-up */
    struct transcript *noted; /* where lines are noted now, or NULL */
    bool is_in_clear; /* the handshake failed: no TLS this time (T6) */
    bool is_greeted;
    size_t login_lines; /* of AUTH LOGIN, sent so far */
    int64_t opened_at; /* wall clock */
    int64_t opened_monotonic;
    int64_t connect_milliseconds;
    size_t message_count; /* transactions begun */
    bool is_host_bad; /* pass the host over for a while */
    struct client_exchange exchange;
};

/* Start to connect. Nothing is called back from inside. */
struct client_session *client_session_open(
    struct loop *loop, const struct smtp_pool_options *options,
    const struct smtp_host *host, const struct client_session_handler *handler,
    void *owner);
/* Close now, call nothing any more, free at the end of the loop turn. */
void client_session_close(struct client_session **session);
/* Say QUIT; on_closed follows. The session must be ready and have nothing to
 * do. */
void client_session_quit(struct client_session *session);
/* Whether it has carried as many messages as it may. */
bool client_session_is_used_up(const struct client_session *session);
/* Run a transaction; the session must be ready and have nothing to do. */
void client_session_run(struct client_session *session,
                        struct smtp_client_transaction *transaction);

/* For client_transaction.c. */
void client_session_await(struct client_session *session,
                          const struct client_wait *wait);
/* The transaction is over and off the session: ready again, or closed. */
void client_session_finish(struct client_session *session,
                           struct smtp_client_transaction *transaction,
                           bool is_reusable);

/* -- client_transaction.c -- */

void client_transaction_begin(struct client_session *session,
                              struct smtp_client_transaction *transaction);
void client_transaction_reply(struct client_session *session,
                              const struct smtp_reply *reply);
/* The stream has room again. */
void client_transaction_continue(struct client_session *session);
/* The connection is of no use any more: decide for all that are undecided. */
void client_transaction_fail(struct client_session *session,
                             const struct smtp_outcome *outcome);
/* Whether the connection died before the peer made anything of this. */
bool client_transaction_is_stale(const struct client_session *session);
/* The transaction, taken off the session. */
struct smtp_client_transaction *client_transaction_take(
    struct client_session *session);
void client_transaction_free(struct client_session *session);

/* -- client_pool.c -- */

enum client_metric {
    CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_FAILED,
    CLIENT_TLS_HANDSHAKES,
    CLIENT_TLS_FALLBACKS,
    CLIENT_TRANSACTIONS,
    CLIENT_TRANSACTIONS_REUSED,
    CLIENT_TRANSACTIONS_STALE,
    CLIENT_OCTETS,
    CLIENT_CONNECTIONS,
    CLIENT_METRIC_COUNT
};
void client_metric_add(enum client_metric metric, int64_t amount);

#endif
