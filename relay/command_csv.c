/* SPDX-License-Identifier: MIT */
#include "relay/command_csv.h"

#include <string.h>

static void begin_field(struct csv_reader *reader)
{
    if (reader->field_count > 0) {
        buffer_append_byte(&reader->bytes, '\0');
    }
    if (reader->field_count < CSV_FIELDS_MAX) {
        reader->starts[reader->field_count] = reader->bytes.length;
    }
    reader->field_count++;
}

static void keep_byte(struct csv_reader *reader, int byte)
{
    if (byte == '\0') {
        reader->problem = "it has a NUL";
    } else if (reader->bytes.length >= CSV_RECORD_BYTES_MAX) {
        reader->problem = "it is longer than 64 KB; does a quote not end?";
    } else {
        buffer_append_byte(&reader->bytes, (char)byte);
    }
}

/* A byte-order mark, as some programs begin UTF-8 with; false: half of one. */
static bool skip_mark(struct csv_reader *reader)
{
    static const int mark[] = { 0xef, 0xbb, 0xbf };
    int byte = getc(reader->borrowed_file);
    if (byte != mark[0]) {
        ungetc(byte, reader->borrowed_file);
        return true;
    }
    return getc(reader->borrowed_file) == mark[1] &&
           getc(reader->borrowed_file) == mark[2];
}

/* Up to the end of the record. Returns the byte that ended it. */
static int read_record(struct csv_reader *reader)
{
    bool is_quoted = false;
    int byte;
    while ((byte = getc_unlocked(reader->borrowed_file)) != EOF) {
        reader->lines_read += byte == '\n' ? 1 : 0;
        if (byte == '"') {
            int next = is_quoted ? getc_unlocked(reader->borrowed_file) : EOF;
            if (next == '"') {
                keep_byte(reader, '"');
                continue;
            }
            if (is_quoted) {
                ungetc(next, reader->borrowed_file);
            }
            is_quoted = !is_quoted;
        } else if (is_quoted) {
            keep_byte(reader, byte);
        } else if (byte == ',') {
            begin_field(reader);
        } else if (byte == '\n') {
            break;
        } else {
            keep_byte(reader, byte);
        }
    }
    if (byte == EOF && is_quoted) {
        reader->problem = "a quote does not end";
    }
    return byte;
}

/* The CR of CRLF. */
static void drop_final_cr(struct csv_reader *reader)
{
    struct buffer *bytes = &reader->bytes;
    if (bytes->length > 0 && bytes->data[bytes->length - 1] == '\r') {
        bytes->data[--bytes->length] = '\0';
    }
}

bool csv_next(struct csv_reader *reader)
{
    int end = 0;
    bool is_utf8 = reader->lines_read > 0 || skip_mark(reader);
    while (end != EOF) {
        buffer_clear(&reader->bytes);
        buffer_append_string(&reader->bytes, "");
        reader->problem = is_utf8 ? NULL : "it is not UTF-8";
        reader->field_count = 0;
        reader->line = reader->lines_read + 1;
        begin_field(reader);
        end = read_record(reader);
        drop_final_cr(reader);
        if (reader->bytes.length > 0 || reader->field_count > 1 ||
            reader->problem != NULL) {
            break;
        }
    }
    bool is_record = reader->bytes.length > 0 || reader->field_count > 1 ||
                     reader->problem != NULL;
    buffer_append_byte(&reader->bytes, '\0');
    if (reader->problem == NULL && !text_is_utf8(buffer_text(&reader->bytes))) {
        reader->problem = "it is not UTF-8";
    }
    return is_record;
}

const char *csv_field(const struct csv_reader *reader, size_t i)
{
    return i < reader->field_count && i < CSV_FIELDS_MAX
               ? reader->bytes.data + reader->starts[i]
               : "";
}

void csv_free(struct csv_reader *reader)
{
    buffer_free(&reader->bytes);
}

static void append_field(struct buffer *lines, const char *field)
{
    size_t length = strlen(field);
    bool is_plain = strcspn(field, ",\"\r\n") == length &&
                    (length == 0 ||
                     (field[0] != ' ' && field[0] != '\t' &&
                      field[length - 1] != ' ' && field[length - 1] != '\t'));
    if (is_plain) {
        buffer_append(lines, field, length);
        return;
    }
    buffer_append_byte(lines, '"');
    for (; *field != '\0'; field++) {
        if (*field == '"') {
            buffer_append_byte(lines, '"');
        }
        buffer_append_byte(lines, *field);
    }
    buffer_append_byte(lines, '"');
}

void csv_append(struct buffer *lines, const char *const *fields,
                size_t field_count)
{
    for (size_t i = 0; i < field_count; i++) {
        buffer_append_string(lines, i > 0 ? "," : "");
        append_field(lines, fields[i]);
    }
    buffer_append_byte(lines, '\n');
}
