/* SPDX-License-Identifier: MIT */
/*
 * Memory that never fails softly: when the system has none left the process
 * stops and the supervisor starts another. What a peer can make us hold is
 * bounded elsewhere (budget.h), so running out is our fault or the machine's.
 */
#ifndef BATON_CORE_MEMORY_H
#define BATON_CORE_MEMORY_H

#include <stddef.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Return size_bytes of zeroed memory; the caller frees it with memory_free. */
void *memory_alloc(size_t size_bytes);

/* Return count * size_bytes of zeroed memory; overflow stops the process. */
void *memory_alloc_array(size_t count, size_t size_bytes);

/* Grow or shrink a block (NULL is an empty one). New bytes are undefined. */
void *memory_resize(void *block, size_t size_bytes);

/* Free what memory_alloc and its kin returned; NULL is accepted. */
void memory_free(void *block);

/* Return a NUL-terminated copy of a string, or of its first length bytes. */
char *memory_copy_string(const char *string);
char *memory_copy_bytes(const char *bytes, size_t length);

/* Stop the process with file, line and condition: a programming error, never
 * input, network, database or memory pressure made by a peer. */
#define check(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

_Noreturn void check_failed(const char *file, int line, const char *condition);

#endif
