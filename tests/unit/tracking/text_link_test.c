/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/text_link.h"

static const struct row {
    const char *text;
    const char *links; /* each in brackets */
} rows[] = {
    { "", "" },
    { "no link: http:/x, https, ://x", "" },
    { "http://x.example", "[http://x.example]" },
    { "HTTPS://X.example/", "[HTTPS://X.example/]" },
    { "a http://x.example/a, b.", "[http://x.example/a]" },
    { "(http://x.example/a)", "[http://x.example/a]" },
    { "(see http://x.example/a_(b))", "[http://x.example/a_(b)]" },
    { "http://x.example/?a=b&c=d;e#f!", "[http://x.example/?a=b&c=d;e#f]" },
    { "[x](http://x.example/)", "[http://x.example/]" },
    { "\"http://x.example/\"", "[http://x.example/]" },
    { "'http://x.example/'", "[http://x.example/]" },
    { "*http://x.example/*", "[http://x.example/]" },
    { "<http://x.example/a.>", "[http://x.example/a.]" },
    { "<http://x.example/\xc3\xa4>", "[http://x.example/\xc3\xa4]" },
    { "<http://x.example/a\r\nb>", "" },
    { "http://x.example/\xc3\xa4", "" },
    { "\xc3\xa4http://x.example/", "" },
    { "xhttp://x.example/ http://y.example/", "[http://y.example/]" },
    { "http://[::1]/x", "[http://[::1]/x]" },
    { "http://{{host}}/x", "" },
    { "http://...", "" },
    { "http://x.example/http://y.example/",
      "[http://x.example/http://y.example/]" },
    { "http://x.example\r\nhttp://y.example\r\n",
      "[http://x.example][http://y.example]" },
    { "http://x.example/ \r\nmore", "[http://x.example/]" },
};

static void find_links(const char *text, bool joins_lines, struct buffer *out)
{
    size_t position = 0;
    struct text_link link;
    buffer_append_string(out, "");
    while (text_link_next(text_of(text), joins_lines, &position, &link)) {
        buffer_append_byte(out, '[');
        buffer_append_text(out, text_slice(text_of(text), link.from, link.to));
        buffer_append_byte(out, ']');
    }
}

static void links_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer found = { 0 };
        find_links(rows[i].text, false, &found);
        if (strcmp(found.data, rows[i].links) != 0) {
            fail_msg("%s: %s", rows[i].text, found.data);
        }
        buffer_free(&found);
    }
}

static void lines_that_go_on_hold_none_at_their_end(void **state)
{
    (void)state;
    struct buffer found = { 0 };
    find_links("http://x.example/ \r\nmore http://y.example/ z", true, &found);
    assert_string_equal(found.data, "[http://y.example/]");
    buffer_free(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_found),
        cmocka_unit_test(lines_that_go_on_hold_none_at_their_end),
    };
    return cmocka_run_group_tests_name("tracking/text_link", tests, NULL, NULL);
}
