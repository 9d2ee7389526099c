/* SPDX-License-Identifier: MIT */
/* Base64, hexadecimal and JSON strings: each against a reader written naively
 * or by others. */
#include <jansson.h>
#include <string.h>

#include "core/encoding.h"
#include "core/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int value_of(char byte)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = memchr(digits, byte, 64);
    return found != NULL ? (int)(found - digits) : -1;
}

/* Four characters at a time, as in RFC 4648, 4. */
static bool decode_naively(struct text text, struct buffer *out_bytes)
{
    if (text.length % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.length; i += 4) {
        const char *c = text.data + i;
        bool is_last = i + 4 == text.length;
        int padding = c[3] != '=' ? 0 : c[2] != '=' ? 1 : 2;
        unsigned long bits = 0;
        for (int k = 0; k < 4; k++) {
            int value = k >= 4 - padding ? 0 : value_of(c[k]);
            if (value < 0) {
                return false;
            }
            bits = bits << 6 | (unsigned long)value;
        }
        if ((padding > 0 && !is_last) || (padding == 1 && (bits & 0xff) != 0) ||
            (padding == 2 && (bits & 0xffff) != 0)) {
            return false;
        }
        for (int k = 0; k < 3 - padding; k++) {
            buffer_append_byte(out_bytes, (char)(bits >> (16 - 8 * k)));
        }
    }
    return true;
}

static void try_base64(struct text text)
{
    struct buffer encoded = { 0 };
    struct buffer decoded = { 0 };
    struct buffer expected = { 0 };
    base64_encode(text, &encoded);
    check(encoded.length == (text.length + 2) / 3 * 4);
    check(base64_decode(buffer_text(&encoded), &decoded));
    check(text_equal(buffer_text(&decoded), text));
    buffer_clear(&decoded);
    buffer_append_string(&decoded, "before");
    bool is_good = decode_naively(text, &expected);
    check(base64_decode(text, &decoded) == is_good);
    if (is_good) {
        check(text_equal(text_slice(buffer_text(&decoded), 6, decoded.length),
                         buffer_text(&expected)));
    } else {
        check(text_is(buffer_text(&decoded), "before"));
    }
    buffer_free(&encoded);
    buffer_free(&decoded);
    buffer_free(&expected);
}

static void try_hex(struct text text)
{
    static const char digits[] = "0123456789abcdef";
    struct buffer encoded = { 0 };
    hex_encode(text, &encoded);
    check(encoded.length == 2 * text.length);
    for (size_t i = 0; i < text.length; i++) {
        unsigned byte = (unsigned char)text.data[i];
        check(encoded.data[2 * i] == digits[byte >> 4]);
        check(encoded.data[2 * i + 1] == digits[byte & 15]);
    }
    buffer_free(&encoded);
}

static void try_json(struct text text)
{
    struct buffer json = { 0 };
    json_error_t error;
    json_append_string(&json, text);
    check(!text_has_8bit(buffer_text(&json)));
    json_t *value = json_loadb(json.data, json.length,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    check(json_is_string(value));
    if (text_is_utf8(text)) {
        check(text_equal((struct text){ json_string_value(value),
                                        json_string_length(value) },
                         text));
    }
    json_decref(value);
    buffer_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = { (const char *)data, size };
    try_base64(text);
    try_hex(text);
    try_json(text);
    return 0;
}
