/* SPDX-License-Identifier: MIT */
/*
 * Control fields of any bytes: what is kept is within its bounds, every setting
 * is one that a policy takes, and only control fields say anything.
 */
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/control.h"
#include "tracking/group.h"
#include "tracking/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_settings(const struct control *control, struct arena *arena)
{
    struct policy policy;
    struct policy again;
    struct error error;
    policy_set_defaults(&policy, arena);
    for (size_t i = 0; i < control->setting_count; i++) {
        check(policy_apply(&policy, arena, control->settings[i].name,
                           control->settings[i].value, &error));
    }
    const char *json = policy_to_json(&policy, arena);
    check(policy_from_json(&again, arena, text_of(json), &error));
    check(strcmp(json, policy_to_json(&again, arena)) == 0);
}

static void check_control(const struct control *control, int64_t now,
                          struct arena *arena)
{
    check(control->group == NULL || group_name_problem(control->group) == NULL);
    check(control->tag_count <= CONTROL_TAGS_MAX);
    for (size_t i = 0; i < control->tag_count; i++) {
        struct text tag = text_of(control->tags[i]);
        check(tag.length > 0 && tag.length <= CONTROL_TAG_BYTES_MAX);
        check(text_is_utf8(tag));
    }
    if (control->metadata != NULL) {
        struct text metadata = text_of(control->metadata);
        check(metadata.length > 2 &&
              metadata.length <= CONTROL_METADATA_BYTES_MAX);
        check(text_is_utf8(metadata));
    }
    check(control->send_at == 0 ||
          (control->send_at > now &&
           control->send_at <= now + 30 * 86400 * CLOCK_SECOND));
    check_settings(control, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct header_limits limits = { 65536, 100 };
    const int64_t now = INT64_C(1795227182) * CLOCK_SECOND;
    struct arena *arena = arena_create();
    struct header header;
    struct control control;
    struct error error = { "" };
    if (header_parse((struct text){ (const char *)data, size }, &limits, arena,
                     &header, &error)) {
        if (control_read(&header, now, arena, &control, &error)) {
            check_control(&control, now, arena);
        } else {
            check(error.text[0] != '\0');
        }
    }
    arena_free(&arena);
    return 0;
}
