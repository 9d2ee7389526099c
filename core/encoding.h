/* SPDX-License-Identifier: MIT */
/* Base64, hexadecimal, JSON strings, big-endian numbers and digests. */
#ifndef BATON_CORE_ENCODING_H
#define BATON_CORE_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/* RFC 4648, 4: with padding, no line breaks. */
void base64_encode(struct text bytes, struct buffer *out_text);
/* Strict: false on any foreign byte, wrong length or stray bits; *out_bytes is
 * then unchanged. */
bool base64_decode(struct text text, struct buffer *out_bytes);
void hex_encode(struct text bytes, struct buffer *out_text); /* lower case */
/* Digits of either case, two a byte. False: nothing is appended. */
bool hex_decode(struct text text, struct buffer *out_bytes);

/* A JSON string with its quotes (RFC 8259, 7), in ASCII only: the rest stands
 * as \uXXXX. Bytes that are not UTF-8 are read as Latin-1. */
void json_append_string(struct buffer *buffer, struct text bytes);
/* Go on with an object that begins with '{' and is not closed yet: the name
 * and its colon, after a comma unless it is the first. The caller appends the
 * value. Names are ours: nothing in them is escaped. */
void json_append_name(struct buffer *object, const char *name);
/* The same with a value that is a string, of any bytes. */
void json_append_member(struct buffer *object, const char *name,
                        const char *value);

/* Numbers of at most eight bytes, the highest first; what has no room is left
 * out. */
void big_endian_write(uint8_t *out_bytes, size_t length, uint64_t number);
uint64_t big_endian_read(const uint8_t *bytes, size_t length);

#define SHA256_SIZE 32
void sha256(struct text bytes, uint8_t out_digest[SHA256_SIZE]);
/* The same piece by piece; the end frees the digest. */
struct digest;
struct digest *digest_begin(void);
void digest_add(struct digest *digest, struct text bytes);
void digest_end(struct digest **digest, uint8_t out_digest[SHA256_SIZE]);
/* Random bytes fit for secrets. */
void random_bytes(void *out_bytes, size_t length);
/* Takes the same time wherever the bytes differ. */
bool bytes_equal_constant_time(const void *a, const void *b, size_t length);

#endif
