/* SPDX-License-Identifier: MIT */
#include "core/encoding.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

#include "core/memory.h"

/* RFC 4648, 4. */
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "abcdefghijklmnopqrstuvwxyz0123456789+/";

/* Whole groups of three bytes; returns where the output ends. */
static char *encode_groups(const unsigned char *data, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t group = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 |
                         (uint32_t)data[2];
        out[0] = base64_digits[group >> 18];
        out[1] = base64_digits[group >> 12 & 63];
        out[2] = base64_digits[group >> 6 & 63];
        out[3] = base64_digits[group & 63];
        data += 3;
        out += 4;
    }
    return out;
}

void base64_encode(struct text bytes, struct buffer *out_text)
{
    const unsigned char *data = (const unsigned char *)bytes.data;
    size_t left = bytes.length % 3;
    buffer_reserve(out_text, bytes.length / 3 * 4 + 4);
    char *from = out_text->data + out_text->length;
    char *out = encode_groups(data, bytes.length / 3, from);
    if (left > 0) {
        const unsigned char *rest = data + bytes.length - left;
        uint32_t group = (uint32_t)rest[0] << 16;
        group |= left > 1 ? (uint32_t)rest[1] << 8 : 0;
        *out++ = base64_digits[group >> 18];
        *out++ = base64_digits[group >> 12 & 63];
        *out++ = left > 1 ? base64_digits[group >> 6 & 63] : '=';
        *out++ = '=';
    }
    out_text->length += (size_t)(out - from);
    out_text->data[out_text->length] = '\0';
}

/* The six bits of every digit, plus one; 0: it is none. */
static const uint8_t digit_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,
    ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* Groups of four digits without padding; false at a foreign byte. */
static bool decode_groups(const unsigned char *digits, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t a = digit_values[digits[0]];
        uint32_t b = digit_values[digits[1]];
        uint32_t c = digit_values[digits[2]];
        uint32_t d = digit_values[digits[3]];
        if (a == 0 || b == 0 || c == 0 || d == 0) {
            return false;
        }
        uint32_t group = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        out[0] = (char)(group >> 16);
        out[1] = (char)(group >> 8);
        out[2] = (char)group;
        digits += 4;
        out += 3;
    }
    return true;
}

/* The last group, of which the last `padding` digits are "=". */
static bool decode_padded(const unsigned char *digits, size_t padding,
                          char *out)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4 - padding; i++) {
        uint32_t value = digit_values[digits[i]];
        if (value == 0) {
            return false;
        }
        group |= (value - 1) << (18 - 6 * i);
    }
    if (group & (padding == 1 ? 0xffu : 0xffffu)) {
        return false; /* stray bits */
    }
    out[0] = (char)(group >> 16);
    if (padding == 1) {
        out[1] = (char)(group >> 8);
    }
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
    const unsigned char *digits = (const unsigned char *)text.data;
    size_t padding = count_padding(text);
    size_t whole = text.length / 4 - (padding > 0 ? 1 : 0);
    if (text.length % 4 != 0) {
        return false;
    }
    buffer_reserve(out_bytes, text.length / 4 * 3);
    char *out = out_bytes->data + out_bytes->length;
    bool is_right = decode_groups(digits, whole, out) &&
                    (padding == 0 || decode_padded(digits + whole * 4, padding,
                                                   out + whole * 3));
    if (is_right) {
        out_bytes->length += text.length / 4 * 3 - padding;
    }
    out_bytes->data[out_bytes->length] = '\0';
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

bool hex_decode(struct text text, struct buffer *out_bytes)
{
    size_t before = out_bytes->length;
    bool is_good = text.length % 2 == 0;
    for (size_t i = 0; is_good && i < text.length; i += 2) {
        int high = ascii_hex_value(text.data[i]);
        int low = ascii_hex_value(text.data[i + 1]);
        is_good = high >= 0 && low >= 0;
        if (is_good) {
            buffer_append_byte(out_bytes, (char)(high * 16 + low));
        }
    }
    if (!is_good) {
        out_bytes->length = before;
    }
    return is_good;
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

void json_append_name(struct buffer *object, const char *name)
{
    check(object->length > 0);
    bool is_first = object->data[object->length - 1] == '{';
    buffer_printf(object, "%s\"%s\":", is_first ? "" : ",", name);
}

void json_append_member(struct buffer *object, const char *name,
                        const char *value)
{
    json_append_name(object, name);
    json_append_string(object, text_of(value));
}

void big_endian_write(uint8_t *out_bytes, size_t length, uint64_t number)
{
    for (size_t i = length; i-- > 0; number >>= 8) {
        out_bytes[i] = (uint8_t)number;
    }
}

uint64_t big_endian_read(const uint8_t *bytes, size_t length)
{
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* Looking an algorithm up takes longer than hashing a line: do it once. */
static EVP_MD *fetched_sha256;

static void fetch_sha256(void)
{
    fetched_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    check(fetched_sha256 != NULL);
}

static const EVP_MD *get_sha256(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_sha256);
    return fetched_sha256;
}

void sha256(struct text bytes, uint8_t out_digest[SHA256_SIZE])
{
    int is_done = EVP_Digest(bytes.data, bytes.length, out_digest, NULL,
                             get_sha256(), NULL);
    check(is_done == 1);
}

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_begin(void)
{
    struct digest *digest = memory_alloc(sizeof(*digest));
    digest->context = EVP_MD_CTX_new();
    check(digest->context != NULL);
    check(EVP_DigestInit_ex2(digest->context, get_sha256(), NULL) == 1);
    return digest;
}

void digest_add(struct digest *digest, struct text bytes)
{
    check(EVP_DigestUpdate(digest->context, bytes.data, bytes.length) == 1);
}

void digest_end(struct digest **digest, uint8_t out_digest[SHA256_SIZE])
{
    check(EVP_DigestFinal_ex((*digest)->context, out_digest, NULL) == 1);
    EVP_MD_CTX_free((*digest)->context);
    memory_free(*digest);
    *digest = NULL;
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
