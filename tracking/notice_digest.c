/* SPDX-License-Identifier: MIT */
#include "tracking/notice_digest.h"

#include <inttypes.h>

#include "core/clock.h"
#include "tracking/report_internal.h"

#define SECONDS_LENGTH 19 /* of "2026-11-21T02:13:02" */

/* "2026-11-21 02:13:02". */
static void append_instant(struct buffer *out, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];
    clock_iso8601(at, text);
    text[10] = ' ';
    buffer_append_text(out, (struct text){ text, SECONDS_LENGTH });
}

static void write_header(const struct digest_input *input, struct buffer *out)
{
    struct buffer to = { 0 };
    buffer_printf(&to, "<%s>", input->to);
    report_append_date(out, "Date", input->made_at);
    buffer_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n",
                  input->hostname);
    report_append_field(out, "To", to.data, true);
    buffer_printf(out,
                  "Subject: Undelivered mail: %" PRId64 " %s\r\n"
                  "Message-ID: <%" PRId64 "@%s>\r\n"
                  "Auto-Submitted: auto-generated\r\n"
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\n",
                  input->failure_count,
                  input->failure_count == 1 ? "delivery" : "deliveries",
                  input->message_id, input->hostname);
    buffer_free(&to);
}

static void write_opening(const struct digest_input *input, struct buffer *out)
{
    struct buffer line = { 0 };
    buffer_printf(out, "This is the mail system at %s.\r\n\r\n",
                  input->hostname);
    buffer_printf(&line, "Between ");
    append_instant(&line, input->first_at);
    buffer_append_string(&line, " and ");
    append_instant(&line, input->last_at);
    buffer_printf(&line,
                  " (UTC) %" PRId64 " %s of the account %s failed for good. "
                  "They will not be tried again. Failures of which there are "
                  "few are told one by one; these are told together.",
                  input->failure_count,
                  input->failure_count == 1 ? "delivery" : "deliveries",
                  input->account);
    report_append_paragraph(out, "", "", line.data, true);
    buffer_free(&line);
}

static void write_counts(struct buffer *out, const char *title,
                         const struct digest_count *counts, size_t count)
{
    buffer_printf(out, "\r\n%s\r\n", title);
    for (size_t i = 0; i < count; i++) {
        struct buffer line = { 0 };
        buffer_printf(&line, "%8" PRId64 "  %s", counts[i].count,
                      counts[i].name);
        report_append_paragraph(out, "  ", "", line.data, true);
        buffer_free(&line);
    }
}

static void write_failure(const struct digest_failure *failure,
                          struct buffer *out)
{
    struct buffer line = { 0 };
    append_instant(&line, failure->occurred_at);
    buffer_printf(&line, "  <%s>", failure->recipient);
    buffer_append_string(out, "\r\n");
    report_append_paragraph(out, "", "", line.data, true);
    report_append_paragraph(out, "    ", "class:   ", failure->class, true);
    report_append_paragraph(out, "    ", "reply:   ", failure->reply, true);
    buffer_printf(out, "    message: %" PRId64 "\r\n", failure->message_id);
    if (failure->subject[0] != '\0') {
        report_append_paragraph(out, "    ", "subject: ", failure->subject,
                                true);
    }
    buffer_free(&line);
}

static void write_rest(const struct digest_input *input, struct buffer *out)
{
    int64_t rest = input->failure_count - (int64_t)input->listed_count;
    if (rest <= 0) {
        return;
    }
    buffer_printf(out, "\r\nand %" PRId64 " more: SQL\r\n\r\n", rest);
    report_append_paragraph(out, "    ", "", input->query, true);
}

void notice_digest_write(const struct digest_input *input,
                         struct buffer *out_message)
{
    int64_t more = input->domain_count - (int64_t)input->listed_domain_count;
    write_header(input, out_message);
    write_opening(input, out_message);
    write_counts(out_message, "By class:", input->classes, input->class_count);
    write_counts(out_message, "By domain:", input->domains,
                 input->listed_domain_count);
    if (more > 0) {
        buffer_printf(out_message, "  and %" PRId64 " more domains\r\n", more);
    }
    buffer_append_string(out_message, "\r\nOne by one:\r\n");
    for (size_t i = 0; i < input->listed_count; i++) {
        write_failure(&input->failures[i], out_message);
    }
    write_rest(input, out_message);
}
