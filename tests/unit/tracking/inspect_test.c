/* SPDX-License-Identifier: MIT */
/* compose_inspect: what is lawful, and what is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/tracking/inspect_fixture.h"
#include "tracking/compose.h"

static void facts_are_found(void **state)
{
    static const char message[] = "From: A <a@b>, c@d\r\n"
                                  "Sender: e@f\r\n"
                                  "Subject: one\r\n two\r\n"
                                  "Received: x\r\nReceived: y\r\n"
                                  "\r\n\xc3\xa4\r\n";
    struct compose_facts facts;
    struct compose_refusal refusal;
    assert_true(inspect(*state, text_of(message), false, &facts, &refusal));
    assert_int_equal(facts.from_count, 3);
    assert_string_equal(facts.from_addresses[0], "a@b");
    assert_string_equal(facts.from_addresses[1], "c@d");
    assert_string_equal(facts.from_addresses[2], "e@f");
    assert_string_equal(facts.subject, "one two");
    assert_string_equal(facts.internet_message_id, "<4711@mx.example>");
    assert_int_equal(facts.received_count, 2);
    assert_true(facts.has_8bit_body);
    assert_false(facts.needs_conversion);
    assert_string_equal(facts.added_fields,
                        "Date: Sat, 21 Nov 2026 02:13:02 +0000\r\n"
                        "Message-ID: <4711@mx.example>\r\n");
}

static void what_is_there_is_kept(void **state)
{
    struct compose_facts facts;
    struct compose_refusal refusal;
    assert_true(inspect(*state,
                        TEXT_LITERAL("From: a@b\r\nDate: whenever\r\n"
                                     "message-id: <x@y>\r\n"),
                        false, &facts, &refusal));
    assert_string_equal(facts.added_fields, "");
    assert_string_equal(facts.internet_message_id, "<x@y>");
    assert_string_equal(facts.subject, "");
    assert_false(facts.has_8bit_body);
}

#define LONG "%LONG%" /* stands for 999 octets */

static const struct verdict {
    const char *message;
    bool is_smtputf8;
    int code; /* 0: accepted */
    const char *enhanced;
    const char *said;
} verdicts[] = {
    { "From: a@b\r\n\r\nx\r\n", false, 0, "", "" },
    { "From: a@b\r\n", false, 0, "", "" },
    { "From : a@b\r\n\r\n", false, 0, "", "" },
    { "", false, 550, "5.6.0", "no From" },
    { "\r\nbody\r\n", false, 550, "5.6.0", "no From" },
    { "To: a@b\r\n\r\n", false, 550, "5.6.0", "no From" },
    { "From: a@b\r\nFrom: a@b\r\n\r\n", false, 550, "5.6.0", "2 From" },
    { "From: a@b\r\nSubject: x\r\nSUBJECT: y\r\n\r\n", false, 550, "5.6.0",
      "2 Subject" },
    { "From: a@b\r\nContent-Type: x/y\r\nContent-type: x/z\r\n\r\n", false, 550,
      "5.6.0", "2 Content-Type" },
    { "From: a@b, c@d\r\n\r\n", false, 0, "", "" },
    { "From: nobody\r\n\r\n", false, 550, "5.6.0", "local@domain" },
    { "From: nobody:;\r\n\r\n", false, 550, "5.6.0", "no address" },
    { "From: a@b\r\nSender: <>\r\n\r\n", false, 550, "5.6.0", "Sender" },
    { "From a@b Mon\r\nFrom: a@b\r\n\r\n", false, 550, "5.6.0", "mailbox" },
    { "From: a@b\r\nHello there\r\n", false, 550, "5.6.0", "Line 2" },
    { "From: a@b\r\nSubject: \xc3\xa4\r\n\r\n", false, 550, "5.6.0",
      "Subject field (line 2" },
    { "From: a@b\r\nSubject: \xc3\xa4\r\n\r\n", true, 0, "", "" },
    { "From: a@b\r\nSubject: \xe4\r\n\r\n", true, 550, "5.6.0", "not UTF-8" },
    { "From: a@b\r\nX: " LONG "\r\n\r\n", false, 550, "5.6.0", "Line 2" },
    { "From: a@b\r\n\r\na\rb\r\n", false, 550, "5.6.0", "Line 3" },
    { "From: a@b\r\n\r\na\nb\r\n", false, 550, "5.6.0", "line feed" },
    { "From: a@b\r\n\r\n" LONG "\r\n", false, 0, "", "" },
    { "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" LONG
      "\r\n--b\r\n\r\n--b--\r\n",
      false, 550, "5.6.0", "Line 4" },
    { "From: a@b\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n"
      "\r\n" LONG "\r\n--b--\r\n",
      false, 550, "5.6.0", "signed" },
    { "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
      "X: " LONG "\r\n\r\n--b--\r\n",
      false, 550, "5.6.0", "in a header" },
    { "From: a@b\r\nContent-Type: message/rfc822\r\n\r\nX: y\r\n\r\n" LONG
      "\r\n",
      false, 550, "5.6.0", "attached" },
    { "From: a@b\r\nContent-Transfer-Encoding: x-unknown\r\n\r\n" LONG "\r\n",
      false, 550, "5.6.0", "998" },
    { "From: a@b\r\nContent-Transfer-Encoding: base64\r\n\r\n!" LONG "\r\n",
      false, 550, "5.6.0", "998" },
};

static struct text with_long(struct arena *arena, const char *pattern)
{
    const char *place = strstr(pattern, LONG);
    if (!place) {
        return text_of(pattern);
    }
    return text_of(arena_printf(arena, "%.*s%s%s", (int)(place - pattern),
                                pattern, repeat(arena, "x", 999),
                                place + strlen(LONG)));
}

static void verdicts_are_given(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verdicts); i++) {
        const struct verdict *row = &verdicts[i];
        struct compose_facts facts;
        struct compose_refusal refusal;
        struct text message = with_long(*state, row->message);
        bool is_accepted =
            inspect(*state, message, row->is_smtputf8, &facts, &refusal);
        if (is_accepted != (row->code == 0)) {
            fail_msg("row %zu: %d %s", i, refusal.code, refusal.reason.text);
        }
        assert_int_equal(refusal.code, row->code);
        assert_string_equal(refusal.enhanced, row->enhanced);
        if (!strstr(refusal.reason.text, row->said)) {
            fail_msg("row %zu: %s", i, refusal.reason.text);
        }
    }
}

static void limits_are_said(void **state)
{
    static const struct {
        const char *unit;
        size_t count;
        int code;
        const char *enhanced;
    } rows[] = {
        { "Received: x\r\n", 101, 554, "5.4.6" },
        { "Received: x\r\n", 100, 0, "" },
        { "X: y\r\n", 1001, 552, "5.3.4" },
        { "Content-Type: message/rfc822\r\n\r\n", 101, 552, "5.3.4" },
        { "Content-Type: message/rfc822\r\n\r\n", 100, 0, "" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct compose_facts facts;
        struct compose_refusal refusal;
        const char *message =
            arena_printf(*state, "From: a@b\r\n%s\r\n",
                         repeat(*state, rows[i].unit, rows[i].count));
        bool is_accepted =
            inspect(*state, text_of(message), false, &facts, &refusal);
        assert_int_equal(is_accepted, rows[i].code == 0);
        assert_int_equal(refusal.code, rows[i].code);
        assert_string_equal(refusal.enhanced, rows[i].enhanced);
    }
    struct text nul = TEXT_LITERAL("From: a@b\r\n\r\na\0b\r\n");
    struct compose_facts facts;
    struct compose_refusal refusal;
    assert_false(inspect(*state, nul, false, &facts, &refusal));
    assert_non_null(strstr(refusal.reason.text, "Line 3"));
}

static const struct {
    const char *fields;
    const char *group;
    const char *subject;
} subject_rows[] = {
    { "Subject: Your order {Receipts}\r\n", "Receipts", "Your order" },
    { "Subject: Savings For\r\n Today {Daily\r\n Alert}\r\n", "Daily Alert",
      "Savings For Today" },
    { "Subject: =?utf-8?Q?Savings_For_Today{Daily_Alert}?=\r\n", "Daily Alert",
      "=?utf-8?Q?Savings_For_Today?=" },
    { "Subject: {braces} first\r\n", NULL, "{braces} first" },
    { "", NULL, "" },
};

static void groups_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(subject_rows); i++) {
        struct compose_facts facts;
        struct compose_refusal refusal;
        const char *message = arena_printf(*state, "From: a@b\r\n%s\r\nx\r\n",
                                           subject_rows[i].fields);
        assert_true(inspect(*state, text_of(message), false, &facts, &refusal));
        assert_string_equal(facts.subject, subject_rows[i].subject);
        if (subject_rows[i].group) {
            assert_non_null(facts.subject_group);
            assert_string_equal(facts.subject_group, subject_rows[i].group);
        } else {
            assert_null(facts.subject_group);
        }
    }
}

static void control_fields_are_read(void **state)
{
    struct compose_facts facts;
    struct compose_refusal refusal;
    struct text message = TEXT_LITERAL("From: a@b\r\nX-Baton-Group: News\r\n"
                                       "X-Baton-Tag: one\r\n\r\nx\r\n");
    assert_true(inspect(*state, message, false, &facts, &refusal));
    assert_string_equal(facts.control.group, "News");
    assert_int_equal(facts.control.tag_count, 1);
    message = TEXT_LITERAL("From: a@b\r\nX-Baton-Metadata: {no\r\n\r\nx\r\n");
    assert_false(inspect(*state, message, false, &facts, &refusal));
    assert_int_equal(refusal.code, 550);
    assert_string_equal(refusal.enhanced, "5.6.0");
    assert_non_null(strstr(refusal.reason.text, "X-Baton-Metadata"));
}

#define ROW(name, function)                            \
    {                                                  \
        name, function, create_arena, free_arena, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("F1: facts are found, missing fields added", facts_are_found),
        ROW("F1: what is there is kept", what_is_there_is_kept),
        ROW("F2, F4, S7: verdicts are given", verdicts_are_given),
        ROW("F13, S14: limits are said", limits_are_said),
        ROW("R8: the group of the Subject is found", groups_are_found),
        ROW("control fields are read, malformed ones refused",
            control_fields_are_read),
    };
    return cmocka_run_group_tests_name("tracking/inspect", tests, NULL, NULL);
}
