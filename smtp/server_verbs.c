/* SPDX-License-Identifier: MIT */
/*
 * A handler per verb. What must be so before a verb may run stands in its row,
 * so the handlers check no order. RFC 5321 4.1.
 */
#include <inttypes.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "smtp/server_internal.h"

#define HELO_NAME_MAX 255
/* So many commands that bring no message in a row are free; then each is a
 * mistake. */
#define IDLE_COMMANDS_MAX 100

enum verb_flag {
    NEEDS_HELO = 1,
    NEEDS_TLS = 2, /* where the listener requires it */
    NEEDS_AUTH = 4, /* where the listener requires it */
    NEEDS_TRANSACTION = 8,
    NO_TRANSACTION = 16,
    NO_ARGUMENTS = 32,
    BRINGS_NOTHING = 64,
};

struct verb {
    const char *name;
    unsigned flags;
    void (*run)(struct smtp_server_session *session, struct text arguments);
    const char *shown_as; /* in the transcript, instead of what was sent */
};

/* --- greetings --- */

static void remember_name(struct smtp_server_session *session, struct text name)
{
    name = text_slice(name, 0, HELO_NAME_MAX);
    char *copy = memory_copy_bytes(name.data, name.length);
    for (char *at = copy; *at != '\0'; at++) {
        if (*at < '!' || *at > '~') {
            *at = '?';
        }
    }
    session->helo_name = copy;
    session->facts.helo_name = copy;
}

/* RFC 5321 4.1.4: a greeting resets. False: it has no name. */
static bool take_greeting(struct smtp_server_session *session, struct text name,
                          bool is_esmtp)
{
    if (name.length == 0) {
        session_refuse(session, 501, "5.5.4", "Say your host name with it");
        return false;
    }
    session_forget_all(session);
    remember_name(session, name);
    session->facts.is_esmtp = is_esmtp;
    session_update_protocol(session);
    return true;
}

static void run_helo(struct smtp_server_session *session, struct text arguments)
{
    if (take_greeting(session, arguments, false)) {
        session_reply(session, 250, "", "%s",
                      session->server->options.hostname);
    }
}

static bool is_starttls_offered(const struct smtp_server_session *session)
{
    return !session->facts.is_tls && session->server->options.tls != NULL &&
           (session->policy->tls == SMTP_TLS_OPTIONAL ||
            session->policy->tls == SMTP_TLS_REQUIRED);
}

static void run_ehlo(struct smtp_server_session *session, struct text arguments)
{
    const struct smtp_limits *limits = smtp_limits_now();
    struct buffer lines = { 0 };
    if (!take_greeting(session, arguments, true)) {
        return;
    }
    buffer_printf(&lines,
                  "250-%s\r\n250-PIPELINING\r\n250-SIZE %" PRId64
                  "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                  "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n"
                  "250-DSN\r\n",
                  session->server->options.hostname, limits->message_size);
    if (is_starttls_offered(session)) {
        buffer_append_string(&lines, "250-STARTTLS\r\n");
    }
    if (auth_is_offered(session)) {
        buffer_append_string(&lines, "250-AUTH PLAIN LOGIN\r\n");
    }
    buffer_printf(&lines,
                  "250 LIMITS RCPTMAX=%" PRId64 " MAILMAX=%" PRId64 "\r\n",
                  limits->recipients_per_message, limits->messages_per_session);
    session_write(session, buffer_text(&lines));
    buffer_free(&lines);
}

/* Bytes behind STARTTLS came in clear; somebody may have put them there to be
 * taken for the client's own after the handshake (A1). */
static void run_starttls(struct smtp_server_session *session,
                         struct text arguments)
{
    (void)arguments;
    if (session->facts.is_tls || session->facts.auth_user != NULL) {
        session_refuse(session, 503, "5.5.1", "It is too late for STARTTLS");
    } else if (session->policy->tls == SMTP_TLS_NONE) {
        session_refuse(session, 502, "5.5.1", "STARTTLS is not offered here");
    } else if (session->server->options.tls == NULL) {
        session_reply(session, 454, "4.7.0", "TLS is not available just now");
    } else if (stream_input(session->stream).length > 0) {
        session_end(session, 554, "5.5.1",
                    "Nothing may be sent behind STARTTLS before its reply, "
                    "closing");
    } else {
        session_forget_all(session);
        session_reply(session, 220, "", "Ready to start TLS");
        session_enter(session, SESSION_HANDSHAKE);
        stream_start_tls_server(session->stream, session->server->options.tls);
    }
}

/* --- MAIL and RCPT --- */

/* One of the two commands, taken apart. */
struct path_command {
    const char *keyword; /* "FROM:" */
    const char *syntax_code; /* "5.1.7": bad sender's address */
    enum parameter_place place;
    struct address address;
    struct text parameters;
    char domain[DOMAIN_TEXT_MAX + 1]; /* normalised, or "" */
};

static bool parse_path(struct path_command *command, struct text arguments,
                       struct smtp_reply *out_reply)
{
    struct error error;
    size_t used = 0;
    size_t keyword_length = strlen(command->keyword);
    if (!text_starts_with_ignoring_case(arguments, command->keyword)) {
        smtp_reply_set(out_reply, 501, "5.5.4", "It is %s<address>",
                       command->keyword);
        return false;
    }
    struct text path = text_slice(arguments, keyword_length, arguments.length);
    if (!address_parse_path(path, true, &command->address, &used, &error)) {
        smtp_reply_set(out_reply, 501, command->syntax_code, "%s", error.text);
        return false;
    }
    command->parameters = text_slice(path, used, path.length);
    if (command->parameters.length > 0 && command->parameters.data[0] != ' ') {
        smtp_reply_set(out_reply, 501, command->syntax_code,
                       "Behind the address only parameters may stand, after "
                       "a blank");
        return false;
    }
    if (command->address.domain.length > 0 &&
        !domain_normalize(command->address.domain, command->domain, &error)) {
        smtp_reply_set(out_reply, 501, command->syntax_code, "%s", error.text);
        return false;
    }
    return true;
}

static bool parse_path_parameters(const struct smtp_server_session *session,
                                  const struct path_command *command,
                                  struct smtp_transaction *transaction,
                                  struct smtp_recipient *recipient,
                                  struct smtp_reply *out_reply)
{
    struct text parameters = text_trim(command->parameters);
    if (parameters.length > 0 && !session->facts.is_esmtp) {
        smtp_reply_set(out_reply, 555, "5.5.4",
                       "Parameters need EHLO instead of HELO");
        return false;
    }
    if (!parameters_parse(parameters, command->place, transaction, recipient,
                          out_reply)) {
        return false;
    }
    if (!transaction->is_smtputf8 && (text_has_8bit(command->address.local) ||
                                      text_has_8bit(command->address.domain))) {
        smtp_reply_set(out_reply, 553, "5.6.7",
                       "This address needs the SMTPUTF8 parameter of MAIL");
        return false;
    }
    return true;
}

static void set_sender(struct smtp_transaction *transaction,
                       const struct path_command *command)
{
    const struct address *address = &command->address;
    if (!address_is_null(address)) {
        transaction->sender = arena_printf(transaction->arena, "%.*s@%.*s",
                                           TEXT_ARGUMENTS(address->local),
                                           TEXT_ARGUMENTS(address->domain));
        transaction->sender_domain =
            arena_copy_string(transaction->arena, command->domain);
    }
}

static bool parse_mail(struct smtp_server_session *session,
                       struct text arguments, struct smtp_reply *out_reply)
{
    struct path_command command = {
        .keyword = "FROM:",
        .syntax_code = "5.1.7",
        .place = PARAMETERS_OF_MAIL,
    };
    struct smtp_transaction *transaction = &session->transaction->transaction;
    if (!parse_path(&command, arguments, out_reply) ||
        !parse_path_parameters(session, &command, transaction, NULL,
                               out_reply)) {
        return false;
    }
    if (command.domain[0] == '\0' && !address_is_null(&command.address)) {
        smtp_reply_set(out_reply, 501, "5.1.7",
                       "The sender's address needs a domain");
        return false;
    }
    set_sender(transaction, &command);
    return true;
}

static void answer_mail(struct smtp_server_session *session)
{
    struct smtp_reply reply = { 0 };
    session_update_protocol(session);
    session->server->options.handler->on_mail(
        session->client, &session->transaction->transaction, &reply);
    if (reply.code == 0) {
        smtp_reply_set(&reply, 250, "2.1.0", "Ok");
    }
    if (smtp_reply_class(&reply) != 2) {
        session_drop_transaction(session);
    }
    session_send_answer(session, &reply);
}

static void run_mail(struct smtp_server_session *session, struct text arguments)
{
    struct smtp_reply refusal = { 0 };
    /* RFC 9422 5: every MAIL counts, whatever becomes of it. */
    session->message_count++;
    session->idle_commands = 0;
    if (session->message_count > smtp_limits_now()->messages_per_session) {
        session_end(session, 421, "4.7.0",
                    "That were enough messages for one session, connect "
                    "again");
        return;
    }
    session->transaction = transaction_create();
    if (!parse_mail(session, arguments, &refusal)) {
        session_drop_transaction(session);
        session_send(session, &refusal);
        session_count_error(session);
        return;
    }
    answer_mail(session);
}

static void add_recipient(struct server_transaction *transaction,
                          const struct smtp_recipient *recipient)
{
    struct smtp_transaction *visible = &transaction->transaction;
    if (visible->recipient_count == transaction->recipient_capacity) {
        size_t capacity = transaction->recipient_capacity;
        capacity = capacity == 0 ? 4 : capacity * 2;
        visible->recipients = memory_resize(
            visible->recipients, capacity * sizeof(*visible->recipients));
        transaction->recipient_capacity = capacity;
    }
    visible->recipients[visible->recipient_count++] = *recipient;
}

static bool parse_rcpt(struct smtp_server_session *session,
                       struct text arguments,
                       struct smtp_recipient *out_recipient,
                       struct smtp_reply *out_reply)
{
    struct path_command command = {
        .keyword = "TO:",
        .syntax_code = "5.1.3",
        .place = PARAMETERS_OF_RCPT,
    };
    struct smtp_transaction *transaction = &session->transaction->transaction;
    struct arena *arena = transaction->arena;
    if (!parse_path(&command, arguments, out_reply) ||
        !parse_path_parameters(session, &command, transaction, out_recipient,
                               out_reply)) {
        return false;
    }
    if (address_is_null(&command.address)) {
        smtp_reply_set(out_reply, 501, "5.1.3", "The address is empty");
        return false;
    }
    /* RFC 5321 4.1.1.3: "Postmaster" without a domain is ours. */
    bool is_ours = command.domain[0] == '\0';
    struct text domain = is_ours ? text_of(session->server->options.hostname)
                                 : command.address.domain;
    out_recipient->local = arena_copy_text(arena, command.address.local);
    out_recipient->domain = is_ours ? arena_copy_text(arena, domain)
                                    : arena_copy_string(arena, command.domain);
    /* One mailbox has one name, whichever labels its domain is written in: a
     * suppression, an objection and a route are met by both. */
    if (text_has_8bit(domain)) {
        domain = text_of(out_recipient->domain);
    }
    out_recipient->address = arena_printf(
        arena, "%s@%.*s", out_recipient->local, TEXT_ARGUMENTS(domain));
    return true;
}

static void answer_rcpt(struct smtp_server_session *session,
                        const struct smtp_recipient *recipient,
                        const struct smtp_reply *answer)
{
    struct smtp_reply reply = *answer;
    if (reply.code == 0) {
        smtp_reply_set(&reply, 250, "2.1.5", "Ok");
    }
    bool is_accepted = smtp_reply_class(&reply) == 2;
    smtp_metric_add(is_accepted ? METRIC_RECIPIENTS_ACCEPTED
                                : METRIC_RECIPIENTS_REFUSED,
                    1);
    if (is_accepted) {
        add_recipient(session->transaction, recipient);
    }
    session_send_answer(session, &reply);
}

static void ask_about_recipient(struct smtp_server_session *session,
                                const struct smtp_recipient *recipient)
{
    struct smtp_reply reply = { 0 };
    session->server->options.handler->on_recipient(
        session->client, &session->transaction->transaction, recipient, &reply);
    if (reply.code == SMTP_REPLY_LATER) {
        session->transaction->asked = *recipient; /* its strings stay */
        session_enter(session, SESSION_ASKING);
    } else {
        answer_rcpt(session, recipient, &reply);
    }
}

void smtp_server_answer_recipient(struct smtp_server_session *session,
                                  const struct smtp_reply *reply)
{
    if (session->stream == NULL) {
        return;
    }
    check(session->state == SESSION_ASKING && session->transaction != NULL);
    session_enter(session, SESSION_COMMAND);
    answer_rcpt(session, &session->transaction->asked, reply);
    session_settle(session);
    session_wake(session);
}

static void run_rcpt(struct smtp_server_session *session, struct text arguments)
{
    struct server_transaction *transaction = session->transaction;
    struct smtp_recipient recipient = { 0 };
    struct smtp_reply refusal = { 0 };
    if (transaction->has_bdat) {
        session_refuse(session, 503, "5.5.1", "The message has begun");
        return;
    }
    transaction->recipient_commands++;
    if (transaction->recipient_commands >
        smtp_limits_now()->recipients_per_message) {
        session_reply(session, 452, "4.5.3",
                      "Too many recipients: send the message to the others "
                      "once more");
        return;
    }
    if (!parse_rcpt(session, arguments, &recipient, &refusal)) {
        session_send(session, &refusal);
        session_count_error(session);
        return;
    }
    ask_about_recipient(session, &recipient);
}

/* --- the message --- */

static void run_data(struct smtp_server_session *session, struct text arguments)
{
    const struct server_transaction *transaction = session->transaction;
    (void)arguments;
    if (transaction->has_bdat) {
        session_refuse(session, 503, "5.5.1",
                       "DATA cannot follow BDAT in one message");
    } else if (transaction->transaction.recipient_count > 0) {
        data_start(session);
    } else if (transaction->recipient_commands > 0) {
        session_reply(session, 554, "5.5.1", "No valid recipients");
    } else {
        session_refuse(session, 503, "5.5.1", "Send RCPT first");
    }
}

/* --- the rest --- */

static void run_rset(struct smtp_server_session *session, struct text arguments)
{
    (void)arguments;
    session_drop_transaction(session);
    session_reply(session, 250, "2.0.0", "Ok");
}

static void run_noop(struct smtp_server_session *session, struct text arguments)
{
    (void)arguments;
    session_reply(session, 250, "2.0.0", "Ok");
}

static void run_help(struct smtp_server_session *session, struct text arguments)
{
    (void)arguments;
    session_reply(session, 214, "2.0.0",
                  "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT\n"
                  "RSET NOOP HELP VRFY QUIT");
}

static void run_vrfy(struct smtp_server_session *session, struct text arguments)
{
    if (arguments.length == 0) {
        session_refuse(session, 501, "5.5.4", "VRFY takes an address");
    } else {
        session_reply(session, 252, "2.0.0",
                      "Addresses are not verified here, send the message");
    }
}

static void run_quit(struct smtp_server_session *session, struct text arguments)
{
    (void)arguments;
    session_end(session, 221, "2.0.0", "%s says goodbye",
                session->server->options.hostname);
}

static void run_not_offered(struct smtp_server_session *session,
                            struct text arguments)
{
    (void)arguments;
    session_refuse(session, 502, "5.5.1", "This command is not offered");
}

static const struct verb verbs[] = {
    { "EHLO", BRINGS_NOTHING, run_ehlo, NULL },
    { "HELO", BRINGS_NOTHING, run_helo, NULL },
    { "STARTTLS", NO_ARGUMENTS, run_starttls, NULL },
    { "AUTH", NEEDS_HELO | NEEDS_TLS | NO_TRANSACTION, auth_start, "AUTH ***" },
    { "MAIL", NEEDS_HELO | NEEDS_TLS | NEEDS_AUTH | NO_TRANSACTION, run_mail,
      NULL },
    { "RCPT", NEEDS_TRANSACTION, run_rcpt, NULL },
    { "DATA", NEEDS_TRANSACTION | NO_ARGUMENTS, run_data, NULL },
    { "BDAT", 0, bdat_start, NULL },
    { "RSET", NO_ARGUMENTS | BRINGS_NOTHING, run_rset, NULL },
    { "NOOP", BRINGS_NOTHING, run_noop, NULL },
    { "HELP", BRINGS_NOTHING, run_help, NULL },
    { "VRFY", NEEDS_TLS | BRINGS_NOTHING, run_vrfy, NULL },
    { "QUIT", NO_ARGUMENTS, run_quit, NULL },
    { "EXPN", 0, run_not_offered, NULL },
    { "ETRN", 0, run_not_offered, NULL },
    { "TURN", 0, run_not_offered, NULL },
    { "SEND", 0, run_not_offered, NULL },
    { "SOML", 0, run_not_offered, NULL },
    { "SAML", 0, run_not_offered, NULL },
};

static const struct verb *find_verb(struct text name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        if (text_is_ignoring_case(name, verbs[i].name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Whether the verb may run now; false: it was refused. */
static bool check_flags(struct smtp_server_session *session, unsigned flags,
                        struct text arguments)
{
    const struct smtp_listener_policy *policy = session->policy;
    bool has_transaction = session->transaction != NULL;
    if ((flags & NEEDS_TLS) && policy->tls == SMTP_TLS_REQUIRED &&
        !session->facts.is_tls) {
        session_refuse(session, 530, "5.7.0",
                       "Must issue a STARTTLS command first");
    } else if ((flags & NEEDS_HELO) && session->helo_name == NULL) {
        session_refuse(session, 503, "5.5.1", "Say EHLO first");
    } else if ((flags & NEEDS_AUTH) && policy->auth_required &&
               session->facts.auth_user == NULL) {
        session_refuse(session, 530, "5.7.0", "Authentication required");
    } else if ((flags & NEEDS_TRANSACTION) && !has_transaction) {
        session_refuse(session, 503, "5.5.1", "Send MAIL first");
    } else if ((flags & NO_TRANSACTION) && has_transaction) {
        session_refuse(session, 503, "5.5.1",
                       "Not while a message is being sent: RSET forgets it");
    } else if ((flags & NO_ARGUMENTS) && arguments.length > 0) {
        session_refuse(session, 501, "5.5.4",
                       "Nothing may stand behind this command");
    } else {
        return true;
    }
    return false;
}

static void count_idle(struct smtp_server_session *session)
{
    if (++session->idle_commands > IDLE_COMMANDS_MAX) {
        session_count_error(session);
    }
}

static struct text name_of(struct text line)
{
    return text_slice(line, 0, text_find_byte(line, ' '));
}

bool verb_is_auth(struct text line)
{
    return text_is_ignoring_case(name_of(line), "AUTH");
}

void verb_dispatch(struct smtp_server_session *session, struct text line)
{
    struct text name = name_of(line);
    struct text arguments =
        text_trim(text_slice(line, name.length, line.length));
    const struct verb *verb = find_verb(text_trim(name));
    transcript_received(&session->transcript,
                        verb != NULL && verb->shown_as != NULL
                            ? text_of(verb->shown_as)
                            : line);
    if (verb == NULL) {
        session_refuse(session, 500, line.length == 0 ? "5.5.2" : "5.5.1", "%s",
                       line.length == 0 ? "An empty line is no command"
                                        : "This command is not known");
    } else if (check_flags(session, verb->flags, arguments)) {
        verb->run(session, arguments);
        if (verb->flags & BRINGS_NOTHING) {
            count_idle(session);
        }
    }
}
