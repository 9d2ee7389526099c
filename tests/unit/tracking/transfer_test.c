/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/line.h"
#include "tracking/transfer.h"

static void assert_lines_fit(struct text lines)
{
    while (lines.length > 0) {
        struct text line = line_content(line_take(&lines));
        assert_true(line.length <= 76);
        assert_true(line.length < 2 || memcmp(line.data, "--", 2) != 0);
        for (size_t i = 0; i < line.length; i++) {
            assert_true((unsigned char)line.data[i] < 127);
        }
        if (line.length > 0) {
            assert_true(line.data[line.length - 1] != ' ');
        }
    }
}

static void quoted_printable_rows(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *encoded;
    } rows[] = {
        { "", "" },
        { "plain\r\ntext\r\n", "plain\r\ntext\r\n" },
        { "a=b", "a=3Db" },
        { "blank \r\ntab\t", "blank=20\r\ntab=09" },
        { "\xc3\xa4", "=C3=A4" },
        { "--boundary\r\n-x\r\n--", "=2D-boundary\r\n-x\r\n=2D-" },
        { "bare\rand\nbytes", "bare=0Dand=0Abytes" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer encoded = { 0 };
        struct buffer decoded = { 0 };
        quoted_printable_encode(text_of(rows[i].plain), &encoded);
        assert_true(text_is(buffer_text(&encoded), rows[i].encoded));
        quoted_printable_decode(buffer_text(&encoded), &decoded);
        assert_true(text_is(buffer_text(&decoded), rows[i].plain));
        buffer_free(&encoded);
        buffer_free(&decoded);
    }
}

static void decoding_is_lenient(void **state)
{
    (void)state;
    static const struct {
        const char *encoded;
        const char *plain;
    } rows[] = {
        { "a=3db", "a=b" },     { "a=\r\nb", "ab" },
        { "a=  \r\nb", "ab" },  { "trailing  \r\n", "trailing\r\n" },
        { "=ZZ =4", "=ZZ =4" }, { "end=", "end" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer decoded = { 0 };
        quoted_printable_decode(text_of(rows[i].encoded), &decoded);
        assert_true(text_is(buffer_text(&decoded), rows[i].plain));
        buffer_free(&decoded);
    }
}

/* Lines of every length around 76 of every kind of byte, by a fixed sequence
 * of numbers. */
static void fill(struct buffer *bytes, unsigned seed, size_t length,
                 const char *from)
{
    size_t choice = strlen(from);
    for (size_t i = 0; i < length; i++) {
        seed = seed * 1103515245u + 12345u;
        buffer_append_byte(bytes, from[(seed >> 16) % choice]);
    }
}

static const char *const alphabets[] = {
    "a", "-", "=", " ", "- =\t", "\xc3\xa4 b", "abc .-=\t\xff",
};

static void encoded_lines_come_back(void **state)
{
    (void)state;
    for (size_t length = 60; length < 320; length++) {
        for (size_t i = 0; i < ARRAY_LENGTH(alphabets); i++) {
            struct buffer plain = { 0 };
            struct buffer encoded = { 0 };
            struct buffer decoded = { 0 };
            fill(&plain, (unsigned)length, length, alphabets[i]);
            buffer_append_string(&plain, "\r\nx\r\n");
            quoted_printable_encode(buffer_text(&plain), &encoded);
            assert_lines_fit(buffer_text(&encoded));
            quoted_printable_decode(buffer_text(&encoded), &decoded);
            assert_true(text_equal(buffer_text(&plain), buffer_text(&decoded)));
            buffer_clear(&encoded);
            buffer_clear(&decoded);
            base64_encode_lines(buffer_text(&plain), &encoded);
            assert_lines_fit(buffer_text(&encoded));
            assert_true(base64_decode_lines(buffer_text(&encoded), &decoded));
            assert_true(text_equal(buffer_text(&plain), buffer_text(&decoded)));
            buffer_free(&plain);
            buffer_free(&encoded);
            buffer_free(&decoded);
        }
    }
}

static void wrapping_keeps_the_meaning(void **state)
{
    (void)state;
    for (size_t length = 70; length < 400; length++) {
        for (size_t i = 0; i < ARRAY_LENGTH(alphabets); i++) {
            struct buffer lines = { 0 };
            struct buffer wrapped = { 0 };
            struct buffer before = { 0 };
            struct buffer after = { 0 };
            fill(&lines, (unsigned)length, length, alphabets[i]);
            buffer_append_string(&lines, "=3D=\r\n=41 end \r\n");
            quoted_printable_wrap(buffer_text(&lines), &wrapped);
            quoted_printable_decode(buffer_text(&lines), &before);
            quoted_printable_decode(buffer_text(&wrapped), &after);
            assert_true(text_equal(buffer_text(&before), buffer_text(&after)));
            struct text rest = buffer_text(&wrapped);
            while (rest.length > 0) {
                struct text line = line_content(line_take(&rest));
                assert_true(line.length <= 76);
                assert_false(text_has_8bit(line));
            }
            buffer_free(&lines);
            buffer_free(&wrapped);
            buffer_free(&before);
            buffer_free(&after);
        }
    }
}

static void base64_is_wrapped_as_it_is(void **state)
{
    (void)state;
    struct buffer lines = { 0 };
    struct buffer wrapped = { 0 };
    struct buffer dense = { 0 };
    for (int i = 0; i < 500; i++) {
        buffer_append_string(&lines, i % 7 ? "QUJD" : "QUJD \r\n");
        buffer_append_string(&dense, "QUJD");
    }
    buffer_append_string(&lines, "QQ==");
    buffer_append_string(&dense, "QQ==");
    assert_true(base64_is_clean(buffer_text(&lines)));
    base64_wrap(buffer_text(&lines), &wrapped);
    assert_lines_fit(buffer_text(&wrapped));
    struct text rest = buffer_text(&wrapped);
    size_t at = 0;
    while (rest.length > 0) {
        struct text line = line_content(line_take(&rest));
        assert_memory_equal(line.data, dense.data + at, line.length);
        at += line.length;
    }
    assert_int_equal(at, dense.length);
    assert_false(base64_is_clean(TEXT_LITERAL("QUJD--x")));
    assert_false(base64_decode_lines(TEXT_LITERAL("QUJ"), &wrapped));
    assert_false(base64_decode_lines(TEXT_LITERAL("QUJD!"), &wrapped));
    buffer_free(&lines);
    buffer_free(&wrapped);
    buffer_free(&dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S7: quoted-printable rows", quoted_printable_rows, NULL, NULL,
          NULL },
        { "quoted-printable is decoded leniently", decoding_is_lenient, NULL,
          NULL, NULL },
        { "S7: encoded lines come back", encoded_lines_come_back, NULL, NULL,
          NULL },
        { "S7: wrapping keeps the meaning", wrapping_keeps_the_meaning, NULL,
          NULL, NULL },
        { "S7: base64 is wrapped as it is", base64_is_wrapped_as_it_is, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests_name("tracking/transfer", tests, NULL, NULL);
}
