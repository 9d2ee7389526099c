/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/tracking/arena_fixture.h"
#include "tracking/header.h"

static const struct header_limits limits = { 4096, 10 };

static bool parse(void **state, const char *message, struct header *header,
                  struct error *error)
{
    return header_parse(text_of(message), &limits, *state, header, error);
}

static void spans_cover_the_header(void **state)
{
    static const char message[] = "Received: by a\r\n\tfor b;\r\n c\r\n"
                                  "Subject : one\r\n"
                                  "X-Empty:\r\n"
                                  "subject:two\r\n"
                                  "\r\n"
                                  "body\r\n\r\nmore\r\n";
    struct header header;
    struct error error;
    assert_true(parse(state, message, &header, &error));
    assert_int_equal(header.field_count, 4);
    assert_true(header.has_separator);
    assert_true(text_is(header.body, "body\r\n\r\nmore\r\n"));
    size_t length = 0;
    for (size_t i = 0; i < header.field_count; i++) {
        assert_ptr_equal(header.fields[i].whole.data, message + length);
        length += header.fields[i].whole.length;
    }
    assert_int_equal(length, header.whole.length);
    assert_true(text_is(header.fields[0].value, " by a\r\n\tfor b;\r\n c"));
    assert_true(text_is(header.fields[1].name, "Subject"));
    assert_true(text_is(header.fields[1].value, " one"));
    assert_true(text_is(header.fields[2].value, ""));
    assert_int_equal(header_count(&header, "SUBJECT"), 2);
    assert_ptr_equal(header_find(&header, "Subject"), &header.fields[1]);
    assert_null(header_find(&header, "Date"));
    assert_string_equal(header_unfold(*state, header.fields[0].value),
                        "by a\tfor b; c");
}

static void ends_without_an_empty_line(void **state)
{
    struct header header;
    struct error error;
    assert_true(parse(state, "A: b\r\n", &header, &error));
    assert_false(header.has_separator);
    assert_int_equal(header.body.length, 0);
    assert_true(parse(state, "A: b", &header, &error));
    assert_true(text_is(header.fields[0].value, " b"));
    assert_true(parse(state, "\r\nbody", &header, &error));
    assert_int_equal(header.field_count, 0);
    assert_true(text_is(header.body, "body"));
    assert_true(parse(state, "", &header, &error));
    assert_int_equal(header.field_count, 0);
}

static void malformed_headers_are_named(void **state)
{
    static const struct {
        const char *message;
        const char *said;
    } rows[] = {
        { "From a@b Mon Jan 1\r\nA: b\r\n\r\n", "mailbox file" },
        { " A: b\r\n\r\n", "white space" },
        { "A: b\r\nno colon\r\n\r\n", "Line 2" },
        { "A: b\r\n c\r\nbad name: x\r\n\r\n", "Line 3" },
        { ": x\r\n\r\n", "Line 1" },
        { "A: b\r\nSch\xc3\xb6n: x\r\n\r\n", "Line 2" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct header header;
        struct error error;
        assert_false(parse(state, rows[i].message, &header, &error));
        assert_false(header.exceeds_limits);
        assert_non_null(strstr(error.text, rows[i].said));
    }
}

static void limits_hold(void **state)
{
    struct header header;
    struct error error;
    struct buffer message = { 0 };
    for (size_t i = 0; i < limits.field_count_max; i++) {
        buffer_append_string(&message, "A: b\r\n");
    }
    assert_true(parse(state, message.data, &header, &error));
    buffer_append_string(&message, "A: b\r\n");
    assert_false(parse(state, message.data, &header, &error));
    assert_true(header.exceeds_limits);
    buffer_clear(&message);
    buffer_append_string(&message, "A: b\r\n");
    while (message.length < limits.size_bytes_max) {
        buffer_append_string(&message, " folded and folded\r\n");
    }
    assert_false(parse(state, message.data, &header, &error));
    assert_true(header.exceeds_limits);
    buffer_free(&message);
}

static void address_lists_are_read(void **state)
{
    static const struct {
        const char *value;
        const char *expected; /* joined by blanks; NULL: malformed */
    } rows[] = {
        { " a@b.example", "a@b.example" },
        { "Ann B. Lee <a@b.example>", "a@b.example" },
        { "\"Lee, \\\"Ann\\\" <x@y>\" <a@b>", "a@b" },
        { "a@b, C <c@d>,\r\n e@f", "a@b c@d e@f" },
        { "team: a@b, C <c@d>;, e@f", "a@b c@d e@f" },
        { "undisclosed-recipients:;", "" },
        { "", "" },
        { ",, a@b,,", "a@b" },
        { "a (comment (nested \\) more)) @ b . example", "a@b.example" },
        { "\"a b\"@c", "\"a b\"@c" },
        { "\"a@b\"@c", "\"a@b\"@c" },
        { "a@[192.0.2.1]", "a@[192.0.2.1]" },
        { "<@x,@y:a@b>", "a@b" },
        { "john@x.example <a@b>", "a@b" },
        { "=?utf-8?q?J=C3=B6rg?= <j@b>", "j@b" },
        { "J\xc3\xb6rg <j\xc3\xb6rg@b>", "j\xc3\xb6rg@b" },
        { "a..b.@docomo.example", "a..b.@docomo.example" },
        { "Ann", NULL },
        { "Ann Lee", NULL },
        { "a b@c", NULL },
        { "a@b@c", NULL },
        { "@b", NULL },
        { "a@", NULL },
        { "a@.b", NULL },
        { "a@b..c", NULL },
        { "<>", NULL },
        { "Ann <>", NULL },
        { "<a@b", NULL },
        { "a@b>", NULL },
        { "<a@b> <c@d>", NULL },
        { "<a@b> c@d", NULL },
        { "<a@b, c@d>", NULL },
        { "\"open <a@b>", NULL },
        { "(open a@b", NULL },
        { "a@b)", NULL },
        { "team: a@b", NULL },
        { "a@b;", NULL },
        { "x: y: a@b;;", NULL },
        { "[1]@b", NULL },
        { "a@\"b\"", NULL },
        { "a\x01@b", NULL },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char **addresses = NULL;
        size_t count = 0;
        struct error error = { "" };
        bool is_read = header_addresses(*state, text_of(rows[i].value),
                                        &addresses, &count, &error);
        struct buffer joined = { 0 };
        buffer_append_string(&joined, "");
        for (size_t j = 0; is_read && j < count; j++) {
            buffer_printf(&joined, "%s%s", j > 0 ? " " : "", addresses[j]);
        }
        if (is_read != (rows[i].expected != NULL)) {
            fail_msg("%s: %s", rows[i].value, error.text);
        }
        if (is_read) {
            assert_string_equal(joined.data, rows[i].expected);
        } else {
            assert_true(error.text[0] != '\0');
        }
        buffer_free(&joined);
    }
}

/* A hundred thousand levels must neither recurse nor take squares of time. */
static void nesting_is_cheap(void **state)
{
    struct buffer value = { 0 };
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&value, '(');
    }
    char **addresses;
    size_t count;
    struct error error;
    assert_false(header_addresses(*state, buffer_text(&value), &addresses,
                                  &count, &error));
    buffer_free(&value);
}

#define ROW(name, function)                            \
    {                                                  \
        name, function, create_arena, free_arena, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("spans cover the header", spans_cover_the_header),
        ROW("ends without an empty line", ends_without_an_empty_line),
        ROW("F2: malformed headers are named", malformed_headers_are_named),
        ROW("F13: limits hold", limits_hold),
        ROW("RFC 5322 3.4: address lists", address_lists_are_read),
        ROW("F13: nesting is cheap", nesting_is_cheap),
    };
    return cmocka_run_group_tests_name("tracking/header", tests, NULL, NULL);
}
