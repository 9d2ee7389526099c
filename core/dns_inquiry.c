/* SPDX-License-Identifier: MIT */
#include "core/dns_inquiry.h"

#include <string.h>

#include "core/arena.h"
#include "core/map.h"
#include "core/memory.h"

struct question {
    struct dns_inquiry *inquiry;
    struct dns_lookup *lookup; /* NULL: answered */
    struct question *next;
    struct dns_answer answer;
};

struct dns_inquiry {
    struct loop *loop;
    struct dns_resolver *resolver;
    dns_inquiry_fn *run;
    void *owner;
    struct arena *arena; /* questions and answers */
    struct map *questions; /* by "TYPE name" in lower case */
    struct question *first;
    size_t pending_count;
};

static void run(void *owner)
{
    struct dns_inquiry *inquiry = owner;
    if (!inquiry->run(inquiry->owner, inquiry)) {
        check(inquiry->pending_count > 0);
    }
}

struct dns_inquiry *dns_inquiry_start(struct loop *loop,
                                      struct dns_resolver *resolver,
                                      dns_inquiry_fn *run_function, void *owner)
{
    struct dns_inquiry *inquiry = memory_alloc(sizeof(*inquiry));
    inquiry->loop = loop;
    inquiry->resolver = resolver;
    inquiry->run = run_function;
    inquiry->owner = owner;
    inquiry->arena = arena_create();
    inquiry->questions = map_create();
    if (loop != NULL) {
        loop_post(loop, run, inquiry);
    }
    return inquiry;
}

void dns_inquiry_free(struct dns_inquiry **inquiry)
{
    struct dns_inquiry *doomed = *inquiry;
    if (doomed == NULL) {
        return;
    }
    *inquiry = NULL;
    for (struct question *q = doomed->first; q != NULL; q = q->next) {
        dns_cancel(&q->lookup);
    }
    if (doomed->loop != NULL) {
        loop_cancel_posts(doomed->loop, doomed);
    }
    map_free(&doomed->questions);
    arena_free(&doomed->arena);
    memory_free(doomed);
}

static const struct dns_txt *copy_texts(struct arena *arena,
                                        const struct dns_answer *answer)
{
    struct dns_txt *copy = arena_alloc(arena, answer->count * sizeof(*copy));
    for (size_t i = 0; i < answer->count; i++) {
        copy[i] = answer->records.texts[i];
        copy[i].text.data = arena_copy_text(arena, copy[i].text);
    }
    return copy;
}

static const void *copy_bytes(struct arena *arena, const void *bytes,
                              size_t length)
{
    void *copy = arena_alloc(arena, length);
    memcpy(copy, bytes, length);
    return copy;
}

static void copy_answer(struct arena *arena, const struct dns_answer *answer,
                        struct dns_answer *out)
{
    *out = *answer;
    memset(&out->records, 0, sizeof(out->records));
    if (answer->count == 0) {
        return;
    }
    switch (answer->type) {
    case DNS_TYPE_TXT:
        out->records.texts = copy_texts(arena, answer);
        break;
    case DNS_TYPE_MX:
        out->records.exchangers =
            copy_bytes(arena, answer->records.exchangers,
                       answer->count * sizeof(struct dns_mx));
        break;
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        out->records.names =
            copy_bytes(arena, answer->records.names,
                       answer->count * sizeof(struct dns_name));
        break;
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        out->records.addresses =
            copy_bytes(arena, answer->records.addresses,
                       answer->count * sizeof(struct network_address));
        break;
    }
}

static void on_answer(void *owner, const struct dns_answer *answer)
{
    struct question *question = owner;
    struct dns_inquiry *inquiry = question->inquiry;
    question->lookup = NULL;
    copy_answer(inquiry->arena, answer, &question->answer);
    if (--inquiry->pending_count == 0) {
        run(inquiry);
    }
}

/* The question, made if it is new. */
static struct question *find_question(struct dns_inquiry *inquiry,
                                      enum dns_type type, const char *name,
                                      bool *out_is_new)
{
    struct buffer key = { 0 };
    buffer_printf(&key, "%d ", (int)type);
    for (const char *c = name; *c != '\0'; c++) {
        buffer_append_byte(&key, ascii_lower(*c));
    }
    struct question *question = map_get(inquiry->questions, buffer_text(&key));
    *out_is_new = question == NULL;
    if (question == NULL) {
        question = arena_alloc(inquiry->arena, sizeof(*question));
        question->inquiry = inquiry;
        question->next = inquiry->first;
        question->answer =
            (struct dns_answer){ .type = type, .status = DNS_NO_NAME };
        inquiry->first = question;
        map_set(inquiry->questions, buffer_text(&key), question);
    }
    buffer_free(&key);
    return question;
}

const struct dns_answer *dns_inquiry_ask(struct dns_inquiry *inquiry,
                                         enum dns_type type, const char *name)
{
    bool is_new = false;
    struct question *question = find_question(inquiry, type, name, &is_new);
    if (is_new && inquiry->resolver != NULL) {
        inquiry->pending_count++;
        question->lookup = dns_lookup_records(inquiry->resolver, type, name,
                                              on_answer, question);
    }
    return question->lookup == NULL ? &question->answer : NULL;
}

void dns_inquiry_tell(struct dns_inquiry *inquiry, const char *name,
                      const struct dns_answer *answer)
{
    bool is_new = false;
    struct question *question =
        find_question(inquiry, answer->type, name, &is_new);
    check(question->lookup == NULL);
    copy_answer(inquiry->arena, answer, &question->answer);
}
