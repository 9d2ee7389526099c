/* SPDX-License-Identifier: MIT */
#include "tracking/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void test_defaults(void **state)
{
    struct policy policy;
    (void)state;
    policy_set_defaults(&policy, arena);
    assert_true(policy.track_opens);
    assert_int_equal(policy.track_clicks, CLICKS_HTML);
    assert_int_equal(policy.privacy, PRIVACY_FULL);
    assert_true(policy.skips_sensitive);
    assert_false(policy.replaces_unsubscribe);
    assert_int_equal(policy.unsubscribe, UNSUBSCRIBE_DEFAULT);
    assert_string_equal(policy.analytics, "");
    assert_int_equal(policy.alternative, ALTERNATIVE_OFF);
    assert_false(policy.wraps_76);
    assert_false(policy.pass_through);
    assert_int_equal(policy.expires_after_milliseconds, 345600000);
    assert_int_equal(policy.priority, 0);
    assert_string_equal(policy.group_name, "");
    assert_string_equal(policy.tracking_url, "");
    assert_string_equal(policy.sender_name, "");
    assert_string_equal(policy_to_json(&policy, arena), "{\"settings\":{}}");
}

static const struct {
    const char *name;
    const char *value;
    const char *settings; /* as kept; NULL: it is refused */
} values[] = {
    { "track_opens", "on", "" },
    { "track_opens", "off", "\"track_opens\":\"off\"" },
    { "track_opens", "On", NULL },
    { "track_opens", "", NULL },
    { "track_clicks", "on", "" },
    { "track_clicks", "html", "" },
    { "track_clicks", "text", "\"track_clicks\":\"text\"" },
    { "track_clicks", "both", "\"track_clicks\":\"both\"" },
    { "track_clicks", "off", "\"track_clicks\":\"off\"" },
    { "track_clicks", "all", NULL },
    { "pixel", "bottom", "" },
    { "pixel", "top", "\"pixel\":\"top\"" },
    { "pixel", "middle", NULL },
    { "privacy", "off", "\"privacy\":\"off\"" },
    { "privacy", "anonymous", "\"privacy\":\"anonymous\"" },
    { "privacy", "pseudonymous", "\"privacy\":\"pseudonymous\"" },
    { "privacy", "full", "" },
    { "privacy", "none", NULL },
    { "sensitive_links", "skip", "" },
    { "sensitive_links", "track", "\"sensitive_links\":\"track\"" },
    { "sensitive_links", "off", NULL },
    { "sensitive_words", " pin,invite ", "\"sensitive_words\":\"pin,invite\"" },
    { "sensitive_words", "", "" },
    { "sensitive_words", "a\nb", NULL },
    { "unsubscribe", "default", "" },
    { "unsubscribe", "off", "\"unsubscribe\":\"off\"" },
    { "unsubscribe", "header", "\"unsubscribe\":\"header\"" },
    { "unsubscribe", "link", "\"unsubscribe\":\"link\"" },
    { "unsubscribe", "on", NULL },
    { "own_unsubscribe", "keep", "" },
    { "own_unsubscribe", "replace", "\"own_unsubscribe\":\"replace\"" },
    { "own_unsubscribe", "off", NULL },
    { "analytics", "off", "" },
    { "analytics", "*", "\"analytics\":\"*\"" },
    { "analytics", "a.example, b-c.example",
      "\"analytics\":\"a.example, b-c.example\"" },
    { "analytics",
      "b\xc3\xbc"
      "cher.example",
      "\"analytics\":\"b\\u00fccher.example\"" },
    { "analytics", "https://a.example", NULL },
    { "analytics", "a.example,,b.example", NULL },
    { "analytics", "*.a.example", NULL },
    { "utm_source", "shop", "\"utm_source\":\"shop\"" },
    { "utm_source", "baton", "" },
    { "utm_medium", "", "\"utm_medium\":\"\"" },
    { "utm_campaign", "%%TransactionalGroupName%%",
      "\"utm_campaign\":\"%%TransactionalGroupName%%\"" },
    { "utm_content", "\"a\\b\"", "\"utm_content\":\"\\\"a\\\\b\\\"\"" },
    { "utm_content", "\xff", NULL },
    { "utm_term", "red shoes", "\"utm_term\":\"red shoes\"" },
    { "utm_term", "a\x7f", NULL },
    { "alternative", "off", "" },
    { "alternative", "text", "\"alternative\":\"text\"" },
    { "alternative", "html", "\"alternative\":\"html\"" },
    { "alternative", "both", "\"alternative\":\"both\"" },
    { "alternative", "on", NULL },
    { "wrap", "needed", "" },
    { "wrap", "0", "" },
    { "wrap", "76", "\"wrap\":\"76\"" },
    { "wrap", "998", NULL },
    { "pass_through", "off", "" },
    { "pass_through", "on", "\"pass_through\":\"on\"" },
    { "pass_through", "yes", NULL },
    { "expires_after", "4 d", "" },
    { "expires_after", "96 h", "" },
    { "expires_after", "10 min", "\"expires_after\":\"10 min\"" },
    { "expires_after", "1 s", "\"expires_after\":\"1 s\"" },
    { "expires_after", "1500 ms", "\"expires_after\":\"1500 ms\"" },
    { "expires_after", "30 d", "\"expires_after\":\"30 d\"" },
    { "expires_after", "31 d", NULL },
    { "expires_after", "999 ms", NULL },
    { "expires_after", "10", NULL },
    { "expires_after", "soon", NULL },
    { "priority", "normal", "" },
    { "priority", "high", "\"priority\":\"high\"" },
    { "priority", "low", NULL },
    { "colour", "red", NULL },
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        struct policy policy;
        struct error error = { "" };
        policy_set_defaults(&policy, arena);
        bool is_taken = policy_apply(&policy, arena, values[i].name,
                                     values[i].value, &error);
        if (is_taken != (values[i].settings != NULL)) {
            fail_msg("%s = %s: %s", values[i].name, values[i].value,
                     error.text);
        }
        const char *expected =
            arena_printf(arena, "{\"settings\":{%s}}",
                         values[i].settings != NULL ? values[i].settings : "");
        assert_string_equal(policy_to_json(&policy, arena), expected);
        assert_true(is_taken || error.text[0] != '\0');
    }
}

static void test_long_text(void **state)
{
    struct policy policy;
    struct error error;
    char value[1002];
    (void)state;
    policy_set_defaults(&policy, arena);
    memset(value, 'a', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    assert_false(policy_apply(&policy, arena, "utm_term", value, &error));
    value[sizeof(value) - 2] = '\0';
    assert_true(policy_apply(&policy, arena, "utm_term", value, &error));
}

static void test_sentences(void **state)
{
    struct policy policy;
    struct error error;
    (void)state;
    policy_set_defaults(&policy, arena);
    assert_false(policy_apply(&policy, arena, "privacy", "none", &error));
    assert_string_equal(error.text,
                        "privacy cannot be \"none\"; it may be: off, "
                        "anonymous, pseudonymous, full");
    assert_false(policy_apply(&policy, arena, "colour", "red", &error));
    assert_string_equal(error.text, "There is no setting colour");
    assert_true(policy_has_setting("utm_term"));
    assert_false(policy_has_setting("utm"));
}

static void test_json(void **state)
{
    struct policy policy;
    struct error error;
    (void)state;
    policy_set_defaults(&policy, arena);
    policy.group_id = 5;
    policy.group_name = "Re\"ceipts";
    policy.group_is_marketing = true;
    policy.tracking_url = "https://click.example.com";
    policy.return_host = "bounce.example.com";
    policy.sender_name = "Sch\xc3\xb6n";
    assert_true(
        policy_apply(&policy, arena, "privacy", "pseudonymous", &error));
    assert_true(policy_apply(&policy, arena, "priority", "high", &error));
    assert_string_equal(
        policy_to_json(&policy, arena),
        "{\"group_id\":5,\"group\":\"Re\\\"ceipts\",\"marketing\":true,"
        "\"tracking_url\":\"https://click.example.com\","
        "\"return_host\":\"bounce.example.com\","
        "\"sender_name\":\"Sch\\u00f6n\","
        "\"settings\":{\"privacy\":\"pseudonymous\",\"priority\":\"high\"}}");
}

static void assert_same(const struct policy *a, const struct policy *b)
{
    assert_int_equal(a->track_opens, b->track_opens);
    assert_int_equal(a->track_clicks, b->track_clicks);
    assert_int_equal(a->pixel_at_top, b->pixel_at_top);
    assert_int_equal(a->privacy, b->privacy);
    assert_int_equal(a->skips_sensitive, b->skips_sensitive);
    assert_string_equal(a->sensitive_words, b->sensitive_words);
    assert_int_equal(a->unsubscribe, b->unsubscribe);
    assert_int_equal(a->replaces_unsubscribe, b->replaces_unsubscribe);
    assert_string_equal(a->analytics, b->analytics);
    assert_string_equal(a->utm_source, b->utm_source);
    assert_string_equal(a->utm_medium, b->utm_medium);
    assert_string_equal(a->utm_campaign, b->utm_campaign);
    assert_string_equal(a->utm_content, b->utm_content);
    assert_string_equal(a->utm_term, b->utm_term);
    assert_int_equal(a->alternative, b->alternative);
    assert_int_equal(a->wraps_76, b->wraps_76);
    assert_int_equal(a->pass_through, b->pass_through);
    assert_int_equal(a->expires_after_milliseconds,
                     b->expires_after_milliseconds);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->group_id, b->group_id);
    assert_string_equal(a->group_name, b->group_name);
    assert_int_equal(a->group_is_marketing, b->group_is_marketing);
    assert_string_equal(a->tracking_url, b->tracking_url);
    assert_string_equal(a->return_host, b->return_host);
    assert_int_equal(a->is_inbound, b->is_inbound);
    assert_string_equal(a->sender_name, b->sender_name);
}

/* Any policy that settings can make is read back as it was. */
static void test_json_is_read_back(void **state)
{
    static const char *const names[] = { "", "A", "\xe2\x82\xac \"x\"\\" };
    (void)state;
    srandom(1);
    for (int i = 0; i < 2000; i++) {
        struct policy policy;
        struct policy again;
        struct error error;
        policy_set_defaults(&policy, arena);
        for (int j = 0; j < 12; j++) {
            size_t k = (size_t)random() % ARRAY_LENGTH(values);
            bool is_taken = policy_apply(&policy, arena, values[k].name,
                                         values[k].value, &error);
            assert_int_equal(is_taken, values[k].settings != NULL);
        }
        policy.group_id = random() % 3;
        policy.group_name = names[random() % 3];
        policy.group_is_marketing = random() % 2 == 0;
        policy.tracking_url = names[random() % 3];
        policy.is_inbound = random() % 2 == 0;
        policy.return_host = names[random() % 3];
        policy.sender_name = names[random() % 3];
        struct text json = text_of(policy_to_json(&policy, arena));
        assert_true(policy_from_json(&again, arena, json, &error));
        assert_same(&policy, &again);
    }
}

static void test_json_of_others(void **state)
{
    static const struct {
        const char *json;
        const char *error; /* NULL: it is read */
    } rows[] = {
        { "{}", NULL },
        { "{\"settings\":{\"colour\":\"red\"},\"moon\":[1]}", NULL },
        { "{\"group\":7,\"settings\":3}", NULL },
        { "{\"settings\":{\"privacy\":\"daily\"}}",
          "privacy cannot be \"daily\"; it may be: off, anonymous, "
          "pseudonymous, full" },
        { "{\"settings\":{\"priority\":1}}",
          "priority cannot be \"?\"; it may be: normal, high" },
        { "[]", "The policy is no JSON object" },
        { "{\"a\":", "The policy is not JSON at byte 5" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct policy policy;
        struct error error = { "" };
        assert_int_equal(
            policy_from_json(&policy, arena, text_of(rows[i].json), &error),
            rows[i].error == NULL);
        assert_string_equal(error.text,
                            rows[i].error != NULL ? rows[i].error : "");
    }
}

static void test_tracks(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        bool tracks;
    } rows[] = {
        { "priority", "high", true },     { "track_opens", "off", true },
        { "track_clicks", "off", true },  { "privacy", "off", false },
        { "privacy", "anonymous", true }, { "pass_through", "on", false },
    };
    struct policy policy;
    struct error error;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        policy_set_defaults(&policy, arena);
        assert_true(
            policy_apply(&policy, arena, rows[i].name, rows[i].value, &error));
        assert_int_equal(policy_tracks(&policy), rows[i].tracks);
    }
    policy_set_defaults(&policy, arena);
    policy.track_opens = false;
    policy.track_clicks = CLICKS_OFF;
    assert_false(policy_tracks(&policy));
}

static void test_unsubscribe(void **state)
{
    struct policy policy;
    (void)state;
    policy_set_defaults(&policy, arena);
    assert_int_equal(policy_unsubscribe(&policy), UNSUBSCRIBE_OFF);
    policy.group_is_marketing = true;
    assert_int_equal(policy_unsubscribe(&policy), UNSUBSCRIBE_HEADER);
    policy.unsubscribe = UNSUBSCRIBE_OFF;
    assert_int_equal(policy_unsubscribe(&policy), UNSUBSCRIBE_OFF);
    policy.unsubscribe = UNSUBSCRIBE_LINK;
    assert_int_equal(policy_unsubscribe(&policy), UNSUBSCRIBE_LINK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_is_read_back),
        cmocka_unit_test(test_json_of_others),
        cmocka_unit_test(test_tracks),
        cmocka_unit_test(test_unsubscribe),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
