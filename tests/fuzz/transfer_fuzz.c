/* SPDX-License-Identifier: MIT */
/* What is encoded comes back; what is wrapped means the same; lines fit. */
#include "core/memory.h"
#include "tracking/line.h"
#include "tracking/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct text lines)
{
    while (lines.length > 0) {
        check(line_content(line_take(&lines)).length <= 76);
    }
}

static void try_quoted_printable(struct text text)
{
    struct buffer lines = { 0 };
    struct buffer back = { 0 };
    quoted_printable_encode(text, &lines);
    check_lines(buffer_text(&lines));
    check(!text_has_8bit(buffer_text(&lines)));
    quoted_printable_decode(buffer_text(&lines), &back);
    check(text_equal(buffer_text(&back), text));
    buffer_free(&lines);
    buffer_free(&back);
}

static void try_wrapping(struct text text)
{
    struct buffer lines = { 0 };
    struct buffer before = { 0 };
    struct buffer after = { 0 };
    quoted_printable_wrap(text, &lines);
    quoted_printable_decode(text, &before);
    quoted_printable_decode(buffer_text(&lines), &after);
    check(text_equal(buffer_text(&before), buffer_text(&after)));
    buffer_free(&lines);
    buffer_free(&before);
    buffer_free(&after);
}

static void try_base64(struct text bytes)
{
    struct buffer lines = { 0 };
    struct buffer back = { 0 };
    base64_encode_lines(bytes, &lines);
    check_lines(buffer_text(&lines));
    check(base64_decode_lines(buffer_text(&lines), &back));
    check(text_equal(buffer_text(&back), bytes));
    buffer_clear(&lines);
    buffer_clear(&back);
    base64_wrap(bytes, &lines);
    check_lines(buffer_text(&lines));
    buffer_clear(&lines);
    (void)base64_decode_lines(bytes, &lines);
    buffer_free(&lines);
    buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = { (const char *)data, size };
    try_quoted_printable(text);
    try_wrapping(text);
    try_base64(text);
    return 0;
}
