/* SPDX-License-Identifier: MIT */
/*
 * See mime.h. The open parts are the chain of parents of the innermost one, so
 * there is no stack besides the parts themselves. A line that begins with "--"
 * is compared with the boundaries of that chain, innermost first, whole line
 * against whole boundary (F7).
 */
#include "tracking/mime.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/header.h"
#include "tracking/line.h"

struct scanner {
    struct text message;
    struct text rest;
    size_t line_number; /* of the first line of rest */
    const struct mime_limits *limits;
    struct arena *arena;
    struct mime *mime;
    size_t capacity;
    size_t current; /* the innermost open part */
    bool in_header; /* of the current part */
};

/* --- values of Content-* fields --- */

/* Skip white space and comments (RFC 2045, 5.1; RFC 822, 3.4.3). */
static struct text skip_blank(struct text value)
{
    size_t depth = 0;
    size_t i = 0;
    for (; i < value.length; i++) {
        char byte = value.data[i];
        bool is_blank = byte == ' ' || byte == '\t';
        if (byte == '(') {
            depth++;
        } else if (depth == 0 && !is_blank) {
            break;
        } else if (byte == ')') {
            depth--;
        } else if (byte == '\\') {
            i++;
        }
    }
    return text_slice(value, i, value.length);
}

static size_t find_any(struct text text, const char *bytes)
{
    size_t i = 0;
    while (i < text.length &&
           (text.data[i] == '\0' || !strchr(bytes, text.data[i]))) {
        i++;
    }
    return i;
}

/* The first word of a value in lower case. */
static const char *take_keyword(struct arena *arena, struct text *value)
{
    struct text text = skip_blank(*value);
    size_t length = find_any(text, " \t;(");
    char *word = arena_copy_text(arena, text_slice(text, 0, length));
    for (size_t i = 0; i < length; i++) {
        word[i] = ascii_lower(word[i]);
    }
    *value = text_slice(text, length, text.length);
    return word;
}

/* "text/plain", also from "text / plain"; "" when it is none. */
static const char *take_type(struct arena *arena, struct text *value)
{
    size_t end = find_any(*value, ";(");
    char *type = arena_alloc(arena, end + 1);
    size_t length = 0;
    size_t slash_count = 0;
    for (size_t i = 0; i < end; i++) {
        char byte = value->data[i];
        if (byte != ' ' && byte != '\t') {
            type[length++] = ascii_lower(byte);
            slash_count += byte == '/';
        }
    }
    *value = text_slice(*value, end, value->length);
    bool is_type =
        slash_count == 1 && type[0] != '/' && type[length - 1] != '/';
    return is_type ? type : "";
}

/* Length of a quoted string with its quotes, or of all if it does not end. */
static size_t measure_quoted(struct text value)
{
    size_t i = 1;
    while (i < value.length && value.data[i] != '"') {
        i += value.data[i] == '\\' ? 2 : 1;
    }
    return i < value.length ? i + 1 : value.length;
}

/* Cut a quoted string off; quoted pairs lose their backslash. */
static char *take_quoted(struct arena *arena, struct text *value)
{
    size_t end = measure_quoted(*value);
    char *unquoted = arena_alloc(arena, end + 1);
    size_t length = 0;
    for (size_t i = 1; i < end && value->data[i] != '"'; i++) {
        if (value->data[i] == '\\' && i + 1 < end) {
            i++;
        }
        unquoted[length++] = value->data[i];
    }
    *value = text_slice(*value, end, value->length);
    return unquoted;
}

/* Cut a value off. Without quotes it may hold what it must not ("=", "?"):
 * such boundaries are common. */
static char *take_parameter_value(struct arena *arena, struct text *value)
{
    *value = skip_blank(*value);
    if (value->length > 0 && value->data[0] == '"') {
        return take_quoted(arena, value);
    }
    size_t length = find_any(*value, "; \t");
    char *word = arena_copy_text(arena, text_slice(*value, 0, length));
    *value = text_slice(*value, length, value->length);
    return word;
}

/* Where the next parameter begins; quoted strings are not looked into. */
static struct text skip_to_parameter(struct text value)
{
    value = skip_blank(value);
    while (value.length > 0 && value.data[0] != ';') {
        size_t skipped = value.data[0] == '"' ? measure_quoted(value) : 1;
        value = skip_blank(text_slice(value, skipped, value.length));
    }
    return skip_blank(text_slice(value, 1, value.length));
}

static const char *find_parameter(struct arena *arena, struct text unfolded,
                                  const char *name)
{
    struct text rest = unfolded;
    while (rest.length > 0) {
        rest = skip_to_parameter(rest);
        size_t length = find_any(rest, "= \t;(\"");
        struct text written = text_slice(rest, 0, length);
        rest = skip_blank(text_slice(rest, length, rest.length));
        if (rest.length == 0 || rest.data[0] != '=') {
            continue;
        }
        rest = text_slice(rest, 1, rest.length);
        const char *value = take_parameter_value(arena, &rest);
        if (text_is_ignoring_case(written, name)) {
            return value;
        }
    }
    return "";
}

const char *mime_parameter(struct arena *arena, struct text value,
                           const char *name)
{
    return find_parameter(arena, text_of(header_unfold(arena, value)), name);
}

static const struct encoding_name {
    const char *name;
    enum mime_encoding encoding;
} encoding_names[] = {
    { "", MIME_7BIT },
    { "7bit", MIME_7BIT },
    { "8bit", MIME_8BIT },
    { "binary", MIME_BINARY },
    { "quoted-printable", MIME_QUOTED_PRINTABLE },
    { "base64", MIME_BASE64 },
};

static enum mime_encoding find_encoding(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(encoding_names); i++) {
        if (strcmp(name, encoding_names[i].name) == 0) {
            return encoding_names[i].encoding;
        }
    }
    return MIME_ENCODING_UNKNOWN;
}

static bool is_sealing(const char *type)
{
    return strcmp(type, "multipart/signed") == 0 ||
           strcmp(type, "multipart/encrypted") == 0;
}

static struct text trim_end(struct text line)
{
    while (line.length > 0 && (line.data[line.length - 1] == ' ' ||
                               line.data[line.length - 1] == '\t')) {
        line.length--;
    }
    return line;
}

static struct text unfold(struct arena *arena, const struct header_field *field)
{
    return text_of(header_unfold(arena, field->value));
}

static void read_type(struct arena *arena, struct mime_part *part,
                      const struct header_field *field)
{
    struct text value = unfold(arena, field);
    const char *type = take_type(arena, &value);
    part->has_type = true;
    if (type[0] == '\0') {
        return; /* RFC 2045, 5.2: what cannot be read counts as not there */
    }
    part->type = type;
    part->charset = find_parameter(arena, value, "charset");
    part->is_sealed |= is_sealing(type);
    if (text_starts_with_ignoring_case(text_of(type), "multipart/")) {
        part->boundary = find_parameter(arena, value, "boundary");
        part->boundary_length = trim_end(text_of(part->boundary)).length;
    }
}

static void read_encoding(struct arena *arena, struct mime_part *part,
                          const struct header_field *field)
{
    struct text value = unfold(arena, field);
    part->has_encoding = true;
    part->encoding = find_encoding(take_keyword(arena, &value));
}

static void read_disposition(struct arena *arena, struct mime_part *part,
                             const struct header_field *field)
{
    struct text value = unfold(arena, field);
    part->has_disposition = true;
    part->disposition = take_keyword(arena, &value);
}

/* Of a field that is there twice the first counts. */
static void read_field(struct arena *arena, struct mime_part *part,
                       const struct header_field *field)
{
    struct text name = field->name;
    if (!part->has_type && text_is_ignoring_case(name, "Content-Type")) {
        read_type(arena, part, field);
    } else if (!part->has_encoding &&
               text_is_ignoring_case(name, "Content-Transfer-Encoding")) {
        read_encoding(arena, part, field);
    } else if (!part->has_disposition &&
               text_is_ignoring_case(name, "Content-Disposition")) {
        read_disposition(arena, part, field);
    }
}

/* --- parts --- */

static size_t position(const struct scanner *scanner)
{
    return (size_t)(scanner->rest.data - scanner->message.data);
}

static struct mime_part *current_part(const struct scanner *scanner)
{
    return &scanner->mime->parts[scanner->current];
}

static void grow_parts(struct scanner *scanner)
{
    struct mime *mime = scanner->mime;
    if (mime->part_count < scanner->capacity) {
        return;
    }
    scanner->capacity = scanner->capacity ? scanner->capacity * 2 : 8;
    struct mime_part *grown =
        arena_alloc(scanner->arena, scanner->capacity * sizeof(*grown));
    for (size_t i = 0; i < mime->part_count; i++) {
        grown[i] = mime->parts[i];
    }
    mime->parts = grown;
}

/* RFC 2046, 5.1.5: in a digest a part is a message if nothing is said. */
static const char *default_type(const struct mime_part *parent)
{
    return parent && strcmp(parent->type, "multipart/digest") == 0
               ? "message/rfc822"
               : "text/plain";
}

/* A part's header begins here. */
static bool open_part(struct scanner *scanner, size_t parent_index,
                      struct error *error)
{
    struct mime *mime = scanner->mime;
    if (mime->part_count >= scanner->limits->part_count_max) {
        return error_set(error, "The message has more than %zu parts",
                         scanner->limits->part_count_max);
    }
    grow_parts(scanner);
    const struct mime_part *parent =
        parent_index == MIME_NO_PARENT ? NULL : &mime->parts[parent_index];
    struct mime_part part = {
        .parent = parent_index,
        .depth = parent ? parent->depth + 1 : 0,
        .header_from = position(scanner),
        .type = default_type(parent),
        .charset = "",
        .boundary = "",
        .disposition = "",
        .is_enclosed = parent && (parent->is_enclosed || parent->is_message),
        .is_sealed = parent && parent->is_sealed,
    };
    if (part.depth > scanner->limits->depth_max) {
        return error_set(error, "The message nests its parts deeper than %zu",
                         scanner->limits->depth_max);
    }
    scanner->current = mime->part_count++;
    mime->parts[scanner->current] = part;
    scanner->in_header = true;
    return true;
}

/* The line break before a boundary belongs to it: RFC 2046, 5.1.1. */
static size_t without_line_end(const struct scanner *scanner, size_t from,
                               size_t to)
{
    const char *data = scanner->message.data;
    if (to > from && data[to - 1] == '\n') {
        to--;
        if (to > from && data[to - 1] == '\r') {
            to--;
        }
    }
    return to;
}

static void end_part(const struct scanner *scanner, struct mime_part *part,
                     size_t body_to)
{
    part->body_to = without_line_end(scanner, part->body_from, body_to);
}

/* A header that ends without an empty line has no body behind it, or one that
 * begins with the line that is no field. */
static void end_header(struct scanner *scanner, bool has_separator)
{
    struct mime_part *part = current_part(scanner);
    part->header_to = position(scanner);
    if (has_separator) {
        line_take(&scanner->rest);
        scanner->line_number++;
    }
    part->has_separator = has_separator;
    part->body_from = position(scanner);
    part->is_multipart = part->boundary_length > 0;
    part->is_message = (strcmp(part->type, "message/rfc822") == 0 ||
                        strcmp(part->type, "message/global") == 0) &&
                       part->encoding <= MIME_BINARY;
    scanner->in_header = false;
}

/* --- boundaries --- */

/* Whether a line (its "--" cut off, trimmed) is this part's boundary, exactly.
 * Lengths are compared first: a line never costs more than its own length. */
static bool is_boundary(struct text line, const struct mime_part *part,
                        bool *out_final)
{
    size_t length = part->boundary_length;
    *out_final = line.length == length + 2;
    if (line.length != length && !*out_final) {
        return false;
    }
    return memcmp(line.data, part->boundary, length) == 0 &&
           (!*out_final || memcmp(line.data + length, "--", 2) == 0);
}

/* The open multipart whose boundary this line (it begins with "--") is, or
 * MIME_NO_PARENT. */
static size_t find_boundary(const struct scanner *scanner, struct text line,
                            bool *out_final)
{
    struct text wanted =
        trim_end((struct text){ line.data + 2, line.length - 2 });
    size_t index = scanner->current;
    if (scanner->in_header) {
        index = scanner->mime->parts[index].parent;
    }
    while (index != MIME_NO_PARENT) {
        const struct mime_part *part = &scanner->mime->parts[index];
        if (part->is_multipart && !part->is_closed &&
            is_boundary(wanted, part, out_final)) {
            return index;
        }
        index = part->parent;
    }
    return MIME_NO_PARENT;
}

/* End all that is open inside a multipart, at the boundary line here. */
static void close_inside(struct scanner *scanner, size_t multipart_index)
{
    if (scanner->in_header) {
        end_header(scanner, false);
    }
    while (scanner->current != multipart_index) {
        struct mime_part *part = current_part(scanner);
        end_part(scanner, part, position(scanner));
        scanner->current = part->parent;
    }
}

/* Eight at a time: every byte of a message passes here. */
static bool has_8bit(struct text line)
{
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= line.length; i += sizeof(uint64_t)) {
        uint64_t bytes;
        memcpy(&bytes, line.data + i, sizeof(bytes));
        if (bytes & UINT64_C(0x8080808080808080)) {
            return true;
        }
    }
    return text_has_8bit(text_slice(line, i, line.length));
}

static void note_body_line(struct mime_part *part, struct text line,
                           size_t number)
{
    if (part->long_body_line == 0 && line.length > LINE_OCTETS_MAX) {
        part->long_body_line = number;
    }
    if (part->body_line_8bit == 0 && has_8bit(line)) {
        part->body_line_8bit = number;
    }
}

static void note_header_lines(struct mime_part *part, struct text lines,
                              size_t first_number)
{
    for (size_t number = first_number; lines.length > 0; number++) {
        struct text line = line_content(line_take(&lines));
        if (part->long_header_line == 0 && line.length > LINE_OCTETS_MAX) {
            part->long_header_line = number;
        }
        if (part->header_line_8bit == 0 && text_has_8bit(line)) {
            part->header_line_8bit = number;
        }
    }
}

/* --- the pass --- */

/* Take a boundary line, if one is here. *out_taken says whether. */
static bool take_boundary(struct scanner *scanner, bool *out_taken,
                          struct error *error)
{
    struct text behind = scanner->rest;
    *out_taken = false;
    if (behind.length < 2 || memcmp(behind.data, "--", 2) != 0) {
        return true;
    }
    struct text line = line_content(line_take(&behind));
    bool is_final = false;
    size_t index = find_boundary(scanner, line, &is_final);
    if (index == MIME_NO_PARENT) {
        return true;
    }
    *out_taken = true;
    close_inside(scanner, index);
    note_body_line(current_part(scanner), line, scanner->line_number);
    scanner->rest = behind;
    scanner->line_number++;
    if (is_final) {
        current_part(scanner)->is_closed = true;
        return true;
    }
    return open_part(scanner, index, error);
}

/* Take a field, or end the header. */
static bool take_header(struct scanner *scanner, struct error *error)
{
    struct header_field field;
    if (header_next(&scanner->rest, &field)) {
        struct mime_part *part = current_part(scanner);
        note_header_lines(part, field.whole, scanner->line_number);
        scanner->line_number += line_count(field.whole);
        read_field(scanner->arena, part, &field);
        return true;
    }
    struct text behind = scanner->rest;
    struct text line = line_take(&behind);
    end_header(scanner, line.length > 0 && line_content(line).length == 0);
    if (current_part(scanner)->is_message) {
        return open_part(scanner, scanner->current, error);
    }
    return true;
}

static void take_body_line(struct scanner *scanner)
{
    struct text line = line_content(line_take(&scanner->rest));
    note_body_line(current_part(scanner), line, scanner->line_number);
    scanner->line_number++;
}

static bool take_line(struct scanner *scanner, struct error *error)
{
    bool is_boundary_line = false;
    if (!take_boundary(scanner, &is_boundary_line, error)) {
        return false;
    }
    if (is_boundary_line) {
        return true;
    }
    if (scanner->in_header) {
        return take_header(scanner, error);
    }
    take_body_line(scanner);
    return true;
}

/* What no final boundary ended ends with the message. */
static void finish(struct scanner *scanner)
{
    if (scanner->in_header) {
        end_header(scanner, false);
    }
    size_t index = scanner->current;
    while (index != MIME_NO_PARENT) {
        struct mime_part *part = &scanner->mime->parts[index];
        part->body_to = scanner->message.length;
        index = part->parent;
    }
}

bool mime_scan(struct text message, const struct mime_limits *limits,
               struct arena *arena, struct mime *out_mime, struct error *error)
{
    *out_mime = (struct mime){ 0 };
    struct scanner scanner = {
        .message = message,
        .rest = message,
        .line_number = 1,
        .limits = limits,
        .arena = arena,
        .mime = out_mime,
    };
    if (!open_part(&scanner, MIME_NO_PARENT, error)) {
        return false;
    }
    while (scanner.rest.length > 0) {
        if (!take_line(&scanner, error)) {
            return false;
        }
    }
    finish(&scanner);
    return true;
}

struct text mime_part_body(struct text message, const struct mime_part *part)
{
    return text_slice(message, part->body_from, part->body_to);
}
