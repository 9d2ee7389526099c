/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/memory.h"
#include "http/form.h"

#define URLENCODED "application/x-www-form-urlencoded"
#define PART "Content-Disposition: form-data; name="

static void on_field(void *owner, struct text name, struct text value)
{
    struct buffer *seen = owner;
    buffer_append_byte(seen, '[');
    buffer_append_text(seen, name);
    buffer_append_byte(seen, '=');
    buffer_append_text(seen, value);
    buffer_append_byte(seen, ']');
}

static void fields_are_read(void **state)
{
    static const struct {
        const char *type;
        const char *body;
        const char *seen; /* NULL: no form */
    } rows[] = {
        { URLENCODED, "List-Unsubscribe=One-Click",
          "[List-Unsubscribe=One-Click]" },
        { URLENCODED "; charset=UTF-8", "List-Unsubscribe=One-Click\r\n",
          "[List-Unsubscribe=One-Click]" },
        { "", "List%2dUnsubscribe=One%2DClick",
          "[List-Unsubscribe=One-Click]" },
        { URLENCODED, "a=1&&b=x+y%2Bz&c&=d&e=%zz%4",
          "[a=1][b=x y+z][c=][=d][e=%zz%4]" },
        { URLENCODED, "", "" },
        { "text/plain", "a=1", NULL },
        { "application/json", "{}", NULL },
        { "multipart/form-data; boundary=x",
          "--x\r\n" PART "\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n",
          "[List-Unsubscribe=One-Click]" },
        { "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"",
          "preamble\r\n--a b\r\nContent-Type: text/plain\r\n"
          "content-disposition: form-data; filename=\"a;b\"; name=n\r\n\r\n"
          "one\r\n\r\ntwo\r\n--a b\r\n" PART "\"m\"\r\n\r\n\r\n--a b--",
          "[n=one\r\n\r\ntwo][m=]" },
        { "multipart/form-data; boundary=x", "--x\n" PART "a\n\n1\n--x--\n",
          "[a=1]" },
        { "multipart/form-data; boundary=x", "--x--\r\n", "" },
        { "multipart/form-data; boundary=x",
          "--x\r\n" PART "a\r\n\r\n--xy\r\n--x--\r\n", "[a=--xy]" },
        { "multipart/form-data", "--x--\r\n", NULL },
        { "multipart/form-data; boundary=\"\"", "----\r\n", NULL },
        { "multipart/form-data; boundary=x", "", NULL },
        { "multipart/form-data; boundary=x", "--x", NULL },
        { "multipart/form-data; boundary=x", "--x\r\n" PART "a\r\n\r\n1\r\n",
          NULL },
        { "multipart/form-data; boundary=x", "--x\r\n" PART "a\r\n", NULL },
        { "multipart/form-data; boundary=x",
          "--x\r\nContent-Type: a/b\r\n\r\n1\r\n--x--\r\n", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer body = { 0 };
        struct buffer seen = { 0 };
        buffer_append_string(&body, rows[i].body);
        bool is_form = form_read(text_of(rows[i].type), buffer_text(&body),
                                 on_field, &seen);
        if (is_form != (rows[i].seen != NULL)) {
            fail_msg("row %zu", i);
        }
        if (is_form) {
            buffer_append_byte(&seen, '\0');
            assert_string_equal(seen.data, rows[i].seen);
        }
        buffer_free(&body);
        buffer_free(&seen);
    }
}

static void there_are_not_endless_fields(void **state)
{
    struct buffer body = { 0 };
    struct buffer seen = { 0 };
    (void)state;
    for (int i = 0; i < FORM_FIELDS_MAX; i++) {
        buffer_append_string(&body, "a=1&");
    }
    assert_true(
        form_read(text_of(URLENCODED), buffer_text(&body), on_field, &seen));
    buffer_append_string(&body, "b=1");
    assert_false(
        form_read(text_of(URLENCODED), buffer_text(&body), on_field, &seen));
    buffer_free(&body);
    buffer_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(there_are_not_endless_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
