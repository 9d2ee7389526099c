/* SPDX-License-Identifier: MIT */
/*
 * The connections to one site. What a connection does is the list it is in:
 *
 *   opening ──> busy <──> idle ──> leaving ──> gone
 *
 * One connection is opened first; from then on there may be twice as many as
 * are known to work. A transaction whose reused connection turned out dead
 * before the peer answered goes once more, on a fresh one.
 */
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "smtp/client_internal.h"

struct pool_host {
    struct smtp_host host;
    int64_t passed_over_until; /* monotonic */
};

struct smtp_pool {
    struct loop *loop;
    const struct smtp_pool_options *options;
    const struct smtp_pool_handler *handler;
    void *owner;
    struct pool_host *hosts;
    size_t host_count;
    struct list opening;
    struct list busy;
    struct list idle; /* the one used last stands first */
    struct list leaving;
    struct list retries; /* transactions: retry_link */
    size_t allowance; /* how many connections there may be just now */
    struct timer penalty_timer;
    bool is_posted;
    bool is_freed;
    bool is_draining;
    loop_fn *on_drained; /* NULL once it was called */
    void *drained_owner;
};

#define COUNTER(name, help)               \
    {                                     \
        name, help, METRIC_COUNTER, "", 0 \
    }

static struct metric metrics[] = {
    [CLIENT_CONNECTIONS_OPENED] =
        COUNTER("baton_smtp_client_connections_opened_total",
                "Connections begun to next hops."),
    [CLIENT_CONNECTIONS_FAILED] =
        COUNTER("baton_smtp_client_connections_failed_total",
                "Connections to next hops that could not be made ready."),
    [CLIENT_TLS_HANDSHAKES] = COUNTER("baton_smtp_client_tls_handshakes_total",
                                      "TLS handshakes done with next hops."),
    [CLIENT_TLS_FALLBACKS] =
        COUNTER("baton_smtp_client_tls_fallbacks_total",
                "Hosts tried again in clear because their TLS failed."),
    [CLIENT_TRANSACTIONS] = { "baton_smtp_client_transactions_total",
                              "Transactions begun with next hops.",
                              METRIC_COUNTER, "connection=\"new\"", 0 },
    [CLIENT_TRANSACTIONS_REUSED] = { "baton_smtp_client_transactions_total",
                                     "Transactions begun with next hops.",
                                     METRIC_COUNTER, "connection=\"reused\"",
                                     0 },
    [CLIENT_TRANSACTIONS_STALE] =
        COUNTER("baton_smtp_client_transactions_stale_total",
                "Transactions begun on a connection that was dead already."),
    [CLIENT_OCTETS] = COUNTER("baton_smtp_client_octets_total",
                              "Octets of messages sent to next hops."),
    [CLIENT_CONNECTIONS] = { "baton_smtp_client_connections",
                             "Connections to next hops now.", METRIC_GAUGE, "",
                             0 },
};
_Static_assert(ARRAY_LENGTH(metrics) == CLIENT_METRIC_COUNT,
               "every metric needs a row");

void smtp_client_metrics_register(void)
{
    metrics_register(metrics, ARRAY_LENGTH(metrics));
}

void client_metric_add(enum client_metric metric, int64_t amount)
{
    metric_add(&metrics[metric], amount);
}

/* -- hosts -- */

static bool is_same_host(const struct smtp_host *a, const struct smtp_host *b)
{
    return network_address_equal(&a->address, &b->address) &&
           network_address_port(&a->address) ==
               network_address_port(&b->address) &&
           strcmp(a->name, b->name) == 0;
}

static struct pool_host *find_host(const struct smtp_pool *pool,
                                   const struct smtp_host *host)
{
    for (size_t i = 0; i < pool->host_count; i++) {
        if (is_same_host(&pool->hosts[i].host, host)) {
            return &pool->hosts[i];
        }
    }
    return NULL;
}

static const struct pool_host *first_good_host(const struct smtp_pool *pool)
{
    int64_t now = clock_monotonic();
    for (size_t i = 0; i < pool->host_count; i++) {
        if (pool->hosts[i].passed_over_until <= now) {
            return &pool->hosts[i];
        }
    }
    return NULL;
}

static void pass_over(struct smtp_pool *pool, const struct smtp_host *host)
{
    struct pool_host *bad = find_host(pool, host);
    if (bad != NULL) {
        bad->passed_over_until =
            clock_monotonic() +
            pool->options->host_penalty_milliseconds * CLOCK_MILLISECOND;
    }
}

bool smtp_pool_has_host(const struct smtp_pool *pool)
{
    return first_good_host(pool) != NULL;
}

/* -- lists -- */

static void enter_list(struct client_session *session, struct list *list)
{
    list_remove(&session->link);
    list_prepend(list, &session->link);
}

static struct client_session *first_of(const struct list *list)
{
    return LIST_ITEM(list->first, struct client_session, link);
}

static size_t ready_count(const struct smtp_pool *pool)
{
    return pool->idle.count + pool->busy.count;
}

static size_t all_count(const struct smtp_pool *pool)
{
    return pool->opening.count + ready_count(pool) + pool->leaving.count;
}

/* As many again as work, so that a host that is down or takes only a few is
 * asked once and not a hundred times. */
static void set_allowance(struct smtp_pool *pool)
{
    size_t ready = ready_count(pool);
    pool->allowance = ready > 0 ? ready * 2 : 1;
}

static void quit(struct smtp_pool *pool, struct client_session *session)
{
    enter_list(session, &pool->leaving);
    client_session_quit(session);
}

/* The session is gone; it says nothing any more. */
static void forget(struct smtp_pool *pool, struct client_session *session)
{
    client_session_close(&session);
    pool->handler->on_connection_closed(pool->owner);
}

/* -- work -- */

static struct smtp_client_transaction *take_retry(struct smtp_pool *pool)
{
    struct list_link *link = list_take_first(&pool->retries);
    return LIST_ITEM(link, struct smtp_client_transaction, retry_link);
}

/* A retry goes only where the peer has just been heard of. */
static bool give_work(struct smtp_pool *pool, struct client_session *session,
                      bool is_known_alive)
{
    struct smtp_client_transaction *transaction = NULL;
    if (pool->is_draining || client_session_is_used_up(session)) {
        return false;
    }
    if (is_known_alive) {
        transaction = take_retry(pool);
    }
    if (transaction == NULL) {
        transaction = pool->handler->take_work(
            pool->owner, session->capabilities.has_8bitmime);
    }
    if (transaction == NULL) {
        return false;
    }
    enter_list(session, &pool->busy);
    client_session_run(session, transaction);
    return true;
}

static size_t wanted_openings(const struct smtp_pool *pool)
{
    size_t retries = pool->retries.count;
    /* With a connection idle the work that waits is not for now. */
    if (pool->idle.count > 0) {
        return retries;
    }
    return retries + pool->handler->work_waiting(pool->owner);
}

/* The limit was lowered: whoever is not busy goes. */
static bool is_over_limit(const struct smtp_pool *pool)
{
    return pool->opening.count + ready_count(pool) >
           pool->options->connections_max;
}

static bool may_open(const struct smtp_pool *pool)
{
    return !pool->is_draining && all_count(pool) < pool->allowance &&
           all_count(pool) < pool->options->connections_max &&
           pool->opening.count < wanted_openings(pool);
}

static const struct client_session_handler session_handler;

static void open_session(struct smtp_pool *pool, const struct smtp_host *host)
{
    struct client_session *session = client_session_open(
        pool->loop, pool->options, host, &session_handler, pool);
    enter_list(session, &pool->opening);
}

static void on_penalty_over(void *owner);

static void wait_for_host(struct smtp_pool *pool)
{
    int64_t now = clock_monotonic();
    int64_t shortest = INT64_MAX;
    for (size_t i = 0; i < pool->host_count; i++) {
        int64_t left = pool->hosts[i].passed_over_until - now;
        shortest = left < shortest ? left : shortest;
    }
    if (pool->host_count > 0) {
        timer_start(&pool->penalty_timer, pool->loop,
                    shortest > 0 ? shortest / CLOCK_MILLISECOND + 1 : 1,
                    on_penalty_over, pool);
    }
}

static void open_sessions(struct smtp_pool *pool)
{
    while (may_open(pool)) {
        const struct pool_host *host = first_good_host(pool);
        if (host == NULL) {
            wait_for_host(pool);
            return;
        }
        if (!pool->handler->may_connect(pool->owner)) {
            return; /* smtp_pool_wake comes when there is room again */
        }
        open_session(pool, &host->host);
    }
}

static void on_penalty_over(void *owner)
{
    open_sessions(owner);
}

/* Nothing can be made of the retries: they get the outcome that says why. */
static void end_retries(struct smtp_pool *pool,
                        const struct smtp_outcome *outcome)
{
    struct smtp_client_transaction *transaction;
    while (!pool->is_freed && (transaction = take_retry(pool)) != NULL) {
        for (size_t i = 0; i < transaction->recipient_count; i++) {
            transaction->recipients[i].outcome = *outcome;
        }
        transcript_remark(&transaction->transcript, "%s", outcome->text);
        pool->handler->on_done(pool->owner, transaction);
    }
}

static void tell_drained(struct smtp_pool *pool)
{
    loop_fn *on_drained = pool->on_drained;
    if (pool->is_freed || !pool->is_draining || on_drained == NULL ||
        pool->opening.count > 0 || pool->busy.count > 0) {
        return;
    }
    pool->on_drained = NULL;
    on_drained(pool->drained_owner);
}

static void drain(struct smtp_pool *pool)
{
    struct smtp_outcome outcome;
    struct client_session *session;
    while ((session = first_of(&pool->idle)) != NULL) {
        quit(pool, session);
    }
    while ((session = first_of(&pool->opening)) != NULL) {
        forget(pool, session);
    }
    smtp_outcome_decide(&outcome, VERDICT_DEFERRED, SCOPE_MESSAGE, "4.3.2",
                        "connect", "this server is shutting down");
    end_retries(pool, &outcome);
    tell_drained(pool);
}

static void work(void *owner)
{
    struct smtp_pool *pool = owner;
    struct client_session *session;
    pool->is_posted = false;
    if (pool->is_draining) {
        drain(pool);
        return;
    }
    while ((session = first_of(&pool->idle)) != NULL && is_over_limit(pool)) {
        quit(pool, session);
    }
    while ((session = first_of(&pool->idle)) != NULL &&
           give_work(pool, session, false)) {
    }
    open_sessions(pool);
}

static void post_work(struct smtp_pool *pool)
{
    if (!pool->is_posted) {
        pool->is_posted = true;
        loop_post(pool->loop, work, pool);
    }
}

/* -- what the sessions say -- */

static void on_ready(void *owner, struct client_session *session)
{
    struct smtp_pool *pool = owner;
    if (pool->is_draining || client_session_is_used_up(session) ||
        is_over_limit(pool)) {
        quit(pool, session);
        tell_drained(pool);
        if (!pool->is_freed) {
            open_sessions(pool);
        }
        return;
    }
    if (!give_work(pool, session, true)) {
        enter_list(session, &pool->idle);
    }
    set_allowance(pool);
    open_sessions(pool);
}

static void on_idle(void *owner, struct client_session *session)
{
    quit(owner, session);
}

static void on_failed(void *owner, struct client_session *session,
                      const struct smtp_outcome *outcome)
{
    struct smtp_pool *pool = owner;
    client_metric_add(CLIENT_CONNECTIONS_FAILED, 1);
    log_info(&session->log, "connection failed",
             "step=\"%s\" dsn=%s reason=\"%s\"", outcome->step,
             outcome->enhanced, log_quote(text_of(outcome->text)));
    pass_over(pool, &session->host);
    forget(pool, session); /* its memory stays for the rest of this turn */
    set_allowance(pool);
    if (pool->is_freed) {
        return;
    }
    pool->handler->on_connect_failed(pool->owner, &session->host, outcome,
                                     &session->transcript, session->opened_at);
    if (!pool->is_freed && !smtp_pool_has_host(pool)) {
        end_retries(pool, outcome);
    }
    tell_drained(pool);
    if (!pool->is_freed) {
        open_sessions(pool);
    }
}

static void on_done(void *owner, struct client_session *session,
                    struct smtp_client_transaction *transaction)
{
    struct smtp_pool *pool = owner;
    if (session->is_host_bad) {
        pass_over(pool, &session->host);
    }
    pool->handler->on_done(pool->owner, transaction);
}

static void on_stale(void *owner, struct client_session *session,
                     struct smtp_client_transaction *transaction)
{
    struct smtp_pool *pool = owner;
    (void)session;
    transaction->is_second_try = true;
    list_append(&pool->retries, &transaction->retry_link);
}

static void on_closed(void *owner, struct client_session *session)
{
    struct smtp_pool *pool = owner;
    if (pool->is_freed) {
        return;
    }
    forget(pool, session);
    set_allowance(pool);
    if (pool->is_freed) {
        return;
    }
    if (pool->is_draining) {
        post_work(pool); /* a retry may have come back */
    } else {
        open_sessions(pool);
    }
}

static const struct client_session_handler session_handler = {
    .on_ready = on_ready,
    .on_idle = on_idle,
    .on_failed = on_failed,
    .on_done = on_done,
    .on_stale = on_stale,
    .on_closed = on_closed,
};

/* -- public -- */

struct smtp_pool *smtp_pool_create(struct loop *loop,
                                   const struct smtp_pool_options *options,
                                   const struct smtp_pool_handler *handler,
                                   void *owner)
{
    struct smtp_pool *pool = memory_alloc(sizeof(*pool));
    pool->loop = loop;
    pool->options = options;
    pool->handler = handler;
    pool->owner = owner;
    pool->allowance = 1;
    return pool;
}

static void free_pool(void *owner)
{
    struct smtp_pool *pool = owner;
    memory_free(pool->hosts);
    memory_free(pool);
}

static void close_all(struct smtp_pool *pool, struct list *list)
{
    struct client_session *session;
    while ((session = first_of(list)) != NULL) {
        forget(pool, session);
    }
}

void smtp_pool_free(struct smtp_pool **pool)
{
    struct smtp_pool *doomed = *pool;
    *pool = NULL;
    if (doomed == NULL) {
        return;
    }
    doomed->is_freed = true;
    timer_stop(&doomed->penalty_timer);
    loop_cancel_posts(doomed->loop, doomed);
    close_all(doomed, &doomed->opening);
    close_all(doomed, &doomed->busy);
    close_all(doomed, &doomed->idle);
    close_all(doomed, &doomed->leaving);
    while (take_retry(doomed) != NULL) {
    }
    loop_dispose(doomed->loop, free_pool, doomed);
}

/* A route was changed: what leads elsewhere is of no use. */
static void quit_strangers(struct smtp_pool *pool)
{
    struct list_link *next;
    for (struct list_link *link = pool->idle.first; link != NULL; link = next) {
        struct client_session *session =
            LIST_ITEM(link, struct client_session, link);
        next = link->next;
        if (find_host(pool, &session->host) == NULL) {
            quit(pool, session);
        }
    }
}

void smtp_pool_set_hosts(struct smtp_pool *pool, const struct smtp_host *hosts,
                         size_t host_count)
{
    struct pool_host *fresh =
        memory_alloc_array(host_count > 0 ? host_count : 1, sizeof(*fresh));
    for (size_t i = 0; i < host_count; i++) {
        const struct pool_host *known = find_host(pool, &hosts[i]);
        fresh[i].host = hosts[i];
        fresh[i].passed_over_until =
            known != NULL ? known->passed_over_until : 0;
    }
    memory_free(pool->hosts);
    pool->hosts = fresh;
    pool->host_count = host_count;
    quit_strangers(pool);
    post_work(pool);
}

void smtp_pool_forgive(struct smtp_pool *pool)
{
    for (size_t i = 0; i < pool->host_count; i++) {
        pool->hosts[i].passed_over_until = 0;
    }
    post_work(pool);
}

void smtp_pool_wake(struct smtp_pool *pool)
{
    post_work(pool);
}

void smtp_pool_drain(struct smtp_pool *pool, loop_fn *on_drained, void *owner)
{
    pool->is_draining = true;
    pool->on_drained = on_drained;
    pool->drained_owner = owner;
    post_work(pool);
}

size_t smtp_pool_connection_count(const struct smtp_pool *pool)
{
    return pool->opening.count + ready_count(pool);
}
