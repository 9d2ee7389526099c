/* SPDX-License-Identifier: MIT */
/* Binary values and arrays, as array_recv and its kin read them. */
#include "sql/parameters.h"

#include <string.h>

#include "core/memory.h"
#include "sql/binary.h"

#define ARRAY_HEADER_BYTES 20
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

void parameters_free(struct parameters *parameters)
{
    for (size_t i = 0; i < PARAMETERS_MAX; i++) {
        buffer_free(&parameters->values[i].bytes);
    }
    memset(parameters, 0, sizeof(*parameters));
}

void parameters_clear(struct parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++) {
        buffer_clear(&parameters->values[i].bytes);
        parameters->values[i].is_null = false;
        parameters->values[i].is_array = false;
        parameters->values[i].has_null_element = false;
    }
    parameters->count = 0;
    parameters->row_count = 0;
    parameters->cursor = 0;
    parameters->size_bytes = 0;
    parameters->lowest_id = INT64_MAX;
    parameters->highest_id = INT64_MIN;
}

/* Length of the well-formed UTF-8 sequence (RFC 3629) at the start of bytes
 * that begin with an 8-bit octet, or 0. */
static size_t sequence_length(struct text bytes)
{
    for (size_t length = 2; length <= 4 && length <= bytes.length; length++) {
        if (text_is_utf8(text_slice(bytes, 0, length))) {
            return length;
        }
    }
    return 0;
}

/* PostgreSQL takes no text that is not UTF-8 or has a NUL. */
static void append_repaired(struct buffer *buffer, struct text text)
{
    size_t i = 0;
    while (i < text.length) {
        unsigned char byte = (unsigned char)text.data[i];
        size_t length = byte == 0 ? 0
                        : byte < 128
                            ? 1
                            : sequence_length(text_slice(text, i, text.length));
        if (length == 0) {
            buffer_append_string(buffer, REPLACEMENT);
            i++;
        } else {
            buffer_append(buffer, text.data + i, length);
            i += length;
        }
    }
}

static bool is_storable(struct text text)
{
    if (text.length == 0) {
        return true;
    }
    return memchr(text.data, 0, text.length) == NULL &&
           (!text_has_8bit(text) || text_is_utf8(text));
}

/* -- scalars -- */

static struct parameter *add_scalar(struct parameters *parameters)
{
    check(parameters->count < PARAMETERS_MAX && parameters->cursor == 0);
    return &parameters->values[parameters->count++];
}

void parameter_int64(struct parameters *parameters, int64_t value)
{
    binary_append_int64(&add_scalar(parameters)->bytes, value);
}

void parameter_int32(struct parameters *parameters, int32_t value)
{
    binary_append_int32(&add_scalar(parameters)->bytes, value);
}

void parameter_boolean(struct parameters *parameters, bool value)
{
    buffer_append_byte(&add_scalar(parameters)->bytes, value ? 1 : 0);
}

void parameter_instant(struct parameters *parameters, int64_t at)
{
    parameter_int64(parameters, at - BINARY_EPOCH_AT);
}

void parameter_text(struct parameters *parameters, const char *text)
{
    struct parameter *parameter = add_scalar(parameters);
    parameter->is_null = text == NULL;
    /* libpq wants a pointer that is not NULL for an empty value. */
    buffer_reserve(&parameter->bytes, 1);
    if (text != NULL) {
        append_repaired(&parameter->bytes, text_of(text));
    }
}

static struct buffer *add_array(struct parameters *parameters, int32_t type,
                                size_t count)
{
    struct buffer *bytes = &add_scalar(parameters)->bytes;
    binary_append_int32(bytes, count > 0 ? 1 : 0); /* dimensions */
    binary_append_int32(bytes, 0); /* no NULL */
    binary_append_int32(bytes, type);
    if (count > 0) {
        binary_append_int32(bytes, (int32_t)count);
        binary_append_int32(bytes, 1); /* its lower bound */
    }
    return bytes;
}

void parameter_int64s(struct parameters *parameters, const int64_t *values,
                      size_t count)
{
    struct buffer *bytes = add_array(parameters, TYPE_INT8, count);
    for (size_t i = 0; i < count; i++) {
        binary_append_int32(bytes, 8);
        binary_append_int64(bytes, values[i]);
    }
}

void parameter_texts(struct parameters *parameters, const char *const *texts,
                     size_t count)
{
    struct buffer *bytes = add_array(parameters, TYPE_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        struct buffer repaired = { 0 };
        append_repaired(&repaired, text_of(texts[i]));
        binary_append_int32(bytes, (int32_t)repaired.length);
        buffer_append_text(bytes, buffer_text(&repaired));
        buffer_free(&repaired);
    }
}

/* -- columns -- */

static struct parameter *next_column(struct parameters *parameters,
                                     uint32_t element_type)
{
    check(parameters->cursor < PARAMETERS_MAX);
    struct parameter *column = &parameters->values[parameters->cursor++];
    if (parameters->row_count == 0) {
        static const char empty_header[ARRAY_HEADER_BYTES];
        check(parameters->count == parameters->cursor - 1);
        parameters->count = parameters->cursor;
        column->is_array = true;
        column->element_type = element_type;
        buffer_append(&column->bytes, empty_header, ARRAY_HEADER_BYTES);
    }
    check(column->is_array && column->element_type == element_type);
    return column;
}

static void add_null(struct parameters *parameters, struct parameter *column)
{
    column->has_null_element = true;
    binary_append_int32(&column->bytes, -1);
    parameters->size_bytes += 4;
}

static void add_element(struct parameters *parameters, struct parameter *column,
                        struct text bytes)
{
    binary_append_int32(&column->bytes, (int32_t)bytes.length);
    buffer_append_text(&column->bytes, bytes);
    parameters->size_bytes += 4 + bytes.length;
}

static void add_int64(struct parameters *parameters, struct parameter *column,
                      int64_t value)
{
    binary_append_int32(&column->bytes, 8);
    binary_append_int64(&column->bytes, value);
    parameters->size_bytes += 12;
}

void column_int64(struct parameters *parameters, int64_t value)
{
    add_int64(parameters, next_column(parameters, TYPE_INT8), value);
}

void column_id(struct parameters *parameters, int64_t id)
{
    column_int64(parameters, id);
    parameters->lowest_id =
        id < parameters->lowest_id ? id : parameters->lowest_id;
    parameters->highest_id =
        id > parameters->highest_id ? id : parameters->highest_id;
}

void column_int64_or_null(struct parameters *parameters, int64_t value)
{
    struct parameter *column = next_column(parameters, TYPE_INT8);
    if (value == 0) {
        add_null(parameters, column);
    } else {
        add_int64(parameters, column, value);
    }
}

void column_int32(struct parameters *parameters, int32_t value)
{
    struct parameter *column = next_column(parameters, TYPE_INT4);
    binary_append_int32(&column->bytes, 4);
    binary_append_int32(&column->bytes, value);
    parameters->size_bytes += 8;
}

void column_int16(struct parameters *parameters, int value)
{
    char bytes[2] = { (char)((unsigned)value >> 8), (char)value };
    add_element(parameters, next_column(parameters, TYPE_INT2),
                (struct text){ bytes, sizeof(bytes) });
}

void column_boolean(struct parameters *parameters, bool value)
{
    char byte = value ? 1 : 0;
    add_element(parameters, next_column(parameters, TYPE_BOOL),
                (struct text){ &byte, 1 });
}

void column_instant(struct parameters *parameters, int64_t at)
{
    add_int64(parameters, next_column(parameters, TYPE_TIMESTAMPTZ),
              at - BINARY_EPOCH_AT);
}

static void add_text(struct parameters *parameters, struct parameter *column,
                     struct text text)
{
    if (is_storable(text)) {
        add_element(parameters, column, text);
        return;
    }
    struct buffer repaired = { 0 };
    append_repaired(&repaired, text);
    add_element(parameters, column, buffer_text(&repaired));
    buffer_free(&repaired);
}

void column_text(struct parameters *parameters, const char *text)
{
    struct parameter *column = next_column(parameters, TYPE_TEXT);
    if (text == NULL) {
        add_null(parameters, column);
    } else {
        add_text(parameters, column, text_of(text));
    }
}

void column_text_view(struct parameters *parameters, struct text text)
{
    add_text(parameters, next_column(parameters, TYPE_TEXT), text);
}

void column_json(struct parameters *parameters, const char *json)
{
    struct parameter *column = next_column(parameters, TYPE_TEXT);
    if (json == NULL || strstr(json, "\\u0000") == NULL) {
        add_text(parameters, column, text_of(json == NULL ? "{}" : json));
        return;
    }
    char *copy = memory_copy_string(json);
    for (char *c = copy; *c != '\0'; c++) {
        if (*c == '\\' && c[1] != '\0') {
            if (strncmp(c, "\\u0000", 6) == 0) {
                memcpy(c, "\\ufffd", 6);
            }
            c++; /* an escaped backslash begins nothing */
        }
    }
    add_text(parameters, column, text_of(copy));
    memory_free(copy);
}

void column_bytes(struct parameters *parameters, struct text bytes)
{
    add_element(parameters, next_column(parameters, TYPE_BYTEA), bytes);
}

static void write_header(struct parameter *column, size_t row_count)
{
    char *header = column->bytes.data;
    binary_write_int32(header, 1); /* dimensions */
    binary_write_int32(header + 4, column->has_null_element ? 1 : 0);
    binary_write_int32(header + 8, (int32_t)column->element_type);
    binary_write_int32(header + 12, (int32_t)row_count);
    binary_write_int32(header + 16, 1); /* lower bound */
}

void row_end(struct parameters *parameters)
{
    check(parameters->cursor == parameters->count);
    parameters->cursor = 0;
    parameters->row_count++;
    for (size_t i = 0; i < parameters->count; i++) {
        write_header(&parameters->values[i], parameters->row_count);
    }
}
