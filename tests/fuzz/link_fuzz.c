/* SPDX-License-Identifier: MIT */
/*
 * A target is http or https and breaks no header; taken again it is the same.
 * Analytics keep all of it and are added once. The input: the href, and behind
 * a NUL what the policy says.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_analytics(struct text target, const struct policy *policy,
                            const char *recipient)
{
    struct buffer once = { 0 };
    struct buffer twice = { 0 };
    link_add_analytics(target, policy, recipient, &once);
    link_add_analytics(buffer_text(&once), policy, recipient, &twice);
    check(text_equal(buffer_text(&once), buffer_text(&twice)));
    size_t kept = text_find_byte(target, '#');
    check(once.length >= target.length);
    check(memcmp(once.data, target.data, kept) == 0);
    size_t behind = target.length - kept;
    check(memcmp(once.data + once.length - behind, target.data + kept,
                 behind) == 0);
    buffer_free(&once);
    buffer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words = memory_copy_bytes((const char *)data, size);
    struct text href = { words, strlen(words) };
    const char *said = words + (href.length < size ? href.length + 1 : size);
    struct policy policy = { .sensitive_words = said,
                             .analytics = "*",
                             .utm_source = said,
                             .utm_medium = "%%EmailAddress%%",
                             .group_name = said,
                             .group_id = 7 };
    struct buffer target = { 0 };
    struct buffer again = { 0 };
    if (link_target(href, &target)) {
        struct text text = buffer_text(&target);
        check(!memchr(text.data, '\r', text.length));
        check(!memchr(text.data, '\n', text.length));
        check(!memchr(text.data, '\0', text.length));
        check(text_starts_with_ignoring_case(text, "http"));
        check(link_target(text, &again));
        check(text_equal(text, buffer_text(&again)));
        check(link_is_on(text, target.data));
        link_is_on(text, said);
        link_is_sensitive(text, &policy);
        check_analytics(text, &policy, "a@b");
        policy.analytics = said;
        check_analytics(text, &policy, NULL);
    }
    buffer_clear(&again);
    if (link_target((struct text){ (const char *)data, size }, &again)) {
        check(!memchr(again.data, '\0', again.length));
    }
    buffer_free(&target);
    buffer_free(&again);
    memory_free(words);
    return 0;
}
