/* SPDX-License-Identifier: MIT */
/* Whatever comes back is read: within bounds, twice the same, and nothing
 * suppresses that did not fail for good. */
#include <string.h>

#include "core/memory.h"
#include "tracking/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_recipient(const struct dsn_recipient *recipient)
{
    const struct bounce_verdict *verdict = &recipient->verdict;
    check(recipient->address != NULL && recipient->original != NULL);
    check(recipient->status != NULL && recipient->remote_host != NULL);
    check(strlen(recipient->diagnostic) <= DSN_DIAGNOSTIC_MAX);
    check(verdict->class < BOUNCE_CLASS_COUNT);
    check(bounce_class_name(verdict->class) != NULL);
    check(verdict->suppresses == (verdict->severity == BOUNCE_HARD));
    if (verdict->suppresses) {
        check(recipient->action == DSN_FAILED);
        check(verdict->class == BOUNCE_INVALID_ADDRESS ||
              verdict->class == BOUNCE_INVALID_DOMAIN);
    }
}

static void check_returned(const struct incoming_returned *returned)
{
    check(returned->header.length <= INCOMING_HEADER_MAX);
    check(returned->header.length <= returned->message.length ||
          returned->message.length == 0);
    check(returned->message_id != NULL && returned->envelope_sender != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text message = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct dsn dsn;
    struct dsn again;
    dsn_read(message, arena, &dsn);
    check(dsn.recipient_count <= DSN_RECIPIENTS_MAX);
    check(dsn_kind_name(dsn.kind) != NULL);
    bool has_failed = false;
    for (size_t i = 0; i < dsn.recipient_count; i++) {
        check_recipient(&dsn.recipients[i]);
        has_failed = has_failed || dsn.recipients[i].action == DSN_FAILED;
    }
    check((dsn.kind == DSN_BOUNCE) == has_failed);
    check_returned(&dsn.returned);
    dsn_read(message, arena, &again);
    check(again.kind == dsn.kind);
    check(again.recipient_count == dsn.recipient_count);
    arena_free(&arena);
    return 0;
}
