/* SPDX-License-Identifier: MIT */
#include "tracking/automatic.h"

#include "tracking/header.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The value, folded or not, up to a comment or a parameter: "no (really)",
 * "no; owner=x". */
static struct text first_word(struct text value)
{
    size_t start = 0;
    while (start < value.length && is_blank(value.data[start])) {
        start++;
    }
    value = text_slice(value, start, value.length);
    size_t end = 0;
    while (end < value.length &&
           (ascii_is_alnum(value.data[end]) || value.data[end] == '-')) {
        end++;
    }
    return text_slice(value, 0, end);
}

static bool is_one_of_many(struct text word)
{
    return text_is_ignoring_case(word, "bulk") ||
           text_is_ignoring_case(word, "junk") ||
           text_is_ignoring_case(word, "list");
}

void automatic_read(struct text message, struct automatic_signs *out_signs)
{
    struct header_field field;
    *out_signs = (struct automatic_signs){ 0 };
    while (header_next(&message, &field)) {
        struct text word = first_word(field.value);
        if (text_is_ignoring_case(field.name, "Auto-Submitted")) {
            out_signs->is_automatic |=
                word.length > 0 && !text_is_ignoring_case(word, "no");
        } else if (text_is_ignoring_case(field.name, "Precedence")) {
            out_signs->is_bulk |= is_one_of_many(word);
        }
    }
}
