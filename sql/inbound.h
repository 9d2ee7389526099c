/* SPDX-License-Identifier: MIT */
/*
 * What came back of deliveries: looked up, and written down with all that moves
 * with it (event, state, counters, suppression) in one transaction.
 */
#ifndef BATON_SQL_INBOUND_H
#define BATON_SQL_INBOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/batch.h"
#include "sql/database.h"
#include "sql/query.h"
#include "sql/suppressions.h"

struct new_notice;

/* A delivery and its message, as far as reports need them. Strings are valid
 * during the callback. */
struct returned_delivery {
    int64_t account_id;
    int64_t delivery_id;
    int64_t message_id;
    int64_t group_id;
    const char *recipient;
    const char *original_recipient; /* or NULL */
    unsigned notify;
    const char *state;
    unsigned reports; /* what came back already: bits of inbound_report_bit */
    const char *sender;
    const char *envelope_id; /* or NULL */
    int dsn_return;
    const char *policy; /* JSON */
    int64_t accepted_at;
};

/* delivery NULL with DATABASE_DONE: it is not kept any more. */
typedef void inbound_found_fn(void *owner, enum database_result result,
                              const struct returned_delivery *delivery);
struct query *inbound_find(struct database *database, int64_t account_id,
                           int64_t delivery_id, inbound_found_fn *on_found,
                           void *owner);

/* The order is that of the bits in baton.report_bit. */
enum inbound_kind {
    INBOUND_BOUNCED,
    INBOUND_DEFERRED,
    INBOUND_AUTOREPLIED,
    INBOUND_COMPLAINED,
    INBOUND_FEEDBACK, /* a report that is no complaint: not-spam … */
};
const char *inbound_kind_name(enum inbound_kind kind);
unsigned inbound_report_bit(enum inbound_kind kind);

/* Strings are the caller's until on_done. */
struct inbound_report {
    int64_t account_id;
    int64_t delivery_id;
    int64_t event_id;
    int64_t occurred_at;
    enum inbound_kind kind;
    const char *detail; /* of the event, a JSON object */
    const char *reply; /* of a bounce: the delivery's last reply */
    const char *client_address; /* who brought it */
    struct suppression_note suppression; /* that follows */
    const char *recipient; /* whom it suppresses */
    const struct new_notice *notice; /* of a bounce; NULL: nobody is told */
};

/* Store it, or answer DATABASE_UNAVAILABLE within [database] commit_timeout. A
 * report of a kind that the delivery had already changes nothing. */
void inbound_store(struct database *database, struct batch_row *row,
                   const struct inbound_report *borrowed_report,
                   batch_done_fn *on_done, void *owner);

#endif
