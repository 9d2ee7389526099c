/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/memory.h"
#include "tracking/header.h"
#include "tracking/line.h"
#include "tracking/mime.h"
#include "tracking/report.h"

#define ORIGINAL "From: a@b.example\r\nSubject: Hello\r\n\r\nThe body\r\n"

static const struct report_recipient failed = {
    .address = "nobody@far.example",
    .original_recipient = "rfc822;no+2Bbody@far.example",
    .action = REPORT_FAILED,
    .status = "5.1.1",
    .diagnostic = "550 5.1.1 No such user",
    .remote_host = "mx.far.example",
    .explanation = "The address does not exist.",
    .last_attempt_at = INT64_C(1795227182000000),
};

static struct report_input input_of(const struct report_recipient *recipients,
                                    size_t count, const char *original)
{
    return (struct report_input){
        .hostname = "mx.example",
        .to = "a@b.example",
        .envelope_id = "QQ+3D1",
        .arrived_at = INT64_C(1795227182000000),
        .made_at = INT64_C(1795227182000000),
        .message_id = 815,
        .original_message_id = 4711,
        .recipients = recipients,
        .recipient_count = count,
        .original = text_of(original),
    };
}

struct parsed {
    struct arena *arena;
    struct buffer report;
    struct header header;
    struct mime mime;
};

/* Write the report and take it apart again; every report must allow that. */
static void write_and_parse(const struct report_input *input,
                            struct parsed *parsed)
{
    static const struct header_limits header_limits = { 65536, 100 };
    static const struct mime_limits mime_limits = { 100, 1000 };
    struct error error = { "" };
    *parsed = (struct parsed){ .arena = arena_create() };
    report_write(input, &parsed->report);
    struct text report = buffer_text(&parsed->report);
    struct text rest = report;
    while (rest.length > 0) {
        struct text line = line_take(&rest);
        assert_true(line.length >= 2 && line.data[line.length - 2] == '\r');
        assert_true(line_content(line).length <= 998);
    }
    assert_true(header_parse(report, &header_limits, parsed->arena,
                             &parsed->header, &error));
    assert_true(
        mime_scan(report, &mime_limits, parsed->arena, &parsed->mime, &error));
    assert_true(parsed->mime.part_count >= 4);
    assert_true(parsed->mime.parts[0].is_closed);
    assert_string_equal(parsed->mime.parts[0].type, "multipart/report");
}

static void release(struct parsed *parsed)
{
    buffer_free(&parsed->report);
    arena_free(&parsed->arena);
}

static const char *value(struct parsed *parsed, const char *name)
{
    const struct header_field *field = header_find(&parsed->header, name);
    assert_non_null(field);
    return header_unfold(parsed->arena, field->value);
}

/* The status part's fields, each unfolded, one a line. */
static const char *status_fields(struct parsed *parsed)
{
    struct text body =
        mime_part_body(buffer_text(&parsed->report), &parsed->mime.parts[2]);
    struct buffer fields = { 0 };
    struct header_field field;
    while (body.length > 0) {
        while (header_next(&body, &field)) {
            buffer_append_text(&fields, field.name);
            buffer_printf(&fields, ": %s\n",
                          header_unfold(parsed->arena, field.value));
        }
        struct text line = line_take(&body);
        if (line.length > 0) {
            assert_int_equal(line_content(line).length, 0);
            buffer_append_string(&fields, "\n");
        }
    }
    char *copy = arena_copy_text(parsed->arena, buffer_text(&fields));
    buffer_free(&fields);
    return copy;
}

static void a_report_says_it_all(void **state)
{
    (void)state;
    struct report_input input = input_of(&failed, 1, ORIGINAL);
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_string_equal(value(&parsed, "Auto-Submitted"), "auto-generated");
    assert_string_equal(value(&parsed, "MIME-Version"), "1.0");
    assert_string_equal(value(&parsed, "Date"),
                        "Sat, 21 Nov 2026 02:13:02 +0000");
    assert_string_equal(value(&parsed, "Message-ID"), "<815@mx.example>");
    assert_string_equal(value(&parsed, "To"), "<a@b.example>");
    assert_string_equal(value(&parsed, "From"),
                        "Mail Delivery System <MAILER-DAEMON@mx.example>");
    assert_string_equal(
        mime_parameter(parsed.arena,
                       header_find(&parsed.header, "Content-Type")->value,
                       "report-type"),
        "delivery-status");
    assert_string_equal(status_fields(&parsed),
                        "Reporting-MTA: dns; mx.example\n"
                        "Original-Envelope-Id: QQ=1\n"
                        "Arrival-Date: Sat, 21 Nov 2026 02:13:02 +0000\n"
                        "X-Baton-Message: 4711\n"
                        "\n"
                        "Original-Recipient: rfc822;no+body@far.example\n"
                        "Final-Recipient: rfc822; nobody@far.example\n"
                        "Action: failed\n"
                        "Status: 5.1.1\n"
                        "Remote-MTA: dns; mx.far.example\n"
                        "Diagnostic-Code: smtp; 550 5.1.1 No such user\n"
                        "Last-Attempt-Date: Sat, 21 Nov 2026 02:13:02 +0000\n");
    assert_string_equal(parsed.mime.parts[2].type, "message/delivery-status");
    assert_string_equal(parsed.mime.parts[3].type, "message/rfc822");
    assert_true(text_is(
        mime_part_body(buffer_text(&parsed.report), &parsed.mime.parts[3]),
        ORIGINAL));
    assert_false(text_has_8bit(buffer_text(&parsed.report)));
    assert_null(strstr(parsed.report.data, "Content-Transfer-Encoding"));
    release(&parsed);
}

static void each_recipient_has_a_group(void **state)
{
    (void)state;
    struct report_recipient recipients[3] = { failed, failed, failed };
    recipients[0] = (struct report_recipient){
        .address = "x@y",
        .action = REPORT_RELAYED,
        .status = "2.0.0",
        .explanation = "Passed on.",
    };
    recipients[1].action = REPORT_DELAYED;
    struct report_input input = input_of(recipients, 3, ORIGINAL);
    input.envelope_id = NULL;
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    const char *fields = status_fields(&parsed);
    assert_non_null(strstr(fields, "\n\nFinal-Recipient: rfc822; x@y\n"
                                   "Action: relayed\nStatus: 2.0.0\n\n"));
    assert_non_null(strstr(fields, "Action: delayed\n"));
    assert_non_null(strstr(fields, "Action: failed\n"));
    assert_null(strstr(fields, "Envelope-Id"));
    assert_non_null(strstr(value(&parsed, "Subject"), "Undelivered"));
    release(&parsed);
    input.recipient_count = 2;
    write_and_parse(&input, &parsed);
    assert_non_null(strstr(value(&parsed, "Subject"), "delayed"));
    release(&parsed);
}

static void only_the_header_is_returned(void **state)
{
    (void)state;
    struct report_input input = input_of(&failed, 1, ORIGINAL);
    input.headers_only = true;
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_string_equal(parsed.mime.parts[3].type, "text/rfc822-headers");
    assert_true(text_is(
        mime_part_body(buffer_text(&parsed.report), &parsed.mime.parts[3]),
        "From: a@b.example\r\nSubject: Hello\r\n"));
    assert_null(strstr(parsed.report.data, "The body"));
    release(&parsed);
}

static void long_lines_stay_out(void **state)
{
    (void)state;
    struct buffer original = { 0 };
    buffer_append_string(&original, "From: a@b\r\nX: ");
    for (int i = 0; i < 2000; i++) {
        buffer_append_byte(&original, 'x');
    }
    buffer_append_string(&original, "\r\n\r\nThe body\r\n");
    struct report_input input = input_of(&failed, 1, original.data);
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_string_equal(parsed.mime.parts[3].type, "text/rfc822-headers");
    release(&parsed);
    buffer_free(&original);
}

/* T24's neighbour: a reply, an address and an ORCPT that try to write fields,
 * parts and lines of their own. */
static void hostile_bytes_are_harmless(void **state)
{
    (void)state;
    struct buffer reply = { 0 };
    buffer_append_string(&reply, "550 a\r\n\r\n--=_report_815_0\r\n"
                                 "Action: delivered\nX: \x01\x7f\xff");
    for (int i = 0; i < 2000; i++) {
        buffer_append_byte(&reply, 'y');
    }
    for (int i = 0; i < 2000; i++) {
        buffer_append_string(&reply, i % 2 ? " w" : "    ");
    }
    struct report_recipient hostile = failed;
    hostile.diagnostic = reply.data;
    hostile.address = "a@b\r\nAction: delivered";
    hostile.original_recipient = "rfc822;x+0D+0AAction: delivered+0A";
    hostile.remote_host = "h\r\nX: y";
    hostile.explanation = "One.\r\n--=_report_815_0--\r\n";
    struct report_input input = input_of(&hostile, 1, ORIGINAL);
    input.envelope_id = "+0D+0A+0D+0Ax";
    input.to = "a@b\r\nBcc: c@d";
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_int_equal(parsed.mime.part_count, 5);
    assert_null(header_find(&parsed.header, "Bcc"));
    const char *fields = status_fields(&parsed);
    assert_null(strstr(fields, "\nAction: delivered"));
    assert_null(strstr(fields, "\nX: "));
    assert_non_null(strstr(fields, "\nAction: failed\n"));
    assert_non_null(strstr(fields, "X: ???yyy"));
    assert_false(text_has_8bit(buffer_text(&parsed.report)));
    struct text rest = buffer_text(&parsed.report);
    while (rest.length > 0) {
        struct text line = line_content(line_take(&rest));
        assert_true(line.length == 0 || text_trim(line).length > 0);
    }
    release(&parsed);
    buffer_free(&reply);
}

static void the_boundary_is_new(void **state)
{
    (void)state;
    struct report_input input = input_of(&failed, 1,
                                         "A: b\r\n\r\n--=_report_815_0--\r\n"
                                         "--=_report_815_1\r\n");
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_string_equal(parsed.mime.parts[0].boundary, "=_report_815_2");
    assert_int_equal(parsed.mime.part_count, 5);
    release(&parsed);
}

static void international_addresses_are_kept(void **state)
{
    (void)state;
    struct report_recipient recipient = failed;
    recipient.address = "j\xc3\xb6rg@far.example";
    recipient.original_recipient = "utf-8;j\\x{F6}rg@far.example";
    struct report_input input =
        input_of(&recipient, 1, "Subject: \xc3\xa4\r\n\r\nx\r\n");
    struct parsed parsed;
    write_and_parse(&input, &parsed);
    assert_string_equal(parsed.mime.parts[2].type,
                        "message/global-delivery-status");
    assert_string_equal(parsed.mime.parts[3].type, "message/global");
    assert_int_equal(parsed.mime.parts[0].encoding, MIME_8BIT);
    assert_int_equal(parsed.mime.parts[2].encoding, MIME_8BIT);
    assert_int_equal(parsed.mime.parts[3].encoding, MIME_8BIT);
    assert_non_null(strstr(status_fields(&parsed),
                           "Final-Recipient: utf-8; j\xc3\xb6rg@far.example"));
    release(&parsed);
    input.headers_only = true;
    write_and_parse(&input, &parsed);
    assert_string_equal(parsed.mime.parts[3].type, "message/global-headers");
    release(&parsed);
}

#define ROW(name, function)              \
    {                                    \
        name, function, NULL, NULL, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("E9: a report says it all", a_report_says_it_all),
        ROW("E9: each recipient has a group", each_recipient_has_a_group),
        ROW("E9: only the header is returned", only_the_header_is_returned),
        ROW("S7: long lines stay out", long_lines_stay_out),
        ROW("E9: hostile bytes are harmless", hostile_bytes_are_harmless),
        ROW("F7: the boundary is new", the_boundary_is_new),
        ROW("E9: international addresses are kept",
            international_addresses_are_kept),
    };
    return cmocka_run_group_tests_name("tracking/report", tests, NULL, NULL);
}
