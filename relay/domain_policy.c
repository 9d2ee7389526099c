/* SPDX-License-Identifier: MIT */
/* SPF of the return-path host and DMARC of the domain. */
#include <string.h>

#include "core/memory.h"
#include "dkim/dmarc.h"
#include "dkim/spf.h"
#include "relay/domain_check_internal.h"

static void set(struct domain_finding *finding, enum domain_state state,
                const char *advice)
{
    finding->state = state;
    finding->advice = advice;
}

#define SAY(finding, state, ...) \
    set(finding, state, arena_printf(inspection->arena, __VA_ARGS__))

/* 1. SPF. */

struct spf_tally {
    size_t pass_count;
    size_t error_count; /* temporary */
    struct spf_outcome refused; /* the first that is no pass */
    char refused_address[NETWORK_TEXT_SIZE];
    struct spf_outcome passed; /* the last pass */
};

static bool is_everybody(const struct spf_outcome *outcome)
{
    return strcmp(outcome->mechanism, "all") == 0 ||
           strcmp(outcome->mechanism, "+all") == 0;
}

/* Evaluate for each of our addresses. */
static void tally(struct inspection *inspection, struct spf_tally *out)
{
    const struct domain_expectation *expected = inspection->expected;
    *out = (struct spf_tally){ 0 };
    for (size_t i = 0; i < expected->sending_address_count; i++) {
        struct spf_outcome outcome;
        struct spf_query query = { .address = expected->sending_addresses[i],
                                   .domain = expected->return_host };
        if (!spf_evaluate(inspection->inquiry, &query, &outcome)) {
            inspection->is_waiting = true;
        } else if (outcome.result == SPF_PASS) {
            out->pass_count++;
            out->passed = outcome;
        } else {
            out->error_count += outcome.result == SPF_TEMPERROR ? 1 : 0;
            if (out->refused_address[0] == '\0') {
                out->refused = outcome;
                network_address_text(&query.address, out->refused_address);
            }
        }
    }
}

/* What our part of the record is, if nobody said. */
static const char *expected_mechanism(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    const char *list = "";
    if (expected->return_spf != NULL) {
        return expected->return_spf;
    }
    for (size_t i = 0; i < expected->sending_address_count; i++) {
        char text[NETWORK_TEXT_SIZE];
        const struct network_address *address = &expected->sending_addresses[i];
        list = arena_printf(
            inspection->arena, "%s%s%s:%s", list, i > 0 ? " " : "",
            address->socket.any.sa_family == AF_INET ? "ip4" : "ip6",
            network_address_text(address, text));
    }
    return list;
}

static const struct dns_txt *find_spf(const struct dns_answer *texts,
                                      size_t *out_count)
{
    const struct dns_txt *found = NULL;
    *out_count = 0;
    for (size_t i = 0; i < texts->count; i++) {
        if (spf_is_record(texts->records.texts[i].text)) {
            found = &texts->records.texts[i];
            (*out_count)++;
        }
    }
    return found;
}

/* The record that is there with our mechanism in it: at the front, so that
 * nothing before it decides. */
static const char *complete_record(struct inspection *inspection,
                                   struct text record)
{
    return arena_printf(
        inspection->arena, "v=spf1 %s%s", expected_mechanism(inspection),
        inspection_clean(inspection,
                         text_slice(record, strlen("v=spf1"), record.length)));
}

static void judge_no_spf(struct inspection *inspection,
                         const struct dns_answer *texts,
                         struct domain_finding *finding)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct text text = texts->records.texts[i].text;
        if (slip_has_quotes(text) &&
            spf_is_record(text_of(slip_without_quotes(inspection, text)))) {
            SAY(finding, DOMAIN_WRONG,
                "There are quotes inside the SPF record of %s: enter it "
                "without them.",
                finding->name);
            return;
        }
    }
    if (inspection->expected->return_cname != NULL) {
        SAY(finding, DOMAIN_MISSING,
            "%s has no SPF record yet. It comes by itself with the CNAME of "
            "the return path.",
            finding->name);
        return;
    }
    SAY(finding, DOMAIN_MISSING,
        "There is no SPF record at %s yet. Enter at your DNS provider: name "
        "\"%s\", type TXT, value %s",
        finding->name, slip_entered_name(inspection, finding->name),
        finding->expected + strlen("TXT "));
    (void)slip_explain_missing(inspection, DNS_TYPE_TXT, finding);
}

/* Where the record should come with a CNAME, it is not to be edited. */
static void judge_borrowed_spf(struct inspection *inspection,
                               const struct spf_tally *counts,
                               struct domain_finding *finding)
{
    const char *target = inspection->expected->return_cname;
    const struct dns_answer *alias =
        inspection_ask(inspection, DNS_TYPE_CNAME, finding->name);
    if (alias->count > 0 && strcmp(alias->records.names[0].host, target) == 0) {
        SAY(finding, DOMAIN_HALF,
            "The CNAME is right, but the SPF record of its target %s does not "
            "let us send (%s). That is not yours to repair: it is the sending "
            "service's.",
            target, counts->refused.reason.text);
    } else {
        SAY(finding, DOMAIN_WRONG,
            "The SPF record of %s does not let us send (%s). The right one "
            "comes by itself with the CNAME of the return path.",
            finding->name, counts->refused.reason.text);
    }
}

static void judge_refusal(struct inspection *inspection,
                          const struct spf_tally *counts,
                          const struct dns_answer *texts,
                          struct domain_finding *finding)
{
    size_t record_count;
    const struct dns_txt *record = find_spf(texts, &record_count);
    if (record == NULL) {
        judge_no_spf(inspection, texts, finding);
    } else if (inspection->expected->return_cname != NULL) {
        judge_borrowed_spf(inspection, counts, finding);
    } else if (record_count > 1) {
        SAY(finding, DOMAIN_WRONG,
            "%s has %zu SPF records, and receivers then use none. Keep one: %s",
            finding->name, record_count,
            complete_record(inspection, record->text));
    } else if (counts->refused.result == SPF_PERMERROR) {
        SAY(finding, DOMAIN_WRONG,
            "Receivers cannot use the SPF record of %s: %s.", finding->name,
            counts->refused.reason.text);
    } else {
        SAY(finding, counts->pass_count > 0 ? DOMAIN_HALF : DOMAIN_WRONG,
            "The SPF record of %s does not let us send from %s (%s). Change it "
            "to: %s",
            finding->name, counts->refused_address,
            spf_result_text(counts->refused.result),
            complete_record(inspection, record->text));
    }
}

static void judge_spf(struct inspection *inspection,
                      const struct spf_tally *counts,
                      const struct dns_answer *texts,
                      struct domain_finding *finding)
{
    unsigned lookups = counts->passed.lookup_count;
    if (counts->error_count > 0 || texts->status == DNS_TEMPORARY) {
        SAY(finding, DOMAIN_UNKNOWN,
            "The DNS servers did not answer everything about the SPF record of "
            "%s; this says nothing about it.",
            finding->name);
    } else if (counts->pass_count <
               inspection->expected->sending_address_count) {
        judge_refusal(inspection, counts, texts, finding);
    } else if (is_everybody(&counts->passed)) {
        SAY(finding, DOMAIN_HALF,
            "The SPF record of %s lets everybody send, by \"%s\": write "
            "\"-all\" "
            "at its end instead.",
            counts->passed.domain, counts->passed.mechanism);
    } else if (lookups >= SPF_LOOKUPS_MAX - 1) {
        SAY(finding, DOMAIN_RIGHT,
            "We may send, but the record takes %u of the %d look-ups that are "
            "allowed: add no more to it.",
            lookups, SPF_LOOKUPS_MAX);
    } else {
        SAY(finding, DOMAIN_RIGHT, "We may send (\"%s\" says so).",
            counts->passed.mechanism);
    }
}

/* Without addresses of ours only the record's words can be compared. */
static void compare_spf(struct inspection *inspection,
                        const struct dns_answer *texts,
                        struct domain_finding *finding)
{
    size_t record_count;
    const struct dns_txt *record = find_spf(texts, &record_count);
    struct spf_tally none = { 0 };
    if (texts->status == DNS_TEMPORARY) {
        none.error_count = 1;
        judge_spf(inspection, &none, texts, finding);
    } else if (record_count == 1 &&
               spf_has_mechanism(record->text,
                                 inspection->expected->return_spf)) {
        SAY(finding, DOMAIN_RIGHT, "The record has %s.",
            inspection->expected->return_spf);
    } else if (record_count == 1) {
        SAY(finding, DOMAIN_WRONG,
            "The SPF record of %s does not have %s. Change it to: %s",
            finding->name, inspection->expected->return_spf,
            complete_record(inspection, record->text));
    } else {
        judge_refusal(inspection, &none, texts, finding);
    }
}

void inspect_spf(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    struct spf_tally counts;
    if (expected->return_host == NULL ||
        (expected->sending_address_count == 0 &&
         expected->return_spf == NULL)) {
        return;
    }
    struct domain_finding finding = { .subject = DOMAIN_SPF,
                                      .name = expected->return_host };
    const struct dns_answer *texts =
        inspection_ask(inspection, DNS_TYPE_TXT, finding.name);
    tally(inspection, &counts);
    if (inspection->is_waiting) {
        return;
    }
    finding.found = inspection_show(inspection, texts);
    finding.expected = arena_printf(inspection->arena, "TXT v=spf1 %s -all",
                                    expected_mechanism(inspection));
    if (expected->sending_address_count > 0) {
        judge_spf(inspection, &counts, texts, &finding);
    } else {
        compare_spf(inspection, texts, &finding);
    }
    inspection_add(inspection, &finding);
}

/* 2. DMARC. */

static const char *suggest_dmarc(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    return expected->report_address != NULL
               ? arena_printf(inspection->arena,
                              "v=DMARC1; p=none; rua=mailto:%s",
                              expected->report_address)
               : arena_printf(inspection->arena,
                              "v=DMARC1; p=none; rua=mailto:dmarc@%s",
                              expected->domain);
}

/* A record that its owner takes for one of DMARC. */
static const char *explain_no_dmarc(struct inspection *inspection,
                                    const struct dns_answer *texts,
                                    const char *name)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct text text = texts->records.texts[i].text;
        if (slip_has_quotes(text)) {
            return arena_printf(inspection->arena,
                                "There are quotes or backslashes inside the "
                                "record at %s: enter it without them.",
                                name);
        }
    }
    return arena_printf(inspection->arena,
                        "The TXT record at %s is no DMARC record, since it "
                        "does not begin with \"v=DMARC1;\" in just this "
                        "form. Replace it with: %s",
                        name, suggest_dmarc(inspection));
}

static void judge_no_dmarc(struct inspection *inspection,
                           const struct dmarc_discovery *discovery,
                           const struct dns_answer *texts,
                           struct domain_finding *finding)
{
    if (discovery->status == DMARC_TEMPORARY) {
        SAY(finding, DOMAIN_UNKNOWN, "%s; this says nothing about the record.",
            discovery->reason.text);
    } else if (discovery->status == DMARC_SEVERAL) {
        SAY(finding, DOMAIN_WRONG, "%s: keep one.", discovery->reason.text);
    } else if (discovery->status == DMARC_UNUSABLE) {
        SAY(finding, DOMAIN_WRONG,
            "Receivers cannot use the DMARC record: %s. Replace it with: %s",
            discovery->reason.text, suggest_dmarc(inspection));
    } else if (texts->count > 0) {
        set(finding, DOMAIN_WRONG,
            explain_no_dmarc(inspection, texts, finding->name));
    } else {
        SAY(finding, DOMAIN_MISSING,
            "There is no DMARC record, and large receivers want one. To begin "
            "with, enter at your DNS provider: name \"%s\", type TXT, value %s",
            slip_entered_name(inspection, finding->name),
            suggest_dmarc(inspection));
        (void)slip_explain_missing(inspection, DNS_TYPE_TXT, finding);
    }
}

/* What of our mail would be aligned, once everything is right: DKIM is signed
 * with the domain itself, so that it is as soon as the keys are there. */
static void judge_dmarc(struct inspection *inspection,
                        const struct dmarc_discovery *discovery,
                        bool is_return_aligned, struct domain_finding *finding)
{
    const struct dmarc_record *record = &discovery->record;
    const char *policy = dmarc_policy_text(discovery->policy);
    bool is_dkim_right = inspection->expected->selector_count > 0 &&
                         inspection_is_right(inspection, DOMAIN_DKIM);
    bool is_spf_right = inspection->expected->return_host != NULL &&
                        is_return_aligned &&
                        inspection_is_right(inspection, DOMAIN_SPF);
    if (discovery->policy != DMARC_NONE && !is_dkim_right && !is_spf_right) {
        SAY(finding, DOMAIN_HALF,
            "The policy is \"%s\", and mail that we send would not be aligned "
            "yet: receivers %s it. Put the DKIM record right before you send.",
            policy,
            discovery->policy == DMARC_REJECT ? "reject"
                                              : "treat as suspicious");
    } else if (!is_return_aligned &&
               inspection->expected->return_host != NULL) {
        SAY(finding, DOMAIN_RIGHT,
            "The policy is \"%s\"%s. The return path %s is not aligned%s, so "
            "that everything rests on DKIM.",
            policy, record->is_testing ? ", in test mode" : "",
            inspection->expected->return_host,
            record->is_spf_strict ? " (aspf=s wants the very same domain)"
                                  : "");
    } else if (record->rua.length == 0) {
        SAY(finding, DOMAIN_RIGHT,
            "The policy is \"%s\"%s. Nobody is sent reports: add "
            "\"; rua=mailto:…\" to learn who sends in your name.",
            policy, record->is_testing ? ", in test mode" : "");
    } else {
        SAY(finding, DOMAIN_RIGHT, "The policy is \"%s\"%s.", policy,
            record->is_testing ? ", in test mode" : "");
    }
    if (discovery->reason.text[0] != '\0') {
        finding->advice = arena_printf(inspection->arena, "%s Mind: %s.",
                                       finding->advice, discovery->reason.text);
    }
}

void inspect_dmarc(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    struct dmarc_discovery discovery;
    bool is_return_aligned = false;
    const char *name =
        arena_printf(inspection->arena, "_dmarc.%s", expected->domain);
    const struct dns_answer *texts =
        inspection_ask(inspection, DNS_TYPE_TXT, name);
    if (!dmarc_discover(inspection->inquiry, expected->domain, &discovery) ||
        (expected->return_host != NULL &&
         !dmarc_align(
             inspection->inquiry, expected->domain, expected->return_host,
             discovery.status == DMARC_FOUND && discovery.record.is_spf_strict,
             &is_return_aligned))) {
        inspection->is_waiting = true;
    }
    if (inspection->is_waiting) {
        return;
    }
    struct domain_finding finding = {
        .subject = DOMAIN_DMARC,
        .name = name,
        .found = inspection_show(inspection, texts),
        .expected = arena_printf(inspection->arena, "TXT %s",
                                 suggest_dmarc(inspection)),
    };
    if (discovery.status == DMARC_FOUND || discovery.status == DMARC_UNUSABLE) {
        finding.name = arena_printf(inspection->arena, "_dmarc.%s",
                                    discovery.policy_domain);
        finding.found =
            arena_printf(inspection->arena, "TXT %s",
                         inspection_clean(inspection, discovery.text));
    }
    if (discovery.status == DMARC_FOUND) {
        judge_dmarc(inspection, &discovery, is_return_aligned, &finding);
    } else {
        judge_no_dmarc(inspection, &discovery, texts, &finding);
    }
    inspection_add(inspection, &finding);
}
