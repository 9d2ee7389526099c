/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/bounce_class.h"
#include "tracking/phrase.h"

static struct bounce_verdict decide(const char *text, enum bounce_step step)
{
    struct bounce_reply reply = { .text = text_of(text), .step = step };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    return verdict;
}

static void assert_class(const char *text, enum bounce_class class,
                         bool suppresses)
{
    struct bounce_verdict verdict = decide(text, BOUNCE_STEP_RCPT);
    if (verdict.class != class || verdict.suppresses != suppresses) {
        print_message("%s: %s by \"%s\", suppresses %d\n", text,
                      bounce_class_name(verdict.class),
                      verdict.rule != NULL ? verdict.rule : "",
                      verdict.suppresses);
    }
    assert_string_equal(bounce_class_name(verdict.class),
                        bounce_class_name(class));
    assert_int_equal(verdict.suppresses, suppresses);
}

/* B3: every class there is, and that only the first two suppress. */
static void test_classes(void **state)
{
    (void)state;
    assert_class("550 5.1.1 <a@b.example>: Recipient address rejected: User "
                 "unknown in local recipient table",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550-5.1.1 The email account that you tried to reach does not "
                 "exist. Please try double-checking the recipient's address",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 5.5.0 Requested action not taken: mailbox unavailable",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 Host unknown", BOUNCE_INVALID_DOMAIN, true);
    assert_class("556 5.1.10 Recipient address has a null MX",
                 BOUNCE_INVALID_DOMAIN, true);
    assert_class("452 4.2.2 The email account that you tried to reach is over "
                 "quota",
                 BOUNCE_MAILBOX_FULL, false);
    assert_class("550 5.2.1 The email account that you tried to reach is "
                 "disabled.",
                 BOUNCE_INACTIVE, false);
    assert_class("552 5.3.4 Message size exceeds fixed maximum message size",
                 BOUNCE_TOO_LARGE, false);
    assert_class("554 5.7.1 Message rejected as spam by Content Filtering.",
                 BOUNCE_CONTENT, false);
    assert_class("554 5.7.1 Service unavailable; Client host [192.0.2.1] "
                 "blocked using zen.spamhaus.org",
                 BOUNCE_REPUTATION, false);
    assert_class("550 5.7.26 This mail has been blocked because the sender is "
                 "unauthenticated.",
                 BOUNCE_AUTHENTICATION, false);
    assert_class("421 4.7.28 Gmail has detected an unusual rate of unsolicited "
                 "mail",
                 BOUNCE_RATE, false);
    assert_class("451 4.4.3 Temporary DNS failure", BOUNCE_DNS, false);
    assert_class("421 4.4.2 Connection timed out", BOUNCE_CONNECTION, false);
    assert_class("503 5.5.1 Bad sequence of commands", BOUNCE_PROTOCOL, false);
    assert_class("550 5.4.7 Message expired", BOUNCE_EXPIRED, false);
    assert_class("550 challenge/response: confirm that you are a person",
                 BOUNCE_CHALLENGE, false);
    assert_class("550 5.1.1 Address is on the suppression list for your "
                 "account",
                 BOUNCE_SUPPRESSED, false);
    assert_class("550 quite something else", BOUNCE_UNKNOWN, false);
}

/* B2: codes that a provider uses for something else than their registry. */
static void test_providers_codes(void **state)
{
    (void)state;
    assert_class("550-5.7.27 This mail has been blocked because the sender is "
                 "unauthenticated. SPF did not pass",
                 BOUNCE_AUTHENTICATION, false);
    assert_class("550 5.7.27", BOUNCE_AUTHENTICATION, false);
    assert_class("550 5.7.27 Host does not accept mail", BOUNCE_INVALID_DOMAIN,
                 true);
    assert_class("550 5.7.27 Sender address has a null MX",
                 BOUNCE_AUTHENTICATION, false);
    assert_class("553 5.1.8 Domain of sender address x@y.example could not be "
                 "found",
                 BOUNCE_AUTHENTICATION, false);
    assert_class("550 5.7.30", BOUNCE_AUTHENTICATION, false);
    assert_class("550-5.7.30 DKIM = did not pass", BOUNCE_AUTHENTICATION,
                 false);
    assert_class("450 4.7.23 The IP address sending this message does not "
                 "have a PTR record",
                 BOUNCE_REPUTATION, false);
    assert_class("421 4.7.29", BOUNCE_AUTHENTICATION, false);
    assert_class("421 4.7.32", BOUNCE_AUTHENTICATION, false);
    assert_class("421 4.7.40", BOUNCE_AUTHENTICATION, false);
    assert_class("550 5.7.515 Access denied, sending domain example.com "
                 "doesn't meet the required authentication level.",
                 BOUNCE_AUTHENTICATION, false);
}

/* B4: what the text says is believed, not what the code says. */
static void test_text_before_code(void **state)
{
    (void)state;
    assert_class("552 5.1.1 sorry, mailbox a@b.example is over quota",
                 BOUNCE_MAILBOX_FULL, false);
    assert_class("550 5.2.1 The user you are trying to contact is receiving "
                 "mail at a rate that prevents additional messages",
                 BOUNCE_RATE, false);
    assert_class("421 5.7.1 Too many connections from your host", BOUNCE_RATE,
                 false);
    assert_class("421 5.1.1 User unknown", BOUNCE_INVALID_ADDRESS, false);
    assert_class("550 5.4.1 Recipient address rejected: Access denied.",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 5.1.1 Rejected: your IP is on a blacklist",
                 BOUNCE_REPUTATION, false);
}

/* B1: the reply in the dialogue, and the same as a notification quotes it. */
static void test_same_everywhere(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "550 5.1.1 <a@b.example>... User unknown",
        "550 5.7.1 Blocked by our policy",
        "552 5.2.2 Mailbox full",
        "550 No such user here",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(replies); i++) {
        struct bounce_verdict dialogue = decide(replies[i], BOUNCE_STEP_RCPT);
        char quoted[256];
        snprintf(quoted, sizeof(quoted),
                 "host mx.b.example[192.0.2.1] said:\n    %s (in reply to RCPT "
                 "TO command)",
                 replies[i]);
        struct bounce_reply reply = {
            .text = text_of(quoted),
            .status = TEXT_LITERAL("5.0.0"),
            .step = BOUNCE_STEP_RCPT,
        };
        struct bounce_verdict report;
        bounce_class_decide(&reply, &report);
        assert_int_equal(dialogue.class, report.class);
        assert_int_equal(dialogue.suppresses, report.suppresses);
        assert_int_equal(dialogue.code, report.code);
    }
}

/* "User unknown" as an answer to the message means a filter, unless the status
 * names the address; a policy's code is believed outside of RCPT only. */
static void test_steps(void **state)
{
    (void)state;
    assert_false(decide("550 User unknown", BOUNCE_STEP_DATA).suppresses);
    assert_true(decide("550 5.1.1 User unknown", BOUNCE_STEP_DATA).suppresses);
    assert_true(decide("550 User unknown", BOUNCE_STEP_RCPT).suppresses);
    assert_true(decide("550 User unknown", BOUNCE_STEP_UNKNOWN).suppresses);
    assert_false(decide("550 User unknown", BOUNCE_STEP_UNTOLD).suppresses);
    assert_true(decide("550 5.7.1 User unknown", BOUNCE_STEP_RCPT).suppresses);
    assert_false(
        decide("550 5.7.1 User unknown", BOUNCE_STEP_UNTOLD).suppresses);
    assert_false(decide("User unknown", BOUNCE_STEP_UNTOLD).suppresses);
    /* Before RCPT it is about the sender. */
    struct bounce_verdict early =
        decide("550 5.1.2 Domain not found", BOUNCE_STEP_MAIL);
    assert_int_equal(early.class, BOUNCE_AUTHENTICATION);
    assert_false(early.suppresses);
    assert_false(decide("554 5.7.1 <a@b.example>: Recipient address rejected: "
                        "come back as a friend",
                        BOUNCE_STEP_RCPT)
                     .suppresses);
    assert_class("553 sorry, that domain isn't in my list of allowed rcpthosts "
                 "(#5.7.1)",
                 BOUNCE_PROTOCOL, false);
    assert_int_equal(bounce_step_of(TEXT_LITERAL("RCPT TO")), BOUNCE_STEP_RCPT);
    assert_int_equal(bounce_step_of(TEXT_LITERAL("final dot")),
                     BOUNCE_STEP_DATA);
    assert_int_equal(bounce_step_of(TEXT_LITERAL("MAIL")), BOUNCE_STEP_MAIL);
    assert_int_equal(bounce_step_of(TEXT_LITERAL("EHLO")), BOUNCE_STEP_CONNECT);
    assert_int_equal(bounce_step_of(TEXT_LITERAL("")), BOUNCE_STEP_UNKNOWN);
}

static void test_codes_in_text(void **state)
{
    (void)state;
    struct bounce_verdict verdict =
        decide("550-5.1.1 no\r\n550 5.1.1 such user", BOUNCE_STEP_RCPT);
    assert_int_equal(verdict.code, 550);
    assert_string_equal(verdict.status, "5.1.1");
    verdict = decide("sorry (#4.3.0)", BOUNCE_STEP_UNKNOWN);
    assert_string_equal(verdict.status, "4.3.0");
    /* Neither an address nor a port nor a version is a code. */
    verdict = decide("mx1.550.example[192.0.2.1]:450 v5.1.12.4 a550",
                     BOUNCE_STEP_UNKNOWN);
    assert_int_equal(verdict.code, 0);
    assert_string_equal(verdict.status, "");
    struct bounce_reply reply = {
        .text = TEXT_LITERAL("550 5.1.1 x"),
        .status = TEXT_LITERAL("5.0.0"),
    };
    bounce_class_decide(&reply, &verdict);
    assert_string_equal(verdict.status, "5.1.1");
    reply.status = TEXT_LITERAL("nonsense");
    bounce_class_decide(&reply, &verdict);
    assert_string_equal(verdict.status, "5.1.1");
}

static void test_broken_input(void **state)
{
    (void)state;
    struct bounce_reply reply = { .text = { "550 user\0unknown\xff", 17 } };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    assert_int_equal(verdict.class, BOUNCE_INVALID_ADDRESS);
    assert_int_equal(decide("", BOUNCE_STEP_UNKNOWN).class, BOUNCE_UNKNOWN);
    assert_int_equal(decide("5", BOUNCE_STEP_UNKNOWN).class, BOUNCE_UNKNOWN);
    assert_int_equal(decide("@@@@ @ 5.", BOUNCE_STEP_UNKNOWN).class,
                     BOUNCE_UNKNOWN);

    /* Beyond PHRASE_TEXT_MAX nothing is looked at. */
    char *large = memory_alloc(PHRASE_TEXT_MAX + 100);
    memset(large, 'x', PHRASE_TEXT_MAX + 50);
    snprintf(large + PHRASE_TEXT_MAX + 1, 50, " user unknown");
    assert_int_equal(decide(large, BOUNCE_STEP_UNKNOWN).class, BOUNCE_UNKNOWN);
    memcpy(large + PHRASE_TEXT_MAX - 13, " user unknown", 13);
    assert_int_equal(decide(large, BOUNCE_STEP_UNKNOWN).class,
                     BOUNCE_INVALID_ADDRESS);
    memory_free(large);
}

/* Words in an address or a URL's path say nothing. */
static void test_what_is_not_read(void **state)
{
    (void)state;
    assert_class("550 5.1.1 <spam-blacklist@b.example>: User unknown",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 5.1.1 User unknown, see https://x.example/spam/blacklist",
                 BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 5.1.1\tUSER\r\n  unknown", BOUNCE_INVALID_ADDRESS, true);
    assert_class("550 mailbox \"a\" is  FULL", BOUNCE_MAILBOX_FULL, false);
}

static void test_phrases(void **state)
{
    (void)state;
    struct phrase_text folded;
    phrase_fold(TEXT_LITERAL("Sorry: doesn't <a@b.example> EXIST, \xC3\x89t\xC3"
                             "\xA9"),
                &folded);
    assert_true(phrase_is_in(&folded, "doesnt @ exist"));
    assert_true(phrase_is_in(&folded, "sorry * exist"));
    assert_true(phrase_is_in(&folded, "\xC3\xA9t\xC3\xA9 "));
    assert_true(phrase_is_in(&folded, " sorry"));
    assert_false(phrase_is_in(&folded, "exist * sorry"));
    assert_false(phrase_is_in(&folded, "b.example"));
    /* Both sides of a star stay near each other. */
    char far[200];
    snprintf(far, sizeof(far), "quota %0*d exceeded", 100, 0);
    phrase_fold(text_of(far), &folded);
    assert_false(phrase_is_in(&folded, "quota * exceeded"));
    snprintf(far, sizeof(far), "quota %0*d quota 5 exceeded", 100, 0);
    phrase_fold(text_of(far), &folded);
    assert_true(phrase_is_in(&folded, "quota * exceeded"));
}

/* A reply of 512 octets is decided far below a millisecond, whatever it is. */
static void test_cost(void **state)
{
    (void)state;
    char text[513];
    for (size_t i = 0; i < 512; i++) {
        text[i] = "the quota exceed mail rejected "[i % 31];
    }
    text[512] = '\0';
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (size_t i = 0; i < 1000; i++) {
        decide(text, BOUNCE_STEP_RCPT);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) +
                     (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    print_message("%.1f us a reply\n", seconds * 1000);
    /* With sanitizers and unoptimised; released code takes a twentieth. */
    assert_true(seconds < 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_providers_codes),
        cmocka_unit_test(test_text_before_code),
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_codes_in_text),
        cmocka_unit_test(test_broken_input),
        cmocka_unit_test(test_what_is_not_read),
        cmocka_unit_test(test_phrases),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
