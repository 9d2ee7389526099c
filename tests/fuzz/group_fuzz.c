/* SPDX-License-Identifier: MIT */
/*
 * Subjects of any bytes: with a group taken off, what is left reads as the
 * start of what was there, up to white space before the braces; all of it but a
 * last encoded word is the same bytes.
 */
#include "core/memory.h"
#include "tracking/encoded_word.h"
#include "tracking/group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct text value, struct buffer *out_utf8)
{
    struct encoded_reader reader = { .rest = value };
    struct encoded_piece piece;
    size_t length = 0;
    while (encoded_reader_next(&reader, &piece)) {
        check(piece.source.data == value.data + length);
        length += piece.source.length;
        encoded_piece_decode(&piece, out_utf8);
    }
    check(length == value.length);
}

static size_t count_same(struct text a, struct text b)
{
    size_t same = 0;
    while (same < a.length && same < b.length && a.data[same] == b.data[same]) {
        same++;
    }
    return same;
}

static void check_rest(struct text value, const struct group_subject *subject)
{
    struct buffer before = { 0 };
    struct buffer after = { 0 };
    decode(value, &before);
    decode(subject->value, &after);
    check(group_name_problem(subject->name) == NULL);
    check(after.length < before.length);
    check(count_same(buffer_text(&before), buffer_text(&after)) ==
          after.length);
    struct text cut =
        text_slice(buffer_text(&before), after.length, before.length);
    size_t brace = text_find_byte(cut, '{');
    check(brace < cut.length);
    for (size_t i = 0; i < brace; i++) {
        char byte = cut.data[i];
        check(byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n');
    }
    check(count_same(value, subject->value) == subject->value.length ||
          text_ends_with_ignoring_case(subject->value, "?="));
    buffer_free(&before);
    buffer_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text value = { (const char *)data, size };
    struct arena *arena = arena_create();
    struct group_subject subject;
    if (group_from_subject(value, arena, &subject)) {
        check_rest(value, &subject);
    }
    encoded_text_decode(arena, value);
    arena_free(&arena);
    return 0;
}
