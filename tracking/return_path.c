/* SPDX-License-Identifier: MIT */
#include "tracking/return_path.h"

#include <string.h>

#include "core/encoding.h"
#include "core/memory.h"

#define VERSION 1
#define FIELD_BYTES 16
#define TAG_BYTES 14
#define WHOLE_BYTES (FIELD_BYTES + TAG_BYTES)
#define CODE_CHARACTERS (WHOLE_BYTES * 8 / 5) /* no bit is left over */
#define ACCOUNT_ID_MAX INT64_C(0xffffffffff)
#define DOMAIN_BYTE 'R' /* tells what is signed here from a URL's token */

_Static_assert(WHOLE_BYTES * 8 % 5 == 0, "each sequence has one form");
_Static_assert(CODE_CHARACTERS + 2 == RETURN_PATH_LOCAL_CHARACTERS, "its size");

static const char kind_letters[] = " bfu";
static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

/* -- base32 -- */

static void encode(const uint8_t bytes[WHOLE_BYTES],
                   char out_characters[CODE_CHARACTERS])
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < WHOLE_BYTES; i++) {
        bits = (bits & 0xff) << 8 | bytes[i];
        bit_count += 8;
        while (bit_count >= 5) {
            bit_count -= 5;
            *out_characters++ = digits[bits >> bit_count & 31];
        }
    }
}

/* Five bits, or 32: no such digit. */
static uint32_t digit_value(char digit)
{
    char lower = ascii_lower(digit);
    if (lower >= 'a' && lower <= 'z') {
        return (uint32_t)(lower - 'a');
    }
    return lower >= '2' && lower <= '7' ? (uint32_t)(lower - '2' + 26) : 32;
}

/* Foreign characters count as zeros, so that they take no less time. */
static bool decode(const char characters[CODE_CHARACTERS],
                   uint8_t out_bytes[WHOLE_BYTES])
{
    uint32_t bits = 0;
    uint32_t foreign = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < CODE_CHARACTERS; i++) {
        uint32_t value = digit_value(characters[i]);
        foreign |= value & 32;
        bits = (bits & 0xff) << 5 | (value & 31);
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            *out_bytes++ = (uint8_t)(bits >> bit_count);
        }
    }
    return foreign == 0;
}

/* -- fields -- */

/* False: there is no such key. */
static bool make_tag(const struct token_keys *keys,
                     const uint8_t fields[FIELD_BYTES],
                     uint8_t out_tag[MAC_TAG_BYTES])
{
    uint8_t bytes[1 + FIELD_BYTES] = { DOMAIN_BYTE };
    struct text signed_text = { (const char *)bytes, sizeof(bytes) };
    memcpy(bytes + 1, fields, FIELD_BYTES);
    return token_keys_tag(keys, (int)big_endian_read(fields + 1, 2),
                          signed_text, out_tag);
}

void return_path_write(const struct token_keys *keys,
                       const struct return_path *path,
                       char out_local[RETURN_PATH_LOCAL_CHARACTERS + 1])
{
    uint8_t whole[WHOLE_BYTES];
    uint8_t tag[MAC_TAG_BYTES];
    check(path->kind >= RETURN_BOUNCE && path->kind <= RETURN_UNSUBSCRIBE);
    check(path->account_id >= 0 && path->account_id <= ACCOUNT_ID_MAX);
    check(path->delivery_id >= 0);
    whole[0] = (uint8_t)(VERSION << 4 | (int)path->kind);
    big_endian_write(whole + 1, 2, (uint64_t)token_keys_signing_id(keys));
    big_endian_write(whole + 3, 5, (uint64_t)path->account_id);
    big_endian_write(whole + 8, 8, (uint64_t)path->delivery_id);
    bool has_key = make_tag(keys, whole, tag);
    check(has_key);
    memcpy(whole + FIELD_BYTES, tag, TAG_BYTES);
    out_local[0] = kind_letters[path->kind];
    out_local[1] = '+';
    encode(whole, out_local + 2);
    out_local[RETURN_PATH_LOCAL_CHARACTERS] = '\0';
}

bool return_path_read(const struct token_keys *keys, struct text local,
                      struct return_path *out_path)
{
    char characters[RETURN_PATH_LOCAL_CHARACTERS] = { 0 };
    uint8_t whole[WHOLE_BYTES];
    uint8_t tag[MAC_TAG_BYTES];
    bool has_length = local.length == sizeof(characters);
    if (has_length) {
        memcpy(characters, local.data, sizeof(characters));
    }
    bool is_base32 = decode(characters + 2, whole);
    bool has_key = make_tag(keys, whole, tag);
    bool is_signed =
        bytes_equal_constant_time(tag, whole + FIELD_BYTES, TAG_BYTES);
    unsigned kind = whole[0] & 15;
    uint64_t delivery_id = big_endian_read(whole + 8, 8);
    bool is_right = whole[0] >> 4 == VERSION && kind >= RETURN_BOUNCE &&
                    kind <= RETURN_UNSUBSCRIBE && delivery_id <= INT64_MAX &&
                    ascii_lower(characters[0]) == kind_letters[kind & 3] &&
                    characters[1] == '+';
    if (!has_length || !is_base32 || !has_key || !is_signed || !is_right) {
        return false;
    }
    *out_path = (struct return_path){
        .kind = (enum return_path_kind)kind,
        .account_id = (int64_t)big_endian_read(whole + 3, 5),
        .delivery_id = (int64_t)delivery_id,
    };
    return true;
}
