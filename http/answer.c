/* SPDX-License-Identifier: MIT */
#include "http/answer.h"

#include <microhttpd.h>

#include "core/encoding.h"
#include "core/memory.h"
#include "http/page.h"

struct answers {
    struct MHD_Response *pages[PAGE_COUNT];
    struct buffer policy; /* Content-Security-Policy of our pages */
};

/* The smallest lawful one: GIF89a, 1 x 1, transparent. */
static const char pixel[] =
    "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01"
    "\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01"
    "\x00;";
_Static_assert(sizeof(pixel) - 1 == 43, "the pixel has 43 bytes");

#define TEXT_PAGE(code, sentence)                                            \
    .status = (code), .type = "text/plain; charset=utf-8", .body = sentence, \
    .length = sizeof(sentence) - 1

static const struct {
    unsigned status;
    const char *type;
    const char *body;
    size_t length;
    const char *header; /* one more, or NULL */
    const char *value;
} pages[] = {
    [PAGE_PIXEL] = { .status = 200,
                     .type = "image/gif",
                     .body = pixel,
                     .length = sizeof(pixel) - 1 },
    [PAGE_NOT_FOUND] = { TEXT_PAGE(404, "There is nothing here.\n") },
    [PAGE_AWAY] = { TEXT_PAGE(503, "Not ready yet: please try again in a few "
                                   "seconds.\n"),
                    .header = "Retry-After", .value = "5" },
    [PAGE_NOT_STORED] = { TEXT_PAGE(503,
                                    "Your wish could not be stored. Nothing is "
                                    "certain yet: please try again in a "
                                    "minute.\n"),
                          .header = "Retry-After", .value = "60" },
    [PAGE_BAD_REQUEST] = { TEXT_PAGE(400, "This request is not understood.\n"),
                           .header = "Connection", .value = "close" },
    [PAGE_BAD_FORM] = { TEXT_PAGE(400, "This form is not understood; nothing "
                                       "was changed.\n") },
    [PAGE_TOO_LARGE] = { TEXT_PAGE(413, "This request is too large.\n"),
                         .header = "Connection", .value = "close" },
    [PAGE_TOO_MANY] = { TEXT_PAGE(429, "Too many wrong links: please wait a "
                                       "minute.\n"),
                        .header = "Retry-After", .value = "60" },
    [PAGE_METHOD] = { TEXT_PAGE(405, "Use GET.\n"), .header = "Allow",
                      .value = "GET, HEAD" },
    [PAGE_METHOD_POST] = { TEXT_PAGE(405, "Use GET or POST.\n"),
                           .header = "Allow", .value = "GET, HEAD, POST" },
    [PAGE_NOTHING] = { TEXT_PAGE(200, "") },
};
_Static_assert(ARRAY_LENGTH(pages) == PAGE_COUNT, "every page needs a row");

static void add_header(struct MHD_Response *response, const char *name,
                       const char *value)
{
    check(MHD_add_response_header(response, name, value) == MHD_YES);
}

static struct MHD_Response *make_response(struct text body,
                                          enum MHD_ResponseMemoryMode mode,
                                          const char *content_type)
{
    /* The library writes neither to bytes that stay nor to those it copies. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)(uintptr_t)body.data, mode);
    check(response != NULL);
    add_header(response, "Cache-Control", "no-store");
    add_header(response, "Referrer-Policy", "no-referrer");
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (content_type != NULL) {
        add_header(response, "Content-Type", content_type);
    }
    return response;
}

struct answers *answers_create(void)
{
    struct answers *answers = memory_alloc(sizeof(*answers));
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        struct text body = { pages[i].body, pages[i].length };
        answers->pages[i] =
            make_response(body, MHD_RESPMEM_PERSISTENT, pages[i].type);
        if (pages[i].header != NULL) {
            add_header(answers->pages[i], pages[i].header, pages[i].value);
        }
    }
    uint8_t digest[SHA256_SIZE];
    sha256(text_of(page_style), digest);
    buffer_append_string(&answers->policy,
                         "default-src 'none'; style-src 'sha256-");
    base64_encode((struct text){ (const char *)digest, sizeof(digest) },
                  &answers->policy);
    buffer_append_string(&answers->policy,
                         "'; form-action 'self'; frame-ancestors 'none'; "
                         "base-uri 'none'");
    return answers;
}

void answers_free(struct answers **answers_pointer)
{
    struct answers *answers = *answers_pointer;
    if (answers == NULL) {
        return;
    }
    *answers_pointer = NULL;
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        MHD_destroy_response(answers->pages[i]);
    }
    buffer_free(&answers->policy);
    memory_free(answers);
}

void answer_page(struct answer *answer, const struct answers *answers,
                 enum answer_page page)
{
    answer_free(answer);
    *answer = (struct answer){ .status = pages[page].status,
                               .response = answers->pages[page],
                               .is_shared = true };
}

bool answer_redirect(struct answer *answer, const char *url)
{
    struct MHD_Response *response =
        make_response((struct text){ "", 0 }, MHD_RESPMEM_PERSISTENT, NULL);
    answer_free(answer);
    if (MHD_add_response_header(response, "Location", url) != MHD_YES) {
        MHD_destroy_response(response);
        return false;
    }
    *answer = (struct answer){ .status = 302, .response = response };
    return true;
}

void answer_text(struct answer *answer, unsigned status,
                 const char *content_type, struct text body)
{
    answer_free(answer);
    *answer = (struct answer){ .status = status,
                               .response = make_response(
                                   body, MHD_RESPMEM_MUST_COPY, content_type) };
}

void answer_html(struct answer *answer, const struct answers *answers,
                 struct text html)
{
    answer_text(answer, 200, "text/html; charset=utf-8", html);
    add_header(answer->response, "Content-Security-Policy",
               answers->policy.data);
    add_header(answer->response, "X-Frame-Options", "DENY");
    add_header(answer->response, "X-Robots-Tag", "noindex");
}

void answer_free(struct answer *answer)
{
    if (answer->response != NULL && !answer->is_shared) {
        MHD_destroy_response(answer->response);
    }
    *answer = (struct answer){ 0 };
}
