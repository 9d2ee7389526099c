/* SPDX-License-Identifier: MIT */
#include "relay/destination.h"

#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "relay/relay_settings.h"
#include "relay/resolution.h"
#include "relay/route_target.h"

/* How long a failure for now is remembered, so that a burst of deliveries asks
 * DNS once. */
/* A target that stands for a domain, too: no domain has a colon. */
#define SANDBOX "sandbox:"
/* Before the address of an inbound route, or of who has none any more. */
#define INBOUND "inbound:"
#define FAILURE_SECONDS 10
#define LOCAL_ROUTE_SECONDS 3600

struct destination {
    struct destinations *owner;
    char domain[ADDRESS_TEXT_MAX + sizeof(INBOUND)];
    struct list waiting; /* deliveries, while it is being looked up */
    struct resolution *resolution;
    struct site *site; /* or NULL: failure says why */
    struct smtp_outcome failure;
    int64_t valid_until_monotonic;
    bool is_overtaken; /* routes changed while it was being looked up */
    /* How its site is to be made. */
    struct route_target target;
    bool has_target;
    char route_key[600]; /* the site's name, for people */
};

struct destinations {
    struct destinations_options options;
    const struct directory *directory;
    struct map *by_domain; /* struct destination */
    struct map *sites; /* struct site, by all that makes it (site_identity) */
    size_t worker_count; /* alive, on all nodes */
    size_t rank; /* ours among them, from 0 */
};

/* -- sites -- */

/* What does not divide goes to the first ranks. Everybody has one: a worker
 * without any could not deliver what it has in hand. */
static size_t connections_of_worker(const struct destinations *destinations)
{
    size_t whole = (size_t)relay_settings_now()->connections_per_site;
    size_t part = whole / destinations->worker_count;
    if (destinations->rank < whole % destinations->worker_count) {
        part++;
    }
    return part > 0 ? part : 1;
}

static double rate_of_worker(const struct destinations *destinations)
{
    return (double)relay_settings_now()->messages_per_second_per_site /
           (double)destinations->worker_count;
}

void destinations_set_share(struct destinations *destinations,
                            size_t worker_count, size_t rank)
{
    size_t position = 0;
    void *site = NULL;
    destinations->worker_count = worker_count > 0 ? worker_count : 1;
    destinations->rank = rank;
    while (map_next(destinations->sites, &position, NULL, &site)) {
        site_set_limits(site, connections_of_worker(destinations),
                        rate_of_worker(destinations));
    }
}

static struct site *make_site(struct destinations *destinations,
                              const struct destination *destination,
                              const char *key)
{
    const struct relay_settings_values *settings = relay_settings_now();
    const struct route_target *target = &destination->target;
    struct site_options options = {
        .kind = SITE_SMTP,
        .key = key,
        .tls = CLIENT_TLS_OPPORTUNISTIC,
        .hostname = settings->hostname,
        .tls_any = destinations->options.tls_any,
        .tls_verified = destinations->options.tls_verified,
        .signing = destinations->options.signing,
        .connections_max = connections_of_worker(destinations),
        .messages_per_second = rate_of_worker(destinations),
    };
    if (destination->has_target) {
        options.kind = target->kind == ROUTE_SANDBOX   ? SITE_SANDBOX
                       : target->kind == ROUTE_DISCARD ? SITE_DISCARD
                                                       : SITE_SMTP;
        options.tls = target->tls;
        options.user = target->user[0] != '\0' ? target->user : NULL;
        options.password = target->password;
    }
    return site_create(destinations->options.loop, &options,
                       destinations->options.site_handler,
                       destinations->options.owner);
}

/* What tells one site from another: its name, and of a route also how it logs
 * in and how it encrypts, so that a changed password is a new site and no route
 * travels under another one's TLS. */
static void site_identity(const struct destination *destination,
                          const char *key, struct buffer *out_identity)
{
    const struct route_target *target = &destination->target;
    buffer_append_string(out_identity, key);
    if (destination->has_target) {
        buffer_printf(out_identity, "\n%d\n%s", (int)target->tls,
                      target->password);
    }
}

static struct site *site_of_key(struct destinations *destinations,
                                const struct destination *destination,
                                const char *key)
{
    struct buffer identity = { 0 };
    site_identity(destination, key, &identity);
    struct site *site = map_get(destinations->sites, buffer_text(&identity));
    if (site == NULL) {
        site = make_site(destinations, destination, key);
        map_set(destinations->sites, buffer_text(&identity), site);
    }
    buffer_free(&identity);
    return site;
}

/* -- destinations -- */

static void hand_on(struct destination *destination, struct delivery *delivery)
{
    struct destinations *destinations = destination->owner;
    const struct destinations_handler *handler = destinations->options.handler;
    if (destination->site != NULL) {
        handler->on_routed(destinations->options.owner, delivery,
                           destination->site);
    } else {
        handler->on_unroutable(destinations->options.owner, delivery,
                               &destination->failure);
    }
}

static void hand_on_waiting(struct destination *destination)
{
    struct list_link *link;
    while ((link = list_take_first(&destination->waiting)) != NULL) {
        hand_on(destination, LIST_ITEM(link, struct delivery, link));
    }
}

static void keep_for(struct destination *destination, uint32_t seconds)
{
    destination->valid_until_monotonic =
        clock_monotonic() + (int64_t)seconds * CLOCK_SECOND;
}

static void on_resolved(void *owner, const struct resolution_result *result)
{
    struct destination *destination = owner;
    destination->resolution = NULL;
    if (result->failure != NULL) {
        destination->site = NULL;
        destination->failure = *result->failure;
        keep_for(destination, FAILURE_SECONDS);
    } else {
        const char *key =
            destination->has_target ? destination->route_key : result->site_key;
        destination->site = site_of_key(destination->owner, destination, key);
        site_set_hosts(destination->site, result->hosts, result->host_count);
        keep_for(destination, result->ttl_seconds);
    }
    if (destination->is_overtaken) {
        destination->valid_until_monotonic = 0;
    }
    hand_on_waiting(destination);
}

static void look_up(struct destination *destination)
{
    struct destinations *destinations = destination->owner;
    const struct relay_settings_values *settings = relay_settings_now();
    struct resolution_options options = {
        .loop = destinations->options.loop,
        .resolver = destinations->options.resolver,
        .own_name = settings->hostname,
        .port = (uint16_t)settings->mx_port,
        .allow_special_addresses = settings->allow_special_addresses,
    };
    if (!destination->has_target) {
        destination->resolution = resolution_of_domain(
            &options, destination->domain, on_resolved, destination);
        return;
    }
    options.port = destination->target.port;
    destination->resolution = resolution_of_host(
        &options, destination->target.host, on_resolved, destination);
}

static bool is_inbound(const struct destination *destination)
{
    return text_starts_with_ignoring_case(text_of(destination->domain),
                                          INBOUND);
}

/* The inbound route of an address; NULL: it was removed. */
static const struct directory_inbound_route *find_inbound_route(
    const struct directory *directory, const char *address)
{
    const char *at = strrchr(address, '@');
    char local[ADDRESS_TEXT_MAX + 1];
    if (directory == NULL || at == NULL) {
        return NULL;
    }
    snprintf(local, sizeof(local), "%.*s", (int)(at - address), address);
    return directory_inbound_route(directory, local, at + 1);
}

static const char *find_inbound_target(const struct destination *destination)
{
    const struct directory_inbound_route *route = find_inbound_route(
        destination->owner->directory, destination->domain + strlen(INBOUND));
    return route != NULL ? route->target : NULL;
}

/* The route of a domain; of sandboxed messages, the sandbox. */
static const char *find_target(const struct destination *destination)
{
    const struct directory *directory = destination->owner->directory;
    if (strcmp(destination->domain, SANDBOX) == 0) {
        return SANDBOX;
    }
    if (is_inbound(destination)) {
        return find_inbound_target(destination);
    }
    const struct directory_route *route =
        directory == NULL ? NULL
                          : directory_route(directory, destination->domain);
    return route != NULL ? route->target : NULL;
}

/* Read the route, if there is one. False: it cannot be understood. */
static bool use_route(struct destination *destination)
{
    const char *target = find_target(destination);
    destination->has_target = target != NULL;
    if (target == NULL && is_inbound(destination)) {
        smtp_outcome_decide(&destination->failure, VERDICT_DEFERRED, SCOPE_SITE,
                            "4.3.5", "route",
                            "the inbound route for %s was removed",
                            destination->domain + strlen(INBOUND));
        return false;
    }
    if (target == NULL) {
        return true;
    }
    struct error error;
    if (!route_target_parse(target, &destination->target, &error)) {
        smtp_outcome_decide(&destination->failure, VERDICT_DEFERRED, SCOPE_SITE,
                            "4.3.5", "route",
                            "the route for %s is not understood: %s",
                            destination->domain, error.text);
        return false;
    }
    snprintf(destination->route_key, sizeof(destination->route_key),
             "route:%s:%u%s%s", destination->target.host,
             destination->target.port,
             destination->target.user[0] != '\0' ? "@" : "",
             destination->target.user);
    if (destination->target.kind != ROUTE_SMTP) {
        snprintf(destination->route_key, sizeof(destination->route_key),
                 "route:%s", target);
    }
    return true;
}

static void begin(struct destination *destination)
{
    destination->site = NULL;
    destination->is_overtaken = false;
    if (!use_route(destination)) {
        keep_for(destination, FAILURE_SECONDS);
    } else if (destination->has_target &&
               destination->target.kind != ROUTE_SMTP) {
        destination->site = site_of_key(destination->owner, destination,
                                        destination->route_key);
        keep_for(destination, LOCAL_ROUTE_SECONDS);
    } else {
        look_up(destination);
    }
}

static struct destination *destination_of(struct destinations *destinations,
                                          const char *domain)
{
    struct destination *destination =
        map_get(destinations->by_domain, text_of(domain));
    if (destination == NULL) {
        destination = memory_alloc(sizeof(*destination));
        destination->owner = destinations;
        snprintf(destination->domain, sizeof(destination->domain), "%s",
                 domain);
        map_set(destinations->by_domain, text_of(domain), destination);
    }
    return destination;
}

/* What its destination is known by: for an inbound route, that route's
 * address. */
static void name_destination(const struct destinations *destinations,
                             const struct delivery *delivery,
                             struct buffer *out_name)
{
    if (delivery->message->is_sandboxed) {
        buffer_append_string(out_name, SANDBOX);
    } else if (delivery->message->policy->is_inbound) {
        const char *at = strrchr(delivery->recipient, '@');
        size_t local_length =
            at != NULL ? (size_t)(at - delivery->recipient) : 0;
        buffer_printf(out_name, INBOUND "%.*s@%s", (int)local_length,
                      delivery->recipient, delivery->domain);
        const struct directory_inbound_route *route = find_inbound_route(
            destinations->directory, out_name->data + strlen(INBOUND));
        if (route != NULL) {
            buffer_clear(out_name);
            buffer_printf(out_name, INBOUND "%s", route->address);
        }
    } else {
        buffer_append_string(out_name, delivery->domain);
    }
}

void destinations_route(struct destinations *destinations,
                        struct delivery *delivery)
{
    struct buffer name = { 0 };
    name_destination(destinations, delivery, &name);
    struct destination *destination = destination_of(destinations, name.data);
    buffer_free(&name);
    if (destination->resolution == NULL &&
        clock_monotonic() >= destination->valid_until_monotonic) {
        begin(destination);
    }
    if (destination->resolution != NULL) {
        list_append(&destination->waiting, &delivery->link);
    } else {
        hand_on(destination, delivery);
    }
}

struct destinations *destinations_create(
    const struct destinations_options *options)
{
    struct destinations *destinations = memory_alloc(sizeof(*destinations));
    destinations->options = *options;
    destinations->by_domain = map_create();
    destinations->sites = map_create();
    destinations->worker_count = 1;
    return destinations;
}

static void free_destination(struct destination *destination)
{
    map_remove(destination->owner->by_domain, text_of(destination->domain));
    resolution_cancel(&destination->resolution);
    memory_free(destination);
}

void destinations_free(struct destinations **destinations_pointer)
{
    struct destinations *destinations = *destinations_pointer;
    size_t position = 0;
    void *value = NULL;
    *destinations_pointer = NULL;
    while (map_next(destinations->by_domain, &position, NULL, &value)) {
        free_destination(value);
    }
    position = 0;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        struct site *site = value;
        site_free(&site);
    }
    map_free(&destinations->by_domain);
    map_free(&destinations->sites);
    memory_free(destinations);
}

void destinations_set_directory(struct destinations *destinations,
                                const struct directory *directory)
{
    size_t position = 0;
    void *value = NULL;
    destinations->directory = directory;
    while (map_next(destinations->by_domain, &position, NULL, &value)) {
        struct destination *destination = value;
        destination->valid_until_monotonic = 0;
        destination->is_overtaken = true;
    }
}

void destinations_recall_all(struct destinations *destinations)
{
    size_t position = 0;
    void *value = NULL;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        site_recall(value);
    }
}

void destinations_wake_all(struct destinations *destinations)
{
    size_t position = 0;
    void *value = NULL;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        site_wake(value);
    }
}

void destinations_forgive_all(struct destinations *destinations)
{
    size_t position = 0;
    void *value = NULL;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        site_forgive(value);
    }
    destinations_set_directory(destinations, destinations->directory);
}

void destinations_each_site(struct destinations *destinations,
                            void (*visit)(void *owner, const struct site *),
                            void *owner)
{
    size_t position = 0;
    void *value = NULL;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        visit(owner, value);
    }
}

size_t destinations_busy_count(const struct destinations *destinations)
{
    size_t position = 0;
    size_t count = 0;
    void *value = NULL;
    while (map_next(destinations->sites, &position, NULL, &value)) {
        count += site_busy_count(value);
    }
    return count;
}

static bool is_outdated(const struct destination *destination)
{
    return destination->resolution == NULL &&
           clock_monotonic() >= destination->valid_until_monotonic;
}

/* A site as the key of a map. */
static struct text text_of_pointer(struct site *const *site)
{
    return (struct text){ (const char *)site, sizeof(*site) };
}

/* Outdated destinations go; then sites go that no destination names and where
 * nothing waits or is open. */
void destinations_tidy(struct destinations *destinations)
{
    struct map *named = map_create();
    size_t position = 0;
    void *value = NULL;
    while (map_next(destinations->by_domain, &position, NULL, &value)) {
        struct destination *destination = value;
        if (is_outdated(destination)) {
            free_destination(destination);
        } else if (destination->site != NULL) {
            map_set(named, text_of_pointer(&destination->site),
                    destination->site);
        }
    }
    position = 0;
    struct text identity;
    while (map_next(destinations->sites, &position, &identity, &value)) {
        struct site *site = value;
        if (site_is_idle(site) &&
            map_get(named, text_of_pointer(&site)) == NULL) {
            map_remove(destinations->sites, identity);
            site_free(&site);
        }
    }
    map_free(&named);
}
