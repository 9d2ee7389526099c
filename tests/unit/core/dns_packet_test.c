/* SPDX-License-Identifier: MIT */
/* Tests of core/dns_packet.c. */
#include "core/dns_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"

/* A header with so many answers, rcode 0. */
#define HEADER(answers) "\x12\x34\x81\x80\0\x01\0" answers "\0\0\0\0"
/* The question "a.test MX"; its name stands at 12, "test" at 14. */
#define QUESTION \
    "\x01"       \
    "A\x04"      \
    "tEst\0\0\x0f\0\x01"
#define PREFIX(answers) HEADER(answers) QUESTION
/* A record of that name, up to its data; the first one's stand at 36. */
#define RECORD(type, length) "\xc0\x0c\0" type "\0\x01\0\0\x0e\x10\0" length

struct bytes {
    const char *data;
    size_t length;
};
#define BYTES(s)           \
    {                      \
        (s), sizeof(s) - 1 \
    }

/* A copy of exactly this size, so that the sanitizer sees every overrun. */
static struct dns_packet open_copy(struct bytes bytes, char **out_copy)
{
    struct dns_packet packet;
    *out_copy = memory_copy_bytes(bytes.data, bytes.length);
    *out_copy = memory_resize(*out_copy, bytes.length > 0 ? bytes.length : 1);
    (void)dns_packet_open(&packet, *out_copy, bytes.length);
    return packet;
}

static void mx_records_are_read(void **state)
{
    static const struct bytes bytes = BYTES(PREFIX("\x02") RECORD(
        "\x0f", "\x06") "\x00\x0a\x01"
                        "M\xc0\x0c" RECORD("\x0f", "\x09") "\x01\x00\x04"
                                                           "mail\xc0\x0e");
    struct dns_record record;
    struct dns_mx mx;
    char *copy;
    (void)state;
    struct dns_packet packet = open_copy(bytes, &copy);
    assert_true(dns_packet_next(&packet, &record));
    assert_int_equal(record.type, DNS_TYPE_MX);
    assert_int_equal(record.ttl_seconds, 3600);
    assert_true(dns_packet_read_mx(&packet, &record, &mx));
    assert_int_equal(mx.preference, 10);
    assert_string_equal(mx.host, "m.a.test");
    assert_true(dns_packet_next(&packet, &record));
    assert_true(dns_packet_read_mx(&packet, &record, &mx));
    assert_int_equal(mx.preference, 256);
    assert_string_equal(mx.host, "mail.test");
    assert_false(dns_packet_next(&packet, &record));
    assert_false(packet.is_broken);
    memory_free(copy);
}

static void addresses_are_read(void **state)
{
    static const struct bytes bytes =
        BYTES(PREFIX("\x02") RECORD("\x01", "\x04") "\xc0\x00\x02\x01" RECORD(
            "\x1c", "\x10") "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
    struct dns_record record;
    struct network_address address;
    char text[NETWORK_TEXT_SIZE];
    char *copy;
    (void)state;
    struct dns_packet packet = open_copy(bytes, &copy);
    assert_true(dns_packet_next(&packet, &record));
    assert_true(dns_packet_read_address(&packet, &record, &address));
    assert_string_equal(network_address_text(&address, text), "192.0.2.1");
    assert_int_equal(network_address_port(&address), 0);
    assert_true(dns_packet_next(&packet, &record));
    assert_true(dns_packet_read_address(&packet, &record, &address));
    assert_string_equal(network_address_text(&address, text), "2001:db8::1");
    memory_free(copy);
}

struct mx_case {
    const char *what;
    struct bytes bytes;
    const char *host; /* NULL: not such a record */
};

static const struct mx_case mx_cases[] = {
    { "the root", BYTES(PREFIX("\x01") RECORD("\x0f", "\x03") "\0\0\0"), "" },
    { "a dot in a label",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x07") "\0\0\x03"
                                                  "a.b\0"),
      "a?b" },
    { "control and 8-bit bytes",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x07") "\0\0\x03\r\xff \0"), "???" },
    { "bytes behind the name",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\0\0"), NULL },
    { "a name longer than the data",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\x01"
                                                  "a\0"),
      NULL },
    { "no name", BYTES(PREFIX("\x01") RECORD("\x0f", "\x02") "\0\0"), NULL },
    { "a pointer to itself",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\xc0\x26"), NULL },
    { "a pointer to its own label",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x06") "\0\0\x01"
                                                  "a\xc0\x26"),
      NULL },
    { "a pointer forward",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\xc0\x30"), NULL },
    { "a pointer past the end",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\xff\xff"), NULL },
    { "half a pointer", BYTES(PREFIX("\x01") RECORD("\x0f", "\x03") "\0\0\xc0"),
      NULL },
    { "a label type of the future",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\x41\0"), NULL },
    { "a label past the end",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\0\0\x3f\0"), NULL },
};

static void hostile_names_are_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mx_cases); i++) {
        const struct mx_case *c = &mx_cases[i];
        struct dns_record record;
        struct dns_mx mx;
        char *copy;
        struct dns_packet packet = open_copy(c->bytes, &copy);
        assert_true(dns_packet_next(&packet, &record));
        bool is_read = dns_packet_read_mx(&packet, &record, &mx);
        if (is_read != (c->host != NULL) ||
            (is_read && strcmp(mx.host, c->host) != 0)) {
            fail_msg("%s: read %d", c->what, is_read);
        }
        memory_free(copy);
    }
}

static const struct txt_case {
    const char *what;
    struct bytes bytes;
    const char *text; /* NULL: not such a record */
    size_t string_count;
} txt_cases[] = {
    { "one string",
      BYTES(PREFIX("\x01") RECORD("\x10", "\x04") "\x03"
                                                  "abc"),
      "abc", 1 },
    { "two strings",
      BYTES(PREFIX("\x01") RECORD("\x10", "\x05") "\x02"
                                                  "ab"
                                                  "\x01"
                                                  "c"),
      "abc", 2 },
    { "empty strings", BYTES(PREFIX("\x01") RECORD("\x10", "\x02") "\0\0"), "",
      2 },
    { "no string at all", BYTES(PREFIX("\x01") RECORD("\x10", "\0")), NULL, 0 },
    { "a string past the end",
      BYTES(PREFIX("\x01") RECORD("\x10", "\x04") "\x01"
                                                  "a"
                                                  "\x02"
                                                  "b"),
      NULL, 0 },
    { "another type",
      BYTES(PREFIX("\x01") RECORD("\x0f", "\x04") "\x03"
                                                  "abc"),
      NULL, 0 },
};

static void texts_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(txt_cases); i++) {
        const struct txt_case *c = &txt_cases[i];
        struct dns_record record;
        struct buffer text = { 0 };
        size_t string_count;
        char *copy;
        struct dns_packet packet = open_copy(c->bytes, &copy);
        assert_true(dns_packet_next(&packet, &record));
        buffer_append_string(&text, "");
        bool is_read =
            dns_packet_read_txt(&packet, &record, &text, &string_count);
        if (is_read != (c->text != NULL) ||
            (is_read && (!text_is(buffer_text(&text), c->text) ||
                         string_count != c->string_count)) ||
            (!is_read && text.length > 0)) {
            fail_msg("%s: read %d", c->what, is_read);
        }
        buffer_free(&text);
        memory_free(copy);
    }
}

static void targets_are_read(void **state)
{
    static const struct bytes bytes = BYTES(PREFIX("\x02") RECORD(
        "\x05", "\x04") "\x01M\xc0\x0c" RECORD("\x0c", "\x02") "\xc0\x0e");
    struct dns_record record;
    struct dns_name name;
    char *copy;
    (void)state;
    struct dns_packet packet = open_copy(bytes, &copy);
    assert_true(dns_packet_next(&packet, &record));
    assert_true(dns_packet_read_target(&packet, &record, &name));
    assert_string_equal(name.host, "m.a.test");
    assert_true(dns_packet_next(&packet, &record));
    assert_true(dns_packet_read_target(&packet, &record, &name));
    assert_string_equal(name.host, "test");
    record.data_length--;
    assert_false(dns_packet_read_target(&packet, &record, &name));
    record.type = DNS_TYPE_MX;
    assert_false(dns_packet_read_target(&packet, &record, &name));
    memory_free(copy);
}

static void long_names_are_refused(void **state)
{
    /* Labels of 63: three and a short one are a name of 253, more are not. */
    struct buffer bytes = { 0 };
    struct dns_packet packet;
    char name[DNS_HOST_MAX + 1];
    char label[63];
    size_t end;
    (void)state;
    memset(label, 'x', sizeof(label));
    for (int length = 61; length <= 62; length++) {
        buffer_clear(&bytes);
        for (int i = 0; i < 3; i++) {
            buffer_append_byte(&bytes, 63);
            buffer_append(&bytes, label, 63);
        }
        buffer_append_byte(&bytes, (char)length);
        buffer_append(&bytes, label, (size_t)length);
        buffer_append_byte(&bytes, 0);
        packet = (struct dns_packet){ .borrowed_bytes = (uint8_t *)bytes.data,
                                      .length = bytes.length };
        assert_int_equal(dns_packet_read_name(&packet, 0, name, &end),
                         length == 61);
    }
    buffer_free(&bytes);
}

static void every_cut_is_noticed(void **state)
{
    static const struct bytes bytes = BYTES(PREFIX("\x02") RECORD(
        "\x0f", "\x05") "\x00\x0a\x01"
                        "m\0" RECORD("\x01", "\x04") "\xc0\x00\x02\x01");
    (void)state;
    for (size_t length = 0; length < bytes.length; length++) {
        struct dns_record record;
        char *copy;
        struct dns_packet packet =
            open_copy((struct bytes){ bytes.data, length }, &copy);
        int count = 0;
        while (dns_packet_next(&packet, &record)) {
            count++;
        }
        assert_true(packet.is_broken);
        assert_true(count < 2);
        memory_free(copy);
    }
}

static void other_classes_are_passed_over(void **state)
{
    static const struct bytes bytes =
        BYTES(PREFIX("\x02") "\xc0\x0c\x00\x01\x00\x03\0\0\0\x05\0\x04"
                             "abcd" RECORD("\x01", "\x04") "\xc0\x00\x02\x01");
    struct dns_record record;
    char *copy;
    (void)state;
    struct dns_packet packet = open_copy(bytes, &copy);
    assert_true(dns_packet_next(&packet, &record));
    assert_int_equal(record.ttl_seconds, 3600);
    assert_false(dns_packet_next(&packet, &record));
    memory_free(copy);
}

static void arbitrary_bytes_are_survived(void **state)
{
    unsigned seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[96] = PREFIX("\x03") RECORD("\x0f", "\x06");
        char *copy;
        for (size_t i = 12 + (size_t)(seed % 40); i < sizeof(bytes); i++) {
            seed = seed * 1103515245U + 12345U;
            if ((seed >> 16) % 3 == 0) {
                bytes[i] = (char)(seed >> 20);
            }
        }
        struct dns_record record;
        struct dns_mx mx;
        struct network_address address;
        struct dns_packet packet =
            open_copy((struct bytes){ bytes, sizeof(bytes) }, &copy);
        while (dns_packet_next(&packet, &record)) {
            (void)dns_packet_read_mx(&packet, &record, &mx);
            (void)dns_packet_read_address(&packet, &record, &address);
        }
        memory_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mx_records_are_read),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(hostile_names_are_survived),
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(targets_are_read),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(other_classes_are_passed_over),
        cmocka_unit_test(arbitrary_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
