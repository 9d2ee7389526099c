/* SPDX-License-Identifier: MIT */
/* Parts lie inside their parents and in order; limits hold. */
#include "core/memory.h"
#include "tracking/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const struct mime *mime, size_t index, size_t length)
{
    const struct mime_part *part = &mime->parts[index];
    check(part->header_from <= part->header_to);
    check(part->header_to <= part->body_from);
    check(part->body_from <= part->body_to);
    check(part->body_to <= length);
    if (part->parent == MIME_NO_PARENT) {
        check(index == 0 && part->depth == 0);
        return;
    }
    const struct mime_part *parent = &mime->parts[part->parent];
    check(part->parent < index && part->depth == parent->depth + 1);
    check(parent->is_multipart || parent->is_message);
    check(part->header_from >= parent->body_from);
    check(part->body_to <= parent->body_to || part->body_from == part->body_to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mime_limits limits = { 10, 50 };
    struct text message = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct mime mime;
    struct error error;
    if (mime_scan(message, &limits, arena, &mime, &error)) {
        check(mime.part_count >= 1 && mime.part_count <= 50);
        for (size_t i = 0; i < mime.part_count; i++) {
            check(mime.parts[i].depth <= 10);
            check_part(&mime, i, size);
        }
    }
    arena_free(&arena);
    return 0;
}
