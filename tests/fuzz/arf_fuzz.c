/* SPDX-License-Identifier: MIT */
/* Any bytes are a feedback report or none; lists are bounded, strings there,
 * and what is no complaint never suppresses. */
#include "core/memory.h"
#include "tracking/arf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text message = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct arf arf;
    if (arf_read(message, arena, &arf)) {
        check(arf.type < ARF_TYPE_COUNT && arf_type_name(arf.type) != NULL);
        check(arf.recipient_count <= ARF_RECIPIENTS_MAX);
        check(arf.incidents >= 1);
        check(arf.user_agent != NULL && arf.mail_from != NULL);
        check(arf.envelope_id != NULL && arf.reported_domain != NULL);
        check(arf.source_ip != NULL && arf.arrival_date != NULL);
        check(arf.returned.message_id != NULL);
        bool is_harmless = arf.type == ARF_NOT_SPAM ||
                           arf.type == ARF_AUTH_FAILURE ||
                           arf.type == ARF_OTHER || arf.type == ARF_VIRUS;
        check(!is_harmless || !arf.suppresses);
    }
    arena_free(&arena);
    return 0;
}
