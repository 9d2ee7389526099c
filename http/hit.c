/* SPDX-License-Identifier: MIT */
#include "http/hit.h"

#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "http/http_metrics.h"
#include "http/plain_text.h"
#include "sql/hits.h"
#include "tracking/machine.h"

/* Owned by the service's list until it is stored and its request answered. */
struct hit {
    struct list_link link;
    struct batch_row row;
    struct new_hit fact;
    struct http_request *request; /* NULL: answered, or gone */
    bool is_stored; /* or given up */
    const char *url;
    char address[NETWORK_TEXT_SIZE];
    char user_agent[USER_AGENT_SIZE];
    char strings[];
};

static void free_hit(struct hit *hit)
{
    list_remove(&hit->link);
    memory_free(hit);
}

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct hit *hit = owner;
    if (result == DATABASE_FAILED) {
        log_warning(NULL, "a hit could not be stored",
                    "account=%" PRId64 " delivery=%" PRId64 " reason=\"%s\"",
                    hit->fact.account_id, hit->fact.delivery_id,
                    log_quote(text_of(error != NULL ? error->text : "")));
    }
    metric_add(&http_metrics[result == DATABASE_DONE ? METRIC_HITS_STORED
                                                     : METRIC_HITS_DROPPED],
               1);
    hit->is_stored = true;
    if (hit->request != NULL) {
        http_request_wake(hit->request);
    } else {
        free_hit(hit);
    }
}

/* Both the URL as it is, for the client, and as the database takes it. */
static struct hit *make_hit(struct text url)
{
    bool is_clean = text_is_utf8(url);
    size_t size = url.length + 1;
    struct hit *hit = memory_alloc(sizeof(*hit) + (is_clean ? size : 2 * size));
    memcpy(hit->strings, url.data, url.length);
    hit->url = hit->strings;
    hit->fact.url = hit->strings;
    if (!is_clean) {
        plain_text_copy(url, hit->strings + size);
        hit->fact.url = hit->strings + size;
    }
    return hit;
}

static void judge(struct hit *hit, const struct http_request *request,
                  enum privacy privacy)
{
    struct hit_facts facts = { .user_agent = request->user_agent,
                               .is_prefetch = request->is_prefetch };
    facts.address =
        text_of(network_address_text(&request->client, hit->address));
    hit->fact.machine_reason = machine_reason(&facts);
    if (privacy == PRIVACY_FULL) {
        user_agent_copy(request->user_agent, hit->user_agent);
        hit->fact.client_address = hit->address;
        hit->fact.user_agent = hit->user_agent;
    }
}

enum http_verdict hit_record(struct http_request *request,
                             const struct token *token, struct text url)
{
    struct http_service *service = request->service;
    struct hit *hit = make_hit(url);
    hit->fact.is_click = token->kind == TOKEN_CLICK;
    hit->fact.account_id = token->account_id;
    hit->fact.event_id = id_make();
    hit->fact.occurred_at = clock_now();
    hit->fact.delivery_id = token->delivery_id;
    hit->fact.group_id = token->group_id;
    if (hit->fact.is_click) {
        hit->fact.link = (int32_t)token->link;
    } else {
        hit->fact.url = NULL;
    }
    judge(hit, request, token->privacy);
    list_append(&service->hits, &hit->link);
    bool can_wait = database_is_up(service->database);
    if (can_wait) {
        hit->request = request;
        request->task = hit;
    } else {
        metric_add(&http_metrics[METRIC_HITS_ANSWERED_EARLY], 1);
    }
    hit_store(service->database, &hit->row, &hit->fact, on_stored, hit);
    return can_wait ? HTTP_LATER : HTTP_ANSWERED;
}

const char *hit_url(const struct hit *hit)
{
    return hit->url;
}

void hit_let_go(struct http_request *request)
{
    struct hit *hit = request->task;
    request->task = NULL;
    hit->request = NULL;
    if (hit->is_stored) {
        free_hit(hit);
    } else {
        metric_add(&http_metrics[METRIC_HITS_ANSWERED_EARLY], 1);
    }
}

void hits_forget(struct list *hits)
{
    struct list_link *link;
    while ((link = list_take_first(hits)) != NULL) {
        memory_free(LIST_ITEM(link, struct hit, link));
    }
}
