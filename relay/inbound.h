/* SPDX-License-Identifier: MIT */
/*
 * The door for mail that comes back: the listener named inbound. Anybody may
 * come, nobody logs in and nothing is relayed. A recipient is one of
 *
 *   a return path of ours, with a token that we made (inbound_return.h)
 *   feedback@ at the return path host, for complaints that bring a token along
 *   an account's inbound route (inbound_forward.h)
 *   postmaster@ and abuse@ at our hosts, if [server] postmaster is set
 *
 * and anything else is refused at RCPT. Answers the questions of
 * smtp/server.h; 250 follows the commit.
 */
#ifndef BATON_RELAY_INBOUND_H
#define BATON_RELAY_INBOUND_H

#include "core/dns.h"
#include "core/helper.h"
#include "core/loop.h"
#include "relay/lease.h"
#include "smtp/server.h"
#include "sql/database.h"
#include "sql/directory.h"
#include "tracking/token.h"

struct inbound;

struct inbound_options {
    struct loop *loop;
    struct dns_resolver *resolver; /* for keys of complaints' signatures */
    struct database *database;
    struct helper *helper; /* for reading what comes back */
    const struct lease *lease;
    const struct token_keys *keys;
};

struct inbound *inbound_create(const struct inbound_options *options);
/* Before database_free: nothing is asked any more. */
void inbound_stop(struct inbound *inbound);
/* After database_free: what was being stored is forgotten. */
void inbound_free(struct inbound **inbound);
/* The newest directory (NULL: none yet); borrowed until the next call. */
void inbound_set_directory(struct inbound *inbound,
                           const struct directory *directory);

/* For smtp_server_options; the owner is the inbound. */
extern const struct smtp_server_handler inbound_smtp_handler;

#endif
