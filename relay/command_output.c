/* SPDX-License-Identifier: MIT */
/*
 * What commands print. Much of it was written by strangers (subjects, replies,
 * host names): no control character of theirs reaches the terminal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "relay/command_internal.h"

/* Octets of the character at c, 0 for one that is not printed. The value is
 * UTF-8, as PostgreSQL has checked; U+0080 to U+009F are controls, U+202A to
 * U+202E and U+2066 to U+2069 turn the direction of what follows. */
static size_t printable_length(const char *c)
{
    unsigned char first = (unsigned char)c[0];
    unsigned char second = first != 0 ? (unsigned char)c[1] : 0;
    if (first < 0x80) {
        return first >= ' ' && first != 0x7f ? 1 : 0;
    }
    if (first == 0xc2 && second < 0xa0) {
        return 0;
    }
    if (first == 0xe2 && second != 0) {
        unsigned char third = (unsigned char)c[2];
        if ((second == 0x80 && third >= 0xaa && third <= 0xae) ||
            (second == 0x81 && third >= 0xa6 && third <= 0xa9)) {
            return 0;
        }
    }
    size_t length = 1;
    while (((unsigned char)c[length] & 0xc0) == 0x80) {
        length++;
    }
    return length;
}

static size_t next_character(const char *c)
{
    size_t length = 1;
    while (((unsigned char)c[length] & 0xc0) == 0x80) {
        length++;
    }
    return length;
}

/* Returns how many columns it took. */
static size_t print_until(const char *text, const char *end)
{
    size_t width = 0;
    for (const char *c = text; c < end; c += next_character(c)) {
        size_t length = printable_length(c);
        if (length == 0) {
            putchar('?');
        } else {
            fwrite(c, 1, length, stdout);
        }
        width++;
    }
    return width;
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (const char *c = text; *c != '\0'; c += next_character(c)) {
        width++;
    }
    return width;
}

void output_text(const char *text)
{
    print_until(text, text + strlen(text));
}

/* Octets of the UTF-8 character that the text begins with, 0 if it begins with
 * none. */
static size_t character_length(struct text text)
{
    for (size_t length = 1; length <= 4 && length <= text.length; length++) {
        if (text_is_utf8(text_slice(text, 0, length))) {
            return length;
        }
    }
    return 0;
}

static void put_character(struct text character)
{
    char copy[5] = "";
    memcpy(copy, character.data, character.length);
    if (copy[0] == '\n' || copy[0] == '\t') {
        putchar(copy[0]);
    } else if (copy[0] != '\r') {
        fputs(printable_length(copy) > 0 ? copy : "?", stdout);
    }
}

void output_bytes(struct text text)
{
    while (text.length > 0) {
        size_t length = character_length(text);
        if (length == 0) {
            putchar('?');
            length = 1;
        } else {
            put_character(text_slice(text, 0, length));
        }
        text = text_slice(text, length, text.length);
    }
}

json_t *output_text_json(struct text text)
{
    struct buffer clean = { 0 };
    while (text.length > 0) {
        size_t length = character_length(text);
        if (length == 0) {
            buffer_append_string(&clean, "\xef\xbf\xbd");
            length = 1;
        } else {
            buffer_append(&clean, text.data, length);
        }
        text = text_slice(text, length, text.length);
    }
    json_t *json =
        json_stringn(clean.data != NULL ? clean.data : "", clean.length);
    buffer_free(&clean);
    return json;
}

void output_lines(const char *text, const char *indent)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        size_t shown = length;
        if (shown > 0 && text[shown - 1] == '\r') {
            shown--;
        }
        fputs(indent, stdout);
        print_until(text, text + shown);
        putchar('\n');
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

void output_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

static const char *shown_value(const struct admin_table *table, size_t row,
                               const char *column)
{
    return admin_is_null(table, row, column) ? "-"
                                             : admin_value(table, row, column);
}

static void print_cell(const char *text, size_t width, bool is_last)
{
    size_t printed = print_until(text, text + strlen(text));
    for (; !is_last && printed < width + 2; printed++) {
        putchar(' ');
    }
}

static void print_columns(const struct admin_table *table,
                          const char *const *names, size_t columns)
{
    size_t rows = admin_row_count(table);
    size_t *widths = memory_alloc_array(columns, sizeof(*widths));
    for (size_t c = 0; c < columns; c++) {
        widths[c] = width_of(names[c]);
        for (size_t r = 0; r < rows; r++) {
            size_t width = width_of(shown_value(table, r, names[c]));
            widths[c] = width > widths[c] ? width : widths[c];
        }
        print_cell(names[c], widths[c], c + 1 == columns);
    }
    putchar('\n');
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            print_cell(shown_value(table, r, names[c]), widths[c],
                       c + 1 == columns);
        }
        putchar('\n');
    }
    memory_free(widths);
}

void output_columns(const struct command_call *call,
                    const struct admin_table *table, const char *const *columns,
                    size_t column_count, const char *nothing)
{
    if (call->is_json) {
        output_json(admin_table_json(table));
    } else if (admin_row_count(table) == 0) {
        printf("%s\n", nothing);
    } else {
        print_columns(table, columns, column_count);
    }
}

void output_table(const struct command_call *call,
                  const struct admin_table *table, const char *nothing)
{
    size_t count = admin_column_count(table);
    const char **names = memory_alloc_array(count, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = admin_column_name(table, i);
    }
    output_columns(call, table, names, count, nothing);
    memory_free(names);
}

const char *output_noun(long long count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

void output_done(const struct command_call *call, json_t *json,
                 const char *format, ...)
{
    if (call->is_json) {
        output_json(json);
        return;
    }
    struct buffer sentence = { 0 };
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&sentence, format, arguments);
    va_end(arguments);
    output_lines(sentence.data != NULL ? sentence.data : "", "");
    buffer_free(&sentence);
    json_decref(json);
}
