/* SPDX-License-Identifier: MIT */
#include "tracking/token.h"

#include <string.h>

#include "core/encoding.h"
#include "core/memory.h"

#define TOKEN_VERSION 1
#define FIELD_BYTES 20
#define KEY_ID_MAX 65535
#define ACCOUNT_ID_MAX INT64_C(0xffffffffff)

/* -- keys -- */

struct token_key {
    int key_id;
    struct mac_key mac;
};

/* A key that is not there takes as long as one that does not fit. */
static const struct mac_key nobodys = { 0 };

struct token_keys {
    struct token_key *keys; /* sorted */
    size_t count;
    const struct mac_key *signing; /* NULL: none yet */
    int signing_id;
};

struct token_keys *token_keys_create(void)
{
    return memory_alloc(sizeof(struct token_keys));
}

void token_keys_free(struct token_keys **keys)
{
    if (*keys != NULL) {
        memory_free((*keys)->keys);
        memory_free(*keys);
        *keys = NULL;
    }
}

/* The place of the first key that is not below this one. */
static size_t find_place(const struct token_keys *keys, int key_id)
{
    size_t from = 0;
    size_t to = keys->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (keys->keys[middle].key_id < key_id) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* NULL: there is no such key. */
static const struct mac_key *find_key(const struct token_keys *keys, int key_id)
{
    size_t place = find_place(keys, key_id);
    return place < keys->count && keys->keys[place].key_id == key_id
               ? &keys->keys[place].mac
               : NULL;
}

void token_keys_add(struct token_keys *keys, int key_id,
                    const uint8_t secret[MAC_SECRET_BYTES])
{
    check(key_id >= 0 && key_id <= KEY_ID_MAX);
    if (find_key(keys, key_id) != NULL) {
        return;
    }
    size_t place = find_place(keys, key_id);
    size_t above = keys->count - place;
    keys->keys =
        memory_resize(keys->keys, (keys->count + 1) * sizeof(struct token_key));
    memmove(keys->keys + place + 1, keys->keys + place,
            above * sizeof(struct token_key));
    keys->keys[place] = (struct token_key){ .key_id = key_id };
    mac_key_derive(&keys->keys[place].mac, secret);
    keys->count++;
    if (keys->signing != NULL) {
        token_keys_use(keys, keys->signing_id);
    }
}

void token_keys_use(struct token_keys *keys, int key_id)
{
    keys->signing = find_key(keys, key_id);
    keys->signing_id = key_id;
    check(keys->signing != NULL);
}

bool token_keys_can_sign(const struct token_keys *keys)
{
    return keys->signing != NULL;
}

int token_keys_signing_id(const struct token_keys *keys)
{
    check(keys->signing != NULL);
    return keys->signing_id;
}

bool token_keys_tag(const struct token_keys *keys, int key_id,
                    struct text bytes, uint8_t out_tag[MAC_TAG_BYTES])
{
    const struct mac_key *key = find_key(keys, key_id);
    mac_tag(key != NULL ? key : &nobodys, bytes, out_tag);
    return key != NULL;
}

/* -- base64url (RFC 4648, 5), without padding -- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789-_";

/* Returns how many characters were written. */
static size_t encode(const uint8_t *bytes, size_t length, char *out_characters)
{
    char *at = out_characters;
    size_t i = 0;
    for (; i + 3 <= length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 |
                         (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = digits[group >> 6 & 63];
        *at++ = digits[group & 63];
    }
    size_t left = length - i;
    if (left > 0) {
        uint32_t group = (uint32_t)bytes[i] << 16 |
                         (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0);
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        if (left > 1) {
            *at++ = digits[group >> 6 & 63];
        }
    }
    return (size_t)(at - out_characters);
}

static size_t encoded_length(size_t length)
{
    return (length * 4 + 2) / 3;
}

static void append_encoded(struct buffer *buffer, struct text bytes)
{
    buffer_reserve(buffer, encoded_length(bytes.length));
    buffer->length += encode((const uint8_t *)bytes.data, bytes.length,
                             buffer->data + buffer->length);
    buffer->data[buffer->length] = '\0';
}

/* Six bits, or 255: no such digit. */
static uint8_t digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return (uint8_t)(digit - 'A');
    }
    if (digit >= 'a' && digit <= 'z') {
        return (uint8_t)(digit - 'a' + 26);
    }
    if (digit >= '0' && digit <= '9') {
        return (uint8_t)(digit - '0' + 52);
    }
    return digit == '-' ? 62 : digit == '_' ? 63 : 255;
}

/* Strict: each sequence of bytes has one form. out_bytes has room for three
 * bytes of each four characters. */
static bool decode(struct text characters, uint8_t *out_bytes)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < characters.length; i++) {
        uint8_t value = digit_value(characters.data[i]);
        if (value > 63) {
            return false;
        }
        bits = bits << 6 | value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            *out_bytes++ = (uint8_t)(bits >> bit_count);
        }
    }
    return bit_count < 6 && (bits & ((1U << bit_count) - 1)) == 0;
}

/* -- fields -- */

/* What the tag is made of: kind, fields and, of a click, the target's digest;
 * within one block of SHA-256. */
struct signed_bytes {
    uint8_t kind;
    uint8_t fields[FIELD_BYTES];
    uint8_t digest[SHA256_SIZE];
};

static void write_fields(const struct token_keys *keys,
                         const struct token *token, struct signed_bytes *out)
{
    bool is_anonymous = token->privacy == PRIVACY_ANONYMOUS;
    int64_t place = is_anonymous ? token->group_id : token->delivery_id;
    int64_t number = token->kind == TOKEN_CLICK         ? token->link
                     : token->kind == TOKEN_UNSUBSCRIBE ? token->group_id
                                                        : 0;
    check(keys->signing != NULL);
    check(token->account_id >= 0 && token->account_id <= ACCOUNT_ID_MAX);
    check(token->group_id >= 0 && token->group_id <= UINT32_MAX);
    check(token->delivery_id >= 0);
    out->kind = (uint8_t)token->kind;
    out->fields[0] = (uint8_t)(TOKEN_VERSION << 4 | (int)token->privacy);
    big_endian_write(out->fields + 1, 2, (uint64_t)keys->signing_id);
    big_endian_write(out->fields + 3, 5, (uint64_t)token->account_id);
    big_endian_write(out->fields + 8, 8, (uint64_t)place);
    big_endian_write(out->fields + 16, 4, (uint64_t)number);
}

/* False: no version, privacy, group or delivery that we write. */
static bool read_fields(enum token_kind kind, const uint8_t *fields,
                        struct token *out_token)
{
    uint64_t place = big_endian_read(fields + 8, 8);
    uint64_t number = big_endian_read(fields + 16, 4);
    bool is_anonymous = (fields[0] & 15) == PRIVACY_ANONYMOUS;
    *out_token = (struct token){
        .kind = kind,
        .privacy = (enum privacy)(fields[0] & 15),
        .account_id = (int64_t)big_endian_read(fields + 3, 5),
        .delivery_id = is_anonymous ? 0 : (int64_t)place,
        .group_id = kind == TOKEN_UNSUBSCRIBE ? (int64_t)number
                    : is_anonymous            ? (int64_t)place
                                              : 0,
        .link = kind == TOKEN_CLICK ? (uint32_t)number : 0,
    };
    return fields[0] >> 4 == TOKEN_VERSION &&
           (fields[0] & 15) <= PRIVACY_FULL && place <= INT64_MAX &&
           (kind != TOKEN_OPEN || number == 0);
}

static struct text context_of(const struct signed_bytes *bytes)
{
    return (struct text){ (const char *)bytes,
                          offsetof(struct signed_bytes, digest) };
}

static struct text signed_text(const struct signed_bytes *bytes)
{
    return (struct text){ (const char *)bytes,
                          bytes->kind == TOKEN_CLICK
                              ? sizeof(*bytes)
                              : offsetof(struct signed_bytes, digest) };
}

/* -- writing -- */

void token_target_prepare(struct text url, struct buffer *out_encoded,
                          struct token_target *out_target)
{
    size_t before = out_encoded->length;
    append_encoded(out_encoded, url);
    out_target->encoded =
        text_slice(buffer_text(out_encoded), before, out_encoded->length);
    sha256(url, out_target->digest);
}

void token_write_head(const struct token_keys *keys, const struct token *token,
                      const struct token_target *target,
                      char out_characters[TOKEN_HEAD_CHARACTERS])
{
    struct signed_bytes bytes;
    uint8_t head[TOKEN_HEAD_BYTES];
    check(token->kind != TOKEN_UNSUBSCRIBE);
    check((token->kind == TOKEN_CLICK) == (target != NULL));
    write_fields(keys, token, &bytes);
    if (target != NULL) {
        memcpy(bytes.digest, target->digest, sizeof(bytes.digest));
    }
    memcpy(head, bytes.fields, FIELD_BYTES);
    mac_tag(keys->signing, signed_text(&bytes), head + FIELD_BYTES);
    encode(head, sizeof(head), out_characters);
}

void token_write_unsubscribe(const struct token_keys *keys,
                             const struct token *token, struct text address,
                             struct buffer *out_characters)
{
    struct signed_bytes bytes;
    struct buffer whole = { 0 };
    check(token->kind == TOKEN_UNSUBSCRIBE);
    write_fields(keys, token, &bytes);
    buffer_append(&whole, bytes.fields, FIELD_BYTES);
    mac_seal(keys->signing, context_of(&bytes), address, &whole);
    append_encoded(out_characters, buffer_text(&whole));
    buffer_free(&whole);
}

/* -- reading -- */

static bool open_token(const struct mac_key *key, struct signed_bytes *bytes,
                       struct text tag_and_payload, struct buffer *out_payload)
{
    struct text payload =
        text_slice(tag_and_payload, MAC_TAG_BYTES, tag_and_payload.length);
    uint8_t tag[MAC_TAG_BYTES];
    if (bytes->kind == TOKEN_UNSUBSCRIBE) {
        return mac_open(key, context_of(bytes), tag_and_payload, out_payload);
    }
    sha256(payload, bytes->digest);
    mac_tag(key, signed_text(bytes), tag);
    if (!bytes_equal_constant_time(tag, tag_and_payload.data, sizeof(tag)) ||
        (payload.length > 0) != (bytes->kind == TOKEN_CLICK)) {
        return false;
    }
    buffer_append_text(out_payload, payload);
    return true;
}

static bool read_bytes(const struct token_keys *keys, enum token_kind kind,
                       struct text whole, struct token *out_token,
                       struct buffer *out_payload)
{
    struct signed_bytes bytes = { .kind = (uint8_t)kind };
    struct token token;
    memcpy(bytes.fields, whole.data, FIELD_BYTES);
    const struct mac_key *key =
        find_key(keys, (int)big_endian_read(bytes.fields + 1, 2));
    size_t before = out_payload->length;
    bool is_ours =
        open_token(key != NULL ? key : &nobodys, &bytes,
                   text_slice(whole, FIELD_BYTES, whole.length), out_payload);
    bool is_right = read_fields(kind, bytes.fields, &token);
    if (is_ours && is_right && key != NULL) {
        *out_token = token;
        return true;
    }
    if (is_ours) {
        out_payload->length = before;
        out_payload->data[before] = '\0';
    }
    return false;
}

bool token_read(const struct token_keys *keys, enum token_kind kind,
                struct text characters, struct token *out_token,
                struct buffer *out_payload)
{
    if (characters.length < TOKEN_HEAD_CHARACTERS ||
        characters.length > TOKEN_CHARACTERS_MAX) {
        return false;
    }
    struct buffer whole = { 0 };
    buffer_reserve(&whole, characters.length);
    whole.length = characters.length * 3 / 4;
    bool is_read =
        decode(characters, (uint8_t *)whole.data) &&
        read_bytes(keys, kind, buffer_text(&whole), out_token, out_payload);
    buffer_free(&whole);
    return is_read;
}
