/* SPDX-License-Identifier: MIT */
/*
 * The submission server's inside, private to smtp/server*.c.
 *
 *   server.c             sessions as a whole: accept, limits, drain
 *   server_session.c     one session: its stream, lines, replies, time-outs
 *   server_verbs.c       a handler per verb, and the table with their flags
 *   server_auth.c        the AUTH exchange
 *   server_data.c        DATA and BDAT
 *   server_parameters.c  what follows the address in MAIL and RCPT
 */
#ifndef BATON_SMTP_SERVER_INTERNAL_H
#define BATON_SMTP_SERVER_INTERNAL_H

#include "core/error.h"
#include "core/list.h"
#include "core/map.h"
#include "core/metrics.h"
#include "core/stream.h"
#include "smtp/content.h"
#include "smtp/server.h"
#include "smtp/transcript.h"

/* [limits], as config_load left it. Spans are milliseconds; 0 is no limit
 * where that makes sense. */
struct smtp_limits {
    int64_t sessions_per_worker;
    int64_t sessions_per_address;
    int64_t errors_per_session;
    int64_t command_length;
    int64_t recipients_per_message;
    int64_t messages_per_session;
    int64_t message_size;
    int64_t handshake_timeout;
    int64_t idle_timeout;
    int64_t data_timeout;
    int64_t message_timeout;
    int64_t auth_delay;
};
const struct smtp_limits *smtp_limits_now(void);

enum smtp_metric {
    METRIC_SESSIONS,
    METRIC_SESSIONS_STARTED,
    METRIC_REFUSED_WORKER,
    METRIC_REFUSED_ADDRESS,
    METRIC_REFUSED_POLICY,
    METRIC_TLS_STARTED,
    METRIC_TLS_FAILED,
    METRIC_AUTH_ACCEPTED,
    METRIC_AUTH_REFUSED,
    METRIC_AUTH_UNAVAILABLE,
    METRIC_COMMAND_ERRORS,
    METRIC_TIMEOUTS,
    METRIC_RECIPIENTS_ACCEPTED,
    METRIC_RECIPIENTS_REFUSED,
    METRIC_MESSAGES_TAKEN,
    METRIC_MESSAGE_BYTES,
    METRIC_CONTENT_MALFORMED,
    METRIC_CONTENT_TOO_LARGE,
    METRIC_BUDGET_WAITS,
    SMTP_METRIC_COUNT,
};
void smtp_metric_add(enum smtp_metric metric, int64_t amount);

/* RFC 4954 4.b: AUTH lines may be so long, without CR LF. */
#define AUTH_LINE_MAX 12288
/* More octets in one BDAT than this are not even thrown away. */
#define BDAT_CHUNK_MAX (UINT64_C(1024) * 1024 * 1024)

enum session_state {
    SESSION_NEW, /* accepted; begins in the next loop turn */
    SESSION_PROXY, /* waits for the PROXY header */
    SESSION_HANDSHAKE, /* TLS */
    SESSION_COMMAND, /* the next line is a command */
    SESSION_AUTH, /* the next line is part of an AUTH exchange */
    SESSION_CONTENT, /* the next octets are message content */
    SESSION_ASKING, /* the handler has to answer; nothing is read meanwhile */
    SESSION_PENALTY, /* a wrong password: the answer comes late */
    SESSION_STATE_COUNT,
};

/* How many sessions an address has; lies in the server's map. */
struct address_count {
    size_t count;
    size_t key_length;
    char key[NETWORK_CLIENT_KEY_SIZE];
};

struct smtp_server {
    struct loop *loop;
    struct smtp_server_options options;
    struct list sessions;
    struct map *addresses; /* of struct address_count */
    struct buffer line; /* the command at hand, a copy; one at a time */
    bool is_draining;
    loop_fn *on_drained;
    void *drain_owner;
};

/* A transaction and what only the server needs of it. Owned by its session. */
struct server_transaction {
    struct smtp_transaction transaction; /* what the handler sees */
    size_t recipient_capacity;
    struct smtp_recipient asked; /* the handler's answer comes later */
    int64_t recipient_commands; /* RCPTs so far, refused ones too (RFC 9422) */
    struct content content;
    bool has_bdat; /* a BDAT was accepted: no DATA, no RCPT any more */
};

/* Content being received: one DATA, or one BDAT. */
struct intake {
    bool is_bdat;
    bool is_last; /* BDAT … LAST */
    uint64_t remaining; /* octets of this BDAT still to come */
    uint64_t octets; /* received on the wire */
    int64_t started_at; /* monotonic; moves on by the time spent waiting */
    int64_t waiting_since; /* for memory */
    bool is_waiting;
    struct smtp_reply refusal; /* code 0: none yet */
};

enum auth_step { AUTH_PLAIN, AUTH_LOGIN_USER, AUTH_LOGIN_PASSWORD };

/* Owned by its server, freed at the end of the loop turn in which it ended. */
struct smtp_server_session {
    struct list_link link;
    struct smtp_server *server;
    const struct smtp_listener_policy *policy;
    struct stream *stream; /* NULL once the session has ended */
    void *client; /* the handler's, from on_session to on_session_end */
    struct address_count *address_count;
    struct server_transaction *transaction; /* or NULL */
    struct intake *intake; /* or NULL */
    struct timer timer; /* what it is for depends on the state */
    enum session_state state;
    enum auth_step auth_step;
    bool is_counted; /* among the sessions that began */
    bool is_processing; /* process_input is on the stack */
    bool is_ending; /* the last reply is written */
    bool is_skipping; /* to the end of an over-long or broken line */
    bool is_output_full; /* replies pile up: read no more until they left */
    int64_t error_count;
    int64_t message_count; /* MAIL commands */
    int64_t idle_commands; /* since the last of them, that bring no message */
    char *auth_user; /* of the exchange, then of the session */
    char *helo_name; /* or NULL */
    struct smtp_client_facts facts;
    struct transcript transcript;
    struct log_context log;
};

/* --- server.c --- */

/* Count the session at its address; false: the address has enough. */
bool server_count_address(struct smtp_server_session *session);
/* A session is over: take it out; free it at the end of the loop turn. */
void server_forget(struct smtp_server_session *session);

/* --- server_session.c --- */

void session_start(struct smtp_server *server, int descriptor,
                   const struct network_address *peer,
                   const struct smtp_listener_policy *policy);
/* End without another word. */
void session_close(struct smtp_server_session *session, const char *reason);
/* The only function that changes the state; sets the timer that goes with it.
 */
void session_enter(struct smtp_server_session *session,
                   enum session_state state);
/* (Re)start the timer of the state. */
void session_set_timer(struct smtp_server_session *session);
/* Go on with unread input in the next loop turn. */
void session_wake(struct smtp_server_session *session);

void session_send(struct smtp_server_session *session,
                  const struct smtp_reply *reply);
/* What the handler filled; gets an enhanced code if it has none of its class.
 */
void session_send_answer(struct smtp_server_session *session,
                         const struct smtp_reply *answer);
/* Whole lines with their CR LF, in one write. */
void session_write(struct smtp_server_session *session, struct text lines);
void session_reply(struct smtp_server_session *session, int code,
                   const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a mistake of the client: it is counted. */
void session_refuse(struct smtp_server_session *session, int code,
                    const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Count one; too many end the session. */
void session_count_error(struct smtp_server_session *session);
/* One reply and the end. */
void session_end(struct smtp_server_session *session, int code,
                 const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Close a session whose last reply is written, unless process_input is on the
 * stack and will do it. */
void session_settle(struct smtp_server_session *session);
/* Set facts.protocol from what is known. */
void session_update_protocol(struct smtp_server_session *session);
/* Forget HELO and transaction: a greeting (RFC 5321 4.1.4), or TLS begins. */
void session_forget_all(struct smtp_server_session *session);

/* --- server_verbs.c --- */

void verb_dispatch(struct smtp_server_session *session, struct text line);
/* Whether the line is AUTH, which may be longer and is not shown. */
bool verb_is_auth(struct text line);

/* --- server_auth.c --- */

bool auth_is_offered(const struct smtp_server_session *session);
void auth_start(struct smtp_server_session *session, struct text arguments);
void auth_take_line(struct smtp_server_session *session, struct text line);
void auth_refuse_long_line(struct smtp_server_session *session);
/* The delay after a wrong password is over. */
void auth_end_penalty(struct smtp_server_session *session);

/* --- server_data.c --- */

struct server_transaction *transaction_create(void);
/* Free the transaction with its data, and what is being received. Nothing
 * happens if there is none. */
void session_drop_transaction(struct smtp_server_session *session);
void data_start(struct smtp_server_session *session);
void bdat_start(struct smtp_server_session *session, struct text arguments);
/* Take unread input as content. False: nothing more can be done now. */
bool data_take_input(struct smtp_server_session *session);
/* How long the next octets may take, milliseconds; negative: for ever. */
int64_t data_timeout_milliseconds(const struct smtp_server_session *session);

/* --- server_parameters.c --- */

enum parameter_place { PARAMETERS_OF_MAIL = 1, PARAMETERS_OF_RCPT = 2 };
/* Read "KEY=VALUE KEY …" into the transaction (MAIL) or the recipient (RCPT);
 * the other one is NULL or untouched. False with *out_reply filled. */
bool parameters_parse(struct text text, enum parameter_place place,
                      struct smtp_transaction *transaction,
                      struct smtp_recipient *recipient,
                      struct smtp_reply *out_reply) MUST_USE;

#endif
