/* SPDX-License-Identifier: MIT */
/*
 * DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030). What must be refused is refused
 * once, after its last octet: content never becomes commands.
 *
 * Octets are kept only as far as the budget has granted them. While it has not,
 * the stream is paused and no time runs against the client.
 */
#include <inttypes.h>

#include "core/clock.h"
#include "core/memory.h"
#include "smtp/server_internal.h"

/* How much is asked of the budget at a time: a quarter of what there is. */
#define ROOM_STEP_MIN ((size_t)16 * 1024)
#define ROOM_STEP_MAX ((size_t)4 * 1024 * 1024)

struct server_transaction *transaction_create(void)
{
    struct server_transaction *transaction = memory_alloc(sizeof(*transaction));
    transaction->transaction.arena = arena_create();
    transaction->transaction.sender = "";
    transaction->transaction.sender_domain = "";
    return transaction;
}

static void drop_data(struct smtp_transaction *transaction)
{
    buffer_free(&transaction->data);
    if (transaction->share.budget != NULL) {
        budget_give_back(&transaction->share);
    }
}

static void drop_intake(struct smtp_server_session *session)
{
    memory_free(session->intake);
    session->intake = NULL;
}

void session_drop_transaction(struct smtp_server_session *session)
{
    struct server_transaction *doomed = session->transaction;
    drop_intake(session);
    if (doomed == NULL) {
        return;
    }
    session->transaction = NULL;
    drop_data(&doomed->transaction);
    memory_free(doomed->transaction.recipients);
    arena_free(&doomed->transaction.arena);
    memory_free(doomed);
    session_update_protocol(session);
}

int64_t data_timeout_milliseconds(const struct smtp_server_session *session)
{
    const struct smtp_limits *limits = smtp_limits_now();
    const struct intake *intake = session->intake;
    if (intake == NULL || intake->is_waiting) {
        return -1;
    }
    int64_t left = limits->message_timeout -
                   (clock_monotonic() - intake->started_at) / CLOCK_MILLISECOND;
    left = left < 0 ? 0 : left;
    return left < limits->data_timeout ? left : limits->data_timeout;
}

/* --- memory --- */

static void on_room_granted(void *owner)
{
    struct smtp_server_session *session = owner;
    struct intake *intake = session->intake;
    intake->is_waiting = false;
    intake->started_at += clock_monotonic() - intake->waiting_since;
    stream_resume(session->stream);
    session_set_timer(session);
}

static size_t next_step(size_t have)
{
    size_t step = have / 4;
    if (step < ROOM_STEP_MIN) {
        return ROOM_STEP_MIN;
    }
    return step < ROOM_STEP_MAX ? step : ROOM_STEP_MAX;
}

/* Have the budget's leave to keep so many octets more. False: we wait. */
static bool make_room(struct smtp_server_session *session, size_t more_bytes)
{
    struct server_transaction *transaction = session->transaction;
    struct budget_share *share = &transaction->transaction.share;
    size_t limit = (size_t)transaction->content.size_limit;
    size_t wanted = transaction->transaction.data.length + more_bytes;
    /* What is over the limit will not be kept. */
    wanted = wanted < limit ? wanted : limit;
    if (share->bytes >= wanted) {
        return true;
    }
    size_t granted_next = share->bytes + next_step(share->bytes);
    granted_next = granted_next < wanted ? wanted : granted_next;
    granted_next = granted_next < limit ? granted_next : limit;
    if (budget_take(session->server->options.budget, share,
                    granted_next - share->bytes, on_room_granted, session)) {
        return true;
    }
    smtp_metric_add(METRIC_BUDGET_WAITS, 1);
    session->intake->is_waiting = true;
    session->intake->waiting_since = clock_monotonic();
    stream_pause(session->stream);
    session_set_timer(session);
    return false;
}

/* --- the end of a message --- */

static void set_fault_reply(const struct content *content,
                            struct smtp_reply *out_reply)
{
    static const char *const names[] = {
        [CONTENT_BARE_CR] = "bare CR",
        [CONTENT_BARE_LF] = "bare LF",
    };
    switch (content->fault) {
    case CONTENT_TOO_LARGE:
        smtp_reply_set(out_reply, 552, "5.3.4",
                       "The message is larger than the %" PRIu64
                       " octets accepted here",
                       content->size_limit);
        break;
    case CONTENT_NUL:
        smtp_reply_set(out_reply, 550, "5.6.0",
                       "NUL at line %" PRIu64
                       " of the message: text has none (RFC 5321 4.5.2)",
                       content->fault_line);
        break;
    default:
        smtp_reply_set(out_reply, 550, "5.6.0",
                       "%s at line %" PRIu64
                       " of the message: lines must end with CR LF "
                       "(RFC 5321 2.3.8)",
                       names[content->fault], content->fault_line);
        break;
    }
}

static void refuse_content(struct smtp_server_session *session)
{
    struct smtp_reply refusal;
    const struct content *content = &session->transaction->content;
    set_fault_reply(content, &refusal);
    smtp_metric_add(content->fault == CONTENT_TOO_LARGE
                        ? METRIC_CONTENT_TOO_LARGE
                        : METRIC_CONTENT_MALFORMED,
                    1);
    session_drop_transaction(session);
    session_enter(session, SESSION_COMMAND);
    session_send(session, &refusal);
}

static void hand_over(struct smtp_server_session *session)
{
    struct smtp_transaction *transaction = &session->transaction->transaction;
    const struct content *content = &session->transaction->content;
    transaction->has_8bit = content->has_8bit;
    transaction->longest_line = content->longest_line;
    transaction->received_at = clock_now();
    smtp_metric_add(METRIC_MESSAGES_TAKEN, 1);
    smtp_metric_add(METRIC_MESSAGE_BYTES, (int64_t)transaction->data.length);
    drop_intake(session);
    session_enter(session, SESSION_ASKING);
    session->server->options.handler->on_message(session->client, transaction,
                                                 &session->transcript);
}

static void end_message(struct smtp_server_session *session)
{
    struct server_transaction *transaction = session->transaction;
    content_finish(&transaction->content, &transaction->transaction.data);
    if (transaction->content.fault != CONTENT_GOOD) {
        refuse_content(session);
    } else {
        hand_over(session);
    }
}

void smtp_server_finish(struct smtp_server_session *session,
                        const struct smtp_reply *reply)
{
    static const struct smtp_reply usual = { 250, "2.0.0", "Ok" };
    if (session->stream == NULL) {
        return;
    }
    check(session->state == SESSION_ASKING && session->transaction != NULL);
    session_drop_transaction(session);
    session_enter(session, SESSION_COMMAND);
    session_send_answer(session, reply->code == 0 ? &usual : reply);
    transcript_start(&session->transcript);
    session_settle(session);
    session_wake(session);
}

/* --- octets --- */

static void end_chunk(struct smtp_server_session *session)
{
    struct intake *intake = session->intake;
    transcript_remark(&session->transcript, "chunk of %" PRIu64 " octets",
                      intake->octets);
    if (intake->refusal.code != 0) {
        struct smtp_reply refusal = intake->refusal;
        if (refusal.code == 552) {
            smtp_metric_add(METRIC_CONTENT_TOO_LARGE, 1);
            session_drop_transaction(session);
        }
        drop_intake(session);
        session_enter(session, SESSION_COMMAND);
        session_send(session, &refusal);
        session_count_error(session);
    } else if (session->transaction->content.fault != CONTENT_GOOD) {
        refuse_content(session);
    } else if (intake->is_last) {
        end_message(session);
    } else {
        uint64_t octets = intake->octets;
        drop_intake(session);
        session_enter(session, SESSION_COMMAND);
        session_reply(session, 250, "2.0.0", "%" PRIu64 " octets received",
                      octets);
    }
}

static void end_data(struct smtp_server_session *session)
{
    transcript_remark(&session->transcript, "message of %" PRIu64 " octets",
                      session->intake->octets);
    end_message(session);
}

/* How many octets were used; SIZE_MAX: none, we wait for memory. */
static size_t scan_input(struct smtp_server_session *session, struct text input,
                         bool *out_is_end)
{
    struct server_transaction *transaction = session->transaction;
    *out_is_end = false;
    if (session->intake->refusal.code != 0) {
        return input.length;
    }
    bool was_good = transaction->content.fault == CONTENT_GOOD;
    if (was_good && !make_room(session, input.length)) {
        return SIZE_MAX;
    }
    size_t used = content_scan(&transaction->content, input,
                               &transaction->transaction.data, out_is_end);
    if (was_good && transaction->content.fault != CONTENT_GOOD) {
        drop_data(&transaction->transaction);
    }
    return used;
}

bool data_take_input(struct smtp_server_session *session)
{
    struct intake *intake = session->intake;
    struct text input = stream_input(session->stream);
    bool is_end = false;
    if (intake->is_bdat && input.length > intake->remaining) {
        input.length = (size_t)intake->remaining;
    }
    if (input.length == 0 || intake->is_waiting) {
        return false;
    }
    size_t used = scan_input(session, input, &is_end);
    if (used == SIZE_MAX) {
        return false;
    }
    intake->octets += used;
    stream_consume(session->stream, used);
    if (intake->is_bdat) {
        intake->remaining -= used;
        is_end = intake->remaining == 0;
    }
    if (is_end) {
        (intake->is_bdat ? end_chunk : end_data)(session);
    } else if (used > 0) {
        session_set_timer(session);
    }
    return is_end;
}

/* --- the commands --- */

static struct intake *start_intake(struct smtp_server_session *session)
{
    session->intake = memory_alloc(sizeof(*session->intake));
    session->intake->started_at = clock_monotonic();
    return session->intake;
}

void data_start(struct smtp_server_session *session)
{
    (void)start_intake(session);
    content_start(&session->transaction->content, true,
                  (uint64_t)smtp_message_size_limit());
    session_reply(session, 354, "",
                  "Send the message, a line with a dot alone ends it");
    session_enter(session, SESSION_CONTENT);
}

/* What can be told before the octets come; they are swallowed first (RFC 3030
 * 2). */
static void check_chunk(struct smtp_server_session *session, uint64_t size,
                        struct smtp_reply *out_refusal)
{
    struct server_transaction *transaction = session->transaction;
    if (transaction == NULL) {
        smtp_reply_set(out_refusal, 503, "5.5.1", "Send MAIL and RCPT first");
    } else if (transaction->transaction.recipient_count == 0) {
        bool is_refused = transaction->recipient_commands > 0;
        smtp_reply_set(out_refusal, is_refused ? 554 : 503, "5.5.1", "%s",
                       is_refused ? "No valid recipients" : "Send RCPT first");
    } else if (transaction->content.size_bytes + size >
               (uint64_t)smtp_message_size_limit()) {
        smtp_reply_set(out_refusal, 552, "5.3.4",
                       "The message is larger than the %" PRId64
                       " octets accepted here",
                       smtp_message_size_limit());
    }
}

static bool is_all_digits(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!ascii_is_digit(text.data[i])) {
            return false;
        }
    }
    return text.length > 0;
}

static void start_chunk(struct smtp_server_session *session, uint64_t size,
                        struct text option)
{
    struct intake *intake = start_intake(session);
    intake->is_bdat = true;
    intake->remaining = size;
    intake->is_last = text_is_ignoring_case(option, "LAST");
    if (option.length > 0 && !intake->is_last) {
        smtp_reply_set(&intake->refusal, 501, "5.5.4",
                       "Behind the size of BDAT only LAST may stand");
    } else {
        check_chunk(session, size, &intake->refusal);
    }
    struct server_transaction *transaction = session->transaction;
    if (intake->refusal.code == 0 && !transaction->has_bdat) {
        transaction->has_bdat = true;
        content_start(&transaction->content, false,
                      (uint64_t)smtp_message_size_limit());
    }
    session_enter(session, SESSION_CONTENT);
    if (size == 0) {
        end_chunk(session);
    }
}

void bdat_start(struct smtp_server_session *session, struct text arguments)
{
    size_t size_end = text_find_byte(arguments, ' ');
    struct text number = text_slice(arguments, 0, size_end);
    struct text option =
        text_trim(text_slice(arguments, size_end, arguments.length));
    uint64_t size = 0;
    if (!is_all_digits(number)) {
        session_refuse(session, 501, "5.5.4",
                       "BDAT takes a number of octets and perhaps LAST");
    } else if (!text_to_uint64(number, &size) || size > BDAT_CHUNK_MAX) {
        session_end(session, 552, "5.3.4",
                    "Nobody sends chunks of that size, closing");
    } else {
        start_chunk(session, size, option);
    }
}
