/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10

struct mailbox_row {
    const char *text;
    bool allow_utf8;
    const char *local; /* NULL: refused */
    const char *domain_or_reason;
};

static const struct mailbox_row mailboxes[] = {
    { "user@example.com", false, "user", "example.com" },
    { "first.last+tag@a-b.example", false, "first.last+tag", "a-b.example" },
    { "!#$%&'*+-/=?^_`{|}~@x", false, "!#$%&'*+-/=?^_`{|}~", "x" },
    { "\"a b\"@x", false, "\"a b\"", "x" },
    { "\"a\\\"@\\\\>\"@x", false, "\"a\\\"@\\\\>\"", "x" },
    { "\"\"@x", false, "\"\"", "x" },
    { "a@_dmarc.x_y", false, "a", "_dmarc.x_y" },
    { "a@[203.0.113.9]", false, "a", "[203.0.113.9]" },
    { "a@[IPv6:2001:db8::1]", false, "a", "[IPv6:2001:db8::1]" },
    { "a@[ipv6:::ffff:1.2.3.4]", false, "a", "[ipv6:::ffff:1.2.3.4]" },
    { A60 "aaaa@x", false, A60 "aaaa", "x" },
    { "a@" A60 "aaa", false, "a", A60 "aaa" },
    { "us\xc3\xa9r@caf\xc3\xa9.example", true, "us\xc3\xa9r",
      "caf\xc3\xa9.example" },
    { "\"\xc3\xa9\"@x", true, "\"\xc3\xa9\"", "x" },

    { "", false, NULL, "the address is empty" },
    { "user", false, NULL, "no @" },
    { "user>", false, NULL, "no @" },
    { "@example.com", false, NULL, "nothing before the @" },
    { "user@", false, NULL, "the domain is missing" },
    { ".user@x", false, NULL, "begins with a dot" },
    { "user.@x", false, NULL, "ends with a dot" },
    { "us..er@x", false, NULL, "two dots in a row" },
    { "us er@x", false, NULL, "the local part has a space" },
    { "us(er)@x", false, NULL, "has a \"(\"" },
    { "us\x01"
      "er@x",
      false, NULL, "control byte (0x01)" },
    { "us\xc3\xa9r@x", false, NULL, "SMTPUTF8" },
    { "us\xc3r@x", true, NULL, "not well-formed UTF-8" },
    { "\"abc@x", false, NULL, "no closing quote" },
    { "\"abc\\", false, NULL, "no closing quote" },
    { "\"a\tb\"@x", false, NULL, "control byte (0x09)" },
    { "\"a\\\xc3\xa9\"@x", true, NULL, "not ASCII" },
    { "\"abc\"d@x", false, NULL, "has a \"d\"" },
    { A60 "aaaaa@x", false, NULL, "local part is longer than 64" },
    { "a@" A60 "aaaa", false, NULL, "label of the domain is longer than 63" },
    { "a@x..y", false, NULL, "empty label" },
    { "a@.x", false, NULL, "empty label" },
    { "a@x.", false, NULL, "empty label" },
    { "a@-x.y", false, NULL, "hyphen" },
    { "a@x-.y", false, NULL, "hyphen" },
    { "a@b@c", false, NULL, "has a \"@\"" },
    { "a@b>", false, NULL, "has a \">\"" },
    { "a@b c", false, NULL, "the domain has a space" },
    { "a@b ", false, NULL, "the domain has a space" },
    { "a@caf\xc3\xa9", false, NULL, "SMTPUTF8" },
    { "a@caf\xc3", true, NULL, "not well-formed UTF-8" },
    { "a@[1.2.3]", false, NULL, "address literal" },
    { "a@[::1]", false, NULL, "address literal" },
    { "a@[IPv6:1.2.3.4]", false, NULL, "address literal" },
    { "a@[[1.2.3.4]", false, NULL, "address literal" },
    { "a@[IPv6:[::1]", false, NULL, "address literal" },
    { "a@[1.2.3.4", false, NULL, "no closing bracket" },
    { "a@[1.2.3.4]x", false, NULL, "has a \"x\"" },
    { "a@[tag:x]", false, NULL, "address literal" },
};

static void mailboxes_follow_the_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mailboxes); i++) {
        const struct mailbox_row *row = &mailboxes[i];
        struct address address;
        struct error error = { .text = "" };
        bool is_right = address_parse(text_of(row->text), row->allow_utf8,
                                      &address, &error);
        if (is_right != (row->local != NULL)) {
            fail_msg("%s: %s", row->text, error.text);
        }
        if (is_right) {
            assert_true(text_is(address.local, row->local));
            assert_true(text_is(address.domain, row->domain_or_reason));
        } else if (!strstr(error.text, row->domain_or_reason)) {
            fail_msg("%s: %s", row->text, error.text);
        }
    }
}

/* Every mailbox in angle brackets and with parameters behind it. */
static void paths_hold_the_same_mailboxes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mailboxes); i++) {
        const struct mailbox_row *row = &mailboxes[i];
        struct address address;
        struct error error;
        size_t length;
        char path[256];
        snprintf(path, sizeof(path), "<%s> SIZE=1", row->text);
        bool is_right = address_parse_path(text_of(path), row->allow_utf8,
                                           &address, &length, &error);
        if (row->local) {
            assert_true(is_right);
            assert_int_equal(length, strlen(row->text) + 2);
            assert_true(text_is(address.local, row->local));
            assert_true(text_is(address.domain, row->domain_or_reason));
        }
        /* "<a@b>>" is a path with something behind it; "<>" has a meaning. */
        assert_int_equal(is_right, row->local != NULL || row->text[0] == '\0' ||
                                       strcmp(row->text, "a@b>") == 0);
    }
}

static void paths_of_their_own_kind(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *local; /* NULL: refused */
        const char *domain_or_reason;
        size_t length;
    } rows[] = {
        { "<>", "", "", 2 },
        { "<> BODY=8BITMIME", "", "", 2 },
        { "  <a@b> x", "a", "b", 7 }, /* R4 */
        { "<Postmaster>", "Postmaster", "", 12 },
        { "<POSTMASTER> X", "POSTMASTER", "", 12 },
        { "<a@b>SIZE=1", "a", "b", 5 },
        { "", NULL, "between < and >", 0 },
        { "a@b", NULL, "between < and >", 0 },
        { "<", NULL, "the address is empty", 0 },
        { "<a@b", NULL, "closing >", 0 },
        { "<@relay:a@b>", NULL, "source routes", 0 },
        { "<postmasters>", NULL, "no @", 0 },
        { "< a@b>", NULL, "space", 0 },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct address address;
        struct error error = { .text = "" };
        size_t length = 0;
        bool is_right = address_parse_path(text_of(rows[i].path), false,
                                           &address, &length, &error);
        assert_int_equal(is_right, rows[i].local != NULL);
        assert_int_equal(length, rows[i].length);
        if (is_right) {
            assert_true(text_is(address.local, rows[i].local));
            assert_true(text_is(address.domain, rows[i].domain_or_reason));
            assert_int_equal(address_is_null(&address), !*rows[i].local);
        } else {
            assert_non_null(strstr(error.text, rows[i].domain_or_reason));
        }
    }
}

static void a_domain_has_253_octets_at_most(void **state)
{
    (void)state;
    struct buffer text = { 0 };
    struct address address;
    struct error error;
    buffer_append_string(&text, "a@");
    for (int i = 0; i < 126; i++) {
        buffer_append_string(&text, "x.");
    }
    buffer_append_string(&text, "y");
    assert_true(address_parse(buffer_text(&text), false, &address, &error));
    char normal[DOMAIN_TEXT_MAX + 1];
    assert_true(domain_normalize(address.domain, normal, &error));
    buffer_append_string(&text, "z");
    assert_false(address_parse(buffer_text(&text), false, &address, &error));
    assert_non_null(strstr(error.text, "longer than 253"));
    buffer_free(&text);
}

static void only_the_local_part_needs_smtputf8(void **state)
{
    (void)state;
    struct address address;
    struct error error;
    assert_true(
        address_parse(text_of("a@caf\xc3\xa9"), true, &address, &error));
    assert_false(address_needs_smtputf8(&address));
    assert_true(
        address_parse(text_of("\xc3\xa9@cafe"), true, &address, &error));
    assert_true(address_needs_smtputf8(&address));
}

static void domains_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *domain;
        const char *normal; /* NULL: refused */
    } rows[] = {
        { "Example.COM", "example.com" },
        { "example.com.", "example.com" },
        { "localhost", "localhost" },
        { "_x.y", "_x.y" },
        { "XN--CAF-DMA.example", "xn--caf-dma.example" },
        { "caf\xc3\xa9.Example", "xn--caf-dma.example" },
        { "CAF\xc3\x89.example.", "xn--caf-dma.example" },
        { "cafe\xcc\x81.example", "xn--caf-dma.example" }, /* combining */
        { "fa\xc3\x9f.de", "xn--fa-hia.de" }, /* not "fass.de": IDNA2008 */
        { "b\xc3\xbc"
          "cher\xe3\x80\x82"
          "example",
          "xn--bcher-kva.example" },
        { "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]" },
        { "[1.2.3.4]", "[1.2.3.4]" },
        { "1.example", "1.example" },
        { "x.1a", "x.1a" },
        { "", NULL },
        { ".", NULL },
        { "a..b", NULL },
        { "a.b..", NULL },
        { "-a.b", NULL },
        { "a b", NULL },
        { "a/b", NULL },
        { "1.2.3.4", NULL },
        { "x.123", NULL },
        { "123", NULL },
        { "\xef\xbc\x91.\xef\xbc\x92", NULL }, /* full-width digits */
        { "caf\xc3", NULL },
        { "[1.2.3.4]x", NULL },
        { "[x]", NULL },
        { "\xe2\x98\x83-.x", NULL },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char normal[DOMAIN_TEXT_MAX + 1] = "";
        struct error error = { .text = "" };
        bool is_right =
            domain_normalize(text_of(rows[i].domain), normal, &error);
        if (is_right != (rows[i].normal != NULL)) {
            fail_msg("%s: %s %s", rows[i].domain, normal, error.text);
        }
        if (is_right) {
            assert_string_equal(normal, rows[i].normal);
        } else {
            assert_true(strlen(error.text) > 10);
        }
    }
    char normal[DOMAIN_TEXT_MAX + 1];
    assert_false(domain_normalize((struct text){ "a\0b", 3 }, normal, NULL));
    assert_false(
        domain_normalize((struct text){ "\xc3\xa9\0b", 4 }, normal, NULL));
}

static void domains_lie_under_others(void **state)
{
    (void)state;
    assert_true(domain_is_under("example.com", "example.com"));
    assert_true(domain_is_under("mx.example.com", "example.com"));
    assert_false(domain_is_under("badexample.com", "example.com"));
    assert_false(domain_is_under("com", "example.com"));
    assert_false(domain_is_under("example.com", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailboxes_follow_the_grammar),
        cmocka_unit_test(paths_hold_the_same_mailboxes),
        cmocka_unit_test(paths_of_their_own_kind),
        cmocka_unit_test(a_domain_has_253_octets_at_most),
        cmocka_unit_test(only_the_local_part_needs_smtputf8),
        cmocka_unit_test(domains_are_normalised),
        cmocka_unit_test(domains_lie_under_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
