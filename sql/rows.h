/* SPDX-License-Identifier: MIT */
/*
 * The rows that a query gave, read by column name: a name that the statement
 * does not give is a programming error. Views are valid during the callback.
 */
#ifndef BATON_SQL_ROWS_H
#define BATON_SQL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"

struct rows; /* a PGresult in binary format */

size_t rows_count(const struct rows *rows);
bool rows_is_null(const struct rows *rows, size_t row, const char *column);
/* smallint, integer, bigint; NULL is 0. */
int64_t rows_int64(const struct rows *rows, size_t row, const char *column);
bool rows_boolean(const struct rows *rows, size_t row, const char *column);
/* timestamptz as an instant of clock.h; NULL is 0. */
int64_t rows_instant(const struct rows *rows, size_t row, const char *column);
/* text, bytea, name; NULL is empty. (jsonb: cast it to text in SQL.) */
struct text rows_text(const struct rows *rows, size_t row, const char *column);
/* A NUL-terminated copy; NULL for NULL. */
const char *rows_copy(const struct rows *rows, size_t row, const char *column,
                      struct arena *arena);

void rows_free(struct rows **rows);

#endif
