/* SPDX-License-Identifier: MIT */
/*
 * Structures as one line each: for every part its depth, type and body, as in
 * "0 multipart/mixed|1 text/plain [body]".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/tracking/arena_fixture.h"
#include "tracking/mime.h"

static const struct mime_limits limits = { 100, 1000 };

static struct mime scan(void **state, const char *message)
{
    struct mime mime;
    struct error error;
    assert_true(mime_scan(text_of(message), &limits, *state, &mime, &error));
    return mime;
}

static void describe(const char *message, const struct mime *mime,
                     struct buffer *out)
{
    for (size_t i = 0; i < mime->part_count; i++) {
        const struct mime_part *part = &mime->parts[i];
        buffer_printf(out, "%s%zu %s", i > 0 ? "|" : "", part->depth,
                      part->type);
        if (!part->is_multipart) {
            struct text body = mime_part_body(text_of(message), part);
            buffer_printf(out, " [%.*s]", TEXT_ARGUMENTS(body));
        }
    }
}

#define MULTIPART(boundary) \
    "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"

static const struct structure {
    const char *message;
    const char *expected;
} structures[] = {
    { "A: b\r\n\r\nbody\r\n", "0 text/plain [body\r\n]" },
    { "A: b\r\n", "0 text/plain []" },
    { "Content-Type: TEXT / Html; x=y\r\n\r\nb", "0 text/html [b]" },
    { "Content-Type: nonsense\r\n\r\nb", "0 text/plain [b]" },
    /* preamble, epilogue, blanks behind boundaries */
    { MULTIPART("b") "pre\r\n--b \t\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n"
                     "\r\n--b--\t\r\n--b\r\nepilogue\r\n",
      "0 multipart/mixed|1 text/plain [one]|1 text/plain [two\r\n]" },
    /* the final boundary is missing */
    { MULTIPART("b") "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n",
      "0 multipart/mixed|1 text/plain [one]|1 text/plain [two\r\n]" },
    /* no body at all, no empty line, no header */
    { MULTIPART("b") "--b\r\nX: y\r\n--b\r\n\r\n--b\r\nloose\r\n--b--\r\n",
      "0 multipart/mixed|1 text/plain []|1 text/plain []|1 text/plain "
      "[loose]" },
    /* one boundary is the beginning of the other */
    { MULTIPART("b") "--b\r\n" MULTIPART(
          "bb") "--bb\r\n\r\none\r\n--bb--\r\n"
                "--b\r\n\r\n--bc\r\n--b-\r\n--b--x\r\n--b--\r\n",
      "0 multipart/mixed|1 multipart/mixed|2 text/plain [one]|1 text/plain "
      "[--bc\r\n--b-\r\n--b--x]" },
    { MULTIPART("bb") "--bb\r\n" MULTIPART("b") "--b\r\n\r\none\r\n--b--\r\n"
                                                "--bb\r\n\r\ntwo\r\n--bb--\r\n",
      "0 multipart/mixed|1 multipart/mixed|2 text/plain [one]|1 text/plain "
      "[two]" },
    /* what Python, Outlook and others write */
    { MULTIPART("\"===============12==\"") "--===============12==\r\n\r\none"
                                           "\r\n--===============12==--\r\n",
      "0 multipart/mixed|1 text/plain [one]" },
    { MULTIPART("----=_Part.*+?[x]") "------=_Part.*+?[x]\r\n\r\none\r\n"
                                     "------=_Part.*+?[x]--\r\n",
      "0 multipart/mixed|1 text/plain [one]" },
    { "Content-Type: multipart/mixed (c;boundary=no); type=\"a;boundary=no\";"
      "\r\n\tBOUNDARY =\r\n \"a\\b c \"\r\n\r\n--ab c\r\n\r\none\r\n--ab "
      "c--\r\n",
      "0 multipart/mixed|1 text/plain [one]" },
    /* a boundary with a colon is no header field */
    { MULTIPART("\"a:b\"") "--a:b\r\nX: y\r\n--a:b\r\n\r\none\r\n--a:b--\r\n",
      "0 multipart/mixed|1 text/plain []|1 text/plain [one]" },
    /* the outer boundary ends all that is inside */
    { MULTIPART("b") "--b\r\n" MULTIPART("c") "--c\r\n\r\none\r\n--b--\r\n"
                                              "--c\r\nno part\r\n",
      "0 multipart/mixed|1 multipart/mixed|2 text/plain [one]" },
    /* the same boundary twice: the inner one is asked first */
    { MULTIPART("b") "--b\r\n" MULTIPART("b") "--b\r\n\r\none\r\n--b--\r\n"
                                              "--b\r\n\r\ntwo\r\n--b--\r\n",
      "0 multipart/mixed|1 multipart/mixed|2 text/plain [one]|1 text/plain "
      "[two]" },
    /* attached messages, and the default type in a digest */
    { MULTIPART("b") "--b\r\nContent-Type: message/rfc822\r\n\r\nS: x\r\n\r\n"
                     "inner\r\n--b--\r\n",
      "0 multipart/mixed|1 message/rfc822 [S: x\r\n\r\ninner]|2 text/plain "
      "[inner]" },
    { "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nS: x\r\n"
      "\r\ninner\r\n--b--\r\n",
      "0 multipart/digest|1 message/rfc822 [S: x\r\n\r\ninner]|2 text/plain "
      "[inner]" },
    { "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n"
      "\r\nUw==\r\n",
      "0 message/rfc822 [Uw==\r\n]" },
    /* no boundary, or an empty one */
    { "Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n",
      "0 multipart/mixed [--\r\n\r\n]" },
    { MULTIPART("\" \"") "--\r\n", "0 multipart/mixed [--\r\n]" },
};

static void structures_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(structures); i++) {
        struct mime mime = scan(state, structures[i].message);
        struct buffer found = { 0 };
        describe(structures[i].message, &mime, &found);
        assert_string_equal(found.data, structures[i].expected);
        buffer_free(&found);
    }
}

static void fields_are_read(void **state)
{
    struct mime mime =
        scan(state, "Content-Type: text/html; charset=\"utf-8\";"
                    " x=\"y\\\"z\"\r\n"
                    "Content-Transfer-Encoding: (c) Quoted-Printable;\r\n"
                    "Content-Disposition: ATTACHMENT; filename=a\r\n"
                    "Content-Disposition: inline\r\n\r\n");
    assert_string_equal(mime.parts[0].charset, "utf-8");
    assert_string_equal(mime.parts[0].disposition, "attachment");
    assert_int_equal(mime.parts[0].encoding, MIME_QUOTED_PRINTABLE);
    mime = scan(state, "Content-Transfer-Encoding: x-uuencode\r\n\r\n");
    assert_int_equal(mime.parts[0].encoding, MIME_ENCODING_UNKNOWN);
    assert_string_equal(
        mime_parameter(
            *state, TEXT_LITERAL("a/b; broken; X=1; \"q\"; y = \"2;\";"), "y"),
        "2;");
}

static void marks_are_inherited(void **state)
{
    struct mime mime = scan(
        state, "Content-Type: multipart/signed; boundary=b\r\n\r\n"
               "--b\r\nContent-Type: message/rfc822\r\n\r\nS: x\r\n\r\n\xe4\r\n"
               "--b\r\nX: \xe4\r\n\r\nplain\r\n--b--\r\n");
    assert_int_equal(mime.part_count, 4);
    assert_true(mime.parts[0].is_sealed);
    assert_true(mime.parts[3].is_sealed);
    assert_false(mime.parts[1].is_enclosed);
    assert_true(mime.parts[2].is_enclosed);
    assert_int_equal(mime.parts[2].body_line_8bit, 8);
    assert_int_equal(mime.parts[3].header_line_8bit, 10);
    assert_int_equal(mime.parts[0].body_line_8bit, 0);
}

static void long_lines_are_found(void **state)
{
    char line[1000];
    memset(line, 'x', 999);
    line[999] = '\0';
    struct buffer message = { 0 };
    buffer_printf(&message,
                  MULTIPART("b") "%s\r\n--b\r\nX: %s\r\n\r\n%.998s\r\n%s\r\n"
                                 "--b--\r\n",
                  line, line, line, line);
    struct mime mime = scan(state, message.data);
    assert_int_equal(mime.parts[0].long_body_line, 3);
    assert_int_equal(mime.parts[0].long_header_line, 0);
    assert_int_equal(mime.parts[1].long_header_line, 5);
    assert_int_equal(mime.parts[1].long_body_line, 8);
    buffer_free(&message);
}

static void limits_hold(void **state)
{
    static const struct mime_limits small = { 3, 5 };
    struct mime mime;
    struct error error;
    struct buffer message = { 0 };
    for (int i = 0; i < 4; i++) {
        buffer_append_string(&message, "Content-Type: message/rfc822\r\n\r\n");
    }
    assert_false(
        mime_scan(buffer_text(&message), &small, *state, &mime, &error));
    assert_non_null(strstr(error.text, "deeper than 3"));
    buffer_clear(&message);
    buffer_append_string(&message, MULTIPART("b"));
    for (int i = 0; i < 4; i++) {
        buffer_append_string(&message, "--b\r\n\r\n");
    }
    assert_true(
        mime_scan(buffer_text(&message), &small, *state, &mime, &error));
    buffer_append_string(&message, "--b\r\n\r\n");
    assert_false(
        mime_scan(buffer_text(&message), &small, *state, &mime, &error));
    assert_non_null(strstr(error.text, "more than 5 parts"));
    buffer_free(&message);
}

/* A hundred open multiparts and nothing but lines that may be a boundary; and a
 * value of very many quoted parameters. Squares would take minutes. */
static void hostile_structures_are_cheap(void **state)
{
    struct buffer message = { 0 };
    for (int i = 0; i < 100; i++) {
        buffer_printf(&message, "%s" MULTIPART("long-boundary-%03d"),
                      i > 0 ? "\r\n" : "", i);
        buffer_printf(&message, "--long-boundary-%03d", i);
    }
    buffer_append_string(&message, "\r\n\r\n");
    for (int i = 0; i < 20000; i++) {
        buffer_append_string(&message, "--long-boundary-xxx\r\n--\r\n");
    }
    struct mime mime = scan(state, message.data);
    assert_int_equal(mime.part_count, 101);
    buffer_clear(&message);
    buffer_append_string(&message, "Content-Type: multipart/mixed");
    for (int i = 0; i < 50000; i++) {
        buffer_append_string(&message, ";a=\"(\"");
    }
    buffer_append_string(&message, "\r\n\r\n");
    size_t before = arena_size_bytes(*state);
    scan(state, message.data);
    assert_true(arena_size_bytes(*state) - before < 16 * message.length);
    buffer_free(&message);
}

#define ROW(name, function)                            \
    {                                                  \
        name, function, create_arena, free_arena, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("F7: structures are found", structures_are_found),
        ROW("F6: fields are read", fields_are_read),
        ROW("F8: marks are inherited", marks_are_inherited),
        ROW("S7: long lines are found", long_lines_are_found),
        ROW("F13: limits hold", limits_hold),
        ROW("F13: hostile structures are cheap", hostile_structures_are_cheap),
    };
    return cmocka_run_group_tests_name("tracking/mime", tests, NULL, NULL);
}
