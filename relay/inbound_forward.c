/* SPDX-License-Identifier: MIT */
#include "relay/inbound_forward.h"

#include <inttypes.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "relay/acceptance.h"
#include "relay/held_message.h"
#include "relay/relay_metrics.h"
#include "sql/messages.h"
#include "tracking/automatic.h"
#include "tracking/header.h"

struct inbound_forwards {
    struct database *database;
    struct list forwards; /* struct inbound_forward */
};

struct inbound_forward {
    struct inbound_forwards *owner;
    struct list_link link;
    struct held_message *message;
    struct new_message row_values;
    struct batch_row row;
    inbound_answer_fn *on_answer; /* NULL: nobody waits */
    void *answer_owner;
};

static void free_forward(struct inbound_forward *one)
{
    struct list_link *link;
    list_remove(&one->link);
    while ((link = one->message->deliveries.first) != NULL) {
        list_remove(link);
    }
    held_message_free(&one->message);
    memory_free(one);
}

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct inbound_forward *one = owner;
    struct smtp_reply reply;
    if (result == DATABASE_DONE) {
        metric_add(&relay_metrics[METRIC_INBOUND_ACCEPTED], 1);
        smtp_reply_set(&reply, 250, "2.0.0", ACCEPTANCE_FORMAT,
                       one->message->message_id);
    } else if (result == DATABASE_UNAVAILABLE) {
        smtp_reply_set(&reply, 451, "4.3.0",
                       "The message could not be stored in time: try again "
                       "later");
    } else {
        log_error(NULL, "a message could not be stored",
                  "message=%" PRId64 " reason=\"%s\"", one->message->message_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
        smtp_reply_set(&reply, 554, "5.3.0",
                       "The message cannot be stored; its data were refused");
    }
    if (one->on_answer != NULL) {
        one->on_answer(one->answer_owner, &reply);
    }
    free_forward(one);
}

/* What is read of a header that may be anything. */
static const char *field_value(struct held_message *message, const char *name)
{
    struct text rest = buffer_text(&message->data);
    struct header_field field;
    while (header_next(&rest, &field)) {
        if (text_is_ignoring_case(field.name, name)) {
            return header_unfold(message->arena, field.value);
        }
    }
    return "";
}

static const char *author_of(struct held_message *message)
{
    struct error ignored;
    char **addresses = NULL;
    size_t count = 0;
    bool is_list =
        header_addresses(message->arena, text_of(field_value(message, "From")),
                         &addresses, &count, &ignored);
    return is_list && count > 0 ? addresses[0] : "";
}

static void add_recipients(struct held_message *message,
                           const struct inbound_forward_request *request)
{
    const struct smtp_transaction *transaction = request->transaction;
    if (request->recipient != NULL) {
        struct address address;
        struct error error;
        char domain[DOMAIN_TEXT_MAX + 1];
        bool is_address = address_parse(text_of(request->recipient), true,
                                        &address, &error) &&
                          domain_normalize(address.domain, domain, &error);
        check(is_address); /* relay_settings has seen to it */
        held_message_add_delivery(message, id_make(), request->recipient,
                                  domain, 0, NULL, 0);
        return;
    }
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct smtp_recipient *recipient = &transaction->recipients[i];
        held_message_add_delivery(message, id_make(), recipient->address,
                                  recipient->domain, recipient->notify,
                                  recipient->original_recipient, 0);
    }
}

static struct held_message *make_message(
    const struct inbound_forward_request *request)
{
    struct smtp_transaction *transaction = request->transaction;
    struct held_message *message = held_message_create();
    struct policy *policy = message->policy;
    struct automatic_signs signs;
    policy->pass_through = true;
    policy->bypasses_suppression = true; /* the account's own addresses */
    policy->is_inbound = request->account_id != 0;
    policy->is_notice = request->account_id == 0;
    message->account_id = request->account_id;
    message->message_id = id_make();
    message->accepted_at = clock_now();
    message->expires_at =
        message->accepted_at +
        policy->expires_after_milliseconds * CLOCK_MILLISECOND;
    message->sender = arena_copy_string(message->arena, transaction->sender);
    if (transaction->envelope_id != NULL) {
        message->envelope_id =
            arena_copy_string(message->arena, transaction->envelope_id);
    }
    message->dsn_return = transaction->dsn_return;
    message->is_smtputf8 = transaction->is_smtputf8;
    message->has_8bit = transaction->has_8bit;
    add_recipients(message, request);
    acceptance_write_received(request->facts, message->message_id,
                              message->accepted_at, &message->trace);
    message->data = transaction->data; /* taken: nothing is copied */
    automatic_read(buffer_text(&message->data), &signs);
    policy->is_automatic = signs.is_automatic;
    policy->is_bulk = signs.is_bulk;
    transaction->data = (struct buffer){ 0 };
    budget_move(&transaction->share, &message->share);
    message->size_bytes = (int64_t)message->data.length;
    return message;
}

static const struct new_delivery *delivery_rows(struct held_message *message)
{
    size_t count = message->deliveries.count;
    struct new_delivery *rows =
        arena_alloc(message->arena, count * sizeof(*rows));
    struct list_link *link = message->deliveries.first;
    for (size_t i = 0; i < count; i++, link = link->next) {
        const struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        rows[i] = (struct new_delivery){
            .delivery_id = delivery->delivery_id,
            .recipient = delivery->recipient,
            .domain = delivery->domain,
            .notify = delivery->notify,
            .original_recipient = delivery->original_recipient,
        };
    }
    return rows;
}

static void fill_row(struct inbound_forward *one,
                     const struct inbound_forward_request *request)
{
    struct held_message *message = one->message;
    struct arena *arena = message->arena;
    const struct smtp_client_facts *facts = request->facts;
    char peer[NETWORK_TEXT_SIZE];
    one->row_values = (struct new_message){
        .account_id = message->account_id,
        .message_id = message->message_id,
        .accepted_at = message->accepted_at,
        .expires_at = message->expires_at,
        .sender = message->sender,
        .from_address = author_of(message),
        .subject = field_value(message, "Subject"),
        .internet_message_id = field_value(message, "Message-ID"),
        .is_smtputf8 = message->is_smtputf8,
        .has_8bit = message->has_8bit,
        .dsn_return = (int)message->dsn_return,
        .envelope_id = message->envelope_id,
        .client_address =
            arena_copy_string(arena, network_address_text(&facts->peer, peer)),
        .client_name = arena_copy_string(arena, facts->helo_name),
        .protocol = arena_copy_string(arena, facts->protocol),
        .tls = acceptance_tls(facts, arena),
        .trace = buffer_text(&message->trace),
        .transcript = acceptance_transcript(arena, request->transcript,
                                            message->message_id),
        .data = buffer_text(&message->data),
        .deliveries = delivery_rows(message),
        .delivery_count = message->deliveries.count,
        .worker_id = 0, /* claimed like any other */
        .event_id = id_make(),
        .is_inbound = message->policy->is_inbound,
        .is_notice = message->policy->is_notice,
        .policy = policy_to_json(message->policy, arena),
        .metadata = "{}",
    };
}

struct inbound_forward *inbound_forward_start(
    struct inbound_forwards *forwards,
    const struct inbound_forward_request *request, inbound_answer_fn *on_answer,
    void *owner)
{
    struct inbound_forward *one = memory_alloc(sizeof(*one));
    one->owner = forwards;
    one->on_answer = on_answer;
    one->answer_owner = owner;
    one->message = make_message(request);
    fill_row(one, request);
    list_append(&forwards->forwards, &one->link);
    message_store(forwards->database, &one->row, &one->row_values, on_stored,
                  one);
    return one;
}

void inbound_forward_withdraw(struct inbound_forward **one)
{
    if (*one != NULL) {
        (*one)->on_answer = NULL;
        batch_withdraw(&(*one)->row);
        *one = NULL;
    }
}

struct inbound_forwards *inbound_forwards_create(struct database *database)
{
    struct inbound_forwards *forwards = memory_alloc(sizeof(*forwards));
    forwards->database = database;
    return forwards;
}

void inbound_forwards_free(struct inbound_forwards **forwards)
{
    if (*forwards != NULL) {
        while ((*forwards)->forwards.first != NULL) {
            free_forward(LIST_ITEM((*forwards)->forwards.first,
                                   struct inbound_forward, link));
        }
        memory_free(*forwards);
        *forwards = NULL;
    }
}
