/* SPDX-License-Identifier: MIT */
/*
 * A hash map from bytes to pointers. Keys are copied; values are borrowed.
 * The hash is keyed with random bytes per process, so that peers cannot choose
 * collisions.
 */
#ifndef BATON_CORE_MAP_H
#define BATON_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

struct map;

struct map *map_create(void);
void map_free(struct map **map); /* the values are the caller's */
size_t map_count(const struct map *map);
void *map_get(const struct map *map, struct text key); /* or NULL */
void map_set(struct map *map, struct text key, void *value); /* not NULL */
void *map_remove(struct map *map, struct text key); /* its value, or NULL */

/* The same with a number as key. */
void *map_get_id(const struct map *map, int64_t id);
void map_set_id(struct map *map, int64_t id, void *value);
void *map_remove_id(struct map *map, int64_t id);

/* Visit every entry: start with *position = 0; false at the end. Nothing may
 * be added in between; the entry just visited may be removed. */
bool map_next(const struct map *map, size_t *position, struct text *out_key,
              void **out_value);

#endif
