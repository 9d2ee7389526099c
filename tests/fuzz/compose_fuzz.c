/* SPDX-License-Identifier: MIT */
/* What compose_inspect accepts can be copied, with everything tracked: lines
 * fit, line ends are whole, and the same input gives the same bytes. And a
 * report can be written on anything. */
#include <string.h>

#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/line.h"
#include "tracking/mime.h"
#include "tracking/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct compose_recipient recipient = { 4711, "r@example.com" };

static const struct token_keys *shared_keys(void)
{
    static struct token_keys *keys;
    static const uint8_t secret[MAC_SECRET_BYTES] = { 1 };
    if (!keys) {
        keys = token_keys_create();
        token_keys_add(keys, 1, secret);
        token_keys_use(keys, 1);
    }
    return keys;
}

/* All there is to do, varied by the input's length. */
static void choose_policy(struct policy *policy, struct arena *arena,
                          size_t size)
{
    policy_set_defaults(policy, arena);
    policy->tracking_url = "https://click.example";
    policy->sender_name = "A & B \xc3\xa4";
    policy->track_opens = true;
    policy->track_clicks = size % 7 == 0 ? CLICKS_HTML : CLICKS_BOTH;
    policy->pixel_at_top = size % 3 == 0;
    policy->unsubscribe = size % 5 == 0 ? UNSUBSCRIBE_HEADER : UNSUBSCRIBE_LINK;
    policy->replaces_unsubscribe = size % 11 == 0;
    policy->alternative = size % 13 < 6 ? ALTERNATIVE_OFF : ALTERNATIVE_BOTH;
    policy->wraps_76 = size % 17 == 0;
    policy->analytics = size % 19 == 0 ? "*" : "";
    policy->utm_content = size % 2 == 0 ? "%%EmailAddress%%" : "";
}

static void check_line_ends(struct text bytes)
{
    while (bytes.length > 0) {
        struct text line = line_take(&bytes);
        struct text content = line_content(line);
        check(content.length <= LINE_OCTETS_MAX);
        check(text_find_byte(content, '\r') == content.length);
        check(line.length != content.length + 1);
    }
}

static bool join_copy(const struct compose_source *source, struct arena *arena,
                      struct buffer *out_bytes)
{
    struct compose_plan *plan;
    struct compose_edit *edits;
    struct text *pieces;
    size_t count;
    struct error error;
    if (!compose_plan_make(source, arena, &plan, &error)) {
        return false;
    }
    compose_copy(plan, &recipient, arena, &pieces, &count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out_bytes, pieces[i]);
    }
    compose_describe(plan, &recipient, arena, &edits, &count);
    for (size_t i = 0; i < count; i++) {
        check(edits[i].what && edits[i].before && edits[i].after);
    }
    return true;
}

/* Nothing that is put in makes, ends or hides a part. */
static void check_structure(struct arena *arena, struct text message,
                            struct text copied)
{
    static const struct mime_limits limits = { SIZE_MAX, SIZE_MAX };
    struct mime before;
    struct mime after;
    struct error error;
    check(mime_scan(message, &limits, arena, &before, &error));
    check(mime_scan(copied, &limits, arena, &after, &error));
    check(before.part_count == after.part_count);
    for (size_t i = 0; i < before.part_count; i++) {
        check(strcmp(before.parts[i].type, after.parts[i].type) == 0);
        check(before.parts[i].depth == after.parts[i].depth);
    }
}

static void try_copies(struct arena *arena, struct text message)
{
    struct policy policy;
    struct compose_source source = {
        .trace = TEXT_LITERAL("Received: x\r\n"),
        .message = message,
        .account_id = 1,
        .policy = &policy,
        .keys = shared_keys(),
    };
    struct buffer once = { 0 };
    struct buffer again = { 0 };
    choose_policy(&policy, arena, message.length);
    check(join_copy(&source, arena, &once));
    check(join_copy(&source, arena, &again));
    check(text_equal(buffer_text(&once), buffer_text(&again)));
    check_line_ends(buffer_text(&once));
    if (policy.alternative == ALTERNATIVE_OFF) {
        check_structure(arena, message, buffer_text(&once));
    }
    buffer_clear(&once);
    source.to_7bit = true;
    if (join_copy(&source, arena, &once)) {
        check_line_ends(buffer_text(&once));
        check(!text_has_8bit(buffer_text(&once)));
    }
    buffer_free(&once);
    buffer_free(&again);
}

static void try_report(struct text original)
{
    struct report_recipient recipient = {
        .address = "a@b",
        .action = REPORT_FAILED,
        .status = "5.0.0",
        .explanation = "It failed.",
    };
    struct report_input input = {
        .hostname = "mx.example",
        .to = "c@d",
        .recipients = &recipient,
        .recipient_count = 1,
        .original = original,
    };
    struct buffer report = { 0 };
    report_write(&input, &report);
    check(line_find_long(buffer_text(&report)) == 0);
    buffer_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compose_input input = {
        .message = { (const char *)data, size },
        .is_smtputf8 = size % 2 == 0,
        .hostname = "mx.example",
    };
    struct arena *arena = arena_create();
    struct compose_facts facts;
    struct compose_refusal refusal;
    if (compose_inspect(&input, arena, &facts, &refusal)) {
        try_copies(arena, input.message);
    } else {
        check(refusal.code >= 550 && refusal.reason.text[0] != '\0');
    }
    try_report(input.message);
    arena_free(&arena);
    return 0;
}
