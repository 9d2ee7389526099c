/* SPDX-License-Identifier: MIT */
#include "relay/quota.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/map.h"
#include "core/memory.h"

#define DAY (24 * 3600 * CLOCK_SECOND)

struct quota {
    struct map *counts; /* struct quota_count by account */
};

/* What this worker accepted since the directory was read. */
struct quota_count {
    int64_t day;
    int64_t recipients;
};

static int64_t today(void)
{
    return clock_now() / DAY;
}

static int64_t used_today(const struct quota *quota,
                          const struct directory_account *account)
{
    const struct quota_count *count =
        map_get_id(quota->counts, account->account_id);
    int64_t day = today();
    int64_t used = account->usage_day == day ? account->recipients_today : 0;
    return used + (count != NULL && count->day == day ? count->recipients : 0);
}

struct quota *quota_create(void)
{
    struct quota *quota = memory_alloc(sizeof(*quota));
    quota->counts = map_create();
    return quota;
}

void quota_free(struct quota **quota)
{
    if (*quota != NULL) {
        quota_reset(*quota);
        map_free(&(*quota)->counts);
        memory_free(*quota);
        *quota = NULL;
    }
}

void quota_reset(struct quota *quota)
{
    size_t position = 0;
    struct text key;
    void *count = NULL;
    while (map_next(quota->counts, &position, &key, &count)) {
        map_remove(quota->counts, key);
        memory_free(count);
    }
}

void quota_check(const struct quota *quota,
                 const struct directory_account *account, size_t more,
                 struct smtp_reply *out_reply)
{
    if (account->recipients_per_day > 0 &&
        used_today(quota, account) + (int64_t)more >
            account->recipients_per_day) {
        smtp_reply_set(out_reply, 452, "4.3.1",
                       "Account %s is over its limit: %" PRId64
                       " recipients/day, resets 00:00 UTC",
                       account->name, account->recipients_per_day);
    }
}

void quota_count(struct quota *quota, int64_t account_id, size_t recipients)
{
    struct quota_count *count = map_get_id(quota->counts, account_id);
    if (count == NULL) {
        count = memory_alloc(sizeof(*count));
        map_set_id(quota->counts, account_id, count);
    }
    if (count->day != today()) {
        *count = (struct quota_count){ .day = today() };
    }
    count->recipients += (int64_t)recipients;
}
