/* SPDX-License-Identifier: MIT */
/* PostgreSQL's binary forms: big-endian numbers, times since 2000. */
#ifndef BATON_SQL_BINARY_H
#define BATON_SQL_BINARY_H

#include <stdint.h>

#include "core/text.h"

/* 2000-01-01 UTC as an instant of clock.h. */
#define BINARY_EPOCH_AT INT64_C(946684800000000)

/* Object ids of built-in types (pg_type.dat); they never change. */
enum binary_type {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_TIMESTAMPTZ = 1184,
    TYPE_JSONB = 3802,
};

static inline void binary_write_int32(char *bytes, int32_t value)
{
    uint32_t big = __builtin_bswap32((uint32_t)value);
    __builtin_memcpy(bytes, &big, sizeof(big));
}

static inline void binary_append_int32(struct buffer *buffer, int32_t value)
{
    char bytes[4];
    binary_write_int32(bytes, value);
    buffer_append(buffer, bytes, sizeof(bytes));
}

static inline void binary_append_int64(struct buffer *buffer, int64_t value)
{
    uint64_t big = __builtin_bswap64((uint64_t)value);
    buffer_append(buffer, &big, sizeof(big));
}

/* A big-endian signed number of 1, 2, 4 or 8 bytes. */
static inline int64_t binary_read(const char *bytes, size_t length)
{
    uint64_t value = length > 0 && (bytes[0] & 0x80) ? UINT64_MAX : 0;
    for (size_t i = 0; i < length; i++) {
        value = value << 8 | (unsigned char)bytes[i];
    }
    return (int64_t)value;
}

#endif
