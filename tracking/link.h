/* SPDX-License-Identifier: MIT */
/*
 * The target of a link: is it one to follow, and what is added to it. All
 * values are decoded and in UTF-8.
 */
#ifndef BATON_TRACKING_LINK_H
#define BATON_TRACKING_LINK_H

#include <stdbool.h>

#include "core/text.h"
#include "tracking/policy.h"

/* The target as a redirect says it: white space at both ends and tabs, line
 * feeds and returns within are dropped, as every browser does (WHATWG URL,
 * 4.4); every other byte stays. False: not http or https, so the link is left
 * alone (H3). Never holds CR, LF or NUL. */
bool link_target(struct text href, struct buffer *out_target);

/* A host of our own: the link is one already (no double wrapping). */
bool link_is_on(struct text target, const char *tracking_url);

/* reset, verify, one-time codes, magic links: a path segment (split at "/",
 * "-", "_" and ".") that is one of the words, or of the policy's own. */
bool link_is_sensitive(struct text target, const struct policy *policy);

/* H8: utm_… for the policy's domains, before "#", never twice. `recipient`
 * fills in %%EmailAddress%%. Appends the target, changed or not: not when it
 * would be too long for a token (TOKEN_TARGET_BYTES_MAX). */
void link_add_analytics(struct text target, const struct policy *policy,
                        const char *recipient, struct buffer *out_target);
/* Does the result depend on the recipient? */
bool link_analytics_is_personal(const struct policy *policy);

#endif
