/* SPDX-License-Identifier: MIT */
/*
 * RFC 8463's example in many tampered forms, what our own signer makes, and the
 * signed mail of the corpora (BATON_CORPORA, or ../shared/corpora beside the
 * source directory).
 */
#include "dkim/verifier.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/memory.h"
#include "dkim/public_key.h"
#include "dkim/signer.h"
#include "tests/unit/corpora.h"

#define NOW (1700000000LL * CLOCK_SECOND)

/* RFC 8463, A.2 and A.3. */
#define ED25519_RECORD \
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RSA_P                                                           \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6W" \
    "k08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/" \
    "8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2k" \
    "ryOTIKT+l/K4w3QIDAQAB"
#define RSA_RECORD "v=DKIM1; k=rsa; p=" RSA_P
#define ED25519_FIELD                                                 \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"   \
    " d=football.example.com; i=@football.example.com;\r\n"           \
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"         \
    " subject : date : message-id : from : subject : date;\r\n"       \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"           \
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n" \
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define RSA_FIELD                                                     \
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"       \
    " d=football.example.com; i=@football.example.com;\r\n"           \
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"   \
    " date : message-id : from : subject : date;\r\n"                 \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"           \
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n" \
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" \
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define FIELDS                                         \
    "From: Joe SixPack <joe@football.example.com>\r\n" \
    "To: Suzie Q <suzie@shopping.example.net>\r\n"     \
    "Subject: Is dinner ready?\r\n"                    \
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"  \
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define BODY                                            \
    "\r\nHi.\r\n\r\nWe lost the game.  Are you hungry " \
    "yet?\r\n\r\nJoe.\r\n"

static void verify(const char *message, const char *field, const char *record,
                   struct dkim_verdict *out)
{
    dkim_verify_signature(text_of(message), text_of(field), text_of(record),
                          NOW, out);
}

static void the_example_of_rfc_8463(void **state)
{
    struct dkim_verdict verdict;
    (void)state;
    verify(ED25519_FIELD RSA_FIELD FIELDS BODY, ED25519_FIELD, ED25519_RECORD,
           &verdict);
    assert_int_equal(verdict.result, DKIM_PASS);
    assert_string_equal(verdict.domain, "football.example.com");
    assert_string_equal(verdict.selector, "brisbane");
    assert_string_equal(verdict.algorithm, "ed25519-sha256");
    assert_string_equal(verdict.identity, "@football.example.com");
    assert_int_equal(verdict.key_bits, 256);
    verify(ED25519_FIELD RSA_FIELD FIELDS BODY, RSA_FIELD, RSA_RECORD,
           &verdict);
    assert_int_equal(verdict.result, DKIM_PASS);
    assert_int_equal(verdict.key_bits, 1024);
}

static const struct {
    const char *what;
    const char *message;
    enum dkim_result result;
} message_cases[] = {
    { "blanks and folds are no change",
      "from:\tJoe   SixPack\r\n <joe@football.example.com>\r\n"
      "To: Suzie Q <suzie@shopping.example.net>\r\n"
      "Subject:Is dinner ready? \r\n"
      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
      "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
      "\r\nHi. \r\n\r\nWe lost the game. Are you\thungry yet?\r\n\r\nJoe."
      "\r\n\r\n\r\n",
      DKIM_PASS },
    { "unsigned fields may come", "Received: x\r\n" FIELDS "X: y\r\n" BODY,
      DKIM_PASS },
    { "another word in the body",
      FIELDS "\r\nHi.\r\n\r\nWe won the game.  Are you hungry yet?\r\n\r\n"
             "Joe.\r\n",
      DKIM_FAIL },
    { "text behind the body", FIELDS BODY "PS\r\n", DKIM_FAIL },
    { "no body", FIELDS, DKIM_FAIL },
    { "a second From above", "From: x@y.example\r\n" FIELDS BODY, DKIM_FAIL },
    { "a second From below", FIELDS "From: x@y.example\r\n" BODY, DKIM_FAIL },
    { "a second Subject", "Subject: x\r\n" FIELDS BODY, DKIM_FAIL },
    { "another To",
      "From: Joe SixPack <joe@football.example.com>\r\n"
      "To: other@shopping.example.net\r\n"
      "Subject: Is dinner ready?\r\n"
      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
      "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n" BODY,
      DKIM_FAIL },
    { "no Message-ID",
      "From: Joe SixPack <joe@football.example.com>\r\n"
      "To: Suzie Q <suzie@shopping.example.net>\r\n"
      "Subject: Is dinner ready?\r\n"
      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n" BODY,
      DKIM_FAIL },
};

static void changed_messages_fail(void **state)
{
    static const char *const fields[] = { ED25519_FIELD, RSA_FIELD };
    static const char *const records[] = { ED25519_RECORD, RSA_RECORD };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(message_cases); i++) {
        for (size_t k = 0; k < 2; k++) {
            struct dkim_verdict verdict;
            verify(message_cases[i].message, fields[k], records[k], &verdict);
            if (verdict.result != message_cases[i].result) {
                fail_msg("%s: %s, %s", message_cases[i].what,
                         dkim_result_text(verdict.result), verdict.reason.text);
            }
        }
    }
}

static const struct {
    const char *record;
    enum dkim_result result;
    const char *reason;
} record_cases[] = {
    { "k=rsa; p=" RSA_P, DKIM_PASS, "right" },
    { "p=" RSA_P, DKIM_PASS, "right" },
    { "v=DKIM1; h=sha1:sha256; s=email:x; n=a note; t=s; p=" RSA_P, DKIM_PASS,
      "right" },
    { " v = DKIM1 ;; unknown=1; p=" RSA_P " ; ", DKIM_PASS, "right" },
    { "v=DKIM1; s=*; t=y; p=" RSA_P, DKIM_PASS, "right" },
    { "v=DKIM1; p=", DKIM_PERMERROR, "revoked" },
    { "v=DKIM1; p", DKIM_PERMERROR, "no key" },
    { "hello", DKIM_PERMERROR, "no key" },
    { "", DKIM_PERMERROR, "no key" },
    { "p=" RSA_P "; v=DKIM1", DKIM_PERMERROR, "does not begin with" },
    { "v=DKIM2; p=" RSA_P, DKIM_PERMERROR, "does not begin with" },
    { "v=DKIM1; h=sha1; p=" RSA_P, DKIM_PERMERROR, "not for SHA-256" },
    { "v=DKIM1; s=chat; p=" RSA_P, DKIM_PERMERROR, "not for mail" },
    { "v=DKIM1; k=dsa; p=" RSA_P, DKIM_PERMERROR, "neither rsa nor ed25519" },
    { "v=DKIM1; p=" RSA_P "; p=" RSA_P, DKIM_PERMERROR, "stands twice" },
    { "v=DKIM1; p=hello", DKIM_PERMERROR, "no base64" },
    { "v=DKIM1; p=aGVsbG8=", DKIM_PERMERROR, "no RSA key" },
    { "v=DKIM1; k=ed25519; p=aGVsbG8=", DKIM_PERMERROR, "no Ed25519 key" },
    { ED25519_RECORD, DKIM_PERMERROR, "not for the algorithm" },
    /* D2, RFC 8301, 3.2: 512 and 1023 bits. */
    { "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALOv+AO64oRCB1pdr4MSJdijLDa/"
      "RaYsixaVh18mFupYoBWH3JcgR+QYqsu1L2zkexPXexUEyHK8xQDNN+MUj4UCAwEAAQ==",
      DKIM_PERMERROR, "has 512 bits" },
    { "v=DKIM1; p=MIGeMA0GCSqGSIb3DQEBAQUAA4GMADCBiAKBgFosHuyEoKZOJgASZswwiZbs"
      "dVOG577A4gOnh2hxm4ZrEy3Hk23cVItr2tNJJFQ2g9yMYMRgcOFqVIY8rPaBRaOjHcPREE2"
      "DB8KZc52k5gCzPbIy0kGualeHHkchuTIi7Ou32FAnewWlrsKZ3Jr6rSwql4Pj6jBFEroVRH"
      "7NkOf3AgMBAAE=",
      DKIM_PERMERROR, "has 1023 bits" },
};

static void key_records_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(record_cases); i++) {
        struct dkim_verdict verdict;
        verify(FIELDS BODY, RSA_FIELD, record_cases[i].record, &verdict);
        if (verdict.result != record_cases[i].result ||
            strstr(verdict.reason.text, record_cases[i].reason) == NULL) {
            fail_msg("%s: %s, %s", record_cases[i].record,
                     dkim_result_text(verdict.result), verdict.reason.text);
        }
    }
}

#define BH "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; "
#define B "b=aGVsbG8="
#define GOOD \
    "v=1; a=rsa-sha256; c=relaxed/relaxed; d=e.example; s=s; h=from; " BH B
#define PLAIN "v=1; a=rsa-sha256; d=e.example; s=s; h=from; " BH B

static const struct {
    const char *value;
    enum dkim_result result;
    const char *reason;
} field_cases[] = {
    { GOOD, DKIM_FAIL, "does not match" },
    { "a=rsa-sha256; d=e.example; s=s; h=from; " BH B, DKIM_NEUTRAL, "v=" },
    { "v=2; a=rsa-sha256; d=e.example; s=s; h=from; " BH B, DKIM_NEUTRAL,
      "v=" },
    { "v=1; d=e.example; s=s; h=from; " BH B, DKIM_NEUTRAL, "a=" },
    { "v=1; a=rsa-md5; d=e.example; s=s; h=from; " BH B, DKIM_NEUTRAL, "a=" },
    { "v=1; a=rsa-sha1; d=e.example; s=s; h=from; bh=aGVsbG8=; " B,
      DKIM_PERMERROR, "rsa-sha1" },
    { "v=1; a=rsa-sha256; s=s; h=from; " BH B, DKIM_NEUTRAL, "d=" },
    { "v=1; a=rsa-sha256; d=a b; s=s; h=from; " BH B, DKIM_NEUTRAL, "d=" },
    { "v=1; a=rsa-sha256; d=[192.0.2.1]; s=s; h=from; " BH B, DKIM_NEUTRAL,
      "d=" },
    { "v=1; a=rsa-sha256; d=e.example; h=from; " BH B, DKIM_NEUTRAL, "s=" },
    { "v=1; a=rsa-sha256; d=e.example; s=a/b; h=from; " BH B, DKIM_NEUTRAL,
      "s=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; " BH B, DKIM_NEUTRAL, "h=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; h=to:subject; " BH B, DKIM_NEUTRAL,
      "h=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; h=from; " B, DKIM_NEUTRAL, "bh=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; h=from; bh=aGVsbG8=; " B,
      DKIM_NEUTRAL, "bh=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; h=from; " BH, DKIM_NEUTRAL, "b=" },
    { "v=1; a=rsa-sha256; d=e.example; s=s; h=from; " BH "b=!!", DKIM_NEUTRAL,
      "b=" },
    { GOOD "; d=e.example", DKIM_NEUTRAL, "twice" },
    { GOOD "; x", DKIM_NEUTRAL, "list of tags" },
    { PLAIN "; c=relaxed/none", DKIM_NEUTRAL, "c=" },
    { PLAIN "; c=none", DKIM_NEUTRAL, "c=" },
    { GOOD "; i=@other.example", DKIM_NEUTRAL, "i=" },
    { GOOD "; i=e.example", DKIM_NEUTRAL, "i=" },
    { GOOD "; i=@sub.e.example", DKIM_FAIL, "does not match" },
    { GOOD "; q=dns/other", DKIM_NEUTRAL, "q=" },
    { GOOD "; q=dns/other : dns/txt", DKIM_FAIL, "does not match" },
    { GOOD "; t=1; x=1", DKIM_NEUTRAL, "x=" },
    { GOOD "; t=abc", DKIM_NEUTRAL, "t=" },
    { GOOD "; x=12345678901234567890", DKIM_NEUTRAL, "x=" },
    { GOOD "; x=1699999999", DKIM_FAIL, "expired" },
    { GOOD "; x=1700000001", DKIM_FAIL, "does not match" },
    { GOOD "; l=x", DKIM_NEUTRAL, "l=" },
    { GOOD "; l=1000000", DKIM_FAIL, "shorter than l=" },
    { GOOD "; l=1", DKIM_FAIL, "body was changed" },
    { GOOD "; z=From:x", DKIM_FAIL, "does not match" },
    /* Two blanks in a line: simple is another digest (and the default). */
    { PLAIN, DKIM_FAIL, "body was changed" },
    { PLAIN "; c=relaxed", DKIM_FAIL, "body was changed" },
    { PLAIN "; c=simple/relaxed", DKIM_FAIL, "does not match" },
    { "", DKIM_NEUTRAL, "d=" },
};

static void fields_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(field_cases); i++) {
        struct dkim_verdict verdict;
        struct buffer field = { 0 };
        buffer_printf(&field, "DKIM-Signature: %s\r\n", field_cases[i].value);
        verify(FIELDS BODY, field.data, RSA_RECORD, &verdict);
        if (verdict.result != field_cases[i].result ||
            strstr(verdict.reason.text, field_cases[i].reason) == NULL) {
            fail_msg("%s: %s, %s", field_cases[i].value,
                     dkim_result_text(verdict.result), verdict.reason.text);
        }
        buffer_free(&field);
    }
}

/* t=y: as if it were not signed. t=s: no subdomain in i=. */
static void flags_of_the_key(void **state)
{
    struct dkim_verdict verdict;
    (void)state;
    verify("Subject: x\r\n" FIELDS BODY, RSA_FIELD, "v=DKIM1; t=y:s; p=" RSA_P,
           &verdict);
    assert_int_equal(verdict.result, DKIM_NEUTRAL);
    assert_true(verdict.is_testing);
    verify(
        FIELDS BODY,
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; "
        "d=football.example.com; i=@a.football.example.com; s=s; h=from; " BH B
        "\r\n",
        "v=DKIM1; t=s; p=" RSA_P, &verdict);
    assert_int_equal(verdict.result, DKIM_PERMERROR);
    assert_non_null(strstr(verdict.reason.text, "t=s"));
}

/* Appended text is accepted, and reported (8.2). */
static void a_length_is_reported(void **state)
{
    static const char field[] =
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; "
        "d=example.com; s=s; h=from; l=4; "
        "bh=FI8AebVUJvNq8+NdI4/sGykVk4zEkdnDgyZpHoUEgoY=; " B "\r\n";
    struct dkim_verdict verdict;
    struct buffer digest = { 0 };
    uint8_t bytes[SHA256_SIZE];
    (void)state;
    sha256(TEXT_LITERAL("Hi\r\n"), bytes);
    base64_encode((struct text){ (char *)bytes, sizeof(bytes) }, &digest);
    struct buffer written = { 0 };
    const char *at = strstr(field, "bh=") + 3;
    buffer_append(&written, field, (size_t)(at - field));
    buffer_append_text(&written, buffer_text(&digest));
    buffer_append_string(&written, strchr(at, ';'));
    verify("From: a@example.com\r\n\r\nHi\r\nmore\r\n", written.data,
           ED25519_RECORD, &verdict);
    assert_int_equal(verdict.result, DKIM_FAIL); /* b= is none */
    assert_non_null(strstr(verdict.reason.text, "does not match"));
    assert_true(verdict.has_length);
    assert_int_equal(verdict.unsigned_bytes, 6);
    buffer_free(&digest);
    buffer_free(&written);
}

static bool never_run(void *owner, struct dns_inquiry *inquiry)
{
    (void)owner;
    (void)inquiry;
    return true;
}

static void tell_text(struct dns_inquiry *inquiry, const char *name,
                      const char *const *texts, size_t count)
{
    struct dns_txt records[4];
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct dns_txt){ text_of(texts[i]), 1 };
    }
    struct dns_answer answer = { .type = DNS_TYPE_TXT,
                                 .status = DNS_FOUND,
                                 .count = count };
    answer.records.texts = records;
    dns_inquiry_tell(inquiry, name, &answer);
}

static void keys_are_looked_up(void **state)
{
    static const char *const keys[] = { "hello", ED25519_RECORD, RSA_RECORD };
    static const struct dns_answer broken = { .type = DNS_TYPE_TXT,
                                              .status = DNS_TEMPORARY };
    const char *name = "test._domainkey.football.example.com";
    (void)state;
    for (size_t round = 0; round < 4; round++) {
        struct dns_inquiry *inquiry =
            dns_inquiry_start(NULL, NULL, never_run, NULL);
        struct dkim_verification *verification = dkim_verification_open(
            text_of(ED25519_FIELD RSA_FIELD FIELDS BODY), NOW);
        assert_int_equal(dkim_verification_count(verification), 2);
        tell_text(inquiry, "brisbane._domainkey.football.example.com", keys + 1,
                  1);
        if (round == 1) {
            dns_inquiry_tell(inquiry, name, &broken);
        } else if (round > 1) {
            tell_text(inquiry, name, keys, round); /* 2, then 3 of them */
        }
        assert_true(dkim_verification_run(verification, inquiry));
        const struct dkim_verdict *verdict =
            dkim_verification_verdict(verification, 0);
        assert_int_equal(verdict->result, DKIM_PASS);
        verdict = dkim_verification_verdict(verification, 1);
        static const enum dkim_result expected[] = {
            DKIM_PERMERROR, DKIM_TEMPERROR, DKIM_PERMERROR, DKIM_PASS
        };
        assert_int_equal(verdict->result, expected[round]);
        dkim_verification_free(&verification);
        dns_inquiry_free(&inquiry);
    }
}

static void signatures_are_counted(void **state)
{
    struct buffer message = { 0 };
    (void)state;
    for (int i = 0; i < DKIM_SIGNATURES_MAX + 3; i++) {
        buffer_append_string(&message, "DKIM-Signature: v=1\r\n");
    }
    buffer_append_string(&message, FIELDS BODY);
    struct dkim_verification *verification =
        dkim_verification_open(buffer_text(&message), NOW);
    assert_int_equal(dkim_verification_count(verification),
                     DKIM_SIGNATURES_MAX);
    assert_int_equal(dkim_verification_skipped(verification), 3);
    dkim_verification_free(&verification);
    assert_null(verification);
    dkim_verification_free(&verification);
    verification = dkim_verification_open(text_of(FIELDS BODY), NOW);
    assert_int_equal(dkim_verification_count(verification), 0);
    dkim_verification_free(&verification);
    buffer_free(&message);
}

static void headers_are_bounded(void **state)
{
    struct buffer message = { 0 };
    struct dkim_verdict verdict;
    (void)state;
    buffer_append_string(&message, FIELDS);
    for (int i = 0; i < 10000; i++) {
        buffer_append_string(&message, "X: y\r\n");
    }
    buffer_append_string(&message, BODY);
    verify(message.data, RSA_FIELD, RSA_RECORD, &verdict);
    assert_int_equal(verdict.result, DKIM_NEUTRAL);
    assert_non_null(strstr(verdict.reason.text, "too many fields"));
    buffer_free(&message);
}

/* D2, D4: what we sign is right, in every form that a body may have. */
static void what_we_sign_is_right(void **state)
{
    static const char *const bodies[] = {
        "\r\n",
        "\r\nno end",
        "\r\nblank lines\r\n\r\n\r\n",
        "\r\n\ttabs \t and  blanks \r\n",
        "\r\n.\r\n..\r\n",
    };
    (void)state;
    for (int a = DKIM_RSA_SHA256; a <= DKIM_ED25519_SHA256; a++) {
        struct dkim_key *key = dkim_key_make((enum dkim_algorithm)a);
        struct buffer record = { 0 };
        dkim_key_record(key, &record);
        for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
            struct dkim_identity identity = { "football.example.com", "s",
                                              key };
            struct dkim_message signed_message;
            struct dkim_verdict verdict;
            struct buffer message = { 0 };
            struct buffer field = { 0 };
            buffer_printf(&message,
                          "References: <1@a>\r\n%s"
                          "X-Long: a\r\n\tb\r\n  c\r\n"
                          "References: <2@a>\r\n%s",
                          FIELDS, bodies[i]); /* repeated: 5.4.2 */
            struct dkim_reader *reader = dkim_reader_create();
            dkim_reader_add(reader, buffer_text(&message));
            dkim_reader_end(&reader, &signed_message);
            dkim_sign(&signed_message, &identity, NOW, &field);
            verify(message.data, field.data, record.data, &verdict);
            assert_int_equal(verdict.result, DKIM_PASS);
            buffer_append_string(&message, "x");
            verify(message.data, field.data, record.data, &verdict);
            assert_int_equal(verdict.result, DKIM_FAIL);
            dkim_message_free(&signed_message);
            buffer_free(&message);
            buffer_free(&field);
        }
        buffer_free(&record);
        dkim_key_free(&key);
    }
}

/* -- the corpora -- */

static void read_file(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    int byte;
    assert_non_null(file);
    while ((byte = fgetc(file)) != EOF) {
        if (byte == '\n') {
            buffer_append_byte(out, '\r');
        }
        buffer_append_byte(out, (char)byte);
    }
    (void)fclose(file);
}

/* "name record" lines, an empty line, and the message. */
static void check_file(const char *path)
{
    struct buffer bytes = { 0 };
    struct dns_inquiry *inquiry =
        dns_inquiry_start(NULL, NULL, never_run, NULL);
    struct text line;
    read_file(path, &bytes);
    struct text rest = buffer_text(&bytes);
    while (text_split(&rest, '\n', &line) && line.length > 1) {
        size_t blank = text_find_byte(line, ' ');
        char *name = memory_copy_bytes(line.data, blank);
        char *record =
            memory_copy_bytes(line.data + blank + 1, line.length - blank - 2);
        const char *const texts[] = { record };
        tell_text(inquiry, name, texts, 1);
        memory_free(name);
        memory_free(record);
    }
    struct dkim_verification *verification = dkim_verification_open(rest, NOW);
    assert_true(dkim_verification_count(verification) > 0);
    assert_true(dkim_verification_run(verification, inquiry));
    for (size_t i = 0; i < dkim_verification_count(verification); i++) {
        const struct dkim_verdict *verdict =
            dkim_verification_verdict(verification, i);
        if (verdict->result != DKIM_PASS) {
            fail_msg("%s: %s, %s", path, dkim_result_text(verdict->result),
                     verdict->reason.text);
        }
    }
    dkim_verification_free(&verification);
    /* Any other letter in the body breaks all of them. */
    char *last = (char *)rest.data + rest.length - 3;
    *last = *last == 'x' ? 'y' : 'x';
    verification = dkim_verification_open(rest, NOW);
    assert_true(dkim_verification_run(verification, inquiry));
    for (size_t i = 0; i < dkim_verification_count(verification); i++) {
        assert_int_equal(dkim_verification_verdict(verification, i)->result,
                         DKIM_FAIL);
    }
    dkim_verification_free(&verification);
    dns_inquiry_free(&inquiry);
    buffer_free(&bytes);
}

static void corpora_verify(void **state)
{
    char folder[CORPORA_PATH_SIZE];
    char pattern[CORPORA_PATH_SIZE + 16];
    glob_t files;
    (void)state;
    corpora_find("dkim-vectors", folder);
    snprintf(pattern, sizeof(pattern), "%s/mailauth-*.txt", folder);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        check_file(files.gl_pathv[i]);
    }
    globfree(&files);
}

/* MimeKit's copy of the same example, and its key as PEM. */
static void mimekit_verifies(void **state)
{
    char path[CORPORA_PATH_SIZE];
    struct buffer message = { 0 };
    struct buffer pem = { 0 };
    (void)state;
    corpora_find("dkim-vectors/mimekit-rfc8463-example.msg", path);
    read_file(path, &message);
    struct dns_inquiry *inquiry =
        dns_inquiry_start(NULL, NULL, never_run, NULL);
    static const char *const keys[] = { ED25519_RECORD, RSA_RECORD };
    tell_text(inquiry, "brisbane._domainkey.football.example.com", keys, 1);
    tell_text(inquiry, "test._domainkey.football.example.com", keys + 1, 1);
    struct dkim_verification *verification =
        dkim_verification_open(buffer_text(&message), NOW);
    assert_true(dkim_verification_run(verification, inquiry));
    assert_int_equal(dkim_verification_count(verification), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dkim_verification_verdict(verification, i)->result,
                         DKIM_PASS);
    }
    dkim_verification_free(&verification);
    dns_inquiry_free(&inquiry);
    char *name = strrchr(path, '/');
    snprintf(name, sizeof(path) - (size_t)(name - path),
             "/mimekit-example.pub");
    read_file(path, &pem);
    struct buffer record = { 0 };
    struct dkim_public_key *key;
    struct error error;
    struct text rest = buffer_text(&pem);
    struct text line;
    buffer_append_string(&record, "v=DKIM1; p=");
    while (text_split(&rest, '\n', &line)) {
        if (line.data[0] != '-') {
            buffer_append_text(&record, line);
        }
    }
    assert_int_equal(dkim_public_key_read(buffer_text(&record), &key, &error),
                     DKIM_KEY_USABLE);
    assert_int_equal(dkim_public_key_bits(key), 1024);
    dkim_public_key_free(&key);
    buffer_free(&record);
    buffer_free(&pem);
    buffer_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_8463),
        cmocka_unit_test(changed_messages_fail),
        cmocka_unit_test(key_records_are_read),
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(flags_of_the_key),
        cmocka_unit_test(a_length_is_reported),
        cmocka_unit_test(keys_are_looked_up),
        cmocka_unit_test(signatures_are_counted),
        cmocka_unit_test(headers_are_bounded),
        { "D2, D4: what we sign is right", what_we_sign_is_right, NULL, NULL,
          NULL },
        cmocka_unit_test(corpora_verify),
        cmocka_unit_test(mimekit_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
