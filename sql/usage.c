/* SPDX-License-Identifier: MIT */
#include "sql/usage.h"

#include "core/log.h"
#include "core/memory.h"

/* -- claims -- */

bool usage_claim_key(const struct usage_claim *claim, size_t position,
                     struct usage_key *out_key)
{
    size_t seen = 0;
    if (claim->recipients == 0) {
        return false;
    }
    for (int i = 0; i < 2 * PERIOD_COUNT; i++) {
        bool is_user = i >= PERIOD_COUNT;
        int period = i % PERIOD_COUNT;
        unsigned periods =
            is_user ? claim->user_periods : claim->account_periods;
        if ((periods >> period & 1) == 0 || seen++ < position) {
            continue;
        }
        *out_key = (struct usage_key){
            .user_name = is_user ? claim->user_name : "",
            .period = (enum clock_period)period,
            .began_at = clock_period_start(claim->counted_at,
                                           (enum clock_period)period),
        };
        return true;
    }
    return false;
}

static void append_key(struct parameters *parameters,
                       const struct usage_key *key)
{
    column_text(parameters, key->user_name);
    column_int16(parameters, key->period);
    column_instant(parameters, key->began_at);
}

void usage_append_key(struct parameters *parameters,
                      const struct usage_claim *claim,
                      const struct usage_key *key)
{
    append_key(parameters, key);
    column_int64(parameters, claim->worker_id);
}

/* -- taking -- */

struct usage_question {
    size_t count; /* rows of the answer */
    usage_taken_fn *on_taken;
    usage_read_fn *on_read;
    void *owner;
};

static struct usage_grant *read_grants(const struct rows *rows)
{
    size_t count = rows_count(rows);
    struct usage_grant *grants = memory_alloc_array(count + 1, sizeof(*grants));
    for (size_t i = 0; i < count; i++) {
        int64_t line = rows_int64(rows, i, "line");
        grants[i] = (struct usage_grant){
            .recipients = (int32_t)rows_int64(rows, i, "granted"),
            .is_over = line > 0,
            .line = line > 0 ? (size_t)line - 1 : 0,
            .kind = rows_boolean(rows, i, "is_recipients") ? LIMIT_RECIPIENTS
                                                           : LIMIT_MESSAGES,
        };
    }
    return grants;
}

static void on_taken(void *owner, enum database_result result,
                     const struct rows *rows, const struct error *error)
{
    const struct usage_question *question = owner;
    struct usage_grant *grants = NULL;
    if (result == DATABASE_DONE) {
        check(rows_count(rows) == question->count);
        grants = read_grants(rows);
    }
    question->on_taken(question->owner, result, grants, error);
    memory_free(grants);
}

static void append_lines(struct parameters *parameters,
                         const struct usage_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        append_key(parameters, &lines[i].key);
        column_int64(parameters, lines[i].most[LIMIT_MESSAGES]);
        column_int64(parameters, lines[i].most[LIMIT_RECIPIENTS]);
        column_int64(parameters, lines[i].held[LIMIT_MESSAGES]);
        column_int64(parameters, lines[i].held[LIMIT_RECIPIENTS]);
        row_end(parameters);
    }
}

static void append_asks(struct parameters *parameters,
                        const struct usage_ask *asks, size_t count)
{
    const char **users = memory_alloc_array(count + 1, sizeof(*users));
    int64_t *numbers = memory_alloc_array(count + 1, sizeof(*numbers));
    for (size_t i = 0; i < count; i++) {
        users[i] = asks[i].user_name;
        numbers[i] = asks[i].recipients;
    }
    parameter_texts(parameters, users, count);
    parameter_int64s(parameters, numbers, count);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = asks[i].mode;
    }
    parameter_int64s(parameters, numbers, count);
    memory_free(users);
    memory_free(numbers);
}

struct query *usage_take(struct database *database, int64_t account_id,
                         int64_t worker_id, const struct usage_line *lines,
                         size_t line_count, const struct usage_ask *asks,
                         size_t ask_count, usage_taken_fn *on_done, void *owner)
{
    struct parameters parameters = { 0 };
    struct usage_question *question = memory_alloc(sizeof(*question));
    check(line_count > 0);
    question->count = ask_count;
    question->on_taken = on_done;
    question->owner = owner;
    append_lines(&parameters, lines, line_count);
    parameter_int64(&parameters, account_id);
    parameter_int64(&parameters, worker_id);
    append_asks(&parameters, asks, ask_count);
    struct query *query = query_run(database, STATEMENT_USAGE_TAKE, &parameters,
                                    on_taken, question);
    query_keep(query, question);
    parameters_free(&parameters);
    return query;
}

/* -- reading -- */

static void on_read(void *owner, enum database_result result,
                    const struct rows *rows, const struct error *error)
{
    const struct usage_question *question = owner;
    struct usage_stored *stored = NULL;
    (void)error;
    if (result == DATABASE_DONE) {
        size_t count = rows_count(rows);
        check(count == question->count);
        stored = memory_alloc_array(count, sizeof(*stored));
        for (size_t i = 0; i < count; i++) {
            stored[i].count[LIMIT_MESSAGES] = rows_int64(rows, i, "messages");
            stored[i].count[LIMIT_RECIPIENTS] =
                rows_int64(rows, i, "recipients");
        }
    }
    question->on_read(question->owner, result, stored);
    memory_free(stored);
}

struct query *usage_read(struct database *database, int64_t account_id,
                         const struct usage_key *keys, size_t key_count,
                         usage_read_fn *on_done, void *owner)
{
    struct parameters parameters = { 0 };
    struct usage_question *question = memory_alloc(sizeof(*question));
    check(key_count > 0);
    question->count = key_count;
    question->on_read = on_done;
    question->owner = owner;
    for (size_t i = 0; i < key_count; i++) {
        append_key(&parameters, &keys[i]);
        row_end(&parameters);
    }
    parameter_int64(&parameters, account_id);
    struct query *query = query_run(database, STATEMENT_USAGE_READ, &parameters,
                                    on_read, question);
    query_keep(query, question);
    parameters_free(&parameters);
    return query;
}

/* -- forgetting -- */

static void on_forgotten(void *owner, enum database_result result,
                         const struct rows *rows, const struct error *error)
{
    (void)owner;
    (void)rows;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "usage that is over could not be forgotten",
                  "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
}

void usage_forget(struct database *database, int64_t now)
{
    struct parameters parameters = { 0 };
    parameter_instant(&parameters, now);
    query_run(database, STATEMENT_USAGE_FORGET, &parameters, on_forgotten,
              NULL);
    parameters_free(&parameters);
}
