/* SPDX-License-Identifier: MIT */
/*
 * Values for a prepared statement, in PostgreSQL's binary format. Every call
 * copies. Scalars fill $1, $2 … in the order of the calls; columns are arrays
 * that grow row by row, for statements that unnest them.
 */
#ifndef BATON_SQL_PARAMETERS_H
#define BATON_SQL_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

#define PARAMETERS_MAX 32

/* One value, or one array with its elements so far. */
struct parameter {
    struct buffer bytes;
    bool is_null;
    bool is_array;
    bool has_null_element;
    uint32_t element_type;
};

/* Zero-initialise; parameters_clear keeps the memory for the next use. */
struct parameters {
    struct parameter values[PARAMETERS_MAX];
    size_t count;
    size_t row_count;
    size_t cursor; /* the column that the next column_… call fills */
    size_t size_bytes; /* of all columns */
    int64_t lowest_id; /* of all column_id */
    int64_t highest_id;
};

void parameters_free(struct parameters *parameters);
void parameters_clear(struct parameters *parameters);

/* $n::bigint, ::integer, ::timestamptz (a clock_now() instant), ::text (NULL is
 * NULL; what is not UTF-8 is replaced). Before or behind all columns. */
void parameter_int64(struct parameters *parameters, int64_t value);
void parameter_int32(struct parameters *parameters, int32_t value);
void parameter_boolean(struct parameters *parameters, bool value);
void parameter_instant(struct parameters *parameters, int64_t at);
void parameter_text(struct parameters *parameters, const char *text);
/* A whole $n::bigint[], which may be empty. */
void parameter_int64s(struct parameters *parameters, const int64_t *values,
                      size_t count);
/* $n::text[]; no NULL among them. */
void parameter_texts(struct parameters *parameters, const char *const *texts,
                     size_t count);

/* The same as elements of $n::bigint[] …: call one for each column, then
 * row_end. */
void column_int64(struct parameters *parameters, int64_t value);
void column_id(struct parameters *parameters, int64_t id);
/* 0 becomes NULL. */
void column_int64_or_null(struct parameters *parameters, int64_t value);
void column_int32(struct parameters *parameters, int32_t value);
void column_int16(struct parameters *parameters, int value);
void column_boolean(struct parameters *parameters, bool value);
void column_instant(struct parameters *parameters, int64_t at);
void column_text(struct parameters *parameters, const char *text);
void column_text_view(struct parameters *parameters, struct text text);
/* Text that is cast to jsonb: without what jsonb cannot hold (\u0000). */
void column_json(struct parameters *parameters, const char *json);
void column_bytes(struct parameters *parameters, struct text bytes);
void row_end(struct parameters *parameters);

#endif
