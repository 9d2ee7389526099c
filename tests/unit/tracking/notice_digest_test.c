/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/notice_digest.h"

#define NOON INT64_C(1795262400000000) /* 2026-11-21T12:00:00Z */

static struct digest_input sample(const struct digest_failure *failures,
                                  size_t count)
{
    static const struct digest_count classes[] = { { "invalid_address", 2 } };
    static const struct digest_count domains[] = { { "rcpt.example", 2 } };
    return (struct digest_input){
        .hostname = "relay.example",
        .to = "boss@manager.example",
        .account = "shop",
        .query = "SELECT recipient FROM report.delivery;",
        .made_at = NOON,
        .message_id = 7,
        .first_at = NOON,
        .last_at = NOON,
        .failure_count = 2,
        .domain_count = 3,
        .classes = classes,
        .class_count = 1,
        .domains = domains,
        .listed_domain_count = 1,
        .failures = failures,
        .listed_count = count,
    };
}

static void check_has(const struct buffer *message, const char *part)
{
    if (strstr(message->data, part) == NULL) {
        fail_msg("\"%s\" is missing in:\n%s", part, message->data);
    }
}

/* B8: who reads it sees what it is. */
static void it_says_what_it_is(void **state)
{
    struct buffer out = { 0 };
    struct digest_failure failure = {
        NOON, "b@rcpt.example", "invalid_address", "550 Nobody", 42, "Hello"
    };
    struct digest_input input = sample(&failure, 1);
    (void)state;
    notice_digest_write(&input, &out);
    check_has(&out, "To: <boss@manager.example>\r\n");
    check_has(&out, "Auto-Submitted: auto-generated\r\n");
    check_has(&out, "Content-Type: text/plain; charset=utf-8\r\n");
    check_has(&out, "       2  invalid_address\r\n");
    check_has(&out, "  and 2 more domains\r\n");
    check_has(&out, "2026-11-21 12:00:00  <b@rcpt.example>\r\n");
    check_has(&out, "    reply:   550 Nobody\r\n");
    check_has(&out, "    message: 42\r\n");
    check_has(&out, "    subject: Hello\r\n");
    check_has(&out, "and 1 more: SQL\r\n");
    check_has(&out, "    SELECT recipient FROM report.delivery;\r\n");
    buffer_free(&out);
}

/* What others wrote makes no line of its own and none that is too long. */
static void what_others_wrote_stays_in_its_line(void **state)
{
    static char reply[5000];
    struct buffer out = { 0 };
    memset(reply, 'x', sizeof(reply) - 1);
    struct digest_failure failures[] = {
        { NOON, "b@rcpt.example\r\nBcc: x@y.example", "c", reply, 1,
          "a\r\n.\r\nb\x01" },
        { NOON, "\xC3\xA4@rcpt.example", "c", "550 \xFF\n", 2, "" },
    };
    struct digest_input input = sample(failures, 2);
    (void)state;
    notice_digest_write(&input, &out);
    struct text rest = buffer_text(&out);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        assert_true(line.length <= 998);
        assert_true(line.length == 0 || line.data[line.length - 1] == '\r');
        assert_false(text_starts_with_ignoring_case(line, "Bcc"));
        assert_false(text_is(line, ".\r"));
    }
    assert_true(text_is_utf8(buffer_text(&out)));
    assert_null(strstr(out.data, "more: SQL"));
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_it_is),
        cmocka_unit_test(what_others_wrote_stays_in_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
