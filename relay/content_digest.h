/* SPDX-License-Identifier: MIT */
/*
 * What is the same message under an idempotency key: one sender, the same
 * recipients in their order, and the same bytes but for what a library makes
 * anew each time it builds a message: Date, Message-ID, and the boundaries of
 * multiparts.
 */
#ifndef BATON_RELAY_CONTENT_DIGEST_H
#define BATON_RELAY_CONTENT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "core/encoding.h"
#include "core/text.h"

/* The message has header and body with CRLF line ends. */
void content_digest(const char *sender, const char *const *recipients,
                    size_t recipient_count, struct text message,
                    uint8_t out_digest[SHA256_SIZE]);

#endif
