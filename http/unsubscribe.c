/* SPDX-License-Identifier: MIT */
#include "http/unsubscribe.h"

#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/memory.h"
#include "http/form.h"
#include "http/page.h"
#include "http/plain_text.h"
#include "http/track.h"
#include "sql/directory.h"
#include "sql/suppressions.h"

enum wish {
    WISH_NONE,
    WISH_ONE_CLICK,
    WISH_UNSUBSCRIBE,
    WISH_RESUBSCRIBE,
    WISH_UNCLEAR
};

/* What a request waits for. Owned by the request. */
struct task {
    struct http_request *request;
    struct query *query; /* NULL: it has ended */
    int64_t account_id;
    int64_t group_id;
    enum wish wish; /* WISH_NONE: only a look */
    enum database_result result;
    bool is_unsubscribed; /* of a look */
};

/* The fields that mean something; others are nobody's business. */
static const struct {
    const char *name;
    const char *value;
    enum wish wish;
} fields[] = {
    { "List-Unsubscribe", "One-Click", WISH_ONE_CLICK },
    { "unsubscribe", "1", WISH_UNSUBSCRIBE },
    { "resubscribe", "1", WISH_RESUBSCRIBE },
};

static void on_field(void *owner, struct text name, struct text value)
{
    enum wish *wish = owner;
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        if (text_is_ignoring_case(name, fields[i].name) &&
            text_is_ignoring_case(text_trim(value), fields[i].value)) {
            *wish = *wish == WISH_NONE || *wish == fields[i].wish
                        ? fields[i].wish
                        : WISH_UNCLEAR;
        }
    }
}

static enum wish read_wish(const struct http_request *request)
{
    enum wish wish = WISH_NONE;
    bool is_form = form_read(request->content_type, buffer_text(&request->body),
                             on_field, &wish);
    return is_form && wish != WISH_UNCLEAR ? wish : WISH_NONE;
}

static void show(struct http_request *request, int64_t account_id,
                 int64_t group_id, enum page_state state)
{
    const struct directory *directory = request->service->directory;
    const struct directory_account *account =
        directory_account_by_id(directory, account_id);
    const struct directory_group *group =
        group_id != 0 ? directory_group_by_id(directory, account_id, group_id)
                      : NULL;
    struct buffer html = { 0 };
    if (account == NULL) {
        answer_page(&request->answer, request->service->answers,
                    PAGE_NOT_FOUND);
        return;
    }
    page_write(&html, state, account->name, group != NULL ? group->name : NULL);
    answer_html(&request->answer, request->service->answers,
                buffer_text(&html));
    buffer_free(&html);
}

static void on_changed(void *owner, enum database_result result,
                       bool was_changed)
{
    struct task *task = owner;
    (void)was_changed;
    task->query = NULL;
    task->result = result;
    http_request_wake(task->request);
}

static void on_found(void *owner, enum database_result result,
                     const struct suppression *suppressions, size_t count)
{
    struct task *task = owner;
    task->query = NULL;
    task->result = result;
    for (size_t i = 0; i < count; i++) {
        task->is_unsubscribed |=
            suppressions[i].group_name != NULL &&
            suppression_applies(&suppressions[i], task->group_id,
                                clock_now()) &&
            strcmp(suppressions[i].reason, "unsubscribe") == 0;
    }
    http_request_wake(task->request);
}

static struct task *start_task(struct http_request *request,
                               const struct token *token, enum wish wish)
{
    struct task *task = memory_alloc(sizeof(*task));
    task->request = request;
    task->account_id = token->account_id;
    task->group_id = token->group_id;
    task->wish = wish;
    task->result = DATABASE_UNAVAILABLE;
    request->task = task;
    return task;
}

static void look(struct http_request *request, const struct token *token)
{
    struct task *task = start_task(request, token, WISH_NONE);
    const char *address = request->service->payload.data;
    task->query =
        suppressions_find(request->service->database, token->account_id,
                          &address, 1, on_found, task);
}

static void act(struct http_request *request, const struct token *token,
                enum wish wish)
{
    struct http_service *service = request->service;
    struct task *task = start_task(request, token, wish);
    char client[NETWORK_TEXT_SIZE];
    char user_agent[USER_AGENT_SIZE];
    bool is_kept = token->privacy == PRIVACY_FULL;
    user_agent_copy(request->user_agent, user_agent);
    struct subscription_change change = {
        .account_id = token->account_id,
        .group_id = token->group_id,
        .delivery_id = token->delivery_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .address = service->payload.data,
        .how = wish == WISH_ONE_CLICK ? "one-click" : "link",
        .client_address =
            is_kept ? network_address_text(&request->client, client) : NULL,
        .user_agent = is_kept ? user_agent : NULL,
    };
    task->query =
        wish == WISH_RESUBSCRIBE
            ? subscription_resume(service->database, &change, on_changed, task)
            : subscription_end(service->database, &change, on_changed, task);
}

enum http_verdict unsubscribe_start(struct http_request *request)
{
    struct http_service *service = request->service;
    struct token token;
    if (!track_read_token(request, TOKEN_UNSUBSCRIBE, &token)) {
        return HTTP_ANSWERED;
    }
    if (directory_account_by_id(service->directory, token.account_id) == NULL) {
        answer_page(&request->answer, service->answers, PAGE_NOT_FOUND);
        return HTTP_ANSWERED;
    }
    bool is_up = database_is_up(service->database);
    if (request->method != HTTP_POST) {
        if (is_up) {
            look(request, &token);
            return HTTP_LATER;
        }
        show(request, token.account_id, token.group_id, PAGE_SUBSCRIBED);
        return HTTP_ANSWERED;
    }
    enum wish wish = read_wish(request);
    if (wish != WISH_NONE && is_up) {
        act(request, &token, wish);
        return HTTP_LATER;
    }
    answer_page(&request->answer, service->answers,
                wish == WISH_NONE ? PAGE_BAD_FORM : PAGE_NOT_STORED);
    return HTTP_ANSWERED;
}

void unsubscribe_done(struct http_request *request)
{
    const struct task *task = request->task;
    enum page_state state = PAGE_SUBSCRIBED;
    if (task->wish != WISH_NONE && task->result != DATABASE_DONE) {
        answer_page(&request->answer, request->service->answers,
                    PAGE_NOT_STORED);
        return;
    }
    if (task->wish == WISH_RESUBSCRIBE) {
        state = PAGE_JUST_RESUBSCRIBED;
    } else if (task->wish != WISH_NONE) {
        state = PAGE_JUST_UNSUBSCRIBED;
    } else if (task->is_unsubscribed) {
        state = PAGE_UNSUBSCRIBED;
    }
    show(request, task->account_id, task->group_id, state);
}

void unsubscribe_let_go(struct http_request *request)
{
    struct task *task = request->task;
    query_cancel(&task->query);
    memory_free(task);
    request->task = NULL;
}
