/* SPDX-License-Identifier: MIT */
#include "relay/sender_domain.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/map.h"
#include "core/memory.h"

#define REMEMBERED_MAX 10000
#define REMEMBER_SPAN (5 * 60 * CLOCK_SECOND)
#define WAIT_MILLISECONDS 2000

struct remembered_domain {
    bool accepts_mail;
    int64_t until_monotonic;
};

struct sender_domains {
    struct loop *loop;
    struct dns_resolver *resolver;
    struct map *remembered;
};

struct sender_domain_check {
    struct sender_domains *domains;
    char domain[DNS_HOST_MAX + 1];
    struct dns_lookup *lookup;
    struct timer patience;
    sender_domain_fn *on_done;
    void *owner;
};

static void forget_all(struct sender_domains *domains)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(domains->remembered, &position, &key, &value)) {
        map_remove(domains->remembered, key);
        memory_free(value);
    }
}

static void remember(struct sender_domains *domains, const char *domain,
                     bool accepts_mail)
{
    struct remembered_domain *remembered =
        map_get(domains->remembered, text_of(domain));
    if (remembered == NULL) {
        if (map_count(domains->remembered) >= REMEMBERED_MAX) {
            forget_all(domains);
        }
        remembered = memory_alloc(sizeof(*remembered));
        map_set(domains->remembered, text_of(domain), remembered);
    }
    remembered->accepts_mail = accepts_mail;
    remembered->until_monotonic = clock_monotonic() + REMEMBER_SPAN;
}

static void finish(struct sender_domain_check *check, bool accepts_mail)
{
    remember(check->domains, check->domain, accepts_mail);
    timer_stop(&check->patience);
    dns_cancel(&check->lookup);
    check->on_done(check->owner, accepts_mail);
    memory_free(check);
}

static void on_mx(void *owner, enum dns_status status,
                  const struct dns_mx *records, size_t record_count,
                  uint32_t ttl_seconds)
{
    struct sender_domain_check *check = owner;
    (void)ttl_seconds;
    check->lookup = NULL;
    bool is_null_mx =
        status == DNS_FOUND && record_count == 1 && records[0].host[0] == '\0';
    finish(check, !is_null_mx);
}

static void on_patience_end(void *owner)
{
    finish(owner, true);
}

struct sender_domains *sender_domains_create(struct loop *loop,
                                             struct dns_resolver *resolver)
{
    struct sender_domains *domains = memory_alloc(sizeof(*domains));
    domains->loop = loop;
    domains->resolver = resolver;
    domains->remembered = map_create();
    return domains;
}

void sender_domains_free(struct sender_domains **domains)
{
    if (*domains != NULL) {
        forget_all(*domains);
        map_free(&(*domains)->remembered);
        memory_free(*domains);
        *domains = NULL;
    }
}

bool sender_domains_known(const struct sender_domains *domains,
                          const char *domain, bool *out_accepts_mail)
{
    const struct remembered_domain *remembered =
        map_get(domains->remembered, text_of(domain));
    if (domain[0] == '\0' || domain[0] == '[') { /* null sender, literal */
        *out_accepts_mail = true;
        return true;
    }
    if (remembered == NULL ||
        clock_monotonic() >= remembered->until_monotonic) {
        return false;
    }
    *out_accepts_mail = remembered->accepts_mail;
    return true;
}

struct sender_domain_check *sender_domain_check_start(
    struct sender_domains *domains, const char *domain,
    sender_domain_fn *on_done, void *owner)
{
    struct sender_domain_check *check = memory_alloc(sizeof(*check));
    check->domains = domains;
    check->on_done = on_done;
    check->owner = owner;
    snprintf(check->domain, sizeof(check->domain), "%s", domain);
    check->lookup = dns_lookup_mx(domains->resolver, domain, on_mx, check);
    timer_start(&check->patience, domains->loop,
                WAIT_MILLISECONDS * clock_rate(), on_patience_end, check);
    return check;
}

void sender_domain_check_cancel(struct sender_domain_check **check)
{
    if (*check != NULL) {
        timer_stop(&(*check)->patience);
        dns_cancel(&(*check)->lookup);
        memory_free(*check);
        *check = NULL;
    }
}
