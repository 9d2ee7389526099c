/* SPDX-License-Identifier: MIT */
/*
 *   group ─> suppressions ─> objections ─> idempotency key ─> on_done
 *
 * One question after the other, each only if it is needed. The first that gets
 * no answer ends it.
 */
#include "relay/admission.h"

#include <inttypes.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "relay/relay_settings.h"
#include "sql/groups.h"
#include "sql/messages.h"

struct admission_check {
    struct admission_request request;
    struct admission admission;
    struct query *query;
    struct suppression_check *suppressions;
    admission_done_fn *on_done;
    void *owner;
};

bool admission_is_free(const struct admission_request *request)
{
    return request->new_group == NULL && request->suppressions == NULL &&
           !request->checks_objections && request->idempotency_key == NULL;
}

static void finish(struct admission_check *check, enum database_result result)
{
    check->admission.result = result;
    check->on_done(check->owner, &check->admission);
    memory_free(check);
}

/* -- idempotency key -- */

static void on_key(void *owner, enum database_result result, int64_t message_id,
                   struct text content_digest)
{
    struct admission_check *check = owner;
    check->query = NULL;
    if (result == DATABASE_DONE) {
        check->admission.earlier_message_id = message_id;
        check->admission.earlier_content = content_digest;
    }
    finish(check, result);
}

static void ask_key(struct admission_check *check)
{
    const struct admission_request *request = &check->request;
    if (request->idempotency_key == NULL) {
        finish(check, DATABASE_DONE);
        return;
    }
    check->query = idempotency_find(request->database, request->account_id,
                                    request->idempotency_key, on_key, check);
}

/* -- objections -- */

static void on_objections(void *owner, enum database_result result,
                          const size_t *places, size_t count)
{
    struct admission_check *check = owner;
    const struct admission_request *request = &check->request;
    check->query = NULL;
    if (result != DATABASE_DONE) {
        finish(check, result);
        return;
    }
    bool *untracked = arena_alloc(request->arena, request->recipient_count);
    for (size_t i = 0; i < count; i++) {
        untracked[places[i]] = true;
    }
    check->admission.untracked = count > 0 ? untracked : NULL;
    ask_key(check);
}

static void ask_objections(struct admission_check *check)
{
    const struct admission_request *request = &check->request;
    if (!request->checks_objections) {
        ask_key(check);
        return;
    }
    check->query = untracked_find(request->database, request->account_id,
                                  request->recipients, request->recipient_count,
                                  on_objections, check);
}

/* -- suppressions -- */

static void note_suppression(struct admission_check *check,
                             const struct suppression *suppression)
{
    const struct admission_request *request = &check->request;
    struct admission *admission = &check->admission;
    if (admission->refusals == NULL) {
        admission->refusals =
            arena_alloc(request->arena, request->recipient_count *
                                            sizeof(*admission->refusals));
    }
    if (admission->refusals[suppression->place] == NULL) {
        admission->refusals[suppression->place] =
            suppression_describe(suppression, request->arena);
        admission->refusal_count++;
    }
}

static void on_suppressions(void *owner, enum database_result result,
                            const struct suppression *suppressions,
                            size_t count)
{
    struct admission_check *check = owner;
    check->suppressions = NULL;
    if (result != DATABASE_DONE) {
        finish(check, result);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        note_suppression(check, &suppressions[i]);
    }
    ask_objections(check);
}

static void ask_suppressions(struct admission_check *check)
{
    const struct admission_request *request = &check->request;
    if (request->suppressions == NULL) {
        ask_objections(check);
        return;
    }
    check->suppressions = suppression_check_start(
        request->suppressions, request->account_id, check->admission.group_id,
        request->recipients, request->recipient_count, on_suppressions, check);
}

/* -- group -- */

static void on_group(void *owner, enum database_result result, int64_t group_id)
{
    struct admission_check *check = owner;
    check->query = NULL;
    if (result != DATABASE_DONE) {
        finish(check, result);
        return;
    }
    if (group_id == 0) {
        log_warning(NULL, "an account has too many groups",
                    "account=%" PRId64 " group=\"%s\" consequence=\"%s\"",
                    check->request.account_id,
                    log_quote(text_of(check->request.new_group)),
                    "the message goes without a group; see [limits] "
                    "groups_per_account");
    }
    check->admission.group_id = group_id;
    ask_suppressions(check);
}

struct admission_check *admission_start(const struct admission_request *request,
                                        admission_done_fn *on_done, void *owner)
{
    struct admission_check *check = memory_alloc(sizeof(*check));
    check->request = *request;
    check->admission.group_id = request->group_id;
    check->on_done = on_done;
    check->owner = owner;
    if (request->new_group != NULL) {
        check->query = group_find_or_make(
            request->database, request->account_id, request->new_group,
            (int)relay_settings_now()->groups_per_account, on_group, check);
    } else {
        ask_suppressions(check);
    }
    return check;
}

void admission_cancel(struct admission_check **check)
{
    if (*check != NULL) {
        query_cancel(&(*check)->query);
        suppression_check_cancel(&(*check)->suppressions);
        memory_free(*check);
        *check = NULL;
    }
}
