/* SPDX-License-Identifier: MIT */
/* See memory.h. Stopping writes with write(2): stdio may itself need memory. */
#include "core/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void stop(const char *line, size_t length)
{
    ssize_t ignored = write(STDERR_FILENO, line, length);
    (void)ignored;
    abort();
}

static void *checked(void *block, size_t size_bytes)
{
    if (!block) {
        char line[96];
        int length =
            snprintf(line, sizeof(line),
                     "baton: out of memory, %zu bytes wanted\n", size_bytes);
        stop(line, (size_t)length);
    }
    return block;
}

/* Never ask for zero bytes, whose result may be NULL. */
static size_t at_least_one(size_t size_bytes)
{
    return size_bytes ? size_bytes : 1;
}

void *memory_alloc(size_t size_bytes)
{
    return checked(calloc(1, at_least_one(size_bytes)), size_bytes);
}

void *memory_alloc_array(size_t count, size_t size_bytes)
{
    check(size_bytes == 0 || count <= SIZE_MAX / size_bytes);
    return memory_alloc(count * size_bytes);
}

void *memory_resize(void *block, size_t size_bytes)
{
    return checked(realloc(block, at_least_one(size_bytes)), size_bytes);
}

void memory_free(void *block)
{
    free(block);
}

char *memory_copy_bytes(const char *bytes, size_t length)
{
    check(length < SIZE_MAX);
    char *copy = memory_alloc(length + 1);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

char *memory_copy_string(const char *string)
{
    return memory_copy_bytes(string, strlen(string));
}

void check_failed(const char *file, int line, const char *condition)
{
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "baton: stopped at %s:%d: check failed: %s\n", file,
                          line, condition);
    if (length >= (int)sizeof(text)) {
        length = (int)sizeof(text) - 1;
        text[length - 1] = '\n';
    }
    stop(text, (size_t)length);
}
