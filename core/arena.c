/* SPDX-License-Identifier: MIT */
/*
 * A chain of chunks, the newest first. Chunks double up to LARGEST_CHUNK; what
 * does not fit well into one gets a chunk of its own.
 */
#include "core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define SMALLEST_CHUNK 2048
#define LARGEST_CHUNK 65536

struct chunk {
    struct chunk *next;
    size_t used;
    size_t capacity;
    _Alignas(max_align_t) char bytes[];
};

struct arena {
    struct chunk *current;
    size_t next_capacity;
    size_t size_bytes;
};

struct arena *arena_create(void)
{
    struct arena *arena = memory_alloc(sizeof(*arena));
    arena->next_capacity = SMALLEST_CHUNK;
    arena->size_bytes = sizeof(*arena);
    return arena;
}

void arena_free(struct arena **arena)
{
    if (!*arena) {
        return;
    }
    struct chunk *chunk = (*arena)->current;
    while (chunk) {
        struct chunk *next = chunk->next;
        memory_free(chunk);
        chunk = next;
    }
    memory_free(*arena);
    *arena = NULL;
}

static struct chunk *create_chunk(struct arena *arena, size_t capacity)
{
    check(capacity < SIZE_MAX - sizeof(struct chunk));
    struct chunk *chunk = memory_alloc(sizeof(*chunk) + capacity);
    chunk->capacity = capacity;
    arena->size_bytes += sizeof(*chunk) + capacity;
    return chunk;
}

/* A block of its own, behind the current chunk, which stays in use. */
static void *take_own_chunk(struct arena *arena, size_t size_bytes)
{
    struct chunk *chunk = create_chunk(arena, size_bytes);
    chunk->used = size_bytes;
    if (arena->current) {
        chunk->next = arena->current->next;
        arena->current->next = chunk;
    } else {
        arena->current = chunk;
    }
    return chunk->bytes;
}

static void add_chunk(struct arena *arena)
{
    struct chunk *chunk = create_chunk(arena, arena->next_capacity);
    chunk->next = arena->current;
    arena->current = chunk;
    if (arena->next_capacity < LARGEST_CHUNK) {
        arena->next_capacity *= 2;
    }
}

static void *take(struct arena *arena, size_t size_bytes, size_t alignment)
{
    if (size_bytes >= arena->next_capacity / 4) {
        return take_own_chunk(arena, size_bytes);
    }
    struct chunk *chunk = arena->current;
    size_t from = chunk ? (chunk->used + alignment - 1) & ~(alignment - 1) : 0;
    if (!chunk || from > chunk->capacity ||
        size_bytes > chunk->capacity - from) {
        add_chunk(arena);
        chunk = arena->current;
        from = 0;
    }
    chunk->used = from + size_bytes;
    return chunk->bytes + from;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    return take(arena, size_bytes ? size_bytes : 1, _Alignof(max_align_t));
}

char *arena_copy_text(struct arena *arena, struct text text)
{
    check(text.length < SIZE_MAX);
    char *copy = take(arena, text.length + 1, 1);
    if (text.length > 0) {
        memcpy(copy, text.data, text.length);
    }
    return copy;
}

char *arena_copy_string(struct arena *arena, const char *string)
{
    return arena_copy_text(arena, text_of(string));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    check(length >= 0);
    char *written = take(arena, (size_t)length + 1, 1);
    va_start(arguments, format);
    vsnprintf(written, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return written;
}

size_t arena_size_bytes(const struct arena *arena)
{
    return arena->size_bytes;
}
