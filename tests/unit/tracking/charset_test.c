/* SPDX-License-Identifier: MIT */
/* In masks "#" stands for what is not ASCII. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/charset.h"

#define OF(literal)                    \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define NOTHING OF("")

static const struct label_case {
    const char *label;
    struct text bytes;
    enum charset_form form;
    const char *iconv_name;
} label_cases[] = {
    { NULL, NOTHING, CHARSET_ASCII_SUPERSET, "UTF-8" },
    { "", NOTHING, CHARSET_ASCII_SUPERSET, "UTF-8" },
    { "US-ASCII", NOTHING, CHARSET_ASCII_SUPERSET, "UTF-8" },
    { " UTF8 ", NOTHING, CHARSET_ASCII_SUPERSET, "UTF-8" },
    { "ISO-8859-1", NOTHING, CHARSET_ASCII_SUPERSET, "CP1252" },
    { "Windows-1252", NOTHING, CHARSET_ASCII_SUPERSET, "CP1252" },
    { "x-sjis", NOTHING, CHARSET_ASCII_SUPERSET, "CP932" },
    { "ks_c_5601-1987", NOTHING, CHARSET_ASCII_SUPERSET, "UHC" },
    { "GB2312", NOTHING, CHARSET_ASCII_SUPERSET, "GB18030" },
    { "koi8-r", NOTHING, CHARSET_ASCII_SUPERSET, "KOI8-R" },
    { "ISO-2022-JP", NOTHING, CHARSET_SHIFTED, "ISO-2022-JP-2" },
    { "iso-2022-kr", NOTHING, CHARSET_SHIFTED, "ISO-2022-KR" },
    { "hz-gb-2312", NOTHING, CHARSET_SHIFTED, "GB18030" },
    { "unicode-1-1-utf-7", NOTHING, CHARSET_SHIFTED, "UTF-7" },
    { "utf-16", NOTHING, CHARSET_WIDE_2, "UTF-16BE" },
    { "utf-16",
      OF("\xFF\xFE"
         "a\0"),
      CHARSET_WIDE_2, "UTF-16LE" },
    { "utf-16", OF("\xFE\xFF\0a"), CHARSET_WIDE_2, "UTF-16BE" },
    { "utf-16le", OF("\xFE\xFF\0a"), CHARSET_WIDE_2, "UTF-16LE" },
    { NULL,
      OF("\xFF\xFE"
         "a\0"),
      CHARSET_WIDE_2, "UTF-16LE" },
    { "utf-32", OF("\xFF\xFE\0\0"), CHARSET_WIDE_4, "UTF-32LE" },
    { "utf-32", NOTHING, CHARSET_WIDE_4, "UTF-32BE" },
    { "johab", NOTHING, CHARSET_UNKNOWN, NULL },
    { "ebcdic-us", NOTHING, CHARSET_UNKNOWN, NULL },
    { "utf-8 utf-7", NOTHING, CHARSET_UNKNOWN, NULL },
    { "a-label-that-is-longer-than-any-label-that-there-is", NOTHING,
      CHARSET_UNKNOWN, NULL },
};

static void labels_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(label_cases); i++) {
        const struct label_case *row = &label_cases[i];
        struct charset charset = charset_find(row->label, row->bytes);
        print_message("%s\n", row->label ? row->label : "(none)");
        assert_int_equal(charset.form, row->form);
        if (row->iconv_name) {
            assert_string_equal(charset.iconv_name, row->iconv_name);
        }
        bool is_big = row->iconv_name && strstr(row->iconv_name, "BE");
        assert_int_equal(charset.is_big_endian, is_big);
    }
}

static const struct mask_case {
    const char *label;
    struct text bytes;
    const char *mask; /* NULL: left alone */
} mask_cases[] = {
    { "iso-2022-jp", OF("<a>\x1B$B$\"\x1B(B\"b"), "<a>########\"b" },
    { "iso-2022-jp", OF("\x1B(J\\~<\x1B(B\\~"), "#####<###\\~" },
    { "iso-2022-jp", OF("\x1B(I<a\x1B(B\r\n"), "########\r\n" },
    { "iso-2022-jp-2", OF("\x1B.A\x1BNi\x1B$(D\"\"\x1B(B"), "###############" },
    { "iso-2022-jp", OF("a\xFF"), "a#" },
    { "iso-2022-jp", OF("\x1B(Z<a>"), NULL },
    { "iso-2022-jp", OF("\x1B"), NULL },
    { "iso-2022-jp", OF("\x1BN"), NULL },
    { "iso-2022-jp", OF("\x1BN\x1B(J~"), NULL },
    { "iso-2022-jp", OF("a\x0E"), NULL },
    { "iso-2022-jp", OF("\x1B$B$\""), NULL },
    { "iso-2022-jp", OF("\x1B$B$\"\r\n\x1B(B"), NULL },
    { "iso-2022-kr", OF("\x1B$)C<\x0E<a\x0F>"), "####<####>" },
    { "iso-2022-kr", OF("\x0E<a"), NULL },
    { "iso-2022-cn", OF("\x1B$)A\x0E<a\x0F>\x1B$*H\x1BN<a."),
      "########>########." },
    { "hz", OF("<~{<a~}>~~~\n"), "<######>####" },
    { "hz", OF("~\r\nb"), "##\nb" },
    { "hz", OF("~a"), NULL },
    { "hz", OF("~{<a"), NULL },
    { "hz", OF("~{<a\n~}"), NULL },
    { "utf-7", OF("a+-b+AOk-c"), "a##b#####c" },
    { "utf-7", OF("+AOk.<"), "####.<" },
    { "utf-7", OF("+AD0-"), "#####" },
    { "utf-7", OF("+ADw-a"), NULL },
    { "utf-7", OF("+AOkAPg-"), NULL },
    { "utf-7", OF("+AOk"), NULL },
    { "utf-7", OF("\xE9"), NULL },
    { "utf-16", OF("\xFF\xFE<\0\xE9\0<\x01>\0"), "#<##>" },
    { "utf-16be", OF("\0<\x01<\xD8\x3D\xDE\0\0>"), "<###>" },
    { "utf-16", OF("\0<\0"), NULL },
    { "utf-32be", OF("\0\0\0<\0\1\xF6\0\0\0\0>"), "<#>" },
    { "utf-32be", OF("\0\0\0<\0\0\0"), NULL },
    { "utf-32be", OF("\0\x11\0\0"), NULL },
};

static void masks_show_ascii_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mask_cases); i++) {
        const struct mask_case *row = &mask_cases[i];
        struct charset charset = charset_find(row->label, row->bytes);
        struct buffer mask = { 0 };
        bool fits = charset_mask(&charset, row->bytes, &mask);
        print_message("%s %zu\n", row->label, i);
        assert_int_equal(fits, row->mask != NULL);
        for (size_t at = 0; at < mask.length; at++) {
            mask.data[at] = mask.data[at] == '\x80' ? '#' : mask.data[at];
        }
        if (fits) {
            assert_string_equal(mask.data, row->mask);
        }
        buffer_free(&mask);
    }
}

/* The span is what stands between the first and the last "|". */
static const struct text_case {
    const char *label;
    struct text part;
    const char *utf8; /* NULL: not valid */
} text_cases[] = {
    { "utf-8", OF("|\xC3\xA9|"), "\u00E9" },
    { "utf-8", OF("|\xE9|"), "\xE9" },
    { NULL, OF("|\xE9|"), "\xE9" },
    { "iso-8859-1", OF("\xE9|\xE9\x80|\xE9"), "\u00E9\u20AC" },
    { "iso-8859-2", OF("|\xB1|"), "\u0105" },
    { "shift_jis", OF("|\x83\x5C\x83\x7C\\|"), "\u30BD\u30DD\\" },
    { "shift_jis", OF("|\x83|"), "\x83" },
    /* A letter that a mark could follow is not held back, nor composed. */
    { "windows-1255", OF("|\xF9\xEC\xE5\xED|"), "\u05E9\u05DC\u05D5\u05DD" },
    { "windows-1255", OF("|\xE2\xCC|"), "\u05D2\u05BC" },
    { "windows-1258", OF("|e\xEC\xFD|"), "e\u0301\u01B0" },
    { "big5-hkscs", OF("|\x88\x66|"), "\u00CA" },
    { "gb18030", OF("|\x81\x30\x81\x30\xC4\xE3|"), "\xC2\x80\u4F60" },
    { "big5", OF("|\xA5\x5C|"), "\u529F" },
    { "euc-kr", OF("|\xB0\xA1|"), "\uAC00" },
    { "iso-2022-jp", OF("|\x1B$B$\"\x1B(B~|"), "\u3042~" },
    { "iso-2022-jp", OF("\x1B(J|~|"), "\u203E" },
    { "iso-2022-jp", OF("|\x1B(I1\x1B(B|"), "\uFF71" },
    { "iso-2022-jp", OF("|\x1B$B$|"), NULL },
    { "iso-2022-kr",
      OF("\x1B$)C\r\n|a\x0E"
         "0!\x0F"
         "b|"),
      "a\uAC00b" },
    { "iso-2022-kr",
      OF("|\x0E"
         "0!\x0F|"),
      "\uAC00" },
    { "iso-2022-cn",
      OF("\x1B$)A|\x0E"
         "Dc\x0F"
         "b|"),
      "\u4F60b" },
    { "hz", OF("a|~{Dc~}b~~|"), "\u4F60b~" },
    { "hz", OF("a~{Dc|Dc|~}b"), "\u4F60" },
    { "utf-7", OF("a+AOk-|b+AD0-+-+AOk-|"), "b=+\u00E9" },
};

static void spans_become_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(text_cases); i++) {
        const struct text_case *row = &text_cases[i];
        struct charset charset = charset_find(row->label, row->part);
        const char *data = row->part.data;
        size_t length = row->part.length;
        size_t from = text_find_byte(row->part, '|');
        size_t to = (size_t)((const char *)memrchr(data, '|', length) - data);
        struct buffer utf8 = { 0 };
        print_message("%s %zu\n", row->label ? row->label : "", i);
        buffer_append_string(&utf8, "=");
        /* The mark itself is no part of the bytes. */
        struct buffer part = { 0 };
        buffer_append_text(&part, text_slice(row->part, 0, from));
        buffer_append_text(&part, text_slice(row->part, from + 1, to));
        buffer_append_text(&part, text_slice(row->part, to + 1, length));
        bool is_valid =
            charset_to_utf8(&charset, buffer_text(&part), from, to - 1, &utf8);
        assert_int_equal(is_valid, row->utf8 != NULL);
        assert_string_equal(utf8.data + 1, row->utf8 ? row->utf8 : "");
        buffer_free(&part);
        buffer_free(&utf8);
    }
}

static void wide_spans_become_utf8(void **state)
{
    (void)state;
    struct text part = OF("a\0\xE9\0\x3D\xD8\x00\xDE");
    struct charset charset = charset_find("utf-16le", part);
    struct buffer utf8 = { 0 };
    assert_true(charset_to_utf8(&charset, part, 2, 8, &utf8));
    assert_string_equal(utf8.data, "\u00E9\U0001F600");
    assert_false(charset_to_utf8(&charset, part, 4, 6, &utf8));
    assert_string_equal(utf8.data, "\u00E9\U0001F600");
    buffer_free(&utf8);
}

static const struct ascii_case {
    const char *label;
    struct text bytes;
} ascii_cases[] = {
    { "iso-8859-1", OF("<a+~\\") },
    { "iso-2022-jp", OF("<a+~\\") },
    { "hz", OF("<a+~~\\") },
    { "utf-7", OF("<a+-+AH4-+AFw-") },
    { "utf-16le", OF("<\0a\0+\0~\0\\\0") },
    { "utf-16be", OF("\0<\0a\0+\0~\0\\") },
    { "utf-32le", OF("<\0\0\0a\0\0\0+\0\0\0~\0\0\0\\\0\0\0") },
};

static void ascii_is_written_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(ascii_cases); i++) {
        const struct ascii_case *row = &ascii_cases[i];
        struct charset charset = charset_find(row->label, row->bytes);
        struct buffer bytes = { 0 };
        struct buffer utf8 = { 0 };
        charset_from_ascii(&charset, TEXT_LITERAL("<a+~\\"), &bytes);
        assert_true(text_equal(buffer_text(&bytes), row->bytes));
        assert_true(charset_to_utf8(&charset, buffer_text(&bytes), 0,
                                    bytes.length, &utf8));
        assert_string_equal(utf8.data, "<a+~\\");
        buffer_free(&bytes);
        buffer_free(&utf8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "F10: labels are known", labels_are_known, NULL, NULL, NULL },
        { "F10: masks show ASCII only", masks_show_ascii_only, NULL, NULL,
          NULL },
        { "F10, R1: spans become UTF-8", spans_become_utf8, NULL, NULL, NULL },
        { "F10: wide spans become UTF-8", wide_spans_become_utf8, NULL, NULL,
          NULL },
        { "F10: ASCII is written and read again", ascii_is_written_and_read,
          NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("tracking/charset", tests, NULL, NULL);
}
