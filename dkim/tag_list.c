/* SPDX-License-Identifier: MIT */
#include "dkim/tag_list.h"

#define TAGS_MAX 64

static bool is_white(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct text tag_trim(struct text text)
{
    while (text.length > 0 && is_white(text.data[0])) {
        text = text_slice(text, 1, text.length);
    }
    while (text.length > 0 && is_white(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

void tag_append_unfolded(struct text value, struct buffer *out)
{
    for (size_t i = 0; i < value.length; i++) {
        if (!is_white(value.data[i])) {
            buffer_append_byte(out, value.data[i]);
        }
    }
}

bool tag_next(struct text *rest, struct tag *out_tag)
{
    struct text piece = { 0 };
    do {
        if (!text_split(rest, ';', &piece)) {
            return false;
        }
        piece = tag_trim(piece);
    } while (piece.length == 0);
    size_t equals = text_find_byte(piece, '=');
    *out_tag = (struct tag){ .value = piece };
    if (equals < piece.length) {
        out_tag->name = tag_trim(text_slice(piece, 0, equals));
        out_tag->value = tag_trim(text_slice(piece, equals + 1, piece.length));
    }
    return true;
}

bool tag_find(struct text list, const char *name, struct text *out_value)
{
    struct tag tag;
    while (tag_next(&list, &tag)) {
        if (text_is(tag.name, name)) {
            *out_value = tag.value;
            return true;
        }
    }
    *out_value = (struct text){ 0 };
    return false;
}

static bool is_name(struct text name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (!ascii_is_alnum(name.data[i]) && name.data[i] != '_') {
            return false;
        }
    }
    return name.length > 0 && !ascii_is_digit(name.data[0]) &&
           name.data[0] != '_';
}

bool tag_list_is_lawful(struct text list)
{
    struct text names[TAGS_MAX];
    size_t count = 0;
    struct tag tag;
    while (tag_next(&list, &tag)) {
        if (count == TAGS_MAX || !is_name(tag.name)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (text_equal(names[i], tag.name)) {
                return false;
            }
        }
        names[count++] = tag.name;
    }
    return true;
}
