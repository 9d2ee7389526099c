/* SPDX-License-Identifier: MIT */
/*
 * One submission session.
 *
 *   stream ──on_readable──> process_input ──> PROXY header
 *                             by state        line ──> verb or AUTH
 *                                             content (server_data.c)
 *
 * process_input takes one step after another until the input is used up, the
 * handler has to answer, replies pile up or others should have their turn. All
 * that is written meanwhile leaves in one system call (RFC 2920 3.2).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/memory.h"
#include "smtp/proxy_protocol.h"
#include "smtp/server_internal.h"

/* Lines of one session before others have their turn. */
#define STEPS_PER_TURN 64
/* Unread bytes kept by the stream: content comes in blocks of this size. */
#define INPUT_BYTES ((size_t)64 * 1024)
/* A client that reads no replies gets no more of them. */
#define OUTPUT_BYTES_MAX ((size_t)64 * 1024)

static const char *const state_names[] = {
    [SESSION_NEW] = "new",       [SESSION_PROXY] = "proxy",
    [SESSION_HANDSHAKE] = "tls", [SESSION_COMMAND] = "command",
    [SESSION_AUTH] = "auth",     [SESSION_CONTENT] = "content",
    [SESSION_ASKING] = "asking", [SESSION_PENALTY] = "penalty",
};
_Static_assert(ARRAY_LENGTH(state_names) == SESSION_STATE_COUNT,
               "every state needs a name");

static const char going_down[] = "is going down for a moment, try again later";

/* --- replies --- */

void session_write(struct smtp_server_session *session, struct text lines)
{
    if (session->stream == NULL) {
        return;
    }
    stream_write_text(session->stream, lines);
    struct text line;
    while (text_split(&lines, '\n', &line)) {
        transcript_sent(&session->transcript,
                        text_slice(line, 0, line.length - 1));
    }
}

void session_send(struct smtp_server_session *session,
                  const struct smtp_reply *reply)
{
    struct buffer wire = { 0 };
    smtp_reply_append_wire(reply, &wire);
    session_write(session, buffer_text(&wire));
    buffer_free(&wire);
    if (reply->code == 421) {
        session->is_ending = true; /* RFC 5321 4.2.1: and we close */
    }
}

void session_send_answer(struct smtp_server_session *session,
                         const struct smtp_reply *answer)
{
    struct smtp_reply reply = *answer;
    char class_digit = (char)('0' + smtp_reply_class(&reply));
    if (reply.enhanced[0] != class_digit) { /* RFC 2034 4 */
        snprintf(reply.enhanced, sizeof(reply.enhanced), "%c.0.0", class_digit);
    }
    session_send(session, &reply);
}

static void send_formatted(struct smtp_server_session *session, int code,
                           const char *enhanced, const char *format,
                           va_list arguments)
{
    struct smtp_reply reply;
    char text[SMTP_REPLY_TEXT_MAX];
    vsnprintf(text, sizeof(text), format, arguments);
    smtp_reply_set(&reply, code, enhanced, "%s", text);
    session_send(session, &reply);
}

void session_reply(struct smtp_server_session *session, int code,
                   const char *enhanced, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_formatted(session, code, enhanced, format, arguments);
    va_end(arguments);
}

void session_end(struct smtp_server_session *session, int code,
                 const char *enhanced, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_formatted(session, code, enhanced, format, arguments);
    va_end(arguments);
    session->is_ending = true;
}

void session_refuse(struct smtp_server_session *session, int code,
                    const char *enhanced, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    send_formatted(session, code, enhanced, format, arguments);
    va_end(arguments);
    session_count_error(session);
}

void session_count_error(struct smtp_server_session *session)
{
    smtp_metric_add(METRIC_COMMAND_ERRORS, 1);
    session->error_count++;
    if (session->error_count >= smtp_limits_now()->errors_per_session &&
        !session->is_ending) {
        session_end(session, 421, "4.7.0",
                    "Too many errors in this session, closing it");
    }
}

/* --- state, time, end --- */

static void on_timer(void *owner);

static int64_t state_timeout(const struct smtp_server_session *session)
{
    const struct smtp_limits *limits = smtp_limits_now();
    switch (session->state) {
    case SESSION_PROXY:
    case SESSION_HANDSHAKE:
        return limits->handshake_timeout;
    case SESSION_COMMAND:
    case SESSION_AUTH:
        return limits->idle_timeout;
    case SESSION_CONTENT:
        return data_timeout_milliseconds(session);
    case SESSION_PENALTY:
        return limits->auth_delay;
    default:
        return -1;
    }
}

void session_set_timer(struct smtp_server_session *session)
{
    int64_t milliseconds = state_timeout(session);
    if (session->stream == NULL || milliseconds < 0) {
        timer_stop(&session->timer);
    } else {
        timer_start(&session->timer, session->server->loop, milliseconds,
                    on_timer, session);
    }
}

void session_enter(struct smtp_server_session *session,
                   enum session_state state)
{
    log_debug(&session->log, "session state", "from=%s to=%s",
              state_names[session->state], state_names[state]);
    session->state = state;
    session_set_timer(session);
}

static void tell_handler_end(struct smtp_server_session *session)
{
    void *client = session->client;
    session->client = NULL;
    if (client != NULL) {
        session->server->options.handler->on_session_end(client);
    }
}

void session_close(struct smtp_server_session *session, const char *reason)
{
    if (session->stream == NULL) {
        return;
    }
    timer_stop(&session->timer);
    loop_cancel_posts(session->server->loop, session);
    tell_handler_end(session);
    session_drop_transaction(session);
    log_info(&session->log, "session ended",
             "state=%s messages=%" PRId64 " errors=%" PRId64
             " tls=%s reason=\"%s\"",
             state_names[session->state], session->message_count,
             session->error_count,
             session->facts.is_tls ? session->facts.tls_version : "none",
             log_quote(text_of(reason)));
    stream_close(&session->stream);
    if (session->is_counted) {
        smtp_metric_add(METRIC_SESSIONS, -1);
    }
    transcript_free(&session->transcript);
    memory_free(session->helo_name);
    memory_free(session->auth_user);
    session->helo_name = NULL;
    session->auth_user = NULL;
    server_forget(session);
}

void session_settle(struct smtp_server_session *session)
{
    if (session->is_ending && !session->is_processing) {
        session_close(session, "said goodbye");
    }
}

static void on_timer(void *owner)
{
    struct smtp_server_session *session = owner;
    if (session->state == SESSION_PENALTY) {
        auth_end_penalty(session);
        return;
    }
    smtp_metric_add(METRIC_TIMEOUTS, 1);
    if (session->state == SESSION_PROXY ||
        session->state == SESSION_HANDSHAKE) {
        session_close(session, "no PROXY header or TLS handshake in time");
        return;
    }
    session_end(session, 421, "4.4.2",
                "Nothing useful came from you for too long, closing");
    session_settle(session);
}

void session_update_protocol(struct smtp_server_session *session)
{
    /* RFC 3848; RFC 6531 4.3. Index: UTF8, TLS, AUTH. */
    static const char *const names[2][2][2] = {
        { { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
        { { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
    };
    struct smtp_client_facts *facts = &session->facts;
    bool is_utf8 = session->transaction != NULL &&
                   session->transaction->transaction.is_smtputf8;
    facts->protocol =
        facts->is_esmtp
            ? names[is_utf8][facts->is_tls][facts->auth_user != NULL]
            : "SMTP";
}

void session_forget_all(struct smtp_server_session *session)
{
    session_drop_transaction(session);
    memory_free(session->helo_name);
    session->helo_name = NULL;
    session->facts.helo_name = "";
    session->facts.is_esmtp = false;
    session_update_protocol(session);
}

/* --- the beginning --- */

static void refuse_session(struct smtp_server_session *session,
                           enum smtp_metric metric, const char *enhanced,
                           const char *sentence)
{
    smtp_metric_add(metric, 1);
    session_end(session, 421, enhanced, "%s %s",
                session->server->options.hostname, sentence);
    session_settle(session);
}

/* Ask who may come in; false: it was refused. */
static bool admit(struct smtp_server_session *session)
{
    struct smtp_server *server = session->server;
    struct smtp_reply refusal = { 0 };
    if (server->is_draining) {
        refuse_session(session, METRIC_REFUSED_WORKER, "4.3.2", going_down);
        return false;
    }
    if (server->sessions.count >
        (size_t)smtp_limits_now()->sessions_per_worker) {
        refuse_session(session, METRIC_REFUSED_WORKER, "4.7.0",
                       "has too many sessions just now, try again later");
        return false;
    }
    if (!server_count_address(session)) {
        refuse_session(session, METRIC_REFUSED_ADDRESS, "4.7.0",
                       "has too many sessions from your address, close some "
                       "or try again later");
        return false;
    }
    session->client = server->options.handler->on_session(
        server->options.owner, session, &session->facts, &refusal);
    if (refusal.code != 0 || session->client == NULL) {
        smtp_metric_add(METRIC_REFUSED_POLICY, 1);
        if (refusal.code == 0) {
            smtp_reply_set(&refusal, 421, "4.3.0", "Try again later");
        }
        session_send_answer(session, &refusal);
        session->is_ending = true;
        session_settle(session);
        return false;
    }
    return true;
}

static void name_for_log(struct smtp_server_session *session)
{
    char peer[NETWORK_TEXT_SIZE];
    log_context_set(&session->log, NULL, "session=%" PRId64 " peer=%s",
                    session->facts.session_id,
                    network_address_text(&session->facts.peer, peer));
}

static void greet(struct smtp_server_session *session)
{
    name_for_log(session);
    transcript_start(&session->transcript);
    if (!admit(session)) {
        return;
    }
    session->is_counted = true;
    smtp_metric_add(METRIC_SESSIONS, 1);
    smtp_metric_add(METRIC_SESSIONS_STARTED, 1);
    session_reply(session, 220, "", "%s ESMTP Baton",
                  session->server->options.hostname);
    session_enter(session, SESSION_COMMAND);
}

static void begin_after_proxy(struct smtp_server_session *session)
{
    if (session->policy->tls != SMTP_TLS_IMPLICIT) {
        greet(session);
        return;
    }
    /* In clear nothing can be said on this port. */
    if (session->server->options.tls == NULL ||
        session->server->sessions.count >
            (size_t)smtp_limits_now()->sessions_per_worker) {
        smtp_metric_add(METRIC_REFUSED_WORKER, 1);
        session_close(session, "too many sessions, or no certificate");
        return;
    }
    session_enter(session, SESSION_HANDSHAKE);
    stream_start_tls_server(session->stream, session->server->options.tls);
}

static bool take_proxy_header(struct smtp_server_session *session)
{
    struct proxy_header header;
    size_t wanted = 0;
    switch (
        proxy_header_parse(stream_input(session->stream), &header, &wanted)) {
    case PROXY_MORE:
        stream_set_input_limit(session->stream, wanted);
        return false;
    case PROXY_BAD:
        session_close(session, "a PROXY header must come first here");
        return false;
    case PROXY_COMPLETE:
        break;
    }
    stream_consume(session->stream, header.length);
    stream_set_input_limit(session->stream, INPUT_BYTES);
    if (!header.is_local) {
        session->facts.peer = header.source;
    }
    begin_after_proxy(session);
    return true;
}

/* --- lines --- */

static size_t line_length_max(const struct smtp_server_session *session,
                              struct text line)
{
    bool is_auth = session->state == SESSION_AUTH || verb_is_auth(line);
    return is_auth ? AUTH_LINE_MAX : (size_t)smtp_limits_now()->command_length;
}

static void refuse_line(struct smtp_server_session *session, size_t length,
                        const char *why)
{
    transcript_remark(&session->transcript,
                      "a line of %zu octets or more, refused", length);
    if (session->state == SESSION_AUTH) {
        session_enter(session, SESSION_COMMAND);
    }
    session_refuse(session, 500, "5.5.2", "%s", why);
}

static void refuse_long_line(struct smtp_server_session *session, size_t length)
{
    if (session->state == SESSION_AUTH) {
        transcript_remark(&session->transcript,
                          "an AUTH line of %zu octets or more", length);
        auth_refuse_long_line(session);
    } else {
        refuse_line(session, length, "The command line is too long");
    }
}

/* Throw away to the next CR LF; a CR at the end may be its first half. */
static bool skip_line(struct smtp_server_session *session, struct text input)
{
    const char *end =
        input.length == 0 ? NULL : memmem(input.data, input.length, "\r\n", 2);
    if (end != NULL) {
        session->is_skipping = false;
        stream_consume(session->stream, (size_t)(end - input.data) + 2);
        return true;
    }
    bool ends_with_cr =
        input.length > 0 && input.data[input.length - 1] == '\r';
    stream_consume(session->stream, input.length - (ends_with_cr ? 1 : 0));
    return false;
}

static void handle_line(struct smtp_server_session *session, struct text line)
{
    if (text_find_byte(line, '\r') < line.length ||
        text_find_byte(line, '\0') < line.length) {
        refuse_line(session, line.length,
                    "bare CR or NUL in a command: lines must end with CR LF "
                    "and hold neither (RFC 5321 2.3.8)");
    } else if (session->state == SESSION_AUTH) {
        transcript_received(&session->transcript, TEXT_LITERAL("***"));
        auth_take_line(session, line);
    } else {
        verb_dispatch(session, line);
    }
}

/* No line end yet: wait for it, unless the line is too long already. */
static bool wait_for_line(struct smtp_server_session *session,
                          struct text input)
{
    bool ends_with_cr =
        input.length > 0 && input.data[input.length - 1] == '\r';
    size_t length = input.length - (ends_with_cr ? 1 : 0);
    if (length <= line_length_max(session, input)) {
        return false;
    }
    refuse_long_line(session, length);
    session->is_skipping = true;
    return true;
}

/* The handlers write to the stream, which ends the life of its input; so they
 * get a copy. It may hold a password. */
static void handle_copy(struct smtp_server_session *session, struct text line)
{
    struct buffer *copy = &session->server->line;
    size_t used = line.length + 2;
    bool is_secret = session->state == SESSION_AUTH || verb_is_auth(line);
    buffer_clear(copy);
    buffer_append_text(copy, line);
    stream_consume(session->stream, used);
    handle_line(session, buffer_text(copy));
    if (is_secret) {
        explicit_bzero(copy->data, copy->length);
    }
}

static bool take_line(struct smtp_server_session *session)
{
    struct text input = stream_input(session->stream);
    if (session->is_skipping) {
        return skip_line(session, input);
    }
    size_t lf = text_find_byte(input, '\n');
    if (lf == input.length) {
        return wait_for_line(session, input);
    }
    if (lf == 0 || input.data[lf - 1] != '\r') {
        session->is_skipping = true;
        stream_consume(session->stream, lf + 1);
        refuse_line(session, lf,
                    "bare LF in a command: lines must end with CR LF "
                    "(RFC 5321 2.3.8)");
        return true;
    }
    struct text line = text_slice(input, 0, lf - 1);
    if (line.length > line_length_max(session, line)) {
        stream_consume(session->stream, lf + 1);
        refuse_long_line(session, line.length);
    } else {
        handle_copy(session, line);
    }
    if (session->state == SESSION_COMMAND || session->state == SESSION_AUTH) {
        session_set_timer(session);
    }
    return true;
}

/* --- input --- */

typedef bool take_fn(struct smtp_server_session *session);

/* States without a row leave the input where it is. */
static take_fn *const takers[SESSION_STATE_COUNT] = {
    [SESSION_PROXY] = take_proxy_header,
    [SESSION_COMMAND] = take_line,
    [SESSION_AUTH] = take_line,
    [SESSION_CONTENT] = data_take_input,
};

static bool take_step(struct smtp_server_session *session)
{
    if (session->stream == NULL || session->is_ending) {
        return false;
    }
    if (session->server->is_draining && session->transaction == NULL &&
        session->state == SESSION_COMMAND) {
        session_end(session, 421, "4.3.2", "%s %s",
                    session->server->options.hostname, going_down);
        return false;
    }
    if (stream_output_length(session->stream) > OUTPUT_BYTES_MAX) {
        session->is_output_full = true;
        stream_pause(session->stream);
        return false;
    }
    take_fn *take = takers[session->state];
    return take != NULL && take(session);
}

static void process_input(void *owner)
{
    struct smtp_server_session *session = owner;
    if (session->is_processing || session->is_output_full) {
        return;
    }
    session->is_processing = true;
    for (int i = 0; i < STEPS_PER_TURN && take_step(session); i++) {
    }
    session->is_processing = false;
    session_settle(session);
}

void session_wake(struct smtp_server_session *session)
{
    if (session->stream != NULL && !session->is_processing) {
        loop_post(session->server->loop, process_input, session);
    }
}

static void begin(void *owner)
{
    struct smtp_server_session *session = owner;
    greet(session);
    process_input(session);
}

/* --- the stream's events --- */

static void on_tls_started(void *owner)
{
    struct smtp_server_session *session = owner;
    session->facts.is_tls = true;
    session->facts.tls_version = stream_tls_version(session->stream);
    session->facts.tls_cipher = stream_tls_cipher(session->stream);
    smtp_metric_add(METRIC_TLS_STARTED, 1);
    session_update_protocol(session);
    if (session->client == NULL) {
        greet(session);
    } else {
        transcript_remark(&session->transcript, "TLS: %s %s",
                          session->facts.tls_version,
                          session->facts.tls_cipher);
        session_enter(session, SESSION_COMMAND);
    }
}

static void on_drained(void *owner)
{
    struct smtp_server_session *session = owner;
    if (session->is_output_full) {
        session->is_output_full = false;
        stream_resume(session->stream);
    }
}

static void on_closed(void *owner, enum stream_end end,
                      const struct error *error)
{
    struct smtp_server_session *session = owner;
    if (end == STREAM_END_TLS) {
        smtp_metric_add(METRIC_TLS_FAILED, 1);
    }
    session_close(session, error->text);
}

static const struct stream_handler stream_events = {
    .on_tls_started = on_tls_started,
    .on_readable = process_input,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

void session_start(struct smtp_server *server, int descriptor,
                   const struct network_address *peer,
                   const struct smtp_listener_policy *policy)
{
    struct smtp_server_session *session = memory_alloc(sizeof(*session));
    session->server = server;
    session->policy = policy;
    session->facts.peer = *peer;
    session->facts.helo_name = "";
    session->facts.protocol = "SMTP";
    session->facts.policy = policy;
    session->facts.session_id = id_make();
    name_for_log(session);
    list_append(&server->sessions, &session->link);
    session->stream =
        stream_accept(server->loop, descriptor, &stream_events, session);
    if (policy->proxy_protocol) {
        stream_set_input_limit(session->stream, PROXY_HEADER_MIN);
        session_enter(session, SESSION_PROXY);
    } else if (policy->tls == SMTP_TLS_IMPLICIT) {
        begin_after_proxy(session);
    } else {
        loop_post(server->loop, begin, session);
    }
}

const struct log_context *smtp_server_session_log(
    const struct smtp_server_session *session)
{
    return &session->log;
}
