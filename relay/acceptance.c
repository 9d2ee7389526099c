/* SPDX-License-Identifier: MIT */
#include "relay/acceptance.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/memory.h"
#include "relay/relay_settings.h"

/* The recipient is not named: it may be a hidden one. */
void acceptance_write_received(const struct smtp_client_facts *facts,
                               int64_t message_id, int64_t accepted_at,
                               struct buffer *out_trace)
{
    char literal[NETWORK_TEXT_SIZE];
    char date[CLOCK_TEXT_SIZE];
    buffer_printf(out_trace, "Received: from %s (%s)\r\n",
                  facts->helo_name[0] != '\0' ? facts->helo_name : "unknown",
                  network_address_literal(&facts->peer, literal));
    if (facts->is_tls) {
        buffer_printf(out_trace, "\t(using %s with cipher %s)\r\n",
                      facts->tls_version, facts->tls_cipher);
    }
    buffer_printf(out_trace,
                  "\tby %s (Baton) with %s id %" PRId64 ";\r\n\t%s\r\n",
                  relay_settings_now()->hostname, facts->protocol, message_id,
                  clock_rfc5322(accepted_at, date));
}

struct text acceptance_transcript(struct arena *arena,
                                  const struct transcript *transcript,
                                  int64_t message_id)
{
    struct transcript copy = *transcript;
    char answer[80];
    snprintf(answer, sizeof(answer), "250 2.0.0 " ACCEPTANCE_FORMAT,
             message_id);
    copy.lines = (struct buffer){ 0 };
    buffer_append_text(&copy.lines, buffer_text(&transcript->lines));
    transcript_sent(&copy, text_of(answer));
    struct text text = { arena_copy_text(arena, buffer_text(&copy.lines)),
                         copy.lines.length };
    transcript_free(&copy);
    return text;
}

void acceptance_refuse_for_now(struct smtp_reply *out_reply)
{
    smtp_reply_set(out_reply, 451, "4.3.0",
                   "Mail cannot be stored just now: try again later");
}

const char *acceptance_tls(const struct smtp_client_facts *facts,
                           struct arena *arena)
{
    return facts->is_tls ? arena_printf(arena, "%s %s", facts->tls_version,
                                        facts->tls_cipher)
                         : NULL;
}
