/* SPDX-License-Identifier: MIT */
/* Keys that sign mail: RSA (RFC 6376) and Ed25519 (RFC 8463). A key does not
 * change once it is made: several threads may sign with it. */
#ifndef BATON_DKIM_KEY_H
#define BATON_DKIM_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/text.h"

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

/* RFC 8301, 3.2: fewer bits are not believed. */
#define DKIM_RSA_BITS_MIN 1024
#define DKIM_RSA_BITS 2048

struct dkim_key;

/* A new one. Making an RSA key takes a tenth of a second: not on the loop. */
struct dkim_key *dkim_key_make(enum dkim_algorithm algorithm);
/* A private key as dkim_key_write wrote it, or any other PEM; NULL: it is none,
 * or not one that mail is signed with. */
struct dkim_key *dkim_key_read(struct text pem, struct error *error) MUST_USE;
void dkim_key_free(struct dkim_key **key);

/* PEM, PKCS #8, not encrypted: the caller keeps it secret. */
void dkim_key_write(const struct dkim_key *key, struct buffer *out_pem);
/* The TXT record to publish: "v=DKIM1; k=rsa; p=…" (RFC 6376, 3.6.1). */
void dkim_key_record(const struct dkim_key *key, struct buffer *out_record);

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key);
/* As it stands in a=: "rsa-sha256". */
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);

/* Sign what is signed of a message: its canonical fields. RSA takes 0.3 to 1 ms
 * and belongs on the helper thread, Ed25519 some 30 µs. */
void dkim_key_sign(const struct dkim_key *key, struct text bytes,
                   struct buffer *out_signature);

#endif
