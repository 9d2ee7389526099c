/* SPDX-License-Identifier: MIT */
/*
 * Message content as it comes off the wire, by DATA or BDAT: finds its true
 * end, takes the dots out, and refuses what is no text of CRLF lines.
 *
 * Content with a fault is still followed to its end, so that nothing of it is
 * ever taken for a command, but no more of it is kept. RFC 5321 2.3.8, 4.5.2.
 */
#ifndef BATON_SMTP_CONTENT_H
#define BATON_SMTP_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

enum content_fault {
    CONTENT_GOOD,
    CONTENT_BARE_CR,
    CONTENT_BARE_LF,
    CONTENT_NUL,
    CONTENT_TOO_LARGE,
};

/* Set with content_start. */
struct content {
    bool has_dots; /* DATA: "." ends it; else the caller counts octets */
    bool is_line_start;
    bool has_pending_cr; /* the last octet was a CR, its LF may follow */
    bool has_8bit;
    enum content_fault fault; /* the first one */
    uint64_t fault_line; /* from 1 */
    uint64_t line_number;
    size_t line_length; /* of the line begun, without CR LF */
    size_t longest_line;
    uint64_t size_bytes; /* kept so far; dots taken out do not count */
    uint64_t size_limit;
};

void content_start(struct content *content, bool has_dots, uint64_t size_limit);
/* Take bytes; what is good goes to *out_data, at most input.length octets of
 * it. Returns how many were used: fewer than given when the content ended
 * (*out_is_end) or when the last one or two may be the beginning of the end and
 * must be shown again with what follows. */
size_t content_scan(struct content *content, struct text input,
                    struct buffer *out_data, bool *out_is_end);
/* The end of counted content: the last line gets its CR LF. */
void content_finish(struct content *content, struct buffer *out_data);

#endif
