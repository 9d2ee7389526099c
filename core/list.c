/* SPDX-License-Identifier: MIT */
#include "core/list.h"

#include "core/memory.h"

/* Link in between two neighbours, either of which may be NULL. */
static void insert_between(struct list *list, struct list_link *previous,
                           struct list_link *link, struct list_link *next)
{
    check(link->list == NULL);
    link->list = list;
    link->previous = previous;
    link->next = next;
    if (previous) {
        previous->next = link;
    } else {
        list->first = link;
    }
    if (next) {
        next->previous = link;
    } else {
        list->last = link;
    }
    list->count++;
}

void list_append(struct list *list, struct list_link *link)
{
    insert_between(list, list->last, link, NULL);
}

void list_prepend(struct list *list, struct list_link *link)
{
    insert_between(list, NULL, link, list->first);
}

void list_insert_before(struct list_link *position, struct list_link *link)
{
    check(position->list != NULL);
    insert_between(position->list, position->previous, link, position);
}

void list_remove(struct list_link *link)
{
    struct list *list = link->list;
    if (!list) {
        return;
    }
    if (link->previous) {
        link->previous->next = link->next;
    } else {
        list->first = link->next;
    }
    if (link->next) {
        link->next->previous = link->previous;
    } else {
        list->last = link->previous;
    }
    list->count--;
    *link = (struct list_link){ 0 };
}

struct list_link *list_take_first(struct list *list)
{
    struct list_link *first = list->first;
    if (first) {
        list_remove(first);
    }
    return first;
}
