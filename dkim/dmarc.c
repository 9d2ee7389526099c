/* SPDX-License-Identifier: MIT */
#include "dkim/dmarc.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "dkim/tag_list.h"

/* 4.10: one query at the name itself and seven above it. */
#define LABELS_ABOVE_MAX 7
#define WALK_MAX (1 + LABELS_ABOVE_MAX)

const char *dmarc_policy_text(enum dmarc_policy policy)
{
    static const char *const texts[] = {
        [DMARC_NONE] = "none",
        [DMARC_QUARANTINE] = "quarantine",
        [DMARC_REJECT] = "reject",
    };
    return texts[policy];
}

/* 1. The record (4.7). */

bool dmarc_is_record(struct text text)
{
    struct tag tag;
    return text.length > 0 && text.data[0] == 'v' && tag_next(&text, &tag) &&
           text_is(tag.name, "v") && text_is(tag.value, "DMARC1");
}

static bool read_policy(struct text value, enum dmarc_policy *out_policy)
{
    for (int i = DMARC_NONE; i <= DMARC_REJECT; i++) {
        if (text_is_ignoring_case(value,
                                  dmarc_policy_text((enum dmarc_policy)i))) {
            *out_policy = (enum dmarc_policy)i;
            return true;
        }
    }
    return false;
}

/* At least one report can be sent somewhere. */
static bool has_report_address(struct text rua)
{
    struct text piece;
    while (text_split(&rua, ',', &piece)) {
        piece = tag_trim(piece);
        size_t at = text_find_byte(piece, '@');
        if (text_starts_with_ignoring_case(piece, "mailto:") &&
            at > strlen("mailto:") && at + 1 < piece.length) {
            return true;
        }
    }
    return false;
}

static char read_letter(struct text text, const char *name, const char *letters)
{
    struct text value;
    if (tag_find(text, name, &value) && value.length == 1) {
        const char *found = strchr(letters, ascii_lower(value.data[0]));
        if (found != NULL && *found != '\0') {
            return *found;
        }
    }
    return letters[0];
}

/* False: one of them stands there and is none. */
static bool read_policies(struct text text, struct dmarc_record *record,
                          struct error *error)
{
    struct text value;
    if (!tag_find(text, "p", &value)) {
        error_set(error, "p= is missing, which stands for p=none");
    } else if (!read_policy(value, &record->policy)) {
        return error_set(error,
                         "p=%.*s is no policy: write none, quarantine "
                         "or reject",
                         TEXT_ARGUMENTS(value));
    }
    record->subdomain_policy = record->policy;
    if (tag_find(text, "sp", &value) &&
        !read_policy(value, &record->subdomain_policy)) {
        return error_set(error, "sp=%.*s is no policy", TEXT_ARGUMENTS(value));
    }
    record->missing_policy = record->subdomain_policy;
    if (tag_find(text, "np", &value) &&
        !read_policy(value, &record->missing_policy)) {
        return error_set(error, "np=%.*s is no policy", TEXT_ARGUMENTS(value));
    }
    return true;
}

bool dmarc_read(struct text text, struct dmarc_record *out_record,
                struct error *out_error)
{
    *out_record = (struct dmarc_record){
        .is_testing = read_letter(text, "t", "ny") == 'y',
        .psd = read_letter(text, "psd", "uyn"),
        .is_dkim_strict = read_letter(text, "adkim", "rs") == 's',
        .is_spf_strict = read_letter(text, "aspf", "rs") == 's',
    };
    out_error->text[0] = '\0';
    (void)tag_find(text, "rua", &out_record->rua);
    (void)tag_find(text, "ruf", &out_record->ruf);
    (void)tag_find(text, "fo", &out_record->fo);
    if (!dmarc_is_record(text)) {
        return error_set(out_error, "it does not begin with v=DMARC1");
    }
    if (read_policies(text, out_record, out_error)) {
        return true;
    }
    out_record->policy = DMARC_NONE;
    out_record->subdomain_policy = DMARC_NONE;
    out_record->missing_policy = DMARC_NONE;
    return has_report_address(out_record->rua);
}

/* 2. The walk (4.10). */

struct step {
    const char *domain; /* a tail of the name that the walk began with */
    const struct dns_answer *answer;
    const struct dns_txt *record; /* the only one, or NULL */
    size_t record_count;
    char psd;
};

struct walk {
    struct step steps[WALK_MAX];
    size_t count;
};

static size_t count_labels(const char *domain)
{
    size_t count = domain[0] != '\0' ? 1 : 0;
    for (const char *c = domain; *c != '\0'; c++) {
        count += *c == '.' ? 1 : 0;
    }
    return count;
}

/* One label less, and no more than seven; "" at the root. */
static const char *parent_of(const char *domain)
{
    size_t left = count_labels(domain);
    do {
        const char *dot = strchr(domain, '.');
        domain = dot != NULL ? dot + 1 : "";
        left--;
    } while (left > LABELS_ABOVE_MAX);
    return domain;
}

/* False: DNS was asked and did not answer yet. */
static bool read_step(struct dns_inquiry *inquiry, const char *domain,
                      struct step *out_step)
{
    char name[sizeof("_dmarc.") + DNS_HOST_MAX];
    struct dmarc_record record;
    struct error error;
    (void)snprintf(name, sizeof(name), "_dmarc.%s", domain);
    *out_step = (struct step){ .domain = domain, .psd = 'u' };
    out_step->answer = dns_inquiry_ask(inquiry, DNS_TYPE_TXT, name);
    if (out_step->answer == NULL) {
        return false;
    }
    for (size_t i = 0; i < out_step->answer->count; i++) {
        if (dmarc_is_record(out_step->answer->records.texts[i].text)) {
            out_step->record = &out_step->answer->records.texts[i];
            out_step->record_count++;
        }
    }
    if (out_step->record_count > 1) {
        out_step->record = NULL;
    }
    if (out_step->record != NULL) {
        (void)!dmarc_read(out_step->record->text, &record, &error);
        out_step->psd = record.psd;
    }
    return true;
}

/* All at once: an answer that says that the walk ends there costs nothing but
 * questions that need not have been asked. */
static bool walk_up(struct dns_inquiry *inquiry, const char *domain,
                    struct walk *out_walk)
{
    bool is_complete = true;
    bool is_ended = false;
    out_walk->count = 0;
    while (domain[0] != '\0' && !is_ended) {
        check(out_walk->count < WALK_MAX);
        struct step *step = &out_walk->steps[out_walk->count++];
        is_complete &= read_step(inquiry, domain, step);
        is_ended = is_complete && step->psd != 'u';
        domain = parent_of(domain);
    }
    return is_complete;
}

/* 4.10.2. The walk's first name is the organization if nothing says other. */
static const char *organization_of(const struct walk *walk)
{
    const char *found = walk->steps[0].domain;
    for (size_t i = 0; i < walk->count; i++) {
        const struct step *step = &walk->steps[i];
        if (step->record == NULL) {
            continue;
        }
        if (step->psd == 'n') {
            return step->domain;
        }
        if (step->psd == 'y' && i > 0) {
            /* One label below: not always the step before (7 labels). */
            const char *below = walk->steps[0].domain;
            while (count_labels(below) > count_labels(step->domain) + 1) {
                below = strchr(below, '.') + 1;
            }
            return below;
        }
        found = step->domain;
    }
    return found;
}

/* The step whose record is applied (4.10.1): of the domain itself, of its
 * organization, or of the public suffix. */
static const struct step *policy_step(const struct walk *walk,
                                      const char *organization)
{
    const struct step *found = NULL;
    if (walk->steps[0].record != NULL) {
        return &walk->steps[0];
    }
    for (size_t i = 0; i < walk->count; i++) {
        const struct step *step = &walk->steps[i];
        if (step->record != NULL && strcmp(step->domain, organization) == 0) {
            return step;
        }
        if (step->record != NULL && step->psd == 'y') {
            found = step;
        }
    }
    return found;
}

static void copy_name(char out_name[DNS_HOST_MAX + 1], const char *name)
{
    (void)snprintf(out_name, DNS_HOST_MAX + 1, "%s", name);
}

static bool can_be_walked(const char *domain)
{
    return domain[0] != '\0' &&
           strlen(domain) + strlen("_dmarc.") <= DNS_HOST_MAX;
}

static void describe_missing(const struct walk *walk,
                             struct dmarc_discovery *discovery)
{
    const struct step *first = &walk->steps[0];
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->steps[i].answer->status == DNS_TEMPORARY) {
            discovery->status = DMARC_TEMPORARY;
            error_set(&discovery->reason, "DNS does not answer for _dmarc.%s",
                      walk->steps[i].domain);
            return;
        }
    }
    if (first->record_count > 1) {
        discovery->status = DMARC_SEVERAL;
        error_set(&discovery->reason,
                  "_dmarc.%s has %zu records, and all of them are ignored",
                  first->domain, first->record_count);
        return;
    }
    discovery->status = DMARC_MISSING;
    error_set(&discovery->reason,
              "neither %s nor a domain above it has a "
              "DMARC record",
              first->domain);
}

/* Of p, sp and np; false while it is not known whether the name exists. */
static bool choose_policy(struct dns_inquiry *inquiry, const char *domain,
                          struct dmarc_discovery *discovery)
{
    const struct dmarc_record *record = &discovery->record;
    if (strcmp(discovery->policy_domain, domain) == 0) {
        discovery->policy = record->policy;
        return true;
    }
    discovery->policy = record->subdomain_policy;
    if (record->missing_policy != record->subdomain_policy) {
        const struct dns_answer *answer =
            dns_inquiry_ask(inquiry, DNS_TYPE_A, domain);
        if (answer == NULL) {
            return false;
        }
        if (answer->status == DNS_NO_NAME) {
            discovery->policy = record->missing_policy;
        }
    }
    return true;
}

bool dmarc_discover(struct dns_inquiry *inquiry, const char *domain,
                    struct dmarc_discovery *out_discovery)
{
    struct walk walk;
    *out_discovery = (struct dmarc_discovery){ .status = DMARC_MISSING };
    copy_name(out_discovery->organization, domain);
    if (!can_be_walked(domain)) {
        error_set(&out_discovery->reason, "\"%s\" can have no DMARC record",
                  domain);
        return true;
    }
    if (!walk_up(inquiry, domain, &walk)) {
        return false;
    }
    copy_name(out_discovery->organization, organization_of(&walk));
    out_discovery->query_count = (unsigned)walk.count;
    const struct step *step = policy_step(&walk, out_discovery->organization);
    if (step == NULL) {
        describe_missing(&walk, out_discovery);
        return true;
    }
    copy_name(out_discovery->policy_domain, step->domain);
    out_discovery->text = step->record->text;
    if (!dmarc_read(step->record->text, &out_discovery->record,
                    &out_discovery->reason)) {
        out_discovery->status = DMARC_UNUSABLE;
        return true;
    }
    out_discovery->status = DMARC_FOUND;
    return choose_policy(inquiry, domain, out_discovery);
}

bool dmarc_align(struct dns_inquiry *inquiry, const char *domain,
                 const char *other, bool is_strict, bool *out_is_aligned)
{
    struct walk walk;
    struct walk other_walk;
    *out_is_aligned = strcmp(domain, other) == 0;
    if (*out_is_aligned || is_strict || !can_be_walked(domain) ||
        !can_be_walked(other)) {
        return true;
    }
    bool is_complete = walk_up(inquiry, domain, &walk);
    is_complete &= walk_up(inquiry, other, &other_walk);
    if (is_complete) {
        *out_is_aligned =
            strcmp(organization_of(&walk), organization_of(&other_walk)) == 0;
    }
    return is_complete;
}
