/* SPDX-License-Identifier: MIT */
/*
 * A message is stored by up to eight statements of one batch: idempotency key,
 * message, body (in chunks), delivery with queue, event, usage where there are
 * limits, and notices of who is not sent to. When they are sent
 * again, a delivery that is there already gets no queue row: what is finished
 * is not queued anew. A withdrawal leaves delivery rows behind as a mark, on
 * which a transaction that comes to its end only later breaks.
 */
#include "sql/messages.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/notices.h"

/* What a row costs besides its bytes: keeps batches of small rows short. */
#define MESSAGE_WEIGHT 512
#define DELIVERY_WEIGHT 256
/* Storing 50 MB takes a second and more; smaller messages do not wait behind
 * them. */
#define LARGE_BYTES (256 * 1024)
#define KEY_MICROSECONDS (24 * 3600 * CLOCK_SECOND)

static bool is_large(const struct new_message *message)
{
    return message->data.length > LARGE_BYTES;
}

/* -- its rows -- */

static bool append_key(struct parameters *p, const void *values,
                       size_t position)
{
    const struct new_message *m = values;
    (void)position;
    if (m->idempotency_key != NULL) {
        column_int64(p, m->account_id);
        column_text(p, m->idempotency_key);
        column_bytes(p, m->content_digest);
        column_int64(p, m->message_id);
        column_instant(p, m->accepted_at);
        column_instant(p, m->accepted_at + KEY_MICROSECONDS);
        row_end(p);
    }
    return true;
}

/* An array as text: {"first","second"}. */
static void column_tags(struct parameters *p, const struct new_message *m)
{
    struct buffer array = { 0 };
    buffer_append_byte(&array, '{');
    for (size_t i = 0; i < m->tag_count; i++) {
        buffer_append_string(&array, i > 0 ? ",\"" : "\"");
        for (const char *c = m->tags[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\') {
                buffer_append_byte(&array, '\\');
            }
            buffer_append_byte(&array, *c);
        }
        buffer_append_byte(&array, '"');
    }
    buffer_append_byte(&array, '}');
    column_text_view(p, buffer_text(&array));
    buffer_free(&array);
}

static bool append_message(struct parameters *p, const void *values,
                           size_t position)
{
    const struct new_message *m = values;
    (void)position;
    column_int64(p, m->account_id);
    column_int64(p, m->message_id);
    column_instant(p, m->accepted_at);
    column_instant(p, m->expires_at);
    column_text(p, m->sender);
    column_text(p, m->from_address);
    column_text(p, m->subject);
    column_text(p, m->internet_message_id);
    column_int64(p, (int64_t)m->data.length);
    column_int32(p, (int32_t)m->delivery_count);
    column_boolean(p, m->is_smtputf8);
    column_boolean(p, m->has_8bit);
    column_int16(p, m->dsn_return);
    column_text(p, m->envelope_id);
    column_int16(p, m->priority);
    column_text(p, m->client_address);
    column_text(p, m->client_name);
    column_text(p, m->protocol);
    column_text(p, m->tls);
    column_text(p, m->user_name);
    column_bytes(p, m->trace);
    column_text_view(p, m->transcript);
    column_int64(p, m->group_id);
    column_json(p, m->policy);
    column_tags(p, m);
    column_json(p, m->metadata);
    column_boolean(p, m->is_sandboxed);
    row_end(p);
    return true;
}

/* An empty message has one empty chunk: a body that is gone has none. */
static bool append_body(struct parameters *p, const void *values,
                        size_t position)
{
    const struct new_message *m = values;
    size_t from = position * BODY_CHUNK_BYTES;
    size_t to = from + BODY_CHUNK_BYTES < m->data.length
                    ? from + BODY_CHUNK_BYTES
                    : m->data.length;
    column_int64(p, m->account_id);
    column_int64(p, m->message_id);
    column_int32(p, (int32_t)position);
    column_bytes(p, text_slice(m->data, from, to));
    row_end(p);
    return to == m->data.length;
}

static const char *refusal_state(const struct new_delivery *delivery)
{
    return delivery->refusal_state != NULL ? delivery->refusal_state
                                           : "rejected";
}

static bool append_delivery(struct parameters *p, const void *values,
                            size_t position)
{
    const struct new_message *m = values;
    if (position >= m->delivery_count) {
        return true;
    }
    const struct new_delivery *d = &m->deliveries[position];
    column_int64(p, m->account_id);
    column_int64(p, d->delivery_id);
    column_int64(p, m->message_id);
    column_text(p, d->recipient);
    column_text(p, d->domain);
    column_int16(p, (int)d->notify);
    column_text(p, d->original_recipient);
    column_int16(p, m->priority);
    bool is_later = m->due_at != 0 && d->refusal == NULL;
    column_instant(p, is_later ? m->due_at : m->accepted_at);
    column_int64_or_null(p, m->due_at != 0 ? 0 : m->worker_id);
    column_instant(p, m->expires_at);
    column_int64(p, (int64_t)m->data.length);
    column_text(p, d->refusal);
    column_text(p, refusal_state(d));
    column_int64(p, m->group_id);
    column_boolean(p, d->is_untracked);
    row_end(p);
    return position + 1 == m->delivery_count;
}

static void append_counts(struct parameters *p, const struct new_message *m,
                          int32_t quantity)
{
    column_int64(p, m->group_id);
    column_int32(p, m->is_notice ? 0 : m->is_inbound ? 1 : quantity);
    column_int64(p, (int64_t)m->data.length * quantity);
    column_int16(p, is_large(m) ? LANE_LARGE_MESSAGES : LANE_MESSAGES);
}

static bool append_refused(struct parameters *p, const void *values,
                           size_t position)
{
    const struct new_message *m = values;
    if (position >= m->delivery_count) {
        return true;
    }
    const struct new_delivery *d = &m->deliveries[position];
    if (d->refusal != NULL) {
        column_int64(p, m->account_id);
        column_int64(p, d->refusal_event_id);
        column_instant(p, m->accepted_at);
        column_text(p, refusal_state(d));
        column_int64(p, m->message_id);
        column_int64_or_null(p, d->delivery_id);
        column_text(p, d->recipient);
        column_json(p, d->refusal_detail != NULL ? d->refusal_detail
                                                 : "{\"kind\": \"quota\"}");
        append_counts(p, m, 1);
        row_end(p);
    }
    return position + 1 == m->delivery_count;
}

/* Who is suppressed was accepted first, who is rejected never was. */
static int32_t count_accepted(const struct new_message *m)
{
    int32_t count = 0;
    for (size_t i = 0; i < m->delivery_count; i++) {
        const struct new_delivery *d = &m->deliveries[i];
        count += d->refusal == NULL || strcmp(refusal_state(d), "rejected") != 0
                     ? 1
                     : 0;
    }
    return count;
}

static bool append_accepted(struct parameters *p, const void *values,
                            size_t position)
{
    const struct new_message *m = values;
    (void)position;
    column_int64(p, m->account_id);
    column_int64(p, m->event_id);
    column_instant(p, m->accepted_at);
    column_text(p, m->is_inbound ? "inbound" : "accepted");
    column_int64(p, m->message_id);
    column_int64_or_null(p, 0);
    column_text(p, NULL);
    column_json(p, m->accepted_detail != NULL ? m->accepted_detail : "{}");
    append_counts(p, m, count_accepted(m));
    row_end(p);
    return true;
}

/* A row for each period that is counted. */
static bool append_usage(struct parameters *p, const void *values,
                         size_t position)
{
    const struct new_message *m = values;
    struct usage_key key;
    if (usage_claim_key(&m->usage, position, &key)) {
        column_int64(p, m->account_id);
        column_int64(p, m->message_id);
        usage_append_key(p, &m->usage, &key);
        column_int16(p, is_large(m) ? LANE_LARGE_MESSAGES : LANE_MESSAGES);
        column_int32(p, m->usage.recipients);
        row_end(p);
        return false;
    }
    return true;
}

static bool append_notice(struct parameters *p, const void *values,
                          size_t position)
{
    const struct new_message *m = values;
    if (position >= m->delivery_count) {
        return true;
    }
    const struct new_delivery *d = &m->deliveries[position];
    if (d->refusal != NULL && d->refusal_notice != NULL) {
        notice_append(p, m->account_id, d->delivery_id, m->accepted_at,
                      d->refusal_notice);
    }
    return position + 1 == m->delivery_count;
}

static const struct batch_statement message_statements[] = {
    { STATEMENT_IDEMPOTENCY_INSERT, STATEMENT_IDEMPOTENCY_INSERT, append_key,
      false },
    { STATEMENT_MESSAGE_INSERT, STATEMENT_MESSAGE_INSERT_AGAIN, append_message,
      false },
    { STATEMENT_BODY_INSERT, STATEMENT_BODY_INSERT_AGAIN, append_body, false },
    { STATEMENT_DELIVERY_INSERT, STATEMENT_DELIVERY_INSERT_AGAIN,
      append_delivery, false },
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_accepted,
      false },
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_refused,
      false },
    { STATEMENT_USAGE_COUNT, STATEMENT_USAGE_COUNT_AGAIN, append_usage, false },
    { STATEMENT_NOTICE_INSERT, STATEMENT_NOTICE_INSERT, append_notice, true },
};

/* -- withdrawing -- */

/* Outlives the message it withdraws: it has the ids alone. */
struct withdrawal {
    struct batch_row row;
    int64_t account_id;
    int64_t message_id;
    int64_t withdrawn_at;
    int64_t group_id;
    int64_t accepted_at;
    int64_t event_id;
    int64_t size_bytes;
    bool is_notice;
    bool is_inbound;
    char *idempotency_key; /* or NULL */
    int64_t *delivery_ids;
    size_t delivery_count;
    struct usage_claim usage; /* the user name is a copy of our own */
    char *usage_user_name;
    int64_t counted_delivery_id; /* one of those that count in usage */
    batch_done_fn *on_undone; /* or NULL */
    void *owner;
};

static void free_withdrawal(struct batch_row *row)
{
    struct withdrawal *withdrawal = (struct withdrawal *)(void *)row;
    memory_free(withdrawal->idempotency_key);
    memory_free(withdrawal->delivery_ids);
    memory_free(withdrawal->usage_user_name);
    memory_free(withdrawal);
}

static bool append_withdrawal(struct parameters *p, const void *values,
                              size_t position)
{
    const struct withdrawal *w = values;
    if (position >= w->delivery_count) {
        return true;
    }
    column_int64(p, w->account_id);
    column_int64(p, w->delivery_ids[position]);
    column_int64(p, w->message_id);
    column_instant(p, w->withdrawn_at);
    column_int64(p, w->group_id);
    column_instant(p, w->accepted_at);
    column_int64(p, w->event_id);
    column_int64(p, w->size_bytes);
    column_boolean(p, !w->is_notice && !w->is_inbound);
    column_boolean(p, w->is_inbound && position == 0); /* once a message */
    row_end(p);
    return position + 1 == w->delivery_count;
}

static bool append_withdrawn_id(struct parameters *p, const void *values,
                                size_t position)
{
    const struct withdrawal *w = values;
    if (position >= w->delivery_count) {
        return true;
    }
    column_int64(p, w->account_id);
    column_int64(p, w->delivery_ids[position]);
    row_end(p);
    return position + 1 == w->delivery_count;
}

static bool append_withdrawn_key(struct parameters *p, const void *values,
                                 size_t position)
{
    const struct withdrawal *w = values;
    (void)position;
    if (w->idempotency_key != NULL) {
        column_int64(p, w->account_id);
        column_text(p, w->idempotency_key);
        column_int64(p, w->message_id);
        row_end(p);
    }
    return true;
}

static bool append_withdrawn_usage(struct parameters *p, const void *values,
                                   size_t position)
{
    const struct withdrawal *w = values;
    struct usage_key key;
    if (usage_claim_key(&w->usage, position, &key)) {
        column_int64(p, w->account_id);
        column_int64(p, w->counted_delivery_id);
        usage_append_key(p, &w->usage, &key);
        column_int16(p, LANE_MESSAGES); /* of the connection it goes on */
        column_int32(p, w->usage.recipients);
        row_end(p);
        return false;
    }
    return true;
}

static const struct batch_statement withdrawal_statements[] = {
    { STATEMENT_IDEMPOTENCY_WITHDRAW, STATEMENT_IDEMPOTENCY_WITHDRAW,
      append_withdrawn_key, false },
    { STATEMENT_DELIVERY_WITHDRAW, STATEMENT_DELIVERY_WITHDRAW,
      append_withdrawal, false },
    { STATEMENT_USAGE_WITHDRAW, STATEMENT_USAGE_WITHDRAW,
      append_withdrawn_usage, false },
    { STATEMENT_QUEUE_WITHDRAW, STATEMENT_QUEUE_WITHDRAW, append_withdrawn_id,
      false },
};

const struct batch_kind withdrawal_batch_kind = {
    .name = "withdrawals",
    .statements = withdrawal_statements,
    .statement_count = ARRAY_LENGTH(withdrawal_statements),
    .free_row = free_withdrawal,
};

static void on_withdrawal_stored(void *owner, enum database_result result,
                                 const struct error *error)
{
    struct withdrawal *withdrawal = owner;
    if (withdrawal->on_undone != NULL) {
        withdrawal->on_undone(withdrawal->owner, result, error);
    }
    free_withdrawal(&withdrawal->row);
}

static void keep_usage(struct withdrawal *withdrawal,
                       const struct new_message *message)
{
    if (message->usage.recipients == 0) {
        return;
    }
    withdrawal->usage_user_name = memory_copy_string(message->usage.user_name);
    withdrawal->usage = message->usage;
    withdrawal->usage.user_name = withdrawal->usage_user_name;
    for (size_t i = message->delivery_count; i-- > 0;) {
        if (message->deliveries[i].refusal == NULL) {
            withdrawal->counted_delivery_id =
                message->deliveries[i].delivery_id;
        }
    }
}

static void undo_message(struct database *database, const void *values,
                         batch_done_fn *on_undone, void *owner)
{
    const struct new_message *message = values;
    struct withdrawal *withdrawal = memory_alloc(sizeof(*withdrawal));
    withdrawal->account_id = message->account_id;
    withdrawal->message_id = message->message_id;
    withdrawal->withdrawn_at = clock_now();
    withdrawal->group_id = message->group_id;
    withdrawal->accepted_at = message->accepted_at;
    withdrawal->event_id = message->event_id;
    withdrawal->size_bytes = (int64_t)message->data.length;
    withdrawal->is_notice = message->is_notice;
    withdrawal->is_inbound = message->is_inbound;
    withdrawal->idempotency_key =
        message->idempotency_key != NULL
            ? memory_copy_string(message->idempotency_key)
            : NULL;
    withdrawal->delivery_count = message->delivery_count;
    withdrawal->delivery_ids =
        memory_alloc_array(message->delivery_count, sizeof(int64_t));
    for (size_t i = 0; i < message->delivery_count; i++) {
        withdrawal->delivery_ids[i] = message->deliveries[i].delivery_id;
    }
    keep_usage(withdrawal, message);
    withdrawal->on_undone = on_undone;
    withdrawal->owner = owner;
    batch_add(database->batches[BATCH_WITHDRAWALS], &withdrawal->row,
              withdrawal, message->delivery_count * DELIVERY_WEIGHT,
              on_withdrawal_stored, withdrawal);
}

const struct batch_kind message_batch_kind = {
    .name = "messages",
    .statements = message_statements,
    .statement_count = ARRAY_LENGTH(message_statements),
    .undo = undo_message,
    .has_deadline = true,
};

const struct batch_kind large_message_batch_kind = {
    .name = "large messages",
    .statements = message_statements,
    .statement_count = ARRAY_LENGTH(message_statements),
    .undo = undo_message,
    .has_deadline = true,
};

/* As baton.require_keys says it. */
bool message_is_repetition(enum database_result result,
                           const struct error *error)
{
    return result == DATABASE_FAILED && error != NULL &&
           strstr(error->text, "idempotency key") != NULL;
}

void message_store(struct database *database, struct batch_row *row,
                   const struct new_message *borrowed_message,
                   batch_done_fn *on_done, void *owner)
{
    const struct new_message *m = borrowed_message;
    enum database_batch batch =
        is_large(m) ? BATCH_LARGE_MESSAGES : BATCH_MESSAGES;
    batch_add(database->batches[batch], row, m,
              m->data.length + m->trace.length + m->transcript.length +
                  MESSAGE_WEIGHT + m->delivery_count * DELIVERY_WEIGHT,
              on_done, owner);
}

/* -- keys -- */

struct key_search {
    idempotency_found_fn *on_found;
    void *owner;
};

static void on_key(void *owner, enum database_result result,
                   const struct rows *rows, const struct error *error)
{
    const struct key_search *search = owner;
    (void)error;
    if (result == DATABASE_DONE && rows_count(rows) > 0) {
        search->on_found(search->owner, result,
                         rows_int64(rows, 0, "message_id"),
                         rows_text(rows, 0, "content"));
    } else {
        search->on_found(search->owner, result, 0, text_of(NULL));
    }
}

struct query *idempotency_find(struct database *database, int64_t account_id,
                               const char *key, idempotency_found_fn *on_found,
                               void *owner)
{
    struct parameters parameters = { 0 };
    struct key_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_text(&parameters, key);
    parameter_instant(&parameters, clock_now());
    struct query *query = query_run(database, STATEMENT_IDEMPOTENCY_FIND,
                                    &parameters, on_key, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- reading -- */

/* So many bytes come with one answer: a large message comes in several. */
#define CHUNKS_PER_ANSWER 4

struct message_load {
    struct database *database;
    int64_t account_id;
    int64_t message_id;
    int32_t next_chunk;
    bool is_top_enough; /* the first chunk is all that is wanted */
    struct query *query;
    struct buffer trace;
    struct buffer data;
    message_loaded_fn *on_loaded;
    void *owner;
};

static void free_load(struct message_load *load)
{
    buffer_free(&load->trace);
    buffer_free(&load->data);
    memory_free(load);
}

static void finish_load(struct message_load *load, enum database_result result,
                        const struct error *error)
{
    load->on_loaded(load->owner, result, &load->trace, &load->data, error);
    free_load(load);
}

static void load_chunks(struct message_load *load);

static void take_chunks(struct message_load *load, const struct rows *rows)
{
    size_t size = (size_t)rows_int64(rows, 0, "size_bytes");
    if (load->next_chunk == 0) {
        buffer_append_text(&load->trace, rows_text(rows, 0, "trace"));
        buffer_reserve(&load->data,
                       load->is_top_enough && size > BODY_CHUNK_BYTES
                           ? BODY_CHUNK_BYTES
                           : size);
    }
    for (size_t i = 0; i < rows_count(rows); i++) {
        if (!rows_is_null(rows, i, "chunk") &&
            rows_int64(rows, i, "chunk") == load->next_chunk) {
            buffer_append_text(&load->data, rows_text(rows, i, "data"));
            load->next_chunk++;
        }
    }
}

static void on_chunks(void *owner, enum database_result result,
                      const struct rows *rows, const struct error *error)
{
    static const struct error gone = { "the message is not in the database "
                                       "any more" };
    struct message_load *load = owner;
    int32_t before = load->next_chunk;
    load->query = NULL;
    if (result != DATABASE_DONE) {
        finish_load(load, result, error);
        return;
    }
    if (rows_count(rows) == 0) {
        finish_load(load, DATABASE_FAILED, &gone);
        return;
    }
    take_chunks(load, rows);
    size_t size = (size_t)rows_int64(rows, 0, "size_bytes");
    if (load->next_chunk > before &&
        (load->data.length >= size || load->is_top_enough)) {
        finish_load(load, DATABASE_DONE, NULL);
    } else if (load->next_chunk > before) {
        load_chunks(load);
    } else {
        finish_load(load, DATABASE_FAILED, &gone);
    }
}

static void load_chunks(struct message_load *load)
{
    struct parameters parameters = { 0 };
    parameter_int64(&parameters, load->account_id);
    parameter_int64(&parameters, load->message_id);
    parameter_int32(&parameters, load->next_chunk);
    parameter_int32(&parameters,
                    load->next_chunk +
                        (load->is_top_enough ? 1 : CHUNKS_PER_ANSWER));
    load->query = query_run(load->database, STATEMENT_MESSAGE_LOAD, &parameters,
                            on_chunks, load);
    parameters_free(&parameters);
}

static struct message_load *start_load(struct database *database,
                                       int64_t account_id, int64_t message_id,
                                       bool is_top_enough,
                                       message_loaded_fn *on_loaded,
                                       void *owner)
{
    struct message_load *load = memory_alloc(sizeof(*load));
    load->database = database;
    load->account_id = account_id;
    load->message_id = message_id;
    load->is_top_enough = is_top_enough;
    load->on_loaded = on_loaded;
    load->owner = owner;
    load_chunks(load);
    return load;
}

struct message_load *message_load(struct database *database, int64_t account_id,
                                  int64_t message_id,
                                  message_loaded_fn *on_loaded, void *owner)
{
    return start_load(database, account_id, message_id, false, on_loaded,
                      owner);
}

struct message_load *message_load_top(struct database *database,
                                      int64_t account_id, int64_t message_id,
                                      message_loaded_fn *on_loaded, void *owner)
{
    return start_load(database, account_id, message_id, true, on_loaded, owner);
}

void message_load_cancel(struct message_load **load)
{
    if (*load != NULL) {
        query_cancel(&(*load)->query);
        free_load(*load);
        *load = NULL;
    }
}
