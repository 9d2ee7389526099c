/* SPDX-License-Identifier: MIT */
/*
 * Pure functions: what a message needs at its acceptance, and the copies that
 * go on the wire.
 *
 * compose_inspect looks at a submitted message once: lawful or not, what its
 * control fields say, and which fields are to be added on top.
 * compose_plan_make reads it once for delivery; compose_copy makes one
 * recipient's copy out of spans of the stored message: same input, same bytes.
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
#include "tracking/control.h"
#include "tracking/policy.h"
#include "tracking/token.h"

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
    struct control control; /* what the control fields say */
    const char *subject_group; /* "{Group}" of the Subject; NULL: none */
};

/* A refusal to be said in the dialogue. */
struct compose_refusal {
    int code; /* 550, 552, 554 */
    char enhanced[8]; /* "5.6.0" */
    struct error reason; /* the sentence behind the codes */
};

/* False: *out_refusal says why the message is not lawful: F2 (From, Subject …
 * missing or twice), F4 (8-bit header without SMTPUTF8), F13 (depth, parts,
 * header size), malformed header, a malformed control field. `subject` is
 * without the group. Results lie in the arena. */
bool compose_inspect(const struct compose_input *input, struct arena *arena,
                     struct compose_facts *out_facts,
                     struct compose_refusal *out_refusal) MUST_USE;

/* S14 alone, for mail that is taken as it is: false when the message has more
 * Received fields than [limits] allow, which *out_refusal says. */
bool compose_check_loop(struct text message,
                        struct compose_refusal *out_refusal) MUST_USE;

/* Its header ends where a header ends: a copy can be made of it. */
bool compose_check_header(struct text message,
                          struct compose_refusal *out_refusal) MUST_USE;

/* What copies are made of. All of it must outlive the plan. */
struct compose_source {
    struct text trace; /* goes on top: Received and added fields */
    struct text message; /* as stored */
    int64_t account_id;
    const struct policy *policy;
    const struct token_keys *keys; /* NULL: nothing can be tracked */
    bool to_7bit; /* E4: for a next hop without 8BITMIME */
};

/* A message, read once: where its copies differ from it and from each other.
 * Lives in the arena. */
struct compose_plan;

/* Read the message and plan its copies. Cost is linear in its size. False: it
 * cannot be copied (8-bit bytes in a header, a signed part or an attached
 * message with to_7bit; stored without inspection). */
bool compose_plan_make(const struct compose_source *borrowed_source,
                       struct arena *arena, struct compose_plan **out_plan,
                       struct error *error) MUST_USE;

/* No recipient's copy differs from another's: one copy serves all. */
bool compose_plan_is_shared(const struct compose_plan *plan);

struct compose_recipient {
    int64_t delivery_id;
    const char *address;
};

/* The copy for one recipient, as pieces in the arena that point into trace,
 * message, plan and arena: the trace, then the message without Bcc (F3),
 * Resent-Bcc, Return-Path and control fields, edited as the policy says. What
 * is added to the header (List-Unsubscribe …) stands at its end. Same input,
 * same bytes. */
void compose_copy(const struct compose_plan *plan,
                  const struct compose_recipient *recipient,
                  struct arena *arena, struct text **out_pieces,
                  size_t *out_piece_count);

/* What differs between the message and a recipient's copy, in order, for
 * people: texts are decoded (transfer encoding, charset), in the arena. */
struct compose_edit {
    const char *what; /* "link", "pixel", "unsubscribe", "header removed",
                         "header added", "header changed", "opt-out removed",
                         "part re-encoded", "part added", "left alone" … */
    size_t part; /* index into the MIME parts, 0 the message itself */
    const char *before; /* "" */
    const char *after; /* "" */
};
void compose_describe(const struct compose_plan *plan,
                      const struct compose_recipient *recipient,
                      struct arena *arena, struct compose_edit **out_edits,
                      size_t *out_edit_count);

extern const struct setting tracking_settings[];
extern const size_t tracking_setting_count;

#endif
