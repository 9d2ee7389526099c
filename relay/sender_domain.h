/* SPDX-License-Identifier: MIT */
/*
 * Can a reply reach the sender's domain at all? A domain with a null MX accepts
 * no mail, so nothing may be sent in its name (RFC 7505 4.2, E12). Answers are
 * remembered; DNS that does not answer in time is no reason to refuse.
 */
#ifndef BATON_RELAY_SENDER_DOMAIN_H
#define BATON_RELAY_SENDER_DOMAIN_H

#include <stdbool.h>

#include "core/dns.h"
#include "core/loop.h"

struct sender_domains;
struct sender_domain_check;

/* accepts_mail false: the domain published a null MX. */
typedef void sender_domain_fn(void *owner, bool accepts_mail);

struct sender_domains *sender_domains_create(struct loop *loop,
                                             struct dns_resolver *resolver);
void sender_domains_free(struct sender_domains **domains);

/* What is remembered of a (normalised) domain: true, and *out_accepts_mail is
 * set. False: ask with sender_domain_check_start. */
bool sender_domains_known(const struct sender_domains *domains,
                          const char *domain, bool *out_accepts_mail);
/* The callback runs in a later loop turn, once, unless cancelled. */
struct sender_domain_check *sender_domain_check_start(
    struct sender_domains *domains, const char *domain,
    sender_domain_fn *on_done, void *owner);
void sender_domain_check_cancel(struct sender_domain_check **check);

#endif
