/* SPDX-License-Identifier: MIT */
/* What goes wrong when somebody types a record into a provider's form. */
#include <string.h>

#include "core/memory.h"
#include "relay/domain_check_internal.h"

/* Nobody enters this one. */
#define PROBE_LABEL "baton-asks-for-a-wildcard"

/* Parts of a domain that can be a zone of a provider: more than one label. */
#define ZONES_MAX 4

static size_t list_zones(const char *domain, const char *out_zones[ZONES_MAX])
{
    size_t count = 0;
    const char *zone = domain;
    while (count < ZONES_MAX && strchr(zone, '.') != NULL) {
        out_zones[count++] = zone;
        zone = strchr(zone, '.') + 1;
    }
    return count;
}

/* "b1._domainkey" of "b1._domainkey.example.com" and "example.com". */
static const char *cut_zone(struct inspection *inspection, const char *name,
                            const char *zone)
{
    struct text text = text_of(name);
    size_t length = strlen(zone);
    if (!text_ends_with_ignoring_case(text, zone) || text.length < length + 2) {
        return NULL;
    }
    return arena_copy_text(inspection->arena,
                           text_slice(text, 0, text.length - length - 1));
}

const char *slip_entered_name(struct inspection *inspection, const char *name)
{
    const char *left = cut_zone(inspection, name, inspection->expected->domain);
    return left != NULL ? left : name;
}

/* Whether there is a record of this type, or a CNAME. */
static bool stands_at(struct inspection *inspection, enum dns_type type,
                      const char *name, const char **out_found)
{
    if (strlen(name) > DNS_HOST_MAX) {
        return false;
    }
    const struct dns_answer *alias =
        inspection_ask(inspection, DNS_TYPE_CNAME, name);
    const struct dns_answer *answer = inspection_ask(inspection, type, name);
    *out_found = inspection_show(inspection, alias->count > 0 ? alias : answer);
    return alias->count > 0 || answer->count > 0;
}

static bool find_doubled(struct inspection *inspection, const char *name,
                         enum dns_type type, const char **out_found,
                         const char **out_advice)
{
    const char *zones[ZONES_MAX];
    size_t count = list_zones(inspection->expected->domain, zones);
    bool is_found = false;
    for (size_t i = 0; i < count; i++) {
        const char *found;
        const char *doubled =
            arena_printf(inspection->arena, "%s.%s", name, zones[i]);
        const char *left = cut_zone(inspection, name, zones[i]);
        if (stands_at(inspection, type, doubled, &found) && !is_found) {
            is_found = true;
            *out_found = found;
            *out_advice = arena_printf(
                inspection->arena,
                "The name is doubled: the record stands at %s. Your DNS "
                "provider adds the domain itself: enter only \"%s\" as the "
                "name.",
                doubled, left != NULL ? left : name);
        }
    }
    return is_found;
}

/* The zone is a level above the domain, and only the left part was entered. */
static bool find_too_high(struct inspection *inspection, const char *name,
                          enum dns_type type, const char **out_found,
                          const char **out_advice)
{
    const char *zones[ZONES_MAX];
    size_t count = list_zones(inspection->expected->domain, zones);
    const char *left = cut_zone(inspection, name, inspection->expected->domain);
    bool is_found = false;
    for (size_t i = 1; i < count && left != NULL; i++) {
        const char *found;
        const char *high =
            arena_printf(inspection->arena, "%s.%s", left, zones[i]);
        if (stands_at(inspection, type, high, &found) && !is_found) {
            is_found = true;
            *out_found = found;
            *out_advice = arena_printf(
                inspection->arena,
                "A record stands at %s. If it is meant for %s, it is a level "
                "too high: in the zone %s enter \"%s\" as the name.",
                high, inspection->expected->domain, zones[i],
                cut_zone(inspection, name, zones[i]));
        }
    }
    return is_found;
}

bool slip_explain_missing(struct inspection *inspection, enum dns_type type,
                          struct domain_finding *finding)
{
    const char *found = NULL;
    const char *advice = NULL;
    if (find_doubled(inspection, finding->name, type, &found, &advice)) {
        finding->state = DOMAIN_WRONG;
        finding->found = found;
        finding->advice = advice;
        return true;
    }
    if (find_too_high(inspection, finding->name, type, &found, &advice)) {
        finding->found = found;
        finding->advice = advice;
        return true;
    }
    return false;
}

bool slip_is_completed(const struct inspection *inspection, const char *target,
                       const char *expected)
{
    const char *zones[ZONES_MAX];
    size_t count = list_zones(inspection->expected->domain, zones);
    size_t length = strlen(expected);
    for (size_t i = 0; i < count; i++) {
        if (text_starts_with_ignoring_case(text_of(target), expected) &&
            target[length] == '.' &&
            strcmp(target + length + 1, zones[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool slip_is_txt_for_cname(const struct dns_answer *texts, const char *target)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct text text = text_trim(texts->records.texts[i].text);
        if (text.length > 0 && text.data[text.length - 1] == '.') {
            text.length--;
        }
        if (text_is_ignoring_case(text, target)) {
            return true;
        }
    }
    return false;
}

bool slip_has_quotes(struct text text)
{
    return text_find_byte(text, '"') < text.length ||
           text_find_byte(text, '\\') < text.length;
}

const char *slip_without_quotes(struct inspection *inspection, struct text text)
{
    char *copy = arena_copy_text(inspection->arena, text);
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '"' && text.data[i] != '\\') {
            copy[length++] = text.data[i];
        }
    }
    copy[length] = '\0';
    return copy;
}

bool slip_is_proxied(const struct dns_answer *addresses)
{
    static const char *const ranges[] = { "104.16.0.0/13",  "104.24.0.0/14",
                                          "172.64.0.0/13",  "188.114.96.0/20",
                                          "162.158.0.0/15", "2606:4700::/32",
                                          "2a06:98c0::/29" };
    for (size_t i = 0; i < addresses->count; i++) {
        for (size_t r = 0; r < ARRAY_LENGTH(ranges); r++) {
            struct network_range range;
            struct error error;
            check(network_range_parse(text_of(ranges[r]), &range, &error));
            if (network_range_contains(&range,
                                       &addresses->records.addresses[i])) {
                return true;
            }
        }
    }
    return false;
}

static bool is_same(const struct dns_answer *a, const struct dns_answer *b)
{
    if (a->count != b->count || a->count == 0) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        bool is_found = false;
        for (size_t k = 0; k < b->count; k++) {
            is_found |= a->type == DNS_TYPE_CNAME
                            ? strcmp(a->records.names[i].host,
                                     b->records.names[k].host) == 0
                            : network_address_equal(&a->records.addresses[i],
                                                    &b->records.addresses[k]);
        }
        if (!is_found) {
            return false;
        }
    }
    return true;
}

bool slip_is_wildcard(struct inspection *inspection, const char *name)
{
    static const enum dns_type types[] = { DNS_TYPE_CNAME, DNS_TYPE_A,
                                           DNS_TYPE_AAAA };
    const char *dot = strchr(name, '.');
    bool is_wildcard = false;
    if (dot == NULL || strlen(dot) + sizeof(PROBE_LABEL) > DNS_HOST_MAX) {
        return false;
    }
    const char *probe = arena_printf(inspection->arena, PROBE_LABEL "%s", dot);
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        is_wildcard |= is_same(inspection_ask(inspection, types[i], name),
                               inspection_ask(inspection, types[i], probe));
    }
    return is_wildcard;
}
