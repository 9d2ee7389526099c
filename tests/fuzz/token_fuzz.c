/* SPDX-License-Identifier: MIT */
/*
 * Tokens of URLs: the first byte picks the path, the rest is what came under
 * it. A token that is honoured is one that we write, character for character;
 * and what we write is read back.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t secret[MAC_SECRET_BYTES] = { 7 };

static const enum token_kind kinds[] = { TOKEN_CLICK, TOKEN_OPEN,
                                         TOKEN_UNSUBSCRIBE };

static void write_token(const struct token_keys *keys,
                        const struct token *token, struct text payload,
                        struct buffer *out)
{
    char head[TOKEN_HEAD_CHARACTERS];
    struct buffer encoded = { 0 };
    struct token_target target;
    if (token->kind == TOKEN_UNSUBSCRIBE) {
        token_write_unsubscribe(keys, token, payload, out);
        return;
    }
    token_target_prepare(payload, &encoded, &target);
    token_write_head(keys, token, token->kind == TOKEN_CLICK ? &target : NULL,
                     head);
    buffer_append(out, head, sizeof(head));
    if (token->kind == TOKEN_CLICK) {
        buffer_append_text(out, target.encoded);
    }
    buffer_free(&encoded);
}

static void try_reading(const struct token_keys *keys, enum token_kind kind,
                        struct text characters)
{
    struct buffer payload = { 0 };
    struct buffer again = { 0 };
    struct token token;
    if (token_read(keys, kind, characters, &token, &payload)) {
        write_token(keys, &token, buffer_text(&payload), &again);
        check(text_equal(characters, buffer_text(&again)));
    } else {
        check(payload.length == 0);
    }
    buffer_free(&payload);
    buffer_free(&again);
}

static void try_writing(const struct token_keys *keys, enum token_kind kind,
                        struct text payload)
{
    struct token token = {
        .kind = kind,
        .privacy = PRIVACY_FULL,
        .account_id = 5,
        .delivery_id = (int64_t)payload.length,
        .group_id = kind == TOKEN_UNSUBSCRIBE ? 9 : 0,
        .link = kind == TOKEN_CLICK ? 3 : 0,
    };
    struct buffer characters = { 0 };
    struct buffer read_back = { 0 };
    struct token read;
    write_token(keys, &token, payload, &characters);
    if (characters.length <= TOKEN_CHARACTERS_MAX) {
        check(token_read(keys, kind, buffer_text(&characters), &read,
                         &read_back));
        check(text_equal(buffer_text(&read_back),
                         kind == TOKEN_OPEN ? text_of("") : payload));
        check(read.delivery_id == token.delivery_id && read.link == token.link);
        characters.data[payload.length % characters.length] ^= 1;
        check(!token_read(keys, kind, buffer_text(&characters), &read,
                          &read_back));
    }
    buffer_free(&characters);
    buffer_free(&read_back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct text rest = { (const char *)data + 1, size - 1 };
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 1, secret);
    token_keys_use(keys, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        try_reading(keys, kinds[i], rest);
    }
    try_writing(keys, kinds[data[0] % ARRAY_LENGTH(kinds)], rest);
    token_keys_free(&keys);
    return 0;
}
