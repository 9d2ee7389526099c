/* SPDX-License-Identifier: MIT */
#include "relay/command_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

/* All records as "LINE:field|field", problems as "LINE!problem", with blanks
 * between. */
static void read_all(struct text file, struct buffer *out_records)
{
    FILE *stream = tmpfile();
    assert_non_null(stream);
    fwrite(file.data, 1, file.length, stream);
    rewind(stream);
    struct csv_reader reader = { .borrowed_file = stream };
    buffer_append_string(out_records, "");
    while (csv_next(&reader)) {
        buffer_printf(out_records, "%s%d%s", out_records->length > 0 ? " " : "",
                      (int)reader.line, reader.problem != NULL ? "!" : ":");
        if (reader.problem != NULL) {
            buffer_append_string(out_records, reader.problem);
            continue;
        }
        for (size_t i = 0; i < reader.field_count; i++) {
            buffer_printf(out_records, "%s%s", i > 0 ? "|" : "",
                          csv_field(&reader, i));
        }
    }
    assert_string_equal(csv_field(&reader, CSV_FIELDS_MAX), "");
    csv_free(&reader);
    fclose(stream);
}

static void records_are_read(void **state)
{
    static const struct {
        struct text file;
        const char *records;
    } rows[] = {
        { TEXT_LITERAL(""), "" },
        { TEXT_LITERAL("\n\r\n\n"), "" },
        { TEXT_LITERAL("a"), "1:a" },
        { TEXT_LITERAL("a,b\nc,d\n"), "1:a|b 2:c|d" },
        { TEXT_LITERAL("a,b\r\n\r\nc,\r\n"), "1:a|b 3:c|" },
        { TEXT_LITERAL(",\n"), "1:|" },
        { TEXT_LITERAL("\xef\xbb\xbf"
                       "a\n"),
          "1:a" },
        { TEXT_LITERAL("\xef\xbb"), "1!it is not UTF-8" },
        { TEXT_LITERAL("\xef\n"), "1!it is not UTF-8" },
        { TEXT_LITERAL("\"a,b\",\"c\"\"d\"\n"), "1:a,b|c\"d" },
        { TEXT_LITERAL("\"a\nb\",c\nd\n"), "1:a\nb|c 3:d" },
        { TEXT_LITERAL("\"\",x"), "1:|x" },
        { TEXT_LITERAL("a\"b,c\"d,e\nf"),
          "1!a quote stands in a field that begins with none 2:f" },
        { TEXT_LITERAL("a,\"b\"c\"d\ne\n"),
          "1!something stands behind a closing quote 2:e" },
        { TEXT_LITERAL("a,\"b\r\nc,d\r\ne,f\n"),
          "1!a quote does not end 2:c|d 3:e|f" },
        { TEXT_LITERAL("\"a\n\"b\nc\n"), "1!something stands behind a closing "
                                         "quote 2!a quote does not end 3:c" },
        { TEXT_LITERAL("\"a\"\r\nb"), "1:a 2:b" },
        { TEXT_LITERAL("\"a"), "1!a quote does not end" },
        { TEXT_LITERAL("\"a\"\"\n"), "1!a quote does not end" },
        { TEXT_LITERAL("a\0b\nc"), "1!it has a NUL 2:c" },
        { TEXT_LITERAL("\xff\nc"), "1!it is not UTF-8 2:c" },
        { TEXT_LITERAL("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18"),
          "1:1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16||" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer records = { 0 };
        read_all(rows[i].file, &records);
        assert_string_equal(records.data, rows[i].records);
        buffer_free(&records);
    }
}

static void a_record_is_bounded(void **state)
{
    struct buffer file = { 0 };
    struct buffer records = { 0 };
    (void)state;
    buffer_append_byte(&file, '"');
    for (size_t i = 0; i < 2 * CSV_RECORD_BYTES_MAX; i++) {
        buffer_append_byte(&file, i % 80 == 0 ? '\n' : 'x');
    }
    buffer_append_string(&file, "\"\nnext\n");
    read_all(buffer_text(&file), &records);
    assert_non_null(strstr(records.data, "1!it is longer than 64 KB"));
    assert_non_null(strstr(records.data, ":next"));
    buffer_free(&records);
    buffer_free(&file);
}

static void fields_are_written_as_they_are_read(void **state)
{
    static const char *const fields[] = { "",     "plain", "a,b", "a\"b",
                                          "a\nb", " a",    "a ",  "\"" };
    struct buffer line = { 0 };
    struct buffer records = { 0 };
    (void)state;
    csv_append(&line, fields, ARRAY_LENGTH(fields));
    read_all(buffer_text(&line), &records);
    assert_string_equal(records.data, "1:|plain|a,b|a\"b|a\nb| a|a |\"");
    buffer_free(&records);
    buffer_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(a_record_is_bounded),
        cmocka_unit_test(fields_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
