/* SPDX-License-Identifier: MIT */
/* B9: feedback reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "core/memory.h"
#include "tracking/arf.h"

#define REPORT(fields)                                              \
    "From: fbl@provider.example\r\n"                                \
    "Content-Type: multipart/report; report-type=feedback-report; " \
    "boundary=x\r\n\r\n"                                            \
    "--x\r\n\r\nThis is a report.\r\n"                              \
    "--x\r\nContent-Type: message/feedback-report\r\n\r\n" fields   \
    "\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"               \
    "Return-Path: <b+token@bounce.example>\r\n"                     \
    "Message-ID: <1@sender.example>\r\n"                            \
    "To: redacted@provider.example\r\n\r\nbody\r\n--x--\r\n"

static struct arf read(struct arena *arena, const char *message)
{
    struct arf arf;
    assert_true(arf_read(text_of(message), arena, &arf));
    return arf;
}

static void test_fields(void **state)
{
    struct arf arf = read(*state, REPORT("Feedback-Type: abuse\r\n"
                                         "User-Agent: FBL/1\r\n"
                                         "Original-Rcpt-To: <a@b.example>\r\n"
                                         "Original-Rcpt-To: c@d.example\r\n"
                                         "Original-Mail-From: <m@s.example>\r\n"
                                         "Original-Envelope-Id: e1\r\n"
                                         "Reported-Domain: s.example\r\n"
                                         "Source-IP: 192.0.2.1\r\n"
                                         "Incidents: 3\r\n"
                                         "Arrival-Date: Thu, 8 Mar 2005 "
                                         "14:00:00 EDT\r\n"));
    assert_int_equal(arf.type, ARF_ABUSE);
    assert_true(arf.suppresses);
    assert_int_equal(arf.recipient_count, 2);
    assert_string_equal(arf.recipients[0], "a@b.example");
    assert_string_equal(arf.recipients[1], "c@d.example");
    assert_string_equal(arf.user_agent, "FBL/1");
    assert_string_equal(arf.mail_from, "m@s.example");
    assert_string_equal(arf.envelope_id, "e1");
    assert_string_equal(arf.reported_domain, "s.example");
    assert_string_equal(arf.source_ip, "192.0.2.1");
    assert_string_equal(arf.arrival_date, "Thu, 8 Mar 2005 14:00:00 EDT");
    assert_int_equal(arf.incidents, 3);
    assert_string_equal(arf.returned.message_id, "<1@sender.example>");
    assert_string_equal(arf.returned.envelope_sender, "b+token@bounce.example");
}

/* A redacted report still has what our message is found by. */
static void test_redacted(void **state)
{
    struct arf arf = read(*state, REPORT("Feedback-Type: abuse\r\n"
                                         "Redacted-Address: redacted@\r\n"));
    assert_int_equal(arf.recipient_count, 1);
    assert_string_equal(arf.recipients[0], "redacted@provider.example");
    assert_string_equal(arf.returned.envelope_sender, "b+token@bounce.example");
    assert_non_null(memmem(arf.returned.header.data, arf.returned.header.length,
                           "Message-ID: <1@", 15));
}

static void test_types(void **state)
{
    assert_int_equal(read(*state, REPORT("Feedback-Type: fraud\r\n")).type,
                     ARF_FRAUD);
    assert_int_equal(read(*state, REPORT("Feedback-Type: VIRUS\r\n")).type,
                     ARF_VIRUS);
    assert_int_equal(read(*state, REPORT("feedback-type: opt-out\r\n")).type,
                     ARF_OPT_OUT);
    struct arf arf = read(*state, REPORT("Feedback-Type: not-spam\r\n"));
    assert_int_equal(arf.type, ARF_NOT_SPAM);
    assert_false(arf.suppresses);
    arf = read(*state, REPORT("Feedback-Type: auth-failure\r\n"));
    assert_int_equal(arf.type, ARF_AUTH_FAILURE);
    assert_false(arf.suppresses);
    arf = read(*state, REPORT("Feedback-Type: x-new (what)\r\n"));
    assert_int_equal(arf.type, ARF_OTHER);
    assert_false(arf.suppresses);
    assert_string_equal(arf_type_name(ARF_AUTH_FAILURE), "auth-failure");
    assert_string_equal(arf_type_name(ARF_ABUSE), "abuse");
}

static void test_older_loops(void **state)
{
    struct arf arf =
        read(*state, "From: staff@hotmail.com\r\n"
                     "Subject: complaint about message from 192.0.2.1\r\n"
                     "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
                     "--x\r\nContent-Type: message/rfc822\r\n\r\n"
                     "X-HmXmrOriginalRecipient: a@hotmail.com\r\n"
                     "Message-ID: <1@s.example>\r\n\r\nb\r\n--x--\r\n");
    assert_int_equal(arf.type, ARF_ABUSE);
    assert_string_equal(arf.recipients[0], "a@hotmail.com");
    assert_string_equal(arf.returned.message_id, "<1@s.example>");
    arf = read(*state, "From: a@icloud.com\r\nX-Apple-Unsubscribe: true\r\n"
                       "Auto-Submitted: auto-replied\r\n\r\nx\r\n");
    assert_int_equal(arf.type, ARF_OPT_OUT);
    assert_string_equal(arf.recipients[0], "a@icloud.com");
    arf = read(*state, "Subject: AWS Notification Message\r\n\r\n"
                       "{\"notificationType\":\"Complaint\",\"complaint\":"
                       "{\"complainedRecipients\":[{\"emailAddress\":"
                       "\"a@b.example\"}],\"x\":\"c@d.example\"}}\r\n");
    assert_int_equal(arf.recipient_count, 1);
    assert_string_equal(arf.recipients[0], "a@b.example");
}

static void test_no_reports(void **state)
{
    struct arf arf;
    static const char *const messages[] = {
        "",
        "x",
        "From: a@b.example\r\n\r\nhello",
        "Subject: complaint about message from you\r\n\r\nno message here\r\n",
        "From: MAILER-DAEMON@b.example\r\nContent-Type: multipart/report; "
        "boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\n--x--\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(messages); i++) {
        assert_false(arf_read(text_of(messages[i]), *state, &arf));
    }
    struct text nul = TEXT_LITERAL("From: a\0b\r\n\0\r\n");
    assert_false(arf_read(nul, *state, &arf));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_redacted, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_types, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_older_loops, create_arena,
                                        free_arena),
        cmocka_unit_test_setup_teardown(test_no_reports, create_arena,
                                        free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
