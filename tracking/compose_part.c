/* SPDX-License-Identifier: MIT */
/* The parts of a copy: what is edited, re-encoded or put beside another. */
#include <string.h>

#include "tracking/alternative.h"
#include "tracking/compose_internal.h"
#include "tracking/conversion_internal.h"
#include "tracking/layout.h"
#include "tracking/line.h"
#include "tracking/settings_internal.h"

#define ENCODED_OCTETS_MAX 76

/* --- bodies --- */

static void make_alternative(struct planner *planner)
{
    size_t part;
    enum body_kind kind;
    struct text bytes;
    if (planner->source->policy->pass_through ||
        !alternative_find(&planner->mime, planner->source->policy->alternative,
                          &part, &kind)) {
        return;
    }
    for (size_t i = 0; i < planner->body_count; i++) {
        const struct body *body = &planner->bodies[i];
        if (body->part == part && !body->left_alone &&
            alternative_make(body, planner->arena, &bytes)) {
            body_make(kind, bytes, planner->arena, &planner->alternative);
            planner->alternative.part = part;
            planner->alternative_part = part;
            planner->has_alternative = true;
            rewriter_note_body(&planner->rewriter, &planner->alternative);
        }
    }
}

void planner_read_bodies(struct planner *planner)
{
    const struct mime *mime = &planner->mime;
    size_t bytes_max = (size_t)tracking_limits()->html_size;
    enum body_kind kind;
    size_t count = 0;
    for (size_t i = 0; i < mime->part_count; i++) {
        count += body_is_one(&mime->parts[i], &kind);
    }
    planner->bodies =
        arena_alloc(planner->arena, count * sizeof(*planner->bodies));
    for (size_t i = 0; i < mime->part_count; i++) {
        if (body_is_one(&mime->parts[i], &kind)) {
            struct body *body = &planner->bodies[planner->body_count++];
            body_read(planner->source->message, mime, i, bytes_max,
                      planner->arena, body);
            rewriter_note_opt_outs(&planner->rewriter, body);
            rewriter_note_body(&planner->rewriter, body);
        }
    }
    make_alternative(planner);
}

void planner_free(struct planner *planner)
{
    for (size_t i = 0; i < planner->body_count; i++) {
        body_free(&planner->bodies[i]);
    }
    rewriter_free(&planner->rewriter);
}

/* --- what becomes of a part --- */

struct part_plan {
    size_t part;
    const struct body *body; /* NULL: it is not edited */
    struct edit *edits;
    size_t edit_count;
    enum conversion conversion;
};

static void record_edits(struct planner *planner, const struct part_plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct edit *edit = &plan->edits[i];
        struct compose_record record = {
            .what = edit->what,
            .part = plan->part,
            .before = edit->before,
            .pieces = edit->pieces,
            .piece_count = edit->piece_count,
        };
        planner_record(planner, &record);
    }
    const struct rewriter *rewriter = &planner->rewriter;
    for (; planner->next_note < rewriter->note_count; planner->next_note++) {
        const struct rewrite_note *note = &rewriter->notes[planner->next_note];
        struct compose_record record = { .what = "left alone",
                                         .part = note->part,
                                         .before = note->what,
                                         .after = text_of(note->reason) };
        planner_record(planner, &record);
    }
}

static void plan_edits(struct planner *planner, const struct body *body,
                       struct part_plan *plan)
{
    plan->body = body;
    if (body->left_alone && !rewriter_is_idle(&planner->rewriter)) {
        rewriter_note(&planner->rewriter, plan->part, TEXT_LITERAL(""),
                      body->left_alone);
    } else if (!body->left_alone) {
        rewriter_edit(&planner->rewriter, body, &plan->edits,
                      &plan->edit_count);
    }
    record_edits(planner, plan);
}

static struct layout_body layout_of(const struct part_plan *plan)
{
    return (struct layout_body){
        .encoded = plan->body->encoded,
        .decoded = plan->body->bytes,
        .charset = &plan->body->charset,
        .edits = plan->edits,
        .edit_count = plan->edit_count,
    };
}

/* S7: a line that an edit made too long. */
static void fit_edits(struct planner *planner, struct part_plan *plan)
{
    if (plan->edit_count == 0 || plan->conversion != CONVERSION_NONE ||
        plan->body->encoding > MIME_BINARY) {
        return;
    }
    bool wraps_76 = planner->source->policy->wraps_76;
    struct layout_body body = layout_of(plan);
    if (!layout_fits(&body, wraps_76 ? ENCODED_OCTETS_MAX : LINE_OCTETS_MAX)) {
        plan->conversion = CONVERSION_TO_QUOTED_PRINTABLE;
    }
}

static void write_edited(struct planner *planner, const struct part_plan *plan)
{
    struct layout_body body = layout_of(plan);
    if (plan->conversion == CONVERSION_TO_QUOTED_PRINTABLE) {
        layout_to_quoted_printable(&body, planner->out);
    } else if (plan->body->encoding == MIME_BASE64) {
        layout_base64(&body, planner->out);
    } else if (plan->body->encoding == MIME_QUOTED_PRINTABLE) {
        if (plan->conversion != CONVERSION_NONE) {
            body.encoded = conversion_apply(plan->conversion, body.encoded,
                                            planner->arena);
        }
        layout_quoted_printable(&body, planner->out);
    } else {
        layout_plain(&body, planner->out);
    }
}

static void write_body(struct planner *planner, const struct part_plan *plan)
{
    const struct mime_part *part = &planner->mime.parts[plan->part];
    struct text body = mime_part_body(planner->source->message, part);
    if (plan->edit_count > 0) {
        write_edited(planner, plan);
    } else if (plan->conversion != CONVERSION_NONE) {
        template_add_text(planner->out, conversion_apply(plan->conversion, body,
                                                         planner->arena));
    } else {
        template_add_text(planner->out, body);
    }
    planner->cursor = part->body_to;
}

static void record_conversion(struct planner *planner,
                              const struct part_plan *plan)
{
    if (plan->conversion != CONVERSION_NONE) {
        const char *encoding = conversion_encoding(plan->conversion);
        struct compose_record record = {
            .what = "part re-encoded",
            .part = plan->part,
            .after = text_of(encoding ? encoding : "lines of 76 octets"),
        };
        planner_record(planner, &record);
    }
}

/* --- a part beside another --- */

static void write_made(struct planner *planner)
{
    const struct body *body = &planner->alternative;
    bool is_html = body->kind == BODY_HTML;
    struct part_plan plan = { .part = planner->alternative_part,
                              .conversion = CONVERSION_TO_QUOTED_PRINTABLE };
    struct compose_record record = { .what = "part added",
                                     .part = plan.part,
                                     .after = body->bytes };
    planner_record(planner, &record);
    plan_edits(planner, body, &plan);
    template_add_text(
        planner->out,
        text_of(arena_printf(planner->arena,
                             "Content-Type: text/%s; charset=utf-8\r\n"
                             "Content-Transfer-Encoding: quoted-printable\r\n"
                             "\r\n",
                             is_html ? "html" : "plain")));
    write_edited(planner, &plan);
}

static void write_own(struct planner *planner, struct part_plan *plan,
                      const struct body *body)
{
    plan_edits(planner, body, plan);
    fit_edits(planner, plan);
    record_conversion(planner, plan);
    planner_write_header(planner, plan->part, HEADER_INNER,
                         conversion_encoding(plan->conversion));
    template_add_text(planner->out, TEXT_LITERAL("\r\n"));
    write_body(planner, plan);
}

/* The part's header goes on top of the multipart, but for what says what the
 * part is. */
static void write_alternative(struct planner *planner, struct part_plan *plan,
                              const struct body *body)
{
    const char *boundary =
        alternative_boundary(planner->source->message, planner->arena);
    bool is_8bit = planner->mime.parts[plan->part].body_line_8bit > 0 &&
                   !planner->source->to_7bit;
    bool is_message = planner->mime.parts[plan->part].parent == MIME_NO_PARENT;
    struct text delimiter =
        text_of(arena_printf(planner->arena, "--%s\r\n", boundary));
    planner_write_header(planner, plan->part, HEADER_OUTER, NULL);
    template_add_text(
        planner->out,
        text_of(arena_printf(
            planner->arena,
            "Content-Type: multipart/alternative;\r\n"
            " boundary=\"%s\"\r\n%s\r\n",
            boundary, is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "")));
    template_add_text(planner->out, delimiter);
    bool makes_text = planner->alternative.kind == BODY_TEXT;
    if (makes_text) {
        write_made(planner);
    } else {
        write_own(planner, plan, body);
    }
    template_add_text(planner->out, TEXT_LITERAL("\r\n"));
    template_add_text(planner->out, delimiter);
    if (makes_text) {
        write_own(planner, plan, body);
    } else {
        write_made(planner);
    }
    template_add_text(planner->out, text_of(arena_printf(
                                        planner->arena, "\r\n--%s--%s",
                                        boundary, is_message ? "\r\n" : "")));
    planner->cursor = planner->mime.parts[plan->part].body_to;
}

/* --- all of it --- */

static const struct body *take_body(struct planner *planner, size_t part)
{
    bool is_here = planner->next_body < planner->body_count &&
                   planner->bodies[planner->next_body].part == part;
    return is_here ? &planner->bodies[planner->next_body++] : NULL;
}

static void write_changed(struct planner *planner, struct part_plan *plan)
{
    planner_write_header(planner, plan->part, HEADER_WHOLE,
                         conversion_encoding(plan->conversion));
    planner_copy_until(planner, planner->mime.parts[plan->part].body_from);
    write_body(planner, plan);
}

bool planner_write_part(struct planner *planner, size_t part)
{
    const struct mime_part *read = &planner->mime.parts[part];
    const struct body *body = take_body(planner, part);
    struct part_plan plan = { .part = part };
    struct conversion_wish wish = {
        .to_7bit = planner->source->to_7bit,
        .wraps_76 = planner->source->policy->wraps_76 &&
                    !planner->source->policy->pass_through,
    };
    if (!conversion_plan(planner->source->message, read, &wish,
                         &plan.conversion, planner->error)) {
        return false;
    }
    if (planner->has_alternative && planner->alternative_part == part) {
        planner_copy_until(planner, read->header_from);
        write_alternative(planner, &plan, body);
        return true;
    }
    if (body) {
        plan_edits(planner, body, &plan);
        fit_edits(planner, &plan);
    }
    record_conversion(planner, &plan);
    if (plan.edit_count > 0 || plan.conversion != CONVERSION_NONE) {
        planner_copy_until(planner, read->header_from);
        write_changed(planner, &plan);
    } else if (part == 0) {
        planner_write_header(planner, 0, HEADER_WHOLE, NULL);
    }
    return true;
}
