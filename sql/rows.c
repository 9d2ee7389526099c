/* SPDX-License-Identifier: MIT */
#include "sql/rows.h"

#include <libpq-fe.h>

#include "core/memory.h"
#include "sql/binary.h"

static const PGresult *result_of(const struct rows *rows)
{
    return (const PGresult *)(const void *)rows;
}

static int number_of(const struct rows *rows, const char *column)
{
    int number = PQfnumber(result_of(rows), column);
    check(number >= 0);
    return number;
}

static struct text bytes_at(const struct rows *rows, size_t row,
                            const char *column)
{
    int number = number_of(rows, column);
    return (struct text){
        PQgetvalue(result_of(rows), (int)row, number),
        (size_t)PQgetlength(result_of(rows), (int)row, number),
    };
}

size_t rows_count(const struct rows *rows)
{
    return (size_t)PQntuples(result_of(rows));
}

bool rows_is_null(const struct rows *rows, size_t row, const char *column)
{
    return PQgetisnull(result_of(rows), (int)row, number_of(rows, column)) != 0;
}

int64_t rows_int64(const struct rows *rows, size_t row, const char *column)
{
    struct text bytes = bytes_at(rows, row, column);
    check(bytes.length <= 8);
    return binary_read(bytes.data, bytes.length);
}

bool rows_boolean(const struct rows *rows, size_t row, const char *column)
{
    return rows_int64(rows, row, column) != 0;
}

int64_t rows_instant(const struct rows *rows, size_t row, const char *column)
{
    return rows_is_null(rows, row, column)
               ? 0
               : rows_int64(rows, row, column) + BINARY_EPOCH_AT;
}

struct text rows_text(const struct rows *rows, size_t row, const char *column)
{
    return bytes_at(rows, row, column);
}

const char *rows_copy(const struct rows *rows, size_t row, const char *column,
                      struct arena *arena)
{
    return rows_is_null(rows, row, column)
               ? NULL
               : arena_copy_text(arena, bytes_at(rows, row, column));
}

void rows_free(struct rows **rows)
{
    PQclear((PGresult *)(void *)*rows);
    *rows = NULL;
}
