/* SPDX-License-Identifier: MIT */
/*
 * Message content in reads of any sizes, against a reader that sees all of it
 * and looks at one octet at a time: the same end, the same data, the same
 * verdict. The input: with dots or counted, how many cuts, the cuts, the wire.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"
#include "smtp/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_LIMIT 4096

struct result {
    struct buffer kept;
    size_t used;
    bool is_end;
    bool is_good;
    size_t longest_line;
};

static void scan(struct result *result, struct text wire, bool has_dots,
                 struct text cuts)
{
    struct content content;
    size_t i = 0;
    *result = (struct result){ 0 };
    content_start(&content, has_dots, SIZE_LIMIT);
    for (size_t to = 0; to < wire.length && !result->is_end; i++) {
        size_t step =
            cuts.length > 0
                ? (size_t)(unsigned char)cuts.data[i % cuts.length] + 1
                : wire.length;
        to = wire.length - to < step ? wire.length : to + step;
        size_t before = result->kept.length;
        size_t used = content_scan(&content, text_slice(wire, result->used, to),
                                   &result->kept, &result->is_end);
        check(used <= to - result->used);
        check(result->kept.length - before <= used);
        result->used += used;
        check(result->is_end || to - result->used <= 2);
    }
    if (!has_dots) {
        content_finish(&content, &result->kept);
    }
    result->is_good = content.fault == CONTENT_GOOD;
    result->longest_line = content.longest_line;
}

static bool is_at(struct text wire, size_t at, const char *bytes)
{
    size_t length = strlen(bytes);
    return at + length <= wire.length &&
           memcmp(wire.data + at, bytes, length) == 0;
}

static bool is_line_start(struct text wire, size_t at)
{
    return at == 0 || (at >= 2 && is_at(wire, at - 2, "\r\n"));
}

/* RFC 5321, 2.3.8 and 4.5.2, one octet after the other. */
static void read_naively(struct result *result, struct text wire, bool has_dots)
{
    size_t line_length = 0;
    *result = (struct result){ .is_good = true };
    size_t i = 0;
    for (; i < wire.length; i++) {
        char byte = wire.data[i];
        if (has_dots && byte == '.' && is_line_start(wire, i)) {
            if (is_at(wire, i, ".\r\n")) {
                result->is_end = true;
                i += 3;
                break;
            }
            continue;
        }
        bool is_after_cr = i > 0 && wire.data[i - 1] == '\r';
        bool is_before_lf = is_at(wire, i + 1, "\n");
        if (byte == '\0' || (byte == '\n' && !is_after_cr) ||
            (byte == '\r' && !is_before_lf)) {
            result->is_good = false;
        }
        buffer_append_byte(&result->kept, byte);
        line_length = byte == '\n' ? 0 : line_length + 1;
        if (byte != '\n' && byte != '\r' &&
            line_length > result->longest_line) {
            result->longest_line = line_length;
        }
    }
    if (!has_dots && !is_line_start(wire, wire.length)) {
        buffer_append_string(&result->kept, "\r\n");
    }
    result->is_good = result->is_good && result->kept.length <= SIZE_LIMIT;
    result->used = i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result expected;
    struct result found;
    if (size < 2) {
        return 0;
    }
    struct text wire = { (const char *)data + 2, size - 2 };
    struct text cuts = text_slice(wire, 0, data[1] % 32);
    bool has_dots = (data[0] & 1) != 0;
    wire = text_slice(wire, cuts.length, wire.length);
    read_naively(&expected, wire, has_dots);
    scan(&found, wire, has_dots, cuts);
    check(found.is_end == expected.is_end);
    if (found.is_end || !has_dots) {
        check(found.used == expected.used);
        check(found.is_good == expected.is_good);
    }
    if (found.is_good && (found.is_end || !has_dots)) {
        check(
            text_equal(buffer_text(&found.kept), buffer_text(&expected.kept)));
        check(found.longest_line == expected.longest_line);
    }
    buffer_free(&expected.kept);
    buffer_free(&found.kept);
    return 0;
}
