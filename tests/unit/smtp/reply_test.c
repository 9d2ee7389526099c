/* SPDX-License-Identifier: MIT */
/* Tests of smtp/reply.c. */
#include "smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

struct reading {
    const char *lines[4];
    enum smtp_reply_progress end; /* of the last line */
    int code;
    const char *enhanced;
    const char *text;
};

static const struct reading readings[] = {
    { { "250 2.1.5 Ok" }, REPLY_COMPLETE, 250, "2.1.5", "Ok" },
    { { "250 Ok" }, REPLY_COMPLETE, 250, "", "Ok" },
    { { "250" }, REPLY_COMPLETE, 250, "", "" },
    { { "250 " }, REPLY_COMPLETE, 250, "", "" },
    { { "250-a", "250-b", "250 c" }, REPLY_COMPLETE, 250, "", "a\nb\nc" },
    { { "250-a", "250" }, REPLY_COMPLETE, 250, "", "a\n" },
    { { "550-5.7.1 first", "550 5.7.1 second" },
      REPLY_COMPLETE,
      550,
      "5.7.1",
      "first\nsecond" },
    { { "550-5.7.1 first", "550 5.7.2 second" },
      REPLY_COMPLETE,
      550,
      "5.7.1",
      "first\n5.7.2 second" },
    { { "550 5.1.1" }, REPLY_COMPLETE, 550, "5.1.1", "" },
    { { "550 4.1.1 other class" },
      REPLY_COMPLETE,
      550,
      "",
      "4.1.1 other class" },
    { { "550 5.1.1234 x" }, REPLY_COMPLETE, 550, "", "5.1.1234 x" },
    { { "550 5.1. x" }, REPLY_COMPLETE, 550, "", "5.1. x" },
    { { "550 5.7.1: x" }, REPLY_COMPLETE, 550, "", "5.7.1: x" },
    { { "550 \x1b[31m\xc3\xa4\t" }, REPLY_COMPLETE, 550, "", "?[31m???" },
    { { "250-a", "550 b" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "25" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "2500 x" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "hello" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "150 x" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "600 x" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "260 x" }, REPLY_MALFORMED, 0, NULL, NULL },
    { { "250_x" }, REPLY_MALFORMED, 0, NULL, NULL },
};

static void lines_become_a_reply(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(readings); i++) {
        const struct reading *row = &readings[i];
        struct smtp_reply_reader reader;
        enum smtp_reply_progress progress = REPLY_MORE;
        smtp_reply_reader_reset(&reader);
        for (size_t k = 0; k < 4 && row->lines[k] != NULL; k++) {
            assert_int_equal(progress, REPLY_MORE);
            progress = smtp_reply_read(&reader, text_of(row->lines[k]));
        }
        assert_int_equal(progress, row->end);
        if (progress == REPLY_COMPLETE) {
            assert_int_equal(reader.reply.code, row->code);
            assert_string_equal(reader.reply.enhanced, row->enhanced);
            assert_string_equal(reader.reply.text, row->text);
        }
    }
}

static void endless_replies_end(void **state)
{
    struct smtp_reply_reader reader = { 0 };
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(smtp_reply_read(&reader, TEXT_LITERAL("250-x")),
                         REPLY_MORE);
    }
    assert_int_equal(smtp_reply_read(&reader, TEXT_LITERAL("250 x")),
                     REPLY_TOO_LONG);

    char *line = memory_alloc(600000);
    memset(line, 'x', 600000);
    memcpy(line, "250-", 4);
    smtp_reply_reader_reset(&reader);
    struct text text = { line, 600000 };
    assert_int_equal(smtp_reply_read(&reader, text), REPLY_MORE);
    assert_int_equal(strlen(reader.reply.text), SMTP_REPLY_TEXT_MAX - 1);
    assert_int_equal(smtp_reply_read(&reader, text), REPLY_TOO_LONG);
    memory_free(line);
}

static void replies_are_printed_in_one_line(void **state)
{
    struct smtp_reply reply;
    struct buffer text = { 0 };
    (void)state;
    smtp_reply_set(&reply, 550, "5.1.1", "No %s\nhere\r\x80", "user");
    smtp_reply_print(&reply, &text);
    assert_string_equal(text.data, "550 5.1.1 No user here??");
    buffer_clear(&text);
    smtp_reply_set(&reply, 250, "", "%s", "");
    smtp_reply_print(&reply, &text);
    assert_string_equal(text.data, "250");
    buffer_free(&text);
}

static void replies_go_over_the_wire_as_lines(void **state)
{
    struct smtp_reply reply;
    struct buffer wire = { 0 };
    (void)state;
    smtp_reply_set(&reply, 550, "5.1.1", "first\nsecond");
    smtp_reply_append_wire(&reply, &wire);
    assert_string_equal(wire.data, "550-5.1.1 first\r\n550 5.1.1 second\r\n");
    buffer_clear(&wire);
    smtp_reply_set(&reply, 354, "", "Go");
    smtp_reply_append_wire(&reply, &wire);
    assert_string_equal(wire.data, "354 Go\r\n");
    buffer_clear(&wire);
    smtp_reply_set(&reply, 334, "", "%s", "");
    smtp_reply_append_wire(&reply, &wire);
    assert_string_equal(wire.data, "334 \r\n");
    buffer_free(&wire);
}

static void no_line_on_the_wire_is_over_long(void **state)
{
    struct smtp_reply reply;
    struct smtp_reply_reader reader = { 0 };
    struct buffer wire = { 0 };
    char words[1001];
    struct text line;
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        words[i] = i % 7 == 6 ? ' ' : 'w';
    }
    words[1000] = '\0';
    smtp_reply_set(&reply, 550, "5.1.1", "%s", words);
    smtp_reply_append_wire(&reply, &wire);
    struct text rest = buffer_text(&wire);
    size_t count = 0;
    while (text_split(&rest, '\n', &line)) {
        assert_true(line.length + 1 <= 512);
        assert_int_equal(line.data[line.length - 1], '\r');
        (void)smtp_reply_read(&reader, text_slice(line, 0, line.length - 1));
        count++;
    }
    assert_int_equal(count, 3);
    assert_int_equal(reader.reply.code, 550);
    buffer_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S15: lines become a reply", lines_become_a_reply, NULL, NULL, NULL },
        { "S15: endless replies end", endless_replies_end, NULL, NULL, NULL },
        cmocka_unit_test(replies_are_printed_in_one_line),
        cmocka_unit_test(replies_go_over_the_wire_as_lines),
        cmocka_unit_test(no_line_on_the_wire_is_over_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
