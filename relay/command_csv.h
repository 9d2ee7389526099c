/* SPDX-License-Identifier: MIT */
/* Comma-separated values (RFC 4180), a record at a time: quoted fields may hold
 * commas, quotes (twice) and line ends. Bounded, whatever the file is. */
#ifndef BATON_RELAY_COMMAND_CSV_H
#define BATON_RELAY_COMMAND_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/text.h"

#define CSV_FIELDS_MAX 16
#define CSV_RECORD_BYTES_MAX 65536

/* Zero-initialise with the file set; csv_free when done. */
struct csv_reader {
    FILE *borrowed_file;
    uint64_t line; /* of the file: where the last record began, from 1 */
    size_t field_count; /* of the record; more than CSV_FIELDS_MAX are counted,
                           not kept */
    const char *problem; /* why the record cannot be read; NULL: it can */

    uint64_t lines_read;
    struct buffer bytes;
    struct buffer behind; /* the record's lines behind its first, as they are */
    struct buffer again; /* to be read before more of the file */
    size_t read_again; /* of `again` */
    size_t starts[CSV_FIELDS_MAX];
};

/* Read the next record; empty lines are passed over. False: the end. */
bool csv_next(struct csv_reader *reader);
/* A field of the record, NUL-terminated; "" for one that is not there. Valid
 * until the next csv_next. */
const char *csv_field(const struct csv_reader *reader, size_t i);
void csv_free(struct csv_reader *reader);

/* Append a record, its fields quoted where that is needed. */
void csv_append(struct buffer *lines, const char *const *fields,
                size_t field_count);

#endif
