/* SPDX-License-Identifier: MIT */
#include "core/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/encoding.h"
#include "core/memory.h"

static void hex_is(const void *bytes, size_t length, const char *expected)
{
    struct buffer hex = { 0 };
    hex_encode((struct text){ bytes, length }, &hex);
    assert_string_equal(hex.data, expected);
    buffer_free(&hex);
}

static uint8_t hex_value(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static struct text from_hex(const char *hex, char *out_bytes)
{
    size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++) {
        out_bytes[i] = (char)(uint8_t)(hex_value(hex[2 * i]) << 4 |
                                       hex_value(hex[2 * i + 1]));
    }
    return (struct text){ out_bytes, length };
}

static void derive(struct mac_key *out_key, const char *secret_hex)
{
    char secret[MAC_SECRET_BYTES] = { 0 };
    from_hex(secret_hex, secret);
    mac_key_derive(out_key, (const uint8_t *)secret);
}

static void counting_key(struct mac_key *out_key)
{
    uint8_t secret[MAC_SECRET_BYTES];
    for (size_t i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t)i;
    }
    mac_key_derive(out_key, secret);
}

/* RFC 4231, 4: its keys are shorter than ours, and HMAC pads with zeros. The
 * fifth case is the RFC's own with 128 bits. */
static void known_tags(void **state)
{
    static const struct {
        const char *secret;
        const char *bytes;
        const char *tag;
    } rows[] = {
        { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
          "b0344c61d8db38535ca8afceaf0bf12b" },
        { "4a656665",
          "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
          "5bdcc146bf60754e6a042426089575c7" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "dddddddddddddddddddddddddddddddddddddddddddddddddd"
          "dddddddddddddddddddddddddddddddddddddddddddddddddd",
          "773ea91e36800e46854db8ebd09181a7" },
        { "0102030405060708090a0b0c0d0e0f10111213141516171819",
          "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
          "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
          "82558a389a443c0ea4cc819899f2083a" },
        { "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
          "546573742057697468205472756e636174696f6e",
          "a3b6167473100ee06e0c796c2955552b" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct mac_key key;
        char bytes[64];
        uint8_t tag[MAC_TAG_BYTES];
        derive(&key, rows[i].secret);
        mac_tag(&key, from_hex(rows[i].bytes, bytes), tag);
        hex_is(tag, sizeof(tag), rows[i].tag);
    }
}

/* Made by Python's hmac. */
static void tags_of_other_lengths(void **state)
{
    struct mac_key key;
    uint8_t tag[MAC_TAG_BYTES];
    char many[53];
    (void)state;
    memset(many, 'x', sizeof(many));
    counting_key(&key);
    mac_tag(&key, (struct text){ many, sizeof(many) }, tag);
    hex_is(tag, sizeof(tag), "13581b3ed567e5e68a51ddebfb81d9e2");
    mac_tag(&key, text_of(NULL), tag);
    hex_is(tag, sizeof(tag), "d38b42096d80f45f826b44a9d5607de7");
}

/* The inputs of RFC 5297, A.1, with a key of 512 bits; the result was made by a
 * program written after the RFC that gives the RFC's own for its own key. */
static void known_sealed_text(void **state)
{
    struct mac_key key = { 0 };
    char context[32];
    char plain[32];
    struct buffer sealed = { 0 };
    (void)state;
    from_hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f06f6e6d6c6b6a69686766656463626160"
             "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f",
             (char *)key.sealing);
    mac_seal(
        &key,
        from_hex("101112131415161718191a1b1c1d1e1f2021222324252627", context),
        from_hex("112233445566778899aabbccddee", plain), &sealed);
    hex_is(sealed.data, sealed.length,
           "f125274c598065cfc26b0e7157502908"
           "8b035217e380cac8919ee800c126");
    buffer_free(&sealed);
}

/* Made by the same program: tokens that are out must open for ever. */
static void sealing_key_never_changes(void **state)
{
    struct mac_key key;
    struct buffer sealed = { 0 };
    (void)state;
    counting_key(&key);
    hex_is(key.sealing, sizeof(key.sealing),
           "4edab80d91ea13899f54b734a80c490640a885f6b5fc547291aae35b19f5f957"
           "68baf3f324e083451febd47045f5d6d4b62eff274278aa80e4e87079a4fa8ddf");
    mac_seal(&key, TEXT_LITERAL("u and its fields"),
             TEXT_LITERAL("somebody@example.org"), &sealed);
    hex_is(sealed.data, sealed.length,
           "dccf30e7df3dba06b08bf07eded36a90"
           "ef0ddc0318c0ddea1c20bba7a9371378f177cf3b");
    buffer_free(&sealed);
}

static void sealed_text_is_not_changed_unseen(void **state)
{
    struct mac_key key;
    struct buffer sealed = { 0 };
    struct buffer plain = { 0 };
    struct text context = TEXT_LITERAL("context");
    (void)state;
    counting_key(&key);
    buffer_append_string(&plain, "before ");
    mac_seal(&key, context, TEXT_LITERAL("a@example.org"), &sealed);
    assert_true(mac_open(&key, context, buffer_text(&sealed), &plain));
    assert_string_equal(plain.data, "before a@example.org");
    for (size_t bit = 0; bit < sealed.length * 8; bit++) {
        sealed.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(mac_open(&key, context, buffer_text(&sealed), &plain));
        sealed.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < sealed.length; length++) {
        assert_false(mac_open(&key, context,
                              (struct text){ sealed.data, length }, &plain));
    }
    assert_false(
        mac_open(&key, TEXT_LITERAL("contexT"), buffer_text(&sealed), &plain));
    assert_string_equal(plain.data, "before a@example.org");
    buffer_free(&sealed);
    buffer_free(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_tags),
        cmocka_unit_test(tags_of_other_lengths),
        cmocka_unit_test(known_sealed_text),
        cmocka_unit_test(sealing_key_never_changes),
        cmocka_unit_test(sealed_text_is_not_changed_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
