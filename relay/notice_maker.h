/* SPDX-License-Identifier: MIT */
/*
 * Makes notices of failures for managers and authors: the first of an account
 * in a period one by one, the others as digests. What is to be told lies in
 * PostgreSQL (sql/notices.h); workers of all nodes share it among them, one
 * notice at a time each. A notice is stored as a message before it is
 * forgotten, under an idempotency key, so that it is neither lost nor made
 * twice.
 */
#ifndef BATON_RELAY_NOTICE_MAKER_H
#define BATON_RELAY_NOTICE_MAKER_H

#include "core/loop.h"
#include "relay/lease.h"
#include "sql/database.h"

struct notice_maker;

/* All borrowed. Looks for notices while the lease is valid. */
struct notice_maker *notice_maker_create(struct loop *loop,
                                         struct database *database,
                                         const struct lease *lease);
/* Take no further notice; the one in hand comes to its end. */
void notice_maker_rest(struct notice_maker *maker);
/* Call before database_free, and notice_maker_free after it. */
void notice_maker_stop(struct notice_maker *maker);
void notice_maker_free(struct notice_maker **maker);

#endif
