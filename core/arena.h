/* SPDX-License-Identifier: MIT */
/*
 * Memory with one lifetime: everything allocated from an arena is freed with
 * it. One arena a message, a request or a snapshot.
 */
#ifndef BATON_CORE_ARENA_H
#define BATON_CORE_ARENA_H

#include <stddef.h>

#include "core/text.h"

struct arena;

struct arena *arena_create(void);
/* Free the arena and all that came from it, null the caller's pointer. */
void arena_free(struct arena **arena);

/* Zeroed, aligned for any type, valid until arena_free. */
void *arena_alloc(struct arena *arena, size_t size_bytes);
char *arena_copy_string(struct arena *arena, const char *string);
/* A NUL-terminated copy; the view's own NULs are kept. */
char *arena_copy_text(struct arena *arena, struct text text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes taken from the system so far. */
size_t arena_size_bytes(const struct arena *arena);

#endif
