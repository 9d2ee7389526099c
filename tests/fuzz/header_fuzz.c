/* SPDX-License-Identifier: MIT */
/* Fields of a header are spans that cover it; address lists of any bytes. */
#include "core/memory.h"
#include "tracking/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_lists(struct arena *arena, const struct header *header)
{
    for (size_t i = 0; i < header->field_count; i++) {
        char **addresses = NULL;
        size_t count = 0;
        struct error error;
        if (header_addresses(arena, header->fields[i].value, &addresses, &count,
                             &error)) {
            for (size_t j = 0; j < count; j++) {
                check(text_find_byte(text_of(addresses[j]), '@') <
                      text_of(addresses[j]).length);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct header_limits limits = { 65536, 100 };
    struct text message = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct header header;
    struct error error;
    if (header_parse(message, &limits, arena, &header, &error)) {
        size_t length = 0;
        for (size_t i = 0; i < header.field_count; i++) {
            check(header.fields[i].whole.data == message.data + length);
            length += header.fields[i].whole.length;
        }
        check(length == header.whole.length);
        read_lists(arena, &header);
    }
    arena_free(&arena);
    return 0;
}
