/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose links lie in the items. A link is in one list or
 * in none; a zeroed link is in none.
 */
#ifndef BATON_CORE_LIST_H
#define BATON_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next;
    struct list_link *previous;
    struct list *list; /* the list it is in, or NULL */
};

struct list {
    struct list_link *first;
    struct list_link *last;
    size_t count;
};

static inline void *list_item_at(struct list_link *link, size_t offset)
{
    return link != NULL ? (char *)link - offset : NULL;
}

/* The item that holds `link` as its member `member`; NULL for NULL. */
#define LIST_ITEM(link, type, member) \
    ((type *)list_item_at((link), offsetof(type, member)))

void list_append(struct list *list, struct list_link *link);
void list_prepend(struct list *list, struct list_link *link);
void list_insert_before(struct list_link *position, struct list_link *link);
/* Take it out of the list it is in; nothing happens if it is in none. */
void list_remove(struct list_link *link);
struct list_link *list_take_first(struct list *list); /* NULL when empty */

#endif
