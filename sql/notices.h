/* SPDX-License-Identifier: MIT */
/*
 * Failures that an account's manager or its authors are told of: written down
 * with what ends a delivery, taken by whoever makes the messages about them.
 */
#ifndef BATON_SQL_NOTICES_H
#define BATON_SQL_NOTICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/database.h"
#include "sql/parameters.h"
#include "sql/query.h"

/* -- writing down, in the transaction that ends the delivery -- */

/* Whom a failure is told, and what. Strings are the caller's until the result
 * that it belongs to is stored. */
struct new_notice {
    const char *manager; /* NULL: is not told */
    bool tells_author; /* the message's From */
    const char *sender; /* gets a report of his own (RFC 3464) and is not told
                           once more; NULL: gets none */
    const char *class; /* "invalid_address"; "expired" … */
    const char *status; /* RFC 3463 */
    const char *reply; /* literal; "": there was none */
    const char *host; /* that said it; or "" */
    const char *explanation; /* one sentence */
};

/* A row of STATEMENT_NOTICE_INSERT, which goes behind the statement that ends
 * the delivery at this instant, with id bounds. */
void notice_append(struct parameters *parameters, int64_t account_id,
                   int64_t delivery_id, int64_t occurred_at,
                   const struct new_notice *notice);

/* -- telling -- */

/* A notice that is to be made. Strings are valid during the callback. */
struct claimed_notice {
    int64_t account_id;
    int64_t notice_id;
    const char *account; /* its name */
    const char *addressee;
    bool is_digest;
    bool is_suppressed; /* the addressee: he is not sent to */
    /* The one failure, unless is_digest. */
    int64_t delivery_id;
    int64_t message_id;
    const char *recipient;
    int64_t occurred_at;
    const char *status;
    const char *reply;
    const char *host;
    const char *explanation;
    const char *original_recipient; /* or NULL */
    int64_t accepted_at; /* 0: the message is not kept any more */
    const char *envelope_id; /* or NULL */
    int dsn_return;
};

/* notice NULL with DATABASE_DONE: there is none. */
typedef void notice_claimed_fn(void *owner, enum database_result result,
                               const struct claimed_notice *notice);
/* Take a notice; nobody else takes it until claim milliseconds are over. */
struct query *notice_claim(struct database *database, int64_t now,
                           int64_t claim_milliseconds,
                           notice_claimed_fn *on_claimed, void *owner);

/* has_notice: there is one to take. */
typedef void notice_decided_fn(void *owner, enum database_result result,
                               bool has_notice);
/* Decide how what waits is told: one by one, or in digests of periods that
 * ended before now. */
struct query *notice_decide(struct database *database, int64_t now,
                            int64_t period_milliseconds,
                            notice_decided_fn *on_decided, void *owner);

/* One line of what a digest tells, in this order. */
enum notice_line_kind {
    NOTICE_TOTAL, /* one: quantity, occurred_at, ended_at, domain_count */
    NOTICE_CLASS, /* name and quantity */
    NOTICE_DOMAIN, /* name and quantity: those with the most */
    NOTICE_FAILURE, /* all but ended_at; name is the class */
};
struct notice_line {
    enum notice_line_kind kind;
    const char *name; /* of the total: a query that lists all, for people */
    int64_t quantity;
    int64_t occurred_at; /* of the total: of the first failure */
    int64_t ended_at; /* of the last one */
    int64_t domain_count; /* of the total */
    const char *recipient;
    const char *reply;
    int64_t message_id;
    const char *subject;
};
typedef void notice_read_fn(void *owner, enum database_result result,
                            const struct notice_line *lines, size_t line_count);
/* Read what a claimed digest tells: at most so many domains and failures. */
struct query *notice_read(struct database *database, int64_t account_id,
                          int64_t notice_id, int64_t domain_limit,
                          int64_t failure_limit, notice_read_fn *on_read,
                          void *owner);

typedef void notice_done_fn(void *owner, enum database_result result);
/* Forget a notice: its message is stored, or is not to be sent. */
struct query *notice_done(struct database *database, int64_t account_id,
                          int64_t notice_id, notice_done_fn *on_done,
                          void *owner);

#endif
