/* SPDX-License-Identifier: MIT */
/* Keyed digests and small sealed texts, for tokens in URLs and addresses. */
#ifndef BATON_CORE_MAC_H
#define BATON_CORE_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

#define MAC_SECRET_BYTES 32
#define MAC_TAG_BYTES 16

/* What is derived from a secret once, so that a tag costs two blocks of
 * SHA-256 and no allocation. Plain memory: copy it, drop it. */
struct mac_key {
    uint32_t inner[8];
    uint32_t outer[8];
    uint8_t sealing[64];
};

void mac_key_derive(struct mac_key *out_key,
                    const uint8_t secret[MAC_SECRET_BYTES]);

/* The first 16 bytes of HMAC-SHA256 (RFC 2104; 128 bits). */
void mac_tag(const struct mac_key *key, struct text bytes,
             uint8_t out_tag[MAC_TAG_BYTES]);

/* AES-256-SIV (RFC 5297): deterministic, authenticated, as long as the text
 * plus 16 bytes of tag in front. `context` is authenticated, not hidden.
 * Neither may be empty. */
void mac_seal(const struct mac_key *key, struct text context, struct text plain,
              struct buffer *out_sealed);
/* False: forged, truncated or of another context; *out_plain is unchanged. */
bool mac_open(const struct mac_key *key, struct text context,
              struct text sealed, struct buffer *out_plain);

#endif
