/* SPDX-License-Identifier: MIT */
#include "dkim/key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/encoding.h"
#include "core/memory.h"

struct dkim_key {
    EVP_PKEY *pair;
    enum dkim_algorithm algorithm;
};

static struct dkim_key *wrap(EVP_PKEY *pair, enum dkim_algorithm algorithm)
{
    struct dkim_key *key = memory_alloc(sizeof(*key));
    key->pair = pair;
    key->algorithm = algorithm;
    return key;
}

struct dkim_key *dkim_key_make(enum dkim_algorithm algorithm)
{
    EVP_PKEY *pair = algorithm == DKIM_RSA_SHA256
                         ? EVP_RSA_gen(DKIM_RSA_BITS)
                         : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    check(pair != NULL);
    return wrap(pair, algorithm);
}

/* Never ask for a password: the process may have a terminal. */
static int refuse_password(char *buffer, int size, int is_writing, void *owner)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)owner;
    return -1;
}

struct dkim_key *dkim_key_read(struct text pem, struct error *error)
{
    BIO *bytes = BIO_new_mem_buf(pem.data, (int)pem.length);
    check(bytes != NULL);
    EVP_PKEY *pair =
        PEM_read_bio_PrivateKey(bytes, NULL, refuse_password, NULL);
    BIO_free(bytes);
    if (pair == NULL) {
        error_set(error, "it is no private key in PEM without a password");
        return NULL;
    }
    if (EVP_PKEY_is_a(pair, "ED25519")) {
        return wrap(pair, DKIM_ED25519_SHA256);
    }
    if (EVP_PKEY_is_a(pair, "RSA") &&
        EVP_PKEY_get_bits(pair) >= DKIM_RSA_BITS_MIN) {
        return wrap(pair, DKIM_RSA_SHA256);
    }
    EVP_PKEY_free(pair);
    error_set(error, "mail is signed with RSA of at least %d bits, or Ed25519",
              DKIM_RSA_BITS_MIN);
    return NULL;
}

void dkim_key_free(struct dkim_key **key)
{
    if (*key != NULL) {
        EVP_PKEY_free((*key)->pair);
        memory_free(*key);
        *key = NULL;
    }
}

void dkim_key_write(const struct dkim_key *key, struct buffer *out_pem)
{
    char *data = NULL;
    BIO *bytes = BIO_new(BIO_s_mem());
    check(bytes != NULL);
    check(PEM_write_bio_PKCS8PrivateKey(bytes, key->pair, NULL, NULL, 0, NULL,
                                        NULL) == 1);
    long length = BIO_get_mem_data(bytes, &data);
    check(length > 0);
    buffer_append(out_pem, data, (size_t)length);
    BIO_free(bytes);
}

void dkim_key_record(const struct dkim_key *key, struct buffer *out_record)
{
    unsigned char raw[32];
    unsigned char *encoded = NULL;
    struct text point;
    if (key->algorithm == DKIM_ED25519_SHA256) { /* RFC 8463, 4 */
        size_t length = sizeof(raw);
        check(EVP_PKEY_get_raw_public_key(key->pair, raw, &length) == 1);
        point = (struct text){ (const char *)raw, length };
    } else {
        int length = i2d_PUBKEY(key->pair, &encoded);
        check(length > 0);
        point = (struct text){ (const char *)encoded, (size_t)length };
    }
    buffer_printf(out_record, "v=DKIM1; k=%s; p=",
                  key->algorithm == DKIM_RSA_SHA256 ? "rsa" : "ed25519");
    base64_encode(point, out_record);
    OPENSSL_free(encoded);
}

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key)
{
    return key->algorithm;
}

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
    return algorithm == DKIM_RSA_SHA256 ? "rsa-sha256" : "ed25519-sha256";
}

/* RFC 8463, 3: Ed25519 signs the SHA-256 of the bytes, RSA hashes them itself.
 */
void dkim_key_sign(const struct dkim_key *key, struct text bytes,
                   struct buffer *out_signature)
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
    check(EVP_DigestSignInit_ex(context, NULL, is_rsa ? "SHA256" : NULL, NULL,
                                NULL, key->pair, NULL) == 1);
    size_t size = (size_t)EVP_PKEY_get_size(key->pair);
    buffer_reserve(out_signature, size);
    check(EVP_DigestSign(context,
                         (unsigned char *)out_signature->data +
                             out_signature->length,
                         &size, data, length) == 1);
    out_signature->length += size;
    EVP_MD_CTX_free(context);
}
