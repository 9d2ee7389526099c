/* SPDX-License-Identifier: MIT */
/*
 * What accounts and user names with limits have used of them. A message that
 * may be refused takes its units before it is stored (usage_take) and is
 * counted in the transaction that stores it (new_message.usage). What a worker
 * took and did not store it says with the next usage_take; what a dead worker
 * took is free again when its row in baton.worker goes.
 */
#ifndef BATON_SQL_USAGE_H
#define BATON_SQL_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/clock.h"
#include "sql/database.h"
#include "sql/limits.h"
#include "sql/query.h"

/* What one stored message counts as. */
struct usage_claim {
    int32_t recipients; /* 0: it is not counted */
    int64_t counted_at; /* decides the periods; clock_now() */
    int64_t worker_id; /* that took it */
    const char *user_name; /* as in the directory; "" */
    unsigned account_periods; /* bits: 1 << PERIOD_…, of the whole account */
    unsigned user_periods; /* of the user name */
};

/* One period of an account or a user name. */
struct usage_key {
    const char *user_name; /* "": the account as a whole */
    enum clock_period period;
    int64_t began_at;
};

/* The keys of a claim: call with position 0, 1 … until it returns false. */
bool usage_claim_key(const struct usage_claim *claim, size_t position,
                     struct usage_key *out_key);
/* The columns user_name, period, began_at and worker_id of a statement. */
void usage_append_key(struct parameters *parameters,
                      const struct usage_claim *claim,
                      const struct usage_key *key);

/* A period that is limited. */
struct usage_line {
    struct usage_key key;
    int64_t most[LIMIT_KIND_COUNT]; /* 0: no limit */
    /* What this worker has taken of it, stored or not. */
    int64_t held[LIMIT_KIND_COUNT];
};

/* The numbers stand in baton.take_usage. */
enum usage_mode {
    USAGE_WHOLE = 0, /* all recipients or none */
    USAGE_PART = 1, /* as many as fit */
    USAGE_FORCED = 2, /* all, over the limit if need be */
};

struct usage_ask {
    const char *user_name; /* whose lines hold besides the account's; or "" */
    int32_t recipients;
    enum usage_mode mode;
};

struct usage_grant {
    int32_t recipients; /* so many may be stored; 0: not even the message */
    bool is_over; /* a limit is in the way (line, kind) */
    size_t line;
    enum limit_kind kind;
};

/* `grants` has one for each that asked; NULL unless DATABASE_DONE. After
 * DATABASE_UNAVAILABLE it may have been granted: the next call corrects it. */
typedef void usage_taken_fn(void *owner, enum database_result result,
                            const struct usage_grant *grants,
                            const struct error *error);
struct query *usage_take(struct database *database, int64_t account_id,
                         int64_t worker_id, const struct usage_line *lines,
                         size_t line_count, const struct usage_ask *asks,
                         size_t ask_count, usage_taken_fn *on_done,
                         void *owner);

/* What all workers stored, one for each key; NULL unless DATABASE_DONE. */
struct usage_stored {
    int64_t count[LIMIT_KIND_COUNT];
};
typedef void usage_read_fn(void *owner, enum database_result result,
                           const struct usage_stored *stored);
struct query *usage_read(struct database *database, int64_t account_id,
                         const struct usage_key *keys, size_t key_count,
                         usage_read_fn *on_done, void *owner);

/* Forget periods that are over. */
void usage_forget(struct database *database, int64_t now);

#endif
