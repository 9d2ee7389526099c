/* SPDX-License-Identifier: MIT */
/*
 * A digest: one message that tells of many failures, in plain text. Like all
 * our notices it is auto-generated (RFC 3834) and goes out with the null
 * sender.
 */
#ifndef BATON_TRACKING_NOTICE_DIGEST_H
#define BATON_TRACKING_NOTICE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

struct digest_count {
    const char *name; /* a class or a domain */
    int64_t count;
};

struct digest_failure {
    int64_t occurred_at;
    const char *recipient;
    const char *class;
    const char *reply; /* literal, or what happened instead of one */
    int64_t message_id;
    const char *subject; /* "" if it is not known */
};

struct digest_input {
    const char *hostname; /* the From domain */
    const char *to;
    const char *account; /* its name */
    const char *query; /* SQL that lists all failures */
    int64_t made_at;
    int64_t message_id; /* of the digest itself, for its Message-ID */
    int64_t first_at; /* the first and the last failure */
    int64_t last_at;
    int64_t failure_count; /* all of them */
    int64_t domain_count;
    const struct digest_count *classes; /* all of them */
    size_t class_count;
    const struct digest_count *domains; /* those with the most failures */
    size_t listed_domain_count;
    const struct digest_failure *failures; /* the first of them */
    size_t listed_count;
};

/* Append the whole message, CRLF lines, at most 998 octets each: text/plain in
 * UTF-8, 8bit. What is not listed is counted, with a query that lists it. */
void notice_digest_write(const struct digest_input *input,
                         struct buffer *out_message);

#endif
