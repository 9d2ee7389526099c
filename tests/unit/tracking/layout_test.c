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
    { SEVENTY " two --end\r\n", "two", "eighty", SEVENTY " eigh=\r\nty --end\r\n" },
    { SEVENTY " two\r\nthree\r\n", "two", "eighty",
      SEVENTY " eigh=\r\nty\r\nthree\r\n" },
    { SEVENTY "two--end\r\n", "two", "five5",
      SEVENTY "five5=\r\n=2D-end\r\n" },
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_printable_is_edited_in_place),
    };
    return cmocka_run_group_tests_name("tracking/layout", tests, NULL, NULL);
}
