/* SPDX-License-Identifier: MIT */
/*
 * Documents and what is found in them. In `places` "^" stands where the top is
 * and "$" where the bottom is. The last test takes the documents of the corpora
 * (BATON_CORPORA, or ../shared/corpora beside the source directory) and the
 * links that an HTML5 parser saw in them.
 */
#include <glob.h>
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
#include "tests/unit/tracking/arena_fixture.h"
#include "tracking/charset.h"
#include "tracking/html.h"
#include "tracking/link.h"

/* --- links --- */

/* Every link as "(href)", decoded. */
static void list_links(struct text document, struct arena *arena,
                       struct buffer *out)
{
    struct html_document found;
    html_scan(document, arena, &found);
    for (size_t i = 0; i < found.link_count; i++) {
        const struct html_span *value = &found.links[i].value;
        buffer_append_byte(out, '(');
        html_decode(text_slice(document, value->from, value->to), true, out);
        buffer_append_byte(out, ')');
    }
}

static const struct link_case {
    const char *document;
    const char *links;
} link_cases[] = {
    /* quotes, space, case, line ends */
    { "<a href=\"http://x/\">", "(http://x/)" },
    { "<A HREF='http://x/'>", "(http://x/)" },
    { "<a href=http://x/?a=1&b=2>", "(http://x/?a=1&b=2)" },
    { "<a href=http://x/>", "(http://x/)" },
    { "<a\thref\n=\r\n 'http://x/'\f>", "(http://x/)" },
    { "<a/href=x/>", "(x/)" },
    { "<a title='>'href=\"x\">", "(x)" },
    { "<a title=\"'\" href='\"x'>", "(\"x)" },
    { "<a href=\"a\nb\">", "(a\nb)" },
    { "<a =href=x href=y>", "(y)" },
    { "<a href>", "()" },
    { "<a href=>", "()" },
    { "<a href=''>", "()" },
    { "<a href=a href=b>", "(a)" },
    { "<a href HREF=b>", "()" },
    { "<area href=x><area nohref>", "(x)" },
    /* no links */
    { "<abbr href=x><b href=x><link href=x><base href=x>", "" },
    { "<a data-href=x xhref=y>", "" },
    { "< a href=x>", "" },
    { "</a href=x>", "" },
    { "<a\0href=x>", "" },
    { "<a href=x", "" },
    { "<a href='x>", "" },
    /* comments */
    { "<!-- <a href=x> --><a href=y>", "(y)" },
    { "<!--[if mso]><a href=x><![endif]--><a href=y>", "(y)" },
    { "<![if !mso]><a href=x><![endif]>", "(x)" },
    { "<!--><a href=x>", "(x)" },
    { "<!---><a href=x>", "(x)" },
    { "<!-- --!><a href=x>", "(x)" },
    { "<!-- -- ><a href=x> -->", "" },
    { "<!--!><a href=x>", "" },
    { "<!---!><a href=x>-->", "" },
    { "<!--<!--><a href=x>", "(x)" },
    { "<!-x><a href=x>", "(x)" },
    { "<?php '<a href=x>' ?>", "" },
    { "</ <a href=x>", "" },
    { "</><a href=x>", "(x)" },
    { "<!DOCTYPE html PUBLIC \"a>b\"><a href=x>", "(x)" },
    /* raw text */
    { "<script>'<a href=x>'</script><a href=y>", "(y)" },
    { "<style><a href=x></styles></STYLE ><a href=y>", "(y)" },
    { "<textarea><a href=x></textarea><a href=y>", "(y)" },
    { "<title><!--</title><a href=y>-->", "(y)" },
    { "<xmp><a href=x></xmp><iframe><a href=x></iframe>", "" },
    { "<noembed><a href=x></noembed><noframes><a href=x></noframes>", "" },
    { "<noscript><a href=x></noscript>", "(x)" },
    { "<plaintext></plaintext><a href=x>", "" },
    { "<title/><a href=x></title>", "" },
    { "<script><!--<script></script><a href=x>--></script><a href=y>", "(y)" },
    { "<script><!--</script><a href=y>", "(y)" },
    { "<script><!--><script></script><a href=y>", "(y)" },
    { "<script><!--<script>--></script><a href=y>", "(y)" },
    { "<script><!--<script-></script><a href=y>", "(y)" },
    /* SVG and MathML */
    { "<svg><title><a href=x></title><style><a href=y></svg>", "(x)(y)" },
    { "<svg><![CDATA[<a href=x>]]><a href=y></svg>", "(y)" },
    { "<svg/><![CDATA[><a href=x>]]>", "(x)" },
    { "<svg><p><style><a href=x></style>", "" },
    { "<svg><foreignObject><style><a href=x></style></svg>", "" },
    { "<math><mi><style><a href=x></style></mi><style><a href=y>", "(y)" },
    { "<math><annotation-xml encoding='Text/HTML'><style><a href=x>", "" },
    { "<math><font><style><a href=y></math>", "(y)" },
    { "<math><font size=1><style><a href=y></style>", "" },
};

static void links_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(link_cases); i++) {
        struct buffer found = { 0 };
        list_links(text_of(link_cases[i].document), *state, &found);
        print_message("%s\n", link_cases[i].document);
        assert_string_equal(found.data ? found.data : "", link_cases[i].links);
        buffer_free(&found);
    }
}

static void spans_are_inside_quotes(void **state)
{
    struct text document = TEXT_LITERAL("<a href= \"u\"><a href=v>");
    struct html_document found;
    html_scan(document, *state, &found);
    assert_int_equal(found.link_count, 2);
    assert_true(found.links[0].is_quoted);
    assert_false(found.links[1].is_quoted);
    assert_int_equal(found.links[0].value.from, 10);
    assert_int_equal(found.links[0].value.to, 11);
    assert_int_equal(document.data[found.links[1].value.from], 'v');
}

static void nul_is_a_byte(void **state)
{
    struct buffer found = { 0 };
    struct text document = TEXT_LITERAL("<a\0 href=x><\0a href=x><a href\0=x>"
                                        "\0<a href='y\0'>");
    list_links(document, *state, &found);
    assert_string_equal(found.data, "(y\xEF\xBF\xBD)");
    buffer_free(&found);
}

/* --- opt-outs --- */

static const struct opt_out_case {
    const char *document;
    const char *without; /* NULL: there is no opt-out */
} opt_out_cases[] = {
    { "<a href=x no-track>", "<a href=x>" },
    { "<a no-track href=x>", "<a href=x>" },
    { "<a no-track/href=x>", "<a/href=x>" },
    { "<a href=x no-track/>", "<a href=x />" },
    { "<a href=\"x\" no-track/>", "<a href=\"x\"/>" },
    { "<a title no-track/href=x>", "<a title/href=x>" },
    { "<a clicktracking=\"off\"href=x>", "<a href=x>" },
    { "<a href='x'no-track='1'title=y>", "<a href='x'title=y>" },
    { "<a href=x \r\n DATA-PM-NO-TRACK = \"\" >", "<a href=x >" },
    { "<a href=x no-track=>", "<a href=x>" },
    { "<a href=x ses:no-track data-no-track='1'mc:disable-tracking/>",
      "<a href=x />" },
    { "<a data-baton-no-track href=x disable-tracking=TRUE>", "<a href=x>" },
    { "<a href=x data-msys-clicktrack=\"0\">", "<a href=x>" },
    { "<a href=x clicktracking=Off clicktracking=on>", "<a href=x>" },
    { "<a href no-track=''=x title>", "<a href no-track=''=x title>" },
    { "<a href='x' no-track no-track='' =x>", "<a href='x' no-track='' =x>" },
    { "<a href=x no-track=1 =y ses:no-track/>", "<a href=x no-track=1 =y/>" },
    { "<a href=x clicktracking=on clicktracking=off>", NULL },
    { "<a href=x clicktracking>", NULL },
    { "<a href=x disable-tracking=false>", NULL },
    { "<a href=x data-msys-clicktrack=1>", NULL },
    { "<a href=x title=no-track no-tracks>", NULL },
    { "<a href=x no-track no-track no-track no-track no-track no-track "
      "no-track "
      "no-track no-track>",
      "<a href=x no-track>" },
};

static void cut_opt_outs(struct text document, const struct html_link *link,
                         struct buffer *out)
{
    size_t from = 0;
    for (size_t i = 0; i < link->opt_out_count; i++) {
        assert_true(link->opt_outs[i].from >= from);
        buffer_append_text(out,
                           text_slice(document, from, link->opt_outs[i].from));
        from = link->opt_outs[i].to;
    }
    buffer_append_text(out, text_slice(document, from, document.length));
}

static void opt_outs_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(opt_out_cases); i++) {
        const struct opt_out_case *row = &opt_out_cases[i];
        struct text document = text_of(row->document);
        struct html_document found;
        print_message("%s\n", row->document);
        html_scan(document, *state, &found);
        assert_int_equal(found.link_count, 1);
        assert_int_equal(found.links[0].has_opt_out, row->without != NULL);
        struct buffer without = { 0 };
        cut_opt_outs(document, &found.links[0], &without);
        assert_string_equal(without.data,
                            row->without ? row->without : row->document);
        buffer_free(&without);
    }
}

/* --- places --- */

static const char *const places[] = {
    "^$",
    "^text$",
    "<html><head></head><body class='>'>^<p>text</p>$</body></html>",
    "<BODY>^a</body>b$</BODY\n>",
    "<body>^<!-- </body> -->$</body>",
    "<body>^$</body><!-- </body> -->",
    "<body>^<textarea></body></textarea>$",
    "<!-- <body> --><body>^<body>$",
    "<!DOCTYPE html>\r\n<html><head><title>x</title></head>^\r\n<p>text$",
    "<!DOCTYPE html>^<p>text$",
    "<html>^text$",
    "<meta charset=x>\n<style>p{}</style>^<p>text$",
    "<title>a</title>^text<title>b</title>$",
    "</body><body>^$text",
    "\xEF\xBB\xBF<html>^<p>$",
    "\x80<html>^<p>$",
    "\x80\x80\x80\x80^text$",
    "\x80\x80\x80\x80\r\n<html>^text$",
    /* nothing may swallow what is put in */
    "^<p>$<!-- open",
    "^text$<!-- open",
    "^text$<a href=\"open>",
    "^text$<p",
    "^text$<",
    "^text$</",
    "^text$<!",
    "^text$<!DOCTYPE",
    "^text$<script></scrip",
    "^text$<script><!--<script></script>",
    "^text$<style>",
    "^text$<title></title",
    "^text$<title></title a",
    "^text$<textarea>open</body>",
    "^text$<plaintext>open</plaintext></body>",
    "<body>^text$</body><script>open",
    "<head>^$<title>open",
    "<html>^$<style>open",
    "^text$<svg><![CDATA[open>",
    "^text$<svg>open</body>",
};

static void places_are_found(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        struct buffer document = { 0 };
        size_t top = 0;
        size_t bottom = SIZE_MAX;
        for (const char *at = places[i]; *at; at++) {
            if (*at == '^') {
                top = document.length;
            } else if (*at == '$') {
                bottom = document.length;
            } else {
                buffer_append_byte(&document, *at);
            }
        }
        struct html_document found;
        print_message("%s\n", places[i]);
        html_scan(buffer_text(&document), *state, &found);
        assert_int_equal(found.top, top);
        assert_int_equal(found.bottom, bottom == SIZE_MAX ? top : bottom);
        buffer_free(&document);
    }
}

/* --- character references --- */

static const struct reference_case {
    const char *value;
    const char *in_attribute;
    const char *in_text; /* NULL: the same */
} reference_cases[] = {
    { "a&amp;b", "a&b", NULL },
    { "a&ampb", "a&ampb", "a&b" },
    { "&copy=3&lt=4&copy", "&copy=3&lt=4\u00A9", "\u00A9=3<=4\u00A9" },
    { "?a=1&timestamp=2", "?a=1&timestamp=2", "?a=1\u00D7tamp=2" },
    { "&notit;&notin;", "&notit;\u2209", "\u00ACit;\u2209" },
    { "&not;it", "\u00ACit", NULL },
    { "&CounterClockwiseContourIntegral;", "\u2233", NULL },
    { "&NotEqualTilde;", "\u2242\u0338", NULL },
    { "&AMP;&Amp;&unknown;&;&", "&&Amp;&unknown;&;&", NULL },
    { "&acE;&zwnj;&AElig", "\u223E\u0333\u200C\u00C6", NULL },
    { "&#38;&#x26;&#X26;&#38&#x26", "&&&&&", NULL },
    { "&#38x&#x26g", "&x&g", NULL },
    { "&#;&#x;&#xg&#", "&#;&#x;&#xg&#", NULL },
    { "&#0;&#xD800;&#x110000;&#99999999999999999999;",
      "\uFFFD\uFFFD\uFFFD\uFFFD", NULL },
    { "&#128;&#x99;&#x9F;&#x81;", "\u20AC\u2122\u0178\xC2\x81", NULL },
    { "&#x10FFFF;&#13;&#10;", "\xF4\x8F\xBF\xBF\r\n", NULL },
    { "a\r\nb\xFF", "a\r\nb\xFF", NULL },
};

static void references_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(reference_cases); i++) {
        const struct reference_case *row = &reference_cases[i];
        struct buffer decoded = { 0 };
        html_decode(text_of(row->value), true, &decoded);
        assert_string_equal(decoded.data, row->in_attribute);
        buffer_clear(&decoded);
        html_decode(text_of(row->value), false, &decoded);
        assert_string_equal(decoded.data,
                            row->in_text ? row->in_text : row->in_attribute);
        buffer_free(&decoded);
    }
}

static void encoding_is_undone(void **state)
{
    (void)state;
    struct text text = TEXT_LITERAL("<a href=\"?x&amp;y\">'&copy=1");
    struct buffer encoded = { 0 };
    struct buffer decoded = { 0 };
    html_encode(text, &encoded);
    assert_string_equal(encoded.data, "&lt;a href=&quot;?x&amp;amp;y&quot;&gt;"
                                      "'&amp;copy=1");
    html_decode(buffer_text(&encoded), true, &decoded);
    assert_true(text_equal(buffer_text(&decoded), text));
    buffer_free(&encoded);
    buffer_free(&decoded);
}

/* --- text --- */

#define TEN "0123456789"

static const struct text_case {
    const char *document;
    const char *text;
} text_cases[] = {
    { "", "" },
    { " \r\n<p> </p><br>", "" },
    { "<p>a\r\n  b</p><p>c&amp;<b>d</b> e", "a b\r\n\r\nc&d e\r\n" },
    { "<div>a<div>b</div></div>c", "a\r\nb\r\nc\r\n" },
    { "a<br>b<br><br><br>c", "a\r\nb\r\n\r\nc\r\n" },
    { "<ul><li>a<li><p>b</ul>c", "- a\r\n\r\n- b\r\n\r\nc\r\n" },
    { "<tr><td>a<td>b</tr><tr><th>c", "a  b\r\nc\r\n" },
    { "<title>t</title><style>s</style><script>x</script><!-- c -->a",
      "a\r\n" },
    { "see <a href='http://x/?a&amp;b'>this </a>now",
      "see this (http://x/?a&b) now\r\n" },
    { "<a href='http://x/'>http://x/</a>.", "http://x/.\r\n" },
    { "<a href='mailto:a@b?subject=c'>a@b</a>", "a@b\r\n" },
    { "<a href='#top'>up</a><a href='x.html'>x</a>", "upx\r\n" },
    { "<a href='http://x/'><img src=y></a>", "http://x/\r\n" },
    { "<a href='http://x/'><img alt='a&lt;b'></a>", "a<b (http://x/)\r\n" },
    { "<a href='http://x/'><div>a</div></a>b", "a (http://x/)\r\nb\r\n" },
    { "<a href='http://x/'>a<a href='http://y/'>b",
      "a (http://x/)b (http://y/)\r\n" },
    { "a<hr>b", "a\r\n----\r\nb\r\n" },
    { "<pre>a\n  b\n\n\n\nc</pre>", "a\r\n  b\r\n\r\nc\r\n" },
    { "<textarea>a&lt;b</textarea><xmp>a&lt;b</xmp>", "a<b\r\n\r\na&lt;b\r\n" },
    { "a&nbsp;&nbsp;b&shy;c&#8203;\xFF"
      "d",
      "a bc\uFFFDd\r\n" },
    { TEN TEN TEN TEN TEN TEN TEN " 1 2",
      TEN TEN TEN TEN TEN TEN TEN " 1\r\n2\r\n" },
    { TEN TEN TEN TEN TEN TEN TEN TEN " 1",
      TEN TEN TEN TEN TEN TEN TEN TEN "\r\n1\r\n" },
    { "<textarea>open", "open\r\n" },
    { "<script>open", "" },
};

static void text_is_readable(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(text_cases); i++) {
        struct buffer text = { 0 };
        html_to_text(text_of(text_cases[i].document), &text);
        assert_string_equal(text.data ? text.data : "", text_cases[i].text);
        buffer_free(&text);
    }
}

/* --- the corpora --- */

static void read_whole(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char chunk[4096];
    size_t length;
    while ((length = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buffer_append(out, chunk, length);
    }
    assert_int_equal(fclose(file), 0);
}

static void append_escaped(struct text text, struct buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        static const char *const escapes[256] = {
            ['\t'] = "\\t", ['\n'] = "\\n", ['\r'] = "\\r", ['\\'] = "\\\\"
        };
        const char *escape = escapes[(unsigned char)text.data[i]];
        if (escape) {
            buffer_append_string(out, escape);
        } else {
            buffer_append_byte(out, text.data[i]);
        }
    }
}

/* The http and https links of a file, a line each, as links.tsv writes them;
 * line ends within one are line feeds there. */
static void list_file(const char *path, struct arena *arena, struct buffer *out)
{
    const char *label = strstr(path, "utf-16")   ? "utf-16"
                        : strstr(path, "utf-32") ? "utf-32"
                                                 : "utf-8";
    struct buffer bytes = { 0 };
    struct buffer mask = { 0 };
    read_whole(path, &bytes);
    struct text part = buffer_text(&bytes);
    struct charset charset = charset_find(label, part);
    if (charset.form != CHARSET_ASCII_SUPERSET) {
        assert_true(charset_mask(&charset, part, &mask));
    }
    struct html_document found;
    html_scan(mask.data ? buffer_text(&mask) : part, arena, &found);
    size_t unit = charset_unit_bytes(&charset);
    for (size_t i = 0; i < found.link_count; i++) {
        struct buffer raw = { 0 };
        struct buffer href = { 0 };
        struct buffer target = { 0 };
        assert_true(charset_to_utf8(&charset, part,
                                    found.links[i].value.from * unit,
                                    found.links[i].value.to * unit, &raw));
        html_decode(buffer_text(&raw), true, &href);
        if (link_target(buffer_text(&href), &target)) {
            append_escaped(buffer_text(&href), out);
            buffer_append_byte(out, '\n');
        }
        buffer_free(&raw);
        buffer_free(&href);
        buffer_free(&target);
    }
    buffer_free(&mask);
    buffer_free(&bytes);
}

/* The same of links.tsv: file, number, element, class, href. */
static void list_expected(struct text rows, const char *file,
                          struct buffer *out)
{
    struct text row;
    while (text_split(&rows, '\n', &row)) {
        struct text fields[5] = { 0 };
        for (size_t i = 0; i < 4; i++) {
            text_split(&row, '\t', &fields[i]);
        }
        fields[4] = row;
        bool is_anchor = text_is(fields[2], "a") || text_is(fields[2], "area");
        if (text_is(fields[0], file) && is_anchor &&
            (text_is(fields[3], "http") || text_is(fields[3], "https"))) {
            buffer_append_text(out, fields[4]);
            buffer_append_byte(out, '\n');
        }
    }
}

static size_t compare_folder(const char *index, struct arena *arena)
{
    size_t folder_length = (size_t)(strrchr(index, '/') - index);
    struct buffer rows = { 0 };
    read_whole(index, &rows);
    glob_t files;
    char *pattern =
        arena_printf(arena, "%.*s/*html", (int)folder_length, index);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    size_t count = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct buffer expected = { 0 };
        struct buffer found = { 0 };
        const char *name = files.gl_pathv[i] + folder_length + 1;
        list_file(files.gl_pathv[i], arena, &found);
        if (strstr(name, ".utf-")) {
            /* One document in several charsets, not in links.tsv. */
            char *sibling =
                arena_printf(arena, "%.*s/%.*s.utf-8.html", (int)folder_length,
                             index, (int)(strstr(name, ".utf-") - name), name);
            list_file(sibling, arena, &expected);
        } else {
            list_expected(buffer_text(&rows), name, &expected);
        }
        if (!text_equal(buffer_text(&expected), buffer_text(&found))) {
            fail_msg("%s\nexpected:\n%s\nfound:\n%s", files.gl_pathv[i],
                     expected.data ? expected.data : "",
                     found.data ? found.data : "");
        }
        for (size_t at = 0; at < found.length; at++) {
            count += found.data[at] == '\n';
        }
        buffer_free(&expected);
        buffer_free(&found);
    }
    globfree(&files);
    buffer_free(&rows);
    return count;
}

static void corpora_hold(void **state)
{
    char folder[CORPORA_PATH_SIZE];
    (void)state;
    corpora_find("", folder);
    glob_t indexes;
    char *pattern = arena_printf(*state, "%s/html-*/links.tsv", folder);
    assert_int_equal(glob(pattern, 0, NULL, &indexes), 0);
    size_t count = 0;
    for (size_t i = 0; i < indexes.gl_pathc; i++) {
        count += compare_folder(indexes.gl_pathv[i], *state);
    }
    globfree(&indexes);
    print_message("%zu links\n", count);
    assert_true(count > 0);
}

#define ROW(name, function)                            \
    {                                                  \
        name, function, create_arena, free_arena, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW("H2, R1: links are found", links_are_found),
        ROW("H2: spans are inside the quotes", spans_are_inside_quotes),
        ROW("H2: a NUL is a byte as any", nul_is_a_byte),
        ROW("H5: opt-outs are found and can be cut out", opt_outs_are_found),
        ROW("H6, R1: the places are found", places_are_found),
        ROW("H1: references are decoded", references_are_decoded),
        ROW("H1: encoding is undone by decoding", encoding_is_undone),
        ROW("a document as text", text_is_readable),
        ROW("H1, H2: the corpora hold", corpora_hold),
    };
    return cmocka_run_group_tests_name("tracking/html", tests, NULL, NULL);
}
