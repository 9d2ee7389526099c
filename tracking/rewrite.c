/* SPDX-License-Identifier: MIT */
#include "tracking/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "tracking/link.h"
#include "tracking/text_link.h"

#define PIXEL_STYLE                                                    \
    "\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0;width:1px;" \
    "height:1px;display:block\">"
/* What analytics may add for a recipient to a target. */

static bool can_report(const struct compose_source *source)
{
    return source->keys && token_keys_can_sign(source->keys) &&
           source->policy->tracking_url[0] != '\0' &&
           !source->policy->pass_through;
}

void rewriter_start(struct rewriter *out_rewriter,
                    const struct compose_source *source, struct arena *arena)
{
    const struct policy *policy = source->policy;
    enum track_clicks clicks = policy->track_clicks;
    *out_rewriter = (struct rewriter){ .policy = policy, .arena = arena };
    if (!can_report(source)) {
        return;
    }
    bool is_on = policy->privacy != PRIVACY_OFF;
    bool has_footer = policy_unsubscribe(policy) == UNSUBSCRIBE_LINK;
    out_rewriter->tracks_html =
        is_on && (clicks == CLICKS_HTML || clicks == CLICKS_BOTH);
    out_rewriter->tracks_text =
        is_on && (clicks == CLICKS_TEXT || clicks == CLICKS_BOTH);
    out_rewriter->tracks_opens = is_on && policy->track_opens;
    out_rewriter->click_url =
        text_of(arena_printf(arena, "%s/c/", policy->tracking_url));
    out_rewriter->can_unsubscribe = true;
    out_rewriter->has_footer[BODY_TEXT] = has_footer;
    out_rewriter->has_footer[BODY_HTML] = has_footer;
    out_rewriter->is_personal = link_analytics_is_personal(policy);
}

void rewriter_free(struct rewriter *rewriter)
{
    map_free(&rewriter->opted_out);
    buffer_free(&rewriter->utf8);
    buffer_free(&rewriter->href);
    buffer_free(&rewriter->target);
    buffer_free(&rewriter->prepared);
}

bool rewriter_is_idle(const struct rewriter *rewriter)
{
    return !rewriter->can_unsubscribe;
}

/* --- lists --- */

static void *grow(struct arena *arena, const void *items, size_t count,
                  size_t *capacity, size_t item_bytes)
{
    *capacity = *capacity ? *capacity * 2 : 16;
    void *grown = arena_alloc(arena, *capacity * item_bytes);
    if (count > 0) {
        memcpy(grown, items, count * item_bytes);
    }
    return grown;
}

static struct edit *add_edit(struct rewriter *rewriter, size_t from, size_t to,
                             const char *what)
{
    if (rewriter->edit_count == rewriter->edit_capacity) {
        rewriter->edits =
            grow(rewriter->arena, rewriter->edits, rewriter->edit_count,
                 &rewriter->edit_capacity, sizeof(*rewriter->edits));
    }
    struct edit *edit = &rewriter->edits[rewriter->edit_count];
    *edit = (struct edit){
        .from = from, .to = to, .order = rewriter->edit_count, .what = what
    };
    rewriter->edit_count++;
    return edit;
}

static struct text keep(struct rewriter *rewriter, struct text text)
{
    return (struct text){ arena_copy_text(rewriter->arena, text), text.length };
}

void rewriter_note(struct rewriter *rewriter, size_t part, struct text what,
                   const char *reason)
{
    if (rewriter->note_count == REWRITE_NOTES_MAX) {
        return;
    }
    if (rewriter->note_count == rewriter->note_capacity) {
        rewriter->notes =
            grow(rewriter->arena, rewriter->notes, rewriter->note_count,
                 &rewriter->note_capacity, sizeof(*rewriter->notes));
    }
    rewriter->notes[rewriter->note_count++] =
        (struct rewrite_note){ part, keep(rewriter, what), reason };
}

/* --- what is put in --- */

const struct template_piece *rewriter_frame(struct rewriter *rewriter,
                                            const char *path,
                                            enum template_place place,
                                            struct unsubscribe_frame frame,
                                            size_t *out_count)
{
    struct template_piece *pieces =
        arena_alloc(rewriter->arena, 3 * sizeof(*pieces));
    pieces[0].text = text_of(
        arena_printf(rewriter->arena, "%.*s%s%s", TEXT_ARGUMENTS(frame.before),
                     rewriter->policy->tracking_url, path));
    pieces[1] = (struct template_piece){ .place = place,
                                         .to = place == PLACE_UNSUBSCRIBE
                                                   ? SIZE_MAX
                                                   : TOKEN_HEAD_CHARACTERS };
    pieces[2].text = frame.behind;
    *out_count = frame.behind.length > 0 ? 3 : 2;
    return pieces;
}

static void put_in(struct rewriter *rewriter, size_t at, const char *what,
                   const char *path, enum template_place place,
                   struct unsubscribe_frame frame)
{
    struct edit *edit = add_edit(rewriter, at, at, what);
    edit->pieces =
        rewriter_frame(rewriter, path, place, frame, &edit->piece_count);
}

static void add_pixel(struct rewriter *rewriter, const struct body *body)
{
    const struct html_document *html = &body->html;
    struct unsubscribe_frame frame = { TEXT_LITERAL("<img src=\""),
                                       TEXT_LITERAL(PIXEL_STYLE) };
    size_t at = rewriter->policy->pixel_at_top ? html->top : html->bottom;
    put_in(rewriter, body_offset(body, at), "pixel", "/o/", PLACE_OPEN, frame);
}

static void add_footer(struct rewriter *rewriter, const struct body *body)
{
    bool is_html = body->kind == BODY_HTML;
    struct buffer text = { 0 };
    struct unsubscribe_frame frame =
        is_html ? unsubscribe_html_footer(rewriter->policy, &text)
                : unsubscribe_text_footer(rewriter->policy, &text);
    size_t at = is_html ? body->html.bottom : body->view.length;
    put_in(rewriter, body_offset(body, at), "unsubscribe", "/u/",
           PLACE_UNSUBSCRIBE, frame);
    buffer_free(&text);
    rewriter->has_footer[body->kind] = false;
}

/* Returns whether there was one. */
static bool fill_macros(struct rewriter *rewriter, const struct body *body)
{
    static const struct unsubscribe_frame bare = { { "", 0 }, { "", 0 } };
    const struct template_piece *pieces = NULL;
    size_t piece_count = 0;
    struct unsubscribe_macro macro = { 0 };
    while (unsubscribe_macro_next(body->view, &macro) &&
           rewriter->macro_count < REWRITE_LINKS_MAX) {
        rewriter->macro_count++;
        if (!pieces) {
            pieces = rewriter_frame(rewriter, "/u/", PLACE_UNSUBSCRIBE, bare,
                                    &piece_count);
        }
        struct edit *edit =
            add_edit(rewriter, body_offset(body, macro.from),
                     body_offset(body, macro.to), "unsubscribe");
        edit->pieces = pieces;
        edit->piece_count = piece_count;
        edit->before =
            keep(rewriter, text_slice(body->view, macro.from, macro.to));
    }
    return pieces != NULL;
}

/* --- links --- */

/* The target of a link in the view. False: it is not one to follow. */
static bool read_target(struct rewriter *rewriter, const struct body *body,
                        size_t from, size_t to)
{
    struct buffer *utf8 = &rewriter->utf8;
    struct buffer *href = &rewriter->href;
    buffer_clear(utf8);
    buffer_clear(href);
    buffer_clear(&rewriter->target);
    if (!body_to_utf8(body, from, to, utf8)) {
        return false;
    }
    struct text written = buffer_text(utf8);
    bool is_encoded = body->kind == BODY_HTML &&
                      (text_find_byte(written, '&') < written.length ||
                       text_find_byte(written, '\0') < written.length);
    if (is_encoded) {
        html_decode(written, true, href);
    }
    return link_target(is_encoded ? buffer_text(href) : written,
                       &rewriter->target);
}

/* Why a link is left alone that could be tracked, or NULL. */
static const char *find_obstacle(struct rewriter *rewriter,
                                 const struct body *body, struct text target)
{
    const struct policy *policy = rewriter->policy;
    if (link_is_on(target, policy->tracking_url)) {
        return "it is on the tracking host already";
    }
    if (policy->skips_sensitive && link_is_sensitive(target, policy)) {
        return "it is sensitive";
    }
    if (body->kind == BODY_TEXT && rewriter->opted_out &&
        map_get(rewriter->opted_out, target)) {
        return "it is opted out in the HTML part";
    }
    if (target.length > TOKEN_TARGET_BYTES_MAX) {
        return "it is too long";
    }
    return rewriter->link_count == REWRITE_LINKS_MAX
               ? "the message has more links than are tracked"
               : NULL;
}

static bool has_macro(struct text value)
{
    struct unsubscribe_macro macro = { 0 };
    return unsubscribe_macro_next(value, &macro);
}

/* Add the link whose target was read; returns its index. */
static size_t add_link(struct rewriter *rewriter, struct text target)
{
    if (rewriter->link_count == rewriter->link_capacity) {
        rewriter->links =
            grow(rewriter->arena, rewriter->links, rewriter->link_count,
                 &rewriter->link_capacity, sizeof(*rewriter->links));
    }
    struct template_link *link = &rewriter->links[rewriter->link_count];
    link->url = target;
    link->is_personal = rewriter->is_personal;
    return rewriter->link_count++;
}

static void prepare_link(struct rewriter *rewriter, struct template_link *link)
{
    buffer_clear(&rewriter->href);
    if (rewriter->policy->analytics[0] != '\0') {
        link_add_analytics(link->url, rewriter->policy, "", &rewriter->href);
    } else {
        buffer_append_text(&rewriter->href, link->url);
    }
    buffer_clear(&rewriter->prepared);
    token_target_prepare(buffer_text(&rewriter->href), &rewriter->prepared,
                         &link->target);
    link->target.encoded = keep(rewriter, link->target.encoded);
}

static void track_link(struct rewriter *rewriter, struct edit *edit)
{
    size_t index =
        add_link(rewriter, keep(rewriter, buffer_text(&rewriter->target)));
    struct template_link *link = &rewriter->links[index];
    struct template_piece *pieces =
        arena_alloc(rewriter->arena, 3 * sizeof(*pieces));
    pieces[0].text = rewriter->click_url;
    pieces[1] = (struct template_piece){ .place = PLACE_CLICK,
                                         .link = index,
                                         .to = TOKEN_HEAD_CHARACTERS };
    if (link->is_personal) {
        pieces[1].place = PLACE_PERSONAL_CLICK;
        pieces[1].to = SIZE_MAX;
    } else {
        prepare_link(rewriter, link);
        pieces[2].text = link->target.encoded;
    }
    edit->before = link->url;
    edit->pieces = pieces;
    edit->piece_count = link->is_personal ? 2 : 3;
}

/* A span of the view that is a link. */
static void edit_link(struct rewriter *rewriter, const struct body *body,
                      size_t from, size_t to)
{
    bool is_filled =
        rewriter->has_macros && has_macro(text_slice(body->view, from, to));
    if (is_filled || !read_target(rewriter, body, from, to)) {
        return;
    }
    struct text target = buffer_text(&rewriter->target);
    const char *obstacle = find_obstacle(rewriter, body, target);
    if (!obstacle) {
        track_link(rewriter, add_edit(rewriter, body_offset(body, from),
                                      body_offset(body, to), "link"));
    } else if (rewriter->link_count < REWRITE_LINKS_MAX ||
               !rewriter->has_noted_limit) {
        rewriter->has_noted_limit = rewriter->link_count == REWRITE_LINKS_MAX;
        rewriter_note(rewriter, body->part, target, obstacle);
    }
}

static void remove_opt_outs(struct rewriter *rewriter, const struct body *body,
                            const struct html_link *link)
{
    for (size_t i = 0; i < link->opt_out_count; i++) {
        const struct html_span *span = &link->opt_outs[i];
        if (rewriter->opt_out_count == REWRITE_LINKS_MAX) {
            break;
        }
        rewriter->opt_out_count++;
        struct edit *edit =
            add_edit(rewriter, body_offset(body, span->from),
                     body_offset(body, span->to), "opt-out removed");
        edit->before =
            keep(rewriter, text_slice(body->view, span->from, span->to));
    }
}

static void edit_html_links(struct rewriter *rewriter, const struct body *body)
{
    const struct html_document *html = &body->html;
    for (size_t i = 0; i < html->link_count; i++) {
        const struct html_link *link = &html->links[i];
        if (link->has_opt_out) {
            remove_opt_outs(rewriter, body, link);
        } else {
            edit_link(rewriter, body, link->value.from, link->value.to);
        }
    }
}

static void edit_text_links(struct rewriter *rewriter, const struct body *body)
{
    size_t position = 0;
    struct text_link link;
    while (text_link_next(body->view, body->joins_lines, &position, &link)) {
        edit_link(rewriter, body, link.from, link.to);
    }
}

void rewriter_note_opt_outs(struct rewriter *rewriter, const struct body *body)
{
    if (body->kind != BODY_HTML || body->left_alone || !rewriter->tracks_html) {
        return;
    }
    for (size_t i = 0; i < body->html.link_count; i++) {
        const struct html_link *link = &body->html.links[i];
        if (link->has_opt_out &&
            read_target(rewriter, body, link->value.from, link->value.to)) {
            if (!rewriter->opted_out) {
                rewriter->opted_out = map_create();
            }
            map_set(rewriter->opted_out, buffer_text(&rewriter->target),
                    rewriter);
        }
    }
}

/* --- in order --- */

static int compare_edits(const void *a, const void *b)
{
    const struct edit *left = a;
    const struct edit *right = b;
    if (left->from != right->from) {
        return left->from < right->from ? -1 : 1;
    }
    if (left->to != right->to) {
        return left->to < right->to ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Nothing is edited twice: what begins within another edit is dropped. */
static size_t drop_overlaps(struct edit *edits, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || edits[i].from >= edits[kept - 1].to) {
            edits[kept++] = edits[i];
        }
    }
    return kept;
}

/* A document without a byte shows nothing, and what would be put in could touch
 * the delimiter behind it. */
void rewriter_note_body(struct rewriter *rewriter, const struct body *body)
{
    bool can_have = rewriter->tracks_opens && body->kind == BODY_HTML &&
                    !body->left_alone && body->bytes.length > 0;
    bool is_first = rewriter->pixel_body == NULL;
    if (can_have && (is_first || !rewriter->policy->pixel_at_top)) {
        rewriter->pixel_body = body;
    }
}

void rewriter_edit(struct rewriter *rewriter, const struct body *body,
                   struct edit **out_edits, size_t *out_edit_count)
{
    rewriter->edits = NULL;
    rewriter->edit_count = 0;
    rewriter->edit_capacity = 0;
    rewriter->has_macros =
        rewriter->can_unsubscribe && fill_macros(rewriter, body);
    if (body->kind == BODY_HTML && rewriter->tracks_html) {
        edit_html_links(rewriter, body);
    } else if (body->kind == BODY_TEXT && rewriter->tracks_text) {
        edit_text_links(rewriter, body);
    }
    if (rewriter->has_footer[body->kind] && !rewriter->has_macros &&
        body->bytes.length > 0) {
        add_footer(rewriter, body);
    }
    if (body == rewriter->pixel_body) {
        add_pixel(rewriter, body);
    }
    if (rewriter->edit_count > 1) {
        qsort(rewriter->edits, rewriter->edit_count, sizeof(struct edit),
              compare_edits);
    }
    *out_edits = rewriter->edits;
    *out_edit_count = drop_overlaps(rewriter->edits, rewriter->edit_count);
}
