/* SPDX-License-Identifier: MIT */
/* Tests of relay/quota.c: what a client over a limit reads. How units are taken
 * is tested with PostgreSQL, in tests/unit/sql and tests/system. */
#include "relay/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOVEMBER_21_15_03 INT64_C(1795273439999999)

static void assert_sentence(const char *account, const char *user_name,
                            enum limit_kind kind, enum clock_period period,
                            const char *expected)
{
    struct smtp_reply reply;
    quota_refuse(account, user_name, 100, kind, period, NOVEMBER_21_15_03,
                 &reply);
    assert_int_equal(reply.code, 452);
    assert_string_equal(reply.enhanced, "4.3.1");
    assert_string_equal(reply.text, expected);
}

static void the_sentence_names_the_limit_and_its_end(void **state)
{
    (void)state;
    assert_sentence("a", "", LIMIT_MESSAGES, PERIOD_MINUTE,
                    "Account a is over its limit: 100 messages/minute, resets "
                    "2026-11-21 15:04 UTC");
    assert_sentence("a", "", LIMIT_RECIPIENTS, PERIOD_DAY,
                    "Account a is over its limit: 100 recipients/day, resets "
                    "2026-11-22 00:00 UTC");
    assert_sentence("a", "app", LIMIT_MESSAGES, PERIOD_HOUR,
                    "User app of account a is over its limit: 100 "
                    "messages/hour, resets 2026-11-21 16:00 UTC");
    assert_sentence("a", "app", LIMIT_RECIPIENTS, PERIOD_MONTH,
                    "User app of account a is over its limit: 100 "
                    "recipients/month, resets 2026-12-01 00:00 UTC");
}

static void without_limits_there_is_nothing_to_ask(void **state)
{
    (void)state;
    struct directory_account account = { .account_id = 1, .name = "a" };
    struct directory_credential credential = { .account = &account,
                                               .user_name = "app" };
    struct quota_subject subject = { &account, &credential };
    struct quota *quota = quota_create(NULL, NULL, NULL);
    struct usage_claim claim = { .recipients = 7 };
    struct smtp_reply reply = { 0 };
    quota_look(quota, &subject); /* there is no database to ask */
    quota_check(quota, &subject, 1000000, &reply);
    assert_int_equal(reply.code, 0);
    assert_true(quota_take_at_once(quota, &subject, 3, NULL, &claim));
    assert_int_equal(claim.recipients, 0);
    quota_free(&quota);
}

static void what_fits_in_no_case_is_refused_at_once(void **state)
{
    (void)state;
    struct directory_account account = { .account_id = 1, .name = "a" };
    struct quota_subject subject = { &account, NULL };
    struct quota *quota = quota_create(NULL, NULL, NULL);
    struct smtp_reply reply = { 0 };
    account.limits.most[PERIOD_HOUR][LIMIT_RECIPIENTS] = 5;
    quota_check(quota, &subject, 5, &reply);
    assert_int_equal(reply.code, 0);
    quota_check(quota, &subject, 6, &reply);
    assert_int_equal(reply.code, 452);
    assert_non_null(strstr(reply.text, "5 recipients/hour"));
    memset(&reply, 0, sizeof(reply));
    account.overage = OVERAGE_RECORD;
    quota_check(quota, &subject, 6, &reply);
    assert_int_equal(reply.code, 0);
    assert_false(quota_take_at_once(quota, &subject, 6, NULL,
                                    &(struct usage_claim){ 0 }));
    quota_free(&quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sentence_names_the_limit_and_its_end),
        cmocka_unit_test(without_limits_there_is_nothing_to_ask),
        cmocka_unit_test(what_fits_in_no_case_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
