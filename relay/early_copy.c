/* SPDX-License-Identifier: MIT */
#include "relay/early_copy.h"

#include "core/memory.h"

static void on_signed(void *owner, struct text fields,
                      const struct error *error)
{
    struct early_copy *early = owner;
    early->job = NULL;
    early->is_signed = error == NULL;
    if (early->is_signed && early->on_signed == NULL) {
        early->fields = (struct text){ arena_copy_text(early->arena, fields),
                                       fields.length };
    }
    if (early->on_signed != NULL) {
        early->on_signed(early->owner, fields, error); /* may free it */
    }
}

static struct delivery *only_delivery(const struct held_message *message)
{
    return message->deliveries.count == 1
               ? LIST_ITEM(message->deliveries.first, struct delivery,
                           of_message)
               : NULL;
}

void early_copy_start(struct held_message *message, struct signing *signing)
{
    struct delivery *delivery = only_delivery(message);
    struct early_copy *early;
    struct error error;
    if (delivery == NULL || delivery->refusal != NULL ||
        signing_is_busy(signing) ||
        !signing_has_keys(signing, message->account_id,
                          message->policy->signing_domain)) {
        return;
    }
    early = memory_alloc(sizeof(*early));
    early->arena = arena_create();
    if (!held_message_compose(message, delivery, false, early->arena,
                              &early->copy, &error)) {
        early_copy_free(&early); /* said when it is tried in earnest */
        return;
    }
    struct signing_request request = {
        .account_id = message->account_id,
        .domain = message->policy->signing_domain,
        .pieces = early->copy.pieces,
        .piece_count = early->copy.piece_count,
    };
    early->job = signing_start(signing, &request, on_signed, early);
    delivery->early = early;
}

struct early_copy *early_copy_take(struct delivery *delivery, bool to_7bit)
{
    struct early_copy *early = delivery->early;
    bool is_fit =
        early != NULL && !to_7bit && (early->is_signed || early->job != NULL);
    delivery->early = NULL;
    if (!is_fit) {
        early_copy_free(&early);
    }
    return early;
}

void early_copy_wait(struct early_copy *early, signing_done_fn *on_signed_fn,
                     void *owner)
{
    early->on_signed = on_signed_fn;
    early->owner = owner;
}

void early_copy_free(struct early_copy **early_pointer)
{
    struct early_copy *early = *early_pointer;
    if (early != NULL) {
        signing_cancel(&early->job);
        arena_free(&early->arena);
        memory_free(early);
        *early_pointer = NULL;
    }
}
