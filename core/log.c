/* SPDX-License-Identifier: MIT */
/*
 * A line is made in two steps: every part is formatted and made harmless
 * (printable ASCII only, quotes closed), which is the logfmt line; JSON reads
 * the key=value pairs of the same harmless text again. So both forms say the
 * same and neither can be forged by a value.
 */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/encoding.h"
#include "core/memory.h"

#define FIELDS_MAX 4096 /* formatted fields of one line; cut behind that */
#define QUOTE_MAX 400
#define QUOTE_BUFFER_COUNT 8
#define CONTEXT_DEPTH_MAX 8

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug", [LOG_TRACE] = "trace",
};

static enum log_level highest_level = LOG_INFO;
static bool is_json;

void log_configure(enum log_level level, bool as_json)
{
    highest_level = level;
    is_json = as_json;
}

enum log_level log_level(void)
{
    return highest_level;
}

bool log_level_parse(const char *name, enum log_level *out_level)
{
    for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++) {
        if (text_is_ignoring_case(text_of(name), level_names[i])) {
            *out_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool is_printable(char byte)
{
    return byte >= 0x20 && byte < 0x7f;
}

/* Write a byte that must not reach a terminal as "\n", "\x1b"; its length. */
static size_t escape_byte(char byte, char out_escape[5])
{
    static const char plain[] = "\n\r\t";
    static const char letters[] = "nrt";
    const char *found = byte ? strchr(plain, byte) : NULL;
    if (found) {
        out_escape[0] = '\\';
        out_escape[1] = letters[found - plain];
        return 2;
    }
    return (size_t)snprintf(out_escape, 5, "\\x%02x", (unsigned char)byte);
}

/* Append one part of the line, harmless; a quote left open (the part was cut)
 * is closed. */
static void append_harmless(struct buffer *line, const char *fields)
{
    bool is_quoted = false;
    bool is_escaped = false;
    for (const char *byte = fields; *byte; byte++) {
        if (!is_printable(*byte)) {
            char escape[5];
            buffer_append(line, escape, escape_byte(*byte, escape));
            is_escaped = false;
            continue;
        }
        buffer_append_byte(line, *byte);
        if (*byte == '"' && !is_escaped) {
            is_quoted = !is_quoted;
        }
        is_escaped = is_quoted && *byte == '\\' && !is_escaped;
    }
    if (is_quoted) {
        buffer_append_string(line, is_escaped ? "\\\"" : "\"");
    }
}

static void append_part(struct buffer *line, const char *fields)
{
    if (*fields) {
        buffer_append_byte(line, ' ');
        append_harmless(line, fields);
    }
}

static void append_contexts(struct buffer *line,
                            const struct log_context *context)
{
    const struct log_context *chain[CONTEXT_DEPTH_MAX];
    size_t depth = 0;
    while (context && depth < CONTEXT_DEPTH_MAX) {
        chain[depth++] = context;
        context = context->parent;
    }
    while (depth > 0) {
        append_part(line, chain[--depth]->fields);
    }
}

/* Undo the escapes of a quoted value: the bytes that were meant. */
static void unescape(struct text escaped, struct buffer *out_bytes)
{
    for (size_t i = 0; i < escaped.length; i++) {
        size_t left = escaped.length - i - 1;
        char byte = escaped.data[i];
        char next = left > 0 ? escaped.data[i + 1] : '\0';
        int high =
            left > 2 && next == 'x' ? ascii_hex_value(escaped.data[i + 2]) : -1;
        int low = high >= 0 ? ascii_hex_value(escaped.data[i + 3]) : -1;
        if (byte != '\\' || left == 0) {
            buffer_append_byte(out_bytes, byte);
        } else if (low >= 0) {
            buffer_append_byte(out_bytes, (char)(high * 16 + low));
            i += 3;
        } else {
            char meant = next == 'n'   ? '\n'
                         : next == 'r' ? '\r'
                         : next == 't' ? '\t'
                                       : next;
            buffer_append_byte(out_bytes, meant);
            i++;
        }
    }
}

/* Cut one value off: quoted up to its closing quote, else up to a space. */
static struct text take_value(struct text *rest, bool *out_is_quoted)
{
    *out_is_quoted = rest->length > 0 && rest->data[0] == '"';
    size_t from = *out_is_quoted ? 1 : 0;
    char end_byte = *out_is_quoted ? '"' : ' ';
    size_t end = from;
    while (end < rest->length && rest->data[end] != end_byte) {
        end += *out_is_quoted && rest->data[end] == '\\' ? 2 : 1;
    }
    struct text value = text_slice(*rest, from, end);
    *rest = text_slice(*rest, end + from, rest->length);
    return value;
}

static void append_json_pair(struct buffer *line, struct text key,
                             struct text value, bool is_quoted)
{
    struct buffer bytes = { 0 };
    if (is_quoted || memchr(value.data, '\\', value.length)) {
        unescape(value, &bytes);
        value = buffer_text(&bytes);
    }
    if (line->length > 1) {
        buffer_append_byte(line, ',');
    }
    json_append_string(line, key);
    buffer_append_byte(line, ':');
    json_append_string(line, value);
    buffer_free(&bytes);
}

/* Turn "key=value key=\"value\"" into a JSON object of strings. */
static void append_json(struct buffer *line, struct text rest)
{
    buffer_append_byte(line, '{');
    for (rest = text_trim(rest); rest.length > 0; rest = text_trim(rest)) {
        size_t end = 0;
        while (end < rest.length && rest.data[end] != '=' &&
               rest.data[end] != ' ') {
            end++;
        }
        struct text key = text_slice(rest, 0, end);
        struct text value = { "", 0 };
        bool is_quoted = false;
        bool has_value = end < rest.length && rest.data[end] == '=';
        rest = text_slice(rest, end + 1, rest.length);
        if (has_value) {
            value = take_value(&rest, &is_quoted);
        }
        append_json_pair(line, key, value, is_quoted);
    }
    buffer_append_byte(line, '}');
}

/* A line that the system does not take is lost: logging never waits. */
static void write_line(const struct buffer *line)
{
    size_t written = 0;
    while (written < line->length) {
        ssize_t got =
            write(STDERR_FILENO, line->data + written, line->length - written);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return;
        }
        written += (size_t)got;
    }
}

void log_context_set(struct log_context *context,
                     const struct log_context *parent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context->fields, sizeof(context->fields), format, arguments);
    va_end(arguments);
    context->parent = parent;
}

void log_write(enum log_level level, const struct log_context *context,
               const char *event, const char *format, ...)
{
    if (level > highest_level) {
        return;
    }
    char fields[FIELDS_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fields, sizeof(fields), format, arguments);
    va_end(arguments);

    char time[CLOCK_TEXT_SIZE];
    struct buffer line = { 0 };
    buffer_reserve(&line, 512);
    buffer_printf(&line, "time=%s level=%s", clock_iso8601(clock_now(), time),
                  level_names[level]);
    append_contexts(&line, context);
    buffer_append_string(&line, " event=\"");
    buffer_append_string(&line, log_quote(text_of(event)));
    buffer_append_byte(&line, '"');
    append_part(&line, fields);
    if (is_json) {
        struct buffer json = { 0 };
        append_json(&json, buffer_text(&line));
        buffer_free(&line);
        line = json;
    }
    buffer_append_byte(&line, '\n');
    write_line(&line);
    buffer_free(&line);
}

const char *log_quote(struct text text)
{
    static char buffers[QUOTE_BUFFER_COUNT][QUOTE_MAX * 4 + 4];
    static size_t turn;
    char *out = buffers[turn++ % QUOTE_BUFFER_COUNT];
    size_t length = 0;
    for (size_t i = 0; i < text.length && i < QUOTE_MAX; i++) {
        char byte = text.data[i];
        if (!is_printable(byte)) {
            length += escape_byte(byte, out + length);
            continue;
        }
        if (byte == '"' || byte == '\\') {
            out[length++] = '\\';
        }
        out[length++] = byte;
    }
    out[length] = '\0';
    return out;
}
