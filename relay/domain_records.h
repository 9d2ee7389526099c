/* SPDX-License-Identifier: MIT */
/*
 * What a sender domain has to publish, for people to copy and for the check to
 * compare: made of the domain's row, its keys and the settings of this server.
 */
#ifndef BATON_RELAY_DOMAIN_RECORDS_H
#define BATON_RELAY_DOMAIN_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "relay/domain_check.h"

struct domain_key_row {
    const char *selector;
    const char *state; /* "signing", "next", "retired" */
    const char *record;
};

struct domain_row {
    const char *name;
    const char *return_host;
    const char *link_host;
    const struct domain_key_row *keys;
    size_t key_count;
};

/* Everything lies in the arena. Retired keys are to be published and not
 * expected. What this server has no host for (see [server] return_path_host,
 * public_url) is NULL there. */
void domain_records_expect(const struct domain_row *row, struct arena *arena,
                           struct domain_expectation *out_expectation);

/* One record to publish. */
struct domain_record {
    const char *purpose; /* "dkim", "return_path", "link", "dmarc" */
    const char *name; /* "click.example.com" */
    const char *type; /* "CNAME", "TXT", "MX" */
    const char *value;
    bool is_alternative; /* instead of the one before with this purpose */
    const char *note; /* for people; "" */
};
/* The list, in the order in which it is shown. */
const struct domain_record *domain_records_list(
    const struct domain_expectation *expectation, struct arena *arena,
    size_t *out_count);

/* What the operator's own zones need for that domain: the targets of its
 * CNAMEs. */
const struct domain_record *domain_records_zone(
    const struct domain_expectation *expectation, struct arena *arena,
    size_t *out_count);

#endif
