/* SPDX-License-Identifier: MIT */
/*
 * Who may send for a domain: check_host of RFC 7208, with all mechanisms,
 * modifiers and macros, within ten look-ups and two void ones (4.6.4). An
 * explanation (exp=) is checked for its form and not fetched: nobody is shown
 * one.
 */
#ifndef BATON_DKIM_SPF_H
#define BATON_DKIM_SPF_H

#include <stdbool.h>

#include "core/dns_inquiry.h"
#include "core/error.h"
#include "core/network.h"

#define SPF_LOOKUPS_MAX 10
#define SPF_VOID_LOOKUPS_MAX 2

enum spf_result {
    SPF_NONE,
    SPF_NEUTRAL,
    SPF_PASS,
    SPF_FAIL,
    SPF_SOFTFAIL,
    SPF_TEMPERROR,
    SPF_PERMERROR,
};
const char *spf_result_text(enum spf_result result); /* RFC 8601, 2.7.2 */

struct spf_query {
    struct network_address address; /* of the client */
    const char *domain; /* of MAIL FROM, or of HELO when that is null */
    const char *sender; /* local@domain; NULL or "": postmaster@domain */
    const char *helo; /* NULL: as the domain; for %{h} only */
};

struct spf_outcome {
    enum spf_result result;
    unsigned lookup_count;
    unsigned void_lookup_count;
    char mechanism[256]; /* that decided, as written; "" is the default */
    char domain[DNS_HOST_MAX + 1]; /* whose record that stands in */
    struct error reason; /* a sentence */
};

/* For a function of core/dns_inquiry.h: false while answers are missing. At
 * most some 120 names are asked for. */
bool spf_evaluate(struct dns_inquiry *inquiry, const struct spf_query *query,
                  struct spf_outcome *out_outcome) MUST_USE;

/* Whether a TXT record is meant as SPF: "v=spf1", and a blank or the end. */
bool spf_is_record(struct text text);
/* The form of a whole record; NULL error is accepted. */
bool spf_check_record(struct text record, struct error *error) MUST_USE;
/* Whether the record has this mechanism, with whatever qualifier: "ip4:…". */
bool spf_has_mechanism(struct text record, const char *mechanism);

#endif
