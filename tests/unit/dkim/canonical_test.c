/* SPDX-License-Identifier: MIT */
/* Each body is given whole and byte by byte. The last test takes the messages
 * of the corpora (BATON_CORPORA, or ../shared/corpora beside the source
 * directory). */
#include "dkim/canonical.h"

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

#include "core/memory.h"
#include "tests/unit/corpora.h"

static void collect(void *owner, struct text piece)
{
    buffer_append_text(owner, piece);
}

static void add_body(struct text bytes, enum canonical_form form, size_t step,
                     struct buffer *out)
{
    struct canonical_body body;
    canonical_body_begin(&body, form, collect, out);
    for (size_t at = 0; at < bytes.length; at += step) {
        size_t end = at + step < bytes.length ? at + step : bytes.length;
        canonical_body_add(&body, text_slice(bytes, at, end));
    }
    canonical_body_end(&body);
}

static void check_body(const char *bytes, enum canonical_form form,
                       const char *expected)
{
    static const size_t steps[] = { 100000, 1, 2, 3 };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct buffer out = { 0 };
        add_body(text_of(bytes), form, steps[i], &out);
        assert_int_equal(out.length, strlen(expected));
        assert_memory_equal(out.length > 0 ? out.data : "", expected,
                            out.length);
        buffer_free(&out);
    }
}

static void bodies(void **state)
{
    static const struct {
        const char *bytes;
        const char *simple;
        const char *relaxed;
    } rows[] = {
        /* RFC 6376, 3.4.5 */
        { " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
        { "", "\r\n", "" },
        { "\r\n", "\r\n", "" },
        { "\r\n\r\n", "\r\n", "" },
        { " \t\r\n", " \t\r\n", "" },
        { " \t", " \t\r\n", "" },
        { "a", "a\r\n", "a\r\n" },
        { "a\r\n", "a\r\n", "a\r\n" },
        { "a \r\n \r\n\t\r\n", "a \r\n \r\n\t\r\n", "a\r\n" },
        { "a\r\n\r\n\r\nb", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n" },
        { "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n" },
        { " a", " a\r\n", " a\r\n" },
        /* What is no line end is a byte like others. */
        { "a\rb\nc\r\r\n", "a\rb\nc\r\r\n", "a\rb\nc\r\r\n" },
        { "a\r", "a\r\r\n", "a\r\r\n" },
        { "a \r \r\n", "a \r \r\n", "a \r\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_body(rows[i].bytes, CANONICAL_SIMPLE, rows[i].simple);
        check_body(rows[i].bytes, CANONICAL_RELAXED, rows[i].relaxed);
    }
}

static void long_lines_are_whole(void **state)
{
    struct buffer bytes = { 0 };
    struct buffer out = { 0 };
    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        buffer_append_byte(&bytes, (char)('a' + i % 26));
    }
    buffer_append_string(&bytes, "\r\n");
    add_body(buffer_text(&bytes), CANONICAL_RELAXED, 7000, &out);
    assert_true(text_equal(buffer_text(&bytes), buffer_text(&out)));
    buffer_free(&bytes);
    buffer_free(&out);
}

static void fields(void **state)
{
    static const struct {
        const char *field;
        const char *relaxed;
    } rows[] = {
        { "A: X\r\n", "a:X\r\n" }, /* RFC 6376, 3.4.5 */
        { "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
        { "SUBJect:\t\r\n\r\n", "subject:\r\n" },
        { "From: a  <a@b>\r\n", "from:a <a@b>\r\n" },
        { "X:\r\n a\r\n  b\r\n", "x:a b\r\n" },
        { "X:a: b\r\n", "x:a: b\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer out = { 0 };
        canonical_field(text_of(rows[i].field), CANONICAL_RELAXED, &out);
        assert_string_equal(out.data, rows[i].relaxed);
        buffer_clear(&out);
        canonical_field(text_of(rows[i].field), CANONICAL_SIMPLE, &out);
        assert_string_equal(out.data, rows[i].field);
        buffer_free(&out);
    }
}

/* --- the corpora --- */

/* With CRLF, whatever the file has. */
static void read_message(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    int byte;
    int last = 0;
    assert_non_null(file);
    while ((byte = getc(file)) != EOF) {
        if (byte == '\n' && last != '\r') {
            buffer_append_byte(out, '\r');
        }
        buffer_append_byte(out, (char)byte);
        last = byte;
    }
    assert_int_equal(fclose(file), 0);
}

/* Cut one field with its folds off; false at the end of the header. */
static bool take_field(struct text *rest, struct text *out_field)
{
    size_t end = 0;
    if (rest->length == 0 || rest->data[0] == '\r') {
        return false;
    }
    do {
        struct text line = text_slice(*rest, end, rest->length);
        end += text_find_byte(line, '\n') + 1;
    } while (end < rest->length &&
             (rest->data[end] == ' ' || rest->data[end] == '\t'));
    *out_field = text_slice(*rest, 0, end);
    *rest = text_slice(*rest, end, rest->length);
    return true;
}

static void check_message(const char *folder, const char *number,
                          enum canonical_form form, const char *name)
{
    char path[1000];
    struct buffer message = { 0 };
    struct buffer expected = { 0 };
    struct buffer out = { 0 };
    struct text field;
    snprintf(path, sizeof(path), "%s/email.%s", folder, number);
    read_message(path, &message);
    snprintf(path, sizeof(path), "%s/%s.expected.%s", folder, name, number);
    read_message(path, &expected);
    struct text rest = buffer_text(&message);
    while (take_field(&rest, &field)) {
        canonical_field(field, form, &out);
    }
    assert_true(rest.length >= 2);
    buffer_append_string(&out, "\r\n");
    add_body(text_slice(rest, 2, rest.length), form, 5, &out);
    assert_string_equal(out.data, expected.data);
    buffer_free(&message);
    buffer_free(&expected);
    buffer_free(&out);
}

static void corpora_hold(void **state)
{
    char folder[CORPORA_PATH_SIZE];
    (void)state;
    corpora_find("dkim-vectors/canon", folder);
    char pattern[CORPORA_PATH_SIZE + 16];
    glob_t messages;
    snprintf(pattern, sizeof(pattern), "%s/email.*", folder);
    assert_int_equal(glob(pattern, 0, NULL, &messages), 0);
    for (size_t i = 0; i < messages.gl_pathc; i++) {
        const char *number = strrchr(messages.gl_pathv[i], '.') + 1;
        check_message(folder, number, CANONICAL_SIMPLE, "simple");
        check_message(folder, number, CANONICAL_RELAXED, "relaxed");
    }
    globfree(&messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(long_lines_are_whole),
        cmocka_unit_test(fields),
        cmocka_unit_test(corpora_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
