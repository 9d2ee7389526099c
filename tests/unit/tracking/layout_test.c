/* SPDX-License-Identifier: MIT */
/* Edits within quoted-printable: what it decodes to is what the edit made, and
 * lines that were not touched are what they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/layout.h"
#include "tracking/line.h"
#include "tracking/transfer.h"

#define SEVENTY                       \
    "abcdefghijklmnopqrstuvwxyzabcde" \
    "fghijklmnopqrstuvwxyzabcdefghijklmnopqr"

static const struct row {
    const char *encoded;
    const char *from; /* of what it decodes to: this is replaced */
    const char *to; /* by that */
    const char *result;
} rows[] = {
    { "one two three", "two", "2", "one 2 three" },
    { "one t=77o three", "two", "2", "one 2 three" },
    { "one t=\r\nwo three", "two", "2", "one 2 three" },
    { "one =\r\ntwo=\r\n three", "two", "2", "one =\r\n2=\r\n three" },
    { "one=3Dtwo", "two", "=", "one=3D=3D" },
    { "one two  \r\nthree", "two", "", "one =\r\n  \r\nthree" },
    { "one two", "two", "", "one =\r\n" },
    { "one two\r\n", "two", "x\r\ny", "one x\r\ny\r\n" },
    { "one =two4", "two", "", "one =3D4" },
    { "end=", "end", "x", "x=" },
    { "a\r\n--x y\r\n", "x", "z", "a\r\n--z y\r\n" },
    { SEVENTY " two --end\r\n", "two", "eighty",
      SEVENTY " eigh=\r\nty --end\r\n" },
    { SEVENTY " two\r\nthree\r\n", "two", "eighty",
      SEVENTY " eigh=\r\nty\r\nthree\r\n" },
    { SEVENTY "two--end\r\n", "two", "five5", SEVENTY "five5=\r\n=2D-end\r\n" },
    { SEVENTY "two123\r\n", "two", "fi", SEVENTY "fi123\r\n" },
    { SEVENTY "two1=\r\n23\r\n", "two", "fives",
      SEVENTY "fives=\r\n1=\r\n23\r\n" },
};

static void join(const struct template *template, struct buffer *out)
{
    buffer_append_string(out, "");
    for (size_t i = 0; i < template->piece_count; i++) {
        assert_int_equal(template->pieces[i].place, PLACE_NONE);
        buffer_append_text(out, template->pieces[i].text);
    }
}

static void replace_all(const struct row *row, struct buffer *text)
{
    const char *found = strstr(text->data, row->from);
    struct buffer changed = { 0 };
    size_t at = (size_t)(found - text->data);
    buffer_append(&changed, text->data, at);
    buffer_append_string(&changed, row->to);
    buffer_append_string(&changed, found + strlen(row->from));
    buffer_free(text);
    *text = changed;
}

static void try_row(const struct row *row)
{
    struct arena *arena = arena_create();
    struct template template = { .arena = arena };
    struct charset charset = charset_find("utf-8", TEXT_LITERAL(""));
    struct template_piece piece = { .text = text_of(row->to) };
    struct buffer decoded = { 0 };
    struct buffer result = { 0 };
    struct buffer back = { 0 };
    quoted_printable_decode(text_of(row->encoded), &decoded);
    size_t from = (size_t)(strstr(decoded.data, row->from) - decoded.data);
    struct edit edit = { .from = from,
                         .to = from + strlen(row->from),
                         .pieces = &piece,
                         .piece_count = 1 };
    struct layout_body body = { .encoded = text_of(row->encoded),
                                .decoded = buffer_text(&decoded),
                                .charset = &charset,
                                .edits = &edit,
                                .edit_count = 1 };
    layout_quoted_printable(&body, &template);
    join(&template, &result);
    if (strcmp(result.data, row->result) != 0) {
        fail_msg("[%s] became [%s] and should be [%s]", row->encoded,
                 result.data, row->result);
    }
    replace_all(row, &decoded);
    quoted_printable_decode(buffer_text(&result), &back);
    assert_string_equal(back.data, decoded.data);
    buffer_free(&decoded);
    buffer_free(&result);
    buffer_free(&back);
    arena_free(&arena);
}

static void quoted_printable_is_edited_in_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        try_row(&rows[i]);
    }
}

/* --- at random --- */

static uint64_t random_state;

static size_t below(size_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % limit);
}

/* Encoded lines of at most 76 octets with everything that is odd in them. */
static void make_encoded(struct buffer *out)
{
    static const char *const units[] = {
        "a",      " ",     "\t",     "=3D",    "=3d",  "-",    "--",
        "=20",    "=",     "=4",     "=C3=A4", "41",   "\r\n", "=\r\n",
        "= \r\n", " \r\n", "=0D=0A", ".",      "word",
    };
    size_t column = 0;
    buffer_append_string(out, "");
    for (size_t count = below(120); count > 0; count--) {
        const char *unit = units[below(ARRAY_LENGTH(units))];
        size_t length = strlen(unit);
        bool ends_line = unit[length - 1] == '\n';
        if (column + length > 75 && !ends_line) {
            buffer_append_string(out, "=\r\n");
            column = 0;
        }
        buffer_append_string(out, unit);
        column = ends_line ? 0 : column + length;
    }
}

#define EDITS_MAX 6

struct random_edits {
    struct edit edits[EDITS_MAX];
    struct template_piece pieces[EDITS_MAX];
    size_t count;
};

static bool splits_line_end(struct text text, size_t at)
{
    return at > 0 && at < text.length && text.data[at - 1] == '\r' &&
           text.data[at] == '\n';
}

static void make_edits(struct text decoded, struct random_edits *out)
{
    static const char *const texts[] = {
        "",
        "",
        "x",
        "https://click.example/c/abcdefghijklmnopqrstuvwxyz",
        "a=b",
        "--",
        "two\r\nlines",
        "<img src=\"x\" alt=\"\">",
    };
    size_t at = 0;
    out->count = 0;
    while (out->count < EDITS_MAX) {
        size_t from = at + below(40);
        size_t to = from + below(3) * below(12);
        if (to > decoded.length || splits_line_end(decoded, from) ||
            splits_line_end(decoded, to)) {
            break;
        }
        struct template_piece *piece = &out->pieces[out->count];
        *piece = (struct template_piece){
            .text = text_of(texts[below(ARRAY_LENGTH(texts))])
        };
        out->edits[out->count] = (struct edit){
            .from = from, .to = to, .pieces = piece, .piece_count = 1
        };
        out->count++;
        at = to;
    }
}

static void apply_edits(struct text decoded, const struct random_edits *edits,
                        struct buffer *out)
{
    size_t at = 0;
    buffer_append_string(out, "");
    for (size_t i = 0; i < edits->count; i++) {
        buffer_append_text(out, text_slice(decoded, at, edits->edits[i].from));
        buffer_append_text(out, edits->pieces[i].text);
        at = edits->edits[i].to;
    }
    buffer_append_text(out, text_slice(decoded, at, decoded.length));
}

static void check_width(struct text lines)
{
    while (lines.length > 0) {
        size_t length = line_content(line_take(&lines)).length;
        if (length > 78) { /* 76, and blanks that stood there */
            fail_msg("a line has %zu octets", length);
        }
    }
}

static void try_random(uint64_t seed)
{
    struct arena *arena = arena_create();
    struct template template = { .arena = arena };
    struct charset charset = charset_find("utf-8", TEXT_LITERAL(""));
    struct random_edits edits;
    struct buffer encoded = { 0 };
    struct buffer decoded = { 0 };
    struct buffer expected = { 0 };
    struct buffer result = { 0 };
    struct buffer back = { 0 };
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    make_encoded(&encoded);
    quoted_printable_decode(buffer_text(&encoded), &decoded);
    make_edits(buffer_text(&decoded), &edits);
    struct layout_body body = { .encoded = buffer_text(&encoded),
                                .decoded = buffer_text(&decoded),
                                .charset = &charset,
                                .edits = edits.edits,
                                .edit_count = edits.count };
    layout_quoted_printable(&body, &template);
    join(&template, &result);
    quoted_printable_decode(buffer_text(&result), &back);
    apply_edits(buffer_text(&decoded), &edits, &expected);
    check_width(buffer_text(&result));
    if (!text_equal(buffer_text(&back), buffer_text(&expected))) {
        for (size_t i = 0; i < edits.count; i++) {
            print_message("%zu to %zu: [%.*s]\n", edits.edits[i].from,
                          edits.edits[i].to,
                          TEXT_ARGUMENTS(edits.pieces[i].text));
        }
        fail_msg("seed %llu: [%s] became [%s]\nthat is [%s], should be [%s]",
                 (unsigned long long)seed, encoded.data, result.data, back.data,
                 expected.data);
    }
    buffer_free(&encoded);
    buffer_free(&decoded);
    buffer_free(&expected);
    buffer_free(&result);
    buffer_free(&back);
    arena_free(&arena);
}

static void edits_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        try_random(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_printable_is_edited_in_place),
        cmocka_unit_test(edits_at_random),
    };
    return cmocka_run_group_tests_name("tracking/layout", tests, NULL, NULL);
}
