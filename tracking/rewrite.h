/* SPDX-License-Identifier: MIT */
/*
 * What is edited in the bodies of a message: links, the pixel, macros and the
 * line to unsubscribe. Bodies are rewritten in the order of the copy; links are
 * numbered over all of them.
 */
#ifndef BATON_TRACKING_REWRITE_H
#define BATON_TRACKING_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/map.h"
#include "tracking/body.h"
#include "tracking/compose.h"
#include "tracking/layout.h"
#include "tracking/template.h"
#include "tracking/unsubscribe.h"

/* Links of a message beyond these are left alone; macros and opt-outs, too. */
#define REWRITE_LINKS_MAX 10000
#define REWRITE_NOTES_MAX 1000

/* Something that was not edited, and why. */
struct rewrite_note {
    size_t part;
    struct text what;
    const char *reason;
};

struct rewriter {
    const struct policy *policy;
    struct arena *arena;
    bool tracks_html;
    bool tracks_text;
    bool tracks_opens;
    bool can_unsubscribe;
    bool has_footer[2]; /* by kind of body: it is still to be put in */
    const struct body *pixel_body; /* one reading is one open; NULL: none */
    bool is_personal; /* analytics name the recipient */
    bool has_noted_limit;
    struct text click_url;

    struct template_link *links;
    size_t link_count;
    size_t link_capacity;
    size_t macro_count;
    size_t opt_out_count; /* those removed */
    struct map *opted_out; /* targets; NULL until there is one (H5) */
    struct rewrite_note *notes;
    size_t note_count;
    size_t note_capacity;

    bool has_macros; /* the body at hand */
    struct edit *edits; /* and what is edited in it */
    size_t edit_count;
    size_t edit_capacity;
    struct buffer utf8;
    struct buffer href;
    struct buffer target;
    struct buffer prepared;
};

/* What the policy asks for, as far as there are keys and a tracking URL. */
void rewriter_start(struct rewriter *out_rewriter,
                    const struct compose_source *source, struct arena *arena);
void rewriter_free(struct rewriter *rewriter); /* links and notes stay */
/* Nothing is to be done, whatever the bodies hold. */
bool rewriter_is_idle(const struct rewriter *rewriter);

/* First every HTML body: what is opted out there is so everywhere. */
void rewriter_note_opt_outs(struct rewriter *rewriter, const struct body *body);
/* Then, of every body that may be edited: the last one in HTML, or the first if
 * the pixel goes to the top, has the pixel. */
void rewriter_note_body(struct rewriter *rewriter, const struct body *body);
/* The edits of a body, in order, in the arena. */
void rewriter_edit(struct rewriter *rewriter, const struct body *body,
                   struct edit **out_edits, size_t *out_edit_count);

void rewriter_note(struct rewriter *rewriter, size_t part, struct text what,
                   const char *reason);
/* Before, a place, behind; in the arena. */
const struct template_piece *rewriter_frame(struct rewriter *rewriter,
                                            const char *path,
                                            enum template_place place,
                                            struct unsubscribe_frame frame,
                                            size_t *out_count);

#endif
