/* SPDX-License-Identifier: MIT */
/*
 * Whether a message's DKIM signatures are right (RFC 6376, 6; 8301; 8463).
 *
 * dkim_verification_open reads the message and digests its body, which takes
 * some 10 ms per megabyte and signature and touches nothing else: a worker does
 * it on its helper thread. What remains for the loop is looking the keys up and
 * one signature each.
 */
#ifndef BATON_DKIM_VERIFIER_H
#define BATON_DKIM_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dns_inquiry.h"
#include "core/error.h"
#include "core/text.h"
#include "dkim/signature_field.h"

/* Signatures beyond these are not looked at (6.1, 8.4). */
#define DKIM_SIGNATURES_MAX 10

/* RFC 8601, 2.7.1 */
enum dkim_result {
    DKIM_PASS,
    DKIM_FAIL, /* body or fields were changed, or it has expired */
    DKIM_NEUTRAL, /* it cannot be read, or its domain is only testing */
    DKIM_TEMPERROR, /* DNS did not answer */
    DKIM_PERMERROR, /* no key, or one that is not believed */
};
const char *dkim_result_text(enum dkim_result result);

struct dkim_verdict {
    enum dkim_result result;
    struct error reason; /* a sentence */
    char domain[DKIM_NAME_SIZE]; /* d=; "" if it cannot be read */
    char selector[DKIM_NAME_SIZE]; /* s= */
    char algorithm[24]; /* a= */
    char identity[321]; /* i=, or "@" and the domain */
    int key_bits; /* 0: no key was found */
    bool is_testing; /* t=y in the key record */
    bool has_length; /* l= is used: what was added behind is not signed */
    size_t unsigned_bytes; /* of the canonical body */
};

struct dkim_verification;

/* Borrows the message, with CRLF line ends, until it is freed. `now` as
 * core/clock.h has it. */
struct dkim_verification *dkim_verification_open(struct text message,
                                                 int64_t now);
void dkim_verification_free(struct dkim_verification **verification);

/* For a function of core/dns_inquiry.h: false while keys are missing. */
bool dkim_verification_run(struct dkim_verification *verification,
                           struct dns_inquiry *inquiry) MUST_USE;

/* In the order of the fields, from the top; 0: the message is not signed. */
size_t dkim_verification_count(const struct dkim_verification *verification);
const struct dkim_verdict *dkim_verification_verdict(
    const struct dkim_verification *verification, size_t i);
/* How many more signatures there are, which were not looked at. */
size_t dkim_verification_skipped(const struct dkim_verification *verification);

/* One signature of a message by the text of its key record. `field` is a whole
 * DKIM-Signature field of it, with its CRLF. */
void dkim_verify_signature(struct text message, struct text field,
                           struct text key_record, int64_t now,
                           struct dkim_verdict *out_verdict);

#endif
