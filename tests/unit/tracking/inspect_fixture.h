/* SPDX-License-Identifier: MIT */
/* A message as intake looks at it, in the arena of its test. */
#ifndef BATON_TESTS_INSPECT_FIXTURE_H
#define BATON_TESTS_INSPECT_FIXTURE_H

#include "tests/unit/tracking/arena_fixture.h"
#include "tracking/compose.h"

static bool inspect(struct arena *arena, struct text message, bool is_smtputf8,
                    struct compose_facts *facts,
                    struct compose_refusal *refusal)
{
    struct compose_input input = {
        .message = message,
        .is_smtputf8 = is_smtputf8,
        .received_at = INT64_C(1795227182000000),
        .message_id = 4711,
        .hostname = "mx.example",
    };
    return compose_inspect(&input, arena, facts, refusal);
}

static char *repeat(struct arena *arena, const char *unit, size_t count)
{
    struct buffer bytes = { 0 };
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(&bytes, unit);
    }
    char *copy = arena_copy_text(arena, buffer_text(&bytes));
    buffer_free(&bytes);
    return copy;
}

#endif
