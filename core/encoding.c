/* SPDX-License-Identifier: MIT */
#include "core/encoding.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

#include "core/memory.h"

void base64_encode(struct text bytes, struct buffer *out_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *data = (const unsigned char *)bytes.data;
    buffer_reserve(out_text, bytes.length / 3 * 4 + 4);
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t group = (uint32_t)data[i] << 16;
        group |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)data[i + 2] : 0;
        char quad[4] = {
            digits[group >> 18],
            digits[group >> 12 & 63],
            left > 1 ? digits[group >> 6 & 63] : '=',
            left > 2 ? digits[group & 63] : '=',
        };
        buffer_append(out_text, quad, sizeof(quad));
    }
}

/* The six bits of a digit, or -1. */
static int digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* One group of four digits, of which the last `padding` are "=". */
static bool decode_group(const char *digits, size_t padding,
                         struct buffer *out_bytes)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4 - padding; i++) {
        int value = digit_value(digits[i]);
        if (value < 0) {
            return false;
        }
        group |= (uint32_t)value << (18 - 6 * i);
    }
    uint32_t stray_bits = padding == 0 ? 0 : padding == 1 ? 0xff : 0xffff;
    if (group & stray_bits) {
        return false;
    }
    char bytes[3] = { (char)(group >> 16), (char)(group >> 8), (char)group };
    buffer_append(out_bytes, bytes, 3 - padding);
    return true;
}

static size_t count_padding(struct text text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.length &&
           text.data[text.length - 1 - padding] == '=') {
        padding++;
    }
    return padding;
}

bool base64_decode(struct text text, struct buffer *out_bytes)
{
    size_t length_before = out_bytes->length;
    size_t padding = count_padding(text);
    bool is_right = text.length % 4 == 0;
    for (size_t i = 0; is_right && i < text.length; i += 4) {
        bool is_last = i + 4 == text.length;
        is_right =
            decode_group(text.data + i, is_last ? padding : 0, out_bytes);
    }
    if (!is_right && out_bytes->data) {
        out_bytes->length = length_before;
        out_bytes->data[length_before] = '\0';
    }
    return is_right;
}

void hex_encode(struct text bytes, struct buffer *out_text)
{
    static const char digits[] = "0123456789abcdef";
    buffer_reserve(out_text, bytes.length * 2);
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        buffer_append_byte(out_text, digits[byte >> 4]);
        buffer_append_byte(out_text, digits[byte & 15]);
    }
}

/* Decode one character of well-formed UTF-8; returns its length. */
static size_t decode_utf8(const unsigned char *bytes, uint32_t *out_character)
{
    size_t length = bytes[0] < 0x80   ? 1
                    : bytes[0] < 0xe0 ? 2
                    : bytes[0] < 0xf0 ? 3
                                      : 4;
    uint32_t character = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        character = character << 6 | (bytes[i] & 0x3fu);
    }
    *out_character = character;
    return length;
}

/* RFC 8259, section 7: beyond ASCII as \uXXXX, in surrogate pairs. */
static void append_json_character(struct buffer *buffer, uint32_t character)
{
    if (character > 0xffff) {
        uint32_t offset = character - 0x10000;
        buffer_printf(buffer, "\\u%04x\\u%04x", 0xd800 + (offset >> 10),
                      0xdc00 + (offset & 0x3ff));
    } else if (character < 0x20 || character >= 0x7f) {
        buffer_printf(buffer, "\\u%04x", character);
    } else {
        if (character == '"' || character == '\\') {
            buffer_append_byte(buffer, '\\');
        }
        buffer_append_byte(buffer, (char)character);
    }
}

void json_append_string(struct buffer *buffer, struct text bytes)
{
    bool is_utf8 = text_is_utf8(bytes);
    const unsigned char *data = (const unsigned char *)bytes.data;
    buffer_append_byte(buffer, '"');
    for (size_t i = 0; i < bytes.length;) {
        uint32_t character = data[i];
        i += is_utf8 ? decode_utf8(data + i, &character) : 1;
        append_json_character(buffer, character);
    }
    buffer_append_byte(buffer, '"');
}

/* Looking an algorithm up takes longer than hashing a line: do it once. */
static EVP_MD *fetched_sha256;

static void fetch_sha256(void)
{
    fetched_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    check(fetched_sha256 != NULL);
}

void sha256(struct text bytes, uint8_t out_digest[SHA256_SIZE])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_sha256);
    int is_done = EVP_Digest(bytes.data, bytes.length, out_digest, NULL,
                             fetched_sha256, NULL);
    check(is_done == 1);
}

void random_bytes(void *out_bytes, size_t length)
{
    unsigned char *bytes = out_bytes;
    while (length > 0) {
        int part = length < INT_MAX ? (int)length : INT_MAX;
        check(RAND_bytes(bytes, part) == 1);
        bytes += part;
        length -= (size_t)part;
    }
}

bool bytes_equal_constant_time(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}
