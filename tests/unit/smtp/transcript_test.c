/* SPDX-License-Identifier: MIT */
/* Tests of smtp/transcript.c. */
#include "smtp/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The lines without their times. */
static void assert_lines(const struct transcript *transcript,
                         const char *expected)
{
    struct buffer found = { 0 };
    struct text rest = buffer_text(&transcript->lines);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        assert_int_equal(line.data[0], '+');
        size_t blank = text_find_byte(line, ' ');
        assert_int_equal(line.data[blank - 4], '.');
        buffer_append_text(&found, text_slice(line, blank + 1, line.length));
        buffer_append_byte(&found, '\n');
    }
    assert_string_equal(found.data, expected);
    buffer_free(&found);
}

static void both_directions_are_recorded(void **state)
{
    struct transcript transcript = { 0 };
    (void)state;
    transcript_start(&transcript);
    transcript_received(&transcript, TEXT_LITERAL("NOOP"));
    transcript_sent(&transcript, TEXT_LITERAL("250 2.0.0 Ok"));
    transcript_remark(&transcript, "message of %d octets", 42);
    assert_lines(&transcript,
                 "< NOOP\n> 250 2.0.0 Ok\n= message of 42 octets\n");
    transcript_start(&transcript);
    assert_int_equal(transcript.lines.length, 0);
    transcript_free(&transcript);
}

static void control_bytes_forge_no_line(void **state)
{
    struct transcript transcript = { 0 };
    (void)state;
    transcript_start(&transcript);
    transcript_received(&transcript, TEXT_LITERAL("a\n+0.0 > 250\x1b\x7f\0b"));
    assert_lines(&transcript, "< a?+0.0 > 250???b\n");
    transcript_free(&transcript);
}

static void it_is_bounded(void **state)
{
    struct transcript transcript = { 0 };
    (void)state;
    transcript_start(&transcript);
    for (int i = 0; i < 5000; i++) {
        transcript_received(&transcript, TEXT_LITERAL("NOOP again"));
    }
    assert_true(transcript.is_full);
    assert_true(transcript.lines.length <= TRANSCRIPT_BYTES_MAX);
    assert_true(transcript.lines.length > TRANSCRIPT_BYTES_MAX / 2);
    assert_non_null(strstr(transcript.lines.data, "cut here"));
    transcript_free(&transcript);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_are_recorded),
        cmocka_unit_test(control_bytes_forge_no_line),
        cmocka_unit_test(it_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
