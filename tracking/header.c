/* SPDX-License-Identifier: MIT */
/*
 * See header.h. The address list is read token by token (RFC 5322, 3.2 and
 * 3.4); comments nest by a counter, nothing recurses.
 */
#include "tracking/header.h"

#include <string.h>

#include "core/address.h"
#include "tracking/line.h"

/* RFC 5322, 2.2: printable US-ASCII except the colon. */
static bool is_name_byte(char byte)
{
    return byte > 32 && byte < 127 && byte != ':';
}

/* Length of the name at the start of a line, 0 if no field begins here. White
 * space before the colon is obsolete syntax (RFC 5322, 4.5) and accepted. */
static size_t measure_name(struct text line, size_t *out_colon)
{
    size_t length = 0;
    while (length < line.length && is_name_byte(line.data[length])) {
        length++;
    }
    size_t colon = length;
    while (colon < line.length &&
           (line.data[colon] == ' ' || line.data[colon] == '\t')) {
        colon++;
    }
    if (colon == line.length || line.data[colon] != ':') {
        return 0;
    }
    *out_colon = colon;
    return length;
}

bool header_next(struct text *rest, struct header_field *out_field)
{
    struct text behind = *rest;
    struct text line = line_take(&behind);
    size_t colon = 0;
    size_t name_length = measure_name(line_content(line), &colon);
    if (name_length == 0) {
        return false;
    }
    size_t length = line.length;
    while (line_is_folded(behind)) {
        length += line_take(&behind).length;
    }
    struct text whole = { rest->data, length };
    *out_field = (struct header_field){
        .whole = whole,
        .name = { whole.data, name_length },
        .value = text_slice(line_content(whole), colon + 1, length),
    };
    *rest = behind;
    return true;
}

static bool is_separator(struct text line)
{
    return line.length > 0 && line_content(line).length == 0;
}

/* Say why a line that should begin a field does not. */
static bool refuse_line(struct text line, size_t number, struct error *error)
{
    if (number == 1 && text_starts_with_ignoring_case(line, "From ")) {
        return error_set(error, "Line 1 of the message is the \"From \" line "
                                "of a mailbox file, not a header field; "
                                "leave it out");
    }
    if (line_is_folded(line)) {
        return error_set(error, "Line 1 of the message begins with white "
                                "space, but there is no header field that it "
                                "could continue");
    }
    return error_set(error,
                     "Line %zu of the message is no header field: it has no "
                     "colon behind a field name; an empty line must end the "
                     "header",
                     number);
}

/* Find the end of the header and count its fields, within the limits. */
static bool measure_header(struct text message,
                           const struct header_limits *limits,
                           struct header *header, struct error *error)
{
    struct text rest = message;
    struct header_field field;
    while (header_next(&rest, &field)) {
        header->field_count++;
        header->whole.length += field.whole.length;
        header->exceeds_limits =
            header->whole.length > limits->size_bytes_max ||
            header->field_count > limits->field_count_max;
        if (header->exceeds_limits) {
            return error_set(error,
                             "The message header is larger than %zu bytes or "
                             "has more than %zu fields",
                             limits->size_bytes_max, limits->field_count_max);
        }
    }
    struct text line = line_take(&rest);
    if (line.length > 0 && !is_separator(line)) {
        return refuse_line(line, line_count(header->whole) + 1, error);
    }
    header->has_separator = line.length > 0;
    header->body = rest;
    return true;
}

bool header_parse(struct text message, const struct header_limits *limits,
                  struct arena *arena, struct header *out_header,
                  struct error *error)
{
    *out_header = (struct header){ .whole = { message.data, 0 } };
    if (!measure_header(message, limits, out_header, error)) {
        return false;
    }
    out_header->fields = arena_alloc(arena, (out_header->field_count + 1) *
                                                sizeof(struct header_field));
    struct text rest = out_header->whole;
    for (size_t i = 0; i < out_header->field_count; i++) {
        if (!header_next(&rest, &out_header->fields[i])) {
            break;
        }
    }
    return true;
}

const struct header_field *header_find(const struct header *header,
                                       const char *name)
{
    for (size_t i = 0; i < header->field_count; i++) {
        if (text_is_ignoring_case(header->fields[i].name, name)) {
            return &header->fields[i];
        }
    }
    return NULL;
}

size_t header_count(const struct header *header, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < header->field_count; i++) {
        count += text_is_ignoring_case(header->fields[i].name, name);
    }
    return count;
}

char *header_unfold(struct arena *arena, struct text value)
{
    char *unfolded = arena_alloc(arena, value.length + 1);
    size_t length = 0;
    while (value.length > 0) {
        struct text content = line_content(line_take(&value));
        if (content.length > 0) {
            memcpy(unfolded + length, content.data, content.length);
        }
        length += content.length;
    }
    struct text trimmed = text_trim((struct text){ unfolded, length });
    memmove(unfolded, trimmed.data, trimmed.length);
    unfolded[trimmed.length] = '\0';
    return unfolded;
}

/* --- address lists --- */

enum token_kind {
    TOKEN_END,
    TOKEN_ATOM,
    TOKEN_QUOTED, /* with its quotes */
    TOKEN_LITERAL, /* with its brackets */
    TOKEN_SPECIAL, /* one byte */
    TOKEN_UNFINISHED, /* a comment, quoted string or literal without end */
};

struct token {
    enum token_kind kind;
    struct text text;
};

/* One item of the list: a mailbox, or a display name until its "<". */
struct item {
    char *text; /* without comments and white space */
    size_t length;
    size_t at_offset; /* of the first "@" */
    size_t at_count;
    bool last_was_word;
    bool is_phrase; /* two words side by side: can only be a display name */
    bool has_foreign_word; /* "[…]" before the "@", a quoted string behind */
};

struct list_reader {
    struct text rest;
    struct item item;
    bool in_angle;
    bool had_angle;
    bool in_group;
    struct arena *arena;
    char **addresses;
    size_t count;
    size_t capacity;
};

/* Bytes up to and with the closing byte, quoted pairs skipped; 0: no end. */
static size_t measure_enclosed(struct text text, char closing)
{
    for (size_t i = 1; i < text.length; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == closing) {
            return i + 1;
        }
    }
    return 0;
}

static size_t measure_comment(struct text text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == '(') {
            depth++;
        } else if (text.data[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* Skip white space and comments; false at a comment without end. */
static bool skip_blank(struct text *rest)
{
    for (;;) {
        *rest = text_trim(*rest);
        if (rest->length == 0 || rest->data[0] != '(') {
            return true;
        }
        size_t length = measure_comment(*rest);
        if (length == 0) {
            return false;
        }
        *rest = text_slice(*rest, length, rest->length);
    }
}

static bool is_special(char byte)
{
    return byte != '\0' && strchr("()<>[]:;@\\,.\"", byte);
}

static size_t measure_atom(struct text text)
{
    size_t length = 0;
    while (length < text.length && !is_special(text.data[length]) &&
           text.data[length] != ' ' && text.data[length] != '\t') {
        length++;
    }
    return length;
}

static struct token next_token(struct text *rest)
{
    if (!skip_blank(rest)) {
        return (struct token){ .kind = TOKEN_UNFINISHED };
    }
    if (rest->length == 0) {
        return (struct token){ .kind = TOKEN_END };
    }
    enum token_kind kind = TOKEN_SPECIAL;
    size_t length = 1;
    if (rest->data[0] == '"') {
        kind = TOKEN_QUOTED;
        length = measure_enclosed(*rest, '"');
    } else if (rest->data[0] == '[') {
        kind = TOKEN_LITERAL;
        length = measure_enclosed(*rest, ']');
    } else if (!is_special(rest->data[0])) {
        kind = TOKEN_ATOM;
        length = measure_atom(*rest);
    }
    if (length == 0) {
        return (struct token){ .kind = TOKEN_UNFINISHED };
    }
    struct token token = { kind, { rest->data, length } };
    *rest = text_slice(*rest, length, rest->length);
    return token;
}

static void append_to_item(struct item *item, struct text text)
{
    memcpy(item->text + item->length, text.data, text.length);
    item->length += text.length;
}

static void clear_item(struct item *item)
{
    *item = (struct item){ .text = item->text };
}

static void add_address(struct list_reader *reader, struct text address)
{
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 4;
        char **grown =
            arena_alloc(reader->arena, capacity * sizeof(*reader->addresses));
        for (size_t i = 0; i < reader->count; i++) {
            grown[i] = reader->addresses[i];
        }
        reader->addresses = grown;
        reader->capacity = capacity;
    }
    reader->addresses[reader->count++] =
        arena_copy_text(reader->arena, address);
}

/* No empty label. The local part is not looked into: addresses with two dots
 * in a row exist and are delivered. */
static bool is_domain(struct text domain)
{
    bool in_label = false;
    for (size_t i = 0; i < domain.length; i++) {
        if (domain.data[i] == '.' && !in_label) {
            return false;
        }
        in_label = domain.data[i] != '.';
    }
    return in_label;
}

static bool has_control(const struct item *item)
{
    for (size_t i = 0; i < item->length; i++) {
        unsigned char byte = (unsigned char)item->text[i];
        if (byte < 32 || byte == 127) {
            return true;
        }
    }
    return false;
}

static bool is_address(const struct item *item)
{
    if (item->at_count != 1 || item->at_offset == 0 || item->is_phrase ||
        item->has_foreign_word || item->length > ADDRESS_TEXT_MAX ||
        has_control(item)) {
        return false;
    }
    struct text domain = { item->text + item->at_offset + 1,
                           item->length - item->at_offset - 1 };
    return domain.length > 0 && (domain.data[0] == '[' || is_domain(domain));
}

/* At the end of an item. An empty one is obsolete syntax (RFC 5322, 4.4). */
static bool finish_item(struct list_reader *reader, struct error *error)
{
    struct item *item = &reader->item;
    if (item->length > 0 || reader->had_angle) {
        if (!is_address(item)) {
            return error_set(error,
                             "address %zu of the list is not of the "
                             "form local@domain",
                             reader->count + 1);
        }
        add_address(reader, (struct text){ item->text, item->length });
    }
    clear_item(item);
    reader->had_angle = false;
    return true;
}

static bool refuse_byte(char byte, struct error *error)
{
    return error_set(error, "\"%c\" stands at an unexpected place", byte);
}

static bool read_word(struct list_reader *reader, const struct token *token,
                      struct error *error)
{
    struct item *item = &reader->item;
    if (reader->had_angle) {
        return error_set(error, "there is text behind \">\" where a comma is "
                                "expected");
    }
    enum token_kind foreign = item->at_count ? TOKEN_QUOTED : TOKEN_LITERAL;
    item->has_foreign_word |= token->kind == foreign;
    item->is_phrase |= item->last_was_word;
    item->last_was_word = true;
    append_to_item(item, token->text);
    return true;
}

/* "." and "@". */
static bool read_joint(struct list_reader *reader, const struct token *token,
                       struct error *error)
{
    struct item *item = &reader->item;
    char byte = token->text.data[0];
    if (reader->had_angle) {
        return refuse_byte(byte, error);
    }
    if (byte == '@' && item->at_count++ == 0) {
        item->at_offset = item->length;
    }
    item->last_was_word = false;
    append_to_item(item, token->text);
    return true;
}

static bool open_angle(struct list_reader *reader, struct error *error)
{
    if (reader->in_angle || reader->had_angle) {
        return refuse_byte('<', error);
    }
    clear_item(&reader->item);
    reader->in_angle = true;
    return true;
}

static bool close_angle(struct list_reader *reader, struct error *error)
{
    if (!reader->in_angle) {
        return refuse_byte('>', error);
    }
    reader->in_angle = false;
    reader->had_angle = true;
    return true;
}

/* A source route in front of an address (RFC 5322, 4.4): "<@a,@b:c@d>". */
static bool is_route(const struct list_reader *reader)
{
    return reader->in_angle && reader->item.length > 0 &&
           reader->item.text[0] == '@';
}

static bool read_colon(struct list_reader *reader, struct error *error)
{
    bool is_group = !reader->in_angle && !reader->had_angle &&
                    !reader->in_group && reader->item.length > 0;
    if (!is_group && !is_route(reader)) {
        return refuse_byte(':', error);
    }
    reader->in_group |= is_group;
    clear_item(&reader->item);
    return true;
}

static bool read_comma(struct list_reader *reader, struct error *error)
{
    if (is_route(reader)) {
        return true;
    }
    if (reader->in_angle) {
        return refuse_byte(',', error);
    }
    return finish_item(reader, error);
}

static bool close_group(struct list_reader *reader, struct error *error)
{
    if (!reader->in_group || reader->in_angle) {
        return refuse_byte(';', error);
    }
    reader->in_group = false;
    return finish_item(reader, error);
}

static bool read_special(struct list_reader *reader, const struct token *token,
                         struct error *error)
{
    switch (token->text.data[0]) {
    case '.':
    case '@':
        return read_joint(reader, token, error);
    case '<':
        return open_angle(reader, error);
    case '>':
        return close_angle(reader, error);
    case ':':
        return read_colon(reader, error);
    case ',':
        return read_comma(reader, error);
    case ';':
        return close_group(reader, error);
    default:
        return refuse_byte(token->text.data[0], error);
    }
}

static bool finish_list(struct list_reader *reader, struct error *error)
{
    if (reader->in_angle) {
        return error_set(error, "a \"<\" has no \">\"");
    }
    if (reader->in_group) {
        return error_set(error, "a group of addresses has no \";\" at its end");
    }
    return finish_item(reader, error);
}

bool header_addresses(struct arena *arena, struct text value,
                      char ***out_addresses, size_t *out_count,
                      struct error *error)
{
    struct list_reader reader = {
        .rest = text_of(header_unfold(arena, value)),
        .item.text = arena_alloc(arena, value.length + 1),
        .arena = arena,
    };
    struct token token = next_token(&reader.rest);
    for (; token.kind != TOKEN_END; token = next_token(&reader.rest)) {
        if (token.kind == TOKEN_UNFINISHED) {
            return error_set(error, "a comment, quoted string or domain "
                                    "literal is not closed");
        }
        bool is_read = token.kind == TOKEN_SPECIAL
                           ? read_special(&reader, &token, error)
                           : read_word(&reader, &token, error);
        if (!is_read) {
            return false;
        }
    }
    if (!finish_list(&reader, error)) {
        return false;
    }
    *out_addresses = reader.addresses;
    *out_count = reader.count;
    return true;
}
