/* SPDX-License-Identifier: MIT */
/*
 * A message is stored by four statements of one batch: message, body (in
 * chunks), delivery with queue, event. When they are sent again, a delivery
 * that is there already gets no queue row: what is finished is not queued anew.
 * A withdrawal leaves delivery rows behind as a mark, on which a transaction
 * that comes to its end only later breaks.
 */
#include "sql/messages.h"

#include "core/clock.h"
#include "core/memory.h"
#include "sql/database_internal.h"
#include "sql/query.h"

/* What a row costs besides its bytes: keeps batches of small rows short. */
#define MESSAGE_WEIGHT 512
#define DELIVERY_WEIGHT 256
/* Storing 50 MB takes a second and more; smaller messages do not wait behind
 * them. */
#define LARGE_BYTES (256 * 1024)

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
    column_instant(p, m->accepted_at);
    column_int64_or_null(p, m->worker_id);
    column_instant(p, m->expires_at);
    column_int64(p, (int64_t)m->data.length);
    column_text(p, d->refusal);
    row_end(p);
    return position + 1 == m->delivery_count;
}

static bool append_rejected(struct parameters *p, const void *values,
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
        column_text(p, "rejected");
        column_int64(p, m->message_id);
        column_int64_or_null(p, d->delivery_id);
        column_text(p, d->recipient);
        column_json(p, "{\"kind\": \"quota\"}");
        row_end(p);
    }
    return position + 1 == m->delivery_count;
}

static bool append_accepted(struct parameters *p, const void *values,
                            size_t position)
{
    const struct new_message *m = values;
    (void)position;
    column_int64(p, m->account_id);
    column_int64(p, m->event_id);
    column_instant(p, m->accepted_at);
    column_text(p, "accepted");
    column_int64(p, m->message_id);
    column_int64_or_null(p, 0);
    column_text(p, NULL);
    column_json(p, "{}");
    row_end(p);
    return true;
}

static const struct batch_statement message_statements[] = {
    { STATEMENT_MESSAGE_INSERT, STATEMENT_MESSAGE_INSERT_AGAIN, append_message,
      false },
    { STATEMENT_BODY_INSERT, STATEMENT_BODY_INSERT_AGAIN, append_body, false },
    { STATEMENT_DELIVERY_INSERT, STATEMENT_DELIVERY_INSERT_AGAIN,
      append_delivery, false },
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_accepted,
      false },
    { STATEMENT_EVENT_INSERT, STATEMENT_EVENT_INSERT_AGAIN, append_rejected,
      false },
};

/* -- withdrawing -- */

/* Outlives the message it withdraws: it has the ids alone. */
struct withdrawal {
    struct batch_row row;
    int64_t account_id;
    int64_t message_id;
    int64_t withdrawn_at;
    int64_t *delivery_ids;
    size_t delivery_count;
    batch_done_fn *on_undone; /* or NULL */
    void *owner;
};

static void free_withdrawal(struct batch_row *row)
{
    struct withdrawal *withdrawal = (struct withdrawal *)(void *)row;
    memory_free(withdrawal->delivery_ids);
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

static const struct batch_statement withdrawal_statements[] = {
    { STATEMENT_DELIVERY_WITHDRAW, STATEMENT_DELIVERY_WITHDRAW,
      append_withdrawal, false },
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

static void undo_message(struct database *database, const void *values,
                         batch_done_fn *on_undone, void *owner)
{
    const struct new_message *message = values;
    struct withdrawal *withdrawal = memory_alloc(sizeof(*withdrawal));
    withdrawal->account_id = message->account_id;
    withdrawal->message_id = message->message_id;
    withdrawal->withdrawn_at = clock_now();
    withdrawal->delivery_count = message->delivery_count;
    withdrawal->delivery_ids =
        memory_alloc_array(message->delivery_count, sizeof(int64_t));
    for (size_t i = 0; i < message->delivery_count; i++) {
        withdrawal->delivery_ids[i] = message->deliveries[i].delivery_id;
    }
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

void message_store(struct database *database, struct batch_row *row,
                   const struct new_message *borrowed_message,
                   batch_done_fn *on_done, void *owner)
{
    const struct new_message *m = borrowed_message;
    enum database_batch batch =
        m->data.length > LARGE_BYTES ? BATCH_LARGE_MESSAGES : BATCH_MESSAGES;
    batch_add(database->batches[batch], row, m,
              m->data.length + m->trace.length + m->transcript.length +
                  MESSAGE_WEIGHT + m->delivery_count * DELIVERY_WEIGHT,
              on_done, owner);
}

/* -- reading -- */

/* So many bytes come with one answer: a large message comes in several. */
#define CHUNKS_PER_ANSWER 4

struct message_load {
    struct database *database;
    int64_t account_id;
    int64_t message_id;
    int32_t next_chunk;
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
        buffer_reserve(&load->data, size);
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
    if (load->next_chunk > before && load->data.length >= size) {
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
    parameter_int32(&parameters, load->next_chunk + CHUNKS_PER_ANSWER);
    load->query = query_run(load->database, STATEMENT_MESSAGE_LOAD, &parameters,
                            on_chunks, load);
    parameters_free(&parameters);
}

struct message_load *message_load(struct database *database, int64_t account_id,
                                  int64_t message_id,
                                  message_loaded_fn *on_loaded, void *owner)
{
    struct message_load *load = memory_alloc(sizeof(*load));
    load->database = database;
    load->account_id = account_id;
    load->message_id = message_id;
    load->on_loaded = on_loaded;
    load->owner = owner;
    load_chunks(load);
    return load;
}

void message_load_cancel(struct message_load **load)
{
    if (*load != NULL) {
        query_cancel(&(*load)->query);
        free_load(*load);
        *load = NULL;
    }
}
