/* SPDX-License-Identifier: MIT */
/*
 * A message that came back to us, taken apart for those who read reports: what
 * it says to people, its machine-readable parts, and what it returns of the
 * message it is about.
 *
 * Anything is accepted: mbox lines on top, bare line feeds, headers and MIME
 * structure that are broken or nested beyond bounds (then it is one text).
 * Cost is linear; all memory is the arena's, a small multiple of the message.
 */
#ifndef BATON_TRACKING_INCOMING_H
#define BATON_TRACKING_INCOMING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/header.h"

/* Octets of a message that are read, of its notification that are kept, of its
 * machine-readable part, and of a returned header. */
#define INCOMING_MESSAGE_MAX (8U * 1024 * 1024)
#define INCOMING_TEXT_MAX (64U * 1024)
#define INCOMING_REPORT_MAX (256U * 1024)
#define INCOMING_HEADER_MAX (256U * 1024)

/* What is returned of a message. Empty and "" where nothing is. */
struct incoming_returned {
    struct text message; /* all of it */
    struct text header; /* its fields, as they are, CRLF lines */
    struct text body; /* what is there of it */
    const char *message_id; /* "<a@b>" */
    const char *envelope_sender; /* of its Return-Path; no angle brackets */
    const char *from; /* the first address of each */
    const char *to;
};

struct incoming {
    struct text header; /* of the message itself */
    struct text notification; /* for people: UTF-8, no HTML, LF lines */
    struct text status; /* message/delivery-status, decoded */
    struct text feedback; /* message/feedback-report, decoded */
    struct text disposition; /* message/disposition-notification, decoded */
    struct incoming_returned returned;
};

void incoming_read(struct text bytes, struct arena *arena,
                   struct incoming *out_incoming);

/* The first field of this name (any case) in a header: unfolded, encoded words
 * decoded, trimmed; "" if there is none. A NUL in it is a SUBSTITUTE. */
const char *incoming_field(struct arena *arena, struct text header,
                           const char *name);

/* Take the next field off lines that need not be a sound header; lines that
 * are none are passed over. False at the end or at an empty line, which is
 * taken. */
bool incoming_next_field(struct text *lines, struct header_field *out_field);

#endif
