/* SPDX-License-Identifier: MIT */
#include "relay/held_message.h"

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/return_path.h"

struct held_message *held_message_create(void)
{
    struct arena *arena = arena_create();
    struct held_message *message = arena_alloc(arena, sizeof(*message));
    message->arena = arena;
    message->policy = arena_alloc(arena, sizeof(*message->policy));
    policy_set_defaults(message->policy, arena);
    return message;
}

void held_message_free(struct held_message **message_pointer)
{
    struct held_message *message = *message_pointer;
    if (message == NULL) {
        return;
    }
    *message_pointer = NULL;
    message_load_cancel(&message->load);
    budget_give_back(&message->share);
    buffer_free(&message->trace);
    buffer_free(&message->data);
    for (size_t i = 0; i < 4; i++) {
        arena_free(&message->wires[i / 2][i % 2].arena);
    }
    for (struct held_arena *one = message->retired; one != NULL;
         one = one->next) {
        arena_free(&one->arena);
    }
    struct arena *arena = message->arena;
    arena_free(&arena);
}

struct delivery *held_message_add_delivery(struct held_message *message,
                                           int64_t delivery_id,
                                           const char *recipient,
                                           const char *domain, unsigned notify,
                                           const char *original_recipient,
                                           int attempt_count)
{
    struct delivery *delivery = arena_alloc(message->arena, sizeof(*delivery));
    delivery->message = message;
    delivery->phase = DELIVERY_LOADING;
    delivery->delivery_id = delivery_id;
    delivery->recipient = arena_copy_string(message->arena, recipient);
    delivery->domain = arena_copy_string(message->arena, domain);
    if (original_recipient != NULL) {
        delivery->original_recipient =
            arena_copy_string(message->arena, original_recipient);
    }
    delivery->notify = notify;
    delivery->attempt_count = attempt_count;
    delivery->ready_monotonic = clock_monotonic();
    list_append(&message->deliveries, &delivery->of_message);
    return delivery;
}

static void count_bytes(struct held_copy *copy)
{
    copy->size_bytes = 0;
    for (size_t i = 0; i < copy->piece_count; i++) {
        copy->size_bytes += copy->pieces[i].length;
    }
}

static bool make_plan(const struct held_message *message,
                      struct held_wire *wire, bool is_untracked, bool to_7bit,
                      struct error *error)
{
    if (wire->plan != NULL) {
        return true;
    }
    if (wire->obstacle != NULL) {
        return error_set(error, "%s", wire->obstacle);
    }
    wire->policy = *message->policy;
    if (is_untracked) {
        wire->policy.privacy = PRIVACY_OFF;
    }
    struct compose_source source = {
        .trace = buffer_text(&message->trace),
        .message = buffer_text(&message->data),
        .account_id = message->account_id,
        .policy = &wire->policy,
        .keys = message->borrowed_keys,
        .to_7bit = to_7bit,
    };
    struct error reason;
    wire->arena = arena_create();
    if (compose_plan_make(&source, wire->arena, &wire->plan, &reason)) {
        return true;
    }
    wire->plan = NULL;
    arena_free(&wire->arena);
    wire->obstacle = arena_copy_string(message->arena, reason.text);
    return error_set(error, "%s", wire->obstacle);
}

bool held_message_compose(struct held_message *message,
                          const struct delivery *delivery, bool to_7bit,
                          struct arena *arena, struct held_copy *out_copy,
                          struct error *error)
{
    struct held_wire *wire = &message->wires[to_7bit][delivery->is_untracked];
    struct compose_recipient recipient = {
        .delivery_id = delivery->delivery_id,
        .address = delivery->recipient,
    };
    if (!make_plan(message, wire, delivery->is_untracked, to_7bit, error)) {
        return false;
    }
    if (wire->shared != NULL) {
        *out_copy = *wire->shared;
        return true;
    }
    bool is_shared = compose_plan_is_shared(wire->plan);
    compose_copy(wire->plan, &recipient, is_shared ? wire->arena : arena,
                 &out_copy->pieces, &out_copy->piece_count);
    count_bytes(out_copy);
    out_copy->signature = text_of("");
    out_copy->shared = NULL;
    if (is_shared) {
        wire->shared = arena_alloc(wire->arena, sizeof(*wire->shared));
        out_copy->shared = wire->shared;
        out_copy->arena = wire->arena;
        *wire->shared = *out_copy;
    }
    return true;
}

/* The null sender stays null: nothing comes back to it. */
bool held_message_has_return_paths(const struct held_message *message)
{
    return message->sender[0] != '\0' &&
           message->policy->return_host[0] != '\0' &&
           message->borrowed_keys != NULL &&
           token_keys_can_sign(message->borrowed_keys);
}

const char *held_message_sender(const struct held_message *message,
                                const struct delivery *delivery,
                                struct arena *arena)
{
    struct return_path path = {
        .kind = RETURN_BOUNCE,
        .account_id = message->account_id,
        .delivery_id = delivery->delivery_id,
    };
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    if (!held_message_has_return_paths(message)) {
        return message->sender;
    }
    return_path_write(message->borrowed_keys, &path, local);
    return arena_printf(arena, "%s@%s", local, message->policy->return_host);
}

void held_message_plan_anew(struct held_message *message)
{
    for (size_t i = 0; i < 4; i++) {
        struct held_wire *wire = &message->wires[i / 2][i % 2];
        if (wire->arena != NULL) {
            struct held_arena *retired =
                arena_alloc(message->arena, sizeof(*retired));
            *retired = (struct held_arena){ wire->arena, message->retired };
            message->retired = retired;
        }
        *wire = (struct held_wire){ 0 };
    }
}

bool held_message_is_shared(const struct held_message *message,
                            const struct delivery *delivery, bool to_7bit)
{
    return message->wires[to_7bit][delivery->is_untracked].shared != NULL;
}

void held_copy_keep_signature(struct held_copy *shared, struct text fields)
{
    if (shared->signature.length == 0) {
        shared->signature =
            (struct text){ arena_copy_text(shared->arena, fields),
                           fields.length };
    }
}
