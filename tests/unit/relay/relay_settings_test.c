/* SPDX-License-Identifier: MIT */
/* Tests of relay/relay_settings.c: listeners and the retry schedule. */
#include "relay/relay_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config.h"
#include "core/memory.h"

static bool load(struct config **config, const char *content,
                 struct error *error)
{
    char path[] = "/tmp/baton-settings-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    size_t length = strlen(content);
    assert_int_equal(write(descriptor, content, length), length);
    close(descriptor);
    *config = config_create();
    config_add(*config, relay_settings, relay_setting_count);
    bool is_good = config_load(*config, path, error);
    unlink(path);
    return is_good;
}

static void listeners_are_understood(void **state)
{
    struct config *config;
    struct error error;
    struct relay_listener listeners[RELAY_LISTENERS_MAX];
    size_t count = 0;
    (void)state;
    if (!load(&config,
              "[listen]\n"
              "plain = 127.0.0.1:2525\n"
              "submission = 0.0.0.0:587 tls=required auth=required\n"
              "smtps = [::1]:465 tls=implicit\n"
              "behind = 127.0.0.1:26 proxy=on auth_in_clear=on tls=none\n"
              "http = 127.0.0.1:8080\n"
              "inbound = 0.0.0.0:25 tls=optional\n",
              &error)) {
        fail_msg("%s", error.text);
    }
    assert_true(relay_settings_listeners(listeners, &count, &error));
    assert_int_equal(count, 6);
    assert_string_equal(listeners[0].policy.name, "plain");
    assert_int_equal(listeners[0].policy.tls, SMTP_TLS_OPTIONAL);
    assert_false(listeners[0].policy.auth_required);
    assert_int_equal(network_address_port(&listeners[0].address), 2525);
    assert_int_equal(listeners[1].policy.tls, SMTP_TLS_REQUIRED);
    assert_true(listeners[1].policy.auth_required);
    assert_int_equal(listeners[2].policy.tls, SMTP_TLS_IMPLICIT);
    assert_true(listeners[3].policy.proxy_protocol);
    assert_true(listeners[3].policy.auth_in_clear);
    assert_int_equal(listeners[3].policy.tls, SMTP_TLS_NONE);
    assert_true(listeners[4].is_http);
    assert_true(listeners[5].is_inbound);
    assert_true(listeners[5].policy.no_auth);
    assert_false(listeners[0].policy.no_auth);
    config_free(&config);
}

static void nobody_logs_in_at_inbound(void **state)
{
    struct config *config;
    struct error error;
    struct relay_listener listeners[RELAY_LISTENERS_MAX];
    size_t count = 0;
    (void)state;
    assert_true(load(&config, "[listen]\ninbound = 0.0.0.0:25 auth=required\n",
                     &error));
    assert_false(relay_settings_listeners(listeners, &count, &error));
    assert_non_null(strstr(error.text, "there is no auth"));
    config_free(&config);
}

static void the_return_host_is_normalised(void **state)
{
    struct config *config;
    struct error error;
    (void)state;
    assert_true(load(&config, "", &error));
    assert_string_equal(relay_settings_return_host(), "");
    config_free(&config);
    assert_true(load(
        &config, "[server]\nreturn_path_host = Bounce.EXAMPLE.com.\n", &error));
    assert_string_equal(relay_settings_return_host(), "bounce.example.com");
    config_free(&config);
}

static void bad_values_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *content;
        const char *word;
    } cases[] = {
        { "[listen]\nplain = 127.0.0.1\n", "ADDRESS:PORT" },
        { "[listen]\nplain = 127.0.0.1:25 tls=maybe\n", "implicit" },
        { "[listen]\nplain = 127.0.0.1:25 colour=red\n", "unknown option" },
        { "[server]\nreturn_path_host = a b\n", "host name" },
        { "[server]\nreturn_path_host = [192.0.2.1]\n", "host name" },
        { "[server]\npostmaster = nobody\n", "an address" },
        { "[delivery]\nretry = soon\n", "span of time" },
        { "[delivery]\nretry = 0 min\n", "span of time" },
        { "[delivery]\nretry = 5\n", "span of time" },
        { "[delivery]\nretry = 366 d\n", "span of time" },
        { "[log]\nlevel = loud\n", "debug" },
        { "[server]\nhostnam = x\n", "hostname" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct config *config;
        struct error error = { "" };
        if (load(&config, cases[i].content, &error)) {
            fail_msg("%s was taken", cases[i].content);
        }
        if (strstr(error.text, cases[i].word) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].word);
        }
        config_free(&config);
    }
}

static void retries_follow_the_schedule(void **state)
{
    static const int minutes[] = { 1, 5, 15, 30, 60, 120, 240, 240, 240 };
    struct config *config;
    struct error error;
    (void)state;
    assert_true(load(&config, "", &error));
    for (size_t i = 0; i < ARRAY_LENGTH(minutes); i++) {
        assert_int_equal(relay_settings_retry_milliseconds((int)i + 1),
                         minutes[i] * 60 * 1000);
    }
    config_free(&config);
    assert_true(load(&config, "[delivery]\nretry = 10 s, 2 h\n", &error));
    assert_int_equal(relay_settings_retry_milliseconds(1), 10000);
    assert_int_equal(relay_settings_retry_milliseconds(9), 7200000);
    config_free(&config);
}

static void http_takes_no_options(void **state)
{
    struct config *config;
    struct error error;
    struct relay_listener listeners[RELAY_LISTENERS_MAX];
    size_t count = 0;
    (void)state;
    assert_true(
        load(&config, "[listen]\nhttp = 127.0.0.1:80 tls=none\n", &error));
    assert_false(relay_settings_listeners(listeners, &count, &error));
    assert_string_equal(error.text,
                        "[listen] http: http takes ADDRESS:PORT only");
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_understood),
        cmocka_unit_test(nobody_logs_in_at_inbound),
        cmocka_unit_test(the_return_host_is_normalised),
        cmocka_unit_test(bad_values_are_refused_with_a_reason),
        cmocka_unit_test(http_takes_no_options),
        { "S13: retry schedule", retries_follow_the_schedule, NULL, NULL,
          NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
