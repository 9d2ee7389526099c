/* SPDX-License-Identifier: MIT */
/* Tests of smtp/content.c. */
#include "smtp/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

#define BYTES(s)           \
    {                      \
        (s), sizeof(s) - 1 \
    }
#define BEHIND "NOOP\r\n" /* must stay untouched behind the end */

/* By DATA: what comes, up to and with its end, and what is kept. */
static const struct data_row {
    struct text wire;
    enum content_fault fault;
    uint64_t fault_line;
    struct text kept;
    size_t longest_line;
} data_rows[] = {
    { BYTES(".\r\n"), CONTENT_GOOD, 0, BYTES(""), 0 },
    { BYTES("a\r\n.\r\n"), CONTENT_GOOD, 0, BYTES("a\r\n"), 1 },
    { BYTES("\r\n.\r\n"), CONTENT_GOOD, 0, BYTES("\r\n"), 0 },
    { BYTES("..\r\n.\r\n"), CONTENT_GOOD, 0, BYTES(".\r\n"), 1 },
    { BYTES("...\r\n..a\r\n.b\r\n.\r\n"), CONTENT_GOOD, 0,
      BYTES("..\r\n.a\r\nb\r\n"), 2 },
    { BYTES("a.\r\n.\r\n"), CONTENT_GOOD, 0, BYTES("a.\r\n"), 2 },
    { BYTES("a\r\n.\r\r\nb\r\n.\r\n"), CONTENT_BARE_CR, 2, BYTES(""), 0 },
    { BYTES("a\n.\nMAIL\r\n.\r\n"), CONTENT_BARE_LF, 1, BYTES(""), 0 },
    { BYTES("a\n.\r\nMAIL\r\n.\r\n"), CONTENT_BARE_LF, 1, BYTES(""), 0 },
    { BYTES("a\r\n.\nMAIL\r\n.\r\n"), CONTENT_BARE_LF, 2, BYTES(""), 0 },
    { BYTES("a\r\n.\n\nMAIL\r\n.\r\n"), CONTENT_BARE_LF, 2, BYTES(""), 0 },
    { BYTES("a\r.\rMAIL\r\n.\r\n"), CONTENT_BARE_CR, 1, BYTES(""), 0 },
    { BYTES("a\r.\r\nMAIL\r\n.\r\n"), CONTENT_BARE_CR, 1, BYTES(""), 0 },
    { BYTES("a\r\n.\rMAIL\r\n.\r\n"), CONTENT_BARE_CR, 2, BYTES(""), 0 },
    { BYTES("a\r\n.\r\rMAIL\r\n.\r\n"), CONTENT_BARE_CR, 2, BYTES(""), 0 },
    { BYTES("a\r\n\0.\r\nMAIL\r\n.\r\n"), CONTENT_NUL, 2, BYTES(""), 0 },
    { BYTES("a\r\n.\0\r\nMAIL\r\n.\r\n"), CONTENT_NUL, 2, BYTES(""), 0 },
    { BYTES("a\r\r\n.\r\n"), CONTENT_BARE_CR, 1, BYTES(""), 0 },
    { BYTES("a\n\r\n.\r\n"), CONTENT_BARE_LF, 1, BYTES(""), 0 },
    { BYTES("\n.\r\n\r\n.\r\n"), CONTENT_BARE_LF, 1, BYTES(""), 0 },
};

/* Feed in two or three parts; what is not used comes again, as from a stream.
 */
static void feed(const struct data_row *row, const size_t *cuts,
                 size_t cut_count)
{
    struct content content;
    struct buffer wire = { 0 };
    struct buffer kept = { 0 };
    bool is_end = false;
    size_t at = 0;
    content_start(&content, true, 1000);
    buffer_append_text(&wire, row->wire);
    buffer_append_string(&wire, BEHIND);
    for (size_t i = 0; i <= cut_count && !is_end; i++) {
        size_t to = i < cut_count ? cuts[i] : wire.length;
        at += content_scan(&content, text_slice(buffer_text(&wire), at, to),
                           &kept, &is_end);
        assert_true(is_end || (at <= to && at + 2 >= to));
    }
    assert_true(is_end);
    assert_int_equal(at, row->wire.length);
    assert_int_equal(content.fault, row->fault);
    if (row->fault == CONTENT_GOOD) {
        assert_true(text_equal(buffer_text(&kept), row->kept));
        assert_int_equal(content.longest_line, row->longest_line);
        assert_int_equal(content.size_bytes, row->kept.length);
    } else {
        assert_int_equal(content.fault_line, row->fault_line);
    }
    buffer_free(&wire);
    buffer_free(&kept);
}

static void only_crlf_dot_crlf_ends_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(data_rows); i++) {
        size_t length = data_rows[i].wire.length + sizeof(BEHIND) - 1;
        feed(&data_rows[i], NULL, 0);
        for (size_t a = 0; a <= length; a++) {
            for (size_t b = a; b <= length; b++) {
                size_t cuts[] = { a, b };
                feed(&data_rows[i], cuts, 2);
            }
        }
    }
}

static void every_byte_alone(void **state)
{
    size_t cuts[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cuts); i++) {
        cuts[i] = i + 1;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(data_rows); i++) {
        size_t length = data_rows[i].wire.length + sizeof(BEHIND) - 1;
        feed(&data_rows[i], cuts, length);
    }
}

static const struct chunk_row {
    struct text chunks[3];
    enum content_fault fault;
    struct text kept;
} chunk_rows[] = {
    { { BYTES("a\r\n") }, CONTENT_GOOD, BYTES("a\r\n") },
    { { BYTES("a") }, CONTENT_GOOD, BYTES("a\r\n") },
    { { BYTES("") }, CONTENT_GOOD, BYTES("") },
    { { BYTES("a\r"), BYTES("\nb") }, CONTENT_GOOD, BYTES("a\r\nb\r\n") },
    { { BYTES("a\r"), BYTES("b") }, CONTENT_BARE_CR, BYTES("") },
    { { BYTES("a\r") }, CONTENT_BARE_CR, BYTES("") },
    { { BYTES("a"), BYTES("\nb") }, CONTENT_BARE_LF, BYTES("") },
    { { BYTES("\r\n.\r\n"), BYTES("..x\r\n") },
      CONTENT_GOOD,
      BYTES("\r\n.\r\n..x\r\n") },
};

static void counted_content_has_no_dots(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(chunk_rows); i++) {
        const struct chunk_row *row = &chunk_rows[i];
        struct content content;
        struct buffer kept = { 0 };
        bool is_end;
        content_start(&content, false, 1000);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(
                content_scan(&content, row->chunks[k], &kept, &is_end),
                row->chunks[k].length);
            assert_false(is_end);
        }
        content_finish(&content, &kept);
        assert_int_equal(content.fault, row->fault);
        if (row->fault == CONTENT_GOOD) {
            assert_true(text_equal(buffer_text(&kept), row->kept));
        }
        buffer_free(&kept);
    }
}

static void too_large_content_is_followed_to_its_end(void **state)
{
    struct content content;
    struct buffer kept = { 0 };
    bool is_end = false;
    struct text line = TEXT_LITERAL("0123456789\r\n");
    (void)state;
    content_start(&content, true, 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(content_scan(&content, line, &kept, &is_end),
                         line.length);
    }
    assert_int_equal(content.fault, CONTENT_TOO_LARGE);
    assert_true(kept.length <= 100);
    (void)content_scan(&content, TEXT_LITERAL(".\r\n"), &kept, &is_end);
    assert_true(is_end);
    buffer_free(&kept);
}

static void dots_taken_out_do_not_count(void **state)
{
    struct content content;
    struct buffer kept = { 0 };
    bool is_end = false;
    (void)state;
    content_start(&content, true, 6);
    (void)content_scan(&content, TEXT_LITERAL("..\r\n..\r\n.\r\n"), &kept,
                       &is_end);
    assert_true(is_end);
    assert_int_equal(content.fault, CONTENT_GOOD);
    assert_string_equal(kept.data, ".\r\n.\r\n");
    buffer_free(&kept);
}

static void eight_bit_is_noticed_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        struct content content;
        struct buffer kept = { 0 };
        char line[42];
        bool is_end;
        memset(line, 'x', 40);
        memcpy(line + 40, "\r\n", 2);
        content_start(&content, true, 1000);
        (void)content_scan(&content, (struct text){ line, 42 }, &kept, &is_end);
        assert_false(content.has_8bit);
        line[i] = '\xe4';
        (void)content_scan(&content, (struct text){ line, 42 }, &kept, &is_end);
        assert_true(content.has_8bit);
        buffer_free(&kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S1 S5: only CRLF.CRLF ends it, split anywhere",
          only_crlf_dot_crlf_ends_it, NULL, NULL, NULL },
        { "S1 S5: every byte alone", every_byte_alone, NULL, NULL, NULL },
        { "S3 E2: counted content has no dots", counted_content_has_no_dots,
          NULL, NULL, NULL },
        { "E5: too large content is followed to its end",
          too_large_content_is_followed_to_its_end, NULL, NULL, NULL },
        { "E5: dots taken out do not count", dots_taken_out_do_not_count, NULL,
          NULL, NULL },
        cmocka_unit_test(eight_bit_is_noticed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
