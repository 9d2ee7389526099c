/* SPDX-License-Identifier: MIT */
/*
 * AUTH: PLAIN (RFC 4616) and LOGIN, by RFC 4954. The password is decoded into a
 * buffer that is wiped as soon as the handler has seen it.
 */
#include <string.h>

#include "core/encoding.h"
#include "core/memory.h"
#include "smtp/server_internal.h"

static const struct mechanism {
    const char *name;
    enum auth_step first_step;
    const char *challenge; /* base64 */
} mechanisms[] = {
    { "PLAIN", AUTH_PLAIN, "" },
    { "LOGIN", AUTH_LOGIN_USER, "VXNlcm5hbWU6" }, /* "Username:" */
};
#define PASSWORD_CHALLENGE "UGFzc3dvcmQ6" /* "Password:" */

bool auth_is_offered(const struct smtp_server_session *session)
{
    return !session->policy->no_auth && session->facts.auth_user == NULL &&
           (session->facts.is_tls || session->policy->auth_in_clear);
}

static void remember_user(struct smtp_server_session *session, struct text user)
{
    memory_free(session->auth_user);
    session->auth_user = memory_copy_bytes(user.data, user.length);
}

static void challenge(struct smtp_server_session *session, enum auth_step step,
                      const char *text)
{
    session->auth_step = step;
    session_reply(session, 334, "", "%s", text);
    session_enter(session, SESSION_AUTH);
}

static void refuse(struct smtp_server_session *session, int code,
                   const char *enhanced, const char *sentence)
{
    session_enter(session, SESSION_COMMAND);
    session_refuse(session, code, enhanced, "%s", sentence);
}

static void ask(struct smtp_server_session *session, const char *password)
{
    session_enter(session, SESSION_ASKING);
    session->server->options.handler->on_authenticate(
        session->client, session->auth_user, password);
}

static bool has_nul(struct text text)
{
    return text_find_byte(text, '\0') < text.length;
}

/* RFC 4616: authorization identity NUL user NUL password. The decoded text has
 * a NUL behind it, so the password is a string. */
static void take_plain(struct smtp_server_session *session, struct text decoded)
{
    struct text rest = decoded;
    size_t identity_end = text_find_byte(rest, '\0');
    struct text identity = text_slice(rest, 0, identity_end);
    rest = text_slice(rest, identity_end + 1, rest.length);
    size_t user_end = text_find_byte(rest, '\0');
    struct text user = text_slice(rest, 0, user_end);
    struct text password = text_slice(rest, user_end + 1, rest.length);
    if (identity_end == decoded.length || user_end == rest.length ||
        user.length == 0 || has_nul(password)) {
        refuse(session, 501, "5.5.2",
               "PLAIN is identity, NUL, user, NUL and password, in base64");
    } else if (identity.length > 0 && !text_equal(identity, user)) {
        refuse(session, 535, "5.7.8",
               "Acting for another identity is not allowed: leave it empty");
    } else {
        remember_user(session, user);
        ask(session, password.length > 0 ? password.data : "");
    }
}

static void take_login(struct smtp_server_session *session, struct text decoded)
{
    if (has_nul(decoded) ||
        (session->auth_step == AUTH_LOGIN_USER && decoded.length == 0)) {
        refuse(session, 501, "5.5.2", "That is no user name or password");
    } else if (session->auth_step == AUTH_LOGIN_USER) {
        remember_user(session, decoded);
        challenge(session, AUTH_LOGIN_PASSWORD, PASSWORD_CHALLENGE);
    } else {
        ask(session, decoded.data);
    }
}

static void take_response(struct smtp_server_session *session,
                          struct text encoded)
{
    struct buffer decoded = { 0 };
    buffer_reserve(&decoded, encoded.length);
    if (!base64_decode(encoded, &decoded)) {
        refuse(session, 501, "5.5.2", "That is no base64");
    } else if (session->auth_step == AUTH_PLAIN) {
        take_plain(session, buffer_text(&decoded));
    } else {
        take_login(session, buffer_text(&decoded));
    }
    explicit_bzero(decoded.data, decoded.capacity);
    buffer_free(&decoded);
}

static const struct mechanism *find_mechanism(struct text name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(mechanisms); i++) {
        if (text_is_ignoring_case(name, mechanisms[i].name)) {
            return &mechanisms[i];
        }
    }
    return NULL;
}

static void start_mechanism(struct smtp_server_session *session,
                            const struct mechanism *mechanism,
                            struct text initial)
{
    if (initial.length == 0) {
        challenge(session, mechanism->first_step, mechanism->challenge);
        return;
    }
    session->auth_step = mechanism->first_step;
    /* RFC 4954 4: "=" is an initial response of no octets. */
    take_response(session, text_is(initial, "=") ? TEXT_LITERAL("") : initial);
}

void auth_start(struct smtp_server_session *session, struct text arguments)
{
    size_t name_end = text_find_byte(arguments, ' ');
    struct text name = text_slice(arguments, 0, name_end);
    struct text initial =
        text_trim(text_slice(arguments, name_end, arguments.length));
    const struct mechanism *mechanism = find_mechanism(name);
    if (!session->facts.is_esmtp) {
        session_refuse(session, 503, "5.5.1", "Say EHLO first");
    } else if (session->facts.auth_user != NULL) {
        session_refuse(session, 503, "5.5.1", "You are logged in already");
    } else if (session->policy->no_auth) {
        session_refuse(session, 502, "5.5.1", "AUTH is not offered here");
    } else if (!auth_is_offered(session)) {
        session_refuse(session, 538, "5.7.11",
                       "Encryption is needed to log in: STARTTLS first");
    } else if (mechanism == NULL) {
        session_refuse(session, 504, "5.5.4",
                       "The mechanisms here are PLAIN and LOGIN");
    } else {
        start_mechanism(session, mechanism, initial);
    }
}

void auth_take_line(struct smtp_server_session *session, struct text line)
{
    if (text_is(line, "*")) {
        refuse(session, 501, "5.7.0", "Authentication cancelled");
    } else {
        take_response(session, line);
    }
}

void auth_refuse_long_line(struct smtp_server_session *session)
{
    refuse(session, 500, "5.5.6", "The authentication line is too long");
}

static void accept_login(struct smtp_server_session *session)
{
    session->facts.auth_user = session->auth_user;
    session_update_protocol(session);
    smtp_metric_add(METRIC_AUTH_ACCEPTED, 1);
    session_reply(session, 235, "2.7.0", "Authentication succeeded");
}

void smtp_server_authenticated(struct smtp_server_session *session,
                               enum smtp_auth_verdict verdict)
{
    if (session->stream == NULL) {
        return;
    }
    check(session->state == SESSION_ASKING && session->transaction == NULL);
    if (verdict == AUTH_REFUSED) {
        smtp_metric_add(METRIC_AUTH_REFUSED, 1);
        session_enter(session, SESSION_PENALTY);
        return;
    }
    session_enter(session, SESSION_COMMAND);
    if (verdict == AUTH_ACCEPTED) {
        accept_login(session);
    } else {
        smtp_metric_add(METRIC_AUTH_UNAVAILABLE, 1);
        session_reply(session, 454, "4.7.0", "%s",
                      verdict == AUTH_THROTTLED
                          ? "Too many wrong passwords, wait a while"
                          : "Authentication is not available just now, try "
                            "again later");
    }
    session_wake(session);
}

void auth_end_penalty(struct smtp_server_session *session)
{
    refuse(session, 535, "5.7.8", "Authentication credentials invalid");
    session_settle(session);
    session_wake(session);
}
