/* SPDX-License-Identifier: MIT */
#include "relay/content_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool are_same(const char *a, const char *b)
{
    static const char *const recipients[] = { "b@rcpt.example",
                                              "c@rcpt.example" };
    uint8_t digests[2][SHA256_SIZE];
    content_digest("a@sender.example", recipients, 2, text_of(a), digests[0]);
    content_digest("a@sender.example", recipients, 2, text_of(b), digests[1]);
    return memcmp(digests[0], digests[1], SHA256_SIZE) == 0;
}

#define PLAIN "From: a@b\r\nSubject: x\r\n\r\nHello\r\n"
#define MIXED(outer, inner, text)                                         \
    "Subject: x\r\nContent-Type: multipart/mixed;\r\n\tBOUNDARY=\"" outer \
    "\"; charset=utf-8\r\n\r\n--" outer                                   \
    "\r\nContent-Type: multipart/alternative; boundary=" inner            \
    "\r\n\r\n--" inner "\r\n\r\n" text "\r\n--" inner "--\r\n--" outer    \
    "--\r\n"

static void what_libraries_make_anew_is_the_same(void **state)
{
    (void)state;
    assert_true(are_same(PLAIN, PLAIN));
    assert_true(are_same("Date: now\r\nMessage-ID: <1@b>\r\n" PLAIN,
                         "date: then\r\nMESSAGE-ID: <2@b>\r\n" PLAIN));
    assert_true(are_same(MIXED("=_one", "two", "Hello"),
                         MIXED("=_ten", "twenty-one", "Hello")));
}

static void what_is_said_is_not(void **state)
{
    static const char *const rows[][2] = {
        { PLAIN, "From: a@b\r\nSubject: y\r\n\r\nHello\r\n" },
        { PLAIN, "From: a@b\r\nSubject: x\r\n\r\nhello\r\n" },
        { PLAIN, PLAIN "\r\n" },
        { MIXED("a", "b", "Hello"), MIXED("a", "b", "Hullo") },
        { MIXED("a", "b", "--c"), MIXED("a", "b", "--d") },
        { MIXED("a", "b", "x=1"), MIXED("a", "b", "x=2") },
        /* A delimiter is not a line of text. */
        { MIXED("a", "b", "c"), MIXED("a", "b", "--a") },
        /* No boundary was named. */
        { "Subject: x\r\n\r\n--one\r\n", "Subject: x\r\n\r\n--two\r\n" },
        { "Subject: x\r\n\r\nboundary=\r\n",
          "Subject: x\r\n\r\nboundary=\"\"\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_false(are_same(rows[i][0], rows[i][1]));
    }
}

static void the_envelope_counts(void **state)
{
    static const char *const recipients[] = { "b@c", "d@e", "b@cd@e" };
    static const struct {
        const char *sender;
        size_t from;
        size_t count;
    } rows[] = { { "a@b", 0, 1 }, { "x@b", 0, 1 }, { "a@b", 1, 1 },
                 { "a@b", 0, 2 }, { "a@b", 2, 1 }, { "", 0, 1 } };
    uint8_t digests[6][SHA256_SIZE];
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        content_digest(rows[i].sender, recipients + rows[i].from, rows[i].count,
                       text_of(PLAIN), digests[i]);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(digests[i], digests[k], SHA256_SIZE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_libraries_make_anew_is_the_same),
        cmocka_unit_test(what_is_said_is_not),
        cmocka_unit_test(the_envelope_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
