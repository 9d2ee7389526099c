/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/dsn.h"

#define REPORT(status)                                              \
    "From: MAILER-DAEMON@mx.example\r\n"                            \
    "Auto-Submitted: auto-replied\r\n"                              \
    "Content-Type: multipart/report; report-type=delivery-status; " \
    "boundary=x\r\n\r\n"                                            \
    "--x\r\n\r\nThis is the mail system at host mx.example.\r\n"    \
    "--x\r\nContent-Type: message/delivery-status\r\n\r\n"          \
    "Reporting-MTA: dns; mx.example\r\n"                            \
    "Original-Envelope-Id: e1\r\n\r\n" status                       \
    "\r\n--x\r\nContent-Type: text/rfc822-headers\r\n\r\n"          \
    "Return-Path: <b+token@bounce.example>\r\n"                     \
    "Message-ID: <1@sender.example>\r\n"                            \
    "To: a@b.example\r\n\r\n--x--\r\n"

static struct dsn read_text(struct arena *arena, const char *message)
{
    struct dsn dsn;
    dsn_read(text_of(message), arena, &dsn);
    return dsn;
}

/* RFC 3464, and what our message is found by. */
static void test_fields(void **state)
{
    struct dsn dsn = read_text(
        *state, REPORT("Final-Recipient: rfc822; a@b.example\r\n"
                       "Original-Recipient: rfc822; c@d.example\r\n"
                       "Action: failed\r\nStatus: 5.1.1 (bad address)\r\n"
                       "Remote-MTA: dns; mx.b.example\r\n"
                       "Diagnostic-Code: smtp; 550 5.1.1 User\r\n unknown\r\n"
                       "\r\nFinal-Recipient: rfc822;e@f.example\r\n"
                       "Action: delayed\r\nStatus: 4.4.1\r\n"));
    assert_int_equal(dsn.kind, DSN_BOUNCE);
    assert_string_equal(dsn.reporting_host, "mx.example");
    assert_string_equal(dsn.envelope_id, "e1");
    assert_string_equal(dsn.returned.message_id, "<1@sender.example>");
    assert_string_equal(dsn.returned.envelope_sender, "b+token@bounce.example");
    assert_int_equal(dsn.recipient_count, 2);
    const struct dsn_recipient *first = &dsn.recipients[0];
    assert_string_equal(first->address, "a@b.example");
    assert_string_equal(first->original, "c@d.example");
    assert_string_equal(first->status, "5.1.1");
    assert_string_equal(first->diagnostic, "550 5.1.1 User unknown");
    assert_string_equal(first->remote_host, "mx.b.example");
    assert_int_equal(first->verdict.class, BOUNCE_INVALID_ADDRESS);
    assert_true(first->verdict.suppresses);
    assert_int_equal(dsn.recipients[1].action, DSN_DELAYED);
    assert_int_equal(dsn.recipients[1].verdict.class, BOUNCE_CONNECTION);
    assert_false(dsn.recipients[1].verdict.suppresses);
}

/* B1: as a reply of the dialogue. */
static void test_same_as_in_dialogue(void **state)
{
    static const char *const replies[] = { "550 5.1.1 No such user",
                                           "552 5.2.2 Mailbox full",
                                           "550 5.7.1 Blocked, spamhaus" };
    for (size_t i = 0; i < ARRAY_LENGTH(replies); i++) {
        char message[2048];
        snprintf(message, sizeof(message),
                 REPORT("Final-Recipient: rfc822; a@b.example\r\n"
                        "Action: failed\r\nStatus: 5.0.0\r\n"
                        "Diagnostic-Code: smtp; %s\r\n"),
                 replies[i]);
        struct dsn dsn = read_text(*state, message);
        struct bounce_reply reply = { .text = text_of(replies[i]),
                                      .step = BOUNCE_STEP_RCPT };
        struct bounce_verdict verdict;
        bounce_class_decide(&reply, &verdict);
        assert_int_equal(dsn.recipients[0].verdict.class, verdict.class);
        assert_int_equal(dsn.recipients[0].verdict.suppresses,
                         verdict.suppresses);
    }
}

static enum dsn_kind kind_of_action(struct arena *arena, const char *action)
{
    char message[2048];
    snprintf(message, sizeof(message),
             REPORT("Final-Recipient: rfc822; a@b.example\r\nAction: %s\r\n"),
             action);
    return read_text(arena, message).kind;
}

static void test_actions(void **state)
{
    assert_int_equal(kind_of_action(*state, "failed"), DSN_BOUNCE);
    assert_int_equal(kind_of_action(*state, "Failed (bad)"), DSN_BOUNCE);
    assert_int_equal(kind_of_action(*state, "delayed"), DSN_DELAY);
    assert_int_equal(kind_of_action(*state, "delivered"), DSN_ARRIVED);
    assert_int_equal(kind_of_action(*state, "relayed"), DSN_ARRIVED);
    assert_int_equal(kind_of_action(*state, "expanded"), DSN_ARRIVED);
    assert_int_equal(kind_of_action(*state, "error"), DSN_BOUNCE);
}

/* A warning says "user unknown" at most of now. */
static void test_delay_never_suppresses(void **state)
{
    struct dsn dsn = read_text(
        *state, REPORT("Final-Recipient: rfc822; a@b.example\r\n"
                       "Action: delayed\r\nStatus: 5.1.1\r\n"
                       "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n"));
    assert_int_equal(dsn.kind, DSN_DELAY);
    assert_false(dsn.recipients[0].verdict.suppresses);
}

/* RFC 6533: internationalised addresses, in either form. */
static void test_utf8_addresses(void **state)
{
    struct dsn dsn = read_text(
        *state, REPORT("Final-Recipient: utf-8; \\x{E9}\\x{1F600}@b.example\r\n"
                       "Action: failed\r\nStatus: 5.1.1\r\n\r\n"
                       "Final-Recipient: utf-8; \xC3\xA8@b.example\r\n"
                       "Action: failed\r\nStatus: 5.1.1\r\n"));
    assert_int_equal(dsn.recipient_count, 2);
    assert_string_equal(dsn.recipients[0].address,
                        "\xC3\xA9\xF0\x9F\x98\x80@b.example");
    assert_string_equal(dsn.recipients[1].address, "\xC3\xA8@b.example");
}

/* Fields as careless programs write them. */
static void test_sloppy_fields(void **state)
{
    struct dsn dsn =
        read_text(*state, REPORT("Final-Recipient: <a@b.example>\r\n"
                                 "Action: failed\r\n"
                                 "Final-Recipient: unknown; nair_s\r\n"
                                 "Action: failed\r\n"
                                 "Status: 5.2.2 (mailbox over quota)\r\n"));
    assert_int_equal(dsn.recipient_count, 2);
    assert_string_equal(dsn.recipients[0].address, "a@b.example");
    assert_string_equal(dsn.recipients[1].address, "nair_s");
    assert_int_equal(dsn.recipients[1].verdict.class, BOUNCE_MAILBOX_FULL);
    /* Nobody is named: the returned message says who. */
    dsn = read_text(*state, REPORT("Action: failed\r\nStatus: 5.1.1\r\n"));
    assert_int_equal(dsn.recipients[0].action, DSN_FAILED);
    assert_string_equal(dsn.recipients[0].address, "a@b.example");
}

/* Each recipient has its own reason; what another caused is not its own. */
static void test_several_in_text(void **state)
{
    struct dsn dsn = read_text(
        *state,
        "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n"
        "I wasn't able to deliver your message to the following addresses.\n\n"
        "<a@b.example>:\nRemote host said: 552 5.2.2 Mailbox full\n\n"
        "<c@d.example>:\n192.0.2.1 does not like recipient.\n"
        "Remote host said: 550 no such user\n\n"
        "<e@f.example>:\nSome words.\n\n"
        "--- Below this line is a copy of the message.\n\n"
        "Return-Path: <s@t.example>\nMessage-ID: <1@t.example>\n"
        "To: z@z.example\n");
    assert_int_equal(dsn.recipient_count, 3);
    assert_int_equal(dsn.recipients[0].verdict.class, BOUNCE_MAILBOX_FULL);
    assert_int_equal(dsn.recipients[1].verdict.class, BOUNCE_INVALID_ADDRESS);
    assert_int_equal(dsn.recipients[1].step, BOUNCE_STEP_RCPT);
    assert_true(dsn.recipients[1].verdict.suppresses);
    assert_false(dsn.recipients[2].verdict.suppresses);
    assert_string_equal(dsn.returned.message_id, "<1@t.example>");
    assert_string_equal(dsn.returned.envelope_sender, "s@t.example");
}

/* Neither a bare reason nor none is made up from another's reply. */
static void test_others_reasons(void **state)
{
    struct dsn dsn = read_text(
        *state,
        "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n"
        "I wasn't able to deliver your message to the following addresses.\n\n"
        "<a@b.example>:\nRemote host said: 550 5.1.1 no such user\n\n"
        "<c@d.example>:\nThe disk quota of this person is used up.\n\n"
        "<e@f.example>:\nSome words.\n");
    assert_int_equal(dsn.recipient_count, 3);
    assert_true(dsn.recipients[0].verdict.suppresses);
    assert_int_equal(dsn.recipients[1].verdict.class, BOUNCE_MAILBOX_FULL);
    assert_int_equal(dsn.recipients[1].verdict.code, 0);
    assert_false(dsn.recipients[2].verdict.suppresses);
}

/* Where the text names nobody, the header or the returned message does. */
static void test_recipient_elsewhere(void **state)
{
    struct dsn dsn = read_text(
        *state, "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n"
                "X-Failed-Recipients: a@b.example, c@d.example\n\n"
                "This is a permanent error.\n");
    assert_int_equal(dsn.recipient_count, 2);
    dsn = read_text(*state,
                    "From: MAILER-DAEMON@mx.example\nSubject: Returned mail\n"
                    "\nYour mail could not be delivered.\n\n"
                    "---- Original message ----\n\n"
                    "Received: from a by b\nTo: \"E\" <e@f.example>\n");
    assert_int_equal(dsn.recipient_count, 1);
    assert_string_equal(dsn.recipients[0].address, "e@f.example");
}

/* Amazon's notices, as mail. */
static void test_notices(void **state)
{
    struct dsn dsn = read_text(
        *state,
        "From: no-reply@sns.amazonaws.com\nSubject: AWS Notification Message\n"
        "\n{\"notificationType\":\"Bounce\",\"bounce\":"
        "{\"bouncedRecipients\":[{\"emailAddress\":\"a@b.example\","
        "\"status\":\"5.1.1\",\"diagnosticCode\":\"smtp; 550 5.1.1 user "
        "unknown\"},{\"emailAddress\":\"c@d.example\"}]},"
        "\"mail\":{\"source\":\"s@t.example\"}}\n");
    assert_int_equal(dsn.kind, DSN_BOUNCE);
    assert_int_equal(dsn.recipient_count, 2);
    assert_string_equal(dsn.recipients[0].address, "a@b.example");
    assert_true(dsn.recipients[0].verdict.suppresses);
    assert_string_equal(dsn.recipients[1].address, "c@d.example");
    assert_false(dsn.recipients[1].verdict.suppresses);
}

/* B8: an absence note is no bounce, whatever it says of addresses. */
static void test_auto_replies(void **state)
{
    static const char *const headers[] = {
        "Auto-Submitted: auto-replied",
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Subject: Out of Office: hello",
        "Subject: =?utf-8?q?R=C3=A9ponse_automatique?=",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++) {
        char message[256];
        snprintf(message, sizeof(message),
                 "From: a@b.example\n%s\n\nI am away, mail to c@d.example is "
                 "read.\n",
                 headers[i]);
        struct dsn dsn = read_text(*state, message);
        assert_int_equal(dsn.kind, DSN_AUTO_REPLY);
        assert_int_equal(dsn.recipient_count, 0);
        assert_string_equal(dsn.from, "a@b.example");
    }
    assert_int_equal(
        read_text(*state, "From: a@b.example\nAuto-Submitted: no\n\nx\n").kind,
        DSN_NONE);
}

static void test_broken_input(void **state)
{
    struct dsn dsn;
    assert_int_equal(read_text(*state, "").kind, DSN_NONE);
    assert_int_equal(read_text(*state, "\n\n").kind, DSN_NONE);
    assert_int_equal(read_text(*state, "no header at all").kind, DSN_NONE);
    assert_int_equal(
        read_text(*state, "Content-Type: multipart/report; boundary=x").kind,
        DSN_NONE);
    struct text nul = TEXT_LITERAL("From: MAILER-DAEMON@a.example\r\nSubject: "
                                   "failure notice\r\n\r\n<a\0@b.example>:\r\n"
                                   "<c@d.example>: 550 User\0unknown");
    dsn_read(nul, *state, &dsn);
    assert_int_equal(dsn.kind, DSN_BOUNCE);
}

/* Depth and length are bounded: the cost is that of the bytes. */
static void test_hostile_structure(void **state)
{
    struct buffer message = { 0 };
    struct dsn dsn;
    for (int i = 0; i < 3000; i++) {
        buffer_printf(&message,
                      "Content-Type: multipart/report; boundary=b%d\r\n\r\n"
                      "--b%d\r\n",
                      i, i);
    }
    dsn_read(buffer_text(&message), *state, &dsn);
    assert_int_equal(dsn.kind, DSN_NONE);
    buffer_clear(&message);
    buffer_append_string(&message,
                         "From: MAILER-DAEMON@a.example\r\nSubject: failure "
                         "notice\r\n\r\nfailed:\r\n");
    for (int i = 0; i < 20000; i++) {
        buffer_printf(&message, "<u%d@b.example>: 550 User unknown\r\n", i);
    }
    dsn_read(buffer_text(&message), *state, &dsn);
    assert_int_equal(dsn.kind, DSN_BOUNCE);
    assert_in_range(dsn.recipient_count, 100, DSN_RECIPIENTS_MAX);
    buffer_free(&message);
}

static void test_addresses_in_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *address; /* NULL: none */
    } samples[] = {
        { "<a@b.example>...", "a@b.example" },
        { "mailto:a@b.example.", "a@b.example" },
        { "rfc822;a+x=y@b.example", "a+x=y@b.example" },
        { "c=US;a= ;p=X;dda:SMTP=a@b.example;", "a@b.example" },
        { "\"a b\"@c.example", "\"a b\"@c.example" },
        { "'a@b.example'", "a@b.example" },
        { "[SMTP:a@b.example]", "a@b.example" },
        { "a@[192.0.2.1] x", "a@[192.0.2.1]" },
        { "user @ b.example", NULL },
        { "a@localhost", NULL },
        { "@", NULL },
        { "a@", NULL },
        { "a@b@c.example", "b@c.example" },
        { "\xE3\x81\x82@b.example", "\xE3\x81\x82@b.example" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct text rest = text_of(samples[i].text);
        struct text address = { NULL, 0 };
        bool is_found = address_text_next(&rest, &address);
        print_message("%s\n", samples[i].text);
        assert_int_equal(is_found, samples[i].address != NULL);
        if (is_found) {
            assert_true(text_is(address, samples[i].address));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_same_as_in_dialogue, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_actions, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_delay_never_suppresses,
                                        create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_utf8_addresses, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_sloppy_fields, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_several_in_text, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_others_reasons, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_recipient_elsewhere, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_notices, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_auto_replies, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_broken_input, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_hostile_structure, create_arena,
                                        free_arena),
        cmocka_unit_test(test_addresses_in_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
