/* SPDX-License-Identifier: MIT */
/*
 * What a domain's owner wants done with mail that only claims to come from it:
 * the record and the walk up the tree of RFC 9989 (4.7, 4.10). No list of
 * public suffixes: the records themselves say where an organization begins.
 */
#ifndef BATON_DKIM_DMARC_H
#define BATON_DKIM_DMARC_H

#include <stdbool.h>

#include "core/dns_inquiry.h"
#include "core/error.h"
#include "core/text.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };
const char *dmarc_policy_text(enum dmarc_policy policy);

/* A record as it is to be applied: what is not lawful has its default. Views
 * lie in the record's text. */
struct dmarc_record {
    enum dmarc_policy policy; /* p= */
    enum dmarc_policy subdomain_policy; /* sp=, or p= */
    enum dmarc_policy missing_policy; /* np=, of names that do not exist */
    bool is_testing; /* t=y: one step less than the policy is asked for */
    char psd; /* 'y', 'n' or 'u' */
    bool is_dkim_strict; /* adkim=s */
    bool is_spf_strict; /* aspf=s */
    struct text rua; /* as written; empty: none */
    struct text ruf;
    struct text fo;
};

/* "v=DMARC1" and the end or a semicolon: a record for this purpose at all. */
bool dmarc_is_record(struct text text);
/* False: no policy is to be applied, and the sentence says why: p, sp or np is
 * no policy, and no report is wanted either (4.10.1). *out_error may also hold
 * a sentence when true: something in it is ignored; else it is "". */
bool dmarc_read(struct text text, struct dmarc_record *out_record,
                struct error *out_error) MUST_USE;

enum dmarc_status {
    DMARC_FOUND,
    DMARC_MISSING,
    DMARC_SEVERAL, /* at the domain itself: all of them are discarded */
    DMARC_UNUSABLE, /* dmarc_read says no */
    DMARC_TEMPORARY,
};

/* What is found for the domain of a From field. */
struct dmarc_discovery {
    enum dmarc_status status;
    char policy_domain[DNS_HOST_MAX + 1]; /* that has the record; "" */
    char organization[DNS_HOST_MAX + 1]; /* the organizational domain */
    struct text text; /* the record; valid as long as the inquiry */
    struct dmarc_record record; /* DMARC_FOUND */
    enum dmarc_policy policy; /* for this very domain: of p, sp and np */
    unsigned query_count;
    struct error reason; /* a sentence; of DMARC_FOUND what is ignored, or "" */
};

/* For functions of core/dns_inquiry.h: false while answers are missing. */
bool dmarc_discover(struct dns_inquiry *inquiry, const char *domain,
                    struct dmarc_discovery *out_discovery) MUST_USE;
/* 4.10.2: strict asks for the same name, relaxed for the same organization.
 * Both domains in A-labels and lower case. */
bool dmarc_align(struct dns_inquiry *inquiry, const char *domain,
                 const char *other, bool is_strict,
                 bool *out_is_aligned) MUST_USE;

#endif
