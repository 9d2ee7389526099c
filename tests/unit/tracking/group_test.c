/* SPDX-License-Identifier: MIT */
#include "tracking/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/encoded_word.h"

#define TEN "0123456789"
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
    const char *value;
    const char *name; /* NULL: it names none */
    const char *rest;
} subjects[] = {
    /* Its charset has no such escape: what is left would read differently. */
    { " =?IS=?ISO-2022-JP?B?GyR7WH0=?=", NULL, NULL },
    /* Plain, and folded. */
    { " Savings For Today{Daily_Alert}", "Daily_Alert", " Savings For Today" },
    { " Your order {Receipts}", "Receipts", " Your order" },
    { " Your order\t{ Password reset } \t", "Password reset", " Your order" },
    { "Your order {A}", "A", "Your order" },
    { " {Receipts}", "Receipts", "" },
    { "\r\n {Receipts}", "Receipts", "" },
    { " Your\r\n order\r\n {Receipts}", "Receipts", " Your\r\n order" },
    { " Your\r\n\torder {Daily\r\n\tAlert}\r\n ", "Daily Alert",
      " Your\r\n\torder" },
    { " a } b {X}", "X", " a } b" },
    { " a { b {X}", "X", " a { b" },
    { " {a} {X}", "X", " {a}" },
    { " caf\xc3\xa9 {Gr\xc3\xbc\xc3\x9f"
      "e}",
      "Gr\xc3\xbc\xc3\x9f"
      "e",
      " caf\xc3\xa9" },
    { " \xff {X}", "X", " \xff" },
    { " a {" NINETY TEN "}", NINETY TEN, " a" },
    /* R8, and other encoded words. */
    { " =?utf-8?Q?Savings_For_Today{Daily_Alert}?=", "Daily Alert",
      " =?utf-8?Q?Savings_For_Today?=" },
    { " =?UTF-8*en?q?=43af=C3=A9_=7BDaily=5FAlert=7D?=", "Daily_Alert",
      " =?UTF-8*en?q?=43af=C3=A9?=" },
    { " =?utf-8?Q?Savings For Today {X}?=", "X",
      " =?utf-8?Q?Savings For Today?=" },
    { " =?utf-8?B?U2F2aW5nc3tEYWlseX0=?=", "Daily",
      " =?utf-8?B?U2F2aW5ncw==?=" },
    { " =?utf-8?b?U2F2aW5nc3tEYWlseX0?=", "Daily",
      " =?utf-8?b?U2F2aW5ncw==?=" },
    { " =?utf-8?Q?Hello?= {X}", "X", " =?utf-8?Q?Hello?=" },
    { " =?utf-8?Q?Hello?= =?utf-8?Q?_{X}?=", "X", " =?utf-8?Q?Hello?=" },
    { " =?utf-8?Q?Hello_?=\r\n =?utf-8?Q?{X}?=", "X", " =?utf-8?Q?Hello?=" },
    { " =?utf-8?Q?Hello_?=\r\n =?utf-8?Q?_?= =?utf-8?Q?{X}?=", "X",
      " =?utf-8?Q?Hello?=" },
    { " =?utf-8?Q?Hello_{Da?=\r\n =?utf-8?B?aWx5?=\r\n\t=?us-ascii?q?_Alert}?=",
      "Daily Alert", " =?utf-8?Q?Hello?=" },
    { " =?utf-8?Q?a?=\r\n =?utf-8?Q?b{?= =?utf-8?Q?X?= =?utf-8?Q?}?=", "X",
      " =?utf-8?Q?a?=\r\n =?utf-8?Q?b?=" },
    { " Hello {=?utf-8?Q?Gr=C3=BC=C3=9Fe?=}",
      "Gr\xc3\xbc\xc3\x9f"
      "e",
      " Hello" },
    { " =?utf-8?Q?{X}?=", "X", "" },
    { " a =?utf-8?Q?{X}?=", "X", " a" },
    { " =?utf-8?Q?a{Gr=C3?= =?utf-8?Q?=BC}?=", "Gr\xc3\xbc", " =?utf-8?Q?a?=" },
    { " =?utf-8?Q?Caf=E9{X}?=", "X", " =?utf-8?Q?Caf=E9?=" },
    { " =?utf-8?Q?50=_off=x{X}?=", "X", " =?utf-8?Q?50=_off=x?=" },
    { " =?x-moon?Q?a?= {X}", "X", " =?x-moon?Q?a?=" },
    /* Charsets. */
    { " =?iso-8859-1?Q?Caf=E9_{Gr=FC=DFe}?=",
      "Gr\xc3\xbc\xc3\x9f"
      "e",
      " =?iso-8859-1?Q?Caf=E9?=" },
    { " =?windows-1252?Q?=80_{X}?=", "X", " =?windows-1252?Q?=80?=" },
    { " =?Shift_JIS?B?g3uDfXtYfQ==?=", "X", " =?Shift_JIS?B?g3uDfQ==?=" },
    { " =?gb2312?B?1tDOxHu6xX0=?=", "\xe5\x8f\xb7", " =?gb2312?B?1tDOxA==?=" },
    { " =?ISO-2022-JP?B?GyRCRnxLXBsoQiB7WH0=?=", "X",
      " =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=" },
    { " =?UTF-16BE?B?AEEAewBYAH0=?=", "X", " =?UTF-16BE?B?AEE=?=" },
    { " =?UTF-16LE?B?QQB7AFgAfQA=?=", "X", " =?UTF-16LE?B?QQA=?=" },
    /* The brace is within the shifted text: the word goes to UTF-8. */
    { " =?utf-7?Q?+AOkAewBYAH0-?=", "X", " =?utf-8?Q?=C3=A9?=" },
    { " =?utf-7?Q?+-{X}?=", "X", " =?utf-7?Q?+-?=" },

    /* None. */
    { "", NULL, NULL },
    { " ", NULL, NULL },
    { " Your order", NULL, NULL },
    { " Your order {}", NULL, NULL },
    { " Your order { \t}", NULL, NULL },
    { " Your order {\r\n }", NULL, NULL },
    { " Your order Receipts}", NULL, NULL },
    { " Your order {Receipts", NULL, NULL },
    { " Your {Receipts} order", NULL, NULL },
    { " Your order {Receipts}.", NULL, NULL },
    { " Hello {{name}}", NULL, NULL },
    { " a {b{c}}", NULL, NULL },
    { " a {b}}", NULL, NULL },
    { " a {b} c}", NULL, NULL },
    { " a {" NINETY TEN "1}", NULL, NULL },
    { " a {b\x01}", NULL, NULL },
    { " a {b\x7f}", NULL, NULL },
    { " a {b\xc2\x85}", NULL, NULL },
    { " a {b\xff}", NULL, NULL },
    { " =?utf-8?Q?a{b=00}?=", NULL, NULL },
    { " =?utf-8?Q?a{b=0D=0Ac}?=", NULL, NULL },
    { " =?utf-8?Q?a{b=FF}?=", NULL, NULL },
    { " =?utf-8?Q?{X}_order?=", NULL, NULL },
    { " =?utf-8?Q?order?=", NULL, NULL },
    { " =?utf-8?X?order{X}?=", NULL, NULL },
    { " =?x-moon?Q?order{X}?=", NULL, NULL },
    { " a {=?x-moon?Q?X?=}", NULL, NULL },
    { " =?Shift_JIS?B?g3uDfQ==?=", NULL, NULL },
    { " =?utf-8?B?*?= {", NULL, NULL },
};

static void test_subjects(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++) {
        struct arena *arena = arena_create();
        struct group_subject subject;
        /* On the heap and not NUL-terminated, so that reading behind it is
         * seen. */
        size_t length = strlen(subjects[i].value);
        char *bytes = memory_alloc(length + 1);
        memcpy(bytes + 1, subjects[i].value, length);
        bool is_found = group_from_subject((struct text){ bytes + 1, length },
                                           arena, &subject);
        if (is_found != (subjects[i].name != NULL)) {
            fail_msg("row %zu: \"%s\" %s", i, subjects[i].value,
                     is_found ? subject.name : "names none");
        }
        if (is_found) {
            assert_string_equal(subject.name, subjects[i].name);
            assert_string_equal(arena_copy_text(arena, subject.value),
                                subjects[i].rest);
        }
        memory_free(bytes);
        arena_free(&arena);
    }
}

static void test_long_subject(void **state)
{
    struct arena *arena = arena_create();
    struct buffer value = { 0 };
    struct group_subject subject;
    (void)state;
    while (value.length < 16000) {
        buffer_append_string(&value, "\r\n =?utf-8?Q?again_and_again?=");
    }
    size_t length = value.length;
    buffer_append_string(&value, "\r\n =?utf-8?Q?_{X}?=");
    assert_true(group_from_subject(buffer_text(&value), arena, &subject));
    assert_int_equal(subject.value.length, length);
    assert_ptr_equal(subject.value.data, value.data);
    while (value.length <= 16384) {
        buffer_append_string(&value, "\r\n {X}");
    }
    assert_false(group_from_subject(buffer_text(&value), arena, &subject));
    buffer_free(&value);
    arena_free(&arena);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        const char *problem;
    } rows[] = {
        { "Receipts", NULL },
        { "Passwort zur\xc3\xbc"
          "ck",
          NULL },
        { "", "the name is empty" },
        { " \t", "the name is empty" },
        { NINETY TEN, NULL },
        { NINETY TEN "1", "the name is longer than 100 bytes" },
        { "a\xc3", "the name is not UTF-8" },
        { "a\nb", "the name has control characters" },
        { "{}", "{} stands for messages without a group" },
        { "{a}", NULL },
        { "a\xc2\x9f", "the name has control characters" },
        { "a\xc2\xa0"
          "b",
          NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *problem = group_name_problem(rows[i].name);
        if (rows[i].problem == NULL) {
            assert_null(problem);
        } else {
            assert_non_null(problem);
            assert_string_equal(problem, rows[i].problem);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "R8: the group at the end of a Subject", test_subjects, NULL, NULL,
          NULL },
        cmocka_unit_test(test_long_subject),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
