/* SPDX-License-Identifier: MIT */
/* Groups of messages: made on first use. */
#ifndef BATON_SQL_GROUPS_H
#define BATON_SQL_GROUPS_H

#include <stdint.h>

#include "sql/database.h"
#include "sql/query.h"

/* group_id 0: the account has as many groups as it may have. */
typedef void group_found_fn(void *owner, enum database_result result,
                            int64_t group_id);
/* The account's group of this name (any case), made if it is not there and the
 * account has fewer than group_limit. Who reads the directory hears of it. */
struct query *group_find_or_make(struct database *database, int64_t account_id,
                                 const char *name, int group_limit,
                                 group_found_fn *on_found, void *owner);

#endif
