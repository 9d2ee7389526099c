/* SPDX-License-Identifier: MIT */
/*
 * A worker's budget for message bytes.
 *
 *   |  quarter: small bytes only  |  small and large bytes  |  reserve  |
 *
 * Small bytes are the first BUDGET_SMALL_BYTES of each message. One share at a
 * time holds the reserve, which is as large as the largest message: the oldest
 * large one, or when there is none the small one that waits longest. It can
 * always finish, and then gives its bytes to others; so somebody always
 * finishes.
 */
#include "core/budget.h"

#include "core/memory.h"

struct budget {
    struct loop *loop;
    size_t total_bytes;
    size_t reserve_total_bytes;
    size_t common_bytes; /* all but the reserve */
    size_t large_limit_bytes; /* what large bytes may take of it */
    size_t small_used_bytes;
    size_t large_used_bytes;
    size_t reserve_used_bytes;
    struct budget_share *reserve_holder;
    struct list large; /* shares that asked for large bytes, oldest first */
    struct list waiting; /* longest first */
    size_t large_waiting_count;
    struct list granted; /* their on_granted is due */
    bool is_posted;
};

/* The parts of a request. */
struct request {
    size_t small_bytes;
    size_t large_bytes;
};

static struct request split(const struct budget_share *share, size_t more_bytes)
{
    size_t small_left = share->bytes < BUDGET_SMALL_BYTES
                            ? BUDGET_SMALL_BYTES - share->bytes
                            : 0;
    size_t small = more_bytes < small_left ? more_bytes : small_left;
    return (struct request){ small, more_bytes - small };
}

static bool is_large(const struct budget_share *share, size_t more_bytes)
{
    return split(share, more_bytes).large_bytes > 0;
}

static bool fits_common(const struct budget *budget, struct request request)
{
    size_t used = budget->small_used_bytes + budget->large_used_bytes;
    size_t free_bytes = budget->common_bytes - used;
    return request.small_bytes <= free_bytes &&
           request.large_bytes <= free_bytes - request.small_bytes &&
           (request.large_bytes == 0 ||
            request.large_bytes <=
                budget->large_limit_bytes - budget->large_used_bytes);
}

static const struct budget_share *first_of_large(const struct budget *budget)
{
    return LIST_ITEM(budget->large.first, struct budget_share, link);
}

/* longest_waiting: the share would wait longest of all if it had to wait. */
static bool may_use_reserve(const struct budget *budget,
                            const struct budget_share *share,
                            bool is_longest_waiting)
{
    if (budget->reserve_holder != NULL) {
        return budget->reserve_holder == share;
    }
    return budget->large.count > 0 ? first_of_large(budget) == share
                                   : is_longest_waiting;
}

static bool grant(struct budget *budget, struct budget_share *share,
                  size_t more_bytes, bool is_behind, bool is_longest_waiting)
{
    struct request request = split(share, more_bytes);
    if (!is_behind && fits_common(budget, request)) {
        budget->small_used_bytes += request.small_bytes;
        budget->large_used_bytes += request.large_bytes;
        share->small_bytes += request.small_bytes;
        share->large_bytes += request.large_bytes;
    } else if (may_use_reserve(budget, share, is_longest_waiting) &&
               more_bytes <=
                   budget->reserve_total_bytes - budget->reserve_used_bytes) {
        budget->reserve_holder = share;
        budget->reserve_used_bytes += more_bytes;
        share->reserve_bytes += more_bytes;
    } else {
        return false;
    }
    share->bytes += more_bytes;
    return true;
}

static void tell_granted(void *owner)
{
    struct budget *budget = owner;
    size_t due_count = budget->granted.count;
    budget->is_posted = false;
    while (due_count-- > 0 && budget->granted.count > 0) {
        struct list_link *link = list_take_first(&budget->granted);
        struct budget_share *share =
            LIST_ITEM(link, struct budget_share, waiting);
        share->on_granted(share->owner);
    }
}

static void post_tell_granted(struct budget *budget)
{
    if (!budget->is_posted) {
        budget->is_posted = true;
        loop_post(budget->loop, tell_granted, budget);
    }
}

static void stop_waiting(struct budget *budget, struct budget_share *share)
{
    if (share->waiting.list == &budget->waiting &&
        is_large(share, share->wanted_bytes)) {
        budget->large_waiting_count--;
    }
    list_remove(&share->waiting);
}

/* In order of waiting; but large ones that must wait do not hold up small ones
 * behind them, nor the reverse. */
static void serve_waiting(struct budget *budget)
{
    bool is_blocked[2] = { false, false };
    struct list_link *link = budget->waiting.first;
    while (link != NULL) {
        struct budget_share *share =
            LIST_ITEM(link, struct budget_share, waiting);
        bool is_first = link == budget->waiting.first;
        bool large = is_large(share, share->wanted_bytes);
        size_t wanted_bytes = share->wanted_bytes;
        link = link->next;
        if (is_blocked[false] && is_blocked[true] &&
            budget->reserve_holder != NULL) {
            break;
        }
        if (!grant(budget, share, wanted_bytes, is_blocked[large], is_first)) {
            is_blocked[large] = true;
            continue;
        }
        budget->large_waiting_count -= large ? 1 : 0;
        list_remove(&share->waiting);
        share->wanted_bytes = 0;
        list_append(&budget->granted, &share->waiting);
        post_tell_granted(budget);
    }
}

struct budget *budget_create(struct loop *loop, size_t total_bytes,
                             size_t largest_message_bytes)
{
    struct budget *budget = memory_alloc(sizeof(*budget));
    size_t quarter = total_bytes / 4;
    budget->loop = loop;
    budget->total_bytes = total_bytes;
    budget->reserve_total_bytes = largest_message_bytes;
    /* A total that is too small for both leaves the reserve alone: messages are
     * then collected one after the other. */
    budget->common_bytes = total_bytes > largest_message_bytes
                               ? total_bytes - largest_message_bytes
                               : 0;
    budget->large_limit_bytes =
        budget->common_bytes > quarter ? budget->common_bytes - quarter : 0;
    return budget;
}

void budget_free(struct budget **budget)
{
    if (*budget != NULL) {
        check((*budget)->waiting.count == 0 && (*budget)->large.count == 0);
        loop_cancel_posts((*budget)->loop, *budget);
        memory_free(*budget);
        *budget = NULL;
    }
}

bool budget_take(struct budget *budget, struct budget_share *share,
                 size_t more_bytes, loop_fn *on_granted, void *owner)
{
    check(share->waiting.list == NULL);
    check(share->budget == NULL || share->budget == budget);
    bool large = is_large(share, more_bytes);
    size_t ahead_count =
        large ? budget->large_waiting_count
              : budget->waiting.count - budget->large_waiting_count;
    share->budget = budget;
    if (large && share->link.list == NULL) {
        list_append(&budget->large, &share->link);
    }
    if (grant(budget, share, more_bytes, ahead_count > 0,
              budget->waiting.count == 0)) {
        return true;
    }
    share->wanted_bytes = more_bytes;
    share->on_granted = on_granted;
    share->owner = owner;
    list_append(&budget->waiting, &share->waiting);
    budget->large_waiting_count += large ? 1 : 0;
    return false;
}

void budget_give_back(struct budget_share *share)
{
    struct budget *budget = share->budget;
    if (budget == NULL) {
        return;
    }
    stop_waiting(budget, share);
    list_remove(&share->link);
    budget->small_used_bytes -= share->small_bytes;
    budget->large_used_bytes -= share->large_bytes;
    budget->reserve_used_bytes -= share->reserve_bytes;
    if (budget->reserve_holder == share) {
        budget->reserve_holder = NULL;
    }
    *share = (struct budget_share){ 0 };
    serve_waiting(budget);
}

void budget_move(struct budget_share *from, struct budget_share *to)
{
    check(from->waiting.list == NULL);
    check(to->bytes == 0 && to->waiting.list == NULL && to->link.list == NULL);
    struct budget *budget = from->budget;
    if (budget == NULL) {
        return;
    }
    *to = *from;
    to->link = (struct list_link){ 0 };
    if (from->link.list != NULL) {
        list_insert_before(&from->link, &to->link);
        list_remove(&from->link);
    }
    if (budget->reserve_holder == from) {
        budget->reserve_holder = to;
    }
    *from = (struct budget_share){ 0 };
}

size_t budget_used_bytes(const struct budget *budget)
{
    return budget->small_used_bytes + budget->large_used_bytes +
           budget->reserve_used_bytes;
}

size_t budget_total_bytes(const struct budget *budget)
{
    return budget->total_bytes;
}

size_t budget_waiting_count(const struct budget *budget)
{
    return budget->waiting.count;
}

size_t budget_left_bytes(const struct budget *budget, size_t message_bytes)
{
    size_t left = budget->common_bytes - budget->small_used_bytes -
                  budget->large_used_bytes;
    size_t large_left = budget->large_limit_bytes - budget->large_used_bytes;
    return message_bytes <= BUDGET_SMALL_BYTES || left < large_left
               ? left
               : large_left;
}

bool budget_is_tight(const struct budget *budget, size_t message_bytes)
{
    size_t small_quarter = budget->common_bytes - budget->large_limit_bytes;
    bool is_half_used = budget_used_bytes(budget) > budget->total_bytes / 2;
    return is_half_used &&
           (message_bytes > BUDGET_SMALL_BYTES ||
            budget_left_bytes(budget, message_bytes) < small_quarter / 2);
}
