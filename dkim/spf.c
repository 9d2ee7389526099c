/* SPDX-License-Identifier: MIT */
#include "dkim/spf.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "dkim/spf_macro.h"
#include "dkim/spf_term.h"

/* 4.6.4: more hosts behind an MX or a PTR are too many. */
#define HOSTS_MAX 10

/* What a step came to, besides an enum spf_result. */
enum match {
    MATCH_NO,
    MATCH_YES,
    MATCH_WAITING, /* answers are missing */
    MATCH_TEMPERROR,
    MATCH_PERMERROR,
};

struct evaluation {
    struct dns_inquiry *inquiry;
    const struct spf_query *query;
    struct buffer sender;
    struct spf_outcome *outcome;
    bool is_waiting;
};

const char *spf_result_text(enum spf_result result)
{
    static const char *const texts[] = {
        [SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",
        [SPF_PASS] = "pass",           [SPF_FAIL] = "fail",
        [SPF_SOFTFAIL] = "softfail",   [SPF_TEMPERROR] = "temperror",
        [SPF_PERMERROR] = "permerror",
    };
    return texts[result];
}

/* 1. Records. */

bool spf_is_record(struct text text)
{
    static const char version[] = "v=spf1";
    return text_starts_with_ignoring_case(text, version) &&
           (text.length == strlen(version) ||
            text.data[strlen(version)] == ' ');
}

static struct text terms_of(struct text record)
{
    return text_slice(record, strlen("v=spf1"), record.length);
}

bool spf_check_record(struct text record, struct error *error)
{
    struct text rest = terms_of(record);
    struct spf_term term;
    bool is_wrong = false;
    unsigned redirect_count = 0;
    unsigned exp_count = 0;
    while (spf_term_next(&rest, &term, &is_wrong, error)) {
        redirect_count += term.kind == SPF_REDIRECT ? 1 : 0;
        exp_count += term.kind == SPF_EXP ? 1 : 0;
    }
    if (is_wrong) {
        return false;
    }
    return (redirect_count <= 1 && exp_count <= 1) ||
           error_set(error, "%s= stands twice",
                     redirect_count > 1 ? "redirect" : "exp");
}

bool spf_has_mechanism(struct text record, const char *mechanism)
{
    struct text rest = terms_of(record);
    struct spf_term term;
    bool is_wrong = false;
    while (spf_term_next(&rest, &term, &is_wrong, NULL)) {
        struct text word = term.written;
        if (word.data[0] == '+') {
            word = text_slice(word, 1, word.length);
        }
        if (text_is_ignoring_case(word, mechanism)) {
            return true;
        }
    }
    return false;
}

/* 2. Look-ups. */

/* Count one of the ten. */
static bool count_lookup(struct evaluation *e, const struct spf_term *term)
{
    if (++e->outcome->lookup_count <= SPF_LOOKUPS_MAX) {
        return true;
    }
    return error_set(&e->outcome->reason,
                     "the record takes more than %d look-ups; \"%.*s\" is one "
                     "too many",
                     SPF_LOOKUPS_MAX, TEXT_ARGUMENTS(term->written));
}

/* MATCH_YES: there are records. */
static enum match look_up(struct evaluation *e, enum dns_type type,
                          const char *name, const struct dns_answer **out)
{
    *out = dns_inquiry_ask(e->inquiry, type, name);
    if (*out == NULL) {
        e->is_waiting = true;
        return MATCH_WAITING;
    }
    if ((*out)->status == DNS_TEMPORARY) {
        error_set(&e->outcome->reason, "DNS does not answer for %s", name);
        return MATCH_TEMPERROR;
    }
    return (*out)->count > 0 ? MATCH_YES : MATCH_NO;
}

/* The same for a name that a record gives: two may lead nowhere (4.6.4). The
 * hosts behind an MX do not count: an IPv6 client finds no address at many. */
static enum match look_up_counted(struct evaluation *e, enum dns_type type,
                                  const char *name,
                                  const struct dns_answer **out)
{
    enum match found = look_up(e, type, name, out);
    if (found == MATCH_NO &&
        ++e->outcome->void_lookup_count > SPF_VOID_LOOKUPS_MAX) {
        error_set(&e->outcome->reason,
                  "more than %d of the record's names lead nowhere; %s is one "
                  "too many",
                  SPF_VOID_LOOKUPS_MAX, name);
        return MATCH_PERMERROR;
    }
    return found;
}

static bool is_v4(const struct evaluation *e)
{
    return e->query->address.socket.any.sa_family == AF_INET;
}

static enum dns_type address_type(const struct evaluation *e)
{
    return is_v4(e) ? DNS_TYPE_A : DNS_TYPE_AAAA;
}

static bool has_address(const struct evaluation *e, const struct spf_term *term,
                        const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct network_range range = {
            .base = answer->records.addresses[i],
            .prefix_bits =
                is_v4(e) ? term->prefix_bits_v4 : term->prefix_bits_v6,
        };
        if (network_range_contains(&range, &e->query->address)) {
            return true;
        }
    }
    return false;
}

/* "9.113.0.203.in-addr.arpa" */
static void write_reverse_name(const struct network_address *address,
                               char out_name[SPF_NAME_SIZE])
{
    struct spf_macro_values values = { .address = address };
    check(spf_macro_expand_domain(TEXT_LITERAL("%{ir}.%{v}.arpa"), &values,
                                  out_name));
}

static bool is_within(const char *name, const char *domain)
{
    struct text text = text_of(name);
    size_t length = strlen(domain);
    return text_ends_with_ignoring_case(text, domain) &&
           (text.length == length ||
            text.data[text.length - length - 1] == '.');
}

/* 5.5: a name of the client's address that leads back to it; of several one
 * within the domain, if there is. *out_name is "" without. An error is as if
 * there were none. */
static enum match find_own_name(struct evaluation *e, const char *domain,
                                const char **out_name)
{
    char reverse[SPF_NAME_SIZE];
    const struct dns_answer *names;
    *out_name = "";
    write_reverse_name(&e->query->address, reverse);
    enum match found = look_up_counted(e, DNS_TYPE_PTR, reverse, &names);
    if (found == MATCH_WAITING || found == MATCH_PERMERROR) {
        return found;
    }
    static const struct spf_term exactly = { .prefix_bits_v4 = 32,
                                             .prefix_bits_v6 = 128 };
    bool is_waiting = false;
    for (size_t i = 0; i < names->count && i < HOSTS_MAX; i++) {
        const char *host = names->records.names[i].host;
        const struct dns_answer *addresses;
        found = look_up(e, address_type(e), host, &addresses);
        is_waiting |= found == MATCH_WAITING;
        if (found == MATCH_YES && has_address(e, &exactly, addresses) &&
            ((*out_name)[0] == '\0' ||
             (!is_within(*out_name, domain) && is_within(host, domain)))) {
            *out_name = host;
        }
    }
    return is_waiting ? MATCH_WAITING : MATCH_YES;
}

/* 3. Mechanisms. */

/* The domain that a term is about: its own, or the record's. */
static enum match expand_domain(struct evaluation *e,
                                const struct spf_term *term, const char *domain,
                                char out_name[SPF_NAME_SIZE])
{
    struct spf_macro_values values = {
        .address = &e->query->address,
        .sender = buffer_text(&e->sender),
        .domain = domain,
        .helo = e->query->helo != NULL ? e->query->helo : e->query->domain,
        .validated_name = "unknown",
    };
    if (spf_macro_has_name(term->domain)) {
        const char *name;
        enum match found = find_own_name(e, domain, &name);
        if (found != MATCH_YES) {
            return found;
        }
        values.validated_name = name[0] != '\0' ? name : "unknown";
    }
    struct text spec =
        term->domain.length > 0 ? term->domain : TEXT_LITERAL("%{d}");
    return spf_macro_expand_domain(spec, &values, out_name) ? MATCH_YES
                                                            : MATCH_NO;
}

static enum match match_mx(struct evaluation *e, const struct spf_term *term,
                           const char *name)
{
    const struct dns_answer *hosts;
    enum match result = look_up_counted(e, DNS_TYPE_MX, name, &hosts);
    if (result != MATCH_YES) {
        return result;
    }
    if (hosts->count > HOSTS_MAX) {
        error_set(&e->outcome->reason, "%s has more than %d mail exchangers",
                  name, HOSTS_MAX);
        return MATCH_PERMERROR;
    }
    result = MATCH_NO;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct dns_answer *addresses;
        const char *host = hosts->records.exchangers[i].host;
        enum match found = host[0] == '\0'
                               ? MATCH_NO /* a null MX */
                               : look_up(e, address_type(e), host, &addresses);
        if (found == MATCH_YES && has_address(e, term, addresses)) {
            return MATCH_YES;
        }
        if (found == MATCH_WAITING ||
            (found == MATCH_TEMPERROR && result == MATCH_NO)) {
            result = found;
        }
    }
    return result;
}

static enum match match_ptr(struct evaluation *e, const char *domain)
{
    const char *name;
    enum match found = find_own_name(e, domain, &name);
    if (found != MATCH_YES) {
        return found;
    }
    return name[0] != '\0' && is_within(name, domain) ? MATCH_YES : MATCH_NO;
}

static enum spf_result check_host(struct evaluation *e, const char *domain);

/* 5.2 */
static enum match match_include(struct evaluation *e,
                                const struct spf_term *term, const char *name)
{
    switch (check_host(e, name)) {
    case SPF_PASS:
        return MATCH_YES;
    case SPF_TEMPERROR:
        return MATCH_TEMPERROR;
    case SPF_PERMERROR:
        return MATCH_PERMERROR;
    case SPF_NONE:
        if (e->is_waiting) {
            return MATCH_WAITING;
        }
        error_set(&e->outcome->reason, "\"%.*s\" leads to no SPF record",
                  TEXT_ARGUMENTS(term->written));
        return MATCH_PERMERROR;
    case SPF_NEUTRAL:
    case SPF_FAIL:
    case SPF_SOFTFAIL:
        break;
    }
    return MATCH_NO;
}

static enum match match_name(struct evaluation *e, const struct spf_term *term,
                             const char *name)
{
    const struct dns_answer *answer;
    enum match found;
    switch (term->kind) {
    case SPF_A:
        found = look_up_counted(e, address_type(e), name, &answer);
        return found == MATCH_YES && !has_address(e, term, answer) ? MATCH_NO
                                                                   : found;
    case SPF_EXISTS: /* 5.7: an IPv4 address, also for IPv6 clients */
        return look_up_counted(e, DNS_TYPE_A, name, &answer);
    case SPF_MX:
        return match_mx(e, term, name);
    case SPF_PTR:
        return match_ptr(e, name);
    default:
        return match_include(e, term, name);
    }
}

static enum match match_term(struct evaluation *e, const struct spf_term *term,
                             const char *domain)
{
    char name[SPF_NAME_SIZE];
    if (term->kind == SPF_ALL) {
        return MATCH_YES;
    }
    if (term->kind == SPF_IP4 || term->kind == SPF_IP6) {
        /* An IPv4-mapped range is none of IPv6. */
        bool is_of_family = term->range.base.socket.any.sa_family ==
                            (term->kind == SPF_IP4 ? AF_INET : AF_INET6);
        return is_of_family &&
                       network_range_contains(&term->range, &e->query->address)
                   ? MATCH_YES
                   : MATCH_NO;
    }
    if (!count_lookup(e, term)) {
        return MATCH_PERMERROR;
    }
    enum match found = expand_domain(e, term, domain, name);
    return found == MATCH_YES ? match_name(e, term, name) : found;
}

/* 4. Records, evaluated. */

static enum spf_result result_of_match(enum match match)
{
    return match == MATCH_TEMPERROR   ? SPF_TEMPERROR
           : match == MATCH_PERMERROR ? SPF_PERMERROR
                                      : SPF_NONE; /* waiting */
}

static enum spf_result result_of_qualifier(char qualifier)
{
    switch (qualifier) {
    case '-':
        return SPF_FAIL;
    case '~':
        return SPF_SOFTFAIL;
    case '?':
        return SPF_NEUTRAL;
    default:
        return SPF_PASS;
    }
}

static void keep_decision(struct evaluation *e, struct text written,
                          const char *domain)
{
    struct spf_outcome *outcome = e->outcome;
    size_t room = sizeof(outcome->mechanism) - 1;
    (void)snprintf(outcome->mechanism, sizeof(outcome->mechanism), "%.*s",
                   (int)(written.length < room ? written.length : room),
                   written.data);
    (void)snprintf(outcome->domain, sizeof(outcome->domain), "%s", domain);
}

/* 6.1 */
static enum spf_result follow_redirect(struct evaluation *e,
                                       const struct spf_term *term,
                                       const char *domain)
{
    char name[SPF_NAME_SIZE];
    if (!count_lookup(e, term)) {
        return SPF_PERMERROR;
    }
    enum match found = expand_domain(e, term, domain, name);
    if (found != MATCH_YES && found != MATCH_NO) {
        return result_of_match(found);
    }
    enum spf_result result =
        found == MATCH_YES ? check_host(e, name) : SPF_NONE;
    if (result == SPF_NONE && !e->is_waiting) {
        error_set(&e->outcome->reason, "\"%.*s\" leads to no SPF record",
                  TEXT_ARGUMENTS(term->written));
        return SPF_PERMERROR;
    }
    return result;
}

static enum spf_result evaluate_record(struct evaluation *e, struct text record,
                                       const char *domain)
{
    struct text rest = terms_of(record);
    struct spf_term redirect = { .kind = SPF_ALL };
    struct spf_term term;
    bool is_wrong = false;
    while (spf_term_next(&rest, &term, &is_wrong, NULL)) {
        if (term.kind == SPF_REDIRECT) {
            redirect = term;
        }
        if (term.kind >= SPF_REDIRECT) {
            continue;
        }
        enum match match = match_term(e, &term, domain);
        if (match == MATCH_YES) {
            keep_decision(e, term.written, domain);
            return result_of_qualifier(term.qualifier);
        }
        if (match != MATCH_NO) {
            keep_decision(e, term.written, domain);
            return result_of_match(match);
        }
    }
    if (redirect.kind == SPF_REDIRECT) {
        return follow_redirect(e, &redirect, domain);
    }
    keep_decision(e, TEXT_LITERAL(""), domain);
    return SPF_NEUTRAL; /* 4.7 */
}

/* 4.3: more than one label, none empty or too long. */
static bool can_have_record(const char *domain)
{
    struct text rest = text_of(domain);
    struct text label;
    size_t count = 0;
    if (rest.length > DNS_HOST_MAX) {
        return false;
    }
    for (; text_split(&rest, '.', &label); count++) {
        if (label.length == 0 || label.length > 63) {
            return false;
        }
    }
    return count > 1;
}

/* 4.5; NULL with its result when there is no record to evaluate. */
static const struct dns_txt *find_record(struct evaluation *e,
                                         const char *domain,
                                         enum spf_result *out_result)
{
    const struct dns_answer *answer;
    const struct dns_txt *record = NULL;
    size_t count = 0;
    *out_result = SPF_NONE;
    if (!can_have_record(domain)) {
        error_set(&e->outcome->reason, "\"%s\" is no domain", domain);
        return NULL;
    }
    enum match found = look_up(e, DNS_TYPE_TXT, domain, &answer);
    if (found == MATCH_TEMPERROR || found == MATCH_WAITING) {
        *out_result = result_of_match(found);
        return NULL;
    }
    for (size_t i = 0; i < answer->count; i++) {
        if (spf_is_record(answer->records.texts[i].text)) {
            record = &answer->records.texts[i];
            count++;
        }
    }
    if (count > 1) {
        error_set(&e->outcome->reason,
                  "%s has %zu SPF records, and may have one", domain, count);
        *out_result = SPF_PERMERROR;
        return NULL;
    }
    if (count == 0) {
        error_set(&e->outcome->reason, "%s has no SPF record", domain);
    }
    return record;
}

static enum spf_result check_host(struct evaluation *e, const char *domain)
{
    enum spf_result result;
    struct error reason;
    const struct dns_txt *record = find_record(e, domain, &result);
    if (record == NULL) {
        keep_decision(e, TEXT_LITERAL(""), domain);
        return result;
    }
    if (!spf_check_record(record->text, &reason)) {
        error_set(&e->outcome->reason, "the SPF record of %s is wrong: %s",
                  domain, reason.text);
        keep_decision(e, TEXT_LITERAL(""), domain);
        return SPF_PERMERROR;
    }
    return evaluate_record(e, record->text, domain);
}

static void explain(const struct spf_query *query, struct spf_outcome *outcome)
{
    char address[NETWORK_TEXT_SIZE];
    network_address_text(&query->address, address);
    if (outcome->result == SPF_NEUTRAL && outcome->mechanism[0] == '\0') {
        error_set(&outcome->reason, "no mechanism of %s says anything about %s",
                  outcome->domain, address);
    } else {
        error_set(&outcome->reason, "\"%s\" of %s says so about %s",
                  outcome->mechanism, outcome->domain, address);
    }
}

bool spf_evaluate(struct dns_inquiry *inquiry, const struct spf_query *query,
                  struct spf_outcome *out_outcome)
{
    struct evaluation e = { .inquiry = inquiry,
                            .query = query,
                            .outcome = out_outcome };
    *out_outcome = (struct spf_outcome){ 0 };
    if (query->sender == NULL || query->sender[0] == '\0') {
        buffer_printf(&e.sender, "postmaster@%s", query->domain);
    } else {
        buffer_append_string(&e.sender, query->sender);
    }
    out_outcome->result = check_host(&e, query->domain);
    buffer_free(&e.sender);
    switch (out_outcome->result) {
    case SPF_NEUTRAL:
    case SPF_PASS:
    case SPF_FAIL:
    case SPF_SOFTFAIL:
        explain(query, out_outcome);
        break;
    case SPF_NONE:
    case SPF_TEMPERROR:
    case SPF_PERMERROR:
        break;
    }
    return !e.is_waiting;
}
