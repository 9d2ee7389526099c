/* SPDX-License-Identifier: MIT */
#include "relay/route_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static void good_targets_are_understood(void **state)
{
    static const struct {
        const char *text;
        struct route_target target;
    } rows[] = {
        { "sandbox:", { .kind = ROUTE_SANDBOX } },
        { "discard:", { .kind = ROUTE_DISCARD } },
        { "smtp://mx.example",
          { .tls = CLIENT_TLS_OPPORTUNISTIC,
            .host = "mx.example",
            .port = 25 } },
        { "SMTP://MX.Example./",
          { .tls = CLIENT_TLS_OPPORTUNISTIC,
            .host = "mx.example",
            .port = 25 } },
        { "smtp://127.0.0.1:2525?tls=never",
          { .tls = CLIENT_TLS_NEVER, .host = "127.0.0.1", .port = 2525 } },
        { "smtp://[2001:db8::1]:26?tls=verified",
          { .tls = CLIENT_TLS_VERIFIED, .host = "2001:db8::1", .port = 26 } },
        { "smtp://[::1]/?tls=required",
          { .tls = CLIENT_TLS_REQUIRED, .host = "::1", .port = 25 } },
        { "smtp://me:secret@mx.example:587",
          { .tls = CLIENT_TLS_REQUIRED,
            .host = "mx.example",
            .port = 587,
            .user = "me",
            .password = "secret" } },
        { "smtps://me%40x:p%3a%25/@y@mx.example",
          { .tls = CLIENT_TLS_IMPLICIT,
            .host = "mx.example",
            .port = 465,
            .user = "me@x",
            .password = "p:%/@y" } },
        { "smtp://b\xc3\xbc"
          "cher.example",
          { .tls = CLIENT_TLS_OPPORTUNISTIC,
            .host = "xn--bcher-kva.example",
            .port = 25 } },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct route_target target;
        struct error error = { "" };
        if (!route_target_parse(rows[i].text, &target, &error)) {
            fail_msg("%s: %s", rows[i].text, error.text);
        }
        assert_int_equal(target.kind, rows[i].target.kind);
        assert_int_equal(target.tls, rows[i].target.tls);
        assert_string_equal(target.host, rows[i].target.host);
        assert_int_equal(target.port, rows[i].target.port);
        assert_string_equal(target.user, rows[i].target.user);
        assert_string_equal(target.password, rows[i].target.password);
    }
}

static void bad_targets_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        const char *reason; /* a part of the sentence */
    } rows[] = {
        { "", "expected smtp://" },
        { "mx.example", "expected smtp://" },
        { "ftp://user:secret@mx.example", "not \"ftp\"" },
        { "sandbox:x", "expected smtp://" },
        { "smtp://", "host is missing" },
        { "smtp://:25", "host is missing" },
        { "smtp://mx example", "no host name" },
        { "smtp://mx.example:", "is no port" },
        { "smtp://mx.example:0", "is no port" },
        { "smtp://mx.example:65536", "is no port" },
        { "smtp://mx.example:25x", "is no port" },
        { "smtp://mx.example/path", "no host name" },
        { "smtp://2001:db8::1", "brackets" },
        { "smtp://[2001:db8::1", "has no \"]\"" },
        { "smtp://[mx.example]", "no IP address" },
        { "smtp://[::1]25", ":port" },
        { "smtp://me@mx.example", "user:password" },
        { "smtp://:secret@mx.example", "user is empty" },
        { "smtp://me:@mx.example", "password is empty" },
        { "smtp://me:%4@mx.example", "%25" },
        { "smtp://me:%00@mx.example", "control" },
        { "smtp://me:%0D%0A@mx.example", "control" },
        { "smtp://mx.example?tls=maybe", "tls=maybe" },
        { "smtp://mx.example?tls=", "expected never" },
        { "smtp://mx.example?starttls=1", "unknown option" },
        { "smtps://mx.example?tls=never", "always encrypted" },
        { "smtp://me:secret@mx.example?tls=never", "in clear" },
        { "smtp://me:secret@mx.example?tls=opportunistic", "in clear" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct route_target target;
        struct error error = { "" };
        if (route_target_parse(rows[i].text, &target, &error)) {
            fail_msg("%s was accepted", rows[i].text);
        }
        if (strstr(error.text, rows[i].reason) == NULL) {
            fail_msg("%s: %s", rows[i].text, error.text);
        }
        assert_null(strstr(error.text, "secret"));
    }
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct buffer text = { 0 };
    struct route_target target;
    struct error error;
    buffer_append_string(&text, "smtp://me:");
    for (int i = 0; i < 256; i++) {
        buffer_append_byte(&text, 'p');
    }
    buffer_append_string(&text, "@mx.example");
    assert_false(route_target_parse(text.data, &target, &error));
    assert_non_null(strstr(error.text, "255"));
    buffer_clear(&text);
    buffer_append_string(&text, "smtp://");
    for (int i = 0; i < 300; i++) {
        buffer_append_byte(&text, 'h');
    }
    assert_false(route_target_parse(text.data, &target, &error));
    buffer_free(&text);
}

static void a_printed_target_has_no_password_and_can_be_read(void **state)
{
    static const struct {
        const char *text;
        const char *printed;
    } rows[] = {
        { "sandbox:", "sandbox:" },
        { "discard:", "discard:" },
        { "smtp://mx.example", "smtp://mx.example:25?tls=opportunistic" },
        { "smtps://m%40x:secret@[::1]", "smtps://m%40x:***@[::1]:465" },
        { "smtp://me:secret@mx.example",
          "smtp://me:***@mx.example:25?tls=required" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct route_target target;
        struct error error;
        struct buffer printed = { 0 };
        assert_true(route_target_parse(rows[i].text, &target, &error));
        route_target_print(&target, &printed);
        assert_string_equal(printed.data, rows[i].printed);
        assert_true(route_target_parse(printed.data, &target, &error));
        buffer_free(&printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_targets_are_understood),
        cmocka_unit_test(bad_targets_are_refused_with_a_reason),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_printed_target_has_no_password_and_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
