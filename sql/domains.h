/* SPDX-License-Identifier: MIT */
/* Sender domains: which of them are to be checked, and what was found. */
#ifndef BATON_SQL_DOMAINS_H
#define BATON_SQL_DOMAINS_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/database.h"
#include "sql/query.h"

/* One row a key of a domain, its rows one behind the other; a domain without
 * keys has one row whose selector is NULL. Strings are valid during the
 * callback. */
struct claimed_domain_row {
    int64_t account_id;
    const char *name;
    const char *return_host;
    const char *link_host;
    bool dkim_is_right;
    bool return_is_right;
    bool link_is_right;
    const char *selector; /* or NULL, as the next three */
    const char *state;
    const char *record;
};
typedef void domains_claimed_fn(void *owner, enum database_result result,
                                const struct claimed_domain_row *rows,
                                size_t row_count);
/* Take at most so many domains that were not checked for an hour. */
struct query *domains_claim(struct database *database, int64_t now,
                            int64_t limit, domains_claimed_fn *on_claimed,
                            void *owner);

struct domain_result {
    int64_t account_id;
    const char *name;
    int64_t checked_at;
    bool dkim_is_right;
    bool return_is_right;
    bool link_is_right;
    const char *const *next_selectors; /* keys that sign from now on */
    size_t next_count;
    const char *findings; /* JSON */
};
/* has_broken: something is no longer right that was. */
typedef void domain_stored_fn(void *owner, enum database_result result,
                              bool has_broken);
struct query *domain_store(struct database *database,
                           const struct domain_result *domain,
                           domain_stored_fn *on_stored, void *owner);

#endif
