/* SPDX-License-Identifier: MIT */
/*
 * Views of bytes that somebody else owns, and a buffer that grows.
 * A view may hold any byte and is not NUL-terminated.
 */
#ifndef BATON_CORE_TEXT_H
#define BATON_CORE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    const char *data;
    size_t length;
};

#define TEXT_LITERAL(s) ((struct text){ (s), sizeof(s) - 1 })
/* For printf: "%.*s", TEXT_ARGUMENTS(view). */
#define TEXT_ARGUMENTS(t) (int)(t).length, (t).data

struct text text_of(const char *string); /* NULL gives an empty view */
struct text text_slice(struct text text, size_t from, size_t to);
struct text text_trim(struct text text); /* spaces and tabs, both ends */
bool text_is(struct text text, const char *string);
bool text_is_ignoring_case(struct text text, const char *string);
bool text_equal(struct text a, struct text b);
bool text_equal_ignoring_case(struct text a, struct text b); /* ASCII */
bool text_starts_with_ignoring_case(struct text text, const char *prefix);
bool text_ends_with_ignoring_case(struct text text, const char *suffix);
/* Index of the first such byte, or text.length. */
size_t text_find_byte(struct text text, char byte);
/* Cut the text before the first separator off *rest; *rest then begins behind
 * it. Returns false when *rest was empty. */
bool text_split(struct text *rest, char separator, struct text *out_piece);
/* Decimal without sign; false on anything else or on overflow. */
bool text_to_uint64(struct text text, uint64_t *out_value);
bool text_has_8bit(struct text text);
bool text_is_utf8(struct text text); /* well-formed UTF-8, RFC 3629 */
/* How many bytes to add, drop or change to make one of the other (Levenshtein);
 * SIZE_MAX when b is longer than 48 bytes: too far to be meant. */
size_t text_distance(const char *a, const char *b);

/* ASCII only, whatever the locale. */
char ascii_lower(char byte);
bool ascii_is_alnum(char byte);
bool ascii_is_digit(char byte);
int ascii_hex_value(char digit); /* of either case; -1: no such digit */

/* Bytes that grow. Zero-initialise, or buffer_free and use again. `data` has a
 * NUL behind its last byte as soon as something was appended. */
struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

void buffer_free(struct buffer *buffer); /* Overwrite its bytes with zeros, for
                                            what is secret; it is empty then. */
void buffer_wipe(struct buffer *buffer);
/* leaves an empty, usable buffer */
void buffer_clear(struct buffer *buffer); /* keeps the memory */
void buffer_reserve(struct buffer *buffer, size_t more_bytes);
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_append_text(struct buffer *buffer, struct text text);
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list)
    __attribute__((format(printf, 2, 0)));
void buffer_remove_front(struct buffer *buffer, size_t length);
struct text buffer_text(const struct buffer *buffer);
/* Hand the memory over; the buffer is empty afterwards. Never NULL. The caller
 * frees it with memory_free. */
char *buffer_take(struct buffer *buffer);

#endif
