/* SPDX-License-Identifier: MIT */
#include "sql/suppressions.h"

#include "core/arena.h"
#include "core/log.h"
#include "core/memory.h"

/* Of one answer; with more of them anything may have changed. */
#define CHANGES_MAX 10000

void suppression_note_append(struct parameters *parameters,
                             const struct suppression_subject *subject,
                             const struct suppression_note *note)
{
    if (note->reason == NULL) {
        return;
    }
    column_int64(parameters, subject->account_id);
    column_int64(parameters, subject->delivery_id);
    column_text(parameters, subject->recipient);
    column_instant(parameters, subject->occurred_at);
    column_text(parameters, note->reason);
    column_text(parameters, note->evidence != NULL ? note->evidence : "");
    column_int32(parameters, (int32_t)note->inactive_count);
    column_int64(parameters, note->inactive_milliseconds);
    row_end(parameters);
}

bool suppression_applies(const struct suppression *suppression,
                         int64_t group_id, int64_t now)
{
    return (suppression->group_name == NULL ||
            suppression->group_id == group_id) &&
           (suppression->expires_at == 0 || suppression->expires_at > now);
}

/* -- finding -- */

struct suppression_search {
    suppressions_found_fn *on_found;
    void *owner;
};

/* SQL counts from 1. */
static size_t read_place(const struct rows *rows, size_t row)
{
    return (size_t)(rows_int64(rows, row, "place") - 1);
}

static struct suppression *read_suppressions(const struct rows *rows,
                                             struct arena *arena)
{
    size_t count = rows_count(rows);
    struct suppression *found =
        arena_alloc(arena, (count + 1) * sizeof(*found));
    for (size_t i = 0; i < count; i++) {
        found[i] = (struct suppression){
            .place = read_place(rows, i),
            .address = rows_copy(rows, i, "address", arena),
            .reason = rows_copy(rows, i, "reason", arena),
            .evidence = rows_copy(rows, i, "evidence", arena),
            .created_at = rows_instant(rows, i, "created_at"),
            .expires_at = rows_instant(rows, i, "expires_at"),
            .group_id = rows_int64(rows, i, "group_id"),
            .group_name = rows_copy(rows, i, "group_name", arena),
        };
    }
    return found;
}

static void on_suppressions(void *owner, enum database_result result,
                            const struct rows *rows, const struct error *error)
{
    const struct suppression_search *search = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        search->on_found(search->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    search->on_found(search->owner, result, read_suppressions(rows, arena),
                     rows_count(rows));
    arena_free(&arena);
}

struct query *suppressions_find(struct database *database, int64_t account_id,
                                const char *const *addresses,
                                size_t address_count,
                                suppressions_found_fn *on_found, void *owner)
{
    struct parameters parameters = { 0 };
    struct suppression_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_texts(&parameters, addresses, address_count);
    struct query *query = query_run(database, STATEMENT_SUPPRESSION_FIND,
                                    &parameters, on_suppressions, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- ranges of hashes -- */

struct range_load {
    suppression_ranges_fn *on_loaded;
    void *owner;
    size_t count;
};

static void on_ranges(void *owner, enum database_result result,
                      const struct rows *rows, const struct error *error)
{
    const struct range_load *load = owner;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "suppressions could not be read", "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    if (result != DATABASE_DONE) {
        load->on_loaded(load->owner, result, NULL);
        return;
    }
    struct text *hashes = memory_alloc((load->count + 1) * sizeof(*hashes));
    for (size_t i = 0; i < rows_count(rows); i++) {
        hashes[read_place(rows, i)] = rows_text(rows, i, "hashes");
    }
    load->on_loaded(load->owner, result, hashes);
    memory_free(hashes);
}

struct query *suppression_ranges_load(struct database *database,
                                      const struct suppression_range *ranges,
                                      size_t count, int32_t limit,
                                      suppression_ranges_fn *on_loaded,
                                      void *owner)
{
    struct parameters parameters = { 0 };
    struct range_load *load = memory_alloc(sizeof(*load));
    *load = (struct range_load){ on_loaded, owner, count };
    for (size_t i = 0; i < count; i++) {
        column_int64(&parameters, ranges[i].account_id);
        column_int64(&parameters, ranges[i].lowest);
        column_int64(&parameters, ranges[i].highest);
        row_end(&parameters);
    }
    parameter_int32(&parameters, limit);
    struct query *query = query_run(database, STATEMENT_SUPPRESSION_RANGES,
                                    &parameters, on_ranges, load);
    query_keep(query, load);
    parameters_free(&parameters);
    return query;
}

/* -- changes -- */

struct change_question {
    suppression_changes_fn *on_answer;
    void *owner;
};

static void on_changes(void *owner, enum database_result result,
                       const struct rows *rows, const struct error *error)
{
    const struct change_question *question = owner;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "changes of suppressions could not be read",
                  "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    if (result != DATABASE_DONE) {
        question->on_answer(question->owner, result, NULL);
        return;
    }
    struct arena *arena = arena_create();
    size_t count = rows_count(rows); /* one at least */
    struct suppression_change *changes =
        arena_alloc(arena, count * sizeof(*changes));
    struct suppression_changes answer = {
        .is_complete =
            rows_boolean(rows, 0, "is_complete") && count <= CHANGES_MAX,
        .changes = changes,
        .snapshot = rows_copy(rows, 0, "snapshot", arena),
        .answered_at = rows_instant(rows, 0, "answered_at"),
    };
    for (size_t i = 0; i < count && answer.is_complete; i++) {
        if (!rows_is_null(rows, i, "account_id")) {
            changes[answer.count++] = (struct suppression_change){
                .account_id = rows_int64(rows, i, "account_id"),
                .hash = rows_int64(rows, i, "hash"),
                .is_of_account = rows_is_null(rows, i, "hash"),
            };
        }
    }
    question->on_answer(question->owner, result, &answer);
    arena_free(&arena);
}

struct query *suppression_changes_ask(struct database *database,
                                      const char *snapshot, int64_t answered_at,
                                      suppression_changes_fn *on_answer,
                                      void *owner)
{
    struct parameters parameters = { 0 };
    struct change_question *question = memory_alloc(sizeof(*question));
    *question = (struct change_question){ on_answer, owner };
    parameter_text(&parameters, snapshot);
    parameter_instant(&parameters, answered_at);
    parameter_int32(&parameters, CHANGES_MAX + 1);
    struct query *query = query_run(database, STATEMENT_SUPPRESSION_CHANGES,
                                    &parameters, on_changes, question);
    query_keep(query, question);
    parameters_free(&parameters);
    return query;
}

/* -- objections -- */

struct objection_search {
    untracked_found_fn *on_found;
    void *owner;
};

static void on_untracked(void *owner, enum database_result result,
                         const struct rows *rows, const struct error *error)
{
    const struct objection_search *search = owner;
    (void)error;
    if (result != DATABASE_DONE) {
        search->on_found(search->owner, result, NULL, 0);
        return;
    }
    struct arena *arena = arena_create();
    size_t count = rows_count(rows);
    size_t *places = arena_alloc(arena, (count + 1) * sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        places[i] = read_place(rows, i);
    }
    search->on_found(search->owner, result, places, count);
    arena_free(&arena);
}

struct query *untracked_find(struct database *database, int64_t account_id,
                             const char *const *addresses, size_t address_count,
                             untracked_found_fn *on_found, void *owner)
{
    struct parameters parameters = { 0 };
    struct objection_search *search = memory_alloc(sizeof(*search));
    search->on_found = on_found;
    search->owner = owner;
    parameter_int64(&parameters, account_id);
    parameter_texts(&parameters, addresses, address_count);
    struct query *query = query_run(database, STATEMENT_UNTRACKED_FIND,
                                    &parameters, on_untracked, search);
    query_keep(query, search);
    parameters_free(&parameters);
    return query;
}

/* -- a recipient's wish -- */

struct subscription_wish {
    subscription_changed_fn *on_changed;
    void *owner;
};

static void on_subscription(void *owner, enum database_result result,
                            const struct rows *rows, const struct error *error)
{
    const struct subscription_wish *wish = owner;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "an unsubscribe or its end could not be stored",
                  "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    wish->on_changed(wish->owner, result,
                     result == DATABASE_DONE &&
                         rows_boolean(rows, 0, "was_changed"));
}

static struct query *change_subscription(
    struct database *database, enum statement statement,
    const struct subscription_change *change,
    subscription_changed_fn *on_changed, void *owner)
{
    struct parameters parameters = { 0 };
    struct subscription_wish *wish = memory_alloc(sizeof(*wish));
    wish->on_changed = on_changed;
    wish->owner = owner;
    parameter_int64(&parameters, change->account_id);
    parameter_int64(&parameters, change->group_id);
    parameter_int64(&parameters, change->delivery_id);
    parameter_int64(&parameters, change->event_id);
    parameter_instant(&parameters, change->occurred_at);
    parameter_text(&parameters, change->address);
    parameter_text(&parameters, change->how);
    parameter_text(&parameters, change->client_address);
    parameter_text(&parameters, change->user_agent);
    struct query *query =
        query_run(database, statement, &parameters, on_subscription, wish);
    query_keep(query, wish);
    parameters_free(&parameters);
    return query;
}

struct query *subscription_end(struct database *database,
                               const struct subscription_change *change,
                               subscription_changed_fn *on_changed, void *owner)
{
    return change_subscription(database, STATEMENT_SUBSCRIPTION_END, change,
                               on_changed, owner);
}

struct query *subscription_resume(struct database *database,
                                  const struct subscription_change *change,
                                  subscription_changed_fn *on_changed,
                                  void *owner)
{
    return change_subscription(database, STATEMENT_SUBSCRIPTION_RESUME, change,
                               on_changed, owner);
}
