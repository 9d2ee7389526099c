/* SPDX-License-Identifier: MIT */
/*
 * A message's bytes and a key in, one header field out (RFC 6376, 5). Relaxed
 * forms of fields and body, the whole body (no l=), and each field that readers
 * act on named once more than it stands there: none can be added (8.15).
 *
 *   dkim_reader ──> header and digest of the body ──> dkim_sign, with each key
 */
#ifndef BATON_DKIM_SIGNER_H
#define BATON_DKIM_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "core/encoding.h"
#include "core/text.h"
#include "dkim/key.h"

/* What of a message is signed, whoever signs it. */
struct dkim_message {
    struct buffer header; /* without the empty line */
    uint8_t body_digest[SHA256_SIZE];
};

/* Takes a message in any pieces, with CRLF line ends: as it goes on the wire,
 * before dots are doubled. */
struct dkim_reader;
struct dkim_reader *dkim_reader_create(void);
void dkim_reader_add(struct dkim_reader *reader, struct text piece);
/* That was all; dkim_message_free when done. */
void dkim_reader_end(struct dkim_reader **reader,
                     struct dkim_message *out_message);
void dkim_message_free(struct dkim_message *message);

struct dkim_identity {
    const char *domain; /* d=, in A-labels */
    const char *selector; /* s= */
    const struct dkim_key *key;
};

/* Append a whole DKIM-Signature field with its CRLF, to stand above the
 * message. `now` as core/clock.h has it. Touches nothing but its arguments: any
 * thread may call it. */
void dkim_sign(const struct dkim_message *message,
               const struct dkim_identity *identity, int64_t now,
               struct buffer *out_field);

#endif
