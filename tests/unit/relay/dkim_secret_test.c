/* SPDX-License-Identifier: MIT */
#include "relay/dkim_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config.h"
#include "core/memory.h"
#include "relay/relay_settings.h"

#define SECRET_A \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B \
    "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static struct config *config;

static void configure(const char *now, const char *before)
{
    struct error error;
    config_free(&config);
    setenv("BATON_DKIM_KEY_ENCRYPTION", now, 1);
    setenv("BATON_DKIM_KEY_ENCRYPTION_BEFORE", before, 1);
    config = config_create();
    config_add(config, relay_settings, relay_setting_count);
    assert_true(config_load(config, NULL, &error));
}

static int tear_down(void **state)
{
    (void)state;
    config_free(&config);
    unsetenv("BATON_DKIM_KEY_ENCRYPTION");
    unsetenv("BATON_DKIM_KEY_ENCRYPTION_BEFORE");
    return 0;
}

static const struct dkim_owner owner = { .account_id = 1,
                                         .domain = "a.example",
                                         .selector = "s1" };

static void seal(struct buffer *out_sealed, struct buffer *out_record)
{
    struct dkim_key *key = dkim_key_make(DKIM_ED25519_SHA256);
    dkim_secret_seal(key, &owner, out_sealed);
    dkim_key_record(key, out_record);
    dkim_key_free(&key);
}

static bool opens(const char *sealed, const struct dkim_owner *as,
                  const char *record)
{
    struct error error;
    struct buffer found = { 0 };
    struct dkim_key *key = dkim_secret_open(sealed, as, &error);
    if (key == NULL) {
        assert_non_null(strstr(error.text, "key_encryption"));
        return false;
    }
    dkim_key_record(key, &found);
    assert_string_equal(found.data, record);
    buffer_free(&found);
    dkim_key_free(&key);
    return true;
}

static void a_key_opens_for_its_owner_only(void **state)
{
    struct buffer sealed = { 0 };
    struct buffer record = { 0 };
    struct dkim_owner others[] = { owner, owner, owner };
    (void)state;
    configure(SECRET_A, "");
    seal(&sealed, &record);
    assert_null(strstr(sealed.data, "PRIVATE"));
    assert_true(opens(sealed.data, &owner, record.data));
    others[0].account_id = 2;
    others[1].domain = "b.example";
    others[2].selector = "s2";
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        assert_false(opens(sealed.data, &others[i], record.data));
    }
    sealed.data[10] = sealed.data[10] == '0' ? '1' : '0';
    assert_false(opens(sealed.data, &owner, record.data));
    assert_false(opens("", &owner, record.data));
    assert_false(opens("no hexadecimals", &owner, record.data));
    buffer_free(&sealed);
    buffer_free(&record);
}

static void the_secret_of_before_still_opens(void **state)
{
    struct buffer sealed = { 0 };
    struct buffer record = { 0 };
    (void)state;
    configure(SECRET_A, "");
    seal(&sealed, &record);
    configure(SECRET_B, "");
    assert_false(opens(sealed.data, &owner, record.data));
    configure(SECRET_B, SECRET_A);
    assert_true(opens(sealed.data, &owner, record.data));
    configure("", SECRET_A);
    assert_true(opens(sealed.data, &owner, record.data));
    buffer_free(&sealed);
    buffer_free(&record);
}

static void what_is_no_secret_is_said(void **state)
{
    struct error error;
    (void)state;
    configure("", "");
    assert_false(dkim_secret_is_set(&error));
    assert_non_null(strstr(error.text, "openssl rand -hex 32"));
    assert_true(dkim_secret_check("", &error));
    assert_true(dkim_secret_check(SECRET_B, &error));
    assert_false(dkim_secret_check("aa", &error));
    assert_false(dkim_secret_check(SECRET_A "a", &error));
    assert_false(dkim_secret_check(SECRET_A "aa", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_key_opens_for_its_owner_only, tear_down),
        cmocka_unit_test_teardown(the_secret_of_before_still_opens, tear_down),
        cmocka_unit_test_teardown(what_is_no_secret_is_said, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
