/* SPDX-License-Identifier: MIT */
/*
 * Two pure functions: what a message needs at its acceptance, and the copy that
 * goes on the wire.
 *
 * compose_inspect looks at a submitted message once: lawful or not, and which
 * fields are to be added on top. compose_copy makes the copy for the wire out
 * of spans of the stored message: same input, same bytes.
 */
#ifndef BATON_TRACKING_COMPOSE_H
#define BATON_TRACKING_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/error.h"
#include "core/text.h"

struct compose_input {
    struct text message; /* CRLF lines, no bare CR or LF, no NUL */
    bool is_smtputf8;
    int64_t received_at;
    int64_t message_id; /* for a Message-ID that is missing */
    const char *hostname;
};

struct compose_facts {
    /* The From addresses ("local@domain", in the arena), Sender included last
     * if there is one. */
    char **from_addresses;
    size_t from_count;
    const char *subject; /* unfolded, as written; "" if there is none */
    const char *internet_message_id; /* the Message-ID value, ours if added */
    size_t received_count; /* Received fields: the loop check (S14) */
    /* "Date: …\r\nMessage-ID: …\r\n" for what was missing (F1), or "". */
    const char *added_fields;
    bool has_8bit_body;
    bool needs_conversion; /* a body line over 998 octets (S7) */
};

/* A refusal to be said in the dialogue. */
struct compose_refusal {
    int code; /* 550, 552, 554 */
    char enhanced[8]; /* "5.6.0" */
    struct error reason; /* the sentence behind the codes */
};

/* False: *out_refusal says why the message is not lawful: F2 (From, Subject …
 * missing or twice), F4 (8-bit header without SMTPUTF8), F13 (depth, parts,
 * header size), malformed header. Results lie in the arena. */
bool compose_inspect(const struct compose_input *input, struct arena *arena,
                     struct compose_facts *out_facts,
                     struct compose_refusal *out_refusal) MUST_USE;

/* The copy for the wire, as pieces in the arena that point into `trace` and
 * `message`: trace (Received and added fields), then the message without Bcc
 * (F3), Resent-Bcc and Return-Path. If a part has a line over 998 octets (S7),
 * that part is re-encoded into the arena; everything else is untouched.
 * `trace` and `message` must outlive the pieces. */
bool compose_copy(struct text trace, struct text message, struct arena *arena,
                  struct text **out_pieces, size_t *out_piece_count,
                  struct error *error) MUST_USE;

/* As compose_copy, and body parts with 8-bit bytes are encoded too, for a next
 * hop without 8BITMIME (E4). False as well when that cannot be done: 8-bit
 * bytes in a header, in a signed part, in an attached message. */
bool compose_copy_7bit(struct text trace, struct text message,
                       struct arena *arena, struct text **out_pieces,
                       size_t *out_piece_count, struct error *error) MUST_USE;

extern const struct setting tracking_settings[];
extern const size_t tracking_setting_count;

#endif
