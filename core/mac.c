/* SPDX-License-Identifier: MIT */
/*
 * HMAC by the states of SHA-256 after its two key blocks: what a tag starts
 * from is made once a key. OpenSSL offers these states only by the functions
 * it calls deprecated, which are nevertheless there in all of its 3.x.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/mac.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"

#define BLOCK_BYTES 64

_Static_assert(sizeof(SHA_LONG) == sizeof(uint32_t), "a state is copied");

/* The state behind one block of the secret, padded with zeros, XOR `pad`. */
static void hash_key_block(const uint8_t secret[MAC_SECRET_BYTES], uint8_t pad,
                           uint32_t out_state[8])
{
    uint8_t block[BLOCK_BYTES];
    SHA256_CTX hash;
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] = i < MAC_SECRET_BYTES ? secret[i] ^ pad : pad;
    }
    SHA256_Init(&hash);
    SHA256_Update(&hash, block, sizeof(block));
    memcpy(out_state, hash.h, sizeof(hash.h));
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(&hash, sizeof(hash));
}

/* Hash bytes that follow a key block. */
static void hash_behind(const uint32_t state[8], const void *bytes,
                        size_t length, uint8_t out_digest[32])
{
    SHA256_CTX hash;
    SHA256_Init(&hash);
    memcpy(hash.h, state, sizeof(hash.h));
    hash.Nl = BLOCK_BYTES * CHAR_BIT;
    if (length > 0) {
        SHA256_Update(&hash, bytes, length);
    }
    SHA256_Final(out_digest, &hash);
}

static void hmac(const struct mac_key *key, struct text bytes,
                 uint8_t out_digest[32])
{
    uint8_t inner[32];
    hash_behind(key->inner, bytes.data, bytes.length, inner);
    hash_behind(key->outer, inner, sizeof(inner), out_digest);
}

void mac_key_derive(struct mac_key *out_key,
                    const uint8_t secret[MAC_SECRET_BYTES])
{
    hash_key_block(secret, 0x36, out_key->inner);
    hash_key_block(secret, 0x5c, out_key->outer);
    hmac(out_key, TEXT_LITERAL("baton sealing key, first half"),
         out_key->sealing);
    hmac(out_key, TEXT_LITERAL("baton sealing key, second half"),
         out_key->sealing + 32);
}

void mac_tag(const struct mac_key *key, struct text bytes,
             uint8_t out_tag[MAC_TAG_BYTES])
{
    uint8_t digest[32];
    hmac(key, bytes, digest);
    memcpy(out_tag, digest, MAC_TAG_BYTES);
}

/* -- sealing -- */

/* Looking it up takes longer than sealing an address: do it once. */
static EVP_CIPHER *fetched_siv;

static void fetch_siv(void)
{
    fetched_siv = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
    check(fetched_siv != NULL);
}

/* A cipher that knows the key and, when it opens, the tag; and the context. */
static EVP_CIPHER_CTX *start_siv(const struct mac_key *key, struct text context,
                                 const char *tag)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_siv);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t tag_copy[MAC_TAG_BYTES];
    int length = 0;
    check(cipher != NULL && context.length > 0 && context.length < INT_MAX);
    check(EVP_CipherInit_ex2(cipher, fetched_siv, key->sealing, NULL,
                             tag == NULL, NULL) == 1);
    if (tag != NULL) {
        memcpy(tag_copy, tag, sizeof(tag_copy));
        check(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, MAC_TAG_BYTES,
                                  tag_copy) == 1);
    }
    check(EVP_CipherUpdate(cipher, NULL, &length, (const uint8_t *)context.data,
                           (int)context.length) == 1);
    return cipher;
}

void mac_seal(const struct mac_key *key, struct text context, struct text plain,
              struct buffer *out_sealed)
{
    int length = 0;
    check(plain.length > 0 && plain.length < INT_MAX - MAC_TAG_BYTES);
    EVP_CIPHER_CTX *cipher = start_siv(key, context, NULL);
    buffer_reserve(out_sealed, plain.length + MAC_TAG_BYTES);
    uint8_t *tag = (uint8_t *)out_sealed->data + out_sealed->length;
    uint8_t *hidden = tag + MAC_TAG_BYTES;
    check(EVP_CipherUpdate(cipher, hidden, &length, (const uint8_t *)plain.data,
                           (int)plain.length) == 1);
    check((size_t)length == plain.length);
    check(EVP_CipherFinal_ex(cipher, hidden + length, &length) == 1);
    check(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, MAC_TAG_BYTES,
                              tag) == 1);
    EVP_CIPHER_CTX_free(cipher);
    out_sealed->length += plain.length + MAC_TAG_BYTES;
    out_sealed->data[out_sealed->length] = '\0';
}

bool mac_open(const struct mac_key *key, struct text context,
              struct text sealed, struct buffer *out_plain)
{
    int length = 0;
    if (sealed.length <= MAC_TAG_BYTES || sealed.length > INT_MAX) {
        return false;
    }
    struct text hidden = text_slice(sealed, MAC_TAG_BYTES, sealed.length);
    EVP_CIPHER_CTX *cipher = start_siv(key, context, sealed.data);
    uint8_t *plain = memory_alloc(hidden.length + 1);
    bool is_right =
        EVP_CipherUpdate(cipher, plain, &length, (const uint8_t *)hidden.data,
                         (int)hidden.length) == 1 &&
        (size_t)length == hidden.length &&
        EVP_CipherFinal_ex(cipher, plain + length, &length) == 1;
    EVP_CIPHER_CTX_free(cipher);
    if (is_right) {
        buffer_append(out_plain, plain, hidden.length);
    }
    memory_free(plain);
    return is_right;
}
