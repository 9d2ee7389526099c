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
#include "tests/unit/corpora.h"
#include "tests/unit/tracking/inspect_fixture.h"
#include "tracking/body.h"
#include "tracking/compose.h"
#include "tracking/header.h"
#include "tracking/html.h"
#include "tracking/line.h"
#include "tracking/link.h"
#include "tracking/mime.h"
#include "tracking/return_path.h"
#include "tracking/transfer.h"

#define TRACE "Received: from a by b; now\r\n"

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

/* --- tracking on --- */

#define HOST "https://click.example"
#define CLICK HOST "/c/"
#define OPEN HOST "/o/"
#define LEAVE HOST "/u/"

static const struct token_keys *shared_keys(void)
{
    static struct token_keys *keys;
    static const uint8_t secret[MAC_SECRET_BYTES] = { 3 };
    if (!keys) {
        keys = token_keys_create();
        token_keys_add(keys, 1, secret);
        token_keys_use(keys, 1);
    }
    return keys;
}

static void set_tracking(struct policy *policy, struct arena *arena)
{
    policy_set_defaults(policy, arena);
    policy->tracking_url = HOST;
    policy->track_opens = true;
    policy->track_clicks = CLICKS_HTML;
    policy->group_id = 5;
    policy->group_name = "News";
}

static size_t measure_token(struct text text)
{
    size_t length = 0;
    while (length < text.length &&
           (ascii_is_alnum(text.data[length]) || text.data[length] == '-' ||
            text.data[length] == '_')) {
        length++;
    }
    return length;
}

static const struct kind_row {
    const char *prefix;
    enum token_kind kind;
    const char *letter;
} kind_rows[] = {
    { CLICK, TOKEN_CLICK, "C" },
    { OPEN, TOKEN_OPEN, "O" },
    { LEAVE, TOKEN_UNSUBSCRIBE, "U" },
};

/* "u+…" as "M(delivery)". */
static bool simplify_local(struct text text, struct buffer *out)
{
    struct return_path path;
    if (text.length < RETURN_PATH_LOCAL_CHARACTERS ||
        !return_path_read(shared_keys(),
                          text_slice(text, 0, RETURN_PATH_LOCAL_CHARACTERS),
                          &path)) {
        return false;
    }
    assert_int_equal(path.kind, RETURN_UNSUBSCRIBE);
    assert_int_equal(path.account_id, 9);
    buffer_printf(out, "M(%d)", (int)path.delivery_id);
    return true;
}

/* Write URLs with tokens as "C1(target)", "O", "U(address)". */
static void simplify(struct text text, struct buffer *out)
{
    buffer_append_string(out, "");
    for (size_t at = 0; at < text.length;) {
        struct text rest = text_slice(text, at, text.length);
        const struct kind_row *row = NULL;
        if (simplify_local(rest, out)) {
            at += RETURN_PATH_LOCAL_CHARACTERS;
            continue;
        }
        for (size_t i = 0; i < ARRAY_LENGTH(kind_rows); i++) {
            if (text_starts_with_ignoring_case(rest, kind_rows[i].prefix)) {
                row = &kind_rows[i];
            }
        }
        if (!row) {
            buffer_append_byte(out, text.data[at++]);
            continue;
        }
        rest = text_slice(rest, strlen(row->prefix), rest.length);
        rest.length = measure_token(rest);
        struct token token;
        struct buffer payload = { 0 };
        if (!token_read(shared_keys(), row->kind, rest, &token, &payload)) {
            buffer_append_byte(out, text.data[at++]);
            continue;
        }
        buffer_append_string(out, row->letter);
        if (row->kind == TOKEN_CLICK) {
            buffer_printf(out, "%u", token.link);
        }
        if (row->kind != TOKEN_OPEN) {
            buffer_printf(out, "(%s)", payload.data);
        }
        buffer_free(&payload);
        at += strlen(row->prefix) + rest.length;
    }
}

static bool try_policy(struct arena *arena, struct text message,
                       const struct policy *policy, bool to_7bit,
                       const struct compose_recipient *recipient,
                       struct buffer *out_bytes, struct error *error)
{
    struct compose_plan *plan;
    struct text *pieces;
    size_t count;
    struct compose_source source = { .trace = TEXT_LITERAL(""),
                                     .message = message,
                                     .account_id = 9,
                                     .policy = policy,
                                     .keys = shared_keys(),
                                     .to_7bit = to_7bit };
    if (!compose_plan_make(&source, arena, &plan, error)) {
        return false;
    }
    compose_copy(plan, recipient, arena, &pieces, &count);
    joined(pieces, count, out_bytes);
    return true;
}

static const struct compose_recipient somebody = { 77, "r@example.com" };

static void copy_tracked(struct arena *arena, const char *message,
                         const struct policy *policy, struct buffer *out_bytes)
{
    struct error error;
    struct buffer bytes = { 0 };
    if (!try_policy(arena, text_of(message), policy, false, &somebody, &bytes,
                    &error)) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(line_find_long(buffer_text(&bytes)), 0);
    simplify(buffer_text(&bytes), out_bytes);
    buffer_free(&bytes);
}

#define PIXEL                                                            \
    "<img src=\"O\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0;" \
    "width:1px;height:1px;display:block\">"
#define HTML_HEAD "From: a@b\r\nContent-Type: text/html\r\n\r\n"
#define MIXED_HEAD "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n"
#define MIXED MIXED_HEAD "\r\n"
#define MIXED_UNSUBSCRIBE                                 \
    MIXED_HEAD "List-Unsubscribe: <U(r@example.com)>\r\n" \
               "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n"
#define TEXT_HEAD "From: a@b\r\n\r\n"

static struct policy *changed_policy(struct arena *arena, const char *settings)
{
    struct policy *policy = arena_alloc(arena, sizeof(*policy));
    struct text rest = text_of(settings);
    struct text setting;
    struct error error;
    set_tracking(policy, arena);
    while (text_split(&rest, ' ', &setting)) {
        size_t equals = text_find_byte(setting, '=');
        const char *name =
            arena_copy_text(arena, text_slice(setting, 0, equals));
        const char *value = arena_copy_text(
            arena, text_slice(setting, equals + 1, setting.length));
        if (strcmp(name, "marketing") == 0) {
            policy->group_is_marketing = true;
        } else if (strcmp(name, "return_host") == 0) {
            policy->return_host = "bounce.example";
        } else if (!policy_apply(policy, arena, name, value, &error)) {
            fail_msg("%s", error.text);
        }
    }
    return policy;
}

static const struct tracked_row {
    const char *name;
    const char *settings;
    const char *message;
    const char *copied; /* simplified */
} tracked_rows[] = {
    { "H1: references are decoded", "track_opens=off",
      HTML_HEAD "<a href=\"http://x/?a=1&amp;b=&#50;&copy=3\">x</a>",
      HTML_HEAD "<a href=\"C1(http://x/?a=1&b=2&copy=3)\">x</a>" },
    { "H2: every way to quote", "track_opens=off",
      HTML_HEAD "<A HREF='http://x/1'><a href=http://x/2><area\r\nhref = "
                "\"http://x/3\" href=\"http://x/4\">",
      HTML_HEAD "<A HREF='C1(http://x/1)'><a href=C2(http://x/2)><area\r\n"
                "href = \"C3(http://x/3)\" href=\"http://x/4\">" },
    { "H2: comments and raw text stay", "track_opens=off",
      HTML_HEAD "<!--[if mso]><a href=\"http://x/\"><![endif]--><style>a"
                "{}</style><script>\"<a href='http://x'>\"</script>"
                "<textarea><a href=http://x></textarea>",
      HTML_HEAD "<!--[if mso]><a href=\"http://x/\"><![endif]--><style>a"
                "{}</style><script>\"<a href='http://x'>\"</script>"
                "<textarea><a href=http://x></textarea>" },
    { "H3: what is no target stays", "track_opens=off",
      HTML_HEAD "<a href=mailto:a@b><a href='tel:1'><a href=\"#x\"><a "
                "href=\"cid:1\"><a href=\"javascript:x\"><a href=\"{{url}}\">"
                "<a href=\"/x\"><a href=\"" CLICK "zzz\" x>",
      NULL },
    { "H3: sensitive links stay", "track_opens=off",
      HTML_HEAD "<a href=\"http://x/password/reset?t=1\">", NULL },
    { "sensitive_links = track", "track_opens=off sensitive_links=track",
      HTML_HEAD "<a href=\"http://x/reset\">",
      HTML_HEAD "<a href=\"C1(http://x/reset)\">" },
    { "H5: opt-outs are honoured and removed", "track_opens=off",
      HTML_HEAD "<a ses:no-track href=\"http://x/1\" x><a href=\"http://x/2\" "
                "data-pm-no-track><a href='http://x/3'>",
      HTML_HEAD "<a href=\"http://x/1\" x><a href=\"http://x/2\"><a "
                "href='C1(http://x/3)'>" },
    { "H5: untouched without tracking", "track_opens=off track_clicks=off",
      HTML_HEAD "<a no-track href=\"http://x/1\">", NULL },
    { "H6: the pixel goes before the last body end", "track_clicks=off",
      HTML_HEAD "<body>x</body><!-- </body> --></html>\r\n",
      HTML_HEAD "<body>x" PIXEL "</body><!-- </body> --></html>\r\n" },
    { "H6: or to the end", "", HTML_HEAD "<p>x\r\n",
      HTML_HEAD "<p>x\r\n" PIXEL },
    { "H6: or to the top", "pixel=top", HTML_HEAD "<html><body a=b>x</body>",
      HTML_HEAD "<html><body a=b>" PIXEL "x</body>" },
    { "of several documents the last has the pixel", "track_clicks=off",
      MIXED "--b\r\nContent-Type: text/html\r\n\r\none\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\ntwo\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\n--b--\r\n",
      MIXED "--b\r\nContent-Type: text/html\r\n\r\none\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\ntwo" PIXEL "\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\n--b--\r\n" },
    { "or the first, at the top", "track_clicks=off pixel=top",
      MIXED "--b\r\nContent-Type: text/html\r\n\r\none\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\ntwo\r\n--b--\r\n",
      MIXED "--b\r\nContent-Type: text/html\r\n\r\n" PIXEL "one\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\ntwo\r\n--b--\r\n" },
    { "F7: what is empty swallows no delimiter", "unsubscribe=link",
      MIXED "--b\r\nContent-Type: text/html\r\n\r\n--b\r\n\r\n--b--\r\n",
      MIXED_UNSUBSCRIBE
      "--b\r\nContent-Type: text/html\r\n\r\n--b\r\n\r\n--b--\r\n" },
    { "H8: analytics",
      "track_opens=off analytics=x.example utm_source=s "
      "utm_medium=e",
      HTML_HEAD "<a href=\"http://www.x.example/?utm_medium=m#f\"><a "
                "href=\"http://y/\">",
      HTML_HEAD "<a href=\"C1(http://www.x.example/?utm_medium=m&utm_source=s"
                "&utm_campaign=News#f)\"><a href=\"C2(http://y/)\">" },
    { "privacy = off", "privacy=off", HTML_HEAD "<a href=\"http://x\">", NULL },
    { "pass_through", "pass_through=on unsubscribe=link track_clicks=both",
      "From: a@b\r\nSubject: x {G}\r\nContent-Type: text/html\r\n\r\n"
      "<a href=\"http://x\"> %%UnsubscribeUrl%%",
      NULL },
    { "text is not tracked by default", "", TEXT_HEAD "http://x.example/",
      NULL },
    { "links in text", "track_clicks=text",
      TEXT_HEAD "See http://x.example/a_(b), <https://x.example/c?d=e&f> or "
                "(http://x.example/).\r\nxhttp://x.example http:// "
                "http://x.example/\xc3\xa4\r\n",
      TEXT_HEAD
      "See C1(http://x.example/a_(b)), <C2(https://x.example/c?d=e&f)>"
      " or (C3(http://x.example/)).\r\nxhttp://x.example http:// "
      "http://x.example/\xc3\xa4\r\n" },
    { "macros are always filled", "track_opens=off",
      HTML_HEAD
      "<a href=\"***uniqueid***\">\r\n%%unsubscribeurl%%</a> ** %% ***",
      HTML_HEAD
      "<a href=\"U(r@example.com)\">\r\nU(r@example.com)</a> ** %% ***" },
    { "macros in links, which are not tracked", "track_opens=off",
      HTML_HEAD "<a href=\"http://x/?u=%%UnsubscribeUrl%%\">",
      HTML_HEAD "<a href=\"http://x/?u=U(r@example.com)\">" },
    { "macros without privacy", "privacy=off", TEXT_HEAD "%%UnsubscribeUrl%%",
      TEXT_HEAD "U(r@example.com)" },
    { "U1: header fields", "unsubscribe=header",
      "From: a@b\r\nSubject: c\r\n\r\nd\r\n",
      "From: a@b\r\nSubject: c\r\nList-Unsubscribe: <U(r@example.com)>\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nd\r\n" },
    { "U1: of marketing", "marketing", "From: a@b",
      "From: a@b\r\nList-Unsubscribe: <U(r@example.com)>\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" },
    { "U8: a mailto URI joins it", "unsubscribe=header return_host",
      "From: a@b\r\nSubject: c\r\n\r\nd\r\n",
      "From: a@b\r\nSubject: c\r\nList-Unsubscribe: <U(r@example.com)>,\r\n"
      " <mailto:M(77)@bounce.example?subject=unsubscribe>\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nd\r\n" },
    { "U7: the caller's own stays", "unsubscribe=header",
      "From: a@b\r\nList-unsubscribe: <mailto:x@y>\r\n\r\nd\r\n", NULL },
    { "U7: or is replaced", "unsubscribe=header own_unsubscribe=replace",
      "From: a@b\r\nList-unsubscribe: <mailto:x@y>\r\nList-Unsubscribe-Post: "
      "x\r\nTo: c@d\r\n\r\nd\r\n",
      "From: a@b\r\nTo: c@d\r\nList-Unsubscribe: <U(r@example.com)>\r\n"
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nd\r\n" },
    { "R8: the group leaves the Subject", "",
      "From: a@b\r\nSubject: =?utf-8?Q?Savings_For_Today{Daily_Alert}?=\r\n"
      "Sender: s@b\r\nSubject-X: {y}\r\n\r\nd\r\n",
      "From: a@b\r\nSubject: =?utf-8?Q?Savings_For_Today?=\r\n"
      "Sender: s@b\r\nSubject-X: {y}\r\n\r\nd\r\n" },
    { "control fields leave", "",
      "From: a@b\r\nX-Baton-Tag: x\r\nX-PM-Tag:\r\n y\r\nX-Mine: z\r\n"
      "X-Baton-Group: g\r\n\r\nX-Baton-Tag: d\r\n",
      "From: a@b\r\nX-Mine: z\r\n\r\nX-Baton-Tag: d\r\n" },
    { "F8: what is sealed or attached stays", "track_clicks=both",
      "From: a@b\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"
      "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
      "Content-Type: text/html\r\n\r\n<a href=\"http://x\">\r\n--s--\r\n--m\r\n"
      "Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n"
      "<a href=\"http://x\">\r\n--m\r\nContent-Type: message/rfc822\r\n\r\n"
      "Content-Type: text/html\r\n\r\n<a href=\"http://x\">\r\n--m\r\n"
      "Content-Type: text/calendar\r\n\r\nhttp://x.example\r\n--m\r\n"
      "Content-Type: text/x-amp-html\r\n\r\n<a href=\"http://x\">\r\n--m\r\n"
      "Content-Type: text/html; charset=x-klingon\r\n\r\n<a href=\"http://x\">"
      "\r\n--m\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64"
      "\r\n\r\n!PGE+\r\n--m\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\n"
      "http://x.example\r\n--m--\r\n",
      NULL },
    { "F9: nested, links numbered over all parts", "track_clicks=both",
      "From: a@b\r\nContent-Type: multipart/related; boundary=\"a=\"\r\n\r\n"
      "--a=\r\nContent-Type: multipart/alternative; boundary=\"a==\"\r\n\r\n"
      "--a==\r\n\r\nhttp://x.example/1\r\n--a==\r\nContent-Type: text/html\r\n"
      "\r\n<a href=http://x.example/2>\r\n--a==--\r\n--a=\r\n"
      "Content-Type: image/png\r\n\r\n<a href=http://x>\r\n--a=--\r\nend",
      "From: a@b\r\nContent-Type: multipart/related; boundary=\"a=\"\r\n\r\n"
      "--a=\r\nContent-Type: multipart/alternative; boundary=\"a==\"\r\n\r\n"
      "--a==\r\n\r\nC1(http://x.example/1)\r\n--a==\r\nContent-Type: text/html"
      "\r\n\r\n<a href=C2(http://x.example/2)>" PIXEL "\r\n--a==--\r\n--a=\r\n"
      "Content-Type: image/png\r\n\r\n<a href=http://x>\r\n--a=--\r\nend" },
    { "H5: opted out in HTML, so in the text",
      "track_clicks=both track_opens=off",
      "From: a@b\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
      "--b\r\n\r\nhttp://x.example/?a&b http://y.example/\r\n--b\r\n"
      "Content-Type: text/html\r\n\r\n<a href=\"http://x.example/?a&amp;b\" "
      "no-track>\r\n--b--\r\n",
      "From: a@b\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
      "--b\r\n\r\nhttp://x.example/?a&b C1(http://y.example/)\r\n--b\r\n"
      "Content-Type: text/html\r\n\r\n<a href=\"http://x.example/?a&amp;b\">"
      "\r\n--b--\r\n" },
    { "F10: UTF-16 that is not encoded stays", "unsubscribe=link",
      "From: a@b\r\nList-Unsubscribe: <mailto:x@y>\r\n\r\n\xff\xfex\r\n",
      NULL },
    { "unsubscribe = link, in text", "unsubscribe=link",
      "From: a@b\r\nList-Unsubscribe: <mailto:x@y>\r\n\r\nhello\r\n",
      "From: a@b\r\nList-Unsubscribe: <mailto:x@y>\r\n\r\nhello\r\n\r\n\r\n"
      "--\r\nUnsubscribe: U(r@example.com)\r\n" },
    { "unsubscribe = link, in HTML", "unsubscribe=link track_clicks=off",
      "From: a@b\r\nList-Unsubscribe: <mailto:x@y>\r\n"
      "Content-Type: text/html\r\n\r\n<body>hello</body>\r\n",
      "From: a@b\r\nList-Unsubscribe: <mailto:x@y>\r\n"
      "Content-Type: text/html\r\n\r\n<body>hello<p style=\"margin:24px 0 0;"
      "font-size:12px;color:#666666\"><a style=\"color:#666666\" "
      "href=\"U(r@example.com)\">Unsubscribe</a></p>" PIXEL "</body>\r\n" },
};

static void tracking_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(tracked_rows); i++) {
        const struct tracked_row *row = &tracked_rows[i];
        struct buffer bytes = { 0 };
        const char *copied = row->copied ? row->copied : row->message;
        copy_tracked(*state, row->message,
                     changed_policy(*state, row->settings), &bytes);
        if (!text_is(buffer_text(&bytes), copied)) {
            fail_msg("%s:\n%s\nshould be\n%s", row->name, bytes.data, copied);
        }
        buffer_free(&bytes);
    }
}

/* What no edit touches stands as it stood, odd as it is. */
static void quoted_printable_is_spliced(void **state)
{
    static const char message[] =
        "From: a@b\r\nContent-Type: text/html\r\n"
        "Content-Transfer-Encoding: Quoted-Printable\r\n\r\n"
        "<p>=c3=a4 =\r\n<a href=3D\"http://x/=\r\n%2F=3Da\" x=3D\r\n> \r\n"
        "x=\r\n=41</a>=20\r\n<b>=3D\r\n";
    struct buffer bytes = { 0 };
    struct error error;
    struct policy *policy = changed_policy(*state, "track_opens=off");
    assert_true(try_policy(*state, text_of(message), policy, false, &somebody,
                           &bytes, &error));
    const char *from = strstr(bytes.data, "<p>");
    static const char head[] =
        "<p>=c3=a4 =\r\n<a href=3D\"https://click.example/c/";
    assert_memory_equal(from, head, sizeof(head) - 1);
    assert_non_null(strstr(from, "\" x=3D\r\n> \r\nx=\r\n=41</a>=20\r\n"
                                 "<b>=3D\r\n"));
    struct text rest = text_of(from);
    while (rest.length > 0) {
        assert_true(line_content(line_take(&rest)).length <= 76);
    }
    struct buffer decoded = { 0 };
    struct buffer simple = { 0 };
    quoted_printable_decode(text_of(from), &decoded);
    simplify(buffer_text(&decoded), &simple);
    assert_string_equal(simple.data,
                        "<p>\xc3\xa4 <a href=\"C1(http://x/%2F=a)\" x=\r\n>"
                        "\r\nxA</a> \r\n<b>=\r\n");
    buffer_free(&simple);
    buffer_free(&decoded);
    buffer_free(&bytes);
}

static void base64_keeps_its_lines(void **state)
{
    static const char message[] =
        "From: a@b\r\nContent-Type: text/html\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
        "PGEgaHJlZj0iaHR0cDov\r\nL3gvIj54PC9hPg==\r\n\r\n";
    struct buffer bytes = { 0 };
    struct buffer decoded = { 0 };
    struct buffer simple = { 0 };
    struct error error;
    struct policy *policy = changed_policy(*state, "track_opens=off");
    assert_true(try_policy(*state, text_of(message), policy, false, &somebody,
                           &bytes, &error));
    struct text rest = text_of(strstr(bytes.data, "\r\n\r\n") + 4);
    assert_true(text_ends_with_ignoring_case(rest, "\r\n\r\n"));
    assert_true(base64_decode_lines(rest, &decoded));
    simplify(buffer_text(&decoded), &simple);
    assert_string_equal(simple.data, "<a href=\"C1(http://x/)\">x</a>");
    assert_int_equal(text_find_byte(rest, '\r'), 20);
    buffer_free(&simple);
    buffer_free(&decoded);
    buffer_free(&bytes);
}

/* S7: an edit that makes a line too long; E4: one in 8-bit text. */
static void edited_parts_are_encoded(void **state)
{
    const char *long_message = arena_printf(
        *state, "%s<a href=\"http://x/%s\"><i title=\"%s\">\r\n", HTML_HEAD,
        repeat(*state, "a", 400), repeat(*state, "b", 500));
    const char *messages[] = {
        long_message,
        "From: a@b\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4 \r\n"
        "<a href=http://x/\xc3\xa4>\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(messages); i++) {
        struct policy *policy = changed_policy(*state, "");
        struct buffer bytes = { 0 };
        struct error error;
        assert_true(try_policy(*state, text_of(messages[i]), policy, true,
                               &somebody, &bytes, &error));
        assert_false(text_has_8bit(buffer_text(&bytes)));
        assert_non_null(strstr(
            bytes.data, "Content-Transfer-Encoding: quoted-printable\r\n"));
        struct text rest = buffer_text(&bytes);
        while (rest.length > 0) {
            assert_true(line_content(line_take(&rest)).length <= 76);
        }
        struct buffer decoded = { 0 };
        struct buffer simple = { 0 };
        quoted_printable_decode(text_of(strstr(bytes.data, "\r\n\r\n") + 4),
                                &decoded);
        simplify(buffer_text(&decoded), &simple);
        assert_non_null(strstr(simple.data, i == 0 ? "C1(http://x/aaa"
                                                   : "\xc3\xa4 \r\n<a href=C1("
                                                     "http://x/\xc3\xa4)>"));
        buffer_free(&simple);
        buffer_free(&decoded);
        buffer_free(&bytes);
    }
}

/* H7 */
static void copies_differ_by_recipient_alone(void **state)
{
    static const char message[] =
        HTML_HEAD "<a href=http://x/> %%UnsubscribeUrl%%\r\n";
    static const struct compose_recipient other = { 78, "second@example.com" };
    struct policy *policy = changed_policy(*state, "");
    struct buffer first = { 0 };
    struct buffer again = { 0 };
    struct buffer second = { 0 };
    struct error error;
    struct text text = text_of(message);
    assert_true(
        try_policy(*state, text, policy, false, &somebody, &first, &error));
    assert_true(
        try_policy(*state, text, policy, false, &somebody, &again, &error));
    assert_true(
        try_policy(*state, text, policy, false, &other, &second, &error));
    assert_string_equal(first.data, again.data);
    assert_string_not_equal(first.data, second.data);
    buffer_clear(&first);
    buffer_clear(&again);
    simplify(buffer_text(&second), &again);
    assert_non_null(strstr(again.data, "U(second@example.com)"));
    assert_null(strstr(second.data, "example.com"));
    buffer_free(&first);
    buffer_free(&again);
    buffer_free(&second);
}

static struct compose_plan *plan_of(struct arena *arena, const char *message,
                                    const struct policy *policy)
{
    struct compose_plan *plan;
    struct error error;
    struct compose_source source = { .trace = TEXT_LITERAL(TRACE),
                                     .message = text_of(message),
                                     .account_id = 9,
                                     .policy = policy,
                                     .keys = shared_keys() };
    if (!compose_plan_make(&source, arena, &plan, &error)) {
        fail_msg("%s", error.text);
    }
    return plan;
}

static void sharing_is_known(void **state)
{
    struct policy *policy = changed_policy(*state, "");
    assert_true(compose_plan_is_shared(
        plan_of(*state, TEXT_HEAD "hello http://x\r\n", policy)));
    assert_false(
        compose_plan_is_shared(plan_of(*state, HTML_HEAD "hello\r\n", policy)));
    assert_false(compose_plan_is_shared(
        plan_of(*state, TEXT_HEAD "%%UnsubscribeUrl%%\r\n", policy)));
}

/* The delivery is not named, the group is. */
static void anonymous_tokens_name_nobody(void **state)
{
    struct policy *policy = changed_policy(*state, "privacy=anonymous");
    struct buffer bytes = { 0 };
    struct buffer target = { 0 };
    struct error error;
    struct token token;
    assert_true(try_policy(*state, TEXT_LITERAL(HTML_HEAD "<a href=http://x>"),
                           policy, false, &somebody, &bytes, &error));
    struct text rest = text_of(strstr(bytes.data, CLICK) + strlen(CLICK));
    rest.length = measure_token(rest);
    assert_true(token_read(shared_keys(), TOKEN_CLICK, rest, &token, &target));
    assert_int_equal(token.delivery_id, 0);
    assert_int_equal(token.group_id, 5);
    assert_int_equal(token.privacy, PRIVACY_ANONYMOUS);
    buffer_free(&bytes);
    buffer_free(&target);
}

static void personal_analytics_name_the_recipient(void **state)
{
    struct policy *policy = changed_policy(
        *state, "track_opens=off analytics=* utm_content=%%EmailAddress%% "
                "utm_source= utm_medium= utm_campaign=c");
    struct buffer bytes = { 0 };
    struct buffer decoded = { 0 };
    struct buffer simple = { 0 };
    struct error error;
    assert_true(try_policy(*state, TEXT_LITERAL(HTML_HEAD "<a href=http://x>"),
                           policy, false, &somebody, &bytes, &error));
    quoted_printable_decode(text_of(strstr(bytes.data, "\r\n\r\n") + 4),
                            &decoded);
    simplify(buffer_text(&decoded), &simple);
    assert_string_equal(simple.data,
                        "<a href=C1(http://x?utm_campaign=c&utm_content="
                        "r%40example.com)>");
    buffer_free(&bytes);
    buffer_free(&decoded);
    buffer_free(&simple);
}

static void alternatives_are_made(void **state)
{
    static const struct {
        const char *settings;
        const char *message;
        const char *structure; /* types in order */
        const char *said; /* stands in the simplified copy */
    } rows[] = {
        { "alternative=text track_clicks=both",
          HTML_HEAD "<p>Hello <a href=\"http://x.example/\">you</a></p>\r\n",
          "multipart/alternative text/plain text/html ",
          "Hello you (C1(http://x.example/))" },
        { "alternative=text track_clicks=both",
          HTML_HEAD "<p>Hello <a href=\"http://x.example/\">you</a></p>\r\n",
          "multipart/alternative text/plain text/html ",
          "<a href=\"C2(http://x.example/)\">" },
        { "alternative=html",
          TEXT_HEAD "Hello\r\n  <you> http://x.example/\r\n",
          "multipart/alternative text/plain text/html ",
          "<p>Hello<br>\r\n&nbsp;&nbsp;&lt;you&gt; <a href=\""
          "C1(http://x.example/)\">http://x.example/</a></p>" },
        { "alternative=html", HTML_HEAD "x\r\n", "text/html ", "x" },
        { "alternative=both",
          "From: a@b\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
          "--r\r\nContent-Type: text/html\r\nContent-ID: <1>\r\n\r\nyou\r\n"
          "--r\r\nContent-Type: image/png\r\n\r\nx\r\n--r--\r\n",
          "multipart/related multipart/alternative text/plain text/html "
          "image/png ",
          "--r\r\nContent-ID: <1>\r\nContent-Type: multipart/alternative" },
        { "alternative=both",
          "From: a@b\r\nContent-Type: multipart/alternative; boundary=r\r\n\r\n"
          "--r\r\nContent-Type: text/html\r\n\r\nyou\r\n"
          "--r\r\n\r\nx\r\n--r--\r\n",
          "multipart/alternative text/html text/plain ", "you" },
    };
    static const struct mime_limits limits = { 10, 10 };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer bytes = { 0 };
        struct buffer decoded = { 0 };
        struct buffer simple = { 0 };
        struct buffer structure = { 0 };
        struct error error;
        struct mime mime;
        assert_true(try_policy(*state, text_of(rows[i].message),
                               changed_policy(*state, rows[i].settings), false,
                               &somebody, &bytes, &error));
        assert_true(
            mime_scan(buffer_text(&bytes), &limits, *state, &mime, &error));
        for (size_t j = 0; j < mime.part_count; j++) {
            buffer_printf(&structure, "%s ", mime.parts[j].type);
        }
        assert_string_equal(structure.data, rows[i].structure);
        quoted_printable_decode(buffer_text(&bytes), &decoded);
        simplify(buffer_text(&decoded), &simple);
        if (!strstr(simple.data, rows[i].said)) {
            fail_msg("row %zu: %s", i, simple.data);
        }
        buffer_free(&bytes);
        buffer_free(&decoded);
        buffer_free(&simple);
        buffer_free(&structure);
    }
}

static void lines_are_wrapped_if_asked(void **state)
{
    char *line = repeat(*state, "word ", 30);
    const char *message = arena_printf(*state, TEXT_HEAD "%s\r\n", line);
    struct policy *policy = changed_policy(*state, "wrap=76");
    struct buffer bytes = { 0 };
    struct buffer decoded = { 0 };
    struct error error;
    assert_true(try_policy(*state, text_of(message), policy, false, &somebody,
                           &bytes, &error));
    const char *body = strstr(bytes.data, "\r\n\r\n") + 4;
    assert_int_equal(text_find_byte(text_of(body), '\n'), 77);
    quoted_printable_decode(text_of(body), &decoded);
    assert_string_equal(decoded.data, strstr(message, "word"));
    buffer_free(&bytes);
    buffer_free(&decoded);
    buffer_clear(&bytes);
    policy = changed_policy(*state, "");
    assert_true(try_policy(*state, text_of(message), policy, false, &somebody,
                           &bytes, &error));
    assert_string_equal(bytes.data, message);
    buffer_free(&bytes);
}

/* T14: what is tracked of one message has a limit. */
static void links_have_a_limit(void **state)
{
    struct policy *policy = changed_policy(*state, "track_opens=off");
    const char *message =
        arena_printf(*state, "%s%s", HTML_HEAD,
                     repeat(*state, "<a href=http://x>\r\n", 10005));
    struct compose_edit *edits;
    size_t count;
    compose_describe(plan_of(*state, message, policy), &somebody, *state,
                     &edits, &count);
    assert_int_equal(count, 10001);
    assert_string_equal(edits[9999].what, "link");
    assert_string_equal(edits[10000].what, "left alone");
}

static void differences_are_described(void **state)
{
    static const char message[] =
        "From: a@b\r\nBcc: x@y\r\nSubject: s {g}\r\nContent-Type: text/html; "
        "charset=x-klingon\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<a>\r\n";
    static const char tracked[] =
        HTML_HEAD "<a href=\"http://x/?a&amp;b\"><a href=http://x/reset><a "
                  "no-track href=http://y>\r\n";
    static const struct {
        const char *message;
        const char *expected; /* what|before|after, a line each */
    } rows[] = {
        { message, "header removed|Bcc: x@y|\n"
                   "header changed|Subject: s {g}|Subject: s\n"
                   "left alone||its charset is not known\n" },
        { tracked, "link|http://x/?a&b|C1(http://x/?a&b)\n"
                   "opt-out removed| no-track|\n"
                   "pixel||" PIXEL "\n"
                   "left alone|http://x/reset|it is sensitive\n" },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct compose_edit *edits;
        size_t count;
        struct buffer lines = { 0 };
        struct buffer simple = { 0 };
        struct compose_plan *plan =
            plan_of(*state, rows[i].message, changed_policy(*state, ""));
        compose_describe(plan, &somebody, *state, &edits, &count);
        for (size_t j = 0; j < count; j++) {
            buffer_printf(&lines, "%s|%s|%s\n", edits[j].what, edits[j].before,
                          edits[j].after);
        }
        simplify(buffer_text(&lines), &simple);
        /* The header comes before or behind what is said of its own body. */
        struct text rest = text_of(rows[i].expected);
        struct text line;
        while (text_split(&rest, '\n', &line)) {
            const char *wanted = arena_copy_text(*state, line);
            if (!strstr(simple.data, wanted)) {
                fail_msg("[%s] is not in\n%s", wanted, simple.data);
            }
        }
        assert_int_equal(simple.length, strlen(rows[i].expected));
        buffer_free(&lines);
        buffer_free(&simple);
    }
}

/* D7 */
static void signatures_of_others_leave_where_we_sign(void **state)
{
    static const char message[] =
        "DKIM-Signature: v=1; d=a;\r\n\tb=\r\nFrom: a@b\r\n"
        "dkim-signature : v=1\r\nX-DKIM-Signature: x\r\n"
        "Content-Type: message/rfc822\r\n\r\nDKIM-Signature: inner\r\n\r\n";
    static const char without[] =
        "From: a@b\r\nX-DKIM-Signature: x\r\n"
        "Content-Type: message/rfc822\r\n\r\nDKIM-Signature: inner\r\n\r\n";
    static const struct {
        const char *signing_domain;
        const char *settings;
        const char *copied;
    } rows[] = {
        { "b", "", without },
        { "b", "track_opens=off track_clicks=off", without },
        { "b", "pass_through=on", message },
        { "", "", message },
        { "", "pass_through=on", message },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer bytes = { 0 };
        struct error error;
        struct policy *policy = changed_policy(*state, rows[i].settings);
        policy->signing_domain = rows[i].signing_domain;
        assert_true(try_policy(*state, text_of(message), policy, false,
                               &somebody, &bytes, &error));
        assert_string_equal(bytes.data, rows[i].copied);
        buffer_free(&bytes);
    }
}

/* --- the corpora --- */

static size_t tried_count;
static size_t accepted_count;
static size_t converted_count;
static size_t tracked_count;

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

/* Where the value ends that a click URL was put in place of, and `next` stands;
 * SIZE_MAX: it was none. */
static size_t measure_value(struct text was, struct text target, char next)
{
    struct buffer decoded = { 0 };
    struct buffer read = { 0 };
    size_t found = SIZE_MAX;
    for (size_t end = 0; end <= was.length && found == SIZE_MAX; end++) {
        char byte = end < was.length ? was.data[end] : '>';
        if (byte != next) {
            continue;
        }
        buffer_clear(&decoded);
        buffer_clear(&read);
        html_decode(text_slice(was, 0, end), true, &decoded);
        if (link_target(buffer_text(&decoded), &read) &&
            text_equal(buffer_text(&read), target)) {
            found = end;
        } else if (end > target.length * 8 + 64) {
            break;
        }
    }
    buffer_free(&decoded);
    buffer_free(&read);
    return found;
}

/* Walk along both: they may differ by click URLs and a pixel. */
static void assert_same_but_for_edits(struct text was, struct text is)
{
    static const char pixel[] = "<img src=\"" OPEN;
    size_t at = 0;
    while (is.length > 0) {
        if (text_starts_with_ignoring_case(is, pixel)) {
            is = text_slice(is, text_find_byte(is, '>') + 1, is.length);
            continue;
        }
        bool is_same = at < was.length && was.data[at] == is.data[0] &&
                       !text_starts_with_ignoring_case(is, CLICK);
        if (is_same) {
            at++;
            is = text_slice(is, 1, is.length);
            continue;
        }
        if (!text_starts_with_ignoring_case(is, CLICK)) {
            fail_msg("[%.*s] was [%.*s]", TEXT_ARGUMENTS(text_slice(is, 0, 99)),
                     TEXT_ARGUMENTS(text_slice(was, at, at + 99)));
        }
        struct text characters = text_slice(is, strlen(CLICK), is.length);
        characters.length = measure_token(characters);
        struct token token;
        struct buffer target = { 0 };
        assert_true(token_read(shared_keys(), TOKEN_CLICK, characters, &token,
                               &target));
        size_t length =
            measure_value(text_slice(was, at, was.length), buffer_text(&target),
                          characters.data[characters.length]);
        if (length == SIZE_MAX) {
            fail_msg("[%s] was not [%.*s]", target.data,
                     TEXT_ARGUMENTS(text_slice(was, at, at + 200)));
        }
        tracked_count++;
        at += length;
        is = text_slice(is, strlen(CLICK) + characters.length, is.length);
        buffer_free(&target);
    }
    assert_int_equal(at, was.length);
}

static bool is_ascii_superset(const struct mime_part *part)
{
    return charset_find(part->charset, TEXT_LITERAL("")).form ==
           CHARSET_ASCII_SUPERSET;
}

/* T15, F8: the same tree; HTML bodies differ by edits alone, everything else
 * by nothing at all. */
static void assert_only_edited(struct arena *arena, struct text message,
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
        enum body_kind kind;
        assert_string_equal(part->type, after.parts[i].type);
        assert_int_equal(part->depth, after.parts[i].depth);
        if (part->is_multipart || part->is_message) {
            continue;
        }
        bool may_change = body_is_one(part, &kind) && kind == BODY_HTML;
        struct text was = mime_part_body(message, part);
        struct text is = mime_part_body(copied, &after.parts[i]);
        if (!may_change && part->long_body_line == 0) {
            assert_true(text_equal(was, is));
        } else if (may_change && is_ascii_superset(part)) {
            struct buffer was_decoded = { 0 };
            struct buffer is_decoded = { 0 };
            decode_part(message, part, &was_decoded);
            decode_part(copied, &after.parts[i], &is_decoded);
            assert_same_but_for_edits(buffer_text(&was_decoded),
                                      buffer_text(&is_decoded));
            buffer_free(&was_decoded);
            buffer_free(&is_decoded);
        }
    }
}

static void try_tracked(struct arena *arena, struct text message)
{
    struct buffer copied = { 0 };
    struct error error;
    struct policy *policy =
        changed_policy(arena, "sensitive_links=track unsubscribe=header");
    if (!try_policy(arena, message, policy, false, &somebody, &copied,
                    &error)) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(line_find_long(buffer_text(&copied)), 0);
    assert_only_edited(arena, message, buffer_text(&copied));
    buffer_free(&copied);
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
        try_tracked(arena, message);
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

static bool is_message_file(const char *path)
{
    return strstr(path, "/mime-") ||
           (strstr(path, "/html-eml/") &&
            text_ends_with_ignoring_case(text_of(path), ".eml"));
}

static int visit(const char *path, const struct stat *status, int kind,
                 struct FTW *place)
{
    (void)status;
    (void)place;
    if (kind == FTW_F && is_message_file(path)) {
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

static void corpora_hold(void **state)
{
    char folder[CORPORA_PATH_SIZE];
    (void)state;
    corpora_find("", folder);
    assert_int_equal(nftw(folder, visit, 16, FTW_PHYS), 0);
    print_message("%zu messages tried, %zu accepted, %zu converted, "
                  "%zu links tracked\n",
                  tried_count, accepted_count, converted_count, tracked_count);
    assert_true(accepted_count > 0 && tracked_count > 0);
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
        ROW("H1-H8, F7-F10, R1, R8, U1, U7: copies that report back",
            tracking_rows),
        ROW("R1: quoted-printable is spliced", quoted_printable_is_spliced),
        ROW("F9: base64 keeps its lines", base64_keeps_its_lines),
        ROW("S7, E4: edited parts are encoded", edited_parts_are_encoded),
        ROW("H7: copies differ by recipient alone",
            copies_differ_by_recipient_alone),
        ROW("a copy for all is known", sharing_is_known),
        ROW("anonymous tokens name nobody", anonymous_tokens_name_nobody),
        ROW("H8: analytics may name the recipient",
            personal_analytics_name_the_recipient),
        ROW("alternatives are made", alternatives_are_made),
        ROW("lines are wrapped if asked", lines_are_wrapped_if_asked),
        ROW("T14: links have a limit", links_have_a_limit),
        ROW("differences are described", differences_are_described),
        ROW("signatures of others leave where we sign",
            signatures_of_others_leave_where_we_sign),
        ROW("F8, F9, F11, T15: the corpora hold", corpora_hold),
    };
    return cmocka_run_group_tests_name("tracking/compose", tests, NULL, NULL);
}
