/* SPDX-License-Identifier: MIT */
/* A text or HTML part that people read, decoded: may it be edited, and if not,
 * why? F8 to F10. */
#ifndef BATON_TRACKING_BODY_H
#define BATON_TRACKING_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/charset.h"
#include "tracking/html.h"
#include "tracking/mime.h"

enum body_kind { BODY_TEXT, BODY_HTML };

struct body {
    enum body_kind kind;
    size_t part; /* index of its MIME part */
    const char *left_alone; /* why it is not edited, or NULL */
    enum mime_encoding encoding;
    struct text encoded; /* as it stands in the message */
    struct text bytes; /* decoded */
    struct charset charset;
    struct text view; /* ASCII and what is not: the bytes, or their mask */
    bool is_flowed; /* RFC 3676 */
    bool joins_lines; /* and DelSp=yes */
    struct html_document html; /* of a BODY_HTML; offsets of the view */

    struct buffer decoded;
    struct buffer mask;
};

/* A text/html or text/plain leaf that is shown, not attached, signed or part of
 * an attached message. */
bool body_is_one(const struct mime_part *part, enum body_kind *out_kind);

/* What lies in the arena, the message and the body itself; end it with
 * body_free. A body over bytes_max is left alone. */
void body_read(struct text message, const struct mime *mime, size_t part,
               size_t bytes_max, struct arena *arena, struct body *out_body);
/* A body that was made: UTF-8, to be encoded. */
void body_make(enum body_kind kind, struct text bytes, struct arena *arena,
               struct body *out_body);
void body_free(struct body *body);

/* An offset of the view as one of the bytes. */
size_t body_offset(const struct body *body, size_t in_view);
/* A span of the view in UTF-8, appended. False: it is not valid. */
bool body_to_utf8(const struct body *body, size_t from, size_t to,
                  struct buffer *out_utf8);

#endif
