/* SPDX-License-Identifier: MIT */
/*
 * The named character references of the WHATWG standard (13.5), without "&",
 * most with ";". Written by script/entity-table.
 */
#ifndef BATON_TRACKING_ENTITY_TABLE_H
#define BATON_TRACKING_ENTITY_TABLE_H

#include <stddef.h>

struct entity {
    const char *name; /* "amp;", and "amp" for one that needs no ";" */
    const char *utf8;
};

extern const struct entity entity_table[]; /* sorted by the bytes of name */
extern const size_t entity_table_length;

#endif
