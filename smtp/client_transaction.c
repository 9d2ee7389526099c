/* SPDX-License-Identifier: MIT */
/*
 * One mail transaction: a queue of commands, each with the function that takes
 * its reply. With PIPELINING the whole queue is written at once (RFC 2920),
 * else one command at a time; the first one without a reply gets the next
 * reply. The queue is the state: the message itself is sent by the function
 * that takes the 354, and the final dot is one more entry. An empty queue is
 * the end.
 */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/memory.h"
#include "smtp/client_internal.h"

struct client_verb {
    struct client_wait wait;
    /* Returns whether the transaction goes on; false: it was ended. */
    bool (*on_reply)(struct client_session *session,
                     const struct client_command *command,
                     const struct smtp_reply *reply);
};

enum verb_number {
    VERB_RSET,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_DOT,
    VERB_EMPTY_DOT, /* ends a message that nobody gets */
    VERB_COUNT
};
static const struct client_verb verbs[VERB_COUNT];

static const struct client_wait body_wait = {
    "body", "room for the next part of the message", 180
};

/* -- outcomes -- */

static void decide_rest(struct client_session *session,
                        const struct smtp_outcome *outcome)
{
    struct smtp_client_transaction *transaction = session->exchange.transaction;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        struct smtp_outcome *own = &transaction->recipients[i].outcome;
        if (own->verdict == VERDICT_NONE) {
            *own = *outcome;
        }
    }
}

struct smtp_client_transaction *client_transaction_take(
    struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    struct smtp_client_transaction *transaction = exchange->transaction;
    exchange->transaction = NULL;
    exchange->needs_reset |= exchange->sent > 0 && !exchange->is_over;
    loop_cancel_posts(session->loop, session);
    return transaction;
}

static void finish(struct client_session *session, bool is_reusable)
{
    int64_t started = session->exchange.started_monotonic;
    struct smtp_client_transaction *transaction =
        client_transaction_take(session);
    transaction->transfer_milliseconds =
        (clock_monotonic() - started) / CLOCK_MILLISECOND;
    client_session_finish(session, transaction, is_reusable);
}

void client_transaction_fail(struct client_session *session,
                             const struct smtp_outcome *outcome)
{
    transcript_remark(&session->exchange.transaction->transcript, "%s",
                      outcome->text);
    session->is_host_bad |= outcome->scope == SCOPE_HOST;
    decide_rest(session, outcome);
    finish(session, false);
}

bool client_transaction_is_stale(const struct client_session *session)
{
    const struct client_exchange *exchange = &session->exchange;
    return exchange->transaction != NULL && session->message_count > 1 &&
           !exchange->has_reply && !exchange->transaction->is_second_try;
}

/* -- the queue -- */

/* Begin a command; its line is what is appended until end_command. */
static struct buffer *begin_command(struct client_exchange *exchange,
                                    enum verb_number verb,
                                    struct smtp_client_recipient *recipient)
{
    if (exchange->count == exchange->capacity) {
        exchange->capacity = exchange->capacity * 2 + 8;
        exchange->commands =
            memory_resize(exchange->commands,
                          exchange->capacity * sizeof(*exchange->commands));
    }
    exchange->commands[exchange->count] = (struct client_command){
        .verb = &verbs[verb],
        .recipient = recipient,
        .from = exchange->lines.length,
    };
    return &exchange->lines;
}

static void end_command(struct client_exchange *exchange)
{
    buffer_append_string(&exchange->lines, "\r\n");
    exchange->commands[exchange->count++].to = exchange->lines.length;
}

static void queue_word(struct client_exchange *exchange, enum verb_number verb,
                       const char *word)
{
    buffer_append_string(begin_command(exchange, verb, NULL), word);
    end_command(exchange);
}

/* A dot that is written already. */
static void queue_dot(struct client_exchange *exchange, enum verb_number verb)
{
    begin_command(exchange, verb, NULL);
    exchange->commands[exchange->count].to = exchange->lines.length;
    exchange->count++;
    exchange->sent = exchange->count;
}

static void write_command(struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    const struct client_command *command =
        &exchange->commands[exchange->sent++];
    struct text line =
        text_slice(buffer_text(&exchange->lines), command->from, command->to);
    transcript_sent(session->noted, text_slice(line, 0, line.length - 2));
    stream_write_text(session->stream, line);
}

/* Write what may be written now and wait for the next reply. */
static void write_commands(struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    while (exchange->sent < exchange->count &&
           (session->capabilities.has_pipelining ||
            exchange->sent == exchange->answered)) {
        write_command(session);
    }
    if (exchange->answered < exchange->sent) {
        client_session_await(
            session, &exchange->commands[exchange->answered].verb->wait);
    }
}

static void drop_unsent(struct client_exchange *exchange)
{
    exchange->count = exchange->sent;
}

/* -- replies -- */

static bool is_positive(const struct smtp_reply *reply)
{
    return smtp_reply_class(reply) == 2;
}

/* A refusal of the whole message, or of us all (421): true, go on. */
static bool refuse_message(struct client_session *session,
                           const struct client_command *command,
                           const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    smtp_outcome_from_reply(&outcome, command->verb->wait.name, reply);
    if (outcome.scope == SCOPE_HOST) {
        client_transaction_fail(session, &outcome);
        return false;
    }
    decide_rest(session, &outcome);
    drop_unsent(&session->exchange);
    return true;
}

static bool on_rset_reply(struct client_session *session,
                          const struct client_command *command,
                          const struct smtp_reply *reply)
{
    if (!is_positive(reply)) {
        return refuse_message(session, command, reply);
    }
    session->exchange.needs_reset = false;
    return true;
}

static bool on_mail_reply(struct client_session *session,
                          const struct client_command *command,
                          const struct smtp_reply *reply)
{
    session->exchange.has_reply = true;
    return is_positive(reply) || refuse_message(session, command, reply);
}

/* Without anybody to get it there is no point in DATA, unless it was sent. */
static void drop_pointless_data(struct client_exchange *exchange)
{
    if (exchange->accepted_count == 0 && exchange->sent < exchange->count &&
        exchange->commands[exchange->sent].verb == &verbs[VERB_DATA]) {
        drop_unsent(exchange);
    }
}

static bool on_rcpt_reply(struct client_session *session,
                          const struct client_command *command,
                          const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    if (command->recipient->outcome.verdict != VERDICT_NONE) {
        return true; /* MAIL was refused */
    }
    if (is_positive(reply)) {
        session->exchange.accepted_count++;
        return true;
    }
    smtp_outcome_from_reply(&outcome, command->verb->wait.name, reply);
    if (outcome.scope == SCOPE_HOST) {
        client_transaction_fail(session, &outcome);
        return false;
    }
    command->recipient->outcome = outcome;
    drop_pointless_data(&session->exchange);
    return true;
}

static bool may_finish(const struct smtp_client_transaction *transaction)
{
    return transaction->may_finish == NULL ||
           transaction->may_finish(transaction->owner);
}

static bool send_dot(struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    struct smtp_client_transaction *transaction = exchange->transaction;
    struct smtp_outcome outcome;
    if (!may_finish(transaction)) {
        smtp_outcome_decide(&outcome, VERDICT_DEFERRED, SCOPE_MESSAGE, "4.3.2",
                            body_wait.name,
                            "broken off before the final dot: this server may "
                            "not finish the message any more");
        client_transaction_fail(session, &outcome);
        return false;
    }
    client_body_write_dot(&exchange->body, session->stream);
    transcript_remark(session->noted, "message of %zu octets, then the dot",
                      transaction->size_bytes);
    client_metric_add(CLIENT_OCTETS, (int64_t)transaction->size_bytes);
    exchange->is_body_running = false;
    queue_dot(exchange, VERB_DOT);
    client_session_await(session, &verbs[VERB_DOT].wait);
    return true;
}

/* The dot leaves with the end of the message where that is short. */
static bool send_slice(struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    size_t left = client_body_left(&exchange->body);
    client_body_write(&exchange->body, session->stream, CLIENT_SLICE_BYTES);
    if (left <= CLIENT_DOT_SLICE_BYTES) {
        return send_dot(session);
    }
    client_session_await(session, &body_wait);
    return true;
}

void client_transaction_continue(struct client_session *session)
{
    if (session->exchange.is_body_running &&
        stream_output_length(session->stream) == 0) {
        (void)send_slice(session);
    }
}

/* RFC 2920 3.1: a server may say 354 though it took no recipient. */
static bool on_go_ahead(struct client_session *session)
{
    struct client_exchange *exchange = &session->exchange;
    const struct smtp_client_transaction *transaction = exchange->transaction;
    client_body_begin(&exchange->body, transaction->pieces,
                      transaction->piece_count);
    if (exchange->accepted_count > 0) {
        exchange->is_body_running = true;
        return send_slice(session);
    }
    stream_write(session->stream, ".\r\n", 3);
    transcript_remark(session->noted, "nobody to get it: an empty message");
    queue_dot(exchange, VERB_EMPTY_DOT);
    return true;
}

static bool on_data_reply(struct client_session *session,
                          const struct client_command *command,
                          const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    if (reply->code != 354) {
        return refuse_message(session, command, reply);
    }
    /* Nothing may follow a 354 before our dot. A 250 taken for the reply to the
     * dot would lose the message. */
    if (stream_input(session->stream).length > 0) {
        smtp_outcome_from_trouble(&outcome, command->verb->wait.name, "4.5.0",
                                  "%s answered before it had the message",
                                  session->host.name);
        client_transaction_fail(session, &outcome);
        return false;
    }
    return on_go_ahead(session);
}

static bool on_dot_reply(struct client_session *session,
                         const struct client_command *command,
                         const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    session->exchange.is_over = true;
    if (!is_positive(reply)) {
        return refuse_message(session, command, reply);
    }
    smtp_outcome_delivered(&outcome, reply);
    decide_rest(session, &outcome);
    return true;
}

static bool on_empty_dot_reply(struct client_session *session,
                               const struct client_command *command,
                               const struct smtp_reply *reply)
{
    (void)command;
    (void)reply;
    session->exchange.is_over = true;
    return true;
}

/* Time-outs: RFC 5321 4.5.3.2. */
static const struct client_verb verbs[VERB_COUNT] = {
    [VERB_RSET] = { { "RSET", "the reply to RSET", 300 }, on_rset_reply },
    [VERB_MAIL] = { { "MAIL", "the reply to MAIL", 300 }, on_mail_reply },
    [VERB_RCPT] = { { "RCPT", "the reply to RCPT", 300 }, on_rcpt_reply },
    [VERB_DATA] = { { "DATA", "the reply to DATA", 120 }, on_data_reply },
    [VERB_DOT] = { { "final dot", "the reply to the final dot", 600 },
                   on_dot_reply },
    [VERB_EMPTY_DOT] = { { "DATA", "the reply to an empty message", 600 },
                         on_empty_dot_reply },
};

/* The peer did not wait for the end of the message; the rest of it would be
 * taken for commands, so the connection goes. */
static void take_early_reply(struct client_session *session,
                             const struct smtp_reply *reply)
{
    struct smtp_outcome outcome;
    smtp_outcome_from_reply(&outcome, body_wait.name, reply);
    client_transaction_fail(session, &outcome);
}

void client_transaction_reply(struct client_session *session,
                              const struct smtp_reply *reply)
{
    struct client_exchange *exchange = &session->exchange;
    if (exchange->answered == exchange->sent) {
        take_early_reply(session, reply);
        return;
    }
    struct client_command command = exchange->commands[exchange->answered++];
    if (!command.verb->on_reply(session, &command, reply)) {
        return;
    }
    if (exchange->answered == exchange->count && !exchange->is_body_running) {
        finish(session, true);
    } else {
        write_commands(session);
    }
}

/* -- the beginning -- */

/* A control byte could end the command and begin another. */
static bool is_sendable(const char *word)
{
    for (const char *at = word; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

/* ENVID and ORCPT are xtext (RFC 3461, 4): printable, without blanks. */
static bool is_parameter_value(const char *word)
{
    return word != NULL && word[0] != '\0' && is_sendable(word) &&
           strchr(word, ' ') == NULL && !text_has_8bit(text_of(word));
}

static void split_address(const char *address, struct text *out_local,
                          struct text *out_domain)
{
    struct text whole = text_of(address);
    const char *at = strrchr(address, '@');
    size_t length = at != NULL ? (size_t)(at - address) : whole.length;
    *out_local = text_slice(whole, 0, length);
    *out_domain = text_slice(whole, length + 1, whole.length);
}

static bool needs_smtputf8(const char *address)
{
    struct text local;
    struct text domain;
    split_address(address, &local, &domain);
    return text_has_8bit(local);
}

/* Append <local@domain>. A domain alone that is not ASCII becomes A-labels,
 * which every host understands: RFC 6531 3.2 (E6). */
static bool append_path(struct buffer *line, const char *address,
                        struct error *error)
{
    struct text local;
    struct text domain;
    char normal[DOMAIN_TEXT_MAX + 1];
    split_address(address, &local, &domain);
    if (!is_sendable(address)) {
        return error_set(error, "the address holds a control character");
    }
    if (text_has_8bit(local) || !text_has_8bit(domain)) {
        buffer_printf(line, "<%s>", address);
        return true;
    }
    if (!domain_normalize(domain, normal, error)) {
        return false;
    }
    buffer_printf(line, "<%.*s@%s>", TEXT_ARGUMENTS(local), normal);
    return true;
}

static bool uses_smtputf8(const struct smtp_client_transaction *transaction)
{
    bool needed =
        transaction->needs_smtputf8 || needs_smtputf8(transaction->sender);
    for (size_t i = 0; !needed && i < transaction->recipient_count; i++) {
        needed = needs_smtputf8(transaction->recipients[i].address);
    }
    return needed;
}

/* What keeps the message from this host, found before anything is said. */
static bool find_obstacle(const struct client_session *session,
                          const struct smtp_client_transaction *transaction,
                          struct smtp_outcome *out_obstacle)
{
    const struct client_capabilities *offered = &session->capabilities;
    const char *step = verbs[VERB_MAIL].wait.name;
    const char *host = session->host.name;
    if (!client_body_is_clean(transaction->pieces, transaction->piece_count)) {
        smtp_outcome_decide(out_obstacle, VERDICT_FAILED, SCOPE_MESSAGE,
                            "5.6.0", step,
                            "the message holds a CR or LF that ends no line, "
                            "which must not be sent");
    } else if (offered->size_max > 0 &&
               transaction->size_bytes > offered->size_max) {
        smtp_outcome_decide(out_obstacle, VERDICT_FAILED, SCOPE_MESSAGE,
                            "5.3.4", step,
                            "the message has %zu octets, but %s takes no more "
                            "than %llu",
                            transaction->size_bytes, host,
                            (unsigned long long)offered->size_max);
    } else if (transaction->has_8bit && !offered->has_8bitmime) {
        smtp_outcome_decide(out_obstacle, VERDICT_FAILED, SCOPE_MESSAGE,
                            "5.6.3", step,
                            "the message holds 8-bit text, which %s does not "
                            "take (no 8BITMIME)",
                            host);
    } else if (!offered->has_smtputf8 &&
               (transaction->needs_smtputf8 ||
                needs_smtputf8(transaction->sender))) {
        smtp_outcome_decide(out_obstacle, VERDICT_FAILED, SCOPE_MESSAGE,
                            "5.6.7", step,
                            "the message needs SMTPUTF8, which %s does not "
                            "offer",
                            host);
    } else {
        return false;
    }
    return true;
}

static void append_mail_parameters(
    const struct client_session *session,
    const struct smtp_client_transaction *transaction, struct buffer *line)
{
    static const char *const returns[] = {
        [DSN_RETURN_UNSET] = "",
        [DSN_RETURN_FULL] = " RET=FULL",
        [DSN_RETURN_HEADERS] = " RET=HDRS",
    };
    const struct client_capabilities *offered = &session->capabilities;
    if (offered->has_size) {
        buffer_printf(line, " SIZE=%zu", transaction->size_bytes);
    }
    if (transaction->has_8bit) {
        buffer_append_string(line, " BODY=8BITMIME");
    }
    if (offered->has_smtputf8 && uses_smtputf8(transaction)) {
        buffer_append_string(line, " SMTPUTF8");
    }
    if (offered->has_dsn) {
        buffer_append_string(line, returns[transaction->dsn_return]);
        if (is_parameter_value(transaction->envelope_id)) {
            buffer_printf(line, " ENVID=%s", transaction->envelope_id);
        }
    }
}

static void append_notify(struct buffer *line, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        { DSN_NOTIFY_NEVER, "NEVER" },
        { DSN_NOTIFY_SUCCESS, "SUCCESS" },
        { DSN_NOTIFY_FAILURE, "FAILURE" },
        { DSN_NOTIFY_DELAY, "DELAY" },
    };
    const char *before = " NOTIFY=";
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if ((notify & words[i].bit) != 0) {
            buffer_printf(line, "%s%s", before, words[i].word);
            before = ",";
        }
    }
}

static bool queue_mail(struct client_session *session,
                       const struct smtp_client_transaction *transaction)
{
    struct client_exchange *exchange = &session->exchange;
    struct smtp_outcome outcome;
    struct error error;
    struct buffer *line = begin_command(exchange, VERB_MAIL, NULL);
    buffer_append_string(line, "MAIL FROM:");
    if (!append_path(line, transaction->sender, &error)) {
        smtp_outcome_decide(&outcome, VERDICT_FAILED, SCOPE_MESSAGE, "5.1.7",
                            verbs[VERB_MAIL].wait.name,
                            "the sender cannot be sent: %s", error.text);
        decide_rest(session, &outcome);
        return false;
    }
    append_mail_parameters(session, transaction, line);
    end_command(exchange);
    return true;
}

/* Put RCPT in the queue, or decide at once why not. */
static bool queue_rcpt(struct client_session *session,
                       struct smtp_client_recipient *recipient)
{
    struct client_exchange *exchange = &session->exchange;
    const struct client_capabilities *offered = &session->capabilities;
    const char *step = verbs[VERB_RCPT].wait.name;
    struct error error;
    if (!offered->has_smtputf8 && needs_smtputf8(recipient->address)) {
        smtp_outcome_decide(&recipient->outcome, VERDICT_FAILED,
                            SCOPE_RECIPIENT, "5.6.7", step,
                            "the address needs SMTPUTF8, which %s does not "
                            "offer",
                            session->host.name);
        return false;
    }
    struct buffer *line = begin_command(exchange, VERB_RCPT, recipient);
    buffer_append_string(line, "RCPT TO:");
    if (!append_path(line, recipient->address, &error)) {
        smtp_outcome_decide(&recipient->outcome, VERDICT_FAILED,
                            SCOPE_RECIPIENT, "5.1.3", step,
                            "the address cannot be sent: %s", error.text);
        return false;
    }
    if (offered->has_dsn) { /* RFC 3461 5.2.1 (E8) */
        append_notify(line, recipient->notify);
        if (is_parameter_value(recipient->original_recipient)) {
            buffer_printf(line, " ORCPT=%s", recipient->original_recipient);
        }
    }
    end_command(exchange);
    return true;
}

/* LIMITS RCPTMAX: the others go with another transaction (E10). */
static void leave_untried(const struct client_session *session,
                          struct smtp_client_recipient *recipient)
{
    smtp_outcome_decide(
        &recipient->outcome, VERDICT_DEFERRED, SCOPE_RECIPIENT, "4.5.3",
        verbs[VERB_RCPT].wait.name,
        "%s takes no more than %llu recipients at a time", session->host.name,
        (unsigned long long)session->capabilities.recipients_max);
    recipient->outcome.is_untried = true;
}

static size_t queue_recipients(struct client_session *session,
                               struct smtp_client_transaction *transaction)
{
    uint64_t most = session->capabilities.recipients_max;
    size_t queued = 0;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        struct smtp_client_recipient *recipient = &transaction->recipients[i];
        if (most > 0 && queued >= most) {
            leave_untried(session, recipient);
        } else if (queue_rcpt(session, recipient)) {
            queued++;
        }
    }
    return queued;
}

/* Whether there is anything to say to the host. */
static bool queue_commands(struct client_session *session,
                           struct smtp_client_transaction *transaction)
{
    struct client_exchange *exchange = &session->exchange;
    struct smtp_outcome obstacle;
    if (find_obstacle(session, transaction, &obstacle)) {
        decide_rest(session, &obstacle);
        return false;
    }
    if (exchange->needs_reset) {
        queue_word(exchange, VERB_RSET, "RSET");
    }
    if (!queue_mail(session, transaction) ||
        queue_recipients(session, transaction) == 0) {
        return false;
    }
    queue_word(exchange, VERB_DATA, "DATA");
    return true;
}

static void finish_unsent(void *owner)
{
    finish(owner, true);
}

static void reset_exchange(struct client_exchange *exchange,
                           struct smtp_client_transaction *transaction)
{
    exchange->transaction = transaction;
    exchange->count = 0;
    exchange->sent = 0;
    exchange->answered = 0;
    exchange->is_body_running = false;
    exchange->has_reply = false;
    exchange->is_over = false;
    exchange->accepted_count = 0;
    exchange->started_monotonic = clock_monotonic();
    buffer_clear(&exchange->lines);
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        transaction->recipients[i].outcome = (struct smtp_outcome){ 0 };
    }
}

void client_transaction_begin(struct client_session *session,
                              struct smtp_client_transaction *transaction)
{
    struct client_exchange *exchange = &session->exchange;
    reset_exchange(exchange, transaction);
    if (queue_commands(session, transaction)) {
        write_commands(session);
        return;
    }
    /* Later, since nobody is called back from inside the call. */
    exchange->count = 0;
    client_session_await(session, &verbs[VERB_MAIL].wait);
    loop_post(session->loop, finish_unsent, session);
}

void client_transaction_free(struct client_session *session)
{
    memory_free(session->exchange.commands);
    buffer_free(&session->exchange.lines);
}
