/* SPDX-License-Identifier: MIT */
/* Tests of smtp/outcome.c. */
#include "smtp/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static const struct reply_row {
    const char *step;
    int code;
    const char *enhanced;
    enum smtp_verdict verdict;
    enum smtp_scope scope;
    const char *wanted_enhanced;
} reply_rows[] = {
    { "greeting", 554, "", VERDICT_DEFERRED, SCOPE_HOST, "5.0.0" },
    { "greeting", 421, "4.7.0", VERDICT_DEFERRED, SCOPE_HOST, "4.7.0" },
    { "EHLO", 550, "5.7.1", VERDICT_DEFERRED, SCOPE_HOST, "5.7.1" },
    { "HELO", 550, "", VERDICT_DEFERRED, SCOPE_HOST, "5.0.0" },
    { "STARTTLS", 454, "4.7.0", VERDICT_DEFERRED, SCOPE_HOST, "4.7.0" },
    { "AUTH", 535, "5.7.8", VERDICT_DEFERRED, SCOPE_SITE, "5.7.8" },
    { "MAIL", 451, "", VERDICT_DEFERRED, SCOPE_MESSAGE, "4.0.0" },
    { "MAIL", 550, "5.7.1", VERDICT_FAILED, SCOPE_MESSAGE, "5.7.1" },
    { "MAIL", 552, "5.3.4", VERDICT_FAILED, SCOPE_MESSAGE, "5.3.4" },
    { "RCPT", 450, "4.2.0", VERDICT_DEFERRED, SCOPE_RECIPIENT, "4.2.0" },
    { "RCPT", 550, "5.1.1", VERDICT_FAILED, SCOPE_RECIPIENT, "5.1.1" },
    { "RCPT", 552, "", VERDICT_DEFERRED, SCOPE_RECIPIENT, "5.0.0" },
    { "RCPT", 421, "", VERDICT_DEFERRED, SCOPE_HOST, "4.0.0" },
    { "RCPT", 354, "", VERDICT_DEFERRED, SCOPE_HOST, "4.5.0" },
    { "DATA", 554, "5.5.1", VERDICT_FAILED, SCOPE_MESSAGE, "5.5.1" },
    { "DATA", 250, "", VERDICT_DEFERRED, SCOPE_HOST, "4.5.0" },
    { "final dot", 552, "5.2.2", VERDICT_FAILED, SCOPE_MESSAGE, "5.2.2" },
    { "final dot", 451, "4.3.0", VERDICT_DEFERRED, SCOPE_MESSAGE, "4.3.0" },
    { "final dot", 421, "", VERDICT_DEFERRED, SCOPE_HOST, "4.0.0" },
    { "final dot", 354, "", VERDICT_UNCERTAIN, SCOPE_HOST, "4.5.0" },
    { "RSET", 500, "", VERDICT_DEFERRED, SCOPE_HOST, "5.0.0" },
};

static void replies_have_their_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(reply_rows); i++) {
        const struct reply_row *row = &reply_rows[i];
        struct smtp_reply reply;
        struct smtp_outcome outcome;
        smtp_reply_set(&reply, row->code, row->enhanced, "two\nlines");
        smtp_outcome_from_reply(&outcome, row->step, &reply);
        if (outcome.verdict != row->verdict || outcome.scope != row->scope ||
            strcmp(outcome.enhanced, row->wanted_enhanced) != 0 ||
            strcmp(outcome.step, row->step) != 0 ||
            outcome.reply.code != row->code || outcome.is_untried) {
            fail_msg("%s %d: %s %s %s", row->step, row->code,
                     smtp_verdict_text(outcome.verdict),
                     smtp_scope_text(outcome.scope), outcome.enhanced);
        }
    }
}

static void text_is_the_reply_on_one_line(void **state)
{
    struct smtp_reply reply;
    struct smtp_outcome outcome;
    (void)state;
    smtp_reply_set(&reply, 550, "5.1.1", "No such\nuser");
    smtp_outcome_from_reply(&outcome, "RCPT", &reply);
    assert_string_equal(outcome.text, "550 5.1.1 No such user");
    smtp_reply_set(&reply, 250, "2.0.0", "taken as 7");
    smtp_outcome_delivered(&outcome, &reply);
    assert_int_equal(outcome.verdict, VERDICT_DELIVERED);
    assert_string_equal(outcome.text, "250 2.0.0 taken as 7");
    assert_string_equal(outcome.step, "final dot");
}

static void trouble_after_the_dot_is_uncertain(void **state)
{
    struct smtp_outcome outcome;
    (void)state;
    smtp_outcome_from_trouble(&outcome, "final dot", "4.4.2", "lost after %d s",
                              7);
    assert_int_equal(outcome.verdict, VERDICT_UNCERTAIN);
    assert_string_equal(outcome.text, "lost after 7 s");
    assert_int_equal(outcome.reply.code, 0);
    smtp_outcome_from_trouble(&outcome, "body", "4.4.2", "lost");
    assert_int_equal(outcome.verdict, VERDICT_DEFERRED);
    assert_int_equal(outcome.scope, SCOPE_HOST);
}

static void own_decisions_are_kept(void **state)
{
    struct smtp_outcome outcome;
    (void)state;
    smtp_outcome_decide(&outcome, VERDICT_FAILED, SCOPE_SITE, "5.1.10", "DNS",
                        "%s takes no mail", "example.org");
    assert_int_equal(outcome.verdict, VERDICT_FAILED);
    assert_int_equal(outcome.scope, SCOPE_SITE);
    assert_string_equal(outcome.enhanced, "5.1.10");
    assert_string_equal(outcome.text, "example.org takes no mail");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S8, S15, S18, R3: replies have their meaning",
          replies_have_their_meaning, NULL, NULL, NULL },
        cmocka_unit_test(text_is_the_reply_on_one_line),
        { "S12: trouble after the dot is uncertain",
          trouble_after_the_dot_is_uncertain, NULL, NULL, NULL },
        { "E12: own decisions are kept", own_decisions_are_kept, NULL, NULL,
          NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
