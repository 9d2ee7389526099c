/* SPDX-License-Identifier: MIT */
/*
 * A document as plain text. Words are written one by one; what stands between
 * two of them (spaces, line ends, a bullet) is only remembered until the next
 * one comes, so that nothing is ever taken back.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/html.h"
#include "tracking/html_internal.h"

#define COLUMNS_MAX 72
#define EMPTY_LINE 2 /* line ends that make one */
#define CELL_GAP 2

struct writer {
    struct buffer *out;
    size_t start; /* where our text begins in it */
    struct buffer word;
    size_t word_columns;
    struct buffer scratch;
    size_t column;
    size_t gap; /* spaces in front of the next word */
    size_t line_ends; /* the same, instead of spaces */
    bool has_bullet;
    size_t pre_depth;
    bool has_link;
    bool link_has_text;
    size_t link_text_from;
    struct buffer url; /* "" when it is not worth saying */
};

/* --- words --- */

static void end_lines(struct writer *writer, size_t count)
{
    if (writer->line_ends < count) {
        writer->line_ends = count;
    }
}

static void write_gap(struct writer *writer)
{
    bool is_first = writer->out->length == writer->start;
    bool is_too_long =
        writer->column + writer->gap + writer->word_columns > COLUMNS_MAX;
    if (writer->line_ends == 0 && writer->gap > 0 && writer->column > 0 &&
        is_too_long && writer->pre_depth == 0) {
        writer->line_ends = 1;
        writer->gap = 0;
    }
    for (size_t i = 0; i < writer->line_ends && !is_first; i++) {
        buffer_append_string(writer->out, "\r\n");
    }
    if (writer->line_ends > 0) {
        writer->column = 0;
    }
    if (writer->has_bullet) {
        buffer_append_string(writer->out, "- ");
        writer->column += 2;
    } else if (writer->column > 0 || writer->pre_depth > 0) {
        for (size_t i = 0; i < writer->gap; i++) {
            buffer_append_byte(writer->out, ' ');
        }
        writer->column += writer->gap;
    }
    writer->line_ends = 0;
    writer->gap = 0;
    writer->has_bullet = false;
}

static void end_word(struct writer *writer)
{
    if (writer->word.length == 0) {
        return;
    }
    write_gap(writer);
    if (writer->has_link && !writer->link_has_text) {
        writer->link_has_text = true;
        writer->link_text_from = writer->out->length;
    }
    buffer_append_text(writer->out, buffer_text(&writer->word));
    writer->column += writer->word_columns;
    buffer_clear(&writer->word);
    writer->word_columns = 0;
}

static void write_space(struct writer *writer, char byte)
{
    end_word(writer);
    if (writer->pre_depth > 0 && byte == '\n') {
        writer->gap = 0;
        end_lines(writer, writer->line_ends > 0 ? EMPTY_LINE : 1);
    } else if (writer->pre_depth > 0 && byte != '\r') {
        writer->gap++;
    } else if (writer->gap == 0) {
        writer->gap = 1;
    }
}

/* --- characters --- */

/* Length of the character in UTF-8, 0: it is none. */
static size_t character_length(struct text text)
{
    unsigned char lead = (unsigned char)text.data[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (text.length < length ||
        !text_is_utf8((struct text){ text.data, length })) {
        return 0;
    }
    return length;
}

/* Zero-width space, byte order mark, soft hyphen, grapheme joiner: what a
 * preview text is filled up with. */
static bool is_invisible(struct text character)
{
    return text_is(character, "\xE2\x80\x8B") ||
           text_is(character, "\xEF\xBB\xBF") ||
           text_is(character, "\xC2\xAD") || text_is(character, "\xCD\x8F");
}

static void write_character(struct writer *writer, struct text character)
{
    unsigned char lead = (unsigned char)character.data[0];
    if (text_is(character, "\xC2\xA0")) {
        write_space(writer, ' ');
    } else if (html_is_space(character.data[0])) {
        write_space(writer, character.data[0]);
    } else if (lead >= ' ' && lead != 0x7F && !is_invisible(character)) {
        buffer_append_text(&writer->word, character);
        writer->word_columns++;
    }
}

static void write_characters(struct writer *writer, struct text text)
{
    for (size_t at = 0; at < text.length;) {
        struct text rest = text_slice(text, at, text.length);
        size_t length = character_length(rest);
        if (length == 0) {
            write_character(writer, TEXT_LITERAL("\xEF\xBF\xBD"));
            at++;
            continue;
        }
        write_character(writer, text_slice(rest, 0, length));
        at += length;
    }
}

static void write_decoded(struct writer *writer, struct text text,
                          bool is_attribute)
{
    if (text.length == 0) {
        return;
    }
    buffer_clear(&writer->scratch);
    html_decode(text, is_attribute, &writer->scratch);
    write_characters(writer, buffer_text(&writer->scratch));
}

/* --- links and images --- */

static struct text attribute_value(struct text document,
                                   const struct html_token *tag,
                                   const char *name)
{
    struct html_attribute attribute;
    if (!html_attribute_find(document, tag, name, &attribute)) {
        return TEXT_LITERAL("");
    }
    return text_slice(document, attribute.value_from, attribute.value_to);
}

/* Of the schemes that say something to somebody who reads; without white
 * space, which would end it. */
static void keep_url(struct writer *writer, struct text href)
{
    static const char *const prefixes[] = { "https:", "http:", "mailto:",
                                            "tel:" };
    buffer_clear(&writer->scratch);
    html_decode(href, true, &writer->scratch);
    buffer_clear(&writer->url);
    struct text value = buffer_text(&writer->scratch);
    for (size_t i = 0; i < value.length; i++) {
        if ((unsigned char)value.data[i] > ' ') {
            buffer_append_byte(&writer->url, value.data[i]);
        }
    }
    struct text url = buffer_text(&writer->url);
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++) {
        is_known |= text_starts_with_ignoring_case(url, prefixes[i]);
    }
    if (!is_known) {
        buffer_clear(&writer->url);
    }
}

static bool link_says_url(const struct writer *writer)
{
    struct text said = text_slice(buffer_text(writer->out),
                                  writer->link_text_from, writer->out->length);
    struct text url = buffer_text(&writer->url);
    if (text_starts_with_ignoring_case(url, "mailto:") ||
        text_starts_with_ignoring_case(url, "tel:")) {
        size_t colon = text_find_byte(url, ':');
        url = text_slice(url, colon + 1, text_find_byte(url, '?'));
    }
    return text_equal(said, url) || text_equal(said, buffer_text(&writer->url));
}

/* What was to stand behind the link's text stands behind its address. */
static void close_link(struct writer *writer)
{
    end_word(writer);
    bool has_text = writer->link_has_text;
    if (!writer->has_link || writer->url.length == 0 ||
        (has_text && link_says_url(writer))) {
        writer->has_link = false;
        return;
    }
    writer->has_link = false;
    size_t gap = writer->gap;
    size_t line_ends = writer->line_ends;
    if (has_text) {
        writer->line_ends = 0;
        writer->gap = 1;
        write_characters(writer, TEXT_LITERAL("("));
    }
    write_characters(writer, buffer_text(&writer->url));
    if (has_text) {
        write_characters(writer, TEXT_LITERAL(")"));
    }
    end_word(writer);
    writer->gap = has_text ? gap : 0;
    writer->line_ends = has_text ? line_ends : 0;
}

static void open_link(struct writer *writer, struct text href)
{
    close_link(writer);
    writer->has_link = true;
    writer->link_has_text = false;
    keep_url(writer, href);
}

/* --- elements --- */

static void write_tag(struct writer *writer, const struct html_token *tag)
{
    bool is_start = tag->kind == HTML_START_TAG;
    uint32_t traits = tag->element->traits;
    if (traits & (TRAIT_LINE | TRAIT_CELL)) {
        end_word(writer);
    }
    if (traits & TRAIT_PARAGRAPH) {
        end_lines(writer, EMPTY_LINE);
    } else if (traits & TRAIT_LINE) {
        end_lines(writer, 1);
    } else if (traits & TRAIT_CELL && is_start) {
        writer->gap = CELL_GAP;
    }
}

static void write_start(struct writer *writer, struct text document,
                        const struct html_token *tag)
{
    switch (tag->element->id) {
    case NAME_A:
        open_link(writer, attribute_value(document, tag, "href"));
        break;
    case NAME_BR:
        end_word(writer);
        end_lines(writer, writer->line_ends > 0 ? EMPTY_LINE : 1);
        break;
    case NAME_HR:
        write_characters(writer, TEXT_LITERAL("----"));
        end_word(writer);
        end_lines(writer, 1);
        break;
    case NAME_IMG:
        write_decoded(writer, attribute_value(document, tag, "alt"), true);
        break;
    case NAME_LI:
        writer->has_bullet = true;
        break;
    case NAME_PRE:
        writer->pre_depth++;
        break;
    default:
        break;
    }
}

static void write_end(struct writer *writer, const struct html_token *tag)
{
    switch (tag->element->id) {
    case NAME_A:
        close_link(writer);
        break;
    case NAME_LI:
        writer->has_bullet = false;
        break;
    case NAME_PRE:
        writer->pre_depth -= writer->pre_depth > 0 ? 1 : 0;
        break;
    default:
        break;
    }
}

static void write_raw(struct writer *writer, const struct html_element *raw,
                      struct text text)
{
    if (raw->traits & TRAIT_HIDDEN) {
        return;
    }
    if (raw->traits & TRAIT_DECODED) {
        write_decoded(writer, text, false);
    } else {
        write_characters(writer, text);
    }
}

/* The text in front of a token, then what the token is. */
static void write_token(struct writer *writer, struct text document,
                        size_t gap_from, const struct html_token *token)
{
    if (token->raw && token->kind == HTML_UNFINISHED) {
        write_raw(writer, token->raw,
                  text_slice(document, token->raw_from, document.length));
        return;
    }
    struct text gap = text_slice(document, gap_from, token->from);
    if (token->raw) {
        write_raw(writer, token->raw, gap);
    } else {
        write_decoded(writer, gap, false);
    }
    if (token->kind == HTML_CDATA) {
        write_characters(writer,
                         text_slice(document, token->from + 9, token->to - 3));
    }
    if (!token->element) {
        return;
    }
    write_tag(writer, token);
    if (token->kind == HTML_START_TAG) {
        write_start(writer, document, token);
    } else {
        write_end(writer, token);
    }
}

void html_to_text(struct text document, struct buffer *out_text)
{
    struct html_tokenizer tokenizer = { .document = document };
    struct writer writer = { .out = out_text, .start = out_text->length };
    struct html_token token;
    size_t gap_from = 0;
    bool has_more;
    do {
        has_more = html_token_next(&tokenizer, &token);
        write_token(&writer, document, gap_from, &token);
        gap_from = token.to;
    } while (has_more);
    close_link(&writer);
    if (out_text->length > writer.start) {
        buffer_append_string(out_text, "\r\n");
    }
    buffer_free(&writer.word);
    buffer_free(&writer.scratch);
    buffer_free(&writer.url);
}
