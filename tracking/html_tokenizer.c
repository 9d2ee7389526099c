/* SPDX-License-Identifier: MIT */
/*
 * The tokenizer: WHATWG HTML, 13.2.5. Each token is found in one go, from its
 * "<" on; only raw text is remembered from one token to the next. Of the tree
 * nothing is kept but whether SVG or MathML is open, where raw text elements
 * are ordinary ones and CDATA sections exist (13.2.6.5).
 */
#include "tracking/html_internal.h"

#include <string.h>

#include "core/memory.h"

enum byte_class {
    BYTE_SPACE = 1,
    BYTE_LETTER = 2,
    BYTE_ENDS_TAG_NAME = 4,
    BYTE_ENDS_ATTRIBUTE_NAME = 8,
    BYTE_ENDS_VALUE = 16,
    BYTE_BETWEEN_ATTRIBUTES = 32,
};

/* A carriage return is a line feed by the time the standard looks at it. */
#define SPACE_CLASS                                               \
    (BYTE_SPACE | BYTE_ENDS_TAG_NAME | BYTE_ENDS_ATTRIBUTE_NAME | \
     BYTE_ENDS_VALUE | BYTE_BETWEEN_ATTRIBUTES)

static const uint8_t byte_classes[256] = {
    ['\t'] = SPACE_CLASS,
    ['\n'] = SPACE_CLASS,
    ['\f'] = SPACE_CLASS,
    ['\r'] = SPACE_CLASS,
    [' '] = SPACE_CLASS,
    ['/'] =
        BYTE_ENDS_TAG_NAME | BYTE_ENDS_ATTRIBUTE_NAME | BYTE_BETWEEN_ATTRIBUTES,
    ['>'] = BYTE_ENDS_TAG_NAME | BYTE_ENDS_ATTRIBUTE_NAME | BYTE_ENDS_VALUE,
    ['='] = BYTE_ENDS_ATTRIBUTE_NAME,
    ['A' ... 'Z'] = BYTE_LETTER,
    ['a' ... 'z'] = BYTE_LETTER,
};

static inline bool byte_is(char byte, enum byte_class class)
{
    return (byte_classes[(unsigned char)byte] & class) != 0;
}

bool html_is_space(char byte)
{
    return byte_is(byte, BYTE_SPACE);
}

/* --- elements --- */

#define RAW TRAIT_RAW_TEXT
#define PROLOGUE TRAIT_PROLOGUE
#define LEAVES TRAIT_LEAVES_FOREIGN
#define LINE TRAIT_LINE
#define PARAGRAPH (TRAIT_LINE | TRAIT_PARAGRAPH)
#define VOID TRAIT_VOID
#define HIDDEN TRAIT_HIDDEN
#define ELEMENTS(letter, ...)                                \
    static const struct html_element elements_##letter[] = { \
        __VA_ARGS__, { NULL, NAME_OTHER, 0 }                 \
    }

/* By the first letter, frequent ones first. */
ELEMENTS(a, { "a", NAME_A, TRAIT_LINK }, { "area", 0, TRAIT_LINK | VOID },
         { "address", 0, LINE }, { "article", 0, LINE }, { "aside", 0, LINE },
         { "annotation-xml", NAME_ANNOTATION, 0 });
ELEMENTS(b, { "br", NAME_BR, LEAVES | VOID }, { "b", 0, LEAVES },
         { "body", NAME_BODY, LEAVES | LINE }, { "base", 0, PROLOGUE | VOID },
         { "basefont", 0, PROLOGUE | VOID }, { "bgsound", 0, PROLOGUE | VOID },
         { "big", 0, LEAVES }, { "blockquote", 0, LEAVES | PARAGRAPH });
ELEMENTS(c, { "center", 0, LEAVES | LINE }, { "code", 0, LEAVES },
         { "caption", 0, LINE }, { "col", 0, VOID });
ELEMENTS(d, { "div", 0, LEAVES | LINE }, { "dd", 0, LEAVES | LINE },
         { "dt", 0, LEAVES | LINE }, { "dl", 0, LEAVES | PARAGRAPH },
         { "desc", 0, TRAIT_HTML_IN_SVG }, { "details", 0, LINE });
ELEMENTS(e, { "em", 0, LEAVES }, { "embed", 0, LEAVES | VOID });
ELEMENTS(f, { "font", NAME_FONT, 0 }, { "fieldset", 0, LINE },
         { "figcaption", 0, LINE }, { "figure", 0, PARAGRAPH },
         { "footer", 0, LINE }, { "form", 0, LINE },
         { "foreignobject", 0, TRAIT_HTML_IN_SVG });
ELEMENTS(h, { "h1", 0, LEAVES | PARAGRAPH }, { "h2", 0, LEAVES | PARAGRAPH },
         { "h3", 0, LEAVES | PARAGRAPH }, { "h4", 0, LEAVES | PARAGRAPH },
         { "h5", 0, LEAVES | PARAGRAPH }, { "h6", 0, LEAVES | PARAGRAPH },
         { "hr", NAME_HR, LEAVES | LINE | VOID }, { "html", 0, PROLOGUE },
         { "head", NAME_HEAD, LEAVES | PROLOGUE }, { "header", 0, LINE });
ELEMENTS(i, { "img", NAME_IMG, LEAVES | VOID }, { "i", 0, LEAVES },
         { "input", 0, VOID }, { "iframe", 0, RAW | HIDDEN });
ELEMENTS(l, { "li", NAME_LI, LEAVES | LINE }, { "link", 0, PROLOGUE | VOID },
         { "legend", 0, LINE }, { "listing", 0, LEAVES | PARAGRAPH });
ELEMENTS(m, { "meta", 0, LEAVES | PROLOGUE | VOID }, { "main", 0, LINE },
         { "math", 0, TRAIT_MATH }, { "menu", 0, LEAVES | PARAGRAPH },
         { "mi", 0, TRAIT_HTML_IN_MATH }, { "mn", 0, TRAIT_HTML_IN_MATH },
         { "mo", 0, TRAIT_HTML_IN_MATH }, { "ms", 0, TRAIT_HTML_IN_MATH },
         { "mtext", 0, TRAIT_HTML_IN_MATH });
ELEMENTS(n, { "nav", 0, LINE }, { "nobr", 0, LEAVES },
         { "noembed", 0, RAW | HIDDEN },
         { "noframes", 0, RAW | HIDDEN | PROLOGUE },
         { "noscript", 0, PROLOGUE });
ELEMENTS(o, { "ol", 0, LEAVES | PARAGRAPH }, { "option", 0, LINE });
ELEMENTS(p, { "p", NAME_P, LEAVES | PARAGRAPH },
         { "pre", NAME_PRE, LEAVES | PARAGRAPH },
         { "plaintext", 0, RAW | TRAIT_PLAINTEXT | LINE });
ELEMENTS(r, { "ruby", 0, LEAVES });
ELEMENTS(s, { "span", 0, LEAVES }, { "strong", 0, LEAVES },
         { "style", 0, RAW | HIDDEN | PROLOGUE },
         { "script", 0, RAW | TRAIT_SCRIPT | HIDDEN | PROLOGUE },
         { "s", 0, LEAVES }, { "section", 0, LINE }, { "small", 0, LEAVES },
         { "strike", 0, LEAVES }, { "sub", 0, LEAVES }, { "sup", 0, LEAVES },
         { "summary", 0, LINE }, { "svg", 0, TRAIT_SVG });
ELEMENTS(t, { "td", 0, TRAIT_CELL }, { "tr", 0, LINE },
         { "table", 0, LEAVES | LINE }, { "tbody", 0, LINE },
         { "th", 0, TRAIT_CELL }, { "tt", 0, LEAVES }, { "thead", 0, LINE },
         { "tfoot", 0, LINE }, { "template", 0, PROLOGUE },
         { "textarea", 0, RAW | TRAIT_DECODED | LINE },
         { "title", 0,
           RAW | TRAIT_DECODED | HIDDEN | PROLOGUE | TRAIT_HTML_IN_SVG });
ELEMENTS(u, { "u", 0, LEAVES }, { "ul", 0, LEAVES | PARAGRAPH });
ELEMENTS(v, { "var", 0, LEAVES });
ELEMENTS(x, { "xmp", 0, RAW | PARAGRAPH });

static const struct html_element *const elements_by_letter[26] = {
    ['a' - 'a'] = elements_a, ['b' - 'a'] = elements_b,
    ['c' - 'a'] = elements_c, ['d' - 'a'] = elements_d,
    ['e' - 'a'] = elements_e, ['f' - 'a'] = elements_f,
    ['h' - 'a'] = elements_h, ['i' - 'a'] = elements_i,
    ['l' - 'a'] = elements_l, ['m' - 'a'] = elements_m,
    ['n' - 'a'] = elements_n, ['o' - 'a'] = elements_o,
    ['p' - 'a'] = elements_p, ['r' - 'a'] = elements_r,
    ['s' - 'a'] = elements_s, ['t' - 'a'] = elements_t,
    ['u' - 'a'] = elements_u, ['v' - 'a'] = elements_v,
    ['x' - 'a'] = elements_x,
};

static inline char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
}

/* Is the text this name (lower case), without regard to case? */
static inline bool is_name(const char *text, size_t length, const char *name)
{
    for (size_t i = 0; i < length; i++) {
        if (name[i] == '\0' || lower(text[i]) != name[i]) {
            return false;
        }
    }
    return name[length] == '\0';
}

/* The first byte is a letter. */
static const struct html_element *find_element(const char *name, size_t length)
{
    const struct html_element *element =
        elements_by_letter[lower(name[0]) - 'a'];
    for (; element && element->name; element++) {
        if (is_name(name, length, element->name)) {
            return element;
        }
    }
    return NULL;
}

/* --- tags --- */

enum tag_step { TAG_ATTRIBUTE, TAG_CLOSED, TAG_OPEN };

/* 13.2.5.35 to 39: the value behind "=". False: the document ends in it. */
static inline bool take_value(struct text document, size_t at,
                              struct html_attribute *out)
{
    const char *data = document.data;
    while (at < document.length && byte_is(data[at], BYTE_SPACE)) {
        at++;
    }
    if (at >= document.length) {
        return false;
    }
    out->has_value = true;
    if (data[at] == '"' || data[at] == '\'') {
        out->quote = data[at];
        out->value_from = at + 1;
        const char *end =
            memchr(data + at + 1, out->quote, document.length - at - 1);
        if (!end) {
            return false;
        }
        out->value_to = (size_t)(end - data);
        out->to = out->value_to + 1;
        return true;
    }
    out->value_from = at;
    while (at < document.length && !byte_is(data[at], BYTE_ENDS_VALUE)) {
        at++;
    }
    out->value_to = at;
    out->to = at;
    return at < document.length;
}

/* 13.2.5.32 to 40: the next attribute, or the end of the tag. */
static inline enum tag_step step_tag(struct text document, size_t *position,
                                     struct html_attribute *out,
                                     bool *out_is_self_closing)
{
    const char *data = document.data;
    size_t at = *position;
    char previous = '\0';
    while (at < document.length && byte_is(data[at], BYTE_BETWEEN_ATTRIBUTES)) {
        previous = data[at++];
    }
    if (at >= document.length) {
        return TAG_OPEN;
    }
    if (data[at] == '>') {
        *out_is_self_closing = previous == '/';
        *position = at + 1;
        return TAG_CLOSED;
    }
    out->from = at++; /* "=" may be the first byte of a name */
    while (at < document.length &&
           !byte_is(data[at], BYTE_ENDS_ATTRIBUTE_NAME)) {
        at++;
    }
    out->name_to = at;
    out->to = at;
    out->value_from = at;
    out->value_to = at;
    out->has_value = false;
    out->quote = '\0';
    while (at < document.length && byte_is(data[at], BYTE_SPACE)) {
        at++;
    }
    if (at < document.length && data[at] == '=' &&
        !take_value(document, at + 1, out)) {
        return TAG_OPEN;
    }
    *position = out->to;
    return TAG_ATTRIBUTE;
}

bool html_attribute_next(struct text document, size_t *position,
                         struct html_attribute *out_attribute)
{
    bool is_self_closing;
    return step_tag(document, position, out_attribute, &is_self_closing) ==
           TAG_ATTRIBUTE;
}

bool html_attribute_is(struct text document,
                       const struct html_attribute *attribute, const char *name)
{
    return is_name(document.data + attribute->from,
                   attribute->name_to - attribute->from, name);
}

bool html_attribute_find(struct text document, const struct html_token *tag,
                         const char *name, struct html_attribute *out)
{
    size_t position = tag->attributes;
    while (html_attribute_next(document, &position, out)) {
        if (html_attribute_is(document, out, name)) {
            return true;
        }
    }
    return false;
}

static bool end_unfinished(struct html_tokenizer *tokenizer,
                           struct html_token *out, size_t from)
{
    out->kind = HTML_UNFINISHED;
    out->from = from;
    out->to = tokenizer->document.length;
    tokenizer->position = out->to;
    return false;
}

/* A tag whose name begins at `name`. */
static bool take_tag(struct html_tokenizer *tokenizer, struct html_token *out,
                     enum html_token_kind kind, size_t from, size_t name)
{
    struct text document = tokenizer->document;
    size_t at = name + 1;
    while (at < document.length &&
           !byte_is(document.data[at], BYTE_ENDS_TAG_NAME)) {
        at++;
    }
    out->attributes = at;
    enum tag_step step;
    struct html_attribute ignored;
    do {
        step = step_tag(document, &at, &ignored, &out->is_self_closing);
    } while (step == TAG_ATTRIBUTE);
    if (step == TAG_OPEN) {
        return end_unfinished(tokenizer, out, from);
    }
    out->kind = kind;
    out->from = from;
    out->to = at;
    out->element = find_element(document.data + name, out->attributes - name);
    tokenizer->position = at;
    return true;
}

/* --- SVG and MathML --- */

static bool is_in_foreign(const struct html_tokenizer *tokenizer)
{
    return tokenizer->foreign_depth > 0 &&
           tokenizer->foreign[tokenizer->foreign_depth - 1].kind !=
               FOREIGN_HTML;
}

static void push_foreign(struct html_tokenizer *tokenizer,
                         enum html_foreign kind,
                         const struct html_element *element)
{
    if (tokenizer->foreign_depth < FOREIGN_DEPTH_MAX) {
        size_t top = tokenizer->foreign_depth++;
        tokenizer->foreign[top].kind = kind;
        tokenizer->foreign[top].element = element;
        tokenizer->foreign[top].has_html = false;
    }
}

static void leave_foreign(struct html_tokenizer *tokenizer)
{
    while (is_in_foreign(tokenizer)) {
        tokenizer->foreign_depth--;
    }
}

static bool has_attribute(struct text document, const struct html_token *tag,
                          const char *name)
{
    struct html_attribute attribute;
    return html_attribute_find(document, tag, name, &attribute);
}

/* 13.2.6.5: these end the SVG or MathML they stand in. */
static bool leaves_foreign(struct text document, const struct html_token *tag)
{
    if (tag->element->id == NAME_FONT) {
        return has_attribute(document, tag, "color") ||
               has_attribute(document, tag, "face") ||
               has_attribute(document, tag, "size");
    }
    return tag->element->traits & TRAIT_LEAVES_FOREIGN;
}

/* 13.2.6: HTML integration points and MathML text integration points. */
static bool is_integration_point(struct text document, enum html_foreign kind,
                                 const struct html_token *tag)
{
    if (kind == FOREIGN_SVG) {
        return tag->element->traits & TRAIT_HTML_IN_SVG;
    }
    struct html_attribute encoding;
    if (tag->element->id == NAME_ANNOTATION &&
        html_attribute_find(document, tag, "encoding", &encoding)) {
        struct text value =
            text_slice(document, encoding.value_from, encoding.value_to);
        return text_is_ignoring_case(value, "text/html") ||
               text_is_ignoring_case(value, "application/xhtml+xml");
    }
    return tag->element->traits & TRAIT_HTML_IN_MATH;
}

static void follow_foreign_start(struct html_tokenizer *tokenizer,
                                 const struct html_token *tag)
{
    struct text document = tokenizer->document;
    enum html_foreign kind =
        tokenizer->foreign[tokenizer->foreign_depth - 1].kind;
    uint32_t roots = TRAIT_SVG | TRAIT_MATH;
    if (!tag->element) {
        return;
    }
    if (leaves_foreign(document, tag)) {
        leave_foreign(tokenizer);
    } else if (tag->is_self_closing) {
        return;
    } else if (is_integration_point(document, kind, tag)) {
        push_foreign(tokenizer, FOREIGN_HTML, tag->element);
    } else if (tag->element->traits & roots) {
        push_foreign(tokenizer, kind, tag->element);
    }
}

static void follow_html_start(struct html_tokenizer *tokenizer,
                              const struct html_token *tag)
{
    uint32_t traits = tag->element ? tag->element->traits : 0;
    if (tokenizer->foreign_depth > 0 && !(traits & TRAIT_VOID)) {
        tokenizer->foreign[tokenizer->foreign_depth - 1].has_html = true;
    }
    if (traits & (TRAIT_SVG | TRAIT_MATH) && !tag->is_self_closing) {
        if (tokenizer->foreign_depth == 0) {
            tokenizer->foreign_from = tag->from;
        }
        push_foreign(tokenizer, traits & TRAIT_SVG ? FOREIGN_SVG : FOREIGN_MATH,
                     tag->element);
    } else if (traits & TRAIT_RAW_TEXT) {
        tokenizer->raw = tag->element;
        tokenizer->raw_tag_from = tag->from;
    }
}

static void follow_start(struct html_tokenizer *tokenizer,
                         const struct html_token *tag)
{
    if (is_in_foreign(tokenizer)) {
        follow_foreign_start(tokenizer, tag);
    } else {
        follow_html_start(tokenizer, tag);
    }
}

static void follow_end(struct html_tokenizer *tokenizer,
                       const struct html_token *tag)
{
    if (tokenizer->foreign_depth == 0 || !tag->element) {
        return;
    }
    for (size_t i = tokenizer->foreign_depth; i > 0; i--) {
        if (tokenizer->foreign[i - 1].element == tag->element) {
            tokenizer->foreign_depth = i - 1;
            return;
        }
    }
    /* These cannot have been opened inside: they close something around. Head
     * and body are never closed by what stands in them (13.2.6.4.7). */
    uint32_t closing = TRAIT_LEAVES_FOREIGN | TRAIT_LINE | TRAIT_CELL;
    if (tag->element->traits & closing &&
        !(tag->element->traits & TRAIT_PROLOGUE) &&
        tag->element->id != NAME_BODY) {
        leave_foreign(tokenizer);
    }
}

/* Is the current node one of SVG or MathML, so that CDATA sections exist? */
static bool has_cdata(const struct html_tokenizer *tokenizer)
{
    return is_in_foreign(tokenizer) ||
           (tokenizer->foreign_depth > 0 &&
            !tokenizer->foreign[tokenizer->foreign_depth - 1].has_html);
}

/* --- comments and declarations --- */

static bool starts_with(struct text document, size_t at, const char *prefix)
{
    size_t length = strlen(prefix);
    return document.length - at >= length &&
           memcmp(document.data + at, prefix, length) == 0;
}

/* Behind the comment whose "<!--" ends at `content`; 0: it has no end.
 * 13.2.5.43 to 51. */
static size_t find_comment_end(struct text document, size_t content)
{
    const char *begin = document.data + content;
    const char *end = document.data + document.length;
    const char *at = begin;
    while (at < end && (at = memchr(at, '>', (size_t)(end - at)))) {
        size_t length = (size_t)(at - begin);
        bool is_end =
            length == 0 || (length == 1 && begin[0] == '-') ||
            (length >= 2 && at[-1] == '-' && at[-2] == '-') ||
            (length >= 3 && at[-1] == '!' && at[-2] == '-' && at[-3] == '-');
        if (is_end) {
            return (size_t)(at - document.data) + 1;
        }
        at++;
    }
    return 0;
}

static size_t find_behind(struct text document, size_t from, const char *end)
{
    size_t length = strlen(end);
    const char *found =
        memmem(document.data + from, document.length - from, end, length);
    return found ? (size_t)(found - document.data) + length : 0;
}

static bool end_token(struct html_tokenizer *tokenizer, struct html_token *out,
                      enum html_token_kind kind, size_t from, size_t to)
{
    if (to == 0) {
        return end_unfinished(tokenizer, out, from);
    }
    out->kind = kind;
    out->from = from;
    out->to = to;
    tokenizer->position = to;
    return true;
}

/* A bogus comment ends with the first ">", and so does a DOCTYPE: even within
 * its quotes (13.2.5.53 to 68). */
static bool take_bogus_comment(struct html_tokenizer *tokenizer,
                               struct html_token *out, size_t from)
{
    return end_token(tokenizer, out, HTML_COMMENT, from,
                     find_behind(tokenizer->document, from, ">"));
}

/* 13.2.5.42, at "<!". */
static bool take_declaration(struct html_tokenizer *tokenizer,
                             struct html_token *out, size_t from)
{
    struct text document = tokenizer->document;
    if (starts_with(document, from, "<!--")) {
        return end_token(tokenizer, out, HTML_COMMENT, from,
                         find_comment_end(document, from + 4));
    }
    if (starts_with(document, from, "<![CDATA[") && has_cdata(tokenizer)) {
        return end_token(tokenizer, out, HTML_CDATA, from,
                         find_behind(document, from + 9, "]]>"));
    }
    return take_bogus_comment(tokenizer, out, from);
}

/* --- raw text --- */

/* Is there "</name" at `at`, and something that ends a tag's name behind it? */
static bool is_end_tag_of(struct text document, size_t at, const char *name)
{
    size_t length = strlen(name);
    return document.length - at > length + 2 && document.data[at + 1] == '/' &&
           is_name(document.data + at + 2, length, name) &&
           byte_is(document.data[at + 2 + length], BYTE_ENDS_TAG_NAME);
}

/* Offset of the end tag, or the document's length. */
static size_t find_end_tag(struct text document, size_t from, const char *name)
{
    for (size_t at = from; at < document.length; at++) {
        const char *found =
            memchr(document.data + at, '<', document.length - at);
        if (!found) {
            break;
        }
        at = (size_t)(found - document.data);
        if (is_end_tag_of(document, at, name)) {
            return at;
        }
    }
    return document.length;
}

static bool is_script_name(struct text document, size_t at)
{
    return document.length - at > 6 &&
           is_name(document.data + at, 6, "script") &&
           byte_is(document.data[at + 6], BYTE_ENDS_TAG_NAME);
}

/*
 * Script data (13.2.5.15 to 31): "<!--" escapes, then "<script" escapes once
 * more and hides the end tag, "</script" goes back one step and "-->" all of
 * them. The dashes of "<!--" can be those of "-->" already.
 */
static size_t find_script_end(struct text document, size_t from)
{
    const char *data = document.data;
    enum { PLAIN, ESCAPED, TWICE } state = PLAIN;
    for (size_t at = from; at < document.length; at++) {
        if (state == PLAIN) {
            const char *found = memchr(data + at, '<', document.length - at);
            if (!found) {
                break;
            }
            at = (size_t)(found - data);
        }
        if (data[at] == '>' && state != PLAIN && data[at - 1] == '-' &&
            data[at - 2] == '-') {
            state = PLAIN;
        } else if (data[at] != '<') {
            continue;
        } else if (state == TWICE) {
            state = is_end_tag_of(document, at, "script") ? ESCAPED : TWICE;
        } else if (is_end_tag_of(document, at, "script")) {
            return at;
        } else if (state == PLAIN && starts_with(document, at, "<!--")) {
            state = ESCAPED;
            at += 3;
        } else if (state == ESCAPED && is_script_name(document, at + 1)) {
            state = TWICE;
        }
    }
    return document.length;
}

static bool take_raw_text(struct html_tokenizer *tokenizer,
                          struct html_token *out)
{
    struct text document = tokenizer->document;
    const struct html_element *raw = tokenizer->raw;
    size_t from = tokenizer->position;
    size_t end = document.length;
    if (raw->traits & TRAIT_SCRIPT) {
        end = find_script_end(document, from);
    } else if (!(raw->traits & TRAIT_PLAINTEXT)) {
        end = find_end_tag(document, from, raw->name);
    }
    out->raw = raw;
    out->raw_from = from;
    tokenizer->raw = NULL;
    if (end < document.length &&
        take_tag(tokenizer, out, HTML_END_TAG, end, end + 2)) {
        return true;
    }
    return end_unfinished(tokenizer, out, tokenizer->raw_tag_from);
}

/* --- tokens --- */

/* At "</". */
static bool take_end_tag(struct html_tokenizer *tokenizer,
                         struct html_token *out, size_t from)
{
    struct text document = tokenizer->document;
    if (from + 2 >= document.length) {
        return end_unfinished(tokenizer, out, from);
    }
    if (!byte_is(document.data[from + 2], BYTE_LETTER)) {
        return take_bogus_comment(tokenizer, out, from);
    }
    if (!take_tag(tokenizer, out, HTML_END_TAG, from, from + 2)) {
        return false;
    }
    follow_end(tokenizer, out);
    return true;
}

static bool take_start_tag(struct html_tokenizer *tokenizer,
                           struct html_token *out, size_t from)
{
    if (!take_tag(tokenizer, out, HTML_START_TAG, from, from + 1)) {
        return false;
    }
    if (out->element || tokenizer->foreign_depth > 0) {
        follow_start(tokenizer, out);
    }
    return true;
}

bool html_token_next(struct html_tokenizer *tokenizer, struct html_token *out)
{
    struct text document = tokenizer->document;
    *out = (struct html_token){ .kind = HTML_END };
    if (tokenizer->raw) {
        return take_raw_text(tokenizer, out);
    }
    for (size_t at = tokenizer->position; at < document.length; at++) {
        const char *found =
            memchr(document.data + at, '<', document.length - at);
        if (!found) {
            break;
        }
        at = (size_t)(found - document.data);
        if (at + 1 >= document.length) {
            return end_unfinished(tokenizer, out, at);
        }
        char next = document.data[at + 1];
        if (byte_is(next, BYTE_LETTER)) {
            return take_start_tag(tokenizer, out, at);
        }
        if (next == '/') {
            return take_end_tag(tokenizer, out, at);
        }
        if (next == '!') {
            return take_declaration(tokenizer, out, at);
        }
        if (next == '?') {
            return take_bogus_comment(tokenizer, out, at);
        }
    }
    out->from = document.length;
    out->to = document.length;
    tokenizer->position = document.length;
    return false;
}
