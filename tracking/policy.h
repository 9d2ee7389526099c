/* SPDX-License-Identifier: MIT */
/*
 * What is done to a message: decided once, at its acceptance, by control header
 * > group > account > default, and kept with it from then on.
 *
 * One table (policy_settings) holds every setting: its name, its values, how a
 * value is checked and applied. Accounts, groups and control headers all go
 * through it.
 */
#ifndef BATON_TRACKING_POLICY_H
#define BATON_TRACKING_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"

enum track_clicks { CLICKS_OFF, CLICKS_HTML, CLICKS_TEXT, CLICKS_BOTH };

/* The numbers stand in tokens: never change one. */
enum privacy {
    PRIVACY_OFF = 0, /* nothing is tracked */
    PRIVACY_ANONYMOUS = 1, /* counts only: a token names the group alone */
    PRIVACY_PSEUDONYMOUS = 2, /* no address or user agent is kept */
    PRIVACY_FULL = 3,
};

enum unsubscribe {
    UNSUBSCRIBE_DEFAULT, /* header for groups of kind marketing, else off */
    UNSUBSCRIBE_OFF,
    UNSUBSCRIBE_HEADER,
    UNSUBSCRIBE_LINK, /* the header, and a link at the end of the text */
};

enum alternative {
    ALTERNATIVE_OFF,
    ALTERNATIVE_TEXT, /* a plain part for mail in HTML only */
    ALTERNATIVE_HTML, /* an HTML part for mail in text only */
    ALTERNATIVE_BOTH,
};

/* Strings live in the arena of whoever made the policy; never NULL. */
struct policy {
    bool track_opens;
    enum track_clicks track_clicks;
    bool pixel_at_top; /* pixel = top: behind <body>, for readers that clip */
    enum privacy privacy;
    bool skips_sensitive;
    const char *sensitive_words; /* more path words, comma-separated, or "" */
    enum unsubscribe unsubscribe;
    bool replaces_unsubscribe; /* the caller's own List-Unsubscribe (U7) */
    const char *analytics; /* target domains, comma-separated; "" is off */
    const char *utm_source;
    const char *utm_medium;
    const char *utm_campaign; /* "": the group's name */
    const char *utm_content;
    const char *utm_term;
    enum alternative alternative;
    bool wraps_76; /* wrap = 76; else lines are broken only where they must */
    bool pass_through;
    bool offers_cfbl; /* cfbl = on: CFBL-Address (RFC 9477) */
    int64_t expires_after_milliseconds;
    int priority; /* 0 normal, 1 high */

    /* Not settings: what acceptance found. */
    int64_t group_id; /* 0: no group */
    const char *group_name; /* "" */
    bool group_is_marketing;
    const char *tracking_url; /* "https://click.example.com", no final slash */
    const char *signing_domain; /* d= of the signatures; "": the operator's */
    const char *feedback_id; /* the value of Feedback-ID; "": none */
    const char *return_host; /* of the return path, normalised; "": none */
    bool is_inbound; /* came for an inbound route: moves no counter, either */
    bool is_notice; /* a report of ours: moves no counter */
    bool is_automatic; /* Auto-Submitted: nobody is told that it failed */
    bool is_bulk; /* Precedence: its author is not told that it failed */
    bool bypasses_suppression; /* sent though a recipient is suppressed */
    const char *sender_name; /* who writes, for the footer's sentence: "" */
};

struct policy_form; /* how its value is checked, kept and written */

struct policy_setting {
    const char *name; /* as in `baton set`: "track_opens" */
    const char *values; /* for people: "on, off" */
    const char *initial;
    const char *description;
    const struct policy_form *form;
    size_t offset; /* of its member in struct policy */
};
extern const struct policy_setting policy_settings[];
extern const size_t policy_setting_count;

/* All settings at their initial values. */
void policy_set_defaults(struct policy *out_policy, struct arena *arena);
/* Check a value, written exactly as `values` says, and apply it; strings are
 * copied into the arena. False: there is no such setting, or the sentence says
 * what the value may be. */
bool policy_apply(struct policy *policy, struct arena *arena, const char *name,
                  const char *value, struct error *error) MUST_USE;
bool policy_has_setting(const char *name);

/* What is kept with a message: a JSON object with the group, the tracking URL,
 * the return host and the settings that differ from their initial values. */
char *policy_to_json(const struct policy *policy, struct arena *arena);
/* Settings that are not known (a newer Baton wrote them) are passed over. */
bool policy_from_json(struct policy *out_policy, struct arena *arena,
                      struct text json, struct error *error) MUST_USE;

/* Is anything put into a copy that reports back? */
bool policy_tracks(const struct policy *policy);
/* UNSUBSCRIBE_DEFAULT resolved by the group's kind. */
enum unsubscribe policy_unsubscribe(const struct policy *policy);

#endif
