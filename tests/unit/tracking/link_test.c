/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/link.h"

#define OF(literal)                    \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

static const struct target_case {
    struct text href;
    const char *target; /* NULL: left alone */
} target_cases[] = {
    { OF("http://x/"), "http://x/" },
    { OF("HtTpS://x/%2F?a=1&b=+#f"), "HtTpS://x/%2F?a=1&b=+#f" },
    { OF(" \x01\thttp://x/a b\r\n "), "http://x/a b" },
    { OF("ht\ntp://x/\ta\r\nb"), "http://x/ab" },
    { OF("http://"), "http://" },
    { OF("http:foo"), "http:foo" },
    { OF("http:"), "http:" },
    { OF("https:\\\\x\\y"), "https:\\\\x\\y" },
    { OF("https://b\xC3\xBC"
         "cher.example/\xC3\xA9"),
      "https://b\xC3\xBC"
      "cher.example/\xC3\xA9" },
    { OF("http://x/\x7F\x1F"), "http://x/\x7F" },
    { OF("http://x/\x80\xFF"), "http://x/\x80\xFF" },
    { OF("http://x/\0y"), NULL },
    { OF("http"), NULL },
    { OF("http //x/"), NULL },
    { OF("httpx://x/"), NULL },
    { OF("mailto:a@b"), NULL },
    { OF("tel:+1"), NULL },
    { OF("#top"), NULL },
    { OF("cid:x"), NULL },
    { OF("javascript:location='http://x/'"), NULL },
    { OF("data:text/html,http:"), NULL },
    { OF("app-scheme://http:"), NULL },
    { OF("{{ url }}"), NULL },
    { OF("/relative"), NULL },
    { OF("//x/protocol-relative"), NULL },
    { OF(""), NULL },
    { OF(" \t"), NULL },
};

static void targets_are_followed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(target_cases); i++) {
        const struct target_case *row = &target_cases[i];
        struct buffer target = { 0 };
        buffer_append_string(&target, "=");
        assert_int_equal(link_target(row->href, &target), row->target != NULL);
        struct text found = text_slice(buffer_text(&target), 1, target.length);
        assert_true(text_is(found, row->target ? row->target : ""));
        buffer_free(&target);
    }
}

static const struct own_case {
    const char *target;
    const char *tracking_url;
    bool is_on;
} own_cases[] = {
    { "https://click.x.example/c/abc", "https://click.x.example", true },
    { "http://CLICK.x.example./c/abc", "https://click.x.example", true },
    { "https://click.x.example:443", "https://click.x.example", true },
    { "https:\\\\u:p@click.x.example?a", "https://click.x.example", true },
    { "https://click.x.example#a", "https://click.x.example", true },
    { "http://127.0.0.1:8025/c/abc", "http://127.0.0.1:8025", true },
    { "http://127.0.0.1:8026/c/abc", "http://127.0.0.1:8025", false },
    { "http://[::1]:8025/", "http://[::1]:8025", true },
    { "http://[::1]/", "http://[::1]:8025", false },
    { "https://x.example/t/c/abc", "https://x.example/t", true },
    { "https://x.example/", "https://x.example/t", false },
    { "https://a.click.x.example/", "https://click.x.example", false },
    { "https://click.x.example.evil/", "https://click.x.example", false },
    { "https://click.x.example@evil/", "https://click.x.example", false },
    { "https://evil/?click.x.example", "https://click.x.example", false },
    { "http://", "https://click.x.example", false },
    { "http://x/", "", false },
};

static void own_links_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(own_cases); i++) {
        const struct own_case *row = &own_cases[i];
        print_message("%s\n", row->target);
        assert_int_equal(link_is_on(text_of(row->target), row->tracking_url),
                         row->is_on);
    }
}

static const struct sensitive_case {
    const char *target;
    const char *words;
    bool is_sensitive;
} sensitive_cases[] = {
    { "https://x/reset", "", true },
    { "https://x/account/Password_Reset?t=1", "", true },
    { "https://x/verify-email/abc", "", true },
    { "https://x/email.verification", "", true },
    { "https://x/one-time/1", "", true },
    { "https://x/one_time/1", "", true },
    { "https://x/onetime", "", true },
    { "https://x/login/magic/abc", "", true },
    { "https://x/magiclink", "", true },
    { "https://x/OTP", "", true },
    { "https://x/2fa/", "", true },
    { "https://x/mfa#x", "", true },
    { "https://x/passcode", "", true },
    { "https://x/account/confirm?token=6909ff94", "", false },
    { "https://x/presets", "", false },
    { "https://x/resettle/otpx/magical", "", false },
    { "https://x/one/time", "", true },
    { "https://x/?reset=1", "", false },
    { "https://x/#/reset", "", false },
    { "https://reset.example/", "", false },
    { "https://verify@x/", "", false },
    { "https://x", "", false },
    { "https://x/invite/1", "invite, sign-in", true },
    { "https://x/Sign_In/1", "invite, sign-in", true },
    { "https://x/sign/2", "invite, sign-in", false },
    { "https://x/", ", ,", false },
};

static void sensitive_links_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sensitive_cases); i++) {
        const struct sensitive_case *row = &sensitive_cases[i];
        struct policy policy = { .sensitive_words = row->words };
        print_message("%s\n", row->target);
        assert_int_equal(link_is_sensitive(text_of(row->target), &policy),
                         row->is_sensitive);
    }
}

/* With utm_source=mail and utm_campaign=spring. */
static const struct analytics_case {
    const char *domains;
    const char *target;
    const char *result; /* NULL: unchanged */
} analytics_cases[] = {
    { "*", "http://x", "http://x?utm_source=mail&utm_campaign=spring" },
    { "*", "http://x/?a=1&b#f",
      "http://x/?a=1&b&utm_source=mail&utm_campaign=spring#f" },
    { "*", "http://x/?#f", "http://x/?utm_source=mail&utm_campaign=spring#f" },
    { "*", "http://x/?a&", "http://x/?a&utm_source=mail&utm_campaign=spring" },
    { "*", "http://x/#f?a",
      "http://x/?utm_source=mail&utm_campaign=spring#f?a" },
    { "*", "http://x/?utm_source=own",
      "http://x/?utm_source=own&"
      "utm_campaign=spring" },
    { "*", "http://x/?UTM_Campaign&a=utm_source=",
      "http://x/?UTM_Campaign&a=utm_source=&utm_source=mail" },
    { "*", "http://x/?utm_campaign=&utm_source=", NULL },
    { "*", "http:foo", "http:foo?utm_source=mail&utm_campaign=spring" },
    { "a.example, x.example", "https://www.X.example:8443/",
      "https://www.X.example:8443/?utm_source=mail&utm_campaign=spring" },
    { "x.example", "https://x.example?a",
      "https://x.example?a&utm_source=mail&utm_campaign=spring" },
    { "x.example", "https://yx.example/", NULL },
    { "x.example", "https://x.example.y/", NULL },
    { "x.example", "https://y/?x.example", NULL },
    { "x.example", "https://x.example@y/", NULL },
    { "", "http://x/", NULL },
    { ",", "http://", NULL },
};

static void analytics_are_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(analytics_cases); i++) {
        const struct analytics_case *row = &analytics_cases[i];
        struct policy policy = { .analytics = row->domains,
                                 .utm_source = "mail",
                                 .utm_medium = "",
                                 .utm_campaign = "spring",
                                 .utm_content = "",
                                 .utm_term = "",
                                 .group_name = "" };
        struct buffer result = { 0 };
        link_add_analytics(text_of(row->target), &policy, "a@b", &result);
        assert_string_equal(result.data,
                            row->result ? row->result : row->target);
        buffer_free(&result);
        assert_false(link_analytics_is_personal(&policy));
    }
}

static void macros_are_filled(void **state)
{
    (void)state;
    struct policy policy = {
        .analytics = "*",
        .utm_source = "100% \xC3\xA9&=#",
        .utm_medium = "%%TransactionalGroupID%%-%%Unknown%%",
        .utm_campaign = "",
        .utm_content = "%%EmailAddress%%",
        .utm_term = "",
        .group_id = 17,
        .group_name = "Daily Alert",
    };
    struct buffer result = { 0 };
    assert_true(link_analytics_is_personal(&policy));
    link_add_analytics(TEXT_LITERAL("http://x/"), &policy, "a+b@c", &result);
    assert_string_equal(result.data,
                        "http://x/?utm_source=100%25%20%C3%A9%26%3D%23"
                        "&utm_medium=17-%25%25Unknown%25%25"
                        "&utm_campaign=Daily%20Alert"
                        "&utm_content=a%2Bb%40c");
    buffer_clear(&result);
    policy.analytics = "";
    assert_false(link_analytics_is_personal(&policy));
    /* Without a group there is no campaign, without a recipient no address. */
    policy = (struct policy){ .analytics = "*",
                              .utm_medium = "mail",
                              .utm_content = "%%EmailAddress%%",
                              .group_name = "" };
    link_add_analytics(TEXT_LITERAL("http://x/"), &policy, NULL, &result);
    assert_string_equal(result.data, "http://x/?utm_medium=mail");
    buffer_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "H3: only http and https are followed", targets_are_followed, NULL,
          NULL, NULL },
        { "H3: links of our own are known", own_links_are_known, NULL, NULL,
          NULL },
        { "sensitive links are known by their path", sensitive_links_are_known,
          NULL, NULL, NULL },
        { "H8: analytics are added, never twice", analytics_are_added, NULL,
          NULL, NULL },
        { "H8: macros are filled in", macros_are_filled, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("tracking/link", tests, NULL, NULL);
}
