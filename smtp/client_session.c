/* SPDX-License-Identifier: MIT */
/*
 * One connection to a next hop. Its way is a table of steps:
 *
 *   connect ─> [handshake ─>] greeting ─> EHLO ─> [STARTTLS ─> handshake ─>
 *   EHLO ─>] [AUTH ─>] ready ─> QUIT
 *                       └──> transactions (client_transaction.c)
 *
 * enter_step is the only writer of the step. What ends a session on its way
 * comes together in lose(), whose words outcome.c turns into a verdict.
 */
#include <string.h>

#include "core/clock.h"
#include "core/encoding.h"
#include "core/memory.h"
#include "smtp/client_internal.h"

/* Replies of so many lines are read before others have their turn. */
#define LINES_PER_TURN 100
/* A line of a reply has 512 octets (RFC 5321 4.5.3.1.5); this is patience. */
#define LINE_BYTES_MAX ((size_t)16 * 1024)
#define QUIT_SECONDS 5

/* One row a step. */
struct step_row {
    struct client_wait wait;
    void (*begin)(struct client_session *session);
    void (*on_reply)(struct client_session *session,
                     const struct smtp_reply *reply);
};

static void enter_step(struct client_session *session, enum client_step next);

/* -- notes and lines -- */

static const char *host_text(const struct client_session *session,
                             char out_text[NETWORK_TEXT_SIZE])
{
    return network_address_text_with_port(&session->host.address, out_text);
}

static void note_sent(struct client_session *session, struct text line)
{
    if (session->noted != NULL) {
        transcript_sent(session->noted, line);
    }
}

/* Write a command line; what is noted of it may be less. */
static void send_masked(struct client_session *session, struct text line,
                        const char *masked)
{
    note_sent(session, text_of(masked));
    stream_write_text(session->stream, line);
    stream_write(session->stream, "\r\n", 2);
}

static void send_line(struct client_session *session, const char *line)
{
    send_masked(session, text_of(line), line);
}

/* -- waiting -- */

static void on_deadline(void *owner);

static void arm_deadline(struct client_session *session, int64_t milliseconds)
{
    if (milliseconds > 0) {
        timer_start(&session->deadline, session->loop, milliseconds,
                    on_deadline, session);
    } else {
        timer_stop(&session->deadline);
    }
}

void client_session_await(struct client_session *session,
                          const struct client_wait *wait)
{
    session->wait = wait;
    arm_deadline(session, (int64_t)wait->seconds * 1000);
}

/* -- endings -- */

static bool is_tls(const struct client_session *session)
{
    return session->stream != NULL && stream_is_tls(session->stream);
}

static bool is_opportunistic(const struct client_session *session)
{
    return session->options->tls == CLIENT_TLS_OPPORTUNISTIC;
}

static bool must_have_tls(const struct client_session *session)
{
    return session->options->tls == CLIENT_TLS_REQUIRED ||
           session->options->tls == CLIENT_TLS_VERIFIED;
}

/* A host whose TLS is broken is tried once more without it, on a new connection
 * (T6): the old one is in a state that nobody knows. */
static bool may_fall_back(const struct client_session *session)
{
    return is_opportunistic(session) && !session->is_in_clear &&
           (session->step == STEP_STARTTLS || session->step == STEP_HANDSHAKE);
}

static void fall_back_to_clear(struct client_session *session,
                               const struct smtp_outcome *outcome)
{
    log_info(&session->log, "TLS failed, going on in clear", "reason=\"%s\"",
             log_quote(text_of(outcome->text)));
    client_metric_add(CLIENT_TLS_FALLBACKS, 1);
    transcript_remark(&session->transcript,
                      "%s; trying again on a new connection without TLS",
                      outcome->text);
    session->is_in_clear = true;
    stream_close(&session->stream);
    enter_step(session, STEP_CONNECT);
}

static void fail_set_up(struct client_session *session,
                        const struct smtp_outcome *outcome)
{
    transcript_remark(&session->transcript, "%s", outcome->text);
    session->is_host_bad = true;
    enter_step(session, STEP_CLOSED);
    session->handler->on_failed(session->owner, session, outcome);
}

static void leave(struct client_session *session)
{
    enter_step(session, STEP_CLOSED);
    session->handler->on_closed(session->owner, session);
}

static void hand_back_stale(struct client_session *session)
{
    struct smtp_client_transaction *transaction =
        client_transaction_take(session);
    transcript_remark(&transaction->transcript,
                      "the connection had been closed meanwhile");
    client_metric_add(CLIENT_TRANSACTIONS_STALE, 1);
    enter_step(session, STEP_CLOSED);
    session->handler->on_stale(session->owner, session, transaction);
    session->handler->on_closed(session->owner, session);
}

/* The connection is of no use any more; the outcome says why. */
static void lose(struct client_session *session,
                 const struct smtp_outcome *outcome)
{
    if (session->exchange.transaction != NULL) {
        client_transaction_fail(session, outcome);
    } else if (session->step == STEP_READY || session->step == STEP_QUIT) {
        log_debug(&session->log, "connection over", "reason=\"%s\"",
                  log_quote(text_of(outcome->text)));
        leave(session);
    } else if (may_fall_back(session)) {
        fall_back_to_clear(session, outcome);
    } else {
        fail_set_up(session, outcome);
    }
}

/* The peer does not speak SMTP, or says things nobody asked for. */
static void lose_by_nonsense(struct client_session *session, const char *what)
{
    struct smtp_outcome outcome;
    char address[NETWORK_TEXT_SIZE];
    smtp_outcome_from_trouble(&outcome, session->wait->name, "4.5.0",
                              "%s [%s] %s while we waited for %s",
                              session->host.name, host_text(session, address),
                              what, session->wait->awaited);
    lose(session, &outcome);
}

static void lose_by_reply(struct client_session *session,
                          const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    smtp_outcome_from_reply(&outcome, session->wait->name, reply);
    lose(session, &outcome);
}

static const char *timeout_enhanced(const struct client_session *session)
{
    return session->step == STEP_CONNECT ? "4.4.1" : "4.4.2";
}

static void on_deadline(void *owner)
{
    struct client_session *session = owner;
    struct smtp_outcome outcome;
    char address[NETWORK_TEXT_SIZE];
    if (session->step == STEP_READY && session->exchange.transaction == NULL) {
        session->handler->on_idle(session->owner, session);
        return;
    }
    int64_t seconds =
        session->step == STEP_CONNECT
            ? session->options->connect_timeout_milliseconds / 1000
            : session->wait->seconds;
    smtp_outcome_from_trouble(
        &outcome, session->wait->name, timeout_enhanced(session),
        "timed out after %lld s waiting for %s of %s [%s]", (long long)seconds,
        session->wait->awaited, session->host.name,
        host_text(session, address));
    lose(session, &outcome);
}

/* -- the steps -- */

static const struct tls_context *context_of(
    const struct client_session *session)
{
    enum smtp_client_tls tls = session->options->tls;
    return tls == CLIENT_TLS_VERIFIED || tls == CLIENT_TLS_IMPLICIT
               ? session->options->tls_verified
               : session->options->tls_any;
}

static const struct stream_handler stream_handler;

static void begin_connect(struct client_session *session)
{
    char address[NETWORK_TEXT_SIZE];
    transcript_remark(&session->transcript, "connecting to %s [%s]",
                      session->host.name, host_text(session, address));
    session->is_greeted = false;
    smtp_reply_reader_reset(&session->reader);
    session->stream =
        stream_connect(session->loop, &session->host.address,
                       session->options->source, &stream_handler, session);
    arm_deadline(session, session->options->connect_timeout_milliseconds);
}

static void on_connected(void *owner)
{
    struct client_session *session = owner;
    char address[NETWORK_TEXT_SIZE];
    network_address_text(stream_local(session->stream), address);
    transcript_remark(&session->transcript, "connected from %s", address);
    enter_step(session, session->options->tls == CLIENT_TLS_IMPLICIT
                            ? STEP_HANDSHAKE
                            : STEP_GREETING);
}

static void begin_handshake(struct client_session *session)
{
    const char *name = session->host.name;
    stream_start_tls_client(session->stream, context_of(session),
                            name[0] != '\0' ? name : NULL);
}

static void on_tls_started(void *owner)
{
    struct client_session *session = owner;
    transcript_remark(
        &session->transcript, "%s with %s, certificate %s",
        stream_tls_version(session->stream), stream_tls_cipher(session->stream),
        stream_tls_is_verified(session->stream) ? "verified" : "not verified");
    client_metric_add(CLIENT_TLS_HANDSHAKES, 1);
    enter_step(session, session->is_greeted ? STEP_EHLO : STEP_GREETING);
}

static void on_greeting(struct client_session *session,
                        const struct smtp_reply *reply)
{
    if (smtp_reply_class(reply) != 2) {
        lose_by_reply(session, reply); /* 5yz: another host may do (S18) */
        return;
    }
    session->is_greeted = true;
    enter_step(session, STEP_EHLO);
}

/* What was offered before TLS is forgotten: RFC 3207 4.2 (A2). */
static void send_ehlo(struct client_session *session)
{
    struct buffer line = { 0 };
    session->capabilities = (struct client_capabilities){ 0 };
    buffer_printf(&line, "EHLO %s", session->options->hostname);
    send_line(session, line.data);
    buffer_free(&line);
}

static void send_helo(struct client_session *session)
{
    struct buffer line = { 0 };
    session->capabilities = (struct client_capabilities){ 0 };
    buffer_printf(&line, "HELO %s", session->options->hostname);
    send_line(session, line.data);
    buffer_free(&line);
}

static void lose_for_policy(struct client_session *session,
                            enum smtp_scope scope, const char *enhanced,
                            const char *what)
{
    struct smtp_outcome outcome;
    smtp_outcome_decide(&outcome, VERDICT_DEFERRED, scope, enhanced,
                        session->wait->name, "%s %s", session->host.name, what);
    lose(session, &outcome);
}

static bool wants_starttls(const struct client_session *session)
{
    return !is_tls(session) && !session->is_in_clear &&
           (is_opportunistic(session) || must_have_tls(session)) &&
           session->capabilities.has_starttls && context_of(session) != NULL;
}

static void go_on_with_auth(struct client_session *session)
{
    const struct client_capabilities *offered = &session->capabilities;
    if (session->options->user == NULL) {
        enter_step(session, STEP_READY);
    } else if (!is_tls(session) && !session->options->auth_in_clear) {
        lose_for_policy(session, SCOPE_HOST, "4.7.0",
                        "offers no TLS, and the password is not sent in clear; "
                        "allow that for this route or use another host");
    } else if (!offered->has_auth_plain && !offered->has_auth_login) {
        lose_for_policy(session, SCOPE_HOST, "4.7.0",
                        "offers neither AUTH PLAIN nor AUTH LOGIN, but a user "
                        "is set for this route");
    } else {
        enter_step(session, STEP_AUTH);
    }
}

static void go_on_after_ehlo(struct client_session *session)
{
    if (wants_starttls(session)) {
        enter_step(session, STEP_STARTTLS);
    } else if (must_have_tls(session) && !is_tls(session)) {
        lose_for_policy(session, SCOPE_HOST, "4.7.4",
                        "does not offer STARTTLS, but TLS is required here");
    } else {
        go_on_with_auth(session);
    }
}

/* Only a host that does not know the command gets HELO; one that refuses us
 * would refuse that as well (RFC 5321 3.2). */
static bool is_ehlo_unknown(const struct smtp_reply *reply)
{
    return reply->code >= 500 && reply->code <= 504;
}

static void on_ehlo_reply(struct client_session *session,
                          const struct smtp_reply *reply)
{
    if (smtp_reply_class(reply) == 2) {
        go_on_after_ehlo(session);
    } else if (is_ehlo_unknown(reply) && !is_tls(session) &&
               !must_have_tls(session)) {
        enter_step(session, STEP_HELO);
    } else {
        lose_by_reply(session, reply);
    }
}

static void on_helo_reply(struct client_session *session,
                          const struct smtp_reply *reply)
{
    if (smtp_reply_class(reply) == 2) {
        go_on_with_auth(session);
    } else {
        lose_by_reply(session, reply);
    }
}

static void send_starttls(struct client_session *session)
{
    send_line(session, "STARTTLS");
}

/* Bytes that follow the 220 in clear were put there by somebody on the way, who
 * must not get us to speak in clear either: RFC 3207 4.2 (A2). */
static void fail_for_injection(struct client_session *session)
{
    struct smtp_outcome outcome;
    smtp_outcome_from_trouble(&outcome, session->wait->name, "4.7.0",
                              "%s sent bytes in clear between its reply to "
                              "STARTTLS and the TLS handshake",
                              session->host.name);
    fail_set_up(session, &outcome);
}

static void on_starttls_reply(struct client_session *session,
                              const struct smtp_reply *reply)
{
    if (smtp_reply_class(reply) != 2) {
        lose_by_reply(session, reply);
    } else if (stream_input(session->stream).length > 0) {
        fail_for_injection(session);
    } else {
        enter_step(session, STEP_HANDSHAKE);
    }
}

static void send_auth_plain(struct client_session *session)
{
    struct buffer secret = { 0 };
    struct buffer line = { 0 };
    buffer_append_byte(&secret, '\0');
    buffer_append_string(&secret, session->options->user);
    buffer_append_byte(&secret, '\0');
    buffer_append_string(&secret, session->options->password);
    buffer_append_string(&line, "AUTH PLAIN ");
    base64_encode(buffer_text(&secret), &line);
    send_masked(session, buffer_text(&line), "AUTH PLAIN ***");
    buffer_free(&secret);
    buffer_free(&line);
}

static void send_auth(struct client_session *session)
{
    session->login_lines = 0;
    if (session->capabilities.has_auth_plain) {
        send_auth_plain(session);
    } else {
        send_line(session, "AUTH LOGIN");
    }
}

/* 334 asks for the user, then for the password. */
static void send_login_line(struct client_session *session)
{
    struct buffer line = { 0 };
    const char *answer = session->login_lines == 0 ? session->options->user
                                                   : session->options->password;
    base64_encode(text_of(answer), &line);
    session->login_lines++;
    send_masked(session, buffer_text(&line), "***");
    buffer_free(&line);
}

static void on_auth_reply(struct client_session *session,
                          const struct smtp_reply *reply)
{
    if (smtp_reply_class(reply) == 2) {
        enter_step(session, STEP_READY);
    } else if (reply->code == 334 && session->login_lines < 2 &&
               !session->capabilities.has_auth_plain) {
        send_login_line(session);
    } else {
        lose_by_reply(session, reply);
    }
}

static void announce_ready(struct client_session *session)
{
    if (session->message_count == 0) {
        session->connect_milliseconds =
            (clock_monotonic() - session->opened_monotonic) / CLOCK_MILLISECOND;
    }
    session->noted = NULL;
    arm_deadline(session, session->options->idle_milliseconds);
    session->handler->on_ready(session->owner, session);
}

static void send_quit(struct client_session *session)
{
    send_line(session, "QUIT");
}

static void on_quit_reply(struct client_session *session,
                          const struct smtp_reply *reply)
{
    (void)reply;
    leave(session);
}

static void begin_closed(struct client_session *session)
{
    stream_close(&session->stream);
    session->noted = NULL;
}

static const struct step_row steps[] = {
    [STEP_NEW] = { { "new", "nothing", 0 }, NULL, NULL },
    [STEP_CONNECT] = { { "connect", "the connection", 0 },
                       begin_connect,
                       NULL },
    [STEP_HANDSHAKE] = { { "STARTTLS", "the TLS handshake", 120 },
                         begin_handshake,
                         NULL },
    [STEP_GREETING] = { { "greeting", "the greeting", 300 },
                        NULL,
                        on_greeting },
    [STEP_EHLO] = { { "EHLO", "the reply to EHLO", 300 },
                    send_ehlo,
                    on_ehlo_reply },
    [STEP_HELO] = { { "HELO", "the reply to HELO", 300 },
                    send_helo,
                    on_helo_reply },
    [STEP_STARTTLS] = { { "STARTTLS", "the reply to STARTTLS", 120 },
                        send_starttls,
                        on_starttls_reply },
    [STEP_AUTH] = { { "AUTH", "the reply to AUTH", 300 },
                    send_auth,
                    on_auth_reply },
    [STEP_READY] = { { "ready", "work", 0 }, announce_ready, NULL },
    [STEP_QUIT] = { { "QUIT", "the reply to QUIT", QUIT_SECONDS },
                    send_quit,
                    on_quit_reply },
    [STEP_CLOSED] = { { "closed", "nothing", 0 }, begin_closed, NULL },
};
_Static_assert(ARRAY_LENGTH(steps) == STEP_COUNT, "every step needs a row");

static void enter_step(struct client_session *session, enum client_step next)
{
    const struct step_row *row = &steps[next];
    log_debug(&session->log, "client step", "from=%s to=%s",
              steps[session->step].wait.name, row->wait.name);
    session->step = next;
    client_session_await(session, &row->wait);
    if (row->begin != NULL) {
        row->begin(session);
    }
}

/* -- what the stream says -- */

static void take_reply(struct client_session *session)
{
    struct smtp_reply reply = session->reader.reply;
    smtp_reply_reader_reset(&session->reader);
    if (reply.code == 421 && client_transaction_is_stale(session)) {
        hand_back_stale(session); /* said while we were writing */
    } else if (session->exchange.transaction != NULL) {
        client_transaction_reply(session, &reply);
    } else if (steps[session->step].on_reply != NULL) {
        steps[session->step].on_reply(session, &reply);
    } else {
        lose_by_nonsense(session, "sent a reply that nobody had asked for");
    }
}

static void note_received(struct client_session *session, struct text line)
{
    if (session->noted != NULL) {
        transcript_received(session->noted, line);
    }
    if (session->step == STEP_EHLO && session->reader.line_count > 0 &&
        line.length > 4) {
        client_capabilities_read(&session->capabilities,
                                 text_trim(text_slice(line, 4, line.length)));
    }
}

static void act_on(struct client_session *session,
                   enum smtp_reply_progress progress)
{
    switch (progress) {
    case REPLY_MORE:
        break;
    case REPLY_COMPLETE:
        take_reply(session);
        break;
    case REPLY_MALFORMED:
        lose_by_nonsense(session, "sent a line that is no SMTP reply");
        break;
    case REPLY_TOO_LONG:
        lose_by_nonsense(session, "sent a reply that would not end");
        break;
    }
}

/* Take one line off the input; false if there is no whole one. */
static bool take_line(struct client_session *session)
{
    struct text input = stream_input(session->stream);
    size_t end = text_find_byte(input, '\n');
    if (end == input.length) {
        if (input.length > LINE_BYTES_MAX) {
            lose_by_nonsense(session, "sent a line that would not end");
        }
        return false;
    }
    bool has_cr = end > 0 && input.data[end - 1] == '\r';
    struct text line = text_slice(input, 0, has_cr ? end - 1 : end);
    note_received(session, line);
    enum smtp_reply_progress progress = smtp_reply_read(&session->reader, line);
    stream_consume(session->stream, end + 1);
    act_on(session, progress);
    return true;
}

static void on_readable(void *owner)
{
    struct client_session *session = owner;
    for (int i = 0; i < LINES_PER_TURN; i++) {
        if (session->stream == NULL || session->step == STEP_HANDSHAKE ||
            !take_line(session)) {
            return;
        }
    }
}

static void on_drained(void *owner)
{
    struct client_session *session = owner;
    if (session->exchange.transaction != NULL) {
        client_transaction_continue(session);
    }
}

static const char *end_enhanced(const struct client_session *session)
{
    if (session->step == STEP_HANDSHAKE) {
        return "4.7.5";
    }
    return session->step == STEP_CONNECT ? "4.4.1" : "4.4.2";
}

static void on_stream_closed(void *owner, enum stream_end end,
                             const struct error *error)
{
    struct client_session *session = owner;
    struct smtp_outcome outcome;
    (void)end;
    if (client_transaction_is_stale(session)) {
        hand_back_stale(session);
        return;
    }
    smtp_outcome_from_trouble(
        &outcome, session->wait->name, end_enhanced(session), "%s%s%s",
        error->text, session->step == STEP_CONNECT ? "" : ", waiting for ",
        session->step == STEP_CONNECT ? "" : session->wait->awaited);
    lose(session, &outcome);
}

static const struct stream_handler stream_handler = {
    .on_connected = on_connected,
    .on_tls_started = on_tls_started,
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_closed = on_stream_closed,
};

/* -- for the pool and the transaction -- */

struct client_session *client_session_open(
    struct loop *loop, const struct smtp_pool_options *options,
    const struct smtp_host *host, const struct client_session_handler *handler,
    void *owner)
{
    struct client_session *session = memory_alloc(sizeof(*session));
    char address[NETWORK_TEXT_SIZE];
    session->loop = loop;
    session->options = options;
    session->handler = handler;
    session->owner = owner;
    session->host = *host;
    session->wait = &steps[STEP_NEW].wait;
    session->opened_at = clock_now();
    session->opened_monotonic = clock_monotonic();
    session->noted = &session->transcript;
    log_context_set(&session->log, NULL, "host=%.60s address=%s",
                    session->host.name, host_text(session, address));
    transcript_start(&session->transcript);
    client_metric_add(CLIENT_CONNECTIONS_OPENED, 1);
    client_metric_add(CLIENT_CONNECTIONS, 1);
    enter_step(session, STEP_CONNECT);
    return session;
}

static void free_session(void *owner)
{
    struct client_session *session = owner;
    client_transaction_free(session);
    transcript_free(&session->transcript);
    memory_free(session);
}

void client_session_close(struct client_session **session)
{
    struct client_session *doomed = *session;
    *session = NULL;
    if (doomed == NULL) {
        return;
    }
    list_remove(&doomed->link);
    loop_cancel_posts(doomed->loop, doomed);
    enter_step(doomed, STEP_CLOSED);
    client_metric_add(CLIENT_CONNECTIONS, -1);
    loop_dispose(doomed->loop, free_session, doomed);
}

void client_session_quit(struct client_session *session)
{
    check(session->step == STEP_READY && session->exchange.transaction == NULL);
    enter_step(session, STEP_QUIT);
}

static uint64_t lesser_limit(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) { /* 0: none */
        return a + b;
    }
    return a < b ? a : b;
}

bool client_session_is_used_up(const struct client_session *session)
{
    uint64_t most = lesser_limit(session->options->messages_per_connection_max,
                                 session->capabilities.messages_max); /* E10 */
    return most > 0 && session->message_count >= most;
}

/* The first message's transcript begins with the set-up of the connection. */
static void begin_transcript(struct client_session *session,
                             struct transcript *transcript)
{
    char address[NETWORK_TEXT_SIZE];
    transcript_free(transcript);
    if (session->message_count == 1) {
        *transcript = session->transcript;
        session->transcript = (struct transcript){ 0 };
    } else {
        transcript_start(transcript);
        transcript_remark(transcript,
                          "connection to %s [%s] reused, message %zu",
                          session->host.name, host_text(session, address),
                          session->message_count);
    }
    session->noted = transcript;
}

void client_session_run(struct client_session *session,
                        struct smtp_client_transaction *transaction)
{
    check(session->step == STEP_READY);
    session->message_count++;
    begin_transcript(session, &transaction->transcript);
    transaction->host = session->host;
    transaction->started_at = clock_now();
    transaction->connect_milliseconds =
        session->message_count == 1 ? session->connect_milliseconds : 0;
    transaction->tls_version = stream_tls_version(session->stream);
    transaction->tls_cipher = stream_tls_cipher(session->stream);
    transaction->tls_is_verified = stream_tls_is_verified(session->stream);
    transaction->peer_has_dsn = session->capabilities.has_dsn;
    client_metric_add(session->message_count == 1 ? CLIENT_TRANSACTIONS
                                                  : CLIENT_TRANSACTIONS_REUSED,
                      1);
    client_transaction_begin(session, transaction);
}

void client_session_finish(struct client_session *session,
                           struct smtp_client_transaction *transaction,
                           bool is_reusable)
{
    const struct client_session_handler *handler = session->handler;
    /* What came ahead of any command would be taken for its reply; and bytes
     * not yet sent may be the caller's, who forgets them now. */
    bool is_clean = stream_input(session->stream).length == 0 &&
                    stream_output_length(session->stream) == 0;
    session->noted = NULL;
    if (!is_reusable || !is_clean) {
        enter_step(session, STEP_CLOSED);
        handler->on_done(session->owner, session, transaction);
        handler->on_closed(session->owner, session);
        return;
    }
    handler->on_done(session->owner, session, transaction);
    if (session->step == STEP_READY) { /* the pool was not freed by this */
        enter_step(session, STEP_READY);
    }
}
