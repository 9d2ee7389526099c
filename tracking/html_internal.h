/* SPDX-License-Identifier: MIT */
/*
 * The tokens of an HTML document. Text has no token of its own: it is what lies
 * between one token's end and the next one's start.
 */
#ifndef BATON_TRACKING_HTML_INTERNAL_H
#define BATON_TRACKING_HTML_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/* Elements that somebody asks for by name. */
enum html_name {
    NAME_OTHER,
    NAME_A,
    NAME_ANNOTATION, /* annotation-xml */
    NAME_BODY,
    NAME_BR,
    NAME_FONT,
    NAME_HEAD,
    NAME_HR,
    NAME_IMG,
    NAME_LI,
    NAME_P,
    NAME_PRE,
};

/* What an element does to the tokens behind it, and how it looks as text. */
enum html_trait {
    TRAIT_LINK = 1 << 0,
    TRAIT_RAW_TEXT = 1 << 1, /* no tags but its own end tag */
    TRAIT_SCRIPT = 1 << 2, /* raw text with the states of script data */
    TRAIT_PLAINTEXT = 1 << 3, /* raw text without an end */
    TRAIT_PROLOGUE = 1 << 4, /* may stand in front of a body */
    TRAIT_SVG = 1 << 5,
    TRAIT_MATH = 1 << 6,
    TRAIT_HTML_IN_SVG = 1 << 7, /* HTML integration points */
    TRAIT_HTML_IN_MATH = 1 << 8,
    TRAIT_LEAVES_FOREIGN = 1 << 9, /* ends SVG and MathML around it */
    TRAIT_LINE = 1 << 10, /* as text: on lines of its own */
    TRAIT_PARAGRAPH = 1 << 11, /* and with an empty line around it */
    TRAIT_CELL = 1 << 12,
    TRAIT_HIDDEN = 1 << 13, /* raw text that is not shown */
    TRAIT_DECODED = 1 << 14, /* raw text with character references */
    TRAIT_VOID = 1 << 15, /* has no content */
};

struct html_element {
    const char *name; /* lower case */
    enum html_name id;
    uint32_t traits;
};

enum html_token_kind {
    HTML_END,
    HTML_START_TAG,
    HTML_END_TAG,
    HTML_COMMENT, /* also DOCTYPE, bogus comments and the like */
    HTML_CDATA,
    HTML_UNFINISHED, /* reaches to the end of the document; the last token */
};

struct html_token {
    enum html_token_kind kind;
    size_t from;
    size_t to;
    /* Of a tag: NULL if no trait is known of it. */
    const struct html_element *element;
    size_t attributes; /* of a tag: behind its name */
    bool is_self_closing;
    /* Of an end tag: the text in front of it is this element's raw text. Of an
     * unfinished token: it begins with this element's start tag, and its raw
     * text at `raw_from`. */
    const struct html_element *raw;
    size_t raw_from;
};

#define FOREIGN_DEPTH_MAX 64

enum html_foreign { FOREIGN_SVG, FOREIGN_MATH, FOREIGN_HTML };

struct html_tokenizer {
    struct text document;
    size_t position;
    /* An element of raw text was opened by the tag at raw_tag_from. */
    const struct html_element *raw;
    size_t raw_tag_from;
    /* Open svg and math elements and the integration points in them; deeper
     * ones are not counted. */
    struct {
        enum html_foreign kind;
        const struct html_element *element;
        bool has_html; /* an integration point: a tag stood in it */
    } foreign[FOREIGN_DEPTH_MAX];
    size_t foreign_depth;
    size_t foreign_from; /* the outermost one's start tag */
};

/* False at the end: the token is HTML_END or HTML_UNFINISHED. */
bool html_token_next(struct html_tokenizer *tokenizer,
                     struct html_token *out_token);

struct html_attribute {
    size_t from;
    size_t name_to;
    size_t to; /* behind the closing quote; of one without value: name_to */
    size_t value_from; /* inside the quotes */
    size_t value_to;
    bool has_value;
    char quote; /* '"', '\'' or 0 */
};

/* Attributes of a tag that a token was made of, from token.attributes on. */
bool html_attribute_next(struct text document, size_t *position,
                         struct html_attribute *out_attribute);
bool html_attribute_is(struct text document,
                       const struct html_attribute *attribute,
                       const char *name);
/* The first attribute of that name: duplicates do not count. */
bool html_attribute_find(struct text document, const struct html_token *tag,
                         const char *name, struct html_attribute *out);

bool html_is_space(char byte);

#endif
