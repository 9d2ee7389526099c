/* SPDX-License-Identifier: MIT */
/* A second form of mail that came in one only: text made of HTML, or HTML made
 * of text, side by side in a multipart/alternative. RFC 2046, 5.1.4. */
#ifndef BATON_TRACKING_ALTERNATIVE_H
#define BATON_TRACKING_ALTERNATIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/body.h"
#include "tracking/mime.h"
#include "tracking/policy.h"

/* The part that gets a second form, and which. False: there is none to be
 * made. */
bool alternative_find(const struct mime *mime, enum alternative wanted,
                      size_t *out_part, enum body_kind *out_kind);

/* The other form of a body, UTF-8, in the arena. False: its characters cannot
 * be read. */
bool alternative_make(const struct body *body, struct arena *arena,
                      struct text *out_bytes);

/* A boundary that stands nowhere in the message, the same one every time. */
const char *alternative_boundary(struct text message, struct arena *arena);

#endif
