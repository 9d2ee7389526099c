/* SPDX-License-Identifier: MIT */
#include "relay/held_message.h"

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/compose.h"

struct held_message *held_message_create(void)
{
    struct arena *arena = arena_create();
    struct held_message *message = arena_alloc(arena, sizeof(*message));
    message->arena = arena;
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
    arena_free(&message->wire_arena);
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

bool held_message_compose(struct held_message *message, struct error *error)
{
    if (message->pieces != NULL) {
        return true;
    }
    message->wire_arena = arena_create();
    struct compose_plan *plan = NULL;
    struct compose_source source = {
        .trace = buffer_text(&message->trace),
        .message = buffer_text(&message->data),
    };
    struct compose_recipient recipient = { 0 };
    if (compose_plan_make(&source, message->wire_arena, &plan, error)) {
        compose_copy(plan, &recipient, message->wire_arena, &message->pieces,
                     &message->piece_count);
    } else {
        message->pieces = NULL;
        arena_free(&message->wire_arena);
        return false;
    }
    message->wire_bytes = 0;
    for (size_t i = 0; i < message->piece_count; i++) {
        message->wire_bytes += message->pieces[i].length;
    }
    return true;
}
