/* SPDX-License-Identifier: MIT */
/* The making of a plan: a cursor that moves over the message, adding spans of
 * it and what was edited to a template. */
#ifndef BATON_TRACKING_COMPOSE_INTERNAL_H
#define BATON_TRACKING_COMPOSE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"
#include "tracking/compose.h"
#include "tracking/mime.h"
#include "tracking/rewrite.h"
#include "tracking/template.h"

/* A difference, for compose_describe. `after`, or else the pieces. */
struct compose_record {
    const char *what;
    size_t part;
    struct text before;
    struct text after;
    const struct template_piece *pieces;
    size_t piece_count;
};

struct planner {
    const struct compose_source *source;
    struct arena *arena;
    struct error *error;
    struct mime mime;
    struct rewriter rewriter;
    struct template *out;
    size_t cursor; /* all before it is copied or left out */

    struct body *bodies; /* in order of their parts */
    size_t body_count;
    size_t next_body;
    size_t next_note; /* of the rewriter: recorded up to here */

    bool has_alternative;
    size_t alternative_part;
    struct body alternative;

    struct compose_record *records;
    size_t record_count;
    size_t record_capacity;
};

void planner_record(struct planner *planner,
                    const struct compose_record *record);
void planner_copy_until(struct planner *planner, size_t end);

/* Which of a part's fields are written. */
enum header_share {
    HEADER_WHOLE,
    HEADER_OUTER, /* what a multipart around it takes over */
    HEADER_INNER, /* what describes the content: Content-… */
};

/* Write a part's header, without the empty line. `encoding` is its new
 * Content-Transfer-Encoding, or NULL. */
void planner_write_header(struct planner *planner, size_t part,
                          enum header_share share, const char *encoding);

/* Write what a part changes, and all before it. False: it cannot be copied. */
bool planner_write_part(struct planner *planner, size_t part) MUST_USE;

/* Read the bodies that may be edited, and make an alternative if one is
 * wanted. */
void planner_read_bodies(struct planner *planner);
void planner_free(struct planner *planner);

#endif
