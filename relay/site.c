/* SPDX-License-Identifier: MIT */
/*
 * Fairness: each lane (high, normal) holds one queue per account, and the
 * accounts take turns. A transaction takes the next delivery and, while they
 * stand right behind it, further recipients of the same message.
 *
 * The sandbox and discard kinds have no connections: their deliveries are done
 * a few per loop turn.
 */
#include "relay/site.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "relay/early_copy.h"
#include "relay/relay_settings.h"

#define LANE_COUNT 2
#define LANE_HIGH 0
#define LANE_NORMAL 1
#define RECIPIENTS_PER_TRANSACTION 100
#define LOCAL_DELIVERIES_PER_TURN 50
#define FAILURES_PER_TURN 50
/* Copies that are signed, or being signed, before a connection asks. */
#define PREPARED_MAX 16
/* What is ready for longer is asked about again before it leaves. */
#define ASKED_AGAIN_MILLISECONDS 300

/* The deliveries of one account that wait in one lane of a site. */
struct account_queue {
    struct list_link link; /* in the lane, while it has deliveries */
    struct list deliveries;
    int64_t account_id;
};

struct lane {
    struct list queues; /* the account whose turn it is stands first */
    struct map *by_account;
};

/* The connection that failed, while those who waited for it are told. */
struct site_failure {
    struct smtp_host host;
    struct smtp_outcome outcome;
    int64_t started_at;
    bool has_other_host;
    size_t left_count; /* not told yet */
    bool is_posted;
};

struct site {
    struct loop *loop;
    const struct site_handler *handler;
    void *owner;
    enum site_kind kind;
    char *key;
    char *user;
    char *password;
    struct smtp_pool_options pool_options;
    struct smtp_pool *pool; /* SITE_SMTP */
    struct signing *signing;
    struct list transactions; /* on the wire, or being signed */
    struct list prepared; /* signed: for the next connection that asks */
    size_t signing_count; /* of the transactions */
    bool peer_has_8bitmime; /* the one that asked last */
    struct lane lanes[LANE_COUNT];
    size_t waiting_count;
    size_t held_bytes; /* message bytes of those who wait or are on the wire */
    size_t busy_count; /* deliveries on the wire */
    struct site_failure failure;
    char last_trouble[256]; /* why connections could not be made, or "" */
    struct timer rate_timer;
    int64_t interval; /* microseconds between transactions; 0: no limit */
    int64_t next_send_monotonic;
    bool is_limited_by_connections;
    bool has_local_post;
};

/* A running transaction with the deliveries it carries. */
struct site_transaction {
    struct smtp_client_transaction wire; /* first: the pool hands it back */
    struct site *site;
    struct list_link link;
    struct arena *arena;
    struct delivery **deliveries;
    struct text *pieces; /* the signature, then the copy's */
    struct held_copy *shared; /* the copy is others' as well; or NULL */
    bool is_signing;
    struct signing_job *signing_job; /* NULL: it is early's */
    struct early_copy *early; /* what it is made of; or NULL */
    bool to_7bit;
    int64_t account_id;
    int64_t taken_monotonic;
};

/* -- queues -- */

static struct lane *lane_of(struct site *site, const struct delivery *delivery)
{
    return &site->lanes[delivery->message->priority > 0 ? LANE_HIGH
                                                        : LANE_NORMAL];
}

static struct account_queue *queue_of(struct lane *lane, int64_t account_id)
{
    struct account_queue *queue = map_get_id(lane->by_account, account_id);
    if (queue == NULL) {
        queue = memory_alloc(sizeof(*queue));
        queue->account_id = account_id;
        map_set_id(lane->by_account, account_id, queue);
        list_append(&lane->queues, &queue->link);
    }
    return queue;
}

static void drop_empty_queue(struct lane *lane, struct account_queue *queue)
{
    if (queue->deliveries.count == 0) {
        list_remove(&queue->link);
        map_remove_id(lane->by_account, queue->account_id);
        memory_free(queue);
    }
}

static void enqueue(struct site *site, struct delivery *delivery, bool in_front)
{
    struct account_queue *queue =
        queue_of(lane_of(site, delivery), delivery->message->account_id);
    delivery->site = site;
    delivery->phase = DELIVERY_WAITING;
    delivery->part_bytes =
        delivery->message->share.bytes / delivery->message->deliveries.count;
    site->held_bytes += delivery->part_bytes;
    if (in_front) {
        list_prepend(&queue->deliveries, &delivery->link);
    } else {
        list_append(&queue->deliveries, &delivery->link);
    }
    site->waiting_count++;
}

void site_remove(struct delivery *delivery)
{
    struct site *site = delivery->site;
    struct lane *lane = lane_of(site, delivery);
    struct account_queue *queue =
        map_get_id(lane->by_account, delivery->message->account_id);
    list_remove(&delivery->link);
    site->waiting_count--;
    site->held_bytes -= delivery->part_bytes;
    drop_empty_queue(lane, queue);
}

static struct delivery *take_from_queue(struct site *site, struct lane *lane,
                                        struct account_queue *queue)
{
    struct delivery *delivery =
        LIST_ITEM(list_take_first(&queue->deliveries), struct delivery, link);
    site->waiting_count--;
    site->held_bytes -= delivery->part_bytes;
    list_remove(&queue->link); /* its turn is over */
    list_append(&lane->queues, &queue->link);
    drop_empty_queue(lane, queue);
    return delivery;
}

struct delivery *site_take_waiting(struct site *site)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &site->lanes[i];
        if (lane->queues.first != NULL) {
            return take_from_queue(
                site, lane,
                LIST_ITEM(lane->queues.first, struct account_queue, link));
        }
    }
    return NULL;
}

static bool may_begin(const struct site *site,
                      const struct account_queue *queue)
{
    return site->handler->may_begin(site->owner, queue->account_id);
}

/* The next one for the wire: of an account that may use one more connection. */
static struct delivery *take_for_wire(struct site *site)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &site->lanes[i];
        for (struct list_link *link = lane->queues.first; link != NULL;
             link = link->next) {
            struct account_queue *queue =
                LIST_ITEM(link, struct account_queue, link);
            if (may_begin(site, queue)) {
                return take_from_queue(site, lane, queue);
            }
        }
    }
    return NULL;
}

static bool is_wanted(const struct site *site, struct delivery *delivery)
{
    return site->handler->is_wanted(site->owner, delivery);
}

/* The next delivery of the same message, if it is the next of its account. */
static struct delivery *take_sibling(struct site *site,
                                     const struct delivery *first)
{
    struct lane *lane = lane_of(site, first);
    struct account_queue *queue =
        map_get_id(lane->by_account, first->message->account_id);
    struct delivery *next = queue == NULL ? NULL
                                          : LIST_ITEM(queue->deliveries.first,
                                                      struct delivery, link);
    if (next == NULL || next->message != first->message ||
        next->is_untracked != first->is_untracked) {
        return NULL;
    }
    list_remove(&next->link);
    site->waiting_count--;
    site->held_bytes -= next->part_bytes;
    drop_empty_queue(lane, queue);
    return next;
}

/* -- attempts -- */

static void report_attempt(struct site *site, struct delivery *delivery,
                           struct attempt_facts *facts,
                           const struct smtp_outcome *outcome)
{
    facts->site = site->key;
    site->handler->on_attempt(site->owner, delivery, facts, outcome);
}

static int64_t milliseconds_between(int64_t from, int64_t to)
{
    return to > from ? (to - from) / CLOCK_MILLISECOND : 0;
}

/* What cannot even be composed fails without a dialogue. */
static void fail_uncomposed(struct site *site, struct delivery *delivery,
                            bool to_7bit, const struct error *error)
{
    struct smtp_outcome outcome;
    struct attempt_facts facts = {
        .host = "",
        .address = "",
        .transcript = text_of(""),
        .sandbox_message = text_of(""),
    };
    smtp_outcome_decide(&outcome, VERDICT_FAILED, SCOPE_MESSAGE,
                        to_7bit ? "5.6.3" : "5.6.0", "compose", "%s",
                        error->text);
    report_attempt(site, delivery, &facts, &outcome);
}

static bool may_finish(void *owner)
{
    const struct site_transaction *transaction = owner;
    const struct site *site = transaction->site;
    return site->handler->may_finish(site->owner);
}

/* It is on no transaction any more. */
static void release(struct site *site, const struct delivery *delivery)
{
    site->busy_count--;
    site->held_bytes -= delivery->part_bytes;
}

/* The first piece is for the signature. */
static void fill_wire(struct site_transaction *transaction,
                      const struct delivery *first, bool to_7bit,
                      const struct held_copy *copy)
{
    struct text *pieces = arena_alloc(
        transaction->arena, (copy->piece_count + 1) * sizeof(*pieces));
    pieces[0] = copy->signature;
    for (size_t i = 0; i < copy->piece_count; i++) {
        pieces[i + 1] = copy->pieces[i];
    }
    transaction->pieces = pieces;
    transaction->shared = copy->shared;
    transaction->to_7bit = to_7bit;
    const struct held_message *message = first->message;
    transaction->wire = (struct smtp_client_transaction){
        .sender = held_message_sender(message, first, transaction->arena),
        .needs_smtputf8 = message->is_smtputf8,
        .has_8bit = message->has_8bit && !to_7bit,
        .dsn_return = message->dsn_return,
        .envelope_id = message->envelope_id,
        .pieces = pieces,
        .piece_count = copy->piece_count + 1,
        .size_bytes = pieces[0].length + copy->size_bytes,
        .may_finish = may_finish,
        .owner = transaction,
    };
}

static void add_recipient(struct site_transaction *transaction,
                          struct delivery *delivery)
{
    size_t i = transaction->wire.recipient_count++;
    transaction->deliveries[i] = delivery;
    transaction->wire.recipients[i] = (struct smtp_client_recipient){
        .address = delivery->recipient,
        .notify = delivery->notify,
        .original_recipient = delivery->original_recipient,
        .owner = delivery,
    };
    delivery->phase = DELIVERY_ON_WIRE;
    transaction->site->busy_count++;
    transaction->site->held_bytes += delivery->part_bytes;
}

/* Who has a copy or a return path of his own has a transaction of his own. A
 * recipient alone costs one slot, not a hundred. */
static size_t count_siblings(const struct delivery *first, bool to_7bit)
{
    bool is_shared = held_message_is_shared(first->message, first, to_7bit) &&
                     !held_message_has_return_paths(first->message);
    size_t count = is_shared ? first->message->deliveries.count : 1;
    return count < RECIPIENTS_PER_TRANSACTION ? count
                                              : RECIPIENTS_PER_TRANSACTION;
}

static struct site_transaction *begin_transaction(struct site *site,
                                                  struct delivery *first,
                                                  bool to_7bit,
                                                  const struct held_copy *copy,
                                                  struct arena *arena)
{
    struct site_transaction *transaction =
        arena_alloc(arena, sizeof(*transaction));
    size_t most = count_siblings(first, to_7bit);
    transaction->site = site;
    transaction->account_id = first->message->account_id;
    site->handler->on_begin(site->owner, transaction->account_id);
    list_append(&site->transactions, &transaction->link);
    transaction->arena = arena;
    transaction->taken_monotonic = clock_monotonic();
    fill_wire(transaction, first, to_7bit, copy);
    transaction->deliveries =
        arena_alloc(arena, most * sizeof(*transaction->deliveries));
    transaction->wire.recipients =
        arena_alloc(arena, most * sizeof(*transaction->wire.recipients));
    add_recipient(transaction, first);
    while (transaction->wire.recipient_count < most) {
        struct delivery *sibling = take_sibling(site, first);
        if (sibling == NULL) {
            break;
        }
        if (is_wanted(site, sibling)) {
            add_recipient(transaction, sibling);
        }
    }
    return transaction;
}

static void end_transaction(struct site_transaction *transaction)
{
    if (transaction->is_signing) {
        transaction->site->signing_count--;
        signing_cancel(&transaction->signing_job);
    }
    early_copy_free(&transaction->early);
    list_remove(&transaction->link);
    transcript_free(&transaction->wire.transcript);
    struct arena *arena = transaction->arena;
    arena_free(&arena);
}

static void on_rate_timer(void *owner)
{
    struct site *site = owner;
    site_wake(site);
}

/* GCRA with a burst of one: at most one transaction per interval. */
static bool passes_rate(struct site *site)
{
    if (site->interval == 0) {
        return true;
    }
    int64_t now = clock_monotonic();
    if (now < site->next_send_monotonic) {
        if (!timer_is_running(&site->rate_timer)) {
            timer_start(&site->rate_timer, site->loop,
                        (site->next_send_monotonic - now) / CLOCK_MILLISECOND +
                            1,
                        on_rate_timer, site);
        }
        return false;
    }
    site->next_send_monotonic = now + site->interval;
    return true;
}

/* E4: what is internationalised cannot become 7-bit and says so by itself. */
static bool must_be_7bit(const struct held_message *message,
                         bool peer_has_8bitmime)
{
    return message->has_8bit && !peer_has_8bitmime && !message->is_smtputf8;
}

/* -- signing -- */

/* Its deliveries wait again, in front, as if nothing had been begun. */
static void undo_transaction(struct site_transaction *transaction)
{
    struct site *site = transaction->site;
    site->handler->on_end(site->owner, transaction->account_id);
    for (size_t i = transaction->wire.recipient_count; i > 0; i--) {
        struct delivery *delivery = transaction->deliveries[i - 1];
        release(site, delivery);
        enqueue(site, delivery, true);
    }
    end_transaction(transaction);
}

/* No connection is left: all who wait are told the same. */
static void undo_prepared(struct site *site)
{
    while (site->prepared.last != NULL) {
        undo_transaction(
            LIST_ITEM(site->prepared.last, struct site_transaction, link));
    }
}

/* It cannot be signed just now. */
static void defer_unsigned(struct site_transaction *transaction,
                           const struct error *error)
{
    struct site *site = transaction->site;
    struct smtp_outcome outcome;
    struct attempt_facts facts = {
        .host = "",
        .address = "",
        .started_at = clock_now(),
        .transcript = text_of(""),
        .sandbox_message = text_of(""),
    };
    smtp_outcome_decide(&outcome, VERDICT_DEFERRED, SCOPE_MESSAGE, "4.7.0",
                        "sign", "%s", error->text);
    site->handler->on_end(site->owner, transaction->account_id);
    for (size_t i = 0; i < transaction->wire.recipient_count; i++) {
        struct delivery *delivery = transaction->deliveries[i];
        release(site, delivery);
        report_attempt(site, delivery, &facts, &outcome);
    }
    end_transaction(transaction);
}

static void deliver_locally(struct site_transaction *transaction);

static void on_signed(void *owner, struct text fields,
                      const struct error *error)
{
    struct site_transaction *transaction = owner;
    struct site *site = transaction->site;
    transaction->signing_job = NULL;
    transaction->is_signing = false;
    site->signing_count--;
    if (error != NULL) {
        defer_unsigned(transaction, error);
        return;
    }
    char *kept = arena_copy_text(transaction->arena, fields);
    transaction->pieces[0] = (struct text){ kept, fields.length };
    transaction->wire.size_bytes += fields.length;
    if (transaction->shared != NULL) {
        held_copy_keep_signature(transaction->shared, fields);
    }
    if (site->pool == NULL) {
        deliver_locally(transaction);
        site_wake(site);
        return;
    }
    list_remove(&transaction->link);
    list_append(&site->prepared, &transaction->link);
    smtp_pool_wake(site->pool);
}

static bool needs_signature(const struct site *site,
                            const struct site_transaction *transaction)
{
    const struct held_message *message = transaction->deliveries[0]->message;
    return transaction->pieces[0].length == 0 && site->signing != NULL &&
           site->kind != SITE_DISCARD &&
           signing_has_keys(site->signing, message->account_id,
                            message->policy->signing_domain);
}

static void start_signing(struct site *site,
                          struct site_transaction *transaction)
{
    const struct held_message *message = transaction->deliveries[0]->message;
    struct signing_request request = {
        .account_id = message->account_id,
        .domain = message->policy->signing_domain,
        .pieces = transaction->wire.pieces,
        .piece_count = transaction->wire.piece_count,
    };
    site->signing_count++;
    transaction->is_signing = true;
    if (transaction->early != NULL && transaction->early->job != NULL) {
        early_copy_wait(transaction->early, on_signed, transaction);
    } else {
        transaction->signing_job =
            signing_start(site->signing, &request, on_signed, transaction);
    }
}

/* -- to the wire -- */

/* Its copy was made while the message was being stored. */
static struct site_transaction *begin_early(struct site *site,
                                            struct delivery *first,
                                            struct early_copy *early)
{
    struct arena *arena = early->arena;
    early->arena = NULL;
    struct site_transaction *transaction =
        begin_transaction(site, first, false, &early->copy, arena);
    transaction->early = early;
    if (early->is_signed) {
        transaction->pieces[0] = early->fields;
        transaction->wire.size_bytes += early->fields.length;
    }
    return transaction;
}

/* Compose the next delivery's copy and begin its transaction; NULL: nobody
 * waits who may be sent. */
static struct site_transaction *begin_next(struct site *site)
{
    struct delivery *first;
    while ((first = take_for_wire(site)) != NULL) {
        if (!is_wanted(site, first)) {
            continue;
        }
        struct error error;
        struct held_copy copy;
        bool to_7bit = must_be_7bit(first->message, site->peer_has_8bitmime);
        struct early_copy *early = early_copy_take(first, to_7bit);
        if (early != NULL) {
            return begin_early(site, first, early);
        }
        struct arena *arena = arena_create();
        if (held_message_compose(first->message, first, to_7bit, arena, &copy,
                                 &error)) {
            return begin_transaction(site, first, to_7bit, &copy, arena);
        }
        arena_free(&arena);
        fail_uncomposed(site, first, to_7bit, &error);
    }
    return NULL;
}

/* What is composed for a peer with 8BITMIME is nothing for one without. */
static void undo_unfit(struct site *site)
{
    struct list_link *next = NULL;
    for (struct list_link *link = site->prepared.first; link != NULL;
         link = next) {
        next = link->next;
        struct site_transaction *transaction =
            LIST_ITEM(link, struct site_transaction, link);
        if (transaction->to_7bit !=
            must_be_7bit(transaction->deliveries[0]->message,
                         site->peer_has_8bitmime)) {
            undo_transaction(transaction);
        }
    }
}

/* What waits for its connection or for the rate may be suppressed meanwhile: it
 * goes back to its queue, where that is met. */
static void undo_unwanted(struct site *site)
{
    int64_t before = clock_monotonic() - ASKED_AGAIN_MILLISECONDS *
                                             CLOCK_MILLISECOND * clock_rate();
    struct list_link *previous = NULL;
    for (struct list_link *link = site->prepared.last; link != NULL;
         link = previous) {
        bool is_wanted_still = true;
        previous = link->previous;
        struct site_transaction *transaction =
            LIST_ITEM(link, struct site_transaction, link);
        if (transaction->taken_monotonic > before) {
            continue;
        }
        for (size_t i = 0; i < transaction->wire.recipient_count; i++) {
            is_wanted_still =
                is_wanted_still && site->handler->is_still_wanted(
                                       site->owner, transaction->deliveries[i]);
        }
        if (!is_wanted_still) {
            undo_transaction(transaction);
        }
    }
}

/* Signatures are begun ahead, so that a connection does not wait for each; what
 * needs none is ready at once. */
static void prepare(struct site *site)
{
    size_t most = site->interval > 0 ? 1 : PREPARED_MAX;
    while (site->signing_count + site->prepared.count < most) {
        struct site_transaction *transaction = begin_next(site);
        if (transaction == NULL) {
            return;
        }
        if (needs_signature(site, transaction)) {
            start_signing(site, transaction);
            continue;
        }
        list_remove(&transaction->link);
        list_append(&site->prepared, &transaction->link);
        return;
    }
}

static struct smtp_client_transaction *take_work(void *owner,
                                                 bool peer_has_8bitmime)
{
    struct site *site = owner;
    site->peer_has_8bitmime = peer_has_8bitmime;
    if (!site->handler->may_send(site->owner)) {
        return NULL;
    }
    undo_unfit(site);
    undo_unwanted(site);
    prepare(site);
    if (site->prepared.first == NULL || !passes_rate(site)) {
        return NULL;
    }
    struct site_transaction *transaction = LIST_ITEM(
        list_take_first(&site->prepared), struct site_transaction, link);
    list_append(&site->transactions, &transaction->link);
    return &transaction->wire;
}

static void on_transaction_done(void *owner,
                                struct smtp_client_transaction *wire)
{
    struct site *site = owner;
    struct site_transaction *transaction = wire->owner;
    char address[NETWORK_TEXT_SIZE];
    char tls[96];
    snprintf(tls, sizeof(tls), "%s %s%s",
             wire->tls_version != NULL ? wire->tls_version : "",
             wire->tls_cipher != NULL ? wire->tls_cipher : "",
             wire->tls_is_verified ? " verified" : "");
    struct attempt_facts facts = {
        .host = wire->host.name,
        .address = network_address_text_with_port(&wire->host.address, address),
        .started_at = wire->started_at,
        .connect_milliseconds = wire->connect_milliseconds,
        .transfer_milliseconds = wire->transfer_milliseconds,
        .tls = wire->tls_version != NULL ? tls : NULL,
        .transcript = buffer_text(&wire->transcript.lines),
        .has_one_recipient = wire->recipient_count == 1,
        .has_other_host = smtp_pool_has_host(site->pool),
        .sandbox_message = text_of(""),
    };
    site->last_trouble[0] = '\0';
    site->handler->on_end(site->owner, transaction->account_id);
    for (size_t i = 0; i < wire->recipient_count; i++) {
        struct delivery *delivery = transaction->deliveries[i];
        /* Its report of success comes to us, not to the sender. */
        facts.peer_has_dsn = wire->peer_has_dsn &&
                             !held_message_has_return_paths(delivery->message);
        const struct smtp_outcome *outcome = &wire->recipients[i].outcome;
        release(site, delivery);
        if (outcome->is_untried) { /* RCPTMAX: goes with the next one */
            enqueue(site, delivery, true);
            continue;
        }
        facts.queue_milliseconds = milliseconds_between(
            delivery->ready_monotonic, transaction->taken_monotonic);
        report_attempt(site, delivery, &facts, outcome);
    }
    end_transaction(transaction);
}

/* -- no connection could be made -- */

/* Tell so many of those who wait, from the front. */
static void tell_failure(struct site *site, size_t count,
                         struct text transcript)
{
    struct site_failure *failure = &site->failure;
    char address[NETWORK_TEXT_SIZE];
    struct attempt_facts facts = {
        .host = failure->host.name,
        .address =
            network_address_text_with_port(&failure->host.address, address),
        .started_at = failure->started_at,
        .transcript = transcript,
        .has_other_host = failure->has_other_host,
        .sandbox_message = text_of(""),
    };
    for (size_t i = 0; i < count; i++) {
        struct delivery *delivery = site_take_waiting(site);
        if (delivery == NULL) {
            break;
        }
        facts.queue_milliseconds =
            milliseconds_between(delivery->ready_monotonic, clock_monotonic());
        report_attempt(site, delivery, &facts, &failure->outcome);
        facts.transcript = text_of(""); /* the first one tells it for all */
    }
}

static void tell_more_failures(void *owner);

static void post_more_failures(struct site *site)
{
    site->failure.is_posted = true;
    loop_post(site->loop, tell_more_failures, site);
}

/* Tens of thousands may wait: others have their turn in between. A connection
 * that works ends it. */
static void tell_more_failures(void *owner)
{
    struct site *site = owner;
    struct site_failure *failure = &site->failure;
    failure->is_posted = false;
    if (smtp_pool_connection_count(site->pool) > 0) {
        return;
    }
    size_t count = failure->left_count < FAILURES_PER_TURN ? failure->left_count
                                                           : FAILURES_PER_TURN;
    failure->left_count -= count;
    tell_failure(site, count, text_of(""));
    if (failure->left_count > 0 && site->waiting_count > 0) {
        post_more_failures(site);
    }
}

/* While another host is left, one delivery tells the story and goes on waiting
 * in front; with the last host all that wait here have had their try. */
static void on_connect_failed(void *owner, const struct smtp_host *host,
                              const struct smtp_outcome *outcome,
                              const struct transcript *transcript,
                              int64_t started_at)
{
    struct site *site = owner;
    struct site_failure *failure = &site->failure;
    snprintf(site->last_trouble, sizeof(site->last_trouble), "%.*s",
             (int)sizeof(site->last_trouble) - 1, outcome->text);
    if (smtp_pool_connection_count(site->pool) > 0) {
        return; /* others of our connections work: the waiting go there */
    }
    undo_prepared(site);
    failure->host = *host;
    failure->outcome = *outcome;
    failure->started_at = started_at;
    failure->has_other_host = smtp_pool_has_host(site->pool);
    failure->left_count = 0;
    if (!failure->has_other_host && site->waiting_count > 0) {
        failure->left_count = site->waiting_count - 1;
    }
    tell_failure(site, 1, buffer_text(&transcript->lines));
    if (failure->left_count > 0 && !failure->is_posted) {
        post_more_failures(site);
    }
}

static size_t work_waiting(void *owner)
{
    const struct site *site = owner;
    size_t count = site->prepared.count;
    if (!site->handler->may_send(site->owner)) {
        return 0;
    }
    for (size_t i = 0; i < LANE_COUNT; i++) {
        for (struct list_link *link = site->lanes[i].queues.first; link != NULL;
             link = link->next) {
            const struct account_queue *queue =
                LIST_ITEM(link, struct account_queue, link);
            count += may_begin(site, queue) ? queue->deliveries.count : 0;
        }
    }
    return count;
}

static bool may_connect(void *owner)
{
    struct site *site = owner;
    bool is_first = smtp_pool_connection_count(site->pool) == 0;
    bool may = site->handler->may_connect(site->owner, is_first);
    site->is_limited_by_connections = !may;
    return may;
}

static void on_connection_closed(void *owner)
{
    const struct site *site = owner;
    site->handler->on_connection_closed(site->owner);
}

static const struct smtp_pool_handler pool_handler = {
    .take_work = take_work,
    .on_done = on_transaction_done,
    .on_connect_failed = on_connect_failed,
    .work_waiting = work_waiting,
    .may_connect = may_connect,
    .on_connection_closed = on_connection_closed,
};

/* -- sandbox and discard -- */

static void deliver_locally(struct site_transaction *transaction)
{
    struct site *site = transaction->site;
    const struct smtp_client_transaction *wire = &transaction->wire;
    struct buffer copy = { 0 };
    struct smtp_outcome outcome = { 0 };
    bool is_sandbox = site->kind == SITE_SANDBOX;
    for (size_t i = 0; is_sandbox && i < wire->piece_count; i++) {
        buffer_append_text(&copy, wire->pieces[i]);
    }
    smtp_outcome_decide(
        &outcome, VERDICT_DELIVERED, SCOPE_RECIPIENT, "2.0.0", "route", "%s",
        is_sandbox ? "kept in the sandbox" : "discarded by the route");
    struct attempt_facts facts = {
        .host = is_sandbox ? "sandbox" : "discard",
        .address = "",
        .started_at = clock_now(),
        .transcript = text_of(""),
        .sandbox_message = buffer_text(&copy),
    };
    site->handler->on_end(site->owner, transaction->account_id);
    for (size_t i = 0; i < wire->recipient_count; i++) {
        struct delivery *delivery = transaction->deliveries[i];
        release(site, delivery);
        facts.queue_milliseconds =
            milliseconds_between(delivery->ready_monotonic, clock_monotonic());
        report_attempt(site, delivery, &facts, &outcome);
    }
    buffer_free(&copy);
    end_transaction(transaction);
}

static void on_local_turn(void *owner)
{
    struct site *site = owner;
    site->has_local_post = false;
    site->peer_has_8bitmime = true;
    for (int i = 0; i < LOCAL_DELIVERIES_PER_TURN; i++) {
        if (!site->handler->may_send(site->owner) ||
            site->signing_count >= LOCAL_DELIVERIES_PER_TURN) {
            return; /* on_signed wakes us */
        }
        struct site_transaction *transaction = begin_next(site);
        if (transaction == NULL) {
            return; /* done, or woken when an account may go on */
        }
        if (needs_signature(site, transaction)) {
            start_signing(site, transaction);
        } else {
            deliver_locally(transaction);
        }
    }
    site_wake(site);
}

static void post_local_turn(struct site *site)
{
    if (!site->has_local_post) {
        site->has_local_post = true;
        loop_post(site->loop, on_local_turn, site);
    }
}

/* -- public -- */

static char *copy_or_null(const char *string)
{
    return string != NULL ? memory_copy_string(string) : NULL;
}

static void create_pool(struct site *site, const struct site_options *options)
{
    const struct relay_settings_values *settings = relay_settings_now();
    site->pool_options = (struct smtp_pool_options){
        .hostname = options->hostname,
        .tls = options->tls,
        .tls_any = options->tls_any,
        .tls_verified = options->tls_verified,
        .user = site->user,
        .password = site->password,
        .connections_max = options->connections_max,
        .messages_per_connection_max =
            (size_t)settings->messages_per_connection,
        .idle_milliseconds = settings->connection_idle,
        .connect_timeout_milliseconds = settings->connect_timeout,
        .host_penalty_milliseconds = settings->host_penalty,
    };
    site->pool =
        smtp_pool_create(site->loop, &site->pool_options, &pool_handler, site);
}

struct site *site_create(struct loop *loop, const struct site_options *options,
                         const struct site_handler *handler, void *owner)
{
    struct site *site = memory_alloc(sizeof(*site));
    site->loop = loop;
    site->handler = handler;
    site->owner = owner;
    site->kind = options->kind;
    site->signing = options->signing;
    site->key = memory_copy_string(options->key);
    site->user = copy_or_null(options->user);
    site->password = copy_or_null(options->password);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        site->lanes[i].by_account = map_create();
    }
    if (site->kind == SITE_SMTP) {
        create_pool(site, options);
    }
    site_set_limits(site, options->connections_max,
                    options->messages_per_second);
    return site;
}

void site_set_limits(struct site *site, size_t connections_max,
                     double messages_per_second)
{
    int64_t interval =
        messages_per_second > 0
            ? (int64_t)((double)CLOCK_SECOND / messages_per_second)
            : 0;
    if (site->interval == interval &&
        site->pool_options.connections_max == connections_max) {
        return;
    }
    int64_t latest = clock_monotonic() + interval;
    site->interval = interval;
    site->next_send_monotonic =
        site->next_send_monotonic < latest ? site->next_send_monotonic : latest;
    site->pool_options.connections_max = connections_max;
    timer_stop(&site->rate_timer);
    if (site->pool != NULL) {
        smtp_pool_wake(site->pool);
    } else {
        site_wake(site);
    }
}

void site_free(struct site **site_pointer)
{
    struct site *site = *site_pointer;
    if (site == NULL) {
        return;
    }
    *site_pointer = NULL;
    timer_stop(&site->rate_timer);
    loop_cancel_posts(site->loop, site);
    if (site->pool != NULL) {
        smtp_pool_free(&site->pool);
    }
    while (site->prepared.first != NULL) {
        end_transaction(
            LIST_ITEM(site->prepared.first, struct site_transaction, link));
    }
    while (site->transactions.first != NULL) { /* cut off */
        end_transaction(
            LIST_ITEM(site->transactions.first, struct site_transaction, link));
    }
    for (size_t i = 0; i < LANE_COUNT; i++) {
        map_free(&site->lanes[i].by_account);
    }
    memory_free(site->key);
    memory_free(site->user);
    memory_free(site->password);
    memory_free(site);
}

void site_set_hosts(struct site *site, const struct smtp_host *hosts,
                    size_t host_count)
{
    if (site->pool != NULL) {
        smtp_pool_set_hosts(site->pool, hosts, host_count);
    }
}

void site_add(struct site *site, struct delivery *delivery, bool in_front)
{
    enqueue(site, delivery, in_front);
    site_wake(site);
}

void site_recall(struct site *site)
{
    struct list_link *previous = NULL;
    for (struct list_link *link = site->transactions.last; link != NULL;
         link = previous) {
        previous = link->previous;
        struct site_transaction *transaction =
            LIST_ITEM(link, struct site_transaction, link);
        if (transaction->is_signing) {
            undo_transaction(transaction);
        }
    }
    undo_prepared(site);
    site_wake(site);
}

void site_wake(struct site *site)
{
    if (site->waiting_count + site->prepared.count == 0 ||
        !site->handler->may_send(site->owner)) {
        return;
    }
    if (site->pool != NULL) {
        smtp_pool_wake(site->pool);
    } else {
        post_local_turn(site);
    }
}

void site_forgive(struct site *site)
{
    if (site->pool != NULL) {
        smtp_pool_forgive(site->pool);
    }
    site->last_trouble[0] = '\0';
    site_wake(site);
}

const char *site_key(const struct site *site)
{
    return site->key;
}

size_t site_waiting_count(const struct site *site)
{
    return site->waiting_count;
}

size_t site_held_bytes(const struct site *site)
{
    return site->held_bytes;
}

size_t site_busy_count(const struct site *site)
{
    return site->busy_count;
}

size_t site_connection_count(const struct site *site)
{
    return site->pool != NULL ? smtp_pool_connection_count(site->pool) : 0;
}

const char *site_why(const struct site *site)
{
    static char why[640];
    if (site->waiting_count == 0) {
        return "";
    }
    if (!site->handler->may_send(site->owner)) {
        return "PostgreSQL is away or slow: this worker has no valid lease, or "
               "waits until results are stored";
    }
    if (site->last_trouble[0] != '\0') {
        snprintf(why, sizeof(why), "no connection: %s", site->last_trouble);
    } else if (timer_is_running(&site->rate_timer)) {
        snprintf(why, sizeof(why),
                 "the rate limit of this site: one message every %" PRId64
                 " ms from this worker",
                 site->interval / CLOCK_MILLISECOND);
    } else if (site->is_limited_by_connections) {
        snprintf(why, sizeof(why),
                 "all of this worker's outgoing connections are in use "
                 "([delivery] connections)");
    } else {
        snprintf(why, sizeof(why),
                 "%zu of at most %zu connections of this worker are in use",
                 site_connection_count(site),
                 site->pool_options.connections_max);
    }
    return why;
}

bool site_is_idle(const struct site *site)
{
    return site->waiting_count == 0 && site->busy_count == 0 &&
           site_connection_count(site) == 0;
}
