/* SPDX-License-Identifier: MIT */
#include "relay/refusal_tally.h"

#include <jansson.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/memory.h"
#include "sql/results.h"

#define WRITE_MILLISECONDS 1000 /* of the world's time */

struct refusal_tally {
    struct loop *loop;
    struct database *database;
    struct timer timer;
    struct list refusals; /* struct refusal: counted, not given to the batch */
    struct list events; /* struct refusal: on their way */
};

/* All that one account was refused since the last event. */
struct refusal {
    struct list_link link;
    struct arena *arena;
    int64_t account_id;
    int32_t recipient_count;
    const char *reply; /* the first one */
    struct batch_row row;
    struct new_event event;
};

static void free_refusal(struct refusal *refusal)
{
    struct arena *arena = refusal->arena;
    list_remove(&refusal->link);
    arena_free(&arena);
}

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct refusal *refusal = owner;
    if (result != DATABASE_DONE) {
        log_warning(NULL, "refusals over a limit are not counted",
                    "account=%lld recipients=%d reason=\"%s\"",
                    (long long)refusal->account_id,
                    (int)refusal->recipient_count,
                    log_quote(text_of(error != NULL ? error->text : "")));
    }
    free_refusal(refusal);
}

static void write_event(struct refusal_tally *tally, struct refusal *refusal)
{
    json_t *detail =
        json_pack("{s:s, s:s, s:i}", "kind", "quota", "reply", refusal->reply,
                  "recipients", (int)refusal->recipient_count);
    char *json = detail != NULL ? json_dumps(detail, JSON_COMPACT) : NULL;
    refusal->event = (struct new_event){
        .account_id = refusal->account_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .kind = "rejected",
        .quantity = refusal->recipient_count,
        .detail = json != NULL ? arena_copy_string(refusal->arena, json) : "{}",
    };
    memory_free(json); /* jansson allocates with malloc */
    json_decref(detail);
    list_append(&tally->events, &refusal->link);
    event_store(tally->database, &refusal->row, &refusal->event, on_stored,
                refusal);
}

static void write_events(void *owner)
{
    struct refusal_tally *tally = owner;
    struct list_link *link;
    while ((link = list_take_first(&tally->refusals)) != NULL) {
        write_event(tally, LIST_ITEM(link, struct refusal, link));
    }
}

/* Few accounts are over a limit in the same second. */
static struct refusal *find(struct refusal_tally *tally, int64_t account_id)
{
    for (struct list_link *link = tally->refusals.first; link != NULL;
         link = link->next) {
        struct refusal *refusal = LIST_ITEM(link, struct refusal, link);
        if (refusal->account_id == account_id) {
            return refusal;
        }
    }
    return NULL;
}

static struct refusal *add_refusal(struct refusal_tally *tally,
                                   int64_t account_id,
                                   const struct smtp_reply *reply)
{
    struct arena *arena = arena_create();
    struct refusal *refusal = arena_alloc(arena, sizeof(*refusal));
    struct buffer text = { 0 };
    smtp_reply_print(reply, &text);
    refusal->arena = arena;
    refusal->account_id = account_id;
    refusal->reply = arena_copy_text(arena, buffer_text(&text));
    buffer_free(&text);
    list_append(&tally->refusals, &refusal->link);
    return refusal;
}

void refusal_tally_add(struct refusal_tally *tally, int64_t account_id,
                       size_t recipient_count, const struct smtp_reply *reply)
{
    struct refusal *refusal = find(tally, account_id);
    if (refusal == NULL) {
        refusal = add_refusal(tally, account_id, reply);
    }
    refusal->recipient_count += (int32_t)recipient_count;
    if (!timer_is_running(&tally->timer)) {
        timer_start(&tally->timer, tally->loop,
                    WRITE_MILLISECONDS * clock_rate(), write_events, tally);
    }
}

struct refusal_tally *refusal_tally_create(struct loop *loop,
                                           struct database *database)
{
    struct refusal_tally *tally = memory_alloc(sizeof(*tally));
    tally->loop = loop;
    tally->database = database;
    return tally;
}

static void free_all(struct list *refusals)
{
    while (refusals->first != NULL) {
        free_refusal(LIST_ITEM(refusals->first, struct refusal, link));
    }
}

void refusal_tally_free(struct refusal_tally **tally)
{
    if (*tally != NULL) {
        timer_stop(&(*tally)->timer);
        free_all(&(*tally)->refusals);
        free_all(&(*tally)->events);
        memory_free(*tally);
        *tally = NULL;
    }
}
