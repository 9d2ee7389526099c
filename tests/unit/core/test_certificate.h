/* SPDX-License-Identifier: MIT */
/* Throw-away self-signed certificates for tests, made at run time. */
#ifndef BATON_TESTS_TEST_CERTIFICATE_H
#define BATON_TESTS_TEST_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_certificate {
    char directory[32];
    char certificate_path[64];
    char key_path[64];
};

static inline void test_certificate_sign(X509 *certificate, EVP_PKEY *key,
                                         const char *host)
{
    char names[128];
    X509_NAME *subject = X509_get_subject_name(certificate);
    (void)snprintf(names, sizeof(names), "DNS:%s", host);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());
}

/* Write a certificate for host and its key to a new folder under /tmp. */
static inline bool test_certificate_make(struct test_certificate *out,
                                         const char *host)
{
    (void)snprintf(out->directory, sizeof(out->directory),
                   "/tmp/baton-test-XXXXXX");
    if (mkdtemp(out->directory) == NULL) {
        return false;
    }
    (void)snprintf(out->certificate_path, sizeof(out->certificate_path),
                   "%s/cert.pem", out->directory);
    (void)snprintf(out->key_path, sizeof(out->key_path), "%s/key.pem",
                   out->directory);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    test_certificate_sign(certificate, key, host);
    FILE *file = fopen(out->certificate_path, "w");
    bool is_written = file != NULL && PEM_write_X509(file, certificate) == 1;
    is_written = file != NULL && fclose(file) == 0 && is_written;
    file = fopen(out->key_path, "w");
    is_written = file != NULL &&
                 PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) &&
                 is_written;
    is_written = file != NULL && fclose(file) == 0 && is_written;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return is_written;
}

static inline void test_certificate_remove(struct test_certificate *certificate)
{
    (void)unlink(certificate->certificate_path);
    (void)unlink(certificate->key_path);
    (void)rmdir(certificate->directory);
}

#endif
