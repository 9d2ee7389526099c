/* SPDX-License-Identifier: MIT */
/*
 * See report.h. Three parts: a text for people, the status for programs (RFC
 * 3464), the original or its header (RFC 3462, RFC 6522). When something is
 * not ASCII the parts take their internationalised types (RFC 6533).
 *
 * What others wrote (replies, addresses, envelope ids) passes append_clean: no
 * byte of theirs can end a line, begin a field or make a boundary.
 */
#include "tracking/report.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/header.h"
#include "tracking/line.h"
#include "tracking/report_internal.h"

#define FOLD_COLUMN 76
/* A word without white space is cut here, so that no line is too long. */
#define WORD_OCTETS_MAX 900

static const struct action_row {
    const char *name; /* RFC 3464, 2.3.3 */
    const char *subject;
    const char *opening;
} actions[] = {
    [REPORT_FAILED] = { "failed", "Undelivered mail returned to sender",
                        "Your message could not be delivered to one or more "
                        "recipients. It will not be tried again." },
    [REPORT_DELAYED] = { "delayed", "Your mail is delayed",
                         "Your message could not be delivered yet. You need "
                         "not send it again: delivery goes on being tried." },
    [REPORT_RELAYED] = { "relayed", "Your mail was passed on",
                         "Your message was passed on to a mail system that "
                         "does not confirm deliveries. You may not hear of it "
                         "again." },
};

struct writer {
    const struct report_input *input;
    struct buffer *out;
    struct text original; /* what of the original is attached */
    bool is_header_attached; /* and not the whole message */
    bool is_8bit_original;
    bool is_utf8_header; /* of the original */
    bool is_utf8_address;
    char boundary[64];
};

/* --- what others wrote --- */

static char clean_byte(char byte, bool keeps_8bit)
{
    unsigned char value = (unsigned char)byte;
    if (value == '\n' || value == '\r' || value == '\t') {
        return ' ';
    }
    return value < 32 || value == 127 || (value > 127 && !keeps_8bit) ? '?'
                                                                      : byte;
}

/* One line of harmless bytes; UTF-8 is kept only where it may stand. */
static void append_clean(struct buffer *out, struct text text, bool allows_utf8)
{
    bool keeps_8bit = allows_utf8 && text_is_utf8(text);
    for (size_t i = 0; i < text.length; i++) {
        buffer_append_byte(out, clean_byte(text.data[i], keeps_8bit));
    }
}

static int xtext_digit(char byte)
{
    if (ascii_is_digit(byte)) {
        return byte - '0';
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* ORCPT and ENVID come as xtext (RFC 3461, 4) and are reported decoded (6.2,
 * 6.3 b). What is no code stays. */
static void append_xtext(struct buffer *out, struct text text, bool allows_utf8)
{
    struct buffer decoded = { 0 };
    for (size_t i = 0; i < text.length; i++) {
        int high = -1;
        int low = -1;
        if (text.data[i] == '+' && i + 2 < text.length) {
            high = xtext_digit(text.data[i + 1]);
            low = xtext_digit(text.data[i + 2]);
        }
        bool is_code = high >= 0 && low >= 0;
        buffer_append_byte(&decoded,
                           is_code ? (char)(high * 16 + low) : text.data[i]);
        i += is_code ? 2 : 0;
    }
    append_clean(out, buffer_text(&decoded), allows_utf8);
    buffer_free(&decoded);
}

static struct text trim_end(struct text line)
{
    while (line.length > 0 && line.data[line.length - 1] == ' ') {
        line.length--;
    }
    return line;
}

/* The word at the start of text with the blanks before it. */
static size_t measure_word(struct text text)
{
    size_t length = 0;
    while (length < text.length && text.data[length] == ' ') {
        length++;
    }
    while (length < text.length && text.data[length] != ' ') {
        length++;
    }
    return length < WORD_OCTETS_MAX ? length : WORD_OCTETS_MAX;
}

/* A fold must not leave a line of nothing but blanks (RFC 5322, 3.2.2); a run
 * of them that could make one becomes a single one. */
static struct text shorten_blanks(struct text line)
{
    size_t run = 0;
    while (run < line.length && line.data[run] == ' ') {
        run++;
    }
    return run > FOLD_COLUMN ? text_slice(line, run - 1, line.length) : line;
}

/* Begin a new line. In a field (no indent) the blank behind the break is the
 * text's own, so that unfolding gives the text back (RFC 5322, 2.2.3), unless a
 * word had to be cut. */
static size_t break_line(struct buffer *out, struct text *rest,
                         const char *indent)
{
    bool has_blank = rest->data[0] == ' ';
    buffer_append_string(out, "\r\n");
    if (indent) {
        *rest = has_blank ? text_slice(*rest, 1, rest->length) : *rest;
        buffer_append_string(out, indent);
        return strlen(indent);
    }
    buffer_append_string(out, has_blank ? "" : " ");
    return has_blank ? 0 : 1;
}

/* Append one line, broken before white space where it would pass column 76.
 * Lines after the first begin with the indent; NULL: it is a field. */
static void append_folded(struct buffer *out, struct text line,
                          const char *indent)
{
    size_t column = 0;
    line = trim_end(line);
    while (line.length > 0) {
        line = shorten_blanks(line);
        size_t length = measure_word(line);
        if (column > 0 && column + length > FOLD_COLUMN) {
            column = break_line(out, &line, indent);
            length = measure_word(line);
        }
        buffer_append_text(out, text_slice(line, 0, length));
        column += length;
        line = text_slice(line, length, line.length);
    }
    buffer_append_string(out, "\r\n");
}

void report_append_field(struct buffer *out, const char *name,
                         const char *value, bool allows_utf8)
{
    struct buffer line = { 0 };
    buffer_printf(&line, "%s: ", name);
    append_clean(&line, text_trim(text_of(value)), allows_utf8);
    append_folded(out, buffer_text(&line), NULL);
    buffer_free(&line);
}

void report_append_date(struct buffer *out, const char *name, int64_t at)
{
    char date[CLOCK_TEXT_SIZE];
    buffer_printf(out, "%s: %s\r\n", name, clock_rfc5322(at, date));
}

void report_append_paragraph(struct buffer *out, const char *indent,
                             const char *opening, const char *text,
                             bool allows_utf8)
{
    struct buffer line = { 0 };
    buffer_append_string(&line, indent);
    buffer_append_string(&line, opening);
    append_clean(&line, text_of(text), allows_utf8);
    append_folded(out, buffer_text(&line), indent);
    buffer_free(&line);
}

/* --- the parts --- */

/* The worst that is reported names the message. */
static enum report_action worst_action(const struct report_input *input)
{
    enum report_action worst = REPORT_RELAYED;
    for (size_t i = 0; i < input->recipient_count; i++) {
        if (input->recipients[i].action < worst) {
            worst = input->recipients[i].action;
        }
    }
    return worst;
}

static bool is_8bit(const struct writer *writer)
{
    return writer->is_8bit_original || writer->is_utf8_address;
}

static void open_part(struct writer *writer, const char *type, bool has_8bit)
{
    buffer_printf(writer->out, "\r\n--%s\r\nContent-Type: %s\r\n",
                  writer->boundary, type);
    if (has_8bit) {
        buffer_append_string(writer->out,
                             "Content-Transfer-Encoding: 8bit\r\n");
    }
    buffer_append_string(writer->out, "\r\n");
}

static void write_to(struct writer *writer)
{
    struct buffer to = { 0 };
    buffer_printf(&to, "<%s>", writer->input->to);
    report_append_field(writer->out, "To", to.data, true);
    buffer_free(&to);
}

/* B8: a notice of ours is "auto-generated" and has the null sender, so that
 * nobody answers it automatically (RFC 3834, 5). */
static void write_header(struct writer *writer)
{
    const struct report_input *input = writer->input;
    struct buffer *out = writer->out;
    report_append_date(out, "Date", input->made_at);
    buffer_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n",
                  input->hostname);
    write_to(writer);
    buffer_printf(out,
                  "Subject: %s\r\n"
                  "Message-ID: <%lld@%s>\r\n"
                  "Auto-Submitted: auto-generated\r\n"
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: multipart/report; "
                  "report-type=delivery-status;\r\n"
                  " boundary=\"%s\"\r\n",
                  actions[worst_action(input)].subject,
                  (long long)input->message_id, input->hostname,
                  writer->boundary);
    if (is_8bit(writer)) {
        buffer_append_string(out, "Content-Transfer-Encoding: 8bit\r\n");
    }
    buffer_append_string(out, "\r\nThis is a delivery report in MIME format "
                              "(RFC 3464).\r\n");
}

static void write_text_recipient(struct writer *writer,
                                 const struct report_recipient *recipient)
{
    struct buffer *out = writer->out;
    struct buffer address = { 0 };
    buffer_printf(&address, "<%s>", recipient->address);
    buffer_append_string(out, "\r\n");
    report_append_paragraph(out, "  ", "", address.data, true);
    buffer_free(&address);
    report_append_paragraph(out, "    ", "", recipient->explanation, false);
    if (recipient->diagnostic) {
        report_append_paragraph(
            out, "    ", "The other side said: ", recipient->diagnostic, false);
    }
}

static void write_text(struct writer *writer)
{
    const struct report_input *input = writer->input;
    struct buffer *out = writer->out;
    open_part(writer,
              writer->is_utf8_address ? "text/plain; charset=utf-8"
                                      : "text/plain; charset=us-ascii",
              writer->is_utf8_address);
    buffer_printf(out, "This is the mail system at %s.\r\n\r\n",
                  input->hostname);
    report_append_paragraph(out, "", "", actions[worst_action(input)].opening,
                            false);
    for (size_t i = 0; i < input->recipient_count; i++) {
        write_text_recipient(writer, &input->recipients[i]);
    }
    buffer_printf(out,
                  "\r\nIf you ask for help, please name the reference "
                  "%lld.\r\n",
                  (long long)input->original_message_id);
}

/* RFC 3464, 2.2. */
static void write_message_fields(struct writer *writer)
{
    const struct report_input *input = writer->input;
    struct buffer *out = writer->out;
    buffer_printf(out, "Reporting-MTA: dns; %s\r\n", input->hostname);
    if (input->envelope_id) {
        struct buffer line = { 0 };
        buffer_append_string(&line, "Original-Envelope-Id: ");
        append_xtext(&line, text_of(input->envelope_id), false);
        append_folded(out, buffer_text(&line), NULL);
        buffer_free(&line);
    }
    report_append_date(out, "Arrival-Date", input->arrived_at);
    buffer_printf(out, "X-Baton-Message: %lld\r\n",
                  (long long)input->original_message_id);
}

static void write_original_recipient(struct buffer *out, const char *given)
{
    struct text given_text = text_of(given);
    size_t semicolon = text_find_byte(given_text, ';');
    struct buffer line = { 0 };
    buffer_append_string(&line, "Original-Recipient: ");
    if (semicolon == given_text.length) {
        buffer_append_string(&line, "rfc822;");
    }
    append_xtext(&line, given_text, true);
    append_folded(out, buffer_text(&line), NULL);
    buffer_free(&line);
}

static void write_final_recipient(struct buffer *out, const char *address)
{
    struct buffer value = { 0 };
    /* RFC 6533, 3: the address type of what rfc822 cannot say. */
    bool is_utf8 = text_has_8bit(text_of(address));
    buffer_printf(&value, "%s; %s", is_utf8 ? "utf-8" : "rfc822", address);
    report_append_field(out, "Final-Recipient", value.data, true);
    buffer_free(&value);
}

static void write_typed(struct buffer *out, const char *name, const char *type,
                        const char *value)
{
    struct buffer typed = { 0 };
    buffer_printf(&typed, "%s; %s", type, value);
    report_append_field(out, name, typed.data, false);
    buffer_free(&typed);
}

/* RFC 3464, 2.3. */
static void write_recipient(struct writer *writer,
                            const struct report_recipient *recipient)
{
    struct buffer *out = writer->out;
    buffer_append_string(out, "\r\n");
    if (recipient->original_recipient) {
        write_original_recipient(out, recipient->original_recipient);
    }
    write_final_recipient(out, recipient->address);
    buffer_printf(out, "Action: %s\r\n", actions[recipient->action].name);
    report_append_field(out, "Status", recipient->status, false);
    if (recipient->remote_host) {
        write_typed(out, "Remote-MTA", "dns", recipient->remote_host);
    }
    if (recipient->diagnostic) {
        write_typed(out, "Diagnostic-Code", "smtp", recipient->diagnostic);
    }
    if (recipient->last_attempt_at != 0) {
        report_append_date(out, "Last-Attempt-Date",
                           recipient->last_attempt_at);
    }
}

static void write_status(struct writer *writer)
{
    open_part(writer,
              writer->is_utf8_address ? "message/global-delivery-status"
                                      : "message/delivery-status",
              writer->is_utf8_address);
    write_message_fields(writer);
    for (size_t i = 0; i < writer->input->recipient_count; i++) {
        write_recipient(writer, &writer->input->recipients[i]);
    }
}

/* A header line over 998 octets was not accepted by us; what still has one
 * shows its beginning. */
static void append_cut_lines(struct buffer *out, struct text lines)
{
    while (lines.length > 0) {
        struct text line = line_content(line_take(&lines));
        buffer_append_text(out, text_slice(line, 0, LINE_OCTETS_MAX));
        buffer_append_string(out, "\r\n");
    }
}

static const char *original_type(const struct writer *writer)
{
    if (writer->is_header_attached) {
        return writer->is_utf8_header ? "message/global-headers"
                                      : "text/rfc822-headers";
    }
    return writer->is_utf8_header ? "message/global" : "message/rfc822";
}

static void write_original(struct writer *writer)
{
    open_part(writer, original_type(writer), writer->is_8bit_original);
    append_cut_lines(writer->out, writer->original);
}

/* --- decisions --- */

static struct text header_of(struct text message)
{
    struct text rest = message;
    while (rest.length > 0) {
        struct text before = rest;
        if (line_content(line_take(&rest)).length == 0) {
            return (struct text){ message.data,
                                  (size_t)(before.data - message.data) };
        }
    }
    return message;
}

/* Lines over 998 octets cannot be sent and an attached message cannot be
 * re-encoded (RFC 2046, 5.2.1): then its header must do. */
static void choose_original(struct writer *writer)
{
    struct text original = writer->input->original;
    struct text header = header_of(original);
    writer->is_header_attached =
        writer->input->headers_only || line_find_long(original) > 0;
    writer->original = writer->is_header_attached ? header : original;
    writer->is_8bit_original = text_has_8bit(writer->original);
    writer->is_utf8_header = text_has_8bit(header) && text_is_utf8(header);
}

static bool has_utf8_address(const struct report_input *input)
{
    bool is_found = text_has_8bit(text_of(input->to));
    for (size_t i = 0; i < input->recipient_count && !is_found; i++) {
        const struct report_recipient *recipient = &input->recipients[i];
        is_found = text_has_8bit(text_of(recipient->address)) ||
                   text_has_8bit(text_of(recipient->original_recipient));
    }
    return is_found;
}

/* Ours by its number; whoever wrote that number into the original before the
 * report was made gets the next one. */
static void choose_boundary(struct writer *writer)
{
    struct text original = writer->original;
    unsigned attempt = 0;
    do {
        snprintf(writer->boundary, sizeof(writer->boundary), "=_report_%lld_%u",
                 (long long)writer->input->message_id, attempt++);
    } while (original.length > 0 &&
             memmem(original.data, original.length, writer->boundary,
                    strlen(writer->boundary)));
}

void report_write(const struct report_input *input, struct buffer *out_message)
{
    check(input->to && input->to[0] != '\0');
    struct writer writer = { .input = input, .out = out_message };
    choose_original(&writer);
    writer.is_utf8_address = has_utf8_address(input);
    choose_boundary(&writer);
    write_header(&writer);
    write_text(&writer);
    write_status(&writer);
    write_original(&writer);
    buffer_printf(out_message, "\r\n--%s--\r\n", writer.boundary);
}
