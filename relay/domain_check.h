/* SPDX-License-Identifier: MIT */
/*
 * Whether a sender domain publishes what it should: looks everything up that it
 * was told to expect and says for each thing what is there, whether it is
 * right, and what to do about it, in words for somebody who has never edited a
 * zone. Knows DNS alone: where the expectation comes from and where the
 * findings go is the caller's.
 */
#ifndef BATON_RELAY_DOMAIN_CHECK_H
#define BATON_RELAY_DOMAIN_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/dns.h"
#include "core/loop.h"
#include "core/network.h"

/* One selector; the key may stand there as TXT, or a CNAME may lead to it. */
struct domain_selector {
    const char *selector; /* "b1" */
    const char *record; /* "v=DKIM1; k=rsa; p=…", dkim_key_record */
    const char *cname; /* "b1.dkim.relay.example"; NULL: TXT only */
};

/* All host names in A-labels, without a final dot. What is NULL or 0 is not
 * expected; a host that is NULL gives no finding. */
struct domain_expectation {
    const char *domain; /* of the From field */
    const struct domain_selector *selectors;
    size_t selector_count;
    /* Of before: they sign no more, but what they signed is on its way. May be
     * there; that they are not is no finding. */
    const struct domain_selector *retired;
    size_t retired_count;
    const char *return_host; /* "bounce.example.com" */
    /* Either a CNAME, whose target has MX and SPF record … */
    const char *return_cname;
    /* … or an MX and an SPF record of its own that must have this mechanism:
     * "ip4:203.0.113.9", "include:spf.relay.example", "a:out.relay.example". */
    const char *return_mx;
    const char *return_spf;
    const char *link_host; /* "click.example.com" */
    const char *link_cname;
    const struct network_address *link_addresses;
    size_t link_address_count;
    /* We send from these: SPF of the return-path host must pass for all. */
    const struct network_address *sending_addresses;
    size_t sending_address_count;
    /* Where a suggested DMARC record sends reports; NULL: dmarc@DOMAIN. */
    const char *report_address;
};

enum domain_state {
    DOMAIN_RIGHT,
    DOMAIN_MISSING,
    DOMAIN_WRONG, /* something is there, and it is another thing */
    DOMAIN_HALF, /* works in part: for some of our addresses, or risky */
    DOMAIN_UNKNOWN, /* DNS did not answer: neither good nor bad news */
};
/* "right", "missing", … as it stands in JSON and SQL. */
const char *domain_state_text(enum domain_state state);

enum domain_subject {
    DOMAIN_SPF, /* of the return-path host */
    DOMAIN_DKIM, /* one finding a selector */
    DOMAIN_DMARC, /* of the domain, by tree walk (RFC 9989) */
    DOMAIN_RETURN_PATH,
    DOMAIN_LINK,
};
/* "spf", "dkim", "dmarc", "return_path", "link". */
const char *domain_subject_text(enum domain_subject subject);

/* Strings are UTF-8 and never NULL. */
struct domain_finding {
    enum domain_subject subject;
    enum domain_state state;
    const char *name; /* looked up: "b1._domainkey.example.com" */
    const char *expected; /* to publish: "CNAME b1.dkim.relay.example" */
    const char *found; /* literally: "TXT v=DKIM1; …"; "" is nothing */
    const char *advice; /* one or two sentences */
};

struct domain_report {
    const char *domain;
    const struct domain_finding *findings; /* in the order of the subjects */
    size_t finding_count;
};

/* All findings right: mail may be sent in this domain's name. DMARC does not
 * count: a missing record is advice, not a fault of ours. */
bool domain_report_is_right(const struct domain_report *report);
/* {"domain", "right", "findings": [{"subject", "state", "name", "expected",
 * "found", "advice"}]}; the caller's reference. */
json_t *domain_report_json(const struct domain_report *report);

/* The report is valid during the callback only. */
typedef void domain_check_fn(void *owner, const struct domain_report *report);

struct domain_check;
/* Copies the expectation. The callback runs in a later loop turn, once, unless
 * cancelled; within a few times the resolver's time-out. */
struct domain_check *domain_check_start(
    struct loop *loop, struct dns_resolver *resolver,
    const struct domain_expectation *expectation, domain_check_fn *on_done,
    void *owner);
/* Null the pointer; NULL is accepted. Only before the callback ran. */
void domain_check_cancel(struct domain_check **check);

#endif
