/* SPDX-License-Identifier: MIT */
/*
 * How many recipients an account may have in a day (UTC). The count of what was
 * stored comes with the directory; what this worker accepted since then is
 * added here. Other workers' share of the last seconds is unknown, so the limit
 * may be passed by what they take within one interval of the directory's
 * polling.
 */
#ifndef BATON_RELAY_QUOTA_H
#define BATON_RELAY_QUOTA_H

#include <stddef.h>

#include "smtp/reply.h"
#include "sql/directory.h"

struct quota;

struct quota *quota_create(void);
void quota_free(struct quota **quota);

/* A new directory has counted all that was stored before it. */
void quota_reset(struct quota *quota);
/* May the account have so many recipients more? If not: 452 4.3.1. */
void quota_check(const struct quota *quota,
                 const struct directory_account *account, size_t more,
                 struct smtp_reply *out_reply);
/* So many recipients were accepted. */
void quota_count(struct quota *quota, int64_t account_id, size_t recipients);

#endif
