/* SPDX-License-Identifier: MIT */
/*
 * The validity is counted from the moment the renewal was sent, PostgreSQL
 * counts it from the moment it arrived: so ours always ends first.
 *
 *   register ──> renew ──> acquired ──> renew ...
 *
 * The first renewal tells how many we are: nothing is sent before that.
 */
#include "relay/lease.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/relay_settings.h"
#include "sql/queue.h"

#define RETRY_MILLISECONDS 500
#define RENEWALS_PER_SPAN 3
#define RESIGN_TIMEOUT_MILLISECONDS 5000
/* So long after another worker's lease may have run out we look. */
#define AFTER_END_MILLISECONDS 50

struct lease {
    struct loop *loop;
    struct database *database;
    const struct lease_handler *handler;
    void *owner;
    struct timer timer;
    int64_t predecessor_worker_id;
    int64_t worker_id;
    int64_t asked_monotonic; /* when the request on its way was sent */
    int64_t valid_until_monotonic;
    bool is_asking;
    bool is_acquired; /* on_acquired was called */
    bool is_resigning;
    loop_fn *on_resigned;
    void *resign_owner;
};

static void ask(struct lease *lease);

static void on_timer(void *owner)
{
    struct lease *lease = owner;
    if (!lease->is_asking && !lease->is_resigning) {
        ask(lease);
    }
}

static void ask_again_in(struct lease *lease, int64_t milliseconds)
{
    if (!lease->is_resigning) {
        timer_start(&lease->timer, lease->loop, milliseconds, on_timer, lease);
    }
}

/* Three times per span; sooner if somebody else would be dead by then, so that
 * what the dead had waits no longer than their lease. */
static int64_t time_of_next(const struct worker_renewal *renewal)
{
    int64_t own = relay_settings_now()->lease / RENEWALS_PER_SPAN;
    int64_t end = renewal->next_end_milliseconds + AFTER_END_MILLISECONDS;
    return renewal->next_end_milliseconds > 0 && end < own ? end : own;
}

static void extend(struct lease *lease, const struct worker_renewal *renewal)
{
    lease->valid_until_monotonic =
        lease->asked_monotonic +
        relay_settings_now()->lease * CLOCK_MILLISECOND;
    ask_again_in(lease, time_of_next(renewal));
}

static void on_registered(void *owner, enum database_result result,
                          int64_t worker_id, int worker_number,
                          const struct error *error)
{
    struct lease *lease = owner;
    lease->is_asking = false;
    if (lease->is_resigning) {
        return; /* too late: this new row runs out by itself */
    }
    if (result != DATABASE_DONE) {
        if (result == DATABASE_FAILED) {
            log_error(NULL, "this worker could not be registered",
                      "reason=\"%s\"",
                      log_quote(text_of(error != NULL ? error->text : "")));
        }
        ask_again_in(lease, RETRY_MILLISECONDS);
        return;
    }
    lease->predecessor_worker_id = 0;
    lease->worker_id = worker_id;
    id_set_worker(worker_number);
    log_info(NULL, "worker registered", "worker=%" PRId64 " number=%d",
             worker_id, worker_number);
    ask_again_in(lease, 0);
}

static void on_renewed(void *owner, enum database_result result,
                       const struct worker_renewal *renewal)
{
    struct lease *lease = owner;
    lease->is_asking = false;
    if (result != DATABASE_DONE) {
        ask_again_in(lease, RETRY_MILLISECONDS);
        return;
    }
    if (!renewal->is_alive) {
        log_warning(NULL, "lease lost", "worker=%" PRId64, lease->worker_id);
        lease->worker_id = 0;
        lease->valid_until_monotonic = 0;
        lease->is_acquired = false;
        lease->handler->on_lost(lease->owner);
        ask_again_in(lease, 0);
        return;
    }
    extend(lease, renewal);
    if (!lease->is_acquired) {
        lease->is_acquired = true;
        lease->handler->on_acquired(lease->owner, lease->worker_id);
    }
    lease->handler->on_renewed(lease->owner, renewal);
}

static int span_seconds(void)
{
    return (int)((relay_settings_now()->lease + 999) / 1000);
}

static void ask(struct lease *lease)
{
    if (!database_is_up(lease->database)) {
        ask_again_in(lease, RETRY_MILLISECONDS);
        return;
    }
    lease->is_asking = true;
    lease->asked_monotonic = clock_monotonic();
    if (lease->worker_id == 0) {
        worker_register(lease->database, relay_settings_now()->hostname,
                        span_seconds(), lease->predecessor_worker_id,
                        clock_now(), on_registered, lease);
    } else {
        worker_renew(lease->database, lease->worker_id, span_seconds(),
                     clock_now(), on_renewed, lease);
    }
}

struct lease *lease_create(struct loop *loop, struct database *database,
                           int64_t predecessor_worker_id,
                           const struct lease_handler *handler, void *owner)
{
    struct lease *lease = memory_alloc(sizeof(*lease));
    lease->loop = loop;
    lease->database = database;
    lease->handler = handler;
    lease->owner = owner;
    lease->predecessor_worker_id = predecessor_worker_id;
    ask_again_in(lease, 0);
    return lease;
}

void lease_free(struct lease **lease)
{
    if (*lease != NULL) {
        timer_stop(&(*lease)->timer);
        memory_free(*lease);
        *lease = NULL;
    }
}

void lease_wake(struct lease *lease)
{
    if (!lease->is_asking) {
        ask_again_in(lease, 0);
    }
}

bool lease_is_valid(const struct lease *lease)
{
    return lease->worker_id != 0 && !lease->is_resigning &&
           clock_monotonic() < lease->valid_until_monotonic;
}

int64_t lease_worker_id(const struct lease *lease)
{
    return lease->worker_id;
}

static void tell_resigned(void *owner)
{
    struct lease *lease = owner;
    loop_fn *on_resigned = lease->on_resigned;
    timer_stop(&lease->timer);
    lease->on_resigned = NULL;
    if (on_resigned != NULL) {
        on_resigned(lease->resign_owner);
    }
}

static void on_worker_resigned(void *owner, enum database_result result)
{
    if (result != DATABASE_DONE) {
        log_warning(NULL, "the lease could not be given back",
                    "consequence=\"%s\"", "it runs out by itself");
    }
    tell_resigned(owner);
}

void lease_resign(struct lease *lease, loop_fn *on_resigned, void *owner)
{
    lease->is_resigning = true;
    lease->on_resigned = on_resigned;
    lease->resign_owner = owner;
    timer_start(&lease->timer, lease->loop, RESIGN_TIMEOUT_MILLISECONDS,
                tell_resigned, lease);
    if (lease->worker_id != 0 && database_is_up(lease->database)) {
        worker_resign(lease->database, lease->worker_id, clock_now(),
                      on_worker_resigned, lease);
    } else {
        timer_start(&lease->timer, lease->loop, 0, tell_resigned, lease);
    }
}
