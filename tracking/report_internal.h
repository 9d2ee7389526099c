/* SPDX-License-Identifier: MIT */
/* What the messages that we write ourselves are made of; private to tracking/.
 * What others wrote passes through here: no byte of theirs can end a line,
 * begin a field or make a boundary, and no line is longer than 998 octets. */
#ifndef BATON_TRACKING_REPORT_INTERNAL_H
#define BATON_TRACKING_REPORT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

/* "Name: value", folded; the value may be hostile and long. */
void report_append_field(struct buffer *out, const char *name,
                         const char *value, bool allows_utf8);
/* "Date: Sat, 21 Nov 2026 02:13:02 +0000". */
void report_append_date(struct buffer *out, const char *name, int64_t at);
/* A paragraph for people, all its lines behind this indent. */
void report_append_paragraph(struct buffer *out, const char *indent,
                             const char *opening, const char *text,
                             bool allows_utf8);

#endif
