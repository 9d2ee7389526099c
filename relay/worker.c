/* SPDX-License-Identifier: MIT */
/*
 * Start:  loop, database, resolver, budget, lease, scheduler, intake, server,
 *         listeners, HTTP.
 * Ready:  when the directory is loaded and the lease is ours.
 * Stop:   listeners, sessions, transactions, results, lease, loop.
 */
#include "relay/worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "core/budget.h"
#include "core/clock.h"
#include "core/dns.h"
#include "core/helper.h"
#include "core/id.h"
#include "core/listener.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metrics.h"
#include "core/tls.h"
#include "http/server.h"
#include "relay/attempt.h"
#include "relay/domain_watch.h"
#include "relay/inbound.h"
#include "relay/intake.h"
#include "relay/lease.h"
#include "relay/relay_metrics.h"
#include "relay/scheduler.h"
#include "relay/signing.h"
#include "relay/suppression_cache.h"
#include "smtp/server.h"
#include "sql/database.h"
#include "sql/directory.h"
#include "sql/queue.h"
#include "tracking/token.h"

#define DIRECTORY_POLL_MILLISECONDS 30000
#define DIRECTORY_RETRY_MILLISECONDS 1000
/* While one change follows the other: a load in so long, after so many. */
#define DIRECTORY_PACE_MILLISECONDS 1000
#define DIRECTORY_LOADS_AT_ONCE 10
#define GAUGES_MILLISECONDS 1000
#define MEASURE_MILLISECONDS 10000
#define MAINTAIN_MILLISECONDS (15 * 60 * 1000)
#define HASHES_WAITING_MAX 64
#define DOOR_PATIENCE_MILLISECONDS 3000
/* Below so many sessions a worker takes whatever comes. */
#define SESSIONS_FREE 4

struct worker {
    const struct worker_setup *setup;
    struct worker_slot *slot;
    struct loop *loop;
    struct database *database;
    struct dns_resolver *resolver;
    struct helper *helper;
    struct signing *signing;
    struct domain_watch *domain_watch;
    struct budget *budget;
    struct tls_context *tls_server; /* NULL: no certificate is configured */
    struct tls_context *tls_any;
    struct tls_context *tls_verified;
    struct directory *directory; /* NULL until it was loaded once */
    struct token_keys *keys; /* only grows: plans in hand point to it */
    struct lease *lease;
    struct attempt_writer *writer;
    struct suppression_cache *suppressions;
    struct scheduler *scheduler;
    struct intake *intake;
    struct smtp_server *server;
    struct inbound *inbound;
    struct smtp_server *inbound_server;
    struct http_server *http;
    struct door {
        struct worker *worker;
        const struct relay_listener *listener;
        struct listener *acceptor;
    } doors[RELAY_LISTENERS_MAX];
    struct watch on_hangup;
    struct watch on_terminate;
    struct watch on_interrupt;
    struct timer directory_timer;
    struct timer gauges_timer;
    struct timer maintain_timer;
    struct timer measure_timer;
    struct timer drain_timer;
    struct timer door_timer; /* opens the listeners whatever is missing */
    struct timer probes_timer; /* the same for HTTP */
    size_t crowd; /* how many workers were alive when last heard of */
    bool is_loading_directory;
    int64_t directory_paid_monotonic; /* each load adds its pace */
    bool is_directory_stale; /* changed while it was being loaded */
    bool has_number; /* had a lease once, whatever became of it */
    bool is_draining;
    bool is_orphan; /* the supervisor is gone, and with it our ports */
};

/* -- listeners -- */

/* Whoever accepts a message also delivers it, so uneven sessions are uneven
 * cores: take a connection only while we have no more than our share. */
static bool may_accept(void *owner)
{
    const struct door *door = owner;
    const struct worker *worker = door->worker;
    int64_t own = worker->slot->session_count;
    int64_t total = 0;
    int64_t accepting = 0;
    for (size_t i = 0; i < worker->setup->worker_count; i++) {
        if (worker->setup->slots[i].is_accepting) {
            total += worker->setup->slots[i].session_count;
            accepting++;
        }
    }
    return own < SESSIONS_FREE || own * accepting <= total + accepting;
}

static void publish_session_count(struct worker *worker)
{
    worker->slot->session_count =
        (int64_t)(smtp_server_session_count(worker->server) +
                  smtp_server_session_count(worker->inbound_server));
}

static void on_accept(void *owner, int descriptor,
                      const struct network_address *peer)
{
    const struct door *door = owner;
    smtp_server_accept(door->listener->is_inbound ? door->worker->inbound_server
                                                  : door->worker->server,
                       descriptor, peer, &door->listener->policy);
    publish_session_count(door->worker);
}

static bool is_ready(void *owner, struct buffer *out_reason)
{
    const struct worker *worker = owner;
    const char *reason = NULL;
    if (worker->is_draining) {
        reason = "stopping";
    } else if (!database_is_up(worker->database)) {
        reason = "PostgreSQL cannot be reached";
    } else if (worker->directory == NULL) {
        reason = "the directory is being loaded";
    } else if (!lease_is_valid(worker->lease)) {
        reason = "this worker has no lease yet";
    } else {
        return true;
    }
    buffer_append_string(out_reason, reason);
    return false;
}

static const struct http_probes probes = { .is_ready = is_ready };

static void open_http(struct worker *worker)
{
    struct error error;
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        const struct relay_listener *listener = &worker->setup->listeners[i];
        if (!listener->is_http || worker->http != NULL || worker->is_draining) {
            continue;
        }
        worker->http =
            http_server_create(worker->loop, listener->descriptor,
                               worker->database, &probes, worker, &error);
        if (worker->http == NULL) {
            log_error(NULL, "HTTP is not answered", "reason=\"%s\"",
                      log_quote(text_of(error.text)));
        }
    }
}

/* Hits have ids of this worker's own, and tokens are read with keys of the
 * directory: recipients wait in the backlog until both are there. */
static void tell_http(struct worker *worker)
{
    if (!worker->has_number || worker->directory == NULL) {
        return;
    }
    open_http(worker);
    if (worker->http != NULL) {
        http_server_set_directory(worker->http, worker->directory, worker->keys,
                                  relay_settings_now()->public_url);
        worker->slot->knows_tokens = !worker->is_draining;
    }
}

static bool anybody_knows_tokens(const struct worker *worker)
{
    for (size_t i = 0; i < worker->setup->worker_count; i++) {
        if (worker->setup->slots[i].knows_tokens) {
            return true;
        }
    }
    return false;
}

/* Nobody can read tokens: at least probes are answered, and who follows a link
 * hears that it does not work just now. */
static void open_http_for_probes(void *owner)
{
    struct worker *worker = owner;
    if (!anybody_knows_tokens(worker)) {
        open_http(worker);
    } else if (worker->http == NULL) {
        log_debug(NULL, "HTTP is left to other workers",
                  "reason=\"this one does not know the keys yet\"");
        timer_start(&worker->probes_timer, worker->loop,
                    DOOR_PATIENCE_MILLISECONDS * clock_rate(),
                    open_http_for_probes, worker);
    }
}

static void open_doors(void *owner)
{
    struct worker *worker = owner;
    timer_stop(&worker->door_timer);
    worker->slot->is_accepting = !worker->is_draining;
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        const struct relay_listener *listener = &worker->setup->listeners[i];
        struct door *door = &worker->doors[i];
        if (!listener->is_http && door->acceptor == NULL &&
            !worker->is_draining) {
            door->worker = worker;
            door->listener = listener;
            door->acceptor = listener_start(worker->loop, listener->descriptor,
                                            may_accept, on_accept, door);
        }
    }
}

/* Clients wait a moment in the backlog rather than hear "try again later" from
 * a worker that is about to be ready. With PostgreSQL away they hear it. */
static void open_doors_when_ready(struct worker *worker)
{
    if (worker->directory != NULL && lease_worker_id(worker->lease) != 0) {
        open_doors(worker);
    }
}

static void close_doors(struct worker *worker)
{
    worker->slot->is_accepting = false;
    worker->slot->knows_tokens = false;
    timer_stop(&worker->door_timer);
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        listener_stop(&worker->doors[i].acceptor);
    }
}

/* The supervisor was killed: what it is started anew with are these ports. We
 * only end what we have begun. */
static void let_go_of_ports(struct worker *worker)
{
    if (worker->is_orphan || getppid() == worker->setup->supervisor_pid) {
        return;
    }
    worker->is_orphan = true;
    log_warning(NULL, "the supervisor is gone", "consequence=\"%s\"",
                "this worker lets go of its ports and drains");
    close_doors(worker);
    http_server_stop(worker->http);
    for (size_t i = 0; i < worker->setup->listener_count; i++) {
        close(worker->setup->listeners[i].descriptor);
    }
}

/* -- directory -- */

static void take_keys(struct token_keys *keys,
                      const struct directory *directory)
{
    for (size_t i = 0; i < directory_key_count(directory); i++) {
        const struct directory_key *key = directory_key(directory, i);
        token_keys_add(keys, key->key_id, key->secret);
        if (key->is_current) {
            token_keys_use(keys, key->key_id);
        }
    }
}

static void load_directory(struct worker *worker);
static void load_directory_soon(struct worker *worker);

static void on_directory_timer(void *owner)
{
    load_directory(owner);
}

static void on_directory_loaded(void *owner, enum database_result result,
                                struct directory *directory,
                                const struct error *error)
{
    struct worker *worker = owner;
    int64_t wait = DIRECTORY_POLL_MILLISECONDS;
    worker->is_loading_directory = false;
    if (result == DATABASE_DONE) {
        struct directory *old = worker->directory;
        log_debug(NULL, "the directory was loaded", "");
        worker->directory = directory;
        take_keys(worker->keys, directory);
        signing_set_directory(worker->signing, directory);
        intake_set_directory(worker->intake, directory);
        inbound_set_directory(worker->inbound, directory);
        scheduler_set_directory(worker->scheduler, directory);
        tell_http(worker);
        directory_free(&old);
        open_doors_when_ready(worker);
    } else {
        log_write(result == DATABASE_FAILED ? LOG_ERROR : LOG_DEBUG, NULL,
                  "the directory could not be loaded", "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
        wait = DIRECTORY_RETRY_MILLISECONDS;
    }
    if (worker->is_directory_stale) {
        load_directory_soon(worker);
        return;
    }
    timer_start(&worker->directory_timer, worker->loop, wait * clock_rate(),
                on_directory_timer, worker);
}

static void load_directory(struct worker *worker)
{
    if (worker->is_loading_directory) {
        worker->is_directory_stale = true;
        return;
    }
    int64_t now = clock_monotonic();
    int64_t paid = worker->directory_paid_monotonic;
    worker->directory_paid_monotonic =
        (paid > now ? paid : now) +
        DIRECTORY_PACE_MILLISECONDS * clock_rate() * CLOCK_MILLISECOND;
    worker->is_directory_stale = false;
    worker->is_loading_directory = true;
    directory_load(worker->database, on_directory_loaded, worker);
}

/* At once, but not again and again while one change follows the other. */
static void load_directory_soon(struct worker *worker)
{
    int64_t ahead = worker->directory_paid_monotonic - clock_monotonic();
    int64_t wait = ahead / CLOCK_MILLISECOND - DIRECTORY_PACE_MILLISECONDS *
                                                   DIRECTORY_LOADS_AT_ONCE *
                                                   clock_rate();
    if (worker->is_loading_directory || wait <= 0) {
        load_directory(worker);
        return;
    }
    timer_start(&worker->directory_timer, worker->loop, wait,
                on_directory_timer, worker);
}

/* -- database -- */

static void on_database_up(void *owner)
{
    struct worker *worker = owner;
    log_info(NULL, "database up", "");
    lease_wake(worker->lease);
    scheduler_wake(worker->scheduler);
    load_directory(worker);
}

static void on_database_down(void *owner, const struct error *error)
{
    (void)owner;
    log_warning(NULL, "database down", "reason=\"%s\"",
                log_quote(text_of(error != NULL ? error->text : "")));
}

static void on_directory_changed(void *owner)
{
    load_directory_soon(owner);
}

static void on_queue_command(void *owner, struct text command)
{
    struct worker *worker = owner;
    log_info(NULL, "operator's command", "command=\"%s\"", log_quote(command));
    scheduler_command(worker->scheduler, command);
}

static const struct database_handler database_handler = {
    .on_up = on_database_up,
    .on_down = on_database_down,
    .on_directory_changed = on_directory_changed,
    .on_queue_command = on_queue_command,
};

/* -- lease -- */

static void on_maintained(void *owner, enum database_result result,
                          const struct error *error)
{
    (void)owner;
    if (result == DATABASE_FAILED) {
        log_error(NULL, "partitions could not be maintained", "reason=\"%s\"",
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
}

static void maintain(void *owner)
{
    struct worker *worker = owner;
    database_maintain(worker->database, clock_now(), on_maintained, worker);
    timer_start(&worker->maintain_timer, worker->loop, MAINTAIN_MILLISECONDS,
                maintain, worker);
}

static void on_lease_acquired(void *owner, int64_t worker_id)
{
    struct worker *worker = owner;
    worker->slot->worker_id = worker_id;
    worker->has_number = true;
    tell_http(worker);
    scheduler_start(worker->scheduler, worker_id);
    open_doors_when_ready(worker);
    if (!timer_is_running(&worker->maintain_timer)) {
        maintain(worker);
    }
}

static void on_lease_lost(void *owner)
{
    struct worker *worker = owner;
    worker->slot->worker_id = 0;
    scheduler_drop_all(worker->scheduler);
}

static void log_crowd(struct worker *worker, size_t worker_count)
{
    int64_t limit = relay_settings_now()->connections_per_site;
    if (worker_count == worker->crowd) {
        return;
    }
    worker->crowd = worker_count;
    log_info(NULL, "live workers", "count=%zu", worker_count);
    if ((int64_t)worker_count > limit) {
        log_warning(NULL, "more workers than connections to a site",
                    "workers=%zu connections_per_site=%" PRId64
                    " consequence=\"%s\"",
                    worker_count, limit, "every worker makes one connection");
    }
}

static void on_lease_renewed(void *owner, const struct worker_renewal *renewal)
{
    struct worker *worker = owner;
    log_crowd(worker, renewal->worker_count);
    scheduler_set_share(worker->scheduler, renewal->worker_count,
                        renewal->rank);
    if (renewal->taken_over_count > 0) {
        log_warning(NULL, "deliveries of dead workers are due again",
                    "count=%" PRId64, renewal->taken_over_count);
        metric_add(&relay_metrics[METRIC_TAKEN_OVER],
                   renewal->taken_over_count);
        scheduler_wake(worker->scheduler);
    }
}

static const struct lease_handler lease_handler = {
    .on_acquired = on_lease_acquired,
    .on_lost = on_lease_lost,
    .on_renewed = on_lease_renewed,
};

/* -- once a second -- */

static void update_gauges(void *owner)
{
    struct worker *worker = owner;
    publish_session_count(worker);
    metric_set(&relay_metrics[METRIC_MESSAGE_MEMORY],
               (int64_t)budget_used_bytes(worker->budget));
    metric_set(&relay_metrics[METRIC_MEMORY_WAITING],
               (int64_t)budget_waiting_count(worker->budget));
    metric_set(&relay_metrics[METRIC_DATABASE_UP],
               database_is_up(worker->database) ? 1 : 0);
    timer_start(&worker->gauges_timer, worker->loop, GAUGES_MILLISECONDS,
                update_gauges, worker);
}

static void on_measured(void *owner, enum database_result result,
                        int64_t row_count, int64_t oldest_due_at)
{
    (void)owner;
    (void)oldest_due_at;
    if (result == DATABASE_DONE) {
        metric_set(&relay_metrics[METRIC_QUEUE_DUE], row_count);
    }
}

/* The queue is everybody's, and gauges are added up: one worker measures. */
static void measure_queue(void *owner)
{
    struct worker *worker = owner;
    if (database_is_up(worker->database)) {
        queue_measure(worker->database, clock_now(), on_measured, worker);
    }
    timer_start(&worker->measure_timer, worker->loop,
                MEASURE_MILLISECONDS * clock_rate(), measure_queue, worker);
}

/* -- reload -- */

static struct tls_context *load_certificate(struct error *error)
{
    const struct relay_settings_values *settings = relay_settings_now();
    return tls_server_context_create(settings->certificate, settings->key,
                                     error);
}

static void reload(void *owner)
{
    struct worker *worker = owner;
    struct error error;
    if (!config_load(worker->setup->config, worker->setup->config_path,
                     &error)) {
        log_error(NULL, "configuration kept as it was", "reason=\"%s\"",
                  log_quote(text_of(error.text)));
        return;
    }
    relay_settings_configure_log();
    if (relay_settings_now()->certificate[0] != '\0') {
        struct tls_context *fresh = load_certificate(&error);
        if (fresh == NULL) {
            log_error(NULL, "certificate kept as it was", "reason=\"%s\"",
                      log_quote(text_of(error.text)));
            return;
        }
        smtp_server_set_tls(worker->server, fresh);
        smtp_server_set_tls(worker->inbound_server, fresh);
        tls_context_free(&worker->tls_server);
        worker->tls_server = fresh;
    }
    if (!signing_read_operator(worker->signing, &error)) {
        log_error(NULL, "the operator's key kept as it was", "reason=\"%s\"",
                  log_quote(text_of(error.text)));
    }
    load_directory(worker);
    log_info(NULL, "reloaded", "");
}

/* -- drain -- */

static void stop_loop(void *owner)
{
    struct worker *worker = owner;
    loop_stop(worker->loop);
}

static void resign(void *owner)
{
    struct worker *worker = owner;
    timer_stop(&worker->drain_timer);
    lease_resign(worker->lease, stop_loop, worker);
}

static void on_drain_timeout(void *owner)
{
    log_warning(NULL, "drained in part only", "consequence=\"%s\"",
                "what is on the wire is cut off and tried again");
    resign(owner);
}

static void flush_database(void *owner)
{
    struct worker *worker = owner;
    if (worker->http != NULL) {
        http_server_quiesce(worker->http);
    }
    database_flush(worker->database, resign, worker);
}

static void drain_scheduler(void *owner)
{
    struct worker *worker = owner;
    scheduler_drain(worker->scheduler, flush_database, worker);
}

static void drain_inbound(void *owner)
{
    struct worker *worker = owner;
    smtp_server_drain(worker->inbound_server, drain_scheduler, worker);
}

static void drain(void *owner)
{
    struct worker *worker = owner;
    let_go_of_ports(worker);
    if (worker->is_draining) {
        return;
    }
    worker->is_draining = true;
    log_info(NULL, "draining", "sessions=%zu",
             smtp_server_session_count(worker->server));
    close_doors(worker);
    timer_start(&worker->drain_timer, worker->loop,
                relay_settings_now()->drain_timeout, on_drain_timeout, worker);
    smtp_server_drain(worker->server, drain_inbound, worker);
}

/* -- start and end -- */

static bool create_tls(struct worker *worker, struct error *error)
{
    worker->tls_any = tls_client_context_create(TLS_VERIFY_NONE, NULL, error);
    worker->tls_verified =
        tls_client_context_create(TLS_VERIFY_NAME, NULL, error);
    if (worker->tls_any == NULL || worker->tls_verified == NULL) {
        return false;
    }
    if (relay_settings_now()->certificate[0] != '\0') {
        worker->tls_server = load_certificate(error);
        return worker->tls_server != NULL;
    }
    return true;
}

static void create_relay(struct worker *worker)
{
    worker->writer = attempt_writer_create(worker->database);
    worker->suppressions = suppression_cache_create(
        worker->loop, worker->database,
        (size_t)relay_settings_now()->suppression_memory);
    struct scheduler_options scheduler_options = {
        .loop = worker->loop,
        .database = worker->database,
        .resolver = worker->resolver,
        .budget = worker->budget,
        .writer = worker->writer,
        .suppressions = worker->suppressions,
        .lease = worker->lease,
        .keys = worker->keys,
        .tls_any = worker->tls_any,
        .tls_verified = worker->tls_verified,
        .signing = worker->signing,
        .pace = { .signal = &worker->slot->pace,
                  .signals = &worker->setup->slots[0].pace,
                  .stride = sizeof(worker->setup->slots[0]),
                  .signal_count = worker->setup->worker_count },
    };
    worker->scheduler = scheduler_create(&scheduler_options);
    struct intake_options intake_options = {
        .loop = worker->loop,
        .database = worker->database,
        .helper = worker->helper,
        .resolver = worker->resolver,
        .scheduler = worker->scheduler,
        .suppressions = worker->suppressions,
        .lease = worker->lease,
        .signing = worker->signing,
        .keys = worker->keys,
    };
    worker->intake = intake_create(&intake_options);
    struct smtp_server_options server_options = {
        .hostname = relay_settings_now()->hostname,
        .tls = worker->tls_server,
        .handler = &intake_smtp_handler,
        .owner = worker->intake,
        .budget = worker->budget,
    };
    worker->server = smtp_server_create(worker->loop, &server_options);
    struct inbound_options inbound_options = {
        .loop = worker->loop,
        .resolver = worker->resolver,
        .database = worker->database,
        .helper = worker->helper,
        .lease = worker->lease,
        .keys = worker->keys,
    };
    worker->inbound = inbound_create(&inbound_options);
    server_options.handler = &inbound_smtp_handler;
    server_options.owner = worker->inbound;
    worker->inbound_server = smtp_server_create(worker->loop, &server_options);
}

static bool start(struct worker *worker, struct error *error)
{
    const struct relay_settings_values *settings = relay_settings_now();
    struct dns_options dns = { .servers = settings->dns_servers,
                               .timeout_milliseconds =
                                   (int)settings->dns_timeout };
    /* Sessions have ids before we are registered; nothing that is stored has
     * one of these. */
    id_set_worker(ID_WORKER_MAX);
    worker->loop = loop_create();
    watch_signal(&worker->on_hangup, worker->loop, SIGHUP, reload, worker);
    watch_signal(&worker->on_terminate, worker->loop, SIGTERM, drain, worker);
    watch_signal(&worker->on_interrupt, worker->loop, SIGINT, drain, worker);
    if (!create_tls(worker, error)) {
        return false;
    }
    worker->resolver = dns_resolver_create(worker->loop, &dns, error);
    if (worker->resolver == NULL) {
        return false;
    }
    worker->helper = helper_create(worker->loop, HASHES_WAITING_MAX);
    worker->signing = signing_create(worker->loop, worker->helper);
    if (!signing_read_operator(worker->signing, error)) {
        return false;
    }
    worker->budget =
        budget_create(worker->loop, (size_t)settings->message_memory,
                      (size_t)smtp_message_size_limit());
    worker->database = database_create(worker->loop, &database_handler, worker);
    worker->lease =
        lease_create(worker->loop, worker->database, worker->slot->worker_id,
                     &lease_handler, worker);
    worker->domain_watch =
        domain_watch_create(worker->loop, worker->database, worker->resolver);
    worker->keys = token_keys_create();
    create_relay(worker);
    update_gauges(worker);
    if (worker->setup->worker_index == 0) {
        measure_queue(worker);
    }
    timer_start(&worker->door_timer, worker->loop,
                DOOR_PATIENCE_MILLISECONDS * clock_rate(), open_doors, worker);
    timer_start(&worker->probes_timer, worker->loop,
                DOOR_PATIENCE_MILLISECONDS * clock_rate(), open_http_for_probes,
                worker);
    return true;
}

static void end(struct worker *worker)
{
    close_doors(worker);
    http_server_stop(worker->http);
    smtp_server_free(&worker->server);
    smtp_server_free(&worker->inbound_server);
    inbound_stop(worker->inbound);
    scheduler_free(&worker->scheduler);
    suppression_cache_free(&worker->suppressions);
    domain_watch_free(&worker->domain_watch);
    database_free(&worker->database);
    http_server_free(&worker->http);
    attempt_writer_free(&worker->writer);
    intake_free(&worker->intake);
    inbound_free(&worker->inbound);
    lease_free(&worker->lease);
    helper_free(&worker->helper);
    signing_free(&worker->signing);
    dns_resolver_free(&worker->resolver);
    budget_free(&worker->budget);
    directory_free(&worker->directory);
    token_keys_free(&worker->keys);
    tls_context_free(&worker->tls_server);
    tls_context_free(&worker->tls_any);
    tls_context_free(&worker->tls_verified);
    timer_stop(&worker->directory_timer);
    timer_stop(&worker->gauges_timer);
    timer_stop(&worker->maintain_timer);
    timer_stop(&worker->measure_timer);
    timer_stop(&worker->drain_timer);
    timer_stop(&worker->door_timer);
    timer_stop(&worker->probes_timer);
    watch_stop(&worker->on_hangup);
    watch_stop(&worker->on_terminate);
    watch_stop(&worker->on_interrupt);
    loop_free(&worker->loop);
}

int worker_run(const struct worker_setup *setup)
{
    struct worker *worker = memory_alloc(sizeof(*worker));
    struct error error;
    worker->setup = setup;
    worker->slot = &setup->slots[setup->worker_index];
    worker->slot->session_count = 0;
    metrics_attach(setup->worker_index);
    relay_settings_configure_log();
    if (!start(worker, &error)) {
        log_error(NULL, "worker cannot start", "reason=\"%s\"",
                  log_quote(text_of(error.text)));
        return 1;
    }
    loop_run(worker->loop);
    worker->slot->worker_id = 0; /* resigned: nobody has to retire us */
    end(worker);
    memory_free(worker);
    log_info(NULL, "worker stopped", "");
    return 0;
}
