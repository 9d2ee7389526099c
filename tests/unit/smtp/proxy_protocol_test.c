/* SPDX-License-Identifier: MIT */
/* Tests of smtp/proxy_protocol.c. */
#include "smtp/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

#define BYTES(s)           \
    {                      \
        (s), sizeof(s) - 1 \
    }
#define V2 "\r\n\r\n\0\r\nQUIT\n"

static const struct header_row {
    struct text input; /* the header alone */
    enum proxy_progress end;
    const char *source; /* NULL: local */
} rows[] = {
    { BYTES("PROXY TCP4 203.0.113.9 192.0.2.1 56324 25\r\n"), PROXY_COMPLETE,
      "203.0.113.9:56324" },
    { BYTES("PROXY TCP6 2001:db8::9 2001:db8::1 56324 25\r\n"), PROXY_COMPLETE,
      "[2001:db8::9]:56324" },
    { BYTES("PROXY UNKNOWN\r\n"), PROXY_COMPLETE, NULL },
    { BYTES("PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n"), PROXY_COMPLETE,
      NULL },
    { BYTES("PROXY TCP4 203.0.113.9 192.0.2.1 56324\r\n"), PROXY_BAD, NULL },
    { BYTES("PROXY TCP4 203.0.113.9 192.0.2.1 56324 25 1\r\n"), PROXY_BAD,
      NULL },
    { BYTES("PROXY TCP4 203.0.113.9 192.0.2.1 99999 25\r\n"), PROXY_BAD, NULL },
    { BYTES("PROXY TCP4 2001:db8::9 2001:db8::1 1 25\r\n"), PROXY_BAD, NULL },
    { BYTES("PROXY TCP5 203.0.113.9 192.0.2.1 56324 25\r\n"), PROXY_BAD, NULL },
    { BYTES("PROXY TCP4 203.0.113.9 192.0.2.1 56324 25\n"), PROXY_BAD, NULL },
    { BYTES("EHLO client.example\r\n"), PROXY_BAD, NULL },
    { BYTES(V2 "\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\x02\x01\xdc\x04\0\x19"),
      PROXY_COMPLETE, "203.0.113.9:56324" },
    /* With an addition (TLV) behind the addresses. */
    { BYTES(V2 "\x21\x11\0\x10\xcb\0\x71\x09\xc0\0\x02\x01\xdc\x04\0\x19"
               "\x04\0\x01x"),
      PROXY_COMPLETE, "203.0.113.9:56324" },
    { BYTES(V2 "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
               "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\0\x19"),
      PROXY_COMPLETE, "[2001:db8::9]:56324" },
    { BYTES(V2 "\x20\0\0\0"), PROXY_COMPLETE, NULL },
    { BYTES(V2 "\x21\x31\0\x01x"), PROXY_COMPLETE, NULL },
    { BYTES(V2 "\x11\x11\0\0"), PROXY_BAD, NULL },
    { BYTES(V2 "\x21\x11\0\x04\xcb\0\x71\x09"), PROXY_BAD, NULL },
    { BYTES(V2 "\x21\x11\xff\xff"), PROXY_BAD, NULL },
};

static void check_row(const struct header_row *row)
{
    struct proxy_header header;
    char text[NETWORK_TEXT_SIZE];
    size_t wanted;
    assert_int_equal(proxy_header_parse(row->input, &header, &wanted),
                     row->end);
    if (row->end != PROXY_COMPLETE) {
        return;
    }
    assert_int_equal(header.length, row->input.length);
    assert_int_equal(header.is_local, row->source == NULL);
    if (row->source != NULL) {
        assert_string_equal(
            network_address_text_with_port(&header.source, text), row->source);
    }
}

static void headers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        check_row(&rows[i]);
    }
}

static bool row_is_bad_or_fits(const struct header_row *row, size_t wanted)
{
    return row->end == PROXY_BAD || wanted <= row->input.length;
}

/* What follows may be a TLS handshake, so not one byte too many is wanted. */
static void reading_as_wanted_never_goes_too_far(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct proxy_header header;
        size_t have = 0;
        size_t wanted = PROXY_HEADER_MIN;
        enum proxy_progress progress = PROXY_MORE;
        while (progress == PROXY_MORE) {
            assert_true(wanted > have);
            assert_true(row_is_bad_or_fits(&rows[i], wanted));
            have =
                wanted < rows[i].input.length ? wanted : rows[i].input.length;
            progress = proxy_header_parse(text_slice(rows[i].input, 0, have),
                                          &header, &wanted);
        }
        assert_int_equal(progress, rows[i].end);
    }
}

static void long_lines_are_refused(void **state)
{
    char line[200];
    struct proxy_header header;
    size_t wanted;
    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    struct text text = { line, 106 };
    assert_int_equal(proxy_header_parse(text, &header, &wanted), PROXY_MORE);
    text.length = 108;
    assert_int_equal(proxy_header_parse(text, &header, &wanted), PROXY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(reading_as_wanted_never_goes_too_far),
        cmocka_unit_test(long_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
