/* SPDX-License-Identifier: MIT */
/*
 * See compose.h. A plan is a template; compose_copy fills its places with one
 * recipient's tokens. What a plan needs of the message is decided here, the
 * rest is in compose_header.c and compose_part.c.
 */
#include "tracking/compose.h"

#include <string.h>

#include "tracking/compose_internal.h"
#include "tracking/header.h"
#include "tracking/line.h"

struct compose_plan {
    struct template template;
    struct template_source source; /* of what fills it */
    struct compose_record *records;
    size_t record_count;
};

void planner_record(struct planner *planner,
                    const struct compose_record *record)
{
    if (planner->record_count == planner->record_capacity) {
        size_t capacity =
            planner->record_capacity ? planner->record_capacity * 2 : 16;
        struct compose_record *grown =
            arena_alloc(planner->arena, capacity * sizeof(*grown));
        if (planner->record_count > 0) {
            memcpy(grown, planner->records,
                   planner->record_count * sizeof(*grown));
        }
        planner->records = grown;
        planner->record_capacity = capacity;
    }
    planner->records[planner->record_count++] = *record;
}

void planner_copy_until(struct planner *planner, size_t end)
{
    template_add_text(planner->out, text_slice(planner->source->message,
                                               planner->cursor, end));
    planner->cursor = end;
}

/* Where the message's header ends; false if it does not end with an empty line
 * or the message. */
static bool find_header_end(struct text message, size_t *out_end,
                            struct error *error)
{
    struct text rest = message;
    struct header_field field;
    while (header_next(&rest, &field)) {
    }
    *out_end = (size_t)(rest.data - message.data);
    struct text line = line_take(&rest);
    if (line_content(line).length > 0) {
        return error_set(error, "The message has a malformed header and cannot "
                                "be copied; it was stored without inspection");
    }
    return true;
}

/* Only the header can change. */
static bool is_plain(const struct planner *planner)
{
    const struct compose_source *source = planner->source;
    const struct policy *policy = source->policy;
    bool may_wrap =
        !policy->pass_through &&
        (policy->wraps_76 || policy->alternative != ALTERNATIVE_OFF);
    return rewriter_is_idle(&planner->rewriter) && !may_wrap &&
           line_find_long(source->message) == 0 &&
           !(source->to_7bit && text_has_8bit(source->message));
}

static void plan_header_alone(struct planner *planner, size_t header_end)
{
    planner->mime.parts = arena_alloc(planner->arena, sizeof(struct mime_part));
    planner->mime.part_count = 1;
    planner->mime.parts[0] = (struct mime_part){
        .parent = MIME_NO_PARENT,
        .header_to = header_end,
    };
    planner_write_header(planner, 0, HEADER_WHOLE, NULL);
}

/* Whatever limits were in force when the message was accepted, they are not
 * applied again: it is ours now and must go out. */
static bool plan_parts(struct planner *planner)
{
    static const struct mime_limits no_limits = { SIZE_MAX, SIZE_MAX };
    if (!mime_scan(planner->source->message, &no_limits, planner->arena,
                   &planner->mime, planner->error)) {
        return false;
    }
    planner_read_bodies(planner);
    for (size_t i = 0; i < planner->mime.part_count; i++) {
        if (!planner_write_part(planner, i)) {
            return false;
        }
    }
    return true;
}

static bool plan_message(struct planner *planner)
{
    size_t header_end;
    if (!find_header_end(planner->source->message, &header_end,
                         planner->error)) {
        return false;
    }
    template_add_text(planner->out, planner->source->trace);
    if (is_plain(planner)) {
        plan_header_alone(planner, header_end);
    } else if (!plan_parts(planner)) {
        return false;
    }
    planner_copy_until(planner, planner->source->message.length);
    return true;
}

bool compose_plan_make(const struct compose_source *borrowed_source,
                       struct arena *arena, struct compose_plan **out_plan,
                       struct error *error)
{
    struct compose_plan *plan = arena_alloc(arena, sizeof(*plan));
    struct planner planner = { .source = borrowed_source,
                               .arena = arena,
                               .error = error,
                               .out = &plan->template };
    plan->template.arena = arena;
    rewriter_start(&planner.rewriter, borrowed_source, arena);
    bool is_made = plan_message(&planner);
    plan->source = (struct template_source){
        .policy = borrowed_source->policy,
        .keys = borrowed_source->keys,
        .account_id = borrowed_source->account_id,
        .links = planner.rewriter.links,
        .link_count = planner.rewriter.link_count,
    };
    plan->records = planner.records;
    plan->record_count = planner.record_count;
    planner_free(&planner);
    *out_plan = plan;
    return is_made;
}

bool compose_plan_is_shared(const struct compose_plan *plan)
{
    return !plan->template.is_personal;
}

void compose_copy(const struct compose_plan *plan,
                  const struct compose_recipient *recipient,
                  struct arena *arena, struct text **out_pieces,
                  size_t *out_piece_count)
{
    template_fill(template_filler_create(&plan->source, recipient, arena),
                  &plan->template, out_pieces, out_piece_count);
}

/* The same for everybody, or filled in for this recipient. */
static const char *write_after(const struct compose_record *record,
                               struct template_filler *filler,
                               struct arena *arena)
{
    if (record->piece_count == 0) {
        return arena_copy_text(arena, record->after);
    }
    struct buffer text = { 0 };
    template_write(filler, record->pieces, record->piece_count, &text);
    const char *kept = arena_copy_text(arena, buffer_text(&text));
    buffer_free(&text);
    return kept;
}

void compose_describe(const struct compose_plan *plan,
                      const struct compose_recipient *recipient,
                      struct arena *arena, struct compose_edit **out_edits,
                      size_t *out_edit_count)
{
    struct template_filler *filler =
        template_filler_create(&plan->source, recipient, arena);
    struct compose_edit *edits =
        arena_alloc(arena, plan->record_count * sizeof(*edits));
    for (size_t i = 0; i < plan->record_count; i++) {
        const struct compose_record *record = &plan->records[i];
        edits[i] = (struct compose_edit){
            .what = record->what,
            .part = record->part,
            .before = arena_copy_text(arena, record->before),
            .after = write_after(record, filler, arena),
        };
    }
    *out_edits = edits;
    *out_edit_count = plan->record_count;
}
