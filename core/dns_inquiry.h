/* SPDX-License-Identifier: MIT */
/*
 * Questions to DNS that follow from earlier answers, as in SPF or in a walk up
 * the tree. The function that needs them is written as if every answer were at
 * hand, and run again from its beginning when those it missed have come:
 *
 *   static bool find_host(void *owner, struct dns_inquiry *inquiry)
 *   {
 *       const struct dns_answer *mx = dns_inquiry_ask(…, DNS_TYPE_MX, domain);
 *       if (mx == NULL) {
 *           return false;
 *       }
 *       …
 *
 * It must ask the same after the same answers, keep nothing else from an
 * earlier run, and ask all it can before it returns: what is asked in one run
 * is looked up at the same time. It bounds the number of its questions itself.
 */
#ifndef BATON_CORE_DNS_INQUIRY_H
#define BATON_CORE_DNS_INQUIRY_H

#include <stdbool.h>

#include "core/dns.h"
#include "core/loop.h"

struct dns_inquiry;

/* False: answers are missing, and were asked for. True: done, which its owner
 * was told; it is not run again, and the inquiry may be freed already. */
typedef bool dns_inquiry_fn(void *owner, struct dns_inquiry *inquiry);

/* The function runs in a later loop turn for the first time. Without loop and
 * resolver (NULL) nothing is looked up, but dns_inquiry_ask knows what was told
 * before, and of every other name that it does not exist. */
struct dns_inquiry *dns_inquiry_start(struct loop *loop,
                                      struct dns_resolver *resolver,
                                      dns_inquiry_fn *run, void *owner);
/* Forgets all look-ups; nulls the pointer; NULL is accepted. */
void dns_inquiry_free(struct dns_inquiry **inquiry);

/* NULL: not known yet. The answer is valid as long as the inquiry. */
const struct dns_answer *dns_inquiry_ask(struct dns_inquiry *inquiry,
                                         enum dns_type type, const char *name);
/* Keep a copy of an answer, as if it had been asked for. */
void dns_inquiry_tell(struct dns_inquiry *inquiry, const char *name,
                      const struct dns_answer *answer);

#endif
