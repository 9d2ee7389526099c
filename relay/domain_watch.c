/* SPDX-License-Identifier: MIT */
/*
 *   timer ─> claim a domain ─> check ─> store ─> claim the next, or timer
 */
#include "relay/domain_watch.h"

#include <inttypes.h>
#include <string.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/domain_check.h"
#include "relay/domain_records.h"
#include "relay/domain_status.h"
#include "sql/domains.h"

#define LOOK_MILLISECONDS (60 * 1000)

struct domain_watch {
    struct loop *loop;
    struct database *database;
    struct dns_resolver *resolver;
    struct timer timer;
    struct query *query;
    struct domain_check *check;
    struct arena *arena; /* of the domain in hand */
    int64_t account_id;
    struct domain_row row;
    struct domain_status before;
};

static void look(void *owner);

static void look_later(struct domain_watch *watch)
{
    arena_free(&watch->arena);
    timer_start(&watch->timer, watch->loop, LOOK_MILLISECONDS, look, watch);
}

static void on_stored(void *owner, enum database_result result, bool has_broken)
{
    struct domain_watch *watch = owner;
    watch->query = NULL;
    if (result != DATABASE_DONE) {
        look_later(watch); /* in an hour somebody comes by again */
        return;
    }
    if (has_broken) {
        log_warning(NULL, "records of a sender domain are no longer right",
                    "account=%" PRId64 " domain=\"%s\" hint=\"%s\"",
                    watch->account_id, log_quote(text_of(watch->row.name)),
                    "baton domain verify says which, and what happens to its "
                    "mail meanwhile");
    }
    arena_free(&watch->arena);
    look(watch);
}

static void on_checked(void *owner, const struct domain_report *report)
{
    struct domain_watch *watch = owner;
    struct domain_status status;
    json_t *json = domain_report_json(report);
    char *findings = json_dumps(json, JSON_COMPACT);
    watch->check = NULL;
    domain_status_decide(&watch->row, &watch->before, report, &status);
    struct domain_result stored = {
        .account_id = watch->account_id,
        .name = watch->row.name,
        .checked_at = clock_now(),
        .dkim_is_right = status.dkim_is_right,
        .return_is_right = status.return_is_right,
        .link_is_right = status.link_is_right,
        .findings = findings,
    };
    stored.next_selectors = domain_status_next_selectors(
        &watch->row, &status, watch->arena, &stored.next_count);
    watch->query = domain_store(watch->database, &stored, on_stored, watch);
    memory_free(findings);
    json_decref(json);
}

static void keep(struct domain_watch *watch,
                 const struct claimed_domain_row *rows, size_t row_count)
{
    struct arena *arena = arena_create();
    struct domain_key_row *keys = arena_alloc(arena, row_count * sizeof(*keys));
    size_t count = 0;
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].selector != NULL) {
            keys[count++] = (struct domain_key_row){
                .selector = arena_copy_string(arena, rows[i].selector),
                .state = arena_copy_string(arena, rows[i].state),
                .record = arena_copy_string(arena, rows[i].record),
            };
        }
    }
    watch->arena = arena;
    watch->account_id = rows[0].account_id;
    watch->row = (struct domain_row){
        .name = arena_copy_string(arena, rows[0].name),
        .return_host = arena_copy_string(arena, rows[0].return_host),
        .link_host = arena_copy_string(arena, rows[0].link_host),
        .keys = keys,
        .key_count = count,
    };
    watch->before = (struct domain_status){
        .dkim_is_right = rows[0].dkim_is_right,
        .return_is_right = rows[0].return_is_right,
        .link_is_right = rows[0].link_is_right,
    };
}

static void on_claimed(void *owner, enum database_result result,
                       const struct claimed_domain_row *rows, size_t row_count)
{
    struct domain_watch *watch = owner;
    struct domain_expectation expectation;
    watch->query = NULL;
    if (result != DATABASE_DONE || row_count == 0) {
        look_later(watch);
        return;
    }
    keep(watch, rows, row_count);
    domain_records_expect(&watch->row, watch->arena, &expectation);
    watch->check = domain_check_start(watch->loop, watch->resolver,
                                      &expectation, on_checked, watch);
}

static void look(void *owner)
{
    struct domain_watch *watch = owner;
    if (!database_is_up(watch->database)) {
        look_later(watch);
        return;
    }
    watch->query =
        domains_claim(watch->database, clock_now(), 1, on_claimed, watch);
}

struct domain_watch *domain_watch_create(struct loop *loop,
                                         struct database *database,
                                         struct dns_resolver *resolver)
{
    struct domain_watch *watch = memory_alloc(sizeof(*watch));
    watch->loop = loop;
    watch->database = database;
    watch->resolver = resolver;
    look_later(watch);
    return watch;
}

void domain_watch_free(struct domain_watch **watch_pointer)
{
    struct domain_watch *watch = *watch_pointer;
    if (watch != NULL) {
        timer_stop(&watch->timer);
        query_cancel(&watch->query);
        domain_check_cancel(&watch->check);
        arena_free(&watch->arena);
        memory_free(watch);
        *watch_pointer = NULL;
    }
}
