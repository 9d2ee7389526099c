/* SPDX-License-Identifier: MIT */
/*
 * The SMTP door: who are you, may you, then stored, only then `250`. Answers
 * the questions of smtp/server.h.
 */
#ifndef BATON_RELAY_INTAKE_H
#define BATON_RELAY_INTAKE_H

#include "core/dns.h"
#include "core/helper.h"
#include "core/loop.h"
#include "relay/lease.h"
#include "relay/scheduler.h"
#include "relay/suppression_cache.h"
#include "smtp/server.h"
#include "sql/database.h"
#include "sql/directory.h"
#include "tracking/token.h"

struct intake;

struct intake_options {
    struct loop *loop;
    struct database *database;
    struct helper *helper; /* for hashing passwords */
    struct dns_resolver *resolver;
    struct scheduler *scheduler;
    struct suppression_cache *suppressions;
    const struct lease *lease;
    const struct token_keys *keys; /* for what is sent from here */
};

struct intake *intake_create(const struct intake_options *options);
/* After database_free: what was being stored is forgotten. */
void intake_free(struct intake **intake);
/* The newest directory (NULL: none yet); borrowed until the next call. */
void intake_set_directory(struct intake *intake,
                          const struct directory *directory);

/* For smtp_server_options; the owner is the intake. */
extern const struct smtp_server_handler intake_smtp_handler;

#endif
