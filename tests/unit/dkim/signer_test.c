/* SPDX-License-Identifier: MIT */
/* Both algorithms give the same signature for the same bytes, so fields that
 * another verifier (dkimpy 1.1) found right once stand here as they are. */
#include "dkim/signer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/memory.h"

#define NOW (1700000000LL * CLOCK_SECOND)

/* RFC 8032, 7.1, test 1: its secret key. */
static const char ed25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpgutATvLvZNBCAJ5aJ95Yg3VcscK+B+cv4\n"
    "-----END PRIVATE KEY-----\n";

#define HEADER                                        \
    "Received: from a\r\n"                            \
    "From: Shop <shop@example.com>\r\n"               \
    "To: you@example.net\r\n"                         \
    "Subject: A  long\r\n\tsubject\r\n"               \
    "List-Unsubscribe: <https://example.com/u/1>\r\n" \
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
#define BODY "\r\nHello \t you \r\n\r\n\r\n"

static void sign(const char *bytes, size_t step, const struct dkim_key *key,
                 struct buffer *out_field)
{
    struct text whole = text_of(bytes);
    struct dkim_message message;
    struct dkim_identity identity = { "example.com", "s1", key };
    struct dkim_reader *reader = dkim_reader_create();
    for (size_t at = 0; at < whole.length; at += step) {
        size_t end = at + step < whole.length ? at + step : whole.length;
        dkim_reader_add(reader, text_slice(whole, at, end));
    }
    dkim_reader_end(&reader, &message);
    dkim_sign(&message, &identity, NOW, out_field);
    dkim_message_free(&message);
}

static struct dkim_key *read_key(void)
{
    struct error error;
    struct dkim_key *key = dkim_key_read(text_of(ed25519_pem), &error);
    assert_non_null(key);
    return key;
}

static void the_field_is_the_one_that_was_verified(void **state)
{
    static const char expected[] =
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        "\td=example.com; s=s1;\r\n"
        "\tt=1700000000; h=From:From:Reply-To:To:To:Cc:Subject:Subject:Date\r\n"
        "\t:Message-ID:MIME-Version:Content-Type:Content-Transfer-Encoding\r\n"
        "\t:List-Unsubscribe:List-Unsubscribe:List-Unsubscribe-Post\r\n"
        "\t:List-Unsubscribe-Post;\r\n"
        "\tbh=nk9eb1oaKD9XE8xtjbIbDNQKqn0AdT3iXNyh74lVbAU=;\r\n"
        "\tb=bFSaA7NC7AUimDlQ3Nwc3rpRU7kFhI/1mSEFAol0PCVh5Wicr1qAbFsOWIJ0biW/"
        "7thCXYJ2p\r\n"
        "\t7yZ7Cwp8ONJAw==\r\n";
    struct dkim_key *key = read_key();
    (void)state;
    for (size_t step = 1; step < 2000; step = step * 3) {
        struct buffer field = { 0 };
        sign(HEADER BODY, step, key, &field);
        assert_string_equal(field.data, expected);
        buffer_free(&field);
    }
    dkim_key_free(&key);
}

static void what_is_said_is_signed(void **state)
{
    static const struct {
        const char *message;
        bool is_same;
    } rows[] = {
        /* What servers do on the way changes nothing (3.4). */
        { "Received: from b\r\n" HEADER BODY, true },
        { HEADER "\r\nHello you\r\n", true },
        { HEADER "X-Other: 1\r\n" BODY, true },
        /* Everything else does. */
        { HEADER "\r\nHello You\r\n", false },
        { "From: Other <other@example.com>\r\n" HEADER BODY, false },
        { HEADER "From: Other <other@example.com>\r\n" BODY, false },
        { HEADER "Subject: Another\r\n" BODY, false },
        { HEADER "Reply-To: other@example.com\r\n" BODY, false },
        { HEADER "Content-Type: text/html\r\n" BODY, false },
        { HEADER "List-Unsubscribe: <https://example.org/>\r\n" BODY, false },
        { HEADER "Feedback-ID: a:b:c:d\r\n" BODY, false },
    };
    static const enum dkim_algorithm algorithms[] = { DKIM_RSA_SHA256,
                                                      DKIM_ED25519_SHA256 };
    (void)state;
    for (size_t k = 0; k < ARRAY_LENGTH(algorithms); k++) {
        struct dkim_key *key = dkim_key_make(algorithms[k]);
        struct buffer first = { 0 };
        sign(HEADER BODY, 5000, key, &first);
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
            struct buffer field = { 0 };
            sign(rows[i].message, 5000, key, &field);
            assert_int_equal(strcmp(first.data, field.data) == 0,
                             rows[i].is_same);
            buffer_free(&field);
        }
        buffer_free(&first);
        dkim_key_free(&key);
    }
}

static void lines_are_short_and_lawful(void **state)
{
    struct dkim_key *key = dkim_key_make(DKIM_RSA_SHA256);
    struct buffer field = { 0 };
    (void)state;
    sign(HEADER BODY, 5000, key, &field);
    struct text rest = buffer_text(&field);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        assert_true(line.length <= 79);
        assert_int_equal(line.data[line.length - 1], '\r');
        assert_true(line.data == field.data || line.data[0] == '\t');
    }
    buffer_free(&field);
    dkim_key_free(&key);
}

static void keys_are_read_as_they_are_written(void **state)
{
    static const enum dkim_algorithm algorithms[] = { DKIM_RSA_SHA256,
                                                      DKIM_ED25519_SHA256 };
    static const char *const records[] = { "v=DKIM1; k=rsa; p=MIIBIjANBgkqh",
                                           "v=DKIM1; k=ed25519; p=" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++) {
        struct error error;
        struct buffer pem = { 0 };
        struct buffer record = { 0 };
        struct buffer again = { 0 };
        struct dkim_key *key = dkim_key_make(algorithms[i]);
        dkim_key_write(key, &pem);
        dkim_key_record(key, &record);
        assert_memory_equal(record.data, records[i], strlen(records[i]));
        dkim_key_free(&key);
        key = dkim_key_read(buffer_text(&pem), &error);
        assert_non_null(key);
        assert_int_equal(dkim_key_algorithm(key), algorithms[i]);
        dkim_key_record(key, &again);
        assert_string_equal(record.data, again.data);
        dkim_key_free(&key);
        buffer_free(&pem);
        buffer_free(&record);
        buffer_free(&again);
    }
}

static void what_is_no_key_is_said(void **state)
{
    static const struct {
        const char *pem;
        const char *sentence;
    } rows[] = {
        { "", "no private key" },
        { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
          "no private key" },
        /* Elliptic curves that mail is not signed with. */
        { "-----BEGIN PRIVATE KEY-----\n"
          "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpgutATvLvZNBCAJ5aJ95Yg3VcscK+B+cv4\n"
          "-----END PRIVATE KEY-----\n",
          "RSA of at least 1024 bits" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error;
        assert_null(dkim_key_read(text_of(rows[i].pem), &error));
        assert_non_null(strstr(error.text, rows[i].sentence));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_is_the_one_that_was_verified),
        cmocka_unit_test(what_is_said_is_signed),
        cmocka_unit_test(lines_are_short_and_lawful),
        cmocka_unit_test(keys_are_read_as_they_are_written),
        cmocka_unit_test(what_is_no_key_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
