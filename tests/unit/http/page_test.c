/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/page.h"

static struct buffer page(enum page_state state, const char *account,
                          const char *group)
{
    struct buffer html = { 0 };
    page_write(&html, state, account, group);
    return html;
}

static void names_are_escaped(void **state)
{
    struct buffer html = page(PAGE_SUBSCRIBED, "A<script>&\"'", "</main>");
    (void)state;
    assert_non_null(strstr(html.data, "A&lt;script&gt;&amp;&quot;&#39;"));
    assert_non_null(strstr(html.data, "&lt;/main&gt;"));
    assert_null(strstr(html.data, "<script"));
    buffer_free(&html);
}

static void the_button_is_the_way_back(void **state)
{
    static const struct {
        enum page_state state;
        const char *field;
    } rows[] = {
        { PAGE_SUBSCRIBED, "name=\"unsubscribe\"" },
        { PAGE_UNSUBSCRIBED, "name=\"resubscribe\"" },
        { PAGE_JUST_UNSUBSCRIBED, "name=\"resubscribe\"" },
        { PAGE_JUST_RESUBSCRIBED, "name=\"unsubscribe\"" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer html = page(rows[i].state, "Shop", NULL);
        assert_non_null(strstr(html.data, rows[i].field));
        assert_non_null(strstr(html.data, "<form method=\"post\">"));
        assert_non_null(strstr(html.data, "lang=\"en\""));
        assert_non_null(strstr(html.data, "of this kind from"));
        assert_null(strstr(html.data, "of the kind"));
        assert_null(strstr(html.data, "http"));
        buffer_free(&html);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(the_button_is_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
