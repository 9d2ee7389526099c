/* SPDX-License-Identifier: MIT */
/*
 * Control headers: what an application says about one message in header fields
 * of ours (X-Baton-…) and of eight other services. They are read after
 * unfolding and leave with no copy.
 */
#ifndef BATON_TRACKING_CONTROL_H
#define BATON_TRACKING_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/error.h"
#include "tracking/header.h"

#define CONTROL_TAGS_MAX 32
#define CONTROL_TAG_BYTES_MAX 128
#define CONTROL_METADATA_BYTES_MAX 16384
#define CONTROL_SETTINGS_MAX 32

/* A setting of policy.h, by its name. Its value was checked. */
struct control_setting {
    const char *name;
    const char *value;
};

/* Strings in the arena. */
struct control {
    const char *group; /* NULL: not said */
    const char *tags[CONTROL_TAGS_MAX];
    size_t tag_count;
    const char *metadata; /* a JSON object, compact; NULL: none */
    struct control_setting settings[CONTROL_SETTINGS_MAX];
    size_t setting_count;
    const char *idempotency_key; /* NULL: none */
    int64_t send_at; /* clock_now() instant; 0: at once */
    bool bypasses_suppression;
    bool is_sandboxed; /* X-Baton-Sandbox: on, X-Mailgun-Drop-Message … */
    const char *pool; /* NULL: not said; ours only, others' mean other pools */
    const char *tracking_host; /* X-MC-TrackingDomain; NULL: not said */
    const char *user_name; /* X-SMTPUsername; NULL: not said */
};

/* False: the sentence names field, reason and, where one can, the byte:
 * "X-Baton-Metadata: not JSON at byte 12". Ours win over others', whatever the
 * order; a field of ours twice (but -Tag) is refused; what others' fields say
 * that we have no word for is passed over. */
bool control_read(const struct header *header, int64_t now, struct arena *arena,
                  struct control *out_control, struct error *error) MUST_USE;

/* Does a field of this name leave with no copy? Any case. */
bool control_is_field(struct text name);

#endif
