/* SPDX-License-Identifier: MIT */
#include "tracking/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/agents.h"

static const char *reason_of(const char *agent, bool is_prefetch)
{
    return machine_reason(&(struct hit_facts){ .user_agent = text_of(agent),
                                               .address = text_of("192.0.2.1"),
                                               .is_prefetch = is_prefetch });
}

static void agents_as_they_were_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sample_agents); i++) {
        const char *reason = reason_of(sample_agents[i].agent, false);
        if (sample_agents[i].reason == NULL) {
            assert_null(reason);
        } else if (reason == NULL ||
                   strcmp(reason, sample_agents[i].reason) != 0) {
            fail_msg("%s: %s", sample_agents[i].agent, reason);
        }
    }
}

static bool is_tested(const struct machine_pattern *pattern)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sample_agents); i++) {
        struct text agent = text_of(sample_agents[i].agent);
        size_t length = strlen(pattern->words);
        for (size_t k = 0; k + length <= agent.length; k++) {
            if (text_is_ignoring_case(text_slice(agent, k, k + length),
                                      pattern->words)) {
                return true;
            }
        }
    }
    return false;
}

static void every_pattern_has_an_agent(void **state)
{
    (void)state;
    assert_int_equal(machine_pattern_count, AGENT_PATTERN_COUNT);
    for (size_t i = 0; i < machine_pattern_count; i++) {
        if (!is_tested(&machine_patterns[i])) {
            fail_msg("%s", machine_patterns[i].words);
        }
    }
}

static void what_was_fetched_ahead_is_no_human(void **state)
{
    (void)state;
    assert_string_equal(reason_of("Mozilla/5.0 (X11) Firefox/1", true),
                        "prefetch");
    assert_string_equal(reason_of("curl/7.88.1", true), "scanner");
}

static void any_bytes_are_an_agent(void **state)
{
    struct buffer agent = { 0 };
    (void)state;
    assert_string_equal(reason_of("x\xff CURL/1 \x80", false), "scanner");
    assert_string_equal(
        machine_reason(&(struct hit_facts){ .user_agent = { 0 } }), "scanner");
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&agent, 'b');
    }
    assert_null(machine_reason(
        &(struct hit_facts){ .user_agent = buffer_text(&agent) }));
    buffer_free(&agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_as_they_were_seen),
        cmocka_unit_test(every_pattern_has_an_agent),
        cmocka_unit_test(what_was_fetched_ahead_is_no_human),
        cmocka_unit_test(any_bytes_are_an_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
