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
#include "sql/limits.h"

#define DIRECTORY_SECRET_BYTES 32

struct directory;

/* What is set for an account, a group or everything: a name and a value, both
 * unchecked here. What they mean is known in relay/. */
struct directory_setting {
    const char *name;
    const char *value;
    const struct directory_setting *next;
};

/* What becomes of mail from a domain whose DKIM records are not right. */
enum directory_unverified {
    UNVERIFIED_SIGN, /* with its own keys: good as soon as DNS has them */
    UNVERIFIED_OPERATOR, /* in the operator's name only */
    UNVERIFIED_REFUSE,
};

/* What becomes of a message over a limit. */
enum overage {
    OVERAGE_REFUSE, /* 452; with accepts_refused: taken, but not sent */
    OVERAGE_ALLOW, /* nothing */
    OVERAGE_RECORD, /* it is sent; its event, the log and a counter say so */
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
    enum directory_unverified unverified; /* sign */
    enum overage overage;
    struct limits limits;
};

struct directory_credential {
    const struct directory_account *account;
    const char *user_name;
    bool is_generated; /* secret: SHA-256 in hexadecimal; else crypt(5) */
    const char *secret;
    const char *group_name; /* of messages that name none; "" */
    struct limits limits;
};

/* A key that signs a domain's mail. */
struct directory_dkim_key {
    const char *selector;
    const char *sealed; /* the private half, in hexadecimal */
    const struct directory_dkim_key *next;
};

/* A domain that an account may write from. */
struct directory_domain {
    int64_t account_id;
    const char *name;
    const char *return_host; /* where bounces come back; "" */
    const char *link_url; /* "https://click.example.com" */
    /* What DNS says. */
    bool dkim_is_right;
    bool return_is_right;
    bool link_is_right;
    const struct directory_dkim_key *keys; /* NULL: nothing is signed */
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

/* Where mail to an account's addresses goes. */
struct directory_inbound_route {
    int64_t account_id;
    const char *address; /* local@domain or @domain, in lower case */
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
/* The account's domain that this (normalised) one is or lies under, the longest
 * if it lies under several; NULL: the account may not write from it. */
const struct directory_domain *directory_domain(
    const struct directory *directory, int64_t account_id, const char *domain);
/* Whether bounces come back to this (normalised) host of some domain. */
bool directory_is_return_host(const struct directory *directory,
                              const char *host);
/* The route for a (normalised) domain: its own, else "*", else NULL. */
const struct directory_route *directory_route(const struct directory *directory,
                                              const char *domain);
/* The route for mail to an address (its domain normalised, letters of any
 * case): its own, else its domain's, else NULL. Only while the domain is its
 * account's. */
const struct directory_inbound_route *directory_inbound_route(
    const struct directory *directory, const char *local, const char *domain);
/* An account's group by its name (letters of any case) or its id; NULL: there
 * is none. */
const struct directory_group *directory_group(const struct directory *directory,
                                              int64_t account_id,
                                              const char *name);
const struct directory_group *directory_group_by_id(
    const struct directory *directory, int64_t account_id, int64_t group_id);
/* Whether recipients' links may have this host (lower case, no port): a
 * tracking host or the link host of a domain. */
bool directory_is_tracking_host(const struct directory *directory,
                                const char *host);
/* "https://" and the host, if it is this account's; else NULL. */
const char *directory_tracking_url(const struct directory *directory,
                                   int64_t account_id, const char *host);
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
    /* NULL: a limit (limit_name_find). */
    void (*apply)(struct directory_account *account, const char *value);
};
extern const struct account_setting account_settings[];
extern const size_t account_setting_count;

#endif
