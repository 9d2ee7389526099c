/* SPDX-License-Identifier: MIT */
/*
 * The literal conversation of a session, both directions, with times: a text
 * of lines
 *
 *     +0.012 < 250-mx.example
 *     +0.013 > RCPT TO:<a@example>
 *     +0.020 = message of 4210 octets
 *
 * seconds since the transcript's start, '<' received, '>' sent, '=' a remark.
 * The caller passes masked text for secrets. Bounded: past the limit one remark
 * says so and further lines are dropped. Control bytes become '?'.
 */
#ifndef BATON_SMTP_TRANSCRIPT_H
#define BATON_SMTP_TRANSCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

#define TRANSCRIPT_BYTES_MAX (16 * 1024)

struct transcript {
    struct buffer lines;
    int64_t started_at; /* clock_now(), wall clock */
    int64_t started_monotonic;
    bool is_full;
};

void transcript_start(struct transcript *transcript); /* forgets what it has */
void transcript_received(struct transcript *transcript, struct text line);
void transcript_sent(struct transcript *transcript, struct text line);
void transcript_remark(struct transcript *transcript, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void transcript_free(struct transcript *transcript);

#endif
