/* SPDX-License-Identifier: MIT */
/*
 * Spans lie in the document and in order; what is put in at the places, and
 * cutting the opt-outs out, changes no link; text is UTF-8 and bounded.
 */
#include "core/memory.h"
#include "tracking/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IMAGE "<img src=\"x\">"

static void check_spans(const struct html_document *found, size_t size)
{
    size_t behind = 0;
    check(found->top <= found->bottom && found->bottom <= size);
    for (size_t i = 0; i < found->link_count; i++) {
        const struct html_link *link = &found->links[i];
        check(link->value.from >= behind && link->value.from <= link->value.to);
        check(link->value.to < size);
        check(link->has_opt_out || link->opt_out_count == 0);
        check(link->opt_out_count <= HTML_OPT_OUTS_MAX);
        size_t cut_behind = behind;
        for (size_t k = 0; k < link->opt_out_count; k++) {
            const struct html_span *cut = &link->opt_outs[k];
            check(cut->from >= cut_behind && cut->from < cut->to);
            check(cut->to < size);
            check(cut->to <= link->value.from || cut->from >= link->value.to);
            cut_behind = cut->to;
        }
        behind = link->value.to;
    }
}

/* The same values in the same order. */
static void check_same_links(struct text document,
                             const struct html_document *found,
                             struct text changed, struct arena *arena)
{
    struct html_document again;
    html_scan(changed, arena, &again);
    check(again.link_count == found->link_count);
    for (size_t i = 0; i < found->link_count; i++) {
        const struct html_span *a = &found->links[i].value;
        const struct html_span *b = &again.links[i].value;
        check(text_equal(text_slice(document, a->from, a->to),
                         text_slice(changed, b->from, b->to)));
    }
}

static void check_place(struct text document, const struct html_document *found,
                        size_t place, struct arena *arena)
{
    struct buffer changed = { 0 };
    buffer_append_text(&changed, text_slice(document, 0, place));
    buffer_append_string(&changed, IMAGE);
    buffer_append_text(&changed, text_slice(document, place, document.length));
    check_same_links(document, found, buffer_text(&changed), arena);
    buffer_free(&changed);
}

static void check_cuts(struct text document, const struct html_document *found,
                       struct arena *arena)
{
    struct buffer changed = { 0 };
    size_t from = 0;
    for (size_t i = 0; i < found->link_count; i++) {
        const struct html_link *link = &found->links[i];
        for (size_t k = 0; k < link->opt_out_count; k++) {
            buffer_append_text(
                &changed, text_slice(document, from, link->opt_outs[k].from));
            from = link->opt_outs[k].to;
        }
    }
    buffer_append_text(&changed, text_slice(document, from, document.length));
    check_same_links(document, found, buffer_text(&changed), arena);
    buffer_free(&changed);
}

static void check_references(struct text document)
{
    struct buffer encoded = { 0 };
    struct buffer decoded = { 0 };
    html_decode(document, true, &decoded);
    html_decode(document, false, &decoded);
    check(decoded.length <= document.length * 6);
    buffer_clear(&decoded);
    html_encode(document, &encoded);
    html_decode(buffer_text(&encoded), true, &decoded);
    check(text_find_byte(document, '\0') < document.length ||
          text_equal(buffer_text(&decoded), document));
    buffer_free(&encoded);
    buffer_free(&decoded);
}

static void check_text(struct text document)
{
    struct buffer text = { 0 };
    html_to_text(document, &text);
    check(text_is_utf8(buffer_text(&text)));
    check(text.length <= document.length * 6 + 64);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text document = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct html_document found;
    html_scan(document, arena, &found);
    check_spans(&found, size);
    check_place(document, &found, found.top, arena);
    check_place(document, &found, found.bottom, arena);
    check_cuts(document, &found, arena);
    check_references(document);
    check_text(document);
    arena_free(&arena);
    return 0;
}
