/* SPDX-License-Identifier: MIT */
/* From tokens to what is asked: links, opt-outs, and where to put things. */
#include "tracking/html.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/html_internal.h"

/* --- opt-out attributes --- */

static const struct opt_out {
    const char *name;
    const char *value; /* NULL: with any or none */
} opt_outs[] = {
    { "data-baton-no-track", NULL }, { "ses:no-track", NULL },
    { "data-pm-no-track", NULL },    { "clicktracking", "off" },
    { "disable-tracking", "true" },  { "data-msys-clicktrack", "0" },
    { "data-no-track", NULL },       { "no-track", NULL },
    { "mc:disable-tracking", NULL },
};
#define OPT_OUT_COUNT ARRAY_LENGTH(opt_outs)

/* What was said about each: the first attribute of a name counts, but its
 * repetitions go with it, or the second would then be the first. */
enum opt_out_verdict { OPT_OUT_UNSAID, OPT_OUT_MEANT, OPT_OUT_NOT_MEANT };

static size_t find_opt_out(struct text document,
                           const struct html_attribute *attribute)
{
    size_t i = 0;
    while (i < OPT_OUT_COUNT &&
           !html_attribute_is(document, attribute, opt_outs[i].name)) {
        i++;
    }
    return i;
}

static enum opt_out_verdict judge_opt_out(struct text document,
                                          const struct opt_out *opt_out,
                                          const struct html_attribute *given)
{
    struct text value =
        text_slice(document, given->value_from, given->value_to);
    return !opt_out->value || text_is_ignoring_case(value, opt_out->value)
               ? OPT_OUT_MEANT
               : OPT_OUT_NOT_MEANT;
}

/* Not in front of a name that begins with "=": what was a name without value
 * in front would take it for one. */
static bool can_cut(struct text document,
                    const struct html_attribute *attribute)
{
    size_t at = attribute->to;
    while (html_is_space(document.data[at])) {
        at++; /* a tag ends with ">" */
    }
    return document.data[at] != '=';
}

/*
 * What can be cut out. The white space in front stays where it is still needed:
 * behind it follows a name at once (a="b"href=x), or a "/" that an unquoted
 * value in front would swallow.
 */
static struct html_span cut_of(struct text document,
                               const struct html_attribute *attribute,
                               bool follows_unquoted)
{
    char next = document.data[attribute->to];
    bool can_join = next == '>' || html_is_space(next) ||
                    (next == '/' && !follows_unquoted);
    size_t from = attribute->from;
    while (can_join && html_is_space(document.data[from - 1])) {
        from--;
    }
    return (struct html_span){ from, attribute->to };
}

/* --- links --- */

struct link_list {
    struct arena *arena;
    struct html_link *links;
    size_t count;
    size_t capacity;
};

static void append_link(struct link_list *list, const struct html_link *link)
{
    if (list->count == HTML_LINKS_MAX) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
        struct html_link *links =
            arena_alloc(list->arena, capacity * sizeof(*links));
        if (list->count > 0) {
            memcpy(links, list->links, list->count * sizeof(*links));
        }
        list->links = links;
        list->capacity = capacity;
    }
    list->links[list->count++] = *link;
}

static void keep_opt_outs(struct html_link *link, struct arena *arena,
                          const struct html_span *cuts, size_t count)
{
    if (count > 0) {
        struct html_span *kept = arena_alloc(arena, count * sizeof(*kept));
        memcpy(kept, cuts, count * sizeof(*kept));
        link->opt_outs = kept;
        link->opt_out_count = count;
    }
}

static void take_link(struct link_list *list, struct text document,
                      const struct html_token *tag)
{
    struct html_link link = { .is_quoted = false };
    struct html_span cuts[HTML_OPT_OUTS_MAX];
    size_t cut_count = 0;
    enum opt_out_verdict verdicts[OPT_OUT_COUNT] = { OPT_OUT_UNSAID };
    bool has_href = false;
    bool follows_unquoted = false;
    size_t position = tag->attributes;
    struct html_attribute attribute;
    while (html_attribute_next(document, &position, &attribute)) {
        size_t i = find_opt_out(document, &attribute);
        if (i < OPT_OUT_COUNT && verdicts[i] == OPT_OUT_UNSAID) {
            verdicts[i] = judge_opt_out(document, &opt_outs[i], &attribute);
        }
        bool is_meant = i < OPT_OUT_COUNT && verdicts[i] == OPT_OUT_MEANT;
        link.has_opt_out |= is_meant;
        if (is_meant && cut_count < HTML_OPT_OUTS_MAX &&
            can_cut(document, &attribute)) {
            cuts[cut_count++] = cut_of(document, &attribute, follows_unquoted);
            continue;
        }
        follows_unquoted = attribute.has_value && !attribute.quote;
        if (!has_href && html_attribute_is(document, &attribute, "href")) {
            has_href = true;
            link.value.from = attribute.value_from;
            link.value.to = attribute.value_to;
            link.is_quoted = attribute.quote != '\0';
        }
    }
    if (has_href) {
        keep_opt_outs(&link, list->arena, cuts, cut_count);
        append_link(list, &link);
    }
}

/* --- where something may be put in --- */

struct places {
    size_t top;
    size_t bottom;
    bool has_body;
    bool has_bottom;
    bool is_in_prologue; /* nothing was shown yet */
};

static bool is_blank(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!html_is_space(text.data[i])) {
            return false;
        }
    }
    return true;
}

/*
 * What must stay in front of everything: a byte order mark in UTF-8, or at the
 * start of a mask (charset.h) the mark or shift sequences there. To cut a run
 * of masked bytes in two is never sound.
 */
static size_t mark_length(struct text document)
{
    size_t length = 0;
    if (document.length >= 3 && memcmp(document.data, "\xEF\xBB\xBF", 3) == 0) {
        return 3;
    }
    while (length < document.length && document.data[length] == '\x80') {
        length++;
    }
    return length;
}

/* Without a <body> the text begins behind what can only stand in front. */
static void follow_prologue(struct places *places, struct text document,
                            size_t gap_from, const struct html_token *token)
{
    if (!token->raw && !is_blank(text_slice(document, gap_from, token->from))) {
        places->is_in_prologue = false;
        return;
    }
    bool is_tag = token->kind == HTML_START_TAG || token->kind == HTML_END_TAG;
    uint32_t traits = token->element ? token->element->traits : 0;
    if (is_tag && !(traits & TRAIT_PROLOGUE)) {
        places->is_in_prologue = false;
    } else if (token->kind != HTML_START_TAG || !(traits & TRAIT_RAW_TEXT)) {
        places->top = token->to;
    }
}

/* Nothing is put into SVG or MathML that was left open: an image there would
 * end it, and with it what the standard makes of the rest. */
static size_t sound_place(const struct html_tokenizer *tokenizer, size_t place)
{
    return tokenizer->foreign_depth > 0 ? tokenizer->foreign_from : place;
}

static void follow_places(struct places *places,
                          const struct html_tokenizer *tokenizer,
                          const struct html_token *token)
{
    enum html_name id = token->element ? token->element->id : NAME_OTHER;
    if (token->kind == HTML_START_TAG && id == NAME_BODY && !places->has_body) {
        places->has_body = true;
        places->is_in_prologue = false;
        places->top = token->to;
    } else if (token->kind == HTML_END_TAG && id == NAME_BODY) {
        places->has_bottom = true;
        places->bottom = sound_place(tokenizer, token->from);
    } else if (token->kind == HTML_END_TAG && id == NAME_HEAD &&
               !places->has_body && tokenizer->foreign_depth == 0) {
        places->top = token->to;
    }
}

void html_scan(struct text document, struct arena *arena,
               struct html_document *out_document)
{
    struct html_tokenizer tokenizer = { .document = document };
    struct link_list list = { .arena = arena };
    struct places places = { .is_in_prologue = true };
    struct html_token token;
    places.top = mark_length(document);
    size_t gap_from = places.top;
    while (html_token_next(&tokenizer, &token)) {
        if (places.is_in_prologue) {
            follow_prologue(&places, document, gap_from, &token);
            gap_from = token.to;
        }
        if (!token.element) {
            continue;
        }
        follow_places(&places, &tokenizer, &token);
        if (token.element->traits & TRAIT_LINK &&
            token.kind == HTML_START_TAG) {
            take_link(&list, document, &token);
        }
    }
    if (!places.has_bottom) {
        places.bottom = sound_place(&tokenizer, token.from);
    }
    out_document->links = list.links;
    out_document->link_count = list.count;
    out_document->top = places.top;
    /* "</body><body>" */
    out_document->bottom =
        places.bottom > places.top ? places.bottom : places.top;
}
