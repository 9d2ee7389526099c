/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"

static char captured[65536];
static int kept_stderr;
static int capture;

static void begin_capture(void)
{
    kept_stderr = dup(STDERR_FILENO);
    capture = memfd_create("log", 0);
    dup2(capture, STDERR_FILENO);
}

/* What was logged since, from behind the time on. */
static const char *end_capture(void)
{
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    ssize_t length = pread(capture, captured, sizeof(captured) - 1, 0);
    close(capture);
    assert_true(length >= 0);
    captured[length] = '\0';
    const char *level = strstr(captured, "level");
    return level ? level : captured;
}

static void a_line_carries_its_contexts(void **state)
{
    (void)state;
    struct log_context session;
    struct log_context message;
    log_context_set(&session, NULL, "session=%d peer=%s", 7, "192.0.2.1");
    log_context_set(&message, &session, "message=%d", 42);
    begin_capture();
    log_info(&message, "recipient accepted", "recipient=%s size=%d", "a@b", 3);
    assert_string_equal(end_capture(),
                        "level=info session=7 peer=192.0.2.1 message=42 "
                        "event=\"recipient accepted\" recipient=a@b size=3\n");
    assert_memory_equal(captured, "time=2", 6);
    begin_capture();
    log_warning(NULL, "alone", "");
    assert_string_equal(end_capture(), "level=warning event=\"alone\"\n");
}

static void levels_are_kept_apart(void **state)
{
    (void)state;
    enum log_level level;
    assert_true(log_level_parse("Warning", &level));
    assert_int_equal(level, LOG_WARNING);
    assert_false(log_level_parse("loud", &level));
    log_configure(LOG_WARNING, false);
    begin_capture();
    log_info(NULL, "hidden", "");
    log_debug(NULL, "hidden", "");
    log_error(NULL, "shown", "");
    assert_string_equal(end_capture(), "level=error event=\"shown\"\n");
    log_configure(LOG_DEBUG, false);
    begin_capture();
    log_debug(NULL, "shown", "count=%d", 1);
    assert_string_equal(end_capture(), "level=debug event=\"shown\" count=1\n");
}

static void a_value_cannot_forge_a_line(void **state)
{
    (void)state;
    const char *hostile = "x\r\nlevel=error\x1b[31m \xc2\x9b\x7f";
    begin_capture();
    log_info(NULL, "reply", "raw=%s", hostile);
    assert_string_equal(end_capture(),
                        "level=info event=\"reply\" raw=x\\r\\nlevel=error"
                        "\\x1b[31m \\xc2\\x9b\\x7f\n");
    begin_capture();
    log_info(NULL, "reply", "reply=\"%s\"",
             log_quote(text_of("250 \"ok\" \\ \n")));
    assert_string_equal(end_capture(), "level=info event=\"reply\" "
                                       "reply=\"250 \\\"ok\\\" \\\\ \\n\"\n");
}

static void a_cut_line_is_still_closed(void **state)
{
    (void)state;
    char *wide = memory_alloc(10001);
    memset(wide, 'x', 10000);
    begin_capture();
    log_info(NULL, "wide", "reply=\"%s\" more=1", wide);
    const char *line = end_capture();
    assert_int_equal(strlen(line) < 5000, 1);
    assert_string_equal(line + strlen(line) - 4, "xx\"\n");
    struct log_context context;
    log_context_set(&context, NULL, "name=\"%s\"", wide);
    begin_capture();
    log_info(&context, "cut", "");
    line = end_capture();
    assert_non_null(strstr(line, "x\" event=\"cut\"\n"));
    memory_free(wide);
}

static void json_says_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *json;
    } rows[] = {
        { "", "" },
        { "a=1 b=two", ",\"a\":\"1\",\"b\":\"two\"" },
        { "a=\"x y\"  b=", ",\"a\":\"x y\",\"b\":\"\"" },
        { "a=\"q \\\" \\\\ n\\n\"", ",\"a\":\"q \\\" \\\\ n\\u000a\"" },
        { "a=\"caf\xc3\xa9 \xf0\x9f\x98\x80\"",
          ",\"a\":\"caf\\u00e9 \\ud83d\\ude00\"" },
        { "a=\"\xff\"", ",\"a\":\"\\u00ff\"" },
        { "a=x\ny", ",\"a\":\"x\\u000ay\"" },
        { "a=\"open", ",\"a\":\"open\"" },
        { "a=\"open\\", ",\"a\":\"open\\\\\"" },
        { "word a=1", ",\"word\":\"\",\"a\":\"1\"" },
        { "a=\"1\"b=2", ",\"a\":\"1\",\"b\":\"2\"" },
        { "=x", ",\"\":\"x\"" },
        { "a=b=c", ",\"a\":\"b=c\"" },
    };
    log_configure(LOG_INFO, true);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char expected[256];
        snprintf(expected, sizeof(expected),
                 "level\":\"info\",\"event\":\"it \\\"is\\\"\"%s}\n",
                 rows[i].json);
        begin_capture();
        log_info(NULL, "it \"is\"", "%s", rows[i].fields);
        assert_string_equal(end_capture(), expected);
        assert_memory_equal(captured, "{\"time\":\"2", 10);
    }
    log_configure(LOG_INFO, false);
}

static void quoting_is_bounded_and_lasts_eight_turns(void **state)
{
    (void)state;
    char *wide = memory_alloc(1000);
    memset(wide, 1, 999);
    assert_int_equal(strlen(log_quote((struct text){ wide, 999 })), 1600);
    memory_free(wide);
    const char *first = log_quote(text_of("first"));
    for (int i = 0; i < 7; i++) {
        log_quote(text_of("other"));
    }
    assert_string_equal(first, "first");
    assert_string_equal(log_quote((struct text){ "a\0b", 3 }), "a\\x00b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_carries_its_contexts),
        cmocka_unit_test(levels_are_kept_apart),
        cmocka_unit_test(a_value_cannot_forge_a_line),
        cmocka_unit_test(a_cut_line_is_still_closed),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(quoting_is_bounded_and_lasts_eight_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
