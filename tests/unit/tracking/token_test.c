/* SPDX-License-Identifier: MIT */
#include "tracking/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

#define TARGET "https://example.org/a?b=c&d=%20#e"
#define ADDRESS "somebody@example.org"

static const struct token click = {
    .kind = TOKEN_CLICK,
    .privacy = PRIVACY_FULL,
    .account_id = 0xfedcba9876,
    .delivery_id = 0x0123456789abcdef,
    .link = 4000000000,
};
static const struct token pixel = {
    .kind = TOKEN_OPEN,
    .privacy = PRIVACY_PSEUDONYMOUS,
    .account_id = 1,
    .delivery_id = INT64_MAX,
};
static const struct token unsubscribe = {
    .kind = TOKEN_UNSUBSCRIBE,
    .privacy = PRIVACY_FULL,
    .account_id = 7,
    .delivery_id = 42,
    .group_id = 0xffffffff,
};

static const uint8_t secret_one[MAC_SECRET_BYTES] = { 1, 2, 3 };
static const uint8_t secret_two[MAC_SECRET_BYTES] = { 4, 5, 6 };

static struct token_keys *make_keys(void)
{
    struct token_keys *keys = token_keys_create();
    assert_false(token_keys_can_sign(keys));
    token_keys_add(keys, 258, secret_one);
    token_keys_use(keys, 258);
    assert_true(token_keys_can_sign(keys));
    return keys;
}

/* The whole token, as it stands in a URL. */
static void write_token(const struct token_keys *keys,
                        const struct token *token, struct buffer *out)
{
    char head[TOKEN_HEAD_CHARACTERS];
    struct buffer encoded = { 0 };
    struct token_target target;
    if (token->kind == TOKEN_UNSUBSCRIBE) {
        token_write_unsubscribe(keys, token, text_of(ADDRESS), out);
        return;
    }
    token_target_prepare(text_of(TARGET), &encoded, &target);
    token_write_head(keys, token, token->kind == TOKEN_CLICK ? &target : NULL,
                     head);
    buffer_append(out, head, sizeof(head));
    if (token->kind == TOKEN_CLICK) {
        buffer_append_text(out, target.encoded);
    }
    buffer_free(&encoded);
}

static bool reads(const struct token_keys *keys, enum token_kind kind,
                  struct text characters)
{
    struct token token;
    struct buffer payload = { 0 };
    bool is_read = token_read(keys, kind, characters, &token, &payload);
    assert_true(is_read || payload.length == 0);
    buffer_free(&payload);
    return is_read;
}

static void goes_both_ways(const struct token *given, const char *payload)
{
    struct token_keys *keys = make_keys();
    struct buffer characters = { 0 };
    struct buffer out = { 0 };
    struct token token;
    buffer_append_string(&out, "before ");
    write_token(keys, given, &characters);
    assert_true(
        token_read(keys, given->kind, buffer_text(&characters), &token, &out));
    assert_int_equal(token.kind, given->kind);
    assert_int_equal(token.privacy, given->privacy);
    assert_int_equal(token.account_id, given->account_id);
    assert_int_equal(token.delivery_id, given->delivery_id);
    assert_int_equal(token.group_id, given->group_id);
    assert_int_equal(token.link, given->link);
    assert_memory_equal(out.data, "before ", 7);
    assert_string_equal(out.data + 7, payload);
    buffer_free(&out);
    buffer_free(&characters);
    token_keys_free(&keys);
}

static void tokens_go_both_ways(void **state)
{
    (void)state;
    struct token anonymous = click;
    goes_both_ways(&click, TARGET);
    goes_both_ways(&pixel, "");
    goes_both_ways(&unsubscribe, ADDRESS);
    anonymous.privacy = PRIVACY_ANONYMOUS;
    anonymous.delivery_id = 0;
    anonymous.group_id = 99;
    goes_both_ways(&anonymous, TARGET);
    anonymous.kind = TOKEN_OPEN;
    anonymous.link = 0;
    goes_both_ways(&anonymous, "");
    anonymous.kind = TOKEN_UNSUBSCRIBE;
    goes_both_ways(&anonymous, ADDRESS);
    anonymous.privacy = PRIVACY_OFF;
    goes_both_ways(&anonymous, ADDRESS);
}

/* Tokens that are out stay good for ever: made by Python's hmac. */
static void token_as_it_is_written(void **state)
{
    struct token_keys *keys = make_keys();
    struct buffer characters = { 0 };
    (void)state;
    write_token(keys, &click, &characters);
    assert_string_equal(characters.data,
                        "EwEC_ty6mHYBI0VniavN7-5rKACkj-0v"
                        "HFgA6yP2VxPAruhv"
                        "aHR0cHM6Ly9leGFtcGxlLm9yZy9hP2I9YyZkPSUyMCNl");
    buffer_free(&characters);
    token_keys_free(&keys);
}

static void is_not_honoured_changed(const struct token *token)
{
    static const enum token_kind kinds[] = { TOKEN_CLICK, TOKEN_OPEN,
                                             TOKEN_UNSUBSCRIBE };
    struct token_keys *keys = make_keys();
    struct buffer c = { 0 };
    write_token(keys, token, &c);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        assert_int_equal(reads(keys, kinds[i], buffer_text(&c)),
                         kinds[i] == token->kind);
    }
    for (size_t bit = 0; bit < c.length * 8; bit++) {
        c.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(reads(keys, token->kind, buffer_text(&c)));
        c.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < c.length; length++) {
        assert_false(reads(keys, token->kind, (struct text){ c.data, length }));
        assert_false(
            reads(keys, token->kind,
                  (struct text){ c.data + length, c.length - length }) &&
            length > 0);
    }
    for (int byte = 0; byte < 256; byte++) {
        buffer_append_byte(&c, (char)byte);
        assert_false(reads(keys, token->kind, buffer_text(&c)));
        c.length--;
    }
    buffer_free(&c);
    token_keys_free(&keys);
}

static void no_changed_token_is_honoured(void **state)
{
    (void)state;
    is_not_honoured_changed(&click);
    is_not_honoured_changed(&pixel);
    is_not_honoured_changed(&unsubscribe);
}

/* Every bit of the fields, tag and payload, not only of the characters. */
static void no_changed_byte_is_honoured(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const struct token *tokens[] = { &click, &pixel, &unsubscribe };
    struct token_keys *keys = make_keys();
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(tokens); i++) {
        struct buffer c = { 0 };
        write_token(keys, tokens[i], &c);
        for (size_t bit = 0; bit < c.length * 6; bit++) {
            char before = c.data[bit / 6];
            size_t value = (size_t)(strchr(digits, before) - digits);
            c.data[bit / 6] = digits[value ^ (size_t)1 << bit % 6];
            assert_false(reads(keys, tokens[i]->kind, buffer_text(&c)));
            c.data[bit / 6] = before;
        }
        buffer_free(&c);
    }
    token_keys_free(&keys);
}

/* Xorshift: the same tries each time. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void million_forged_tokens(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";
    struct token_keys *keys = make_keys();
    struct buffer c = { 0 };
    struct buffer payload = { 0 };
    struct token token;
    uint64_t random = 88172645463325252;
    (void)state;
    write_token(keys, &click, &c);
    for (int i = 0; i < 1000000; i++) {
        /* The fields stay (version and key are right): guess the tag. */
        for (size_t k = 27; k < TOKEN_HEAD_CHARACTERS; k++) {
            c.data[k] = digits[next_random(&random) & 63];
        }
        if (i % 2 == 0) {
            c.data[5 + i % 20] = digits[next_random(&random) & 63];
        }
        assert_false(token_read(keys, i % 8 == 0 ? TOKEN_OPEN : TOKEN_CLICK,
                                i % 8 == 0 ? text_slice(buffer_text(&c), 0, 48)
                                           : buffer_text(&c),
                                &token, &payload));
    }
    assert_int_equal(payload.length, 0);
    buffer_free(&c);
    buffer_free(&payload);
    token_keys_free(&keys);
}

static void old_keys_verify_after_rotation(void **state)
{
    struct token_keys *keys = make_keys();
    struct token_keys *other = token_keys_create();
    struct buffer old = { 0 };
    struct buffer new = { 0 };
    (void)state;
    write_token(keys, &click, &old);
    token_keys_add(keys, 3, secret_two);
    token_keys_add(keys, 65535, secret_two);
    token_keys_add(keys, 258, secret_two); /* stays as it is */
    token_keys_use(keys, 65535);
    write_token(keys, &click, &new);
    assert_string_not_equal(old.data, new.data);
    assert_true(reads(keys, TOKEN_CLICK, buffer_text(&old)));
    assert_true(reads(keys, TOKEN_CLICK, buffer_text(&new)));

    /* A key that signs goes on signing while others come. */
    token_keys_add(keys, 1, secret_one);
    buffer_clear(&new);
    write_token(keys, &unsubscribe, &new);
    assert_true(reads(keys, TOKEN_UNSUBSCRIBE, buffer_text(&new)));

    /* Of a key that is not known, and of one that is another. */
    assert_false(reads(other, TOKEN_CLICK, buffer_text(&old)));
    assert_false(reads(other, TOKEN_UNSUBSCRIBE, buffer_text(&new)));
    token_keys_add(other, 258, secret_two);
    assert_false(reads(other, TOKEN_CLICK, buffer_text(&old)));
    buffer_free(&old);
    buffer_free(&new);
    token_keys_free(&keys);
    token_keys_free(&other);
    token_keys_free(&other);
}

static void length_is_bounded(void **state)
{
    struct token_keys *keys = make_keys();
    struct buffer url = { 0 };
    struct buffer encoded = { 0 };
    struct token_target target;
    (void)state;
    buffer_append_string(&url, "https://example.org/");
    while (url.length < TOKEN_CHARACTERS_MAX / 4 * 3 - 50) {
        buffer_append_byte(&url, 'x');
    }
    for (int i = 0; i < 2; i++) {
        char head[TOKEN_HEAD_CHARACTERS];
        struct buffer whole = { 0 };
        buffer_clear(&encoded);
        token_target_prepare(buffer_text(&url), &encoded, &target);
        token_write_head(keys, &click, &target, head);
        buffer_append(&whole, head, sizeof(head));
        buffer_append_text(&whole, target.encoded);
        assert_int_equal(reads(keys, TOKEN_CLICK, buffer_text(&whole)), i == 0);
        buffer_free(&whole);
        while (url.length < TOKEN_CHARACTERS_MAX) {
            buffer_append_byte(&url, 'x');
        }
    }
    buffer_free(&url);
    buffer_free(&encoded);
    token_keys_free(&keys);
}

static void unsubscribe_shows_no_address(void **state)
{
    struct token_keys *keys = make_keys();
    struct buffer one = { 0 };
    struct buffer two = { 0 };
    (void)state;
    write_token(keys, &unsubscribe, &one);
    token_write_unsubscribe(keys, &unsubscribe, text_of("SOMEBODY@example.org"),
                            &two);
    assert_int_equal(one.length, 75);
    assert_memory_equal(one.data, two.data, 26);
    assert_memory_not_equal(one.data + 48, two.data + 48, 26);
    for (size_t i = 0; i < one.length; i++) {
        assert_true(ascii_is_alnum(one.data[i]) || one.data[i] == '-' ||
                    one.data[i] == '_');
    }
    buffer_free(&one);
    buffer_free(&two);
    token_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_go_both_ways),
        cmocka_unit_test(token_as_it_is_written),
        cmocka_unit_test(no_changed_token_is_honoured),
        cmocka_unit_test(no_changed_byte_is_honoured),
        cmocka_unit_test(million_forged_tokens),
        cmocka_unit_test(old_keys_verify_after_rotation),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(unsubscribe_shows_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
