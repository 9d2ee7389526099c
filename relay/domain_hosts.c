/* SPDX-License-Identifier: MIT */
/* The two host names that a sender domain lends us: return path and links. */
#include <string.h>

#include "core/memory.h"
#include "relay/domain_check_internal.h"

struct host {
    struct inspection *inspection;
    const char *name;
    const char *target; /* of its CNAME, or NULL */
    const struct dns_answer *alias;
    const struct dns_answer *v4;
    const struct dns_answer *v6;
    const struct dns_answer *exchangers;
    const struct dns_answer *texts;
    struct domain_finding finding;
};

static void set(struct host *host, enum domain_state state, const char *advice)
{
    host->finding.state = state;
    host->finding.advice = advice;
}

#define SAY(host, state, ...) \
    set(host, state, arena_printf((host)->inspection->arena, __VA_ARGS__))

static void ask_all(struct host *host)
{
    struct inspection *inspection = host->inspection;
    host->alias = inspection_ask(inspection, DNS_TYPE_CNAME, host->name);
    host->v4 = inspection_ask(inspection, DNS_TYPE_A, host->name);
    host->v6 = inspection_ask(inspection, DNS_TYPE_AAAA, host->name);
    host->exchangers = inspection_ask(inspection, DNS_TYPE_MX, host->name);
    host->texts = inspection_ask(inspection, DNS_TYPE_TXT, host->name);
}

/* Of a name with a CNAME the rest stands at its target. */
static const char *show_all(struct host *host)
{
    struct inspection *inspection = host->inspection;
    const struct dns_answer *answers[] = { host->alias, host->exchangers,
                                           host->v4, host->v6, host->texts };
    const char *shown = "";
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        shown = inspection_join(inspection, shown,
                                inspection_show(inspection, answers[i]));
    }
    return shown;
}

static const char *entered(const struct host *host)
{
    return slip_entered_name(host->inspection, host->name);
}

static void say_unknown(struct host *host)
{
    SAY(host, DOMAIN_UNKNOWN,
        "The DNS servers of %s did not answer; this says nothing about the "
        "record.",
        host->name);
}

static bool has_anything(const struct host *host)
{
    return host->v4->count + host->v6->count + host->exchangers->count +
               host->texts->count >
           0;
}

/* Where a CNAME should be, and is not, or leads elsewhere. */
static void judge_alias(struct host *host)
{
    if (slip_is_wildcard(host->inspection, host->name)) {
        SAY(host, DOMAIN_MISSING,
            "Only the record for all names (*%s) answers for %s. Enter a "
            "record "
            "of its own, which comes before it: name \"%s\", type CNAME, "
            "target "
            "%s",
            strchr(host->name, '.'), host->name, entered(host), host->target);
    } else if (host->alias->count > 0) {
        const char *target = host->alias->records.names[0].host;
        if (slip_is_completed(host->inspection, target, host->target)) {
            SAY(host, DOMAIN_WRONG,
                "Your DNS provider has added the domain to the target: %s. "
                "Enter the target with a dot at its end: %s.",
                target, host->target);
        } else {
            SAY(host, DOMAIN_WRONG,
                "The CNAME at %s leads to %s. Change its target to %s",
                host->name, target, host->target);
        }
    } else if (slip_is_txt_for_cname(host->texts, host->target)) {
        SAY(host, DOMAIN_WRONG,
            "A TXT record stands at %s where a CNAME belongs: delete it and "
            "enter the same value as a CNAME.",
            host->name);
    } else if (slip_is_proxied(host->v4) || slip_is_proxied(host->v6)) {
        SAY(host, DOMAIN_WRONG,
            "Cloudflare answers for %s with its own addresses (the orange "
            "cloud). Set the record to \"DNS only\" (the grey cloud), as a "
            "CNAME to %s",
            host->name, host->target);
    } else if (has_anything(host)) {
        SAY(host, DOMAIN_WRONG,
            "Other records stand at %s, and a CNAME may have none beside it: "
            "delete them and enter: name \"%s\", type CNAME, target %s",
            host->name, entered(host), host->target);
    } else {
        SAY(host, DOMAIN_MISSING,
            "There is no record at %s yet. Enter at your DNS provider: name "
            "\"%s\", type CNAME, target %s",
            host->name, entered(host), host->target);
        (void)slip_explain_missing(host->inspection, DNS_TYPE_A,
                                   &host->finding);
    }
}

static bool leads_to_target(const struct host *host)
{
    return host->alias->count > 0 &&
           strcmp(host->alias->records.names[0].host, host->target) == 0;
}

/* 1. The return path. */

static size_t count_exchanger(const struct dns_answer *exchangers,
                              const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < exchangers->count; i++) {
        count += strcmp(exchangers->records.exchangers[i].host, name) == 0;
    }
    return count;
}

/* Some providers put the target's records in the place of a CNAME. */
static bool is_flattened(const struct dns_answer *exchangers,
                         const struct dns_answer *of_target)
{
    for (size_t i = 0; i < exchangers->count; i++) {
        if (count_exchanger(of_target,
                            exchangers->records.exchangers[i].host) == 0) {
            return false;
        }
    }
    return exchangers->count > 0;
}

static void judge_return_alias(struct host *host,
                               const struct dns_answer *of_target)
{
    bool is_there = leads_to_target(host);
    if (is_there && host->exchangers->count > 0) {
        SAY(host, DOMAIN_RIGHT, "Bounces come back to us.");
    } else if (host->exchangers->status == DNS_TEMPORARY ||
               (!is_there && host->alias->status == DNS_TEMPORARY)) {
        say_unknown(host);
    } else if (is_there) {
        SAY(host, DOMAIN_HALF,
            "The CNAME is right, but its target %s has no MX record. That is "
            "not yours to repair: it is the sending service's.",
            host->target);
    } else if (host->alias->count == 0 &&
               is_flattened(host->exchangers, of_target)) {
        SAY(host, DOMAIN_RIGHT,
            "Bounces come back to us. Your DNS provider shows the records of "
            "%s in the place of the CNAME; that is all right.",
            host->target);
    } else {
        judge_alias(host);
    }
}

static void judge_return_mx(struct host *host, const char *mx)
{
    size_t ours = count_exchanger(host->exchangers, mx);
    if (host->alias->count > 0) {
        SAY(host, DOMAIN_WRONG,
            "A CNAME stands at %s, beside which there can be no MX record: "
            "delete it and enter: name \"%s\", type MX, value 10 %s",
            host->name, entered(host), mx);
    } else if (ours > 0 && ours == host->exchangers->count) {
        SAY(host, DOMAIN_RIGHT, "Bounces come back to us.");
    } else if (ours > 0) {
        SAY(host, DOMAIN_HALF,
            "Besides %s other servers are MX of %s, and bounces may go there: "
            "delete the other MX records.",
            mx, host->name);
    } else if (host->exchangers->status == DNS_TEMPORARY) {
        say_unknown(host);
    } else if (host->exchangers->count > 0) {
        SAY(host, DOMAIN_WRONG,
            "The MX of %s is another server. Change it to: 10 %s", host->name,
            mx);
    } else {
        SAY(host, DOMAIN_MISSING,
            "There is no MX record at %s yet. Enter at your DNS provider: name "
            "\"%s\", type MX, value 10 %s",
            host->name, entered(host), mx);
        (void)slip_explain_missing(host->inspection, DNS_TYPE_MX,
                                   &host->finding);
    }
}

void inspect_return_path(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    struct host host = { .inspection = inspection,
                         .name = expected->return_host,
                         .target = expected->return_cname };
    if (host.name == NULL ||
        (host.target == NULL && expected->return_mx == NULL)) {
        return;
    }
    ask_all(&host);
    const struct dns_answer *of_target =
        host.target != NULL
            ? inspection_ask(inspection, DNS_TYPE_MX, host.target)
            : NULL;
    if (inspection->is_waiting) {
        return;
    }
    host.finding = (struct domain_finding){
        .subject = DOMAIN_RETURN_PATH,
        .name = host.name,
        .expected =
            host.target != NULL
                ? arena_printf(inspection->arena, "CNAME %s", host.target)
                : arena_printf(inspection->arena, "MX 10 %s",
                               expected->return_mx),
        .found = show_all(&host),
    };
    bool has_own_exchangers = expected->return_mx != NULL &&
                              host.alias->count == 0 &&
                              host.exchangers->count > 0;
    if (host.target != NULL &&
        !(has_own_exchangers && !is_flattened(host.exchangers, of_target))) {
        judge_return_alias(&host, of_target);
    } else {
        judge_return_mx(&host, expected->return_mx);
    }
    inspection_add(inspection, &host.finding);
}

/* 2. Tracking. */

static size_t count_ours(const struct domain_expectation *expected,
                         const struct dns_answer *addresses)
{
    size_t count = 0;
    for (size_t i = 0; i < addresses->count; i++) {
        for (size_t k = 0; k < expected->link_address_count; k++) {
            if (network_address_equal(&addresses->records.addresses[i],
                                      &expected->link_addresses[k])) {
                count++;
                break;
            }
        }
    }
    return count;
}

static const char *list_addresses(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    const char *list = "";
    for (size_t i = 0; i < expected->link_address_count; i++) {
        char text[NETWORK_TEXT_SIZE];
        const struct network_address *address = &expected->link_addresses[i];
        list = inspection_join(
            inspection, list,
            arena_printf(inspection->arena, "%s %s",
                         address->socket.any.sa_family == AF_INET ? "A"
                                                                  : "AAAA",
                         network_address_text(address, text)));
    }
    return list;
}

/* Nothing leads to us. */
static void judge_addresses(struct host *host)
{
    if (host->target != NULL) {
        judge_alias(host);
    } else if (slip_is_wildcard(host->inspection, host->name)) {
        SAY(host, DOMAIN_MISSING,
            "Only the record for all names (*%s) answers for %s. Enter a "
            "record "
            "of its own, which comes before it: name \"%s\", %s",
            strchr(host->name, '.'), host->name, entered(host),
            host->finding.expected);
    } else if (host->v4->count + host->v6->count > 0) {
        SAY(host, DOMAIN_WRONG,
            "%s has other addresses than ours. Change the record to: %s",
            host->name, host->finding.expected);
    } else {
        SAY(host, DOMAIN_MISSING,
            "There is no record at %s yet. Enter at your DNS provider: name "
            "\"%s\", %s",
            host->name, entered(host), host->finding.expected);
        (void)slip_explain_missing(host->inspection, DNS_TYPE_A,
                                   &host->finding);
    }
}

static void judge_link(struct host *host)
{
    size_t count = host->v4->count + host->v6->count;
    size_t ours = count_ours(host->inspection->expected, host->v4) +
                  count_ours(host->inspection->expected, host->v6);
    bool is_alias = host->target != NULL && leads_to_target(host);
    if (count > 0 && (is_alias || ours == count)) {
        SAY(host, DOMAIN_RIGHT, "Links in mail lead to us.");
    } else if (host->v4->status == DNS_TEMPORARY ||
               host->v6->status == DNS_TEMPORARY ||
               (host->target != NULL && host->alias->status == DNS_TEMPORARY)) {
        say_unknown(host);
    } else if (is_alias) {
        SAY(host, DOMAIN_HALF,
            "The CNAME is right, but its target %s has no address. That is not "
            "yours to repair: it is the sending service's.",
            host->target);
    } else if (ours > 0) {
        SAY(host, DOMAIN_HALF,
            "Of the %zu addresses of %s only %zu lead to us: delete the "
            "others.",
            count, host->name, ours);
    } else {
        judge_addresses(host);
    }
}

void inspect_link(struct inspection *inspection)
{
    const struct domain_expectation *expected = inspection->expected;
    struct host host = { .inspection = inspection,
                         .name = expected->link_host,
                         .target = expected->link_cname };
    if (host.name == NULL ||
        (host.target == NULL && expected->link_address_count == 0)) {
        return;
    }
    ask_all(&host);
    if (inspection->is_waiting) {
        return;
    }
    host.finding = (struct domain_finding){
        .subject = DOMAIN_LINK,
        .name = host.name,
        .expected = host.target != NULL ? arena_printf(inspection->arena,
                                                       "CNAME %s", host.target)
                                        : list_addresses(inspection),
        .found = show_all(&host),
    };
    judge_link(&host);
    inspection_add(inspection, &host.finding);
}
