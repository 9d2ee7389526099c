/* SPDX-License-Identifier: MIT */
/*
 * One check while it runs. Each inspection asks for all it needs first, then
 * returns if something is not known yet (is_waiting), then adds its finding;
 * all of them are run again when the answers have come.
 */
#ifndef BATON_RELAY_DOMAIN_CHECK_INTERNAL_H
#define BATON_RELAY_DOMAIN_CHECK_INTERNAL_H

#include "core/arena.h"
#include "core/dns_inquiry.h"
#include "relay/domain_check.h"

#define FINDINGS_MAX 64

struct inspection {
    struct dns_inquiry *inquiry;
    struct arena *arena; /* strings of the findings */
    const struct domain_expectation *expected;
    bool is_waiting; /* answers are missing: what was added does not count */
    struct domain_finding findings[FINDINGS_MAX];
    size_t finding_count;
};

/* The answer, or an empty one when it is not known yet. */
const struct dns_answer *inspection_ask(struct inspection *inspection,
                                        enum dns_type type, const char *name);
void inspection_add(struct inspection *inspection,
                    const struct domain_finding *finding);
/* Whether every finding of the subject so far is right; true without any. */
bool inspection_is_right(const struct inspection *inspection,
                         enum domain_subject subject);

/* "TXT v=DKIM1; …", one record a line, at most four; "" for none. */
const char *inspection_show(struct inspection *inspection,
                            const struct dns_answer *answer);
/* What is shown of two answers. */
const char *inspection_join(struct inspection *inspection, const char *first,
                            const char *second);
const char *inspection_clean(struct inspection *inspection, struct text text);

/* -- slips that people make again and again (domain_slip.c) -- */

/* Look for a record that is missing at the finding's name at those that people
 * mistake for it: the name is doubled (then it is wrong), or a level too high.
 * False: nothing is there, and the finding is as it was. Adds questions. */
bool slip_explain_missing(struct inspection *inspection, enum dns_type type,
                          struct domain_finding *finding);
/* A CNAME whose final dot was forgotten: "target.example.com". */
bool slip_is_completed(const struct inspection *inspection, const char *target,
                       const char *expected);
/* A TXT record that holds the name which a CNAME should lead to. */
bool slip_is_txt_for_cname(const struct dns_answer *texts, const char *target);
/* Without quotes and backslashes, which some forms keep as they are typed. */
const char *slip_without_quotes(struct inspection *inspection,
                                struct text text);
bool slip_has_quotes(struct text text);
/* Addresses of Cloudflare: the provider answers in the place of the record. */
bool slip_is_proxied(const struct dns_answer *addresses);
/* Whether only a record for "*" answers for the name: an address or CNAME that
 * a name nobody entered has as well. Adds questions. */
bool slip_is_wildcard(struct inspection *inspection, const char *name);
/* The left part of a name that is to be entered in a form for the domain. */
const char *slip_entered_name(struct inspection *inspection, const char *name);

/* -- the inspections -- */

void inspect_spf(struct inspection *inspection);
void inspect_dkim(struct inspection *inspection,
                  const struct domain_selector *selector);
void inspect_return_path(struct inspection *inspection);
void inspect_link(struct inspection *inspection);
void inspect_dmarc(struct inspection *inspection); /* after DKIM */

#endif
