/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/memory.h"
#include "core/text.h"

static void views_are_cut_within_their_bounds(void **state)
{
    (void)state;
    struct text text = TEXT_LITERAL("abcdef");
    assert_true(text_is(text_slice(text, 1, 3), "bc"));
    assert_true(text_is(text_slice(text, 4, 99), "ef"));
    assert_true(text_is(text_slice(text, 5, 2), ""));
    assert_true(text_is(text_slice(text, 99, 100), ""));
    assert_true(text_is(text_trim(text_of(" \t a b\t ")), "a b"));
    assert_true(text_is(text_trim(text_of(" \t")), ""));
    assert_int_equal(text_of(NULL).length, 0);
    assert_non_null(text_of(NULL).data);
}

static void comparisons(void **state)
{
    (void)state;
    assert_true(text_is(TEXT_LITERAL("ab"), "ab"));
    assert_false(text_is(TEXT_LITERAL("ab"), "aB"));
    assert_false(text_is(TEXT_LITERAL("ab"), "abc"));
    assert_true(text_is_ignoring_case(TEXT_LITERAL("EhLo"), "eHlO"));
    /* "@" and "`", "[" and "{" differ by the same bit as "A" and "a". */
    assert_false(text_is_ignoring_case(TEXT_LITERAL("@["), "`{"));
    assert_true(text_equal((struct text){ NULL, 0 }, text_of("")));
    struct text mail = TEXT_LITERAL("MAIL FROM:<>");
    assert_true(text_starts_with_ignoring_case(mail, "mail from:"));
    assert_false(text_starts_with_ignoring_case(mail, "MAIL FROM:<>x"));
    assert_true(text_ends_with_ignoring_case(mail, ":<>"));
    assert_true(text_ends_with_ignoring_case(mail, ""));
    assert_false(text_ends_with_ignoring_case(mail, "xMAIL FROM:<>"));
}

static void splitting_gives_every_piece(void **state)
{
    (void)state;
    static const char *const pieces[] = { "a", "", "bc" };
    struct text rest = TEXT_LITERAL("a,,bc,");
    struct text piece;
    size_t count = 0;
    while (text_split(&rest, ',', &piece)) {
        assert_true(count < ARRAY_LENGTH(pieces));
        assert_true(text_is(piece, pieces[count++]));
    }
    assert_int_equal(count, ARRAY_LENGTH(pieces));
    assert_int_equal(text_find_byte(TEXT_LITERAL("abc"), 'c'), 2);
    assert_int_equal(text_find_byte(TEXT_LITERAL("abc"), 'x'), 3);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_right;
        uint64_t value;
    } rows[] = {
        { "0", true, 0 },
        { "007", true, 7 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-1", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1x", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t value = 0;
        assert_int_equal(text_to_uint64(text_of(rows[i].text), &value),
                         rows[i].is_right);
        assert_true(value == rows[i].value);
    }
}

static void utf8_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_right;
    } rows[] = {
        { "", true },
        { "plain", true },
        { "caf\xc3\xa9", true },
        { "\xe2\x82\xac", true },
        { "\xf0\x9f\x98\x80", true },
        { "\xf4\x8f\xbf\xbf", true }, /* U+10FFFF */
        { "\xf4\x90\x80\x80", false }, /* beyond */
        { "\xed\x9f\xbf", true },
        { "\xed\xa0\x80", false }, /* a surrogate */
        { "\xc0\xaf", false }, /* overlong "/" */
        { "\xe0\x80\xaf", false },
        { "\xf0\x80\x80\xaf", false },
        { "\xc3", false }, /* cut */
        { "\xe2\x82", false },
        { "\x80", false },
        { "\xc3(", false },
        { "\xff", false },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(text_is_utf8(text_of(rows[i].text)), rows[i].is_right);
    }
    assert_true(text_has_8bit(TEXT_LITERAL("a\xc3")));
    assert_false(text_has_8bit(TEXT_LITERAL("a~")));
}

static void ascii_classes(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        bool is_digit = i >= '0' && i <= '9';
        bool is_upper = i >= 'A' && i <= 'Z';
        bool is_lower = i >= 'a' && i <= 'z';
        assert_int_equal(ascii_is_digit(byte), is_digit);
        assert_int_equal(ascii_is_alnum(byte),
                         is_digit || is_upper || is_lower);
        assert_int_equal(ascii_lower(byte), is_upper ? (char)(i + 32) : byte);
        const char *hex = "0123456789abcdef0123456789ABCDEF";
        const char *found = i != 0 ? strchr(hex, byte) : NULL;
        assert_int_equal(ascii_hex_value(byte),
                         found != NULL ? (found - hex) % 16 : -1);
    }
}

static void a_buffer_grows_and_ends_with_a_nul(void **state)
{
    (void)state;
    struct buffer buffer = { 0 };
    assert_int_equal(buffer_text(&buffer).length, 0);
    for (int i = 0; i < 5000; i++) {
        buffer_append_byte(&buffer, (char)('a' + i % 26));
        assert_int_equal(buffer.data[buffer.length], '\0');
    }
    assert_int_equal(buffer.length, 5000);
    assert_int_equal(buffer.data[4999], 'a' + 4999 % 26);
    buffer_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    buffer_append_string(&buffer, "one");
    buffer_append_text(&buffer, TEXT_LITERAL(" two"));
    buffer_printf(&buffer, " %d %0200d", 3, 4);
    assert_int_equal(buffer.length, 3 + 4 + 3 + 200);
    assert_memory_equal(buffer.data, "one two 3 000", 13);
    buffer_remove_front(&buffer, 4);
    assert_memory_equal(buffer.data, "two", 3);
    assert_int_equal(strlen(buffer.data), buffer.length);
    buffer_remove_front(&buffer, 9999);
    assert_int_equal(buffer.length, 0);
    buffer_free(&buffer);
    assert_null(buffer.data);
    buffer_remove_front(&buffer, 0);
    buffer_clear(&buffer);
    buffer_append(&buffer, NULL, 0);
    buffer_free(&buffer);
}

static void a_buffer_gives_its_memory_away(void **state)
{
    (void)state;
    struct buffer buffer = { 0 };
    char *empty = buffer_take(&buffer);
    assert_string_equal(empty, "");
    memory_free(empty);
    buffer_append_string(&buffer, "mine");
    char *taken = buffer_take(&buffer);
    assert_string_equal(taken, "mine");
    assert_null(buffer.data);
    assert_int_equal(buffer.length, 0);
    memory_free(taken);
}

static void distances(void **state)
{
    static const char far[] =
        "a word that is by far longer than any that is meant";
    (void)state;
    assert_int_equal(text_distance("queue", "queue"), 0);
    assert_int_equal(text_distance("quue", "queue"), 1);
    assert_int_equal(text_distance("queues", "queue"), 1);
    assert_int_equal(text_distance("qeuue", "queue"), 2);
    assert_int_equal(text_distance("", "queue"), 5);
    assert_int_equal(text_distance("queue", ""), 5);
    assert_true(text_distance("queue", far) == SIZE_MAX);
    assert_true(text_distance(far, "queue") > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(views_are_cut_within_their_bounds),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(splitting_gives_every_piece),
        cmocka_unit_test(numbers),
        cmocka_unit_test(utf8_is_read_strictly),
        cmocka_unit_test(ascii_classes),
        cmocka_unit_test(a_buffer_grows_and_ends_with_a_nul),
        cmocka_unit_test(a_buffer_gives_its_memory_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
