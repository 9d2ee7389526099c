/* SPDX-License-Identifier: MIT */
/*
 * The last test takes every message of the corpora (BATON_CORPORA, or
 * ../shared/corpora beside the source directory) and checks what must hold for
 * any message at all.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/header.h"
#include "tracking/line.h"
#include "tracking/mime.h"
#include "tracking/transfer.h"

#define TRACE "Received: from a by b; now\r\n"

static int create_arena(void **state)
{
    *state = arena_create();
    return 0;
}

static int free_arena(void **state)
{
    struct arena *arena = *state;
    arena_free(&arena);
    return 0;
}

static bool inspect(struct arena *arena, struct text message, bool is_smtputf8,
                    struct compose_facts *facts,
                    struct compose_refusal *refusal)
{
    struct compose_input input = {
        .message = message,
        .is_smtputf8 = is_smtputf8,
        .received_at = INT64_C(1795227182000000),
        .message_id = 4711,
        .hostname = "mx.example",
    };
    return compose_inspect(&input, arena, facts, refusal);
}

static char *repeat(struct arena *arena, const char *unit, size_t count)
{
    struct buffer bytes = { 0 };
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(&bytes, unit);
    }
    char *copy = arena_copy_text(arena, buffer_text(&bytes));
    buffer_free(&bytes);
    return copy;
}

static void joined(const struct text *pieces, size_t count,
                   struct buffer *out_bytes)
{
    buffer_append_string(out_bytes, "");
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out_bytes, pieces[i]);
    }
}

/* A policy under which nothing is tracked. */
static bool try_copy(struct arena *arena, struct text trace,
                     struct text message, bool to_7bit,
                     struct text **out_pieces, size_t *out_count,
                     struct error *error)
{
    struct policy *policy = arena_alloc(arena, sizeof(*policy));
    struct compose_recipient recipient = { 1, "r@example.com" };
    struct compose_plan *plan;
    policy_set_defaults(policy, arena);
    struct compose_source source = {
        .trace = trace,
        .message = message,
        .account_id = 1,
        .policy = policy,
        .to_7bit = to_7bit,
    };
    if (!compose_plan_make(&source, arena, &plan, error)) {
        return false;
    }
    assert_true(compose_plan_is_shared(plan));
    compose_copy(plan, &recipient, arena, out_pieces, out_count);
    return true;
}

static void copy(struct arena *arena, struct text message, bool to_7bit,
                 struct buffer *out_bytes)
{
    struct text *pieces;
    size_t count;
    struct error error = { "" };
    if (!try_copy(arena, TEXT_LITERAL(TRACE), message, to_7bit, &pieces, &count,
                  &error)) {
        fail_msg("%s", error.text);
    }
    joined(pieces, count, out_bytes);
}

static const struct {
    const char *message;
    const char *copied; /* without the trace */
} plain_rows[] = {
    { "From: a@b\r\n\r\nbody \r\n\r\n", "From: a@b\r\n\r\nbody \r\n\r\n" },
    { "Return-Path: <a@b>\r\nFrom: a@b\r\nBcc: c@d,\r\n\te@f\r\nbcc : x@y\r\n"
      "To: g@h\r\nResent-Bcc: i@j\r\n\r\nBcc: stays\r\n",
      "From: a@b\r\nTo: g@h\r\n\r\nBcc: stays\r\n" },
    { "From: a@b\r\n", "From: a@b\r\n" },
    { "From: a@b\r\nBcc: x@y", "From: a@b\r\n" },
    { "From: a@b\r\n\r\nno line end", "From: a@b\r\n\r\nno line end" },
};

static void copies_are_spans(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(plain_rows); i++) {
        struct buffer bytes = { 0 };
        copy(*state, text_of(plain_rows[i].message), false, &bytes);
        assert_memory_equal(bytes.data, TRACE, strlen(TRACE));
        assert_string_equal(bytes.data + strlen(TRACE), plain_rows[i].copied);
        buffer_free(&bytes);
    }
    struct text message = TEXT_LITERAL("A: b\r\nBcc: c\r\nD: e\r\n\r\nbody");
    struct text *pieces;
    size_t count;
    struct error error;
    assert_true(try_copy(*state, TEXT_LITERAL(""), message, false, &pieces,
                         &count, &error));
    assert_int_equal(count, 2);
    assert_ptr_equal(pieces[0].data, message.data);
    assert_ptr_equal(pieces[1].data,
                     message.data + strlen("A: b\r\nBcc: c\r\n"));
}

/* S7: one message with every kind of part that can be put right. */
static void long_parts_are_encoded(void **state)
{
    static const char pattern[] =
        "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/html\r\nX: y\r\n\r\n<p>%s</p> \r\n\r\n"
        "--b\r\nContent-Transfer-Encoding: 8bit\r\n"
        "content-transfer-encoding:\r\n 8bit\r\n"
        "Content-Type: application/json\r\n\r\n{%s}\r\n"
        "--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3D%s\r\n"
        "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n"
        "--b\r\n\r\nuntouched=\r\n--b--\r\nepilogue\r\n";
    char *x = repeat(*state, "xyz", 400);
    char *message = arena_printf(*state, pattern, x, x, x, x);
    struct compose_facts facts;
    struct compose_refusal refusal;
    assert_true(inspect(*state, text_of(message), false, &facts, &refusal));
    assert_true(facts.needs_conversion);
    struct buffer bytes = { 0 };
    copy(*state, text_of(message), false, &bytes);
    assert_int_equal(line_find_long(buffer_text(&bytes)), 0);
    assert_non_null(strstr(
        bytes.data, "--b\r\nContent-Type: text/html\r\nX: y\r\n"
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>"));
    assert_non_null(strstr(bytes.data, "</p>=20\r\n\r\n--b\r\n"
                                       "Content-Transfer-Encoding: base64\r\n"
                                       "Content-Type: application/json\r\n"));
    assert_non_null(strstr(bytes.data, "\r\n\r\n=3Dxyz"));
    assert_non_null(strstr(bytes.data, "\r\n--b\r\n\r\nuntouched=\r\n--b--\r\n"
                                       "epilogue\r\n"));
    buffer_free(&bytes);
}

static void a_long_message_is_encoded(void **state)
{
    char *x = repeat(*state, "x", 1500);
    char *message =
        arena_printf(*state, "Bcc: z@z\r\nFrom: a@b\r\n\r\n%s\r\n", x);
    struct buffer bytes = { 0 };
    copy(*state, text_of(message), false, &bytes);
    static const char head[] = TRACE "From: a@b\r\nMIME-Version: 1.0\r\n"
                                     "Content-Transfer-Encoding: "
                                     "quoted-printable\r\n\r\nxxx";
    assert_memory_equal(bytes.data, head, sizeof(head) - 1);
    assert_true(text_ends_with_ignoring_case(buffer_text(&bytes), "x\r\n"));
    buffer_free(&bytes);
    message = arena_printf(*state,
                           "From: a@b\r\nMIME-Version: 1.0\r\n"
                           "Content-Type: image/x\r\n\r\n%s\r\n",
                           x);
    copy(*state, text_of(message), false, &bytes);
    assert_null(strstr(strstr(bytes.data, "MIME-Version") + 1, "MIME-Version"));
    assert_non_null(strstr(bytes.data, "base64\r\n\r\neHh4"));
    assert_true(text_ends_with_ignoring_case(buffer_text(&bytes), "=\r\n"));
    buffer_free(&bytes);
}

static void eight_bits_become_seven(void **state)
{
    static const char message[] =
        "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n"
        "--b\r\nContent-Type: image/x\r\n\r\n\xff\r\n--b\r\n\r\nplain=\r\n"
        "--b--\r\n";
    struct buffer bytes = { 0 };
    copy(*state, text_of(message), true, &bytes);
    assert_false(text_has_8bit(buffer_text(&bytes)));
    assert_non_null(strstr(bytes.data, "quoted-printable\r\n\r\n=C3=A4\r\n"));
    assert_non_null(strstr(bytes.data, "base64\r\n\r\n/w==\r\n"));
    assert_non_null(strstr(bytes.data, "\r\n\r\nplain=\r\n"));
    buffer_free(&bytes);
    static const char *const impossible[] = {
        "From: a@b\r\nX: \xc3\xa4\r\n\r\n",
        "From: a@b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xe4",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(impossible); i++) {
        struct text *pieces;
        size_t count;
        struct error error;
        assert_false(try_copy(*state, TEXT_LITERAL(""), text_of(impossible[i]),
                              true, &pieces, &count, &error));
        assert_non_null(strstr(error.text, "8-bit"));
    }
}

/* --- the corpora --- */

static size_t tried_count;
static size_t accepted_count;
static size_t converted_count;

static void read_message(const char *path, struct buffer *out_message)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    buffer_append_string(out_message, "");
    int last = 0;
    for (int byte = getc(file); byte != EOF; byte = getc(file)) {
        if (byte == '\n' || last == '\r') {
            buffer_append_string(out_message, "\r\n");
        }
        if (byte != '\n' && byte != '\r') {
            buffer_append_byte(out_message, (char)byte);
        }
        last = byte == '\n' && last == '\r' ? 0 : byte;
        if (byte == '\n') {
            last = 0;
        }
    }
    if (last == '\r') {
        buffer_append_string(out_message, "\r\n");
    }
    fclose(file);
}

/* As a mailbox reader does. */
static struct text without_mailbox_line(struct text message)
{
    if (text_starts_with_ignoring_case(message, "From ")) {
        line_take(&message);
    }
    return message;
}

static void expect_plain(struct text message, struct buffer *out_bytes)
{
    buffer_append_string(out_bytes, TRACE);
    struct header_field field;
    while (header_next(&message, &field)) {
        if (!text_is_ignoring_case(field.name, "Bcc") &&
            !text_is_ignoring_case(field.name, "Resent-Bcc") &&
            !text_is_ignoring_case(field.name, "Return-Path") &&
            !control_is_field(field.name)) {
            buffer_append_text(out_bytes, field.whole);
        }
    }
    buffer_append_text(out_bytes, message);
}

static void decode_part(struct text message, const struct mime_part *part,
                        struct buffer *out)
{
    struct text body = mime_part_body(message, part);
    if (part->encoding == MIME_QUOTED_PRINTABLE) {
        quoted_printable_decode(body, out);
    } else if (part->encoding != MIME_BASE64 ||
               !base64_decode_lines(body, out)) {
        buffer_append_text(out, body);
    }
}

/* The same tree, and every leaf means the same. */
static void assert_same_parts(struct arena *arena, struct text message,
                              struct text copied)
{
    static const struct mime_limits no_limits = { SIZE_MAX, SIZE_MAX };
    struct mime before;
    struct mime after;
    struct error error;
    assert_true(mime_scan(message, &no_limits, arena, &before, &error));
    assert_true(mime_scan(copied, &no_limits, arena, &after, &error));
    assert_int_equal(before.part_count, after.part_count);
    for (size_t i = 0; i < before.part_count; i++) {
        const struct mime_part *part = &before.parts[i];
        assert_int_equal(part->depth, after.parts[i].depth);
        assert_string_equal(part->type, after.parts[i].type);
        if (part->is_multipart) {
            continue;
        }
        struct buffer was = { 0 };
        struct buffer is = { 0 };
        decode_part(message, part, &was);
        decode_part(copied, &after.parts[i], &is);
        assert_true(text_equal(buffer_text(&was), buffer_text(&is)));
        buffer_free(&was);
        buffer_free(&is);
    }
}

static void try_copies(struct arena *arena, struct text message,
                       bool needs_conversion)
{
    struct buffer copied = { 0 };
    struct buffer expected = { 0 };
    copy(arena, message, false, &copied);
    assert_int_equal(line_find_long(buffer_text(&copied)), 0);
    expect_plain(message, &expected);
    if (!needs_conversion) {
        assert_true(text_equal(buffer_text(&copied), buffer_text(&expected)));
    }
    assert_same_parts(arena, message, buffer_text(&copied));
    buffer_free(&expected);
    buffer_free(&copied);
    struct text *pieces;
    size_t count;
    struct error error;
    if (try_copy(arena, TEXT_LITERAL(TRACE), message, true, &pieces, &count,
                 &error)) {
        joined(pieces, count, &copied);
        assert_false(text_has_8bit(buffer_text(&copied)));
        assert_int_equal(line_find_long(buffer_text(&copied)), 0);
        assert_same_parts(arena, message, buffer_text(&copied));
        buffer_free(&copied);
    }
}

static void try_message(struct text message)
{
    struct arena *arena = arena_create();
    struct compose_facts facts;
    struct compose_refusal refusal;
    tried_count++;
    if (inspect(arena, message, true, &facts, &refusal)) {
        accepted_count++;
        converted_count += facts.needs_conversion;
        assert_true(facts.from_count > 0);
        try_copies(arena, message, facts.needs_conversion);
    } else {
        assert_in_range(refusal.code, 550, 554);
        assert_true(refusal.enhanced[0] == '5');
        assert_true(refusal.reason.text[0] != '\0');
        if (getenv("BATON_SHOW_REFUSALS")) {
            print_message("%d %s\n", refusal.code, refusal.reason.text);
        }
    }
    arena_free(&arena);
}

static struct text glue(struct buffer *buffer, const char *before,
                        struct text message, const char *behind)
{
    buffer_append_string(buffer, before);
    buffer_append_text(buffer, message);
    buffer_append_string(buffer, behind);
    return buffer_text(buffer);
}

/* The message as it is, with a From if it has none, and with an over-long line
 * at its end, so that much of the corpus needs conversion. */
static void try_variants(struct arena *arena, struct text message)
{
    const char *line =
        arena_printf(arena, "%s\r\n", repeat(arena, "x =\xe4-- ", 250));
    static const char author[] = "From: a@b.example\r\n";
    struct buffer glued = { 0 };
    try_message(message);
    try_message(glue(&glued, "", message, line));
    buffer_clear(&glued);
    try_message(glue(&glued, author, message, ""));
    buffer_clear(&glued);
    try_message(glue(&glued, author, message, line));
    buffer_free(&glued);
}

static int visit(const char *path, const struct stat *status, int kind,
                 struct FTW *place)
{
    (void)status;
    (void)place;
    if (kind == FTW_F && strstr(path, "/mime-")) {
        struct buffer bytes = { 0 };
        if (getenv("BATON_SHOW_REFUSALS")) {
            print_message("%s\n", path);
        }
        read_message(path, &bytes);
        struct arena *arena = arena_create();
        try_variants(arena, without_mailbox_line(buffer_text(&bytes)));
        arena_free(&arena);
        buffer_free(&bytes);
    }
    return 0;
}

/* __FILE__ is SOURCE/tests/unit/tracking/compose_test.c. */
static char *corpora_folder(struct arena *arena)
{
    const char *chosen = getenv("BATON_CORPORA");
    if (chosen) {
        return arena_copy_string(arena, chosen);
    }
    const char *end = strstr(__FILE__, "tests/unit/");
    int length = end ? (int)(end - __FILE__) : 0;
    return arena_printf(arena, "%.*s../shared/corpora", length, __FILE__);
}

static void corpora_hold(void **state)
{
    char *folder = corpora_folder(*state);
    struct stat status;
    if (stat(folder, &status) != 0) {
        print_message("%s is not there: set BATON_CORPORA; skipped\n", folder);
        skip();
    }
    assert_int_equal(nftw(folder, visit, 16, FTW_PHYS), 0);
    print_message("%zu messages tried, %zu accepted, %zu converted\n",
                  tried_count, accepted_count, converted_count);
    assert_true(accepted_count > 0);
}

#define ROW(name, function)                            \
    {                                                  \
        name, function, create_arena, free_arena, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("F3, F11: copies are spans", copies_are_spans),
        ROW("S7: long parts are encoded", long_parts_are_encoded),
        ROW("S7: a long message is encoded", a_long_message_is_encoded),
        ROW("E4: eight bits become seven", eight_bits_become_seven),
        ROW("F11: the corpora hold", corpora_hold),
    };
    return cmocka_run_group_tests_name("tracking/compose", tests, NULL, NULL);
}
