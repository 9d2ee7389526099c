/* SPDX-License-Identifier: MIT */
/* Composing, printing and collecting replies: RFC 5321 4.2, RFC 2034. */
#include "smtp/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define REPLY_LINES_MAX 1000
#define REPLY_BYTES_MAX ((size_t)1024 * 1024)
/* RFC 5321 4.5.3.1.5: 512 octets with code and CRLF. */
#define WIRE_TEXT_MAX 480

static bool is_printable(char byte)
{
    return byte >= ' ' && byte <= '~';
}

static void make_printable(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        if (!is_printable(*at) && *at != '\n') {
            *at = '?';
        }
    }
}

void smtp_reply_set(struct smtp_reply *reply, int code, const char *enhanced,
                    const char *format, ...)
{
    va_list arguments;
    reply->code = code;
    snprintf(reply->enhanced, sizeof(reply->enhanced), "%s", enhanced);
    va_start(arguments, format);
    vsnprintf(reply->text, sizeof(reply->text), format, arguments);
    va_end(arguments);
    make_printable(reply->text);
}

void smtp_reply_print(const struct smtp_reply *reply, struct buffer *out_text)
{
    buffer_printf(out_text, "%d", reply->code);
    if (reply->enhanced[0] != '\0') {
        buffer_printf(out_text, " %s", reply->enhanced);
    }
    if (reply->text[0] != '\0') {
        buffer_append_byte(out_text, ' ');
    }
    for (const char *at = reply->text; *at != '\0'; at++) {
        buffer_append_byte(out_text, *at == '\n' ? ' ' : *at);
    }
}

/* Where a line of the wire ends: at its '\n', or at a blank if it is longer
 * than the wire allows. */
static size_t measure_wire_line(struct text rest)
{
    size_t end = text_find_byte(rest, '\n');
    if (end <= WIRE_TEXT_MAX) {
        return end;
    }
    for (size_t i = WIRE_TEXT_MAX; i > WIRE_TEXT_MAX / 2; i--) {
        if (rest.data[i] == ' ') {
            return i;
        }
    }
    return WIRE_TEXT_MAX;
}

void smtp_reply_append_wire(const struct smtp_reply *reply,
                            struct buffer *out_bytes)
{
    struct text rest = text_of(reply->text);
    bool is_last = false;
    while (!is_last) {
        struct text line = text_slice(rest, 0, measure_wire_line(rest));
        size_t used = line.length;
        if (used < rest.length &&
            (rest.data[used] == '\n' || rest.data[used] == ' ')) {
            used++;
        }
        rest = text_slice(rest, used, rest.length);
        is_last = rest.length == 0;
        buffer_printf(out_bytes, "%d%c%s%s%.*s\r\n", reply->code,
                      is_last ? ' ' : '-', reply->enhanced,
                      reply->enhanced[0] != '\0' ? " " : "",
                      TEXT_ARGUMENTS(line));
    }
}

void smtp_reply_reader_reset(struct smtp_reply_reader *reader)
{
    *reader = (struct smtp_reply_reader){ 0 };
}

/* The code of a line, or 0: RFC 5321 4.2, Reply-code. */
static int read_code(struct text line)
{
    if (line.length < 3 || line.data[0] < '2' || line.data[0] > '5' ||
        line.data[1] < '0' || line.data[1] > '5' ||
        !ascii_is_digit(line.data[2])) {
        return 0;
    }
    if (line.length > 3 && line.data[3] != ' ' && line.data[3] != '-') {
        return 0;
    }
    return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
           (line.data[2] - '0');
}

static size_t count_digits(struct text text, size_t from)
{
    size_t at = from;
    while (at < text.length && ascii_is_digit(text.data[at])) {
        at++;
    }
    return at - from;
}

/* The length of an enhanced code "5.1.1" of this class at the start, or 0. */
static size_t measure_enhanced(struct text text, char class_digit)
{
    if (text.length < 5 || text.data[0] != class_digit || text.data[1] != '.') {
        return 0;
    }
    size_t subject = count_digits(text, 2);
    if (subject < 1 || subject > 3 || 2 + subject >= text.length ||
        text.data[2 + subject] != '.') {
        return 0;
    }
    size_t detail = count_digits(text, 3 + subject);
    size_t length = 3 + subject + detail;
    if (detail < 1 || detail > 3 ||
        (length < text.length && text.data[length] != ' ')) {
        return 0;
    }
    return length;
}

/* Take the enhanced code off a line if it is the reply's; the first line
 * decides what that is. */
static struct text strip_enhanced(struct smtp_reply_reader *reader,
                                  struct text text)
{
    struct smtp_reply *reply = &reader->reply;
    size_t length = measure_enhanced(text, (char)('0' + reply->code / 100));
    if (length == 0) {
        return text;
    }
    struct text enhanced = text_slice(text, 0, length);
    if (reader->line_count == 0) {
        memcpy(reply->enhanced, enhanced.data, enhanced.length);
        reply->enhanced[enhanced.length] = '\0';
    } else if (!text_is(enhanced, reply->enhanced)) {
        return text;
    }
    return text_slice(text, length + 1, text.length);
}

static void append_line(struct smtp_reply_reader *reader, struct text line)
{
    char *text = reader->reply.text;
    size_t length = strlen(text);
    if (reader->line_count > 0 && length + 1 < SMTP_REPLY_TEXT_MAX) {
        text[length++] = '\n';
    }
    for (size_t i = 0; i < line.length && length + 1 < SMTP_REPLY_TEXT_MAX;
         i++) {
        text[length++] = is_printable(line.data[i]) ? line.data[i] : '?';
    }
    text[length] = '\0';
}

enum smtp_reply_progress smtp_reply_read(struct smtp_reply_reader *reader,
                                         struct text line)
{
    int code = read_code(line);
    reader->total_bytes += line.length + 2;
    if (reader->total_bytes > REPLY_BYTES_MAX ||
        reader->line_count >= REPLY_LINES_MAX) {
        return REPLY_TOO_LONG;
    }
    if (code == 0 || (reader->line_count > 0 && code != reader->reply.code)) {
        return REPLY_MALFORMED;
    }
    reader->reply.code = code;
    append_line(reader,
                strip_enhanced(reader, text_slice(line, 4, line.length)));
    reader->line_count++;
    return line.length > 3 && line.data[3] == '-' ? REPLY_MORE : REPLY_COMPLETE;
}
