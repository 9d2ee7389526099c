/* SPDX-License-Identifier: MIT */
/*
 * Open addressing with linear probing. A removed entry leaves a grave, so that
 * nothing moves while somebody visits the entries; growing sweeps graves away.
 * The hash is SipHash-1-3 (Aumasson and Bernstein) under a random key.
 */
#include "core/map.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "core/memory.h"

#define SMALLEST_CAPACITY 16
#define SHORT_KEY 16 /* keys up to this length lie in the slot itself */

enum slot_state { SLOT_EMPTY, SLOT_GRAVE, SLOT_USED };

struct slot {
    enum slot_state state;
    uint64_t hash;
    size_t key_length;
    union {
        char bytes[SHORT_KEY];
        char *allocated;
    } key;
    void *value; /* borrowed */
};

struct map {
    struct slot *slots;
    size_t capacity; /* a power of two */
    size_t count;
    size_t grave_count;
};

static uint64_t hash_key[2];

static void make_hash_key(void)
{
    static bool is_made;
    if (!is_made) {
        ssize_t got;
        do {
            got = getrandom(hash_key, sizeof(hash_key), 0);
        } while (got < 0 && errno == EINTR);
        check(got == (ssize_t)sizeof(hash_key));
        is_made = true;
    }
}

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t hash_of(struct text key)
{
    uint64_t v[4] = {
        hash_key[0] ^ UINT64_C(0x736f6d6570736575),
        hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
        hash_key[0] ^ UINT64_C(0x6c7967656e657261),
        hash_key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = key.length & ~(size_t)7;
    uint64_t word;
    for (size_t i = 0; i < whole; i += sizeof(word)) {
        memcpy(&word, key.data + i, sizeof(word));
        sip_absorb(v, word);
    }
    word = 0;
    if (key.length > whole) {
        memcpy(&word, key.data + whole, key.length - whole);
    }
    sip_absorb(v, word | (uint64_t)key.length << 56);
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct text key_of(const struct slot *slot)
{
    const char *data =
        slot->key_length <= SHORT_KEY ? slot->key.bytes : slot->key.allocated;
    return (struct text){ data, slot->key_length };
}

static void set_key(struct slot *slot, struct text key)
{
    slot->key_length = key.length;
    if (key.length > SHORT_KEY) {
        slot->key.allocated = memory_copy_bytes(key.data, key.length);
    } else if (key.length > 0) {
        memcpy(slot->key.bytes, key.data, key.length);
    }
}

static void free_key(struct slot *slot)
{
    if (slot->key_length > SHORT_KEY) {
        memory_free(slot->key.allocated);
    }
}

struct map *map_create(void)
{
    make_hash_key();
    struct map *map = memory_alloc(sizeof(*map));
    map->capacity = SMALLEST_CAPACITY;
    map->slots = memory_alloc_array(map->capacity, sizeof(*map->slots));
    return map;
}

void map_free(struct map **map)
{
    if (!*map) {
        return;
    }
    for (size_t i = 0; i < (*map)->capacity; i++) {
        if ((*map)->slots[i].state == SLOT_USED) {
            free_key(&(*map)->slots[i]);
        }
    }
    memory_free((*map)->slots);
    memory_free(*map);
    *map = NULL;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

static struct slot *find(const struct map *map, struct text key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &map->slots[i];
        if (slot->state == SLOT_EMPTY) {
            return NULL;
        }
        if (slot->state == SLOT_USED && slot->hash == hash &&
            text_equal(key_of(slot), key)) {
            return slot;
        }
    }
}

static struct slot *find_free(const struct map *map, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    size_t i = hash & mask;
    while (map->slots[i].state == SLOT_USED) {
        i = (i + 1) & mask;
    }
    return &map->slots[i];
}

/* Make room for one entry more: at most three quarters of the slots are ever
 * used or graves, so that every search ends. */
static void make_room(struct map *map)
{
    if ((map->count + map->grave_count + 1) * 4 <= map->capacity * 3) {
        return;
    }
    struct map old = *map;
    map->capacity = SMALLEST_CAPACITY;
    while (map->capacity < (map->count + 1) * 2) {
        map->capacity *= 2;
    }
    map->slots = memory_alloc_array(map->capacity, sizeof(*map->slots));
    map->grave_count = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].state == SLOT_USED) {
            *find_free(map, old.slots[i].hash) = old.slots[i];
        }
    }
    memory_free(old.slots);
}

void *map_get(const struct map *map, struct text key)
{
    const struct slot *slot = find(map, key, hash_of(key));
    return slot ? slot->value : NULL;
}

void map_set(struct map *map, struct text key, void *value)
{
    check(value != NULL);
    uint64_t hash = hash_of(key);
    struct slot *slot = find(map, key, hash);
    if (slot) {
        slot->value = value;
        return;
    }
    make_room(map);
    slot = find_free(map, hash);
    if (slot->state == SLOT_GRAVE) {
        map->grave_count--;
    }
    slot->state = SLOT_USED;
    slot->hash = hash;
    slot->value = value;
    set_key(slot, key);
    map->count++;
}

/* Graves at the end of a run are of no use to any search. */
static void sweep_graves(struct map *map, size_t i)
{
    size_t mask = map->capacity - 1;
    if (map->slots[(i + 1) & mask].state != SLOT_EMPTY) {
        return;
    }
    while (map->slots[i].state == SLOT_GRAVE) {
        map->slots[i].state = SLOT_EMPTY;
        map->grave_count--;
        i = (i - 1) & mask;
    }
}

void *map_remove(struct map *map, struct text key)
{
    struct slot *slot = find(map, key, hash_of(key));
    if (!slot) {
        return NULL;
    }
    void *value = slot->value;
    free_key(slot);
    slot->state = SLOT_GRAVE;
    map->count--;
    map->grave_count++;
    sweep_graves(map, (size_t)(slot - map->slots));
    return value;
}

static struct text text_of_id(const int64_t *id)
{
    return (struct text){ (const char *)id, sizeof(*id) };
}

void *map_get_id(const struct map *map, int64_t id)
{
    return map_get(map, text_of_id(&id));
}

void map_set_id(struct map *map, int64_t id, void *value)
{
    map_set(map, text_of_id(&id), value);
}

void *map_remove_id(struct map *map, int64_t id)
{
    return map_remove(map, text_of_id(&id));
}

bool map_next(const struct map *map, size_t *position, struct text *out_key,
              void **out_value)
{
    while (*position < map->capacity) {
        const struct slot *slot = &map->slots[(*position)++];
        if (slot->state == SLOT_USED) {
            if (out_key) {
                *out_key = key_of(slot);
            }
            if (out_value) {
                *out_value = slot->value;
            }
            return true;
        }
    }
    return false;
}
