/* SPDX-License-Identifier: MIT */
#include "relay/domain_check.h"

#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "relay/domain_check_internal.h"

#define SHOWN_RECORDS_MAX 4

struct domain_check {
    domain_check_fn *on_done;
    void *owner;
    struct arena *arena; /* the expectation */
    struct domain_expectation expected;
    struct dns_inquiry *inquiry;
};

const char *domain_state_text(enum domain_state state)
{
    static const char *const texts[] = {
        [DOMAIN_RIGHT] = "right",     [DOMAIN_MISSING] = "missing",
        [DOMAIN_WRONG] = "wrong",     [DOMAIN_HALF] = "half",
        [DOMAIN_UNKNOWN] = "unknown",
    };
    return texts[state];
}

const char *domain_subject_text(enum domain_subject subject)
{
    static const char *const texts[] = {
        [DOMAIN_SPF] = "spf",     [DOMAIN_DKIM] = "dkim",
        [DOMAIN_DMARC] = "dmarc", [DOMAIN_RETURN_PATH] = "return_path",
        [DOMAIN_LINK] = "link",
    };
    return texts[subject];
}

/* 1. What inspections share. */

const struct dns_answer *inspection_ask(struct inspection *inspection,
                                        enum dns_type type, const char *name)
{
    static const struct dns_answer unknown = { .status = DNS_NO_DATA };
    const struct dns_answer *answer =
        dns_inquiry_ask(inspection->inquiry, type, name);
    if (answer == NULL) {
        inspection->is_waiting = true;
        return &unknown;
    }
    return answer;
}

void inspection_add(struct inspection *inspection,
                    const struct domain_finding *finding)
{
    check(inspection->finding_count < FINDINGS_MAX);
    struct domain_finding *added =
        &inspection->findings[inspection->finding_count++];
    *added = *finding;
    added->name = added->name != NULL ? added->name : "";
    added->expected = added->expected != NULL ? added->expected : "";
    added->found = added->found != NULL ? added->found : "";
    /* It may quote what was published, or be cut within a character. */
    added->advice = added->advice != NULL
                        ? inspection_clean(inspection, text_of(added->advice))
                        : "";
}

bool inspection_is_right(const struct inspection *inspection,
                         enum domain_subject subject)
{
    for (size_t i = 0; i < inspection->finding_count; i++) {
        if (inspection->findings[i].subject == subject &&
            inspection->findings[i].state != DOMAIN_RIGHT) {
            return false;
        }
    }
    return true;
}

/* Strangers write records: no control character reaches a page or a terminal,
 * and what is no UTF-8 no JSON. */
const char *inspection_clean(struct inspection *inspection, struct text text)
{
    char *copy = arena_copy_text(inspection->arena, text);
    bool is_utf8 = text_is_utf8(text);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)copy[i];
        if (byte < ' ' || byte == 0x7f || (byte > 0x7f && !is_utf8)) {
            copy[i] = '?';
        }
    }
    return copy;
}

static const char *show_record(struct inspection *inspection,
                               const struct dns_answer *answer, size_t i)
{
    struct arena *arena = inspection->arena;
    char text[NETWORK_TEXT_SIZE];
    switch (answer->type) {
    case DNS_TYPE_TXT:
        return arena_printf(
            arena, "TXT %s",
            inspection_clean(inspection, answer->records.texts[i].text));
    case DNS_TYPE_MX:
        return arena_printf(arena, "MX %u %s",
                            answer->records.exchangers[i].preference,
                            answer->records.exchangers[i].host);
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        return arena_printf(arena, "%s %s",
                            answer->type == DNS_TYPE_CNAME ? "CNAME" : "PTR",
                            answer->records.names[i].host);
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        break;
    }
    return arena_printf(
        arena, "%s %s", answer->type == DNS_TYPE_A ? "A" : "AAAA",
        network_address_text(&answer->records.addresses[i], text));
}

const char *inspection_show(struct inspection *inspection,
                            const struct dns_answer *answer)
{
    const char *shown = "";
    for (size_t i = 0; i < answer->count && i < SHOWN_RECORDS_MAX; i++) {
        shown = inspection_join(inspection, shown,
                                show_record(inspection, answer, i));
    }
    return shown;
}

const char *inspection_join(struct inspection *inspection, const char *first,
                            const char *second)
{
    bool needs_line = first[0] != '\0' && second[0] != '\0';
    return arena_printf(inspection->arena, "%s%s%s", first,
                        needs_line ? "\n" : "", second);
}

/* 2. The check. */

static void inspect(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    inspect_spf(inspection);
    for (size_t i = 0; i < expected->selector_count; i++) {
        inspect_dkim(inspection, &expected->selectors[i]);
    }
    inspect_dmarc(inspection);
    inspect_return_path(inspection);
    inspect_link(inspection);
}

static bool run(void *owner, struct dns_inquiry *inquiry)
{
    struct domain_check *domain_check = owner;
    struct inspection inspection = {
        .inquiry = inquiry,
        .arena = arena_create(),
        .expected = &domain_check->expected,
    };
    inspect(&inspection);
    if (!inspection.is_waiting) {
        struct domain_report report = {
            .domain = domain_check->expected.domain,
            .findings = inspection.findings,
            .finding_count = inspection.finding_count,
        };
        domain_check->on_done(domain_check->owner, &report);
        domain_check_cancel(&domain_check);
    }
    bool is_done = !inspection.is_waiting;
    arena_free(&inspection.arena);
    return is_done;
}

static const char *copy_string(struct arena *arena, const char *string)
{
    return string != NULL ? arena_copy_string(arena, string) : NULL;
}

static const struct network_address *copy_addresses(
    struct arena *arena, const struct network_address *addresses, size_t count)
{
    struct network_address *copy = arena_alloc(arena, count * sizeof(*copy));
    if (count > 0) {
        memcpy(copy, addresses, count * sizeof(*copy));
    }
    return copy;
}

static void copy_expectation(struct arena *arena,
                             const struct domain_expectation *from,
                             struct domain_expectation *to)
{
    struct domain_selector *selectors =
        arena_alloc(arena, from->selector_count * sizeof(*selectors));
    for (size_t i = 0; i < from->selector_count; i++) {
        const struct domain_selector *selector = &from->selectors[i];
        selectors[i].selector = copy_string(arena, selector->selector);
        selectors[i].record = copy_string(arena, selector->record);
        selectors[i].cname = copy_string(arena, selector->cname);
    }
    *to = (struct domain_expectation){
        .domain = copy_string(arena, from->domain),
        .selectors = selectors,
        .selector_count = from->selector_count,
        .return_host = copy_string(arena, from->return_host),
        .return_cname = copy_string(arena, from->return_cname),
        .return_mx = copy_string(arena, from->return_mx),
        .return_spf = copy_string(arena, from->return_spf),
        .link_host = copy_string(arena, from->link_host),
        .link_cname = copy_string(arena, from->link_cname),
        .link_addresses = copy_addresses(arena, from->link_addresses,
                                         from->link_address_count),
        .link_address_count = from->link_address_count,
        .sending_addresses = copy_addresses(arena, from->sending_addresses,
                                            from->sending_address_count),
        .sending_address_count = from->sending_address_count,
        .report_address = copy_string(arena, from->report_address),
    };
}

struct domain_check *domain_check_start(
    struct loop *loop, struct dns_resolver *resolver,
    const struct domain_expectation *expectation, domain_check_fn *on_done,
    void *owner)
{
    struct domain_check *domain_check = memory_alloc(sizeof(*domain_check));
    check(expectation->selector_count + 4 <= FINDINGS_MAX);
    domain_check->on_done = on_done;
    domain_check->owner = owner;
    domain_check->arena = arena_create();
    copy_expectation(domain_check->arena, expectation, &domain_check->expected);
    domain_check->inquiry =
        dns_inquiry_start(loop, resolver, run, domain_check);
    return domain_check;
}

void domain_check_cancel(struct domain_check **domain_check)
{
    struct domain_check *doomed = *domain_check;
    if (doomed == NULL) {
        return;
    }
    *domain_check = NULL;
    dns_inquiry_free(&doomed->inquiry);
    arena_free(&doomed->arena);
    memory_free(doomed);
}

/* 3. What came of it. */

bool domain_report_is_right(const struct domain_report *report)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct domain_finding *finding = &report->findings[i];
        if (finding->subject != DOMAIN_DMARC &&
            finding->state != DOMAIN_RIGHT) {
            return false;
        }
    }
    return true;
}

json_t *domain_report_json(const struct domain_report *report)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct domain_finding *finding = &report->findings[i];
        json_t *json =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "subject",
                      domain_subject_text(finding->subject), "state",
                      domain_state_text(finding->state), "name", finding->name,
                      "expected", finding->expected, "found", finding->found,
                      "advice", finding->advice);
        check(json != NULL && json_array_append_new(findings, json) == 0);
    }
    json_t *json =
        json_pack("{s:s, s:b, s:o}", "domain", report->domain, "right",
                  domain_report_is_right(report), "findings", findings);
    check(json != NULL);
    return json;
}
