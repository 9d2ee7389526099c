/* SPDX-License-Identifier: MIT */
#include "tracking/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static const char *reason_of(const char *agent, bool is_prefetch)
{
    return machine_reason(&(struct hit_facts){ .user_agent = text_of(agent),
                                               .address = text_of("192.0.2.1"),
                                               .is_prefetch = is_prefetch });
}

/* Agents as they were seen; NULL: nothing speaks against a human. */
static const struct {
    const char *agent;
    const char *reason;
} rows[] = {
    { "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
      "GoogleImageProxy)",
      "gmail-proxy" },
    { "Mozilla/5.0", "apple-proxy" },
    { "Mozilla/5.0 ", NULL },
    { "YahooMailProxy; "
      "https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
      "scanner" },
    { "BarracudaCentral/1.0", "scanner" },
    { "Mozilla/5.0 (compatible; Mimecast URL Protect)", "scanner" },
    { "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like "
      "Gecko) "
      "BingPreview/1.0b",
      "scanner" },
    { "Microsoft Office Existence Discovery", "scanner" },
    { "python-requests/2.31.0", "scanner" },
    { "Python-urllib/3.11", "scanner" },
    { "curl/7.88.1", "scanner" },
    { "Wget/1.21.3", "scanner" },
    { "Go-http-client/1.1", "scanner" },
    { "Java/17.0.2", "scanner" },
    { "Apache-HttpClient/4.5.13 (Java/11.0.11)", "scanner" },
    { "Mozilla/5.0 (compatible; Googlebot/2.1; "
      "+http://www.google.com/bot.html)",
      "scanner" },
    { "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "HeadlessChrome/119.0.0.0 Safari/537.36",
      "scanner" },
    { "", "scanner" },
    { "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
      "(KHTML, like Gecko)",
      NULL },
    { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
      "like Gecko) Chrome/119.0.0.0 Safari/537.36",
      NULL },
    { "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 "
      "Thunderbird/102.13.0",
      NULL },
    { "Mozilla/4.0 (compatible; ms-office; MSOffice 16)", NULL },
    { "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE S) AppleWebKit/537.36", NULL },
    { "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) "
      "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 "
      "Safari/604.1",
      NULL },
};

static void agents_as_they_were_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *reason = reason_of(rows[i].agent, false);
        if (rows[i].reason == NULL) {
            assert_null(reason);
        } else if (reason == NULL || strcmp(reason, rows[i].reason) != 0) {
            fail_msg("%s: %s", rows[i].agent, reason);
        }
    }
}

static void what_was_fetched_ahead_is_no_human(void **state)
{
    (void)state;
    assert_string_equal(reason_of("Mozilla/5.0 (X11) Firefox/1", true),
                        "prefetch");
    assert_string_equal(reason_of("curl/7.88.1", true), "scanner");
}

static void any_bytes_are_an_agent(void **state)
{
    struct buffer agent = { 0 };
    (void)state;
    assert_string_equal(reason_of("x\xff CURL/1 \x80", false), "scanner");
    assert_string_equal(
        machine_reason(&(struct hit_facts){ .user_agent = { 0 } }), "scanner");
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&agent, 'b');
    }
    assert_null(machine_reason(
        &(struct hit_facts){ .user_agent = buffer_text(&agent) }));
    buffer_free(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_as_they_were_seen),
        cmocka_unit_test(what_was_fetched_ahead_is_no_human),
        cmocka_unit_test(any_bytes_are_an_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
