/* SPDX-License-Identifier: MIT */
/*
 * Mail for an inbound route, or for the postmaster, on its way into PostgreSQL:
 * a message like any other, which passes unchanged, with its own sender. It is
 * delivered when a worker claims it.
 */
#ifndef BATON_RELAY_INBOUND_FORWARD_H
#define BATON_RELAY_INBOUND_FORWARD_H

#include "relay/inbound_return.h"
#include "smtp/server.h"
#include "sql/database.h"

struct inbound_forwards;

struct inbound_forwards *inbound_forwards_create(struct database *database);
/* After database_free. */
void inbound_forwards_free(struct inbound_forwards **forwards);

struct inbound_forward_request {
    struct smtp_transaction *transaction; /* its data and share are taken */
    const struct transcript *transcript;
    const struct smtp_client_facts *facts;
    int64_t account_id; /* of the route; 0: for the postmaster */
    const char *recipient; /* the postmaster; NULL: those of the transaction */
};

/* Begin. The answer comes once, from the loop, and says the message's id. */
struct inbound_forward;
struct inbound_forward *inbound_forward_start(
    struct inbound_forwards *forwards,
    const struct inbound_forward_request *request, inbound_answer_fn *on_answer,
    void *owner);
/* The client left: the message is withdrawn. Nulls the pointer. */
void inbound_forward_withdraw(struct inbound_forward **one);

#endif
