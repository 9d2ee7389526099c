/* SPDX-License-Identifier: MIT */
#include "relay/command_csv.h"

#include <string.h>

static const char too_long[] = "it is longer than 64 KB; does a quote not end?";

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
        reader->problem = too_long;
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

static int next_byte(struct csv_reader *reader)
{
    int byte = reader->read_again < reader->again.length
                   ? (unsigned char)reader->again.data[reader->read_again++]
                   : getc_unlocked(reader->borrowed_file);
    if (reader->lines_read >= reader->line && byte != EOF) {
        buffer_append_byte(&reader->behind, (char)byte);
    }
    reader->lines_read += byte == '\n' ? 1 : 0;
    return byte;
}

/* A wrong quote takes only its own line along: what came behind that is read
 * again. */
static void return_to_next_line(struct csv_reader *reader)
{
    struct buffer rest = { 0 };
    buffer_append_text(&rest, buffer_text(&reader->behind));
    buffer_append_text(&rest,
                       text_slice(buffer_text(&reader->again),
                                  reader->read_again, reader->again.length));
    buffer_free(&reader->again);
    reader->again = rest;
    reader->read_again = 0;
    reader->lines_read = reader->line;
}

enum place { AT_START, IN_PLAIN, IN_QUOTES, BEHIND_QUOTES, LOST };

static enum place take_byte(struct csv_reader *reader, enum place place,
                            int byte)
{
    if (place == IN_QUOTES && byte == '"') {
        return BEHIND_QUOTES;
    }
    if (place != IN_QUOTES && place != LOST && byte == ',') {
        begin_field(reader);
        return AT_START;
    }
    if (place == AT_START && byte == '"') {
        return IN_QUOTES;
    }
    if (place == BEHIND_QUOTES && byte == '"') { /* twice: it is one */
        keep_byte(reader, byte);
        return IN_QUOTES;
    }
    if (place == IN_PLAIN && byte == '"') {
        reader->problem = "a quote stands in a field that begins with none";
        return LOST;
    }
    if (place == BEHIND_QUOTES && byte != '\r') {
        reader->problem = "something stands behind a closing quote";
        return LOST;
    }
    keep_byte(reader, byte);
    return place == AT_START ? IN_PLAIN : place;
}

/* Up to the end of the record. Returns the byte that ended it. */
static int read_record(struct csv_reader *reader)
{
    enum place place = AT_START;
    int byte;
    buffer_clear(&reader->behind);
    while ((byte = next_byte(reader)) != EOF &&
           (byte != '\n' || place == IN_QUOTES)) {
        if (place != LOST) {
            place = take_byte(reader, place, byte);
        }
        if (reader->behind.length > CSV_RECORD_BYTES_MAX) {
            reader->problem = too_long;
            break;
        }
    }
    if (byte == EOF && place == IN_QUOTES && reader->problem == NULL) {
        reader->problem = "a quote does not end";
    }
    if (reader->problem != NULL && reader->lines_read > reader->line) {
        return_to_next_line(reader);
        return '\n';
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
    buffer_free(&reader->behind);
    buffer_free(&reader->again);
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
