/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/encoding.h"
#include "core/memory.h"

/* RFC 4648, 10. */
static void base64_goes_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *plain;
        const char *encoded;
    } rows[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xff\xfe", "+//+" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer encoded = { 0 };
        struct buffer decoded = { 0 };
        base64_encode(text_of(rows[i].plain), &encoded);
        assert_true(text_is(buffer_text(&encoded), rows[i].encoded));
        assert_true(base64_decode(buffer_text(&encoded), &decoded));
        assert_true(text_is(buffer_text(&decoded), rows[i].plain));
        buffer_free(&encoded);
        buffer_free(&decoded);
    }
}

static void base64_is_read_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Z",        "Zg",    "Zg=",   "Zh==",         "Zm9=", "Zg==Zg==",
        "Zm9v\n",   " Zm9v", "Zm9v=", "====",         "=",    "Z===",
        "Zm9vZg=a", "Zm9-",  "Zm9_",  "Zm9vZm9v!m9v", "Zm=v", "Zm\xc3v",
    };
    struct buffer buffer = { 0 };
    buffer_append_string(&buffer, "before");
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_false(base64_decode(text_of(wrong[i]), &buffer));
        assert_string_equal(buffer.data, "before");
        assert_int_equal(buffer.length, 6);
    }
    assert_false(base64_decode((struct text){ "Zm\0v", 4 }, &buffer));
    buffer_free(&buffer);
}

static void digests_and_hexadecimal(void **state)
{
    (void)state;
    uint8_t digest[SHA256_SIZE];
    struct buffer hex = { 0 };
    sha256(TEXT_LITERAL("abc"), digest);
    hex_encode((struct text){ (const char *)digest, sizeof(digest) }, &hex);
    assert_string_equal(hex.data, "ba7816bf8f01cfea414140de5dae2223"
                                  "b00361a396177a9cb410ff61f20015ad");
    buffer_clear(&hex);
    sha256(text_of(""), digest);
    hex_encode((struct text){ (const char *)digest, 4 }, &hex);
    assert_string_equal(hex.data, "e3b0c442");
    buffer_free(&hex);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[32] = { 0 };
    uint8_t b[32] = { 0 };
    assert_true(bytes_equal_constant_time(a, b, sizeof(a)));
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_false(bytes_equal_constant_time(a, b, sizeof(a)));
}

static void json_strings(void **state)
{
    (void)state;
    struct buffer json = { 0 };
    json_append_string(&json,
                       (struct text){ "a\"\\\n\0\xc3\xa9\xe2\x82\xac", 10 });
    assert_string_equal(json.data, "\"a\\\"\\\\\\u000a\\u0000\\u00e9\\u20ac\"");
    buffer_free(&json);
}

static void json_members(void **state)
{
    (void)state;
    struct buffer json = { 0 };
    buffer_append_byte(&json, '{');
    json_append_member(&json, "a", "\xe9\"");
    json_append_name(&json, "b");
    buffer_append_byte(&json, '{');
    json_append_member(&json, "c", "");
    buffer_append_string(&json, "}");
    json_append_member(&json, "d", "}");
    buffer_append_byte(&json, '}');
    assert_string_equal(json.data, "{\"a\":\"\\u00e9\\\"\",\"b\":{\"c\":\"\"},"
                                   "\"d\":\"}\"}");
    buffer_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(base64_is_read_strictly),
        cmocka_unit_test(digests_and_hexadecimal),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(json_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
