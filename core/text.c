/* SPDX-License-Identifier: MIT */
#include "core/text.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"

char ascii_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

bool ascii_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

int ascii_hex_value(char digit)
{
    char lower = ascii_lower(digit);
    if (ascii_is_digit(lower)) {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool ascii_is_alnum(char byte)
{
    char lower = ascii_lower(byte);
    return ascii_is_digit(byte) || (lower >= 'a' && lower <= 'z');
}

struct text text_of(const char *string)
{
    if (!string) {
        return (struct text){ "", 0 };
    }
    return (struct text){ string, strlen(string) };
}

struct text text_slice(struct text text, size_t from, size_t to)
{
    size_t end = to < text.length ? to : text.length;
    if (from >= end) {
        return (struct text){ "", 0 };
    }
    return (struct text){ text.data + from, end - from };
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct text text_trim(struct text text)
{
    while (text.length > 0 && is_blank(text.data[0])) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && is_blank(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

bool text_equal(struct text a, struct text b)
{
    return a.length == b.length &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool text_equal_ignoring_case(struct text a, struct text b)
{
    if (a.length != b.length) {
        return false;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool text_is(struct text text, const char *string)
{
    return text_equal(text, text_of(string));
}

bool text_is_ignoring_case(struct text text, const char *string)
{
    return text_equal_ignoring_case(text, text_of(string));
}

bool text_starts_with_ignoring_case(struct text text, const char *prefix)
{
    struct text wanted = text_of(prefix);
    return text.length >= wanted.length &&
           text_equal_ignoring_case(text_slice(text, 0, wanted.length), wanted);
}

bool text_ends_with_ignoring_case(struct text text, const char *suffix)
{
    struct text wanted = text_of(suffix);
    return text.length >= wanted.length &&
           text_equal_ignoring_case(
               text_slice(text, text.length - wanted.length, text.length),
               wanted);
}

size_t text_find_byte(struct text text, char byte)
{
    if (text.length == 0) {
        return 0;
    }
    const char *found = memchr(text.data, byte, text.length);
    return found ? (size_t)(found - text.data) : text.length;
}

bool text_split(struct text *rest, char separator, struct text *out_piece)
{
    if (rest->length == 0) {
        return false;
    }
    size_t end = text_find_byte(*rest, separator);
    *out_piece = (struct text){ rest->data, end };
    size_t used = end < rest->length ? end + 1 : end;
    *rest = (struct text){ rest->data + used, rest->length - used };
    return true;
}

bool text_to_uint64(struct text text, uint64_t *out_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!ascii_is_digit(text.data[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (text.length == 0) {
        return false;
    }
    *out_value = value;
    return true;
}

bool text_has_8bit(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] & 0x80) {
            return true;
        }
    }
    return false;
}

/* One row a form of RFC 3629, section 4: the range of the first byte, that of
 * the second (which excludes overlong forms, surrogates and what lies beyond
 * U+10FFFF), and the length; further bytes are 80 to BF. */
static const struct utf8_form {
    unsigned char first_low;
    unsigned char first_high;
    unsigned char second_low;
    unsigned char second_high;
    unsigned char length;
} utf8_forms[] = {
    { 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
    { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
    { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static const struct utf8_form *find_form(unsigned char first)
{
    for (size_t i = 0; i < ARRAY_LENGTH(utf8_forms); i++) {
        if (first >= utf8_forms[i].first_low &&
            first <= utf8_forms[i].first_high) {
            return &utf8_forms[i];
        }
    }
    return NULL;
}

/* The length of the character at the start, 0 if there is none. */
static size_t measure_character(const unsigned char *bytes, size_t length)
{
    const struct utf8_form *form = find_form(bytes[0]);
    if (!form || form->length > length) {
        return 0;
    }
    for (size_t i = 1; i < form->length; i++) {
        unsigned char low = i == 1 ? form->second_low : 0x80;
        unsigned char high = i == 1 ? form->second_high : 0xbf;
        if (bytes[i] < low || bytes[i] > high) {
            return 0;
        }
    }
    return form->length;
}

bool text_is_utf8(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t at = 0;
    while (at < text.length) {
        size_t length = measure_character(bytes + at, text.length - at);
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

size_t text_distance(const char *a, const char *b)
{
    enum { LONGEST = 48 };
    size_t row[LONGEST + 1];
    size_t length = strlen(b);
    if (length > LONGEST) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (a[i] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[length];
}

#define SMALLEST_CAPACITY 64

void buffer_free(struct buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct buffer){ 0 };
}

void buffer_wipe(struct buffer *buffer)
{
    if (buffer->data != NULL) {
        explicit_bzero(buffer->data, buffer->capacity);
        buffer->length = 0;
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data) {
        buffer->data[0] = '\0';
    }
}

void buffer_reserve(struct buffer *buffer, size_t more_bytes)
{
    check(more_bytes < SIZE_MAX / 4 && buffer->length < SIZE_MAX / 4);
    size_t wanted = buffer->length + more_bytes + 1;
    if (wanted <= buffer->capacity) {
        return;
    }
    size_t capacity =
        buffer->capacity ? buffer->capacity * 2 : SMALLEST_CAPACITY;
    if (capacity < wanted) {
        capacity = wanted;
    }
    buffer->data = memory_resize(buffer->data, capacity);
    buffer->capacity = capacity;
    buffer->data[buffer->length] = '\0';
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    buffer_reserve(buffer, length);
    if (length > 0) {
        memcpy(buffer->data + buffer->length, bytes, length);
    }
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void buffer_append_text(struct buffer *buffer, struct text text)
{
    buffer_append(buffer, text.data, text.length);
}

void buffer_append_string(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

void buffer_vprintf(struct buffer *buffer, const char *format,
                    va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    check(length >= 0);
    buffer_reserve(buffer, (size_t)length);
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
    va_end(again);
    buffer->length += (size_t)length;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(buffer, format, arguments);
    va_end(arguments);
}

void buffer_remove_front(struct buffer *buffer, size_t length)
{
    if (length >= buffer->length) {
        buffer_clear(buffer);
        return;
    }
    buffer->length -= length;
    memmove(buffer->data, buffer->data + length, buffer->length + 1);
}

struct text buffer_text(const struct buffer *buffer)
{
    return (struct text){ buffer->data ? buffer->data : "", buffer->length };
}

char *buffer_take(struct buffer *buffer)
{
    buffer_reserve(buffer, 0);
    char *data = buffer->data;
    *buffer = (struct buffer){ 0 };
    return data;
}
