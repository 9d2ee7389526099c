/* SPDX-License-Identifier: MIT */
/*
 * A mask has one byte per unit; what it shows is ASCII there, also for the
 * converter. The first byte chooses the label.
 */
#include "core/memory.h"
#include "tracking/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const labels[] = {
    "iso-2022-jp", "iso-2022-jp-3", "iso-2022-kr",  "iso-2022-cn",
    "hz",          "utf-7",         "utf-16",       "utf-16le",
    "utf-32",      "utf-32le",      "shift_jis",    "gb18030",
    "big5",        "euc-jp",        "windows-1252",
};

static void check_superset(const struct charset *charset, struct text part)
{
    struct buffer utf8 = { 0 };
    check(charset_to_utf8(charset, part, 0, part.length, &utf8));
    check(part.length == 0 || utf8.length > 0);
    buffer_free(&utf8);
}

static void check_unit(const struct charset *charset, struct text part,
                       size_t from, size_t size, char shown)
{
    struct buffer utf8 = { 0 };
    if (charset_to_utf8(charset, part, from, from + size, &utf8)) {
        check(utf8.length == 1 && utf8.data[0] == shown);
    }
    buffer_clear(&utf8);
    charset_from_ascii(charset, (struct text){ &shown, 1 }, &utf8);
    check(utf8.length >= size);
    buffer_free(&utf8);
}

static void check_mask(const struct charset *charset, struct text part)
{
    struct buffer mask = { 0 };
    size_t size = charset_unit_bytes(charset);
    if (charset_mask(charset, part, &mask)) {
        check(mask.length * size == part.length);
        size_t tried = 0;
        for (size_t i = 0; i < mask.length && tried < 32; i++) {
            if (mask.data[i] != '\x80') {
                check((mask.data[i] & 0x80) == 0);
                check(size > 1 || mask.data[i] == part.data[i]);
                check_unit(charset, part, i * size, size, mask.data[i]);
                tried++;
            }
        }
    }
    struct buffer utf8 = { 0 };
    charset_to_utf8(charset, part, part.length / 2, part.length, &utf8);
    charset_to_utf8(charset, part, 0, part.length, &utf8);
    check(text_is_utf8(buffer_text(&utf8)));
    buffer_free(&utf8);
    buffer_free(&mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    struct text part = { (const char *)data + 1, size - 1 };
    struct charset charset =
        charset_find(labels[data[0] % ARRAY_LENGTH(labels)], part);
    if (charset.form == CHARSET_ASCII_SUPERSET) {
        check_superset(&charset, part);
    } else {
        check_mask(&charset, part);
    }
    return 0;
}
