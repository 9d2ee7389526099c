/* SPDX-License-Identifier: MIT */
/* What compose_inspect accepts, compose_copy can copy, without a line over 998
 * octets; and a report can be written on anything. */
#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/line.h"
#include "tracking/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pieces(const struct text *pieces, size_t count, bool is_7bit)
{
    struct buffer bytes = { 0 };
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(&bytes, pieces[i]);
    }
    check(line_find_long(buffer_text(&bytes)) == 0);
    check(!is_7bit || !text_has_8bit(buffer_text(&bytes)));
    buffer_free(&bytes);
}

static void try_copies(struct arena *arena, struct text message)
{
    struct text *pieces;
    size_t count;
    struct error error;
    struct text trace = TEXT_LITERAL("Received: x\r\n");
    check(compose_copy(trace, message, arena, &pieces, &count, &error));
    check_pieces(pieces, count, false);
    if (compose_copy_7bit(trace, message, arena, &pieces, &count, &error)) {
        check_pieces(pieces, count, true);
    }
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
