/* SPDX-License-Identifier: MIT */
/*
 * What follows from mail that came to a return path: found out, written down,
 * told to the sender, and only then acknowledged.
 *
 *   find the delivery ─┬─> load its message ─> reports to the sender ─┐
 *                      ├──────────────────────────────────────────────┴─> store
 *                      └─> end the subscription                             │
 *                                                                   on_done <┘
 *
 * The same report twice is once: the delivery knows what it had. A report to
 * the sender is stored under an idempotency key of its own, so that it stands
 * once however often this is begun.
 */
#ifndef BATON_RELAY_INBOUND_RETURN_H
#define BATON_RELAY_INBOUND_RETURN_H

#include "smtp/reply.h"
#include "sql/database.h"
#include "sql/directory.h"
#include "tracking/returned_mail.h"

/* What this is done with; the owner of many of them. */
struct inbound_returns;

struct inbound_returns *inbound_returns_create(struct database *database);
/* Before database_free: nothing is asked or loaded any more. */
void inbound_returns_stop(struct inbound_returns *returns);
/* After database_free: what was on its way is forgotten; nobody heard 250. */
void inbound_returns_free(struct inbound_returns **returns);
void inbound_returns_set_directory(struct inbound_returns *returns,
                                   const struct directory *directory);

/* One of them. Called once, from the loop: what to answer. */
struct inbound_return;
typedef void inbound_answer_fn(void *owner, const struct smtp_reply *reply);

/* Begin. mail has a path and means something; all of it is copied.
 * client_address: who brought it. */
struct inbound_return *inbound_return_start(struct inbound_returns *returns,
                                            const struct returned_mail *mail,
                                            const char *client_address,
                                            inbound_answer_fn *on_answer,
                                            void *owner);
/* Nobody waits for the answer any more; it goes on. Nulls the pointer. */
void inbound_return_abandon(struct inbound_return **one);

#endif
