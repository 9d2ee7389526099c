/* SPDX-License-Identifier: MIT */
/*
 * Random HTML with random links through random charsets and encodings. What is
 * checked knows nothing of the rewriter: in the copy, decoded again, every
 * click URL is put back to the value it replaced, the pixel is cut out, and the
 * document must be the one that went in; and every token must give back the
 * target that the generator meant.
 *
 * BATON_CASES says how many documents (default 2000), BATON_SEED where to
 * begin.
 */
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/line.h"
#include "tracking/mime.h"
#include "tracking/transfer.h"

#define HOST "https://click.example"
#define LINKS_MAX 40

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit)
{
    return (size_t)(next_random() % limit);
}

/* --- charsets --- */

static const struct encoding_row {
    const char *label;
    const char *iconv_name;
    const char *letters[4]; /* beyond ASCII, in UTF-8 */
} encoding_rows[] = {
    { "us-ascii", "UTF-8", { "x", "y", "z", "w" } },
    { "utf-8",
      "UTF-8",
      { "\xc3\xa4", "\xe6\x97\xa5", "\xf0\x9f\x98\x80", "\xce\xb1" } },
    { "", "UTF-8", { "\xc3\xa4", "\xe6\x97\xa5", "\xc3\x9f", "\xce\xb1" } },
    { "iso-8859-1",
      "CP1252",
      { "\xc3\xa4", "\xc3\xb6", "\xc3\xbc", "\xc3\x9f" } },
    { "windows-1252",
      "CP1252",
      { "\xc3\xa4", "\xe2\x82\xac", "\xc3\xbc", "\xc3\x9f" } },
    { "koi8-r", "KOI8-R", { "\xd0\x96", "\xd0\xb6", "\xd0\xaf", "\xd1\x8f" } },
    { "Shift_JIS",
      "CP932",
      { "\xe8\xa1\xa8", "\xe3\x82\xbd", "\xe6\x97\xa5", "\xef\xbd\xb1" } },
    { "gb18030",
      "GB18030",
      { "\xe4\xb8\xad", "\xe6\x96\x87", "\xe4\xba\xba", "\xe5\xa4\xa7" } },
    { "iso-2022-jp",
      "ISO-2022-JP-2",
      { "\xe8\xa1\xa8", "\xe3\x82\xbd", "\xe6\x97\xa5", "\xe6\x9c\xac" } },
    { "utf-16le",
      "UTF-16LE",
      { "\xc3\xa4", "\xe6\x97\xa5", "\xc3\x9f", "\xce\xb1" } },
    { "utf-16be",
      "UTF-16BE",
      { "\xc3\xa4", "\xe6\x97\xa5", "\xc3\x9f", "\xce\xb1" } },
};

static void convert(const char *to, const char *from, struct text text,
                    struct buffer *out)
{
    iconv_t handle = iconv_open(to, from);
    assert_true(handle != (iconv_t)-1);
    char *in = (char *)(uintptr_t)text.data;
    size_t left = text.length;
    size_t room = text.length * 8 + 64;
    buffer_reserve(out, room);
    char *at = out->data + out->length;
    assert_true(iconv(handle, &in, &left, &at, &room) != (size_t)-1);
    assert_true(iconv(handle, NULL, NULL, &at, &room) != (size_t)-1);
    out->length = (size_t)(at - out->data);
    out->data[out->length] = '\0';
    iconv_close(handle);
}

/* --- documents --- */

struct document {
    const struct encoding_row *encoding;
    struct buffer utf8;
    size_t link_count;
    struct buffer values[LINKS_MAX]; /* as they stand */
    struct buffer targets[LINKS_MAX]; /* what they mean */
};

/* What a value may be made of, and what it means. */
static const struct atom {
    const char *raw;
    const char *means;
    bool needs_quotes;
} atoms[] = {
    { "a", "a", false },
    { "path", "path", false },
    { "/", "/", false },
    { "?q=", "?q=", false },
    { "&amp;", "&", false },
    { "&#38;", "&", false },
    { "&#x26;", "&", false },
    { "&copy=1", "&copy=1", false },
    { "&x=2", "&x=2", false },
    { "&eacute;", "\xc3\xa9", false },
    { "%2F", "%2F", false },
    { "+", "+", false },
    { "#frag", "#frag", false },
    { ";", ";", false },
    { "[1]", "[1]", false },
    { "a b", "a b", true },
    { "&#9;", "", false },
    { "\t", "", true },
    { "\r\n", "", true },
    { "&lt;", "<", false },
    { "%%", "%%", false },
    { "&notit;", "&notit;", false },
    { "=3D", "=3D", false },
    { "&quot;", "\"", false },
    { "--", "--", false },
    { "***", "***", false },
    { "long-long-long-long-long-long-long-long-long-long-long-long",
      "long-long-long-long-long-long-long-long-long-long-long-long", false },
};

static void append_value(struct document *document, char quote)
{
    static const char *const schemes[] = { "http://", "https://", "HTTP://",
                                           "hTtps://" };
    size_t index = document->link_count++;
    struct buffer *raw = &document->values[index];
    struct buffer *means = &document->targets[index];
    const char *scheme = schemes[below(4)];
    if (quote && below(8) == 0) {
        buffer_append_string(raw, " ");
    }
    buffer_append_string(raw, scheme);
    buffer_append_string(raw, "e.test/");
    buffer_append_string(means, scheme);
    buffer_append_string(means, "e.test/");
    for (size_t count = below(12); count > 0; count--) {
        const struct atom *atom = &atoms[below(ARRAY_LENGTH(atoms))];
        if (below(5) == 0) {
            const char *letter = document->encoding->letters[below(4)];
            buffer_append_string(raw, letter);
            buffer_append_string(means, letter);
        } else if (quote || !atom->needs_quotes) {
            buffer_append_string(raw, atom->raw);
            buffer_append_string(means, atom->means);
        }
    }
    /* So that nothing is trimmed, and no reference runs on. */
    buffer_append_string(raw, ";z");
    buffer_append_string(means, ";z");
}

static void append_link(struct document *document)
{
    static const char *const before[] = {
        "<a href=",
        "<A HREF =",
        "<a\r\nclass=x href\t= ",
        "<area href=",
        "<a title='a>b' data-x=\"<a href=\" href=",
    };
    static const char *const behind[] = { ">", " >", " target=_blank>",
                                          "\r\nid=i>", " href='http://b'>" };
    static const char quotes[] = { '"', '\'', '\0' };
    struct buffer *out = &document->utf8;
    char quote = quotes[below(3)];
    buffer_append_string(out, before[below(ARRAY_LENGTH(before))]);
    append_value(document, quote);
    if (quote) {
        buffer_append_byte(out, quote);
    }
    buffer_append_text(
        out, buffer_text(&document->values[document->link_count - 1]));
    if (quote) {
        buffer_append_byte(out, quote);
    }
    buffer_append_string(out, behind[below(ARRAY_LENGTH(behind))]);
}

static void append_something(struct document *document)
{
    static const char *const things[] = {
        "text ",
        "\r\n",
        "a line  \r\n",
        "\ttab\t\r\n",
        "--\r\n",
        "-- x\r\n",
        ".\r\n",
        "=20",
        "=",
        "<p>",
        "<br/>",
        "&amp;",
        "</a>",
        "<!-- <a href=\"http://no.test/\"> -->",
        "<!--[if mso]><a href='http://no.test/'><![endif]-->",
        "<script>'<a href=\"http://no.test/\">'</script>",
        "<style>a{}</style>",
        "<textarea><a href=http://no.test></textarea>",
        "<a href=\"mailto:a@b.test\">",
        "<a href='#top'>",
        "<a href=/rel>",
        "<a name=x>",
        "<img src=\"http://no.test/i.png\" alt='>'>",
        "<a href=\"tel:1\" x>",
        "a very long line of text that goes on for quite a while, so that "
        "lines are as long as some mailers make them, and longer ",
        "</bodyx>",
        "</p >",
        "<a href>",
    };
    if (document->link_count < LINKS_MAX && below(4) == 0) {
        append_link(document);
    } else if (below(4) == 0) {
        buffer_append_string(&document->utf8,
                             document->encoding->letters[below(4)]);
    } else {
        buffer_append_string(&document->utf8,
                             things[below(ARRAY_LENGTH(things))]);
    }
}

static void make_document(struct document *document)
{
    document->encoding = &encoding_rows[below(ARRAY_LENGTH(encoding_rows))];
    bool has_body = below(2) == 0;
    if (has_body) {
        buffer_append_string(&document->utf8, "<html><body>\r\n");
    }
    for (size_t count = below(60); count > 0; count--) {
        append_something(document);
    }
    buffer_append_string(&document->utf8, ">"); /* ends what is unfinished */
    if (has_body) {
        buffer_append_string(&document->utf8, "</body></html>");
    }
    if (below(2) == 0) {
        buffer_append_string(&document->utf8, "\r\n");
    }
}

static void free_document(struct document *document)
{
    buffer_free(&document->utf8);
    for (size_t i = 0; i < LINKS_MAX; i++) {
        buffer_free(&document->values[i]);
        buffer_free(&document->targets[i]);
    }
}

/* --- encodings as odd mailers write them --- */

static void append_code(unsigned char byte, size_t *column, struct buffer *out)
{
    buffer_printf(out, below(8) == 0 ? "=%02x" : "=%02X", byte);
    *column += 3;
}

static void encode_oddly(struct text bytes, struct buffer *out)
{
    size_t width = 20 + below(57);
    size_t column = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        bool is_line_end =
            byte == '\r' && i + 1 < bytes.length && bytes.data[i + 1] == '\n';
        bool is_last = i + 1 == bytes.length || bytes.data[i + 1] == '\r';
        bool is_blank = byte == ' ' || byte == '\t';
        if (is_line_end) {
            buffer_append_string(out, below(6) == 0 ? " \r\n" : "\r\n");
            column = 0;
            i++;
            /* A blank in front of " \r\n" would be dropped, and is coded. */
            continue;
        }
        if (column + 4 > width || below(200) == 0) {
            buffer_append_string(out, below(10) == 0 ? "= \r\n" : "=\r\n");
            column = 0;
        }
        bool is_plain = byte > 32 && byte < 127 && byte != '=';
        if ((is_plain || (is_blank && !is_last)) && below(30) != 0) {
            buffer_append_byte(out, (char)byte);
            column++;
        } else {
            append_code(byte, &column, out);
        }
    }
}

static void encode_base64_oddly(struct text bytes, struct buffer *out)
{
    struct buffer whole = { 0 };
    base64_encode_columns(bytes, (bytes.length + 3) / 3 * 4, &whole);
    size_t width = below(3) == 0 ? 76 : 4 + below(73);
    for (size_t i = 0; i < whole.length; i += width) {
        struct text line = text_slice(buffer_text(&whole), i, i + width);
        buffer_append_text(out, line);
        buffer_append_string(out, below(20) == 0 ? " \r\n" : "\r\n");
    }
    buffer_free(&whole);
}

static bool has_long_line(struct text bytes)
{
    return line_find_long(bytes) > 0;
}

/* Returns the name of the encoding. */
static const char *encode(const struct document *document, struct text bytes,
                          struct buffer *out)
{
    bool is_wide = text_find_byte(bytes, '\0') < bytes.length;
    bool is_raw = !is_wide && !has_long_line(bytes);
    switch (below(is_raw ? 4 : 2)) {
    case 0:
        encode_oddly(bytes, out);
        return "quoted-printable";
    case 1:
        encode_base64_oddly(bytes, out);
        return "BASE64";
    default:
        buffer_append_text(out, bytes);
        (void)document;
        return text_has_8bit(bytes) ? "8bit" : "7bit";
    }
}

/* --- messages --- */

static void make_message(const struct document *document, struct text encoded,
                         const char *encoding, struct buffer *out)
{
    bool is_nested = below(2) == 0;
    const char *label = document->encoding->label;
    buffer_append_string(out, "From: a@b.test\r\nMIME-Version: 1.0\r\n");
    if (is_nested) {
        buffer_append_string(
            out, "Content-Type: multipart/related; boundary=\"=b=\"\r\n\r\n"
                 "--=b=\r\nContent-Type: multipart/alternative;"
                 " boundary=\"=b==\"\r\n\r\n--=b==\r\n\r\n"
                 "http://no.test/plain\r\n--=b==\r\n");
    }
    buffer_printf(out, "Content-Type: text/html%s%s\r\n",
                  label[0] ? "; charset=" : "", label);
    if (strcmp(encoding, "7bit") != 0 || below(2) == 0) {
        buffer_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
    }
    buffer_append_string(out, "\r\n");
    buffer_append_text(out, encoded);
    if (is_nested) {
        buffer_append_string(
            out, "\r\n--=b==--\r\n\r\n--=b=\r\nContent-Type: text/html\r\n"
                 "Content-Disposition: attachment; filename=a.html\r\n\r\n"
                 "<a href=\"http://no.test/attached\">\r\n--=b=--\r\n");
    }
}

static struct token_keys *make_keys(void)
{
    uint8_t secret[MAC_SECRET_BYTES] = { 7 };
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 1, secret);
    token_keys_use(keys, 1);
    return keys;
}

static const struct compose_recipient recipient = { 4711, "r@example.com" };

static void make_copy(struct arena *arena, struct text message,
                      const struct token_keys *keys, bool to_7bit,
                      struct buffer *out)
{
    struct policy policy;
    struct compose_plan *plan;
    struct text *pieces;
    size_t count;
    struct error error = { "" };
    policy_set_defaults(&policy, arena);
    policy.tracking_url = HOST;
    policy.track_opens = true;
    policy.track_clicks = CLICKS_HTML;
    policy.skips_sensitive = false;
    struct compose_source source = { .trace = TEXT_LITERAL(""),
                                     .message = message,
                                     .account_id = 9,
                                     .policy = &policy,
                                     .keys = keys,
                                     .to_7bit = to_7bit };
    if (!compose_plan_make(&source, arena, &plan, &error)) {
        fail_msg("%s", error.text);
    }
    compose_copy(plan, &recipient, arena, &pieces, &count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, pieces[i]);
    }
}

/* --- back again --- */

static const struct mime_part *find_html(const struct mime *mime)
{
    for (size_t i = 0; i < mime->part_count; i++) {
        if (strcmp(mime->parts[i].type, "text/html") == 0) {
            return &mime->parts[i];
        }
    }
    fail_msg("the copy has no HTML part");
    return NULL;
}

static void decode_html(struct arena *arena, struct text message,
                        const char *iconv_name, struct buffer *out)
{
    static const struct mime_limits limits = { 10, 10 };
    struct mime mime;
    struct error error;
    struct buffer bytes = { 0 };
    assert_true(mime_scan(message, &limits, arena, &mime, &error));
    const struct mime_part *part = find_html(&mime);
    struct text body = mime_part_body(message, part);
    if (part->encoding == MIME_QUOTED_PRINTABLE) {
        quoted_printable_decode(body, &bytes);
    } else if (part->encoding == MIME_BASE64) {
        assert_true(base64_decode_lines(body, &bytes));
    } else {
        buffer_append_text(&bytes, body);
    }
    if (strcmp(iconv_name, "UTF-8") == 0) {
        buffer_append_text(out, buffer_text(&bytes));
    } else {
        convert("UTF-8", iconv_name, buffer_text(&bytes), out);
    }
    buffer_free(&bytes);
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

static void check_click(const struct document *document, size_t index,
                        const struct token_keys *keys, struct text characters)
{
    struct token token;
    struct buffer target = { 0 };
    assert_true(token_read(keys, TOKEN_CLICK, characters, &token, &target));
    if (!text_equal(buffer_text(&target),
                    buffer_text(&document->targets[index]))) {
        fail_msg("link %zu is [%s] and should be [%s]", index, target.data,
                 document->targets[index].data);
    }
    assert_int_equal(token.link, index + 1);
    assert_int_equal(token.delivery_id, recipient.delivery_id);
    assert_int_equal(token.account_id, 9);
    buffer_free(&target);
}

#define CLICK HOST "/c/"
#define PIXEL "<img src=\"" HOST "/o/"

/* Undo the edits; what is left must be the document. */
static void restore(const struct document *document,
                    const struct token_keys *keys, struct text copied,
                    struct buffer *out)
{
    size_t link = 0;
    size_t pixel_count = 0;
    for (size_t at = 0; at < copied.length;) {
        struct text rest = text_slice(copied, at, copied.length);
        if (text_starts_with_ignoring_case(rest, CLICK)) {
            struct text token = text_slice(rest, strlen(CLICK), rest.length);
            token.length = measure_token(token);
            assert_true(link < document->link_count);
            check_click(document, link, keys, token);
            buffer_append_text(out, buffer_text(&document->values[link]));
            link++;
            at += strlen(CLICK) + token.length;
        } else if (text_starts_with_ignoring_case(rest, PIXEL)) {
            pixel_count++;
            at += text_find_byte(rest, '>') + 1;
        } else {
            buffer_append_byte(out, copied.data[at++]);
        }
    }
    assert_int_equal(link, document->link_count);
    assert_int_equal(pixel_count, 1);
}

static void check_lines(struct text message, const char *encoding)
{
    bool is_short = strcmp(encoding, "quoted-printable") == 0 ||
                    strcmp(encoding, "BASE64") == 0;
    for (size_t number = 1; message.length > 0; number++) {
        struct text line = line_content(line_take(&message));
        if (line.length > (is_short ? 78 : 998)) {
            fail_msg("line %zu has %zu octets: %.*s", number, line.length,
                     TEXT_ARGUMENTS(line));
        }
    }
}

static void try_document(const struct token_keys *keys)
{
    struct arena *arena = arena_create();
    struct document document = { 0 };
    struct buffer bytes = { 0 };
    struct buffer encoded = { 0 };
    struct buffer message = { 0 };
    struct buffer copied = { 0 };
    struct buffer decoded = { 0 };
    struct buffer restored = { 0 };
    make_document(&document);
    convert(document.encoding->iconv_name, "UTF-8", buffer_text(&document.utf8),
            &bytes);
    const char *encoding = encode(&document, buffer_text(&bytes), &encoded);
    make_message(&document, buffer_text(&encoded), encoding, &message);
    bool to_7bit = below(4) == 0;
    make_copy(arena, buffer_text(&message), keys, to_7bit, &copied);
    assert_true(!to_7bit || !text_has_8bit(buffer_text(&copied)));
    check_lines(buffer_text(&copied), encoding);
    decode_html(arena, buffer_text(&copied), document.encoding->iconv_name,
                &decoded);
    restore(&document, keys, buffer_text(&decoded), &restored);
    if (!text_equal(buffer_text(&restored), buffer_text(&document.utf8))) {
        fail_msg("%s %s: [%s]\nbecame [%s]", document.encoding->label, encoding,
                 document.utf8.data, restored.data);
    }
    buffer_free(&bytes);
    buffer_free(&encoded);
    buffer_free(&message);
    buffer_free(&copied);
    buffer_free(&decoded);
    buffer_free(&restored);
    free_document(&document);
    arena_free(&arena);
}

static uint64_t setting(const char *name, uint64_t initial)
{
    const char *value = getenv(name);
    uint64_t number;
    return value && text_to_uint64(text_of(value), &number) ? number : initial;
}

static void links_come_back(void **state)
{
    (void)state;
    struct token_keys *keys = make_keys();
    uint64_t seed = setting("BATON_SEED", 1);
    uint64_t cases = setting("BATON_CASES", 2000);
    for (uint64_t i = 0; i < cases; i++) {
        random_state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) + 1;
        if (getenv("BATON_SHOW_CASES")) {
            print_message("BATON_SEED=%llu\n", (unsigned long long)(seed + i));
        }
        try_document(keys);
    }
    token_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "H1, H2, F9, F10, T15: every link comes back, all else stays",
          links_come_back, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("tracking/rewrite", tests, NULL, NULL);
}
