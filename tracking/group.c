/* SPDX-License-Identifier: MIT */
/*
 * See group.h. The Subject is decoded twice: once as a whole, to find the
 * braces in what people read, and once piece by piece, to find where in the
 * source that text is to be cut. What stands before the cut is not touched.
 */
#include "tracking/group.h"

#include <stdint.h>
#include <string.h>

#include "tracking/encoded_word.h"

/* Longer ones are left alone. */
#define SUBJECT_BYTES_MAX 16384
/* RFC 2047, 2. */
#define WORD_CHARACTERS_MAX 75

static bool is_white_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static size_t trim_end(struct text text, size_t length)
{
    while (length > 0 && is_white_space(text.data[length - 1])) {
        length--;
    }
    return length;
}

/* Most Subjects end in something else; they need no decoding. */
static bool can_end_in_brace(struct text value)
{
    size_t length = trim_end(value, value.length);
    struct text trimmed = text_slice(value, 0, length);
    return length <= SUBJECT_BYTES_MAX &&
           (text_ends_with_ignoring_case(trimmed, "}") ||
            text_ends_with_ignoring_case(trimmed, "?="));
}

static void decode(struct text value, struct buffer *out_utf8)
{
    struct encoded_reader reader = { .rest = value };
    struct encoded_piece piece;
    while (encoded_reader_next(&reader, &piece)) {
        encoded_piece_decode(&piece, out_utf8);
    }
}

/* The braces at the end of the text and what they hold; false: there are none,
 * or some in some. */
static bool find_braces(struct text utf8, struct text *out_name,
                        size_t *out_from)
{
    size_t end = trim_end(utf8, utf8.length);
    if (end == 0 || utf8.data[end - 1] != '}') {
        return false;
    }
    size_t from = end - 1;
    while (from > 0 && utf8.data[from - 1] != '{' &&
           utf8.data[from - 1] != '}') {
        from--;
    }
    if (from == 0 || utf8.data[from - 1] == '}') {
        return false;
    }
    *out_name = text_trim(text_slice(utf8, from, end - 1));
    *out_from = from - 1;
    return true;
}

/* A fold may leave a tab between the words of a name. */
static const char *copy_name(struct text name, struct arena *arena)
{
    char *copy = arena_copy_text(arena, name);
    if (strlen(copy) != name.length) {
        return "";
    }
    for (char *byte = copy; *byte != '\0'; byte++) {
        *byte = *byte == '\t' ? ' ' : *byte;
    }
    return copy;
}

/* The value up to the word, and the word as far as it is kept. */
static bool cut_word(struct text value, const struct encoded_piece *piece,
                     size_t kept_length, struct arena *arena,
                     struct text *out_value)
{
    struct buffer kept = { 0 };
    buffer_append_text(
        &kept, text_slice(value, 0, (size_t)(piece->source.data - value.data)));
    size_t length = kept.length;
    encoded_word_shorten(&piece->word, kept_length, &kept);
    length = kept.length - length;
    *out_value = (struct text){ arena_copy_text(arena, buffer_text(&kept)),
                                kept.length };
    buffer_free(&kept);
    return length <= WORD_CHARACTERS_MAX || length <= piece->source.length;
}

/* The start of the value that reads as the first `length` bytes of its text. */
static bool cut_value(struct text value, size_t length, struct arena *arena,
                      struct text *out_value)
{
    struct encoded_reader reader = { .rest = value };
    struct encoded_piece piece;
    struct buffer utf8 = { 0 };
    *out_value = text_slice(value, 0, 0);
    bool is_cut = length == 0;
    bool is_kept = true;
    while (!is_cut && encoded_reader_next(&reader, &piece)) {
        buffer_clear(&utf8);
        encoded_piece_decode(&piece, &utf8);
        is_cut = utf8.length >= length;
        if (is_cut && piece.kind == PIECE_WORD && utf8.length > length) {
            is_kept = cut_word(value, &piece, length, arena, out_value);
        } else if (is_cut) {
            size_t from = (size_t)(piece.source.data - value.data);
            bool is_plain = piece.kind == PIECE_PLAIN;
            *out_value = text_slice(
                value, 0, from + (is_plain ? length : piece.source.length));
        }
        length -= is_cut ? 0 : utf8.length;
    }
    buffer_free(&utf8);
    return is_cut && is_kept;
}

/* A word that is wrong in its own charset may read differently once it is
 * shorter. */
static bool reads_as(struct text value, struct text expected)
{
    struct buffer utf8 = { 0 };
    decode(value, &utf8);
    bool is_same = text_equal(buffer_text(&utf8), expected);
    buffer_free(&utf8);
    return is_same;
}

bool group_from_subject(struct text value, struct arena *arena,
                        struct group_subject *out_subject)
{
    if (!can_end_in_brace(value)) {
        return false;
    }
    struct buffer utf8 = { 0 };
    struct text name;
    size_t from;
    bool is_found = false;
    decode(value, &utf8);
    if (find_braces(buffer_text(&utf8), &name, &from)) {
        out_subject->name = copy_name(name, arena);
        struct text kept = text_slice(buffer_text(&utf8), 0,
                                      trim_end(buffer_text(&utf8), from));
        is_found = group_name_problem(out_subject->name) == NULL &&
                   cut_value(value, kept.length, arena, &out_subject->value) &&
                   reads_as(out_subject->value, kept);
    }
    buffer_free(&utf8);
    return is_found;
}

/* C0, DEL, and C1 as UTF-8 has them. */
static bool has_control(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        unsigned char next = (unsigned char)at[1];
        if (byte < ' ' || byte == 0x7f || (byte == 0xc2 && next < 0xa0)) {
            return true;
        }
    }
    return false;
}

const char *group_name_problem(const char *name)
{
    struct text text = text_of(name);
    if (text_trim(text).length == 0) {
        return "the name is empty";
    }
    if (text.length > GROUP_NAME_MAX) {
        return "the name is longer than 100 bytes";
    }
    if (!text_is_utf8(text)) {
        return "the name is not UTF-8";
    }
    if (strcmp(name, "{}") == 0) {
        return "{} stands for messages without a group";
    }
    return has_control(name) ? "the name has control characters" : NULL;
}
