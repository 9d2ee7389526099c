/* SPDX-License-Identifier: MIT */
/*
 * MX look-up, then the addresses of each exchanger in turn, then one list. The
 * look-ups of one resolution run one after the other: there are few, and the
 * resolver caches.
 */
#include "relay/resolution.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define EXCHANGERS_MAX 16
#define LITERAL_TTL_SECONDS 3600
#define TTL_SECONDS_MIN 5
#define TTL_SECONDS_MAX 1800

struct resolution {
    struct resolution_options options;
    resolution_fn *on_done;
    void *owner;
    char name[DNS_HOST_MAX + 3]; /* domain, literal or host */
    bool is_named_host; /* an operator wrote it: any address will do */
    struct dns_lookup *lookup;

    struct dns_mx exchangers[EXCHANGERS_MAX];
    size_t exchanger_count;
    size_t exchanger_index; /* whose addresses are being looked up */
    bool has_no_mx; /* the domain's own addresses are meant */
    uint32_t ttl_seconds;

    struct smtp_host hosts[RESOLUTION_HOSTS_MAX];
    size_t host_count;
    bool was_temporary; /* some look-up failed for now */
    /* An exchanger whose address we refuse: "mx.example [127.0.0.1]", or "". */
    char refused[DNS_HOST_MAX + NETWORK_TEXT_SIZE + 4];
};

static void report(struct resolution *resolution,
                   const struct smtp_outcome *failure)
{
    struct buffer key = { 0 };
    for (size_t i = 0; i < resolution->exchanger_count; i++) {
        buffer_printf(&key, "%s%s", i == 0 ? "" : ",",
                      resolution->exchangers[i].host);
    }
    buffer_printf(&key, ":%u", resolution->options.port);
    struct resolution_result result = {
        .failure = failure,
        .hosts = resolution->hosts,
        .host_count = resolution->host_count,
        .site_key = key.data,
        .ttl_seconds = resolution->ttl_seconds,
    };
    resolution->on_done(resolution->owner, &result);
    buffer_free(&key);
    memory_free(resolution);
}

__attribute__((format(printf, 4, 5))) static void fail(
    struct resolution *resolution, enum smtp_verdict verdict,
    const char *enhanced, const char *format, ...)
{
    struct smtp_outcome outcome;
    struct buffer sentence = { 0 };
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&sentence, format, arguments);
    va_end(arguments);
    smtp_outcome_decide(&outcome, verdict, SCOPE_SITE, enhanced, "DNS", "%s",
                        sentence.data);
    buffer_free(&sentence);
    report(resolution, &outcome);
}

/* No exchanger gave a usable address: say why. */
static void fail_without_host(struct resolution *resolution)
{
    const char *name = resolution->name;
    if (resolution->refused[0] != '\0') {
        fail(resolution, VERDICT_FAILED, "5.4.6",
             "the mail exchanger of %s is %s, which is not an address on the "
             "internet; set a route if this is meant",
             name, resolution->refused);
    } else if (resolution->was_temporary) {
        fail(resolution, VERDICT_DEFERRED, "4.4.3",
             "the addresses of the mail exchangers of %s cannot be found just "
             "now",
             name);
    } else if (resolution->is_named_host) {
        fail(resolution, VERDICT_DEFERRED, "4.4.3",
             "the next hop %s has no address: correct the route", name);
    } else if (resolution->has_no_mx) {
        fail(resolution, VERDICT_FAILED, "5.4.4",
             "%s has neither a mail exchanger nor an address", name);
    } else {
        fail(resolution, VERDICT_FAILED, "5.4.4",
             "no mail exchanger of %s has an address", name);
    }
}

static bool is_usable(struct resolution *resolution, const char *host,
                      const struct network_address *address)
{
    if (resolution->is_named_host ||
        resolution->options.allow_special_addresses ||
        (!network_address_is_special(address) &&
         !network_address_is_own(address))) {
        return true;
    }
    char text[NETWORK_TEXT_SIZE];
    snprintf(resolution->refused, sizeof(resolution->refused), "%s [%s]", host,
             network_address_text(address, text));
    return false;
}

static void add_host(struct resolution *resolution, const char *name,
                     const struct network_address *address)
{
    if (resolution->host_count == RESOLUTION_HOSTS_MAX ||
        !is_usable(resolution, name, address)) {
        return;
    }
    struct smtp_host *host = &resolution->hosts[resolution->host_count++];
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->address = *address;
    network_address_set_port(&host->address, resolution->options.port);
}

static void look_up_next_exchanger(struct resolution *resolution);

static void on_addresses(void *owner, enum dns_status status,
                         const struct network_address *addresses,
                         size_t address_count, uint32_t ttl_seconds)
{
    struct resolution *resolution = owner;
    resolution->lookup = NULL;
    const char *name = resolution->exchangers[resolution->exchanger_index].host;
    if (status == DNS_TEMPORARY) {
        resolution->was_temporary = true;
    }
    for (size_t i = 0; i < address_count; i++) {
        add_host(resolution, name, &addresses[i]);
    }
    if (status == DNS_FOUND && ttl_seconds < resolution->ttl_seconds) {
        resolution->ttl_seconds = ttl_seconds;
    }
    if (status == DNS_NO_NAME && resolution->has_no_mx) {
        fail(resolution, VERDICT_FAILED, "5.1.2",
             "the domain %s does not exist", resolution->name);
        return;
    }
    resolution->exchanger_index++;
    look_up_next_exchanger(resolution);
}

static void look_up_next_exchanger(struct resolution *resolution)
{
    if (resolution->exchanger_index < resolution->exchanger_count &&
        resolution->host_count < RESOLUTION_HOSTS_MAX) {
        resolution->lookup = dns_lookup_address(
            resolution->options.resolver,
            resolution->exchangers[resolution->exchanger_index].host,
            on_addresses, resolution);
        return;
    }
    if (resolution->host_count == 0) {
        fail_without_host(resolution);
        return;
    }
    if (resolution->ttl_seconds < TTL_SECONDS_MIN) {
        resolution->ttl_seconds = TTL_SECONDS_MIN;
    }
    report(resolution, NULL);
}

static void use_single_host(struct resolution *resolution, const char *host)
{
    snprintf(resolution->exchangers[0].host,
             sizeof(resolution->exchangers[0].host), "%.*s", DNS_HOST_MAX,
             host);
    resolution->exchanger_count = 1;
}

/* RFC 5321 5.1: if we are among the exchangers, we and those of no better
 * preference are not tried. Returns false if nobody is left. */
static bool drop_ourselves(struct resolution *resolution)
{
    const char *own = resolution->options.own_name;
    for (size_t i = 0; i < resolution->exchanger_count; i++) {
        if (!text_is_ignoring_case(text_of(own),
                                   resolution->exchangers[i].host)) {
            continue;
        }
        uint16_t preference = resolution->exchangers[i].preference;
        size_t kept = 0;
        while (kept < resolution->exchanger_count &&
               resolution->exchangers[kept].preference < preference) {
            kept++;
        }
        resolution->exchanger_count = kept;
        return kept > 0;
    }
    return true;
}

static void use_exchangers(struct resolution *resolution,
                           const struct dns_mx *records, size_t record_count)
{
    for (size_t i = 0;
         i < record_count && resolution->exchanger_count < EXCHANGERS_MAX;
         i++) {
        if (records[i].host[0] != '\0') { /* "." among others: no host */
            resolution->exchangers[resolution->exchanger_count++] = records[i];
        }
    }
    if (!drop_ourselves(resolution)) {
        fail(resolution, VERDICT_FAILED, "5.4.6",
             "this server is the best mail exchanger of %s, but has no route "
             "for it",
             resolution->name);
        return;
    }
    look_up_next_exchanger(resolution);
}

static void on_mx(void *owner, enum dns_status status,
                  const struct dns_mx *records, size_t record_count,
                  uint32_t ttl_seconds)
{
    struct resolution *resolution = owner;
    resolution->lookup = NULL;
    resolution->ttl_seconds =
        ttl_seconds > TTL_SECONDS_MAX || status != DNS_FOUND ? TTL_SECONDS_MAX
                                                             : ttl_seconds;
    if (status == DNS_TEMPORARY) {
        fail(resolution, VERDICT_DEFERRED, "4.4.3",
             "the mail exchangers of %s cannot be found just now",
             resolution->name);
    } else if (status == DNS_NO_NAME) {
        fail(resolution, VERDICT_FAILED, "5.1.2",
             "the domain %s does not exist", resolution->name);
    } else if (status == DNS_NO_DATA || record_count == 0) {
        /* No MX at all: the domain itself is the host (S10). */
        resolution->has_no_mx = true;
        use_single_host(resolution, resolution->name);
        look_up_next_exchanger(resolution);
    } else if (record_count == 1 && records[0].host[0] == '\0') {
        fail(resolution, VERDICT_FAILED, "5.1.10",
             "the domain %s accepts no mail (null MX)", resolution->name);
    } else {
        use_exchangers(resolution, records, record_count);
    }
}

static struct resolution *create(const struct resolution_options *options,
                                 const char *name, resolution_fn *on_done,
                                 void *owner)
{
    struct resolution *resolution = memory_alloc(sizeof(*resolution));
    resolution->options = *options;
    resolution->on_done = on_done;
    resolution->owner = owner;
    resolution->ttl_seconds = TTL_SECONDS_MAX;
    snprintf(resolution->name, sizeof(resolution->name), "%s", name);
    return resolution;
}

static void finish_without_lookup(void *owner)
{
    struct resolution *resolution = owner;
    if (resolution->host_count == 0) {
        fail_without_host(resolution);
    } else {
        report(resolution, NULL);
    }
}

/* "[203.0.113.9]" and "[ipv6:2001:db8::1]" need no look-up. */
static void use_literal(struct resolution *resolution)
{
    struct text literal = text_of(resolution->name);
    struct network_address address;
    literal = text_slice(literal, 1, literal.length - 1);
    if (text_starts_with_ignoring_case(literal, "ipv6:")) {
        literal = text_slice(literal, 5, literal.length);
    }
    use_single_host(resolution, resolution->name);
    resolution->ttl_seconds = LITERAL_TTL_SECONDS;
    if (network_address_parse(literal, 0, &address)) {
        add_host(resolution, resolution->name, &address);
    }
    loop_post(resolution->options.loop, finish_without_lookup, resolution);
}

struct resolution *resolution_of_domain(
    const struct resolution_options *options, const char *domain,
    resolution_fn *on_done, void *owner)
{
    struct resolution *resolution = create(options, domain, on_done, owner);
    if (domain[0] == '[') {
        use_literal(resolution);
    } else {
        resolution->lookup =
            dns_lookup_mx(options->resolver, domain, on_mx, resolution);
    }
    return resolution;
}

struct resolution *resolution_of_host(const struct resolution_options *options,
                                      const char *host, resolution_fn *on_done,
                                      void *owner)
{
    struct resolution *resolution = create(options, host, on_done, owner);
    struct network_address address;
    resolution->is_named_host = true;
    use_single_host(resolution, host);
    if (network_address_parse(text_of(host), 0, &address)) {
        resolution->ttl_seconds = LITERAL_TTL_SECONDS;
        add_host(resolution, host, &address);
        loop_post(options->loop, finish_without_lookup, resolution);
    } else {
        look_up_next_exchanger(resolution);
    }
    return resolution;
}

void resolution_cancel(struct resolution **resolution)
{
    if (*resolution != NULL) {
        dns_cancel(&(*resolution)->lookup);
        loop_cancel_posts((*resolution)->options.loop, *resolution);
        memory_free(*resolution);
        *resolution = NULL;
    }
}
