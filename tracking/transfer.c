/* SPDX-License-Identifier: MIT */
/* See transfer.h. */
#include "tracking/transfer.h"

#include <string.h>

#include "core/encoding.h"
#include "tracking/line.h"

#define COLUMN_MAX 76
#define BASE64_LINE_BYTES (COLUMN_MAX / 4 * 3)

/* One byte, or one "=" with what belongs to it, that no line break may cut. */
struct unit {
    char text[3];
    size_t length;
    size_t used; /* bytes of the input */
};

static struct unit plain_unit(struct text text, size_t length)
{
    struct unit unit = { .length = length, .used = length };
    memcpy(unit.text, text.data, length);
    return unit;
}

static struct unit coded_unit(char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char value = (unsigned char)byte;
    return (
        struct unit){ { '=', digits[value >> 4], digits[value & 15] }, 3, 1 };
}

/* At the start of a line "--" could make a boundary (RFC 2046, 5.1.1). */
static bool looks_like_boundary(struct text rest)
{
    return rest.length >= 2 && rest.data[0] == '-' && rest.data[1] == '-';
}

/* RFC 2045, 6.7, rules 1 to 3: white space only inside a line. */
static struct unit encode_unit(struct text rest, bool at_line_start)
{
    char byte = rest.data[0];
    bool is_blank = byte == ' ' || byte == '\t';
    bool is_plain =
        is_blank ? rest.length > 1 : byte > 32 && byte < 127 && byte != '=';
    if (!is_plain || (at_line_start && looks_like_boundary(rest))) {
        return coded_unit(byte);
    }
    return plain_unit(rest, 1);
}

static int hex_value(char byte)
{
    char lower = ascii_lower(byte);
    if (ascii_is_digit(lower)) {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that a code at the start of rest stands for, or -1. */
static int read_code(struct text rest)
{
    if (rest.length < 3 || rest.data[0] != '=') {
        return -1;
    }
    int high = hex_value(rest.data[1]);
    int low = hex_value(rest.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* What is encoded already passes as it is, codes whole. An "=" that begins no
 * code stands for itself (RFC 2045, 6.7) and is written so that no line break
 * can give it another meaning; one at the end of the line is a soft break. */
static struct unit wrap_unit(struct text rest, bool at_line_start)
{
    if (read_code(rest) >= 0) {
        return plain_unit(rest, 3);
    }
    bool is_stray = rest.data[0] == '=' && rest.length > 1;
    bool is_8bit = (unsigned char)rest.data[0] & 0x80;
    if (is_stray || is_8bit || (at_line_start && looks_like_boundary(rest))) {
        return coded_unit(rest.data[0]);
    }
    return plain_unit(rest, 1);
}

typedef struct unit unit_fn(struct text rest, bool at_line_start);

/* Write one line with soft breaks, each line at most 76 octets with its "=". */
static void write_line(struct text line, unit_fn *take_unit,
                       struct buffer *out_lines)
{
    size_t column = 0;
    while (line.length > 0) {
        struct unit unit = take_unit(line, column == 0);
        if (column + unit.length >= COLUMN_MAX) {
            buffer_append_string(out_lines, "=\r\n");
            column = 0;
            unit = take_unit(line, true);
        }
        buffer_append(out_lines, unit.text, unit.length);
        column += unit.length;
        line = text_slice(line, unit.used, line.length);
    }
}

/* A line feed alone is no line break in a message and is encoded; so only CRLF
 * divides here. */
static struct text take_crlf_line(struct text *rest, struct text *out_end)
{
    struct text line = { rest->data, 0 };
    struct text left = *rest;
    do {
        line.length += line_take(&left).length;
    } while (left.length > 0 &&
             (line.length < 2 || line.data[line.length - 2] != '\r'));
    *rest = left;
    bool has_end = line.length >= 2 && line.data[line.length - 1] == '\n' &&
                   line.data[line.length - 2] == '\r';
    line.length -= has_end ? 2 : 0;
    *out_end = has_end ? TEXT_LITERAL("\r\n") : TEXT_LITERAL("");
    return line;
}

void quoted_printable_encode(struct text text, struct buffer *out_lines)
{
    while (text.length > 0) {
        struct text end;
        struct text line = take_crlf_line(&text, &end);
        write_line(line, encode_unit, out_lines);
        buffer_append_text(out_lines, end);
    }
}

static struct text trim_end(struct text line)
{
    while (line.length > 0 && (line.data[line.length - 1] == ' ' ||
                               line.data[line.length - 1] == '\t')) {
        line.length--;
    }
    return line;
}

void quoted_printable_wrap(struct text lines, struct buffer *out_lines)
{
    while (lines.length > 0) {
        struct text end;
        struct text line = take_crlf_line(&lines, &end);
        bool is_kept = line.length <= COLUMN_MAX && !text_has_8bit(line);
        if (is_kept) {
            buffer_append_text(out_lines, line);
        } else {
            /* White space at the end of a line means nothing (RFC 2045, 6.7,
             * rule 3) and would begin to mean something before a soft break. */
            write_line(trim_end(line), wrap_unit, out_lines);
        }
        buffer_append_text(out_lines, end);
    }
}

static void decode_line(struct text line, struct buffer *out_text)
{
    while (line.length > 0) {
        int code = read_code(line);
        buffer_append_byte(out_text, code < 0 ? line.data[0] : (char)code);
        line = text_slice(line, code < 0 ? 1 : 3, line.length);
    }
}

void quoted_printable_decode(struct text lines, struct buffer *out_text)
{
    while (lines.length > 0) {
        struct text end;
        struct text line = trim_end(take_crlf_line(&lines, &end));
        bool is_soft = line.length > 0 && line.data[line.length - 1] == '=';
        line.length -= is_soft ? 1 : 0;
        decode_line(line, out_text);
        if (!is_soft) {
            buffer_append_text(out_text, end);
        }
    }
}

void base64_encode_lines(struct text bytes, struct buffer *out_lines)
{
    for (size_t at = 0; at < bytes.length; at += BASE64_LINE_BYTES) {
        if (at > 0) {
            buffer_append_string(out_lines, "\r\n");
        }
        base64_encode(text_slice(bytes, at, at + BASE64_LINE_BYTES), out_lines);
    }
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void copy_without_space(struct text lines, struct buffer *out)
{
    buffer_reserve(out, lines.length);
    for (size_t i = 0; i < lines.length; i++) {
        if (!is_space(lines.data[i])) {
            buffer_append_byte(out, lines.data[i]);
        }
    }
}

bool base64_decode_lines(struct text lines, struct buffer *out_bytes)
{
    struct buffer dense = { 0 };
    copy_without_space(lines, &dense);
    bool is_decoded = base64_decode(buffer_text(&dense), out_bytes);
    buffer_free(&dense);
    return is_decoded;
}

bool base64_is_clean(struct text lines)
{
    for (size_t i = 0; i < lines.length; i++) {
        char byte = lines.data[i];
        if (!ascii_is_alnum(byte) && !is_space(byte) && byte != '+' &&
            byte != '/' && byte != '=') {
            return false;
        }
    }
    return true;
}

void base64_wrap(struct text lines, struct buffer *out_lines)
{
    struct buffer dense = { 0 };
    copy_without_space(lines, &dense);
    struct text rest = buffer_text(&dense);
    for (size_t at = 0; at < rest.length; at += COLUMN_MAX) {
        if (at > 0) {
            buffer_append_string(out_lines, "\r\n");
        }
        buffer_append_text(out_lines, text_slice(rest, at, at + COLUMN_MAX));
    }
    buffer_free(&dense);
}
