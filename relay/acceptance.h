/* SPDX-License-Identifier: MIT */
/* What is kept and said of a message that comes in, whichever door it took. */
#ifndef BATON_RELAY_ACCEPTANCE_H
#define BATON_RELAY_ACCEPTANCE_H

#include <inttypes.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"
#include "smtp/server.h"

/* Behind "250 2.0.0 ". */
#define ACCEPTANCE_FORMAT "Ok: queued as %" PRId64

/* The Received field, RFC 5321 4.4. */
void acceptance_write_received(const struct smtp_client_facts *facts,
                               int64_t message_id, int64_t accepted_at,
                               struct buffer *out_trace);

/* The conversation with the answer that the client gets if the message is
 * committed. In the arena. */
struct text acceptance_transcript(struct arena *arena,
                                  const struct transcript *transcript,
                                  int64_t message_id);

/* 451: nothing can be stored now, and the client should come again. */
void acceptance_refuse_for_now(struct smtp_reply *out_reply);

/* TLS version and cipher, in the arena; NULL in clear. */
const char *acceptance_tls(const struct smtp_client_facts *facts,
                           struct arena *arena);

#endif
