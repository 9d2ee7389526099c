/* SPDX-License-Identifier: MIT */
#include "http/guesses.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "http/settings.h"

#define SLOT_COUNT 4096
#define WINDOW (60 * CLOCK_SECOND)

/* A client with the same slot takes it over: forgetting is harmless here. */
struct slot {
    char key[NETWORK_CLIENT_KEY_SIZE];
    size_t length;
    int64_t began_monotonic;
    int64_t count;
};

struct guesses {
    struct slot slots[SLOT_COUNT];
};

struct guesses *guesses_create(void)
{
    return memory_alloc(sizeof(struct guesses));
}

void guesses_free(struct guesses **guesses)
{
    memory_free(*guesses);
    *guesses = NULL;
}

/* FNV-1a */
static size_t slot_of(const char *key, size_t length)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)key[i]) * 16777619U;
    }
    return hash % SLOT_COUNT;
}

bool guesses_count(struct guesses *guesses,
                   const struct network_address *client)
{
    char key[NETWORK_CLIENT_KEY_SIZE];
    size_t length = network_address_client_key(client, key);
    struct slot *slot = &guesses->slots[slot_of(key, length)];
    int64_t now = clock_monotonic();
    if (slot->length != length || memcmp(slot->key, key, length) != 0 ||
        now - slot->began_monotonic >= WINDOW) {
        *slot = (struct slot){ .length = length, .began_monotonic = now };
        memcpy(slot->key, key, length);
    }
    return ++slot->count > http_settings_now()->wrong_tokens;
}
