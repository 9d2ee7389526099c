/* SPDX-License-Identifier: MIT */
/*
 * Who may do what and where things go: accounts, credentials, networks,
 * domains, routes and suspensions, read as one consistent snapshot that a
 * worker keeps until the next. Loaded again on NOTIFY, with polling behind it.
 */
#ifndef BATON_SQL_DIRECTORY_H
#define BATON_SQL_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/network.h"
#include "sql/database.h"

#define DIRECTORY_SECRET_BYTES 32

struct directory;

/* What is set for an account, a group or everything: a name and a value, both
 * unchecked here. What they mean is known in relay/. */
struct directory_setting {
    const char *name;
    const char *value;
    const struct directory_setting *next;
};

struct directory_account {
    int64_t account_id;
    const char *name;
    const char *manager_email; /* "" if none */
    /* All of `baton set` that has no field below. */
    const struct directory_setting *settings;
    bool has_untracked; /* recipients who object to being tracked */
    const char *tracking_url; /* of its first tracking host; NULL: it has none
                               */
    /* Settings of `baton set`, with their defaults. */
    bool any_sender; /* off */
    bool delivery_reports; /* on */
    bool notices_to_manager; /* on */
    bool notices_to_author; /* off */
    bool accepts_refused; /* off: on_refusal = refuse */
    bool suppresses_hard_bounces; /* on */
    bool refuses_at_rcpt; /* off: suppression_check = data */
    int64_t recipients_per_day; /* 0: no limit */
    /* Recipients stored on the day the directory was read (days since 1970,
     * UTC); counted only where there is a limit. */
    int64_t recipients_today;
    int64_t usage_day;
};

struct directory_credential {
    const struct directory_account *account;
    const char *user_name;
    bool is_generated; /* secret: SHA-256 in hexadecimal; else crypt(5) */
    const char *secret;
    const char *group_name; /* of messages that name none; "" */
};

struct directory_group {
    int64_t account_id;
    int64_t group_id;
    const char *name;
    bool is_marketing;
    const struct directory_setting *settings;
};

/* A secret that signs tokens. */
struct directory_key {
    int key_id;
    uint8_t secret[DIRECTORY_SECRET_BYTES];
    bool is_current; /* the one that signs */
};

struct directory_route {
    const char *destination; /* normalised domain, or "*" */
    const char *target;
};

typedef void directory_loaded_fn(void *owner, enum database_result result,
                                 struct directory *directory,
                                 const struct error *error);
/* On DATABASE_DONE the directory is the callee's: directory_free. */
void directory_load(struct database *database, directory_loaded_fn *on_loaded,
                    void *owner);
void directory_free(struct directory **directory);

const struct directory_account *directory_account_by_id(
    const struct directory *directory, int64_t account_id);
/* User names are compared without regard to case. NULL: there is none. */
const struct directory_credential *directory_credential(
    const struct directory *directory, const char *user_name);
/* The account of the longest matching network, or NULL. */
const struct directory_account *directory_account_by_network(
    const struct directory *directory, const struct network_address *address);
/* Whether the account may write from this (normalised) domain. */
bool directory_allows_domain(const struct directory *directory,
                             const struct directory_account *account,
                             const char *domain);
/* The route for a (normalised) domain: its own, else "*", else NULL. */
const struct directory_route *directory_route(const struct directory *directory,
                                              const char *domain);
/* An account's group by its name (letters of any case) or its id; NULL: there
 * is none. */
const struct directory_group *directory_group(const struct directory *directory,
                                              int64_t account_id,
                                              const char *name);
const struct directory_group *directory_group_by_id(
    const struct directory *directory, int64_t account_id, int64_t group_id);
/* The account whose own tracking host this is (lower case, no port), or 0. */
int64_t directory_tracking_host(const struct directory *directory,
                                const char *host);
/* "https://" and that host, or NULL. */
const char *directory_tracking_url(const struct directory *directory,
                                   const char *host);
size_t directory_key_count(const struct directory *directory);
const struct directory_key *directory_key(const struct directory *directory,
                                          size_t i);
/* What holds everywhere: pass_through. NULL: not set. */
const char *directory_server_setting(const struct directory *directory,
                                     const char *name);
/* The reason if this delivery is suspended, else NULL. */
const char *directory_suspension(const struct directory *directory,
                                 int64_t account_id, int64_t message_id,
                                 const char *domain);

/* The keys of `baton set`, one row each: name, what it does, how it is
 * checked. */
struct account_setting {
    const char *key;
    const char *values; /* for people: "on, off" */
    const char *initial;
    const char *description;
    bool (*check_value)(const char *value);
    void (*apply)(struct directory_account *account, const char *value);
};
extern const struct account_setting account_settings[];
extern const size_t account_setting_count;

#endif
