/* SPDX-License-Identifier: MIT */
#include "http/track.h"

#include <string.h>

#include "http/guesses.h"
#include "http/hit.h"
#include "http/http_metrics.h"
#include "sql/directory.h"

/* Everybody's host stays everybody's, even if it is one account's as well: the
 * link host of a domain that it lies under. */
static bool is_honoured_here(const struct http_request *request,
                             const struct token *token)
{
    const struct directory *directory = request->service->directory;
    return strcmp(request->host, request->service->public_host) == 0 ||
           !directory_is_tracking_host(directory, request->host) ||
           directory_tracking_url(directory, token->account_id,
                                  request->host) != NULL;
}

static bool is_ours(struct http_request *request, enum token_kind kind,
                    struct text characters, struct token *out_token)
{
    struct http_service *service = request->service;
    buffer_clear(&service->payload);
    if (token_read(service->keys, kind, characters, out_token,
                   &service->payload) &&
        is_honoured_here(request, out_token)) {
        return true;
    }
    metric_add(&http_metrics[METRIC_TOKENS_WRONG], 1);
    return false;
}

bool track_read_token(struct http_request *request, enum token_kind kind,
                      struct token *out_token)
{
    struct http_service *service = request->service;
    enum answer_page page = PAGE_NOT_FOUND;
    if (service->keys == NULL) {
        page = PAGE_AWAY;
    } else if (is_ours(request, kind, request->rest, out_token)) {
        return true;
    } else if (guesses_count(service->guesses, &request->client)) {
        page = PAGE_TOO_MANY;
    }
    answer_page(&request->answer, service->answers, page);
    return false;
}

/* Nothing else was ever signed; but a redirect is worth a second look. A target
 * stays as its author wrote it: "http:a.example", too. */
static bool may_follow(struct text url)
{
    return (text_starts_with_ignoring_case(url, "http:") ||
            text_starts_with_ignoring_case(url, "https:")) &&
           memchr(url.data, '\0', url.length) == NULL;
}

static void redirect(struct http_request *request, const char *url)
{
    if (!answer_redirect(&request->answer, url)) {
        answer_page(&request->answer, request->service->answers,
                    PAGE_NOT_FOUND);
    }
}

enum http_verdict track_click_start(struct http_request *request)
{
    struct token token;
    if (!track_read_token(request, TOKEN_CLICK, &token)) {
        return HTTP_ANSWERED;
    }
    struct text url = buffer_text(&request->service->payload);
    if (!may_follow(url)) {
        answer_page(&request->answer, request->service->answers,
                    PAGE_NOT_FOUND);
        return HTTP_ANSWERED;
    }
    if (request->method == HTTP_GET &&
        hit_record(request, &token, url) == HTTP_LATER) {
        return HTTP_LATER;
    }
    redirect(request, request->service->payload.data);
    return HTTP_ANSWERED;
}

void track_click_done(struct http_request *request)
{
    redirect(request, hit_url(request->task));
}

enum http_verdict track_open_start(struct http_request *request)
{
    struct http_service *service = request->service;
    struct text characters = request->rest;
    struct token token;
    answer_page(&request->answer, service->answers, PAGE_PIXEL);
    if (text_ends_with_ignoring_case(characters, ".gif")) {
        characters.length -= strlen(".gif");
    }
    if (request->method == HTTP_GET && service->keys == NULL) {
        metric_add(&http_metrics[METRIC_HITS_DROPPED], 1);
        return HTTP_ANSWERED;
    }
    if (request->method != HTTP_GET ||
        !is_ours(request, TOKEN_OPEN, characters, &token)) {
        return HTTP_ANSWERED;
    }
    return hit_record(request, &token, (struct text){ "", 0 });
}

void track_open_done(struct http_request *request)
{
    answer_page(&request->answer, request->service->answers, PAGE_PIXEL);
}
