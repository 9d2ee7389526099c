/* SPDX-License-Identifier: MIT */
#include "tracking/encoded_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static const struct {
    const char *value;
    const char *text;
} texts[] = {
    { "", "" },
    { " plain\r\n text ", "plain text" },
    { "=?utf-8?Q?Caf=C3=A9_=3D?=", "Caf\xc3\xa9 =" },
    { "=?US-ASCII*en-GB?Q?colour?=", "colour" },
    { "=?iso-8859-1?q?Caf=e9?=", "Caf\xc3\xa9" },
    { "=?utf-8?B?Q2Fmw6k=?=", "Caf\xc3\xa9" },
    { "=?utf-8?B?Q2Fmw6k?=", "Caf\xc3\xa9" },
    { "=?utf-8?B?*?=", "\x1a" },
    { "=?utf-8?Q?a=00b?=", "a\x1a"
                           "b" },
    { "=?x-moon?Q?a?= b", "\x1a b" },
    /* RFC 2047, 8. */
    { "=?ISO-8859-1?Q?a?= b", "a b" },
    { "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab" },
    { "=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab" },
    { "=?ISO-8859-1?Q?a_b?=", "a b" },
    { "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b" },
    { "x=?utf-8?Q?a?=y", "xay" },
    { "=?utf-8?Q?a?= =?utf-8?Q?b", "a =?utf-8?Q?b" },
    { "=?utf-8?Q?a?=  \r\n", "a" },
    /* No words. */
    { "=?utf-8?Q?a", "=?utf-8?Q?a" },
    { "=?utf-8?Q?a?", "=?utf-8?Q?a?" },
    { "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
    { "=?utf-8?Qa?=", "=?utf-8?Qa?=" },
    { "=??Q?a?=", "=??Q?a?=" },
    { "=?ut f-8?Q?a?=", "=?ut f-8?Q?a?=" },
    { "=?utf-8?Q?a\r\n b?=", "=?utf-8?Q?a b?=" },
    { "=?", "=?" },
    { "=?=?=?utf-8?Q?a?=", "=?=?a" },
    { "a\rb\r", "a\rb\r" },
};

static void test_texts(void **state)
{
    struct arena *arena = arena_create();
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        assert_string_equal(encoded_text_decode(arena, text_of(texts[i].value)),
                            texts[i].text);
    }
    arena_free(&arena);
}

static void test_pieces_cover_the_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct encoded_reader reader = { .rest = text_of(texts[i].value) };
        struct encoded_piece piece;
        struct buffer all = { 0 };
        while (encoded_reader_next(&reader, &piece)) {
            assert_int_not_equal(piece.source.length, 0);
            buffer_append_text(&all, piece.source);
        }
        assert_true(text_is(buffer_text(&all), texts[i].value));
        buffer_free(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_pieces_cover_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
