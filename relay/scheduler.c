/* SPDX-License-Identifier: MIT */
/*
 *   scheduler_add ───────────────┐
 *   claim ── budget ── load ─────┴─> admit ─> destination ─> site ─> attempt
 *                                      │ expired, suspended, no room: written
 *                                      │ as a record and dropped
 */
#include "relay/scheduler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "core/metrics.h"
#include "relay/attempt.h"
#include "relay/destination.h"
#include "relay/early_copy.h"
#include "relay/message_policy.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "relay/site.h"
#include "relay/suppression_cache.h"
#include "sql/messages.h"
#include "sql/queue.h"

#define CLAIM_ROWS 500
#define CLAIM_INTERVAL_MILLISECONDS 1000
/* Beside fresh mail: a few rows, often. */
#define PACED_CLAIM_MILLISECONDS 100
#define TIDY_INTERVAL_MILLISECONDS 1000
#define FORGET_EVERY 30 /* of the above */
/* One account fills at most a quarter of the room, so that others find some;
 * what is claimed leaves a quarter of the room, and of the memory three, for
 * what is just being accepted. */
#define ACCOUNT_SHARE 4
#define FRESH_SHARE 4 /* also of the connections */
#define BACKLOG_MEMORY_SHARE 4
/* An account with more for a destination than may wait for it: no more now. */
#define OVERFULL_SECONDS 1
#define PASSED_OVER_MAX 256
#define GIVE_BACK_BUSY_SECONDS 30
#define GIVE_BACK_MEMORY_SECONDS 1
#define GIVE_BACK_SUSPENDED_SECONDS 300
/* What was delivered and is not committed is delivered again if we die. So no
 * delivery starts while the oldest result waits for longer than this, while a
 * batch of them waits, or while there is nobody to give them to. */
#define RESULT_PATIENCE_MILLISECONDS 500
/* What was asked about a recipient just now holds for its try, though memory
 * may have lost it again. */
#define CLEARED_MILLISECONDS 500
#define GIVE_BACK_UNCHECKED_SECONDS 60

struct scheduler {
    struct scheduler_options options;
    struct pace pace;
    const struct directory *directory;
    struct attempt_writer *writer;
    struct destinations *destinations;
    struct list messages; /* struct held_message, link */
    struct map *messages_by_id;
    struct map *counts_by_account; /* struct account_count */
    size_t delivery_count;
    size_t connection_count;
    int64_t worker_id; /* 0: no lease */
    int64_t next_account; /* where the next claim goes on */
    bool is_claiming;
    bool is_paced; /* the last claim was, for the sake of fresh mail */
    bool is_draining;
    bool has_published_waits;
    bool is_held_up; /* a site asked and may not send */
    loop_fn *on_drained;
    void *drain_owner;
    struct timer claim_timer;
    struct timer tidy_timer;
    unsigned tidy_count;
};

struct account_count {
    int64_t account_id;
    size_t deliveries;
    size_t transactions; /* on the wire */
    int64_t overfull_until_monotonic;
};

/* -- what is in hand -- */

static void count_delivery(struct scheduler *scheduler, int64_t account_id,
                           int change)
{
    struct account_count *count =
        map_get_id(scheduler->counts_by_account, account_id);
    if (count == NULL) {
        count = memory_alloc(sizeof(*count));
        count->account_id = account_id;
        map_set_id(scheduler->counts_by_account, account_id, count);
    }
    count->deliveries += (size_t)change;
    scheduler->delivery_count += (size_t)change;
    if (count->deliveries == 0) {
        map_remove_id(scheduler->counts_by_account, account_id);
        memory_free(count);
    }
}

static void drop_message(struct scheduler *scheduler,
                         struct held_message *message)
{
    list_remove(&message->link);
    map_remove_id(scheduler->messages_by_id, message->message_id);
    held_message_free(&message);
}

/* Forget a delivery that is in no queue, and its message with the last one. */
static void drop_delivery(struct scheduler *scheduler,
                          struct delivery *delivery)
{
    struct held_message *message = delivery->message;
    suppression_check_cancel(&delivery->suppression_check);
    early_copy_free(&delivery->early);
    count_delivery(scheduler, message->account_id, -1);
    list_remove(&delivery->of_message);
    if (message->deliveries.count == 0) {
        drop_message(scheduler, message);
    }
}

/* Take a delivery out of whatever queue it stands in. */
static void unqueue(struct delivery *delivery)
{
    if (delivery->phase == DELIVERY_WAITING) {
        site_remove(delivery);
    } else {
        list_remove(&delivery->link);
    }
}

/* May drop the delivery it is given. */
typedef void delivery_visit_fn(struct scheduler *scheduler,
                               struct delivery *delivery, const void *argument);

/* The message may be gone afterwards. */
static void visit_message(struct scheduler *scheduler,
                          struct held_message *message,
                          delivery_visit_fn *visit, const void *argument)
{
    struct list_link *link = message->deliveries.first;
    size_t count = message->deliveries.count;
    while (count-- > 0) {
        struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        link = link->next;
        visit(scheduler, delivery, argument);
    }
}

/* Every delivery in hand. */
static void visit_deliveries(struct scheduler *scheduler,
                             delivery_visit_fn *visit, const void *argument)
{
    struct list_link *next = NULL;
    for (struct list_link *link = scheduler->messages.first; link != NULL;
         link = next) {
        next = link->next;
        visit_message(scheduler, LIST_ITEM(link, struct held_message, link),
                      visit, argument);
    }
}

static const struct directory_account *account_of(
    const struct scheduler *scheduler, const struct delivery *delivery)
{
    return scheduler->directory == NULL
               ? NULL
               : directory_account_by_id(scheduler->directory,
                                         delivery->message->account_id);
}

static void give_back(struct scheduler *scheduler, struct delivery *delivery,
                      int64_t seconds, const char *why)
{
    attempt_give_back(scheduler->writer, delivery,
                      clock_now() + seconds * CLOCK_SECOND, why);
    drop_delivery(scheduler, delivery);
}

/* -- from memory to a site -- */

static bool may_finish(void *owner)
{
    const struct scheduler *scheduler = owner;
    return lease_is_valid(scheduler->options.lease);
}

static bool may_take(const struct scheduler *scheduler)
{
    return !scheduler->is_draining && lease_is_valid(scheduler->options.lease);
}

static bool results_keep_up(const struct scheduler *scheduler)
{
    int64_t patience =
        RESULT_PATIENCE_MILLISECONDS * CLOCK_MILLISECOND * clock_rate();
    size_t most = database_batch_rows();
    int64_t since = attempt_writer_waits_since(scheduler->writer);
    return (since == 0 || clock_monotonic() - since < patience) &&
           attempt_writer_pending(scheduler->writer) < most &&
           database_is_up(scheduler->options.database);
}

static bool may_send(void *owner)
{
    struct scheduler *scheduler = owner;
    bool may = may_take(scheduler) && results_keep_up(scheduler);
    scheduler->is_held_up = scheduler->is_held_up || !may;
    return may;
}

/* What held the sites up may be over; they do not ask again by themselves. */
static void resume(void *owner)
{
    struct scheduler *scheduler = owner;
    if (scheduler->is_held_up && may_send(scheduler)) {
        scheduler->is_held_up = false;
        destinations_wake_all(scheduler->destinations);
    }
}

/* Of connections, or of transactions: all but what is kept for others. */
static size_t connections_but_reserve(void)
{
    size_t connections = (size_t)relay_settings_now()->connections;
    return connections - connections / FRESH_SHARE;
}

/* However many hang elsewhere, a site that has none yet finds one. */
static bool may_connect(void *owner, bool is_first)
{
    struct scheduler *scheduler = owner;
    size_t most = is_first ? (size_t)relay_settings_now()->connections
                           : connections_but_reserve();
    if (scheduler->connection_count >= most) {
        return false;
    }
    scheduler->connection_count++;
    return true;
}

/* One account whose receivers hang leaves connections to the others. */
static bool may_begin(void *owner, int64_t account_id)
{
    const struct scheduler *scheduler = owner;
    const struct account_count *count =
        map_get_id(scheduler->counts_by_account, account_id);
    return count->transactions < connections_but_reserve();
}

static void on_begin(void *owner, int64_t account_id)
{
    const struct scheduler *scheduler = owner;
    struct account_count *count =
        map_get_id(scheduler->counts_by_account, account_id);
    count->transactions++;
}

static void on_end(void *owner, int64_t account_id)
{
    const struct scheduler *scheduler = owner;
    struct account_count *count =
        map_get_id(scheduler->counts_by_account, account_id);
    if (count->transactions-- >= connections_but_reserve()) {
        destinations_wake_all(scheduler->destinations);
    }
}

static void on_connection_closed(void *owner)
{
    struct scheduler *scheduler = owner;
    if (scheduler->connection_count-- >= connections_but_reserve()) {
        destinations_wake_all(scheduler->destinations);
    }
}

static void tidy(void *owner);

static void on_attempt(void *owner, struct delivery *delivery,
                       const struct attempt_facts *facts,
                       const struct smtp_outcome *outcome)
{
    struct scheduler *scheduler = owner;
    enum attempt_next next =
        attempt_end(scheduler->writer, delivery, facts, outcome,
                    account_of(scheduler, delivery));
    if (next == ATTEMPT_NEXT_HOST && !scheduler->is_draining) {
        delivery->hosts_tried++;
        site_add(delivery->site, delivery, true);
        return;
    }
    drop_delivery(scheduler, delivery);
    if (scheduler->is_draining) {
        timer_start(&scheduler->tidy_timer, scheduler->options.loop, 0, tidy,
                    scheduler);
    }
}

/* -- suppressed since it was accepted? -- */

static void give_up(struct scheduler *scheduler, struct delivery *delivery,
                    const struct suppression *suppression)
{
    attempt_suppress(scheduler->writer, delivery, suppression,
                     account_of(scheduler, delivery));
    drop_delivery(scheduler, delivery);
}

/* Its message bypasses suppressions, and that is recorded. */
static void note_bypassed(struct delivery *delivery,
                          const struct suppression *suppression)
{
    delivery->bypassed =
        suppression_describe(suppression, delivery->message->arena);
}

static bool bypasses(const struct delivery *delivery)
{
    return delivery->message->policy->bypasses_suppression;
}

static void admit(struct scheduler *scheduler, struct delivery *delivery);

static void on_checked(void *owner, enum database_result result,
                       const struct suppression *suppressions, size_t count)
{
    struct delivery *delivery = owner;
    struct scheduler *scheduler = delivery->message->scheduler;
    delivery->suppression_check = NULL;
    if (result == DATABASE_UNAVAILABLE) {
        give_back(scheduler, delivery, 1, "PostgreSQL was away");
    } else if (result != DATABASE_DONE) {
        give_back(scheduler, delivery, GIVE_BACK_UNCHECKED_SECONDS,
                  "whether its recipient is suppressed could not be read");
    } else if (count > 0 && !bypasses(delivery)) {
        give_up(scheduler, delivery, &suppressions[0]);
    } else {
        if (count > 0) {
            note_bypassed(delivery, &suppressions[0]);
        }
        delivery->cleared_monotonic = clock_monotonic();
        admit(scheduler, delivery); /* its site may be gone meanwhile */
    }
}

static void check_suppression(struct scheduler *scheduler,
                              struct delivery *delivery)
{
    const struct held_message *message = delivery->message;
    delivery->phase = DELIVERY_CHECKING;
    delivery->suppression_check =
        suppression_check_start(scheduler->options.suppressions,
                                message->account_id, message->policy->group_id,
                                &delivery->recipient, 1, on_checked, delivery);
}

static bool was_cleared_just_now(const struct delivery *delivery)
{
    int64_t age = clock_monotonic() - delivery->cleared_monotonic;
    return delivery->cleared_monotonic != 0 &&
           age < CLEARED_MILLISECONDS * CLOCK_MILLISECOND * clock_rate();
}

/* U5: nobody is sent to who was suppressed since the message was accepted,
 * however long it waited and whoever has it in hand. */
static bool is_wanted(void *owner, struct delivery *delivery)
{
    struct scheduler *scheduler = owner;
    const struct held_message *message = delivery->message;
    const struct suppression *suppression = NULL;
    if (message->policy->is_notice || was_cleared_just_now(delivery)) {
        return true;
    }
    switch (suppression_cache_look(
        scheduler->options.suppressions, message->account_id,
        message->policy->group_id, delivery->recipient, &suppression)) {
    case SUPPRESSION_NONE:
        return true;
    case SUPPRESSION_UNKNOWN:
        check_suppression(scheduler, delivery);
        return false;
    case SUPPRESSION_FOUND:
        break;
    }
    if (bypasses(delivery)) {
        note_bypassed(delivery, suppression);
        return true;
    }
    give_up(scheduler, delivery, suppression);
    return false;
}

static bool is_still_wanted(void *owner, const struct delivery *delivery)
{
    const struct scheduler *scheduler = owner;
    const struct held_message *message = delivery->message;
    const struct suppression *suppression = NULL;
    if (message->policy->is_notice || was_cleared_just_now(delivery)) {
        return true;
    }
    enum suppression_view view = suppression_cache_look(
        scheduler->options.suppressions, message->account_id,
        message->policy->group_id, delivery->recipient, &suppression);
    return view == SUPPRESSION_NONE ||
           (view == SUPPRESSION_FOUND && bypasses(delivery));
}

static const struct site_handler site_handler = {
    .is_wanted = is_wanted,
    .is_still_wanted = is_still_wanted,
    .on_attempt = on_attempt,
    .may_send = may_send,
    .may_finish = may_finish,
    .may_connect = may_connect,
    .may_begin = may_begin,
    .on_begin = on_begin,
    .on_end = on_end,
    .on_connection_closed = on_connection_closed,
};

/* The destination is known to be unreachable for good or for now, without a
 * dialogue. */
static void on_unroutable(void *owner, struct delivery *delivery,
                          const struct smtp_outcome *outcome)
{
    struct attempt_facts facts = {
        .host = "",
        .address = "",
        .transcript = text_of(""),
        .site = delivery->domain,
        .sandbox_message = text_of(""),
    };
    on_attempt(owner, delivery, &facts, outcome);
}

/* A site may hold as much memory as is left for others: however many sites are
 * stuck, something is left for the next one. Of large messages, less than what
 * the backlog may use. */
static bool has_memory_for_site(const struct scheduler *scheduler,
                                const struct site *site,
                                const struct held_message *message)
{
    const struct budget *budget = scheduler->options.budget;
    size_t size = (size_t)message->size_bytes;
    size_t left = budget_left_bytes(budget, size);
    if (size > BUDGET_SMALL_BYTES) {
        size_t most = budget_total_bytes(budget) / BACKLOG_MEMORY_SHARE;
        size_t used = budget_used_bytes(budget);
        left = used < most ? most - used : 0;
    }
    return site_held_bytes(site) == 0 || site_held_bytes(site) <= left;
}

static void on_routed(void *owner, struct delivery *delivery, struct site *site)
{
    struct scheduler *scheduler = owner;
    size_t most = (size_t)relay_settings_now()->waiting_per_site;
    if (site_waiting_count(site) >= most) {
        struct account_count *count = map_get_id(scheduler->counts_by_account,
                                                 delivery->message->account_id);
        count->overfull_until_monotonic =
            clock_monotonic() + OVERFULL_SECONDS * CLOCK_SECOND;
        give_back(scheduler, delivery, GIVE_BACK_BUSY_SECONDS,
                  "many deliveries wait for this destination already");
        return;
    }
    if (!has_memory_for_site(scheduler, site, delivery->message)) {
        give_back(scheduler, delivery, GIVE_BACK_MEMORY_SECONDS,
                  "mail for this destination has its share of the memory");
        return;
    }
    site_add(site, delivery, false);
}

static const struct destinations_handler destinations_handler = {
    .on_routed = on_routed,
    .on_unroutable = on_unroutable,
};

/* The bytes are here: is it still wanted, and where does it go? */
static void admit(struct scheduler *scheduler, struct delivery *delivery)
{
    const struct held_message *message = delivery->message;
    const char *suspension =
        scheduler->directory == NULL
            ? NULL
            : directory_suspension(scheduler->directory, message->account_id,
                                   message->message_id, delivery->domain);
    if (clock_now() >= message->expires_at) {
        attempt_expire(scheduler->writer, delivery,
                       account_of(scheduler, delivery));
        drop_delivery(scheduler, delivery);
    } else if (suspension != NULL) {
        char why[200];
        snprintf(why, sizeof(why), "suspended by an operator%s%s",
                 suspension[0] != '\0' ? ": " : "", suspension);
        give_back(scheduler, delivery, GIVE_BACK_SUSPENDED_SECONDS, why);
    } else {
        delivery->phase = DELIVERY_ROUTING;
        destinations_route(scheduler->destinations, delivery);
    }
}

static void admit_all(struct scheduler *scheduler, struct held_message *message)
{
    struct list_link *link = message->deliveries.first;
    size_t count = message->deliveries.count;
    while (count-- > 0) { /* the last one may free the message */
        struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        link = link->next;
        if (delivery->phase == DELIVERY_LOADING) {
            admit(scheduler, delivery);
        }
    }
}

static bool has_same_route(const struct directory *old,
                           const struct directory *fresh, const char *domain)
{
    const struct directory_route *a =
        old != NULL ? directory_route(old, domain) : NULL;
    const struct directory_route *b = directory_route(fresh, domain);
    return a == NULL || b == NULL ? a == b : strcmp(a->target, b->target) == 0;
}

/* What waits at a site, but is suspended by now or has another route, does not
 * wait on for a host that may never come back. */
static void admit_anew(struct scheduler *scheduler, const struct directory *old,
                       struct held_message *message)
{
    struct list_link *link = message->deliveries.first;
    size_t count = message->deliveries.count;
    while (count-- > 0) { /* the last one may free the message */
        struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        link = link->next;
        if (delivery->phase == DELIVERY_WAITING &&
            (!has_same_route(old, scheduler->directory, delivery->domain) ||
             directory_suspension(scheduler->directory, message->account_id,
                                  message->message_id,
                                  delivery->domain) != NULL)) {
            site_remove(delivery);
            admit(scheduler, delivery);
        }
    }
}

/* -- reading back what was claimed -- */

/* All deliveries of a message that cannot be read. */
static void give_up_loading(struct scheduler *scheduler,
                            struct held_message *message,
                            enum database_result result,
                            const struct error *error)
{
    struct list_link *link = message->deliveries.first;
    size_t count = message->deliveries.count;
    struct smtp_outcome outcome;
    smtp_outcome_decide(&outcome, VERDICT_FAILED, SCOPE_MESSAGE, "5.3.0",
                        "load", "the stored message cannot be read: %s",
                        error != NULL ? error->text : "it is gone");
    while (count-- > 0) {
        struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        link = link->next;
        if (result == DATABASE_FAILED) {
            on_unroutable(scheduler, delivery, &outcome);
        } else {
            give_back(scheduler, delivery, 1, "PostgreSQL was away");
        }
    }
}

static void on_loaded(void *owner, enum database_result result,
                      struct buffer *trace, struct buffer *data,
                      const struct error *error)
{
    struct held_message *message = owner;
    struct scheduler *scheduler = message->scheduler;
    message->load = NULL;
    if (result != DATABASE_DONE) {
        give_up_loading(scheduler, message, result, error);
        return;
    }
    message->trace = *trace;
    message->data = *data;
    *trace = (struct buffer){ 0 };
    *data = (struct buffer){ 0 };
    message->is_loaded = true;
    admit_all(scheduler, message);
}

static void load(void *owner)
{
    struct held_message *message = owner;
    message->load =
        message_load(message->scheduler->options.database, message->account_id,
                     message->message_id, on_loaded, message);
}

/* The emergency switch reaches what waits already. */
static void heed_pass_through(const struct scheduler *scheduler,
                              struct held_message *message)
{
    if (scheduler->directory != NULL && !message->policy->pass_through &&
        message_policy_passes_through(
            scheduler->directory,
            directory_account_by_id(scheduler->directory,
                                    message->account_id))) {
        message->policy->pass_through = true;
        held_message_plan_anew(message);
    }
}

/* Frozen at acceptance. One that says where its links go was stored by a Baton
 * that tracks; what came before is not. */
static void fill_policy(const struct scheduler *scheduler,
                        struct held_message *message, const char *json)
{
    struct error error;
    if (!policy_from_json(message->policy, message->arena, text_of(json),
                          &error)) {
        log_error(NULL, "the policy of a message is not understood",
                  "message=%" PRId64 " reason=\"%s\" consequence=\"%s\"",
                  message->message_id, log_quote(text_of(error.text)),
                  "it is delivered untracked");
        policy_set_defaults(message->policy, message->arena);
    }
    message->borrowed_keys = message->policy->tracking_url[0] != '\0'
                                 ? scheduler->options.keys
                                 : NULL;
    heed_pass_through(scheduler, message);
}

static void fill_message(const struct scheduler *scheduler,
                         struct held_message *message,
                         const struct claimed_delivery *claimed)
{
    struct arena *arena = message->arena;
    message->account_id = claimed->account_id;
    message->message_id = claimed->message_id;
    message->accepted_at = claimed->accepted_at;
    message->expires_at = claimed->expires_at;
    message->sender = arena_copy_string(arena, claimed->sender);
    if (claimed->envelope_id != NULL) {
        message->envelope_id = arena_copy_string(arena, claimed->envelope_id);
    }
    message->dsn_return = (enum smtp_dsn_return)claimed->dsn_return;
    message->is_smtputf8 = claimed->is_smtputf8;
    message->has_8bit = claimed->has_8bit;
    message->priority = claimed->priority;
    message->size_bytes = claimed->size_bytes;
    message->is_sandboxed = claimed->is_sandboxed;
    fill_policy(scheduler, message, claimed->policy);
}

static bool is_in_hand(const struct held_message *message, int64_t delivery_id)
{
    for (struct list_link *link = message->deliveries.first; link != NULL;
         link = link->next) {
        if (LIST_ITEM(link, struct delivery, of_message)->delivery_id ==
            delivery_id) {
            return true;
        }
    }
    return false;
}

static void hold(struct scheduler *scheduler, struct held_message *message)
{
    message->scheduler = scheduler;
    list_append(&scheduler->messages, &message->link);
    map_set_id(scheduler->messages_by_id, message->message_id, message);
}

static void take_claimed(struct scheduler *scheduler,
                         const struct claimed_delivery *claimed)
{
    struct held_message *message =
        map_get_id(scheduler->messages_by_id, claimed->message_id);
    bool is_new = message == NULL;
    if (is_new) {
        message = held_message_create();
        fill_message(scheduler, message, claimed);
        hold(scheduler, message);
    } else if (is_in_hand(message, claimed->delivery_id)) {
        return;
    }
    struct delivery *delivery = held_message_add_delivery(
        message, claimed->delivery_id, claimed->recipient, claimed->domain,
        claimed->notify, claimed->original_recipient, claimed->attempt_count);
    if (claimed->last_reply[0] != '\0') {
        delivery->last_reply =
            arena_copy_string(message->arena, claimed->last_reply);
    }
    delivery->is_untracked = claimed->is_untracked;
    count_delivery(scheduler, message->account_id, 1);
    if (message->is_loaded) {
        admit(scheduler, delivery);
    } else if (is_new &&
               budget_take(scheduler->options.budget, &message->share,
                           (size_t)message->size_bytes, load, message)) {
        load(message);
    }
}

static size_t room_left(const struct scheduler *scheduler)
{
    size_t in_use =
        scheduler->delivery_count + attempt_writer_pending(scheduler->writer);
    size_t most = (size_t)relay_settings_now()->in_hand;
    return in_use < most ? most - in_use : 0;
}

static void claim(struct scheduler *scheduler);

static void on_claim_timer(void *owner)
{
    claim(owner);
}

static void claim_again_in(struct scheduler *scheduler, int64_t milliseconds)
{
    if (!scheduler->is_draining) {
        timer_start(&scheduler->claim_timer, scheduler->options.loop,
                    milliseconds, on_claim_timer, scheduler);
    }
}

static void on_claimed(void *owner, enum database_result result,
                       const struct claimed_delivery *deliveries,
                       size_t delivery_count, int64_t next_account,
                       struct arena **arena)
{
    struct scheduler *scheduler = owner;
    (void)arena; /* what is kept is copied */
    scheduler->is_claiming = false;
    if (result != DATABASE_DONE || scheduler->worker_id == 0) {
        claim_again_in(scheduler, CLAIM_INTERVAL_MILLISECONDS);
        return;
    }
    scheduler->next_account = next_account;
    for (size_t i = 0; i < delivery_count; i++) {
        take_claimed(scheduler, &deliveries[i]);
    }
    metric_add(&relay_metrics[METRIC_CLAIMED], (int64_t)delivery_count);
    pace_spend(&scheduler->pace, (int64_t)delivery_count);
    claim_again_in(scheduler, delivery_count == 0 ? CLAIM_INTERVAL_MILLISECONDS
                              : scheduler->is_paced ? PACED_CLAIM_MILLISECONDS
                                                    : 0);
}

/* Accounts that have their share in hand, or more for a destination than may
 * wait for it. */
static size_t find_full_accounts(const struct scheduler *scheduler,
                                 int64_t *out_ids, size_t most)
{
    size_t share = (size_t)relay_settings_now()->in_hand / ACCOUNT_SHARE;
    int64_t now = clock_monotonic();
    size_t found = 0;
    size_t position = 0;
    void *value = NULL;
    while (found < most &&
           map_next(scheduler->counts_by_account, &position, NULL, &value)) {
        const struct account_count *count = value;
        if (count->deliveries >= share ||
            now < count->overfull_until_monotonic) {
            out_ids[found++] = count->account_id;
        }
    }
    return found;
}

static bool has_memory_for_backlog(const struct budget *budget)
{
    return budget_used_bytes(budget) <=
           budget_total_bytes(budget) / BACKLOG_MEMORY_SHARE;
}

static size_t room_for_backlog(const struct scheduler *scheduler)
{
    size_t room = room_left(scheduler);
    size_t fresh = (size_t)relay_settings_now()->in_hand / FRESH_SHARE;
    return room > fresh ? room - fresh : 0;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void claim(struct scheduler *scheduler)
{
    int64_t passed_over[PASSED_OVER_MAX];
    size_t room = room_for_backlog(scheduler);
    if (scheduler->is_claiming || scheduler->is_draining) {
        return;
    }
    if (!may_send(scheduler) || room == 0 ||
        !has_memory_for_backlog(scheduler->options.budget)) {
        claim_again_in(scheduler, CLAIM_INTERVAL_MILLISECONDS);
        return;
    }
    int64_t paced = pace_rows(&scheduler->pace, clock_monotonic());
    scheduler->is_paced = paced != PACE_ROWS_UNLIMITED;
    if (paced <= 0) {
        claim_again_in(scheduler, PACED_CLAIM_MILLISECONDS);
        return;
    }
    struct queue_claim wanted = {
        .worker_id = scheduler->worker_id,
        .now = clock_now(),
        .row_limit = (int)smaller(paced, smaller((int64_t)room, CLAIM_ROWS)),
        .after_account = scheduler->next_account,
        .passed_over = passed_over,
        .passed_over_count =
            find_full_accounts(scheduler, passed_over, PASSED_OVER_MAX),
    };
    scheduler->is_claiming = true;
    queue_claim(scheduler->options.database, &wanted, on_claimed, scheduler);
}

/* -- once a second -- */

#define SITE_WAITS_MAX 100

struct site_waits {
    struct site_wait rows[SITE_WAITS_MAX];
    size_t count;
    struct arena *arena;
};

static void add_wait(void *owner, const struct site *site)
{
    struct site_waits *waits = owner;
    if (site_waiting_count(site) > 0 && waits->count < SITE_WAITS_MAX) {
        waits->rows[waits->count++] = (struct site_wait){
            .site = site_key(site),
            .waiting_count = (int)site_waiting_count(site),
            .busy_count = (int)site_busy_count(site),
            .why = arena_copy_string(waits->arena, site_why(site)),
        };
    }
}

/* Publish why deliveries in our hand wait; also once more when none do. */
static void publish_waits(struct scheduler *scheduler)
{
    struct site_waits waits = { .arena = arena_create() };
    destinations_each_site(scheduler->destinations, add_wait, &waits);
    if (scheduler->worker_id != 0 &&
        (waits.count > 0 || scheduler->has_published_waits)) {
        site_waits_store(scheduler->options.database, scheduler->worker_id,
                         clock_now(), waits.rows, waits.count);
        scheduler->has_published_waits = waits.count > 0;
    }
    arena_free(&waits.arena);
}

static void finish_drain_if_empty(struct scheduler *scheduler)
{
    if (scheduler->is_draining && scheduler->on_drained != NULL &&
        destinations_busy_count(scheduler->destinations) == 0 &&
        attempt_writer_pending(scheduler->writer) == 0) {
        loop_fn *on_drained = scheduler->on_drained;
        scheduler->on_drained = NULL;
        on_drained(scheduler->drain_owner);
    }
}

static void tidy(void *owner)
{
    struct scheduler *scheduler = owner;
    metric_set(&relay_metrics[METRIC_IN_HAND],
               (int64_t)scheduler->delivery_count);
    metric_set(&relay_metrics[METRIC_RESULTS_PENDING],
               (int64_t)attempt_writer_pending(scheduler->writer));
    if (++scheduler->tidy_count % FORGET_EVERY == 0) {
        destinations_tidy(scheduler->destinations);
    }
    publish_waits(scheduler);
    resume(scheduler);
    timer_start(&scheduler->tidy_timer, scheduler->options.loop,
                TIDY_INTERVAL_MILLISECONDS, tidy, scheduler);
    finish_drain_if_empty(scheduler);
}

/* -- operators' commands -- */

struct command_scope {
    struct text scope; /* message, delivery, account, domain, all */
    struct text value; /* of a delivery: its message's id */
    int64_t id;
};

static bool is_meant(const struct command_scope *scope,
                     const struct delivery *delivery)
{
    const struct held_message *message = delivery->message;
    if (text_is(scope->scope, "all")) {
        return true;
    }
    if (text_is(scope->scope, "message")) {
        return message->message_id == scope->id;
    }
    if (text_is(scope->scope, "account")) {
        return message->account_id == scope->id;
    }
    if (text_is(scope->scope, "delivery")) {
        return delivery->delivery_id == scope->id;
    }
    return text_is(scope->scope, "domain") &&
           text_is(scope->value, delivery->domain);
}

/* The queue row is gone already. What is on the wire may still arrive; it is
 * not tried again. */
static void cancel_delivery(struct scheduler *scheduler,
                            struct delivery *delivery)
{
    delivery->is_cancelled = true;
    if (delivery->phase != DELIVERY_ON_WIRE) {
        unqueue(delivery);
        drop_delivery(scheduler, delivery);
    }
}

static void cancel_if_meant(struct scheduler *scheduler,
                            struct delivery *delivery, const void *argument)
{
    if (is_meant(argument, delivery)) {
        cancel_delivery(scheduler, delivery);
    }
}

static void cancel(struct scheduler *scheduler,
                   const struct command_scope *scope)
{
    int64_t message_id = text_is(scope->scope, "message") ? scope->id : 0;
    destinations_recall_all(scheduler->destinations);
    if (text_is(scope->scope, "delivery") &&
        !id_parse(scope->value, &message_id)) {
        return;
    }
    if (message_id == 0) {
        visit_deliveries(scheduler, cancel_if_meant, scope);
        return;
    }
    struct held_message *message =
        map_get_id(scheduler->messages_by_id, message_id);
    if (message != NULL) {
        visit_message(scheduler, message, cancel_if_meant, scope);
    }
}

static void retry(struct scheduler *scheduler,
                  const struct command_scope *scope)
{
    (void)scope; /* what is due is in the queue; here only obstacles go */
    destinations_forgive_all(scheduler->destinations);
    claim_again_in(scheduler, 0);
}

void scheduler_command(struct scheduler *scheduler, struct text command)
{
    static const struct {
        const char *verb;
        void (*run)(struct scheduler *, const struct command_scope *);
    } verbs[] = { { "cancel", cancel }, { "retry", retry } };
    struct command_scope scope = { 0 };
    struct text verb = { 0 };
    text_split(&command, ' ', &verb);
    text_split(&command, ' ', &scope.scope);
    struct text id = command;
    if (text_is(scope.scope, "delivery")) {
        text_split(&command, ' ', &id);
    }
    scope.value = command;
    if (!id_parse(id, &scope.id)) {
        scope.id = 0;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        if (text_is(verb, verbs[i].verb)) {
            verbs[i].run(scheduler, &scope);
        }
    }
}

/* -- public -- */

struct scheduler *scheduler_create(const struct scheduler_options *options)
{
    struct scheduler *scheduler = memory_alloc(sizeof(*scheduler));
    scheduler->options = *options;
    scheduler->pace = options->pace;
    scheduler->writer = options->writer;
    scheduler->messages_by_id = map_create();
    scheduler->counts_by_account = map_create();
    struct destinations_options destinations_options = {
        .loop = options->loop,
        .resolver = options->resolver,
        .tls_any = options->tls_any,
        .signing = options->signing,
        .tls_verified = options->tls_verified,
        .site_handler = &site_handler,
        .handler = &destinations_handler,
        .owner = scheduler,
    };
    scheduler->destinations = destinations_create(&destinations_options);
    attempt_writer_watch(scheduler->writer, resume, scheduler);
    timer_start(&scheduler->tidy_timer, options->loop,
                TIDY_INTERVAL_MILLISECONDS, tidy, scheduler);
    return scheduler;
}

static void drop_if_unsent(struct scheduler *scheduler,
                           struct delivery *delivery, const void *argument)
{
    (void)argument;
    if (delivery->phase != DELIVERY_ON_WIRE) {
        unqueue(delivery);
        drop_delivery(scheduler, delivery);
    }
}

static void drop_unsent(struct scheduler *scheduler)
{
    destinations_recall_all(scheduler->destinations);
    visit_deliveries(scheduler, drop_if_unsent, NULL);
}

void scheduler_free(struct scheduler **scheduler_pointer)
{
    struct scheduler *scheduler = *scheduler_pointer;
    if (scheduler == NULL) {
        return;
    }
    *scheduler_pointer = NULL;
    attempt_writer_watch(scheduler->writer, NULL, NULL);
    timer_stop(&scheduler->claim_timer);
    timer_stop(&scheduler->tidy_timer);
    drop_unsent(scheduler);
    destinations_free(&scheduler->destinations);
    while (scheduler->messages.first != NULL) { /* were on the wire */
        struct held_message *message =
            LIST_ITEM(scheduler->messages.first, struct held_message, link);
        drop_message(scheduler, message);
    }
    size_t position = 0;
    void *count = NULL;
    while (map_next(scheduler->counts_by_account, &position, NULL, &count)) {
        memory_free(count);
    }
    map_free(&scheduler->counts_by_account);
    map_free(&scheduler->messages_by_id);
    memory_free(scheduler);
}

void scheduler_set_directory(struct scheduler *scheduler,
                             const struct directory *directory)
{
    const struct directory *old = scheduler->directory;
    struct list_link *next = NULL;
    scheduler->directory = directory;
    destinations_recall_all(scheduler->destinations);
    destinations_set_directory(scheduler->destinations, directory);
    for (struct list_link *link = scheduler->messages.first; link != NULL;
         link = next) {
        struct held_message *message =
            LIST_ITEM(link, struct held_message, link);
        next = link->next;
        heed_pass_through(scheduler, message);
        admit_anew(scheduler, old, message);
    }
}

void scheduler_start(struct scheduler *scheduler, int64_t worker_id)
{
    scheduler->worker_id = worker_id;
    attempt_writer_set_worker(scheduler->writer, worker_id);
    claim_again_in(scheduler, 0);
}

void scheduler_set_share(struct scheduler *scheduler, size_t worker_count,
                         size_t rank)
{
    destinations_set_share(scheduler->destinations, worker_count, rank);
}

void scheduler_drop_all(struct scheduler *scheduler)
{
    scheduler->worker_id = 0;
    drop_unsent(scheduler);
}

void scheduler_wake(struct scheduler *scheduler)
{
    destinations_wake_all(scheduler->destinations);
    if (!scheduler->is_claiming) {
        claim_again_in(scheduler, 0);
    }
}

bool scheduler_has_room(const struct scheduler *scheduler, int64_t account_id,
                        size_t delivery_count, size_t message_bytes)
{
    const struct account_count *count =
        map_get_id(scheduler->counts_by_account, account_id);
    size_t of_account = count != NULL ? count->deliveries : 0;
    size_t share = (size_t)relay_settings_now()->in_hand / ACCOUNT_SHARE;
    return may_take(scheduler) && delivery_count <= room_left(scheduler) &&
           of_account + delivery_count <= share &&
           !budget_is_tight(scheduler->options.budget, message_bytes);
}

void scheduler_add(struct scheduler *scheduler, struct held_message *message)
{
    hold(scheduler, message);
    for (size_t i = 0; i < message->deliveries.count; i++) {
        count_delivery(scheduler, message->account_id, 1);
    }
    admit_all(scheduler, message);
}

void scheduler_note_fresh(struct scheduler *scheduler, int64_t wait)
{
    pace_note_fresh(&scheduler->pace, clock_monotonic(), wait);
}

void scheduler_drain(struct scheduler *scheduler, loop_fn *on_drained,
                     void *owner)
{
    scheduler->is_draining = true;
    scheduler->on_drained = on_drained;
    scheduler->drain_owner = owner;
    destinations_recall_all(scheduler->destinations);
    timer_stop(&scheduler->claim_timer);
    timer_start(&scheduler->tidy_timer, scheduler->options.loop, 0, tidy,
                scheduler);
}
