/* SPDX-License-Identifier: MIT */
/* Character references: WHATWG HTML, 13.2.5.72 to 80. */
#include <string.h>

#include "tracking/entity_table.h"
#include "tracking/html.h"

/* What numbers of windows-1252's own characters mean (13.2.5.80); 0: the
 * number itself. */
static const uint16_t replacements[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
    0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

#define CODE_POINT_MAX 0x10FFFF
#define REPLACEMENT_CHARACTER 0xFFFD

static void append_code_point(struct buffer *out, uint32_t code)
{
    char bytes[4];
    size_t length = 0;
    if (code < 0x80) {
        bytes[length++] = (char)code;
    } else if (code < 0x800) {
        bytes[length++] = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        bytes[length++] = (char)(0xE0 | code >> 12);
        bytes[length++] = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        bytes[length++] = (char)(0xF0 | code >> 18);
        bytes[length++] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[length++] = (char)(0x80 | (code >> 6 & 0x3F));
    }
    if (code >= 0x80) {
        bytes[length++] = (char)(0x80 | (code & 0x3F));
    }
    buffer_append(out, bytes, length);
}

static uint32_t replace_code_point(uint32_t code)
{
    if (code == 0 || code > CODE_POINT_MAX ||
        (code >= 0xD800 && code <= 0xDFFF)) {
        return REPLACEMENT_CHARACTER;
    }
    if (code >= 0x80 && code < 0xA0 && replacements[code - 0x80] != 0) {
        return replacements[code - 0x80];
    }
    return code;
}

/* The value of a digit, or 16. */
static uint32_t digit_value(char byte)
{
    char letter = ascii_lower(byte);
    if (ascii_is_digit(byte)) {
        return (uint32_t)(byte - '0');
    }
    return letter >= 'a' && letter <= 'f' ? (uint32_t)(letter - 'a' + 10) : 16;
}

/* At "&#". Returns how many bytes the reference has, 0: it is none. */
static size_t take_number(struct text text, struct buffer *out)
{
    size_t at = 2;
    uint32_t base = 10;
    if (at < text.length && ascii_lower(text.data[at]) == 'x') {
        base = 16;
        at++;
    }
    size_t digits = at;
    uint32_t code = 0;
    while (at < text.length && digit_value(text.data[at]) < base) {
        code = code * base + digit_value(text.data[at++]);
        if (code > CODE_POINT_MAX) {
            code = CODE_POINT_MAX + 1; /* and no more: it would overflow */
        }
    }
    if (at == digits) {
        return 0;
    }
    append_code_point(out, replace_code_point(code));
    return at < text.length && text.data[at] == ';' ? at + 1 : at;
}

/* The first row in [low, high) whose byte at `depth` is not below `byte`. */
static size_t find_row(size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)entity_table[middle].name[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest name the text begins with; NULL: none. */
static const struct entity *find_entity(struct text text, size_t *out_length)
{
    const struct entity *found = NULL;
    size_t low = 0;
    size_t high = entity_table_length;
    for (size_t depth = 0; depth < text.length; depth++) {
        unsigned char byte = (unsigned char)text.data[depth];
        if (!ascii_is_alnum(text.data[depth]) && byte != ';') {
            break;
        }
        low = find_row(low, high, depth, byte);
        high = find_row(low, high, depth, byte + 1U);
        if (low == high) {
            break;
        }
        if (entity_table[low].name[depth + 1] == '\0') {
            found = &entity_table[low];
            *out_length = depth + 1;
        }
    }
    return found;
}

/* In a value "&copy=1" and "&copyright" are no references. */
static bool stays_in_attribute(struct text behind, char last)
{
    return last != ';' && behind.length > 0 &&
           (behind.data[0] == '=' || ascii_is_alnum(behind.data[0]));
}

static size_t take_name(struct text text, bool is_attribute, struct buffer *out)
{
    struct text name = text_slice(text, 1, text.length);
    size_t length = 0;
    const struct entity *entity = find_entity(name, &length);
    if (!entity || (is_attribute &&
                    stays_in_attribute(text_slice(name, length, name.length),
                                       name.data[length - 1]))) {
        return 0;
    }
    buffer_append_string(out, entity->utf8);
    return 1 + length;
}

void html_decode(struct text value, bool is_attribute,
                 struct buffer *out_decoded)
{
    size_t plain_from = 0;
    for (size_t at = 0; at < value.length;) {
        char byte = value.data[at];
        if (byte != '&' && byte != '\0') {
            at++;
            continue;
        }
        buffer_append_text(out_decoded, text_slice(value, plain_from, at));
        struct text rest = text_slice(value, at, value.length);
        size_t length = 1;
        if (byte == '\0') {
            append_code_point(out_decoded, REPLACEMENT_CHARACTER);
        } else if (rest.length > 1 && rest.data[1] == '#') {
            length = take_number(rest, out_decoded);
        } else {
            length = take_name(rest, is_attribute, out_decoded);
        }
        plain_from = at + length;
        at += length > 0 ? length : 1;
    }
    buffer_append_text(out_decoded,
                       text_slice(value, plain_from, value.length));
}

void html_encode(struct text text, struct buffer *out_encoded)
{
    static const char *const references[256] = {
        ['&'] = "&amp;",
        ['<'] = "&lt;",
        ['>'] = "&gt;",
        ['"'] = "&quot;",
    };
    size_t plain_from = 0;
    for (size_t at = 0; at < text.length; at++) {
        const char *reference = references[(unsigned char)text.data[at]];
        if (reference) {
            buffer_append_text(out_encoded, text_slice(text, plain_from, at));
            buffer_append_string(out_encoded, reference);
            plain_from = at + 1;
        }
    }
    buffer_append_text(out_encoded, text_slice(text, plain_from, text.length));
}
