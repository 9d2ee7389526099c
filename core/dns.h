/* SPDX-License-Identifier: MIT */
/*
 * DNS on the loop, through libunbound: mail exchangers, addresses, texts and
 * names, with a deadline per look-up. One resolver a worker, made after fork.
 */
#ifndef BATON_CORE_DNS_H
#define BATON_CORE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/loop.h"
#include "core/network.h"
#include "core/text.h"

struct dns_resolver;
struct dns_lookup;

struct dns_options {
    /* "127.0.0.1@5353 10.0.0.1", blank-separated; empty: the system's
     * /etc/resolv.conf; "recursive": ask the root servers ourselves. */
    const char *servers;
    int timeout_milliseconds; /* per look-up; 0: 10000 */
};

struct dns_resolver *dns_resolver_create(struct loop *loop,
                                         const struct dns_options *options,
                                         struct error *error) MUST_USE;
void dns_resolver_free(struct dns_resolver **resolver);

enum dns_status {
    DNS_FOUND,
    DNS_NO_NAME, /* NXDOMAIN */
    DNS_NO_DATA, /* the name exists, such records do not */
    DNS_TEMPORARY, /* SERVFAIL, time-out, bogus DNSSEC */
};
const char *dns_status_text(enum dns_status status);

#define DNS_HOST_MAX 253
struct dns_mx {
    uint16_t preference;
    char host[DNS_HOST_MAX + 1]; /* lower case, no final dot; "" is the root */
};

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
};

struct dns_txt { /* one record */
    struct text text; /* its strings, joined (RFC 7208, 3.3); any bytes */
    size_t string_count;
};

struct dns_name {
    char host[DNS_HOST_MAX + 1]; /* as that of dns_mx */
};

/* What a name has of one type. */
struct dns_answer {
    enum dns_type type;
    enum dns_status status;
    uint32_t ttl_seconds;
    size_t count; /* of the records that the type says */
    union {
        const struct network_address *addresses; /* A or AAAA */
        const struct dns_name *names; /* CNAME, PTR */
        const struct dns_mx *exchangers; /* MX, in no order */
        const struct dns_txt *texts; /* TXT */
    } records;
};

/* The answer is valid during the callback only. MX records are sorted by
 * preference, equal ones shuffled (S10). */
typedef void dns_mx_fn(void *owner, enum dns_status status,
                       const struct dns_mx *records, size_t record_count,
                       uint32_t ttl_seconds);
/* A and AAAA together, port 0, IPv6 and IPv4 alternating; DNS_TEMPORARY only
 * if neither query gave an address and one of them failed for now. */
typedef void dns_address_fn(void *owner, enum dns_status status,
                            const struct network_address *addresses,
                            size_t address_count, uint32_t ttl_seconds);

/* The answer is valid during the callback only. */
typedef void dns_answer_fn(void *owner, const struct dns_answer *answer);

/* The callback runs in a later loop turn, once, unless cancelled. */
struct dns_lookup *dns_lookup_mx(struct dns_resolver *resolver,
                                 const char *domain, dns_mx_fn *on_done,
                                 void *owner);
struct dns_lookup *dns_lookup_address(struct dns_resolver *resolver,
                                      const char *host, dns_address_fn *on_done,
                                      void *owner);
/* Records of one type. CNAMEs on the way are followed, except when they are
 * asked for: then the name's own is the answer. */
struct dns_lookup *dns_lookup_records(struct dns_resolver *resolver,
                                      enum dns_type type, const char *name,
                                      dns_answer_fn *on_done, void *owner);
/* Forget a look-up and null the pointer; NULL is accepted. Call it only before
 * its callback ran: the callback ends the look-up by itself. */
void dns_cancel(struct dns_lookup **lookup);

#endif
