/* SPDX-License-Identifier: MIT */
#include "dkim/public_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/encoding.h"
#include "core/memory.h"
#include "dkim/tag_list.h"

/* Verifiers must take 4096 (RFC 8301, 3.2). */
#define DKIM_RSA_BITS_MAX 8192

struct dkim_public_key {
    EVP_PKEY *key;
    enum dkim_algorithm algorithm;
    bool is_testing;
    bool is_strict;
};

/* Whether a word stands in a list with colons between. */
static bool list_has(struct text list, const char *word)
{
    struct text piece;
    while (text_split(&list, ':', &piece)) {
        if (text_is_ignoring_case(tag_trim(piece), word)) {
            return true;
        }
    }
    return false;
}

static enum dkim_key_state refuse(struct error *error, const char *sentence)
{
    error_set(error, "%s", sentence);
    return DKIM_KEY_UNUSABLE;
}

/* What is said besides the key itself. */
static enum dkim_key_state check_tags(struct text record, struct error *error)
{
    struct text value;
    struct text rest = record;
    struct tag first;
    if (!tag_list_is_lawful(record)) {
        return refuse(error, "the key record is no list of tags, or one stands "
                             "twice");
    }
    if (tag_find(record, "v", &value) &&
        (!tag_next(&rest, &first) || !text_is(first.name, "v") ||
         !text_is(value, "DKIM1"))) {
        return refuse(error, "the key record does not begin with v=DKIM1");
    }
    if (tag_find(record, "s", &value) && !list_has(value, "*") &&
        !list_has(value, "email")) {
        return refuse(error,
                      "the key is not for mail: s= names other services");
    }
    if (tag_find(record, "h", &value) && !list_has(value, "sha256")) {
        return refuse(error, "the key is not for SHA-256: h= names other "
                             "digests");
    }
    return DKIM_KEY_USABLE;
}

/* As OpenSSL writes keys (RFC 6376, 3.6.1, erratum 3017), or RSAPublicKey
 * alone, which the RFC's own text names. */
static EVP_PKEY *read_rsa(struct text bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    const unsigned char *end = at + bytes.length;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)bytes.length);
    if (key == NULL) {
        at = (const unsigned char *)bytes.data;
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)bytes.length);
    }
    if (key != NULL && (at != end || !EVP_PKEY_is_a(key, "RSA"))) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

static enum dkim_key_state read_key(struct text bytes, struct text type,
                                    struct dkim_public_key *key,
                                    struct error *error)
{
    if (text_is_ignoring_case(type, "ed25519")) {
        key->algorithm = DKIM_ED25519_SHA256;
        key->key = bytes.length == 32
                       ? EVP_PKEY_new_raw_public_key(
                             EVP_PKEY_ED25519, NULL,
                             (const unsigned char *)bytes.data, bytes.length)
                       : NULL;
        ERR_clear_error();
        return key->key != NULL
                   ? DKIM_KEY_USABLE
                   : refuse(error, "p= is no Ed25519 key of 32 octets");
    }
    if (type.length > 0 && !text_is_ignoring_case(type, "rsa")) {
        return refuse(error, "k= is neither rsa nor ed25519");
    }
    key->algorithm = DKIM_RSA_SHA256;
    key->key = read_rsa(bytes);
    if (key->key == NULL) {
        return refuse(error, "p= is no RSA key");
    }
    int bits = EVP_PKEY_get_bits(key->key);
    if (bits > DKIM_RSA_BITS_MAX) {
        error_set(error,
                  "the RSA key has %d bits, and more than %d take too "
                  "long to verify",
                  bits, DKIM_RSA_BITS_MAX);
        return DKIM_KEY_UNUSABLE;
    }
    if (bits < DKIM_RSA_BITS_MIN) { /* RFC 8301, 3.2 */
        error_set(error,
                  "the RSA key has %d bits, and less than %d are not "
                  "believed",
                  bits, DKIM_RSA_BITS_MIN);
        return DKIM_KEY_UNUSABLE;
    }
    return DKIM_KEY_USABLE;
}

enum dkim_key_state dkim_public_key_read(struct text record,
                                         struct dkim_public_key **out_key,
                                         struct error *out_error)
{
    struct buffer folded = { 0 };
    struct buffer bytes = { 0 };
    struct text value;
    *out_key = NULL;
    if (!tag_find(record, "p", &value)) {
        error_set(out_error, "the record has no key (no p=)");
        return DKIM_KEY_ABSENT;
    }
    if (value.length == 0) {
        error_set(out_error, "the key is revoked: p= is empty");
        return DKIM_KEY_REVOKED;
    }
    enum dkim_key_state state = check_tags(record, out_error);
    if (state != DKIM_KEY_USABLE) {
        return state;
    }
    tag_append_unfolded(value, &folded);
    struct dkim_public_key *key = memory_alloc(sizeof(*key));
    (void)tag_find(record, "t", &value);
    key->is_testing = list_has(value, "y");
    key->is_strict = list_has(value, "s");
    (void)tag_find(record, "k", &value);
    state = base64_decode(buffer_text(&folded), &bytes)
                ? read_key(buffer_text(&bytes), value, key, out_error)
                : refuse(out_error, "p= is no base64");
    buffer_free(&folded);
    buffer_free(&bytes);
    if (state != DKIM_KEY_USABLE) {
        dkim_public_key_free(&key);
    }
    *out_key = key;
    return state;
}

void dkim_public_key_free(struct dkim_public_key **key)
{
    if (*key != NULL) {
        EVP_PKEY_free((*key)->key);
        memory_free(*key);
        *key = NULL;
    }
}

enum dkim_algorithm dkim_public_key_algorithm(const struct dkim_public_key *key)
{
    return key->algorithm;
}

int dkim_public_key_bits(const struct dkim_public_key *key)
{
    return key->algorithm == DKIM_ED25519_SHA256 ? 256
                                                 : EVP_PKEY_get_bits(key->key);
}

bool dkim_public_key_is_testing(const struct dkim_public_key *key)
{
    return key->is_testing;
}

bool dkim_public_key_is_strict(const struct dkim_public_key *key)
{
    return key->is_strict;
}

bool dkim_public_key_equal(const struct dkim_public_key *a,
                           const struct dkim_public_key *b)
{
    return EVP_PKEY_eq(a->key, b->key) == 1;
}

/* RFC 8463, 3: Ed25519 signs the SHA-256 of the bytes. */
bool dkim_public_key_verify(const struct dkim_public_key *key,
                            struct text bytes, struct text signature)
{
    uint8_t digest[SHA256_SIZE];
    bool is_rsa = key->algorithm == DKIM_RSA_SHA256;
    const unsigned char *data = (const unsigned char *)bytes.data;
    size_t length = bytes.length;
    if (!is_rsa) {
        sha256(bytes, digest);
        data = digest;
        length = sizeof(digest);
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    check(context != NULL);
    bool is_right =
        EVP_DigestVerifyInit_ex(context, NULL, is_rsa ? "SHA256" : NULL, NULL,
                                NULL, key->key, NULL) == 1 &&
        EVP_DigestVerify(context, (const unsigned char *)signature.data,
                         signature.length, data, length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error(); /* or the thread's next TLS call would find it */
    return is_right;
}
