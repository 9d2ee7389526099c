/* SPDX-License-Identifier: MIT */
/*
 * Answers. Those that are always the same are made once and shared; every one
 * forbids caching, sniffing and the Referer (P1, R6).
 */
#ifndef BATON_HTTP_ANSWER_H
#define BATON_HTTP_ANSWER_H

#include <stdbool.h>

#include "core/text.h"

struct MHD_Response;
struct answers;

/* The constant ones. They name nobody. */
enum answer_page {
    PAGE_PIXEL,
    PAGE_NOT_FOUND,
    PAGE_AWAY, /* 503: come again */
    PAGE_NOT_STORED, /* 503: an unsubscribe that could not be stored */
    PAGE_BAD_REQUEST, /* and the connection is closed */
    PAGE_BAD_FORM,
    PAGE_TOO_LARGE, /* and the connection is closed */
    PAGE_TOO_MANY,
    PAGE_METHOD,
    PAGE_METHOD_POST, /* where POST is understood, too */
    PAGE_NOTHING, /* 200 without a body */
    PAGE_COUNT
};

struct answers *answers_create(void);
void answers_free(struct answers **answers);

/* Zero-initialised: none yet. Owned by its request. */
struct answer {
    unsigned status;
    struct MHD_Response *response;
    bool is_shared;
};

void answer_page(struct answer *answer, const struct answers *answers,
                 enum answer_page page);
/* 302 to exactly this URL. False: no header can carry it. */
bool answer_redirect(struct answer *answer, const char *url);
void answer_text(struct answer *answer, unsigned status,
                 const char *content_type, struct text body);
/* An HTML page of page.h, which may contain nothing but itself. */
void answer_html(struct answer *answer, const struct answers *answers,
                 struct text html);
void answer_free(struct answer *answer);

#endif
