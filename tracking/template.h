/* SPDX-License-Identifier: MIT */
/*
 * A copy before it has a recipient: texts that are the same for all, and places
 * that each recipient's tokens fill. Texts point into what the template was
 * made of.
 */
#ifndef BATON_TRACKING_TEMPLATE_H
#define BATON_TRACKING_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/charset.h"
#include "tracking/compose.h"
#include "tracking/policy.h"
#include "tracking/token.h"

enum template_place {
    PLACE_NONE, /* text */
    PLACE_CLICK, /* a link's token, without its target */
    PLACE_PERSONAL_CLICK, /* a link's token with the target of this recipient */
    PLACE_OPEN,
    PLACE_UNSUBSCRIBE,
    PLACE_MAIL_UNSUBSCRIBE, /* the local part of an address, as the next */
    PLACE_MAIL_FEEDBACK,
    PLACE_BASE64, /* a template of its own, encoded */
};

struct template
{
    struct arena *arena;
    struct template_piece *pieces;
    size_t piece_count;
    size_t capacity;
    bool is_personal; /* it has a place */
};

struct template_piece {
    enum template_place place;
    bool is_quoted; /* written on lines of quoted-printable of its own */
    struct text text; /* of PLACE_NONE */
    size_t link; /* of a click: index into the links */
    size_t from; /* characters of the token */
    size_t to;
    const struct charset
        *charset; /* not NULL: the characters in that charset */
    const struct template *content; /* of PLACE_BASE64 */
    size_t columns;
};

/* A tracked link. `url` is its target; of a personal one, before what analytics
 * adds for a recipient. */
struct template_link {
    struct text url;
    struct token_target target; /* not of a personal one */
    bool is_personal;
};

void template_add(struct template *template,
                  const struct template_piece *piece);
/* Neighbours in memory become one piece. */
void template_add_text(struct template *template, struct text text);

/* What the places are filled with. */
struct template_source {
    const struct policy *policy;
    const struct token_keys *keys; /* not NULL if there is a place */
    int64_t account_id;
    const struct template_link *links; /* their numbers are index + 1 */
    size_t link_count;
};

/* One recipient's tokens, in the arena. */
struct template_filler;
struct template_filler *template_filler_create(
    const struct template_source *borrowed_source,
    const struct compose_recipient *recipient, struct arena *arena);
/* All pieces, as pieces of text. */
void template_fill(struct template_filler *filler,
                   const struct template *template, struct text **out_pieces,
                   size_t *out_piece_count);
/* Some pieces, appended. */
void template_write(struct template_filler *filler,
                    const struct template_piece *pieces, size_t piece_count,
                    struct buffer *out_bytes);

#endif
