/* SPDX-License-Identifier: MIT */
#include "relay/content_digest.h"

#include <stdbool.h>
#include <string.h>

#include "tracking/header.h"

/* Further ones count as content. */
#define BOUNDARIES_MAX 64

static const char attribute[] = "boundary=";
#define ATTRIBUTE_LENGTH (sizeof(attribute) - 1)

struct reader {
    struct digest *digest;
    struct text boundaries[BOUNDARIES_MAX]; /* views of the message */
    size_t boundary_count;
};

/* Where the value of a boundary parameter begins in a line, or its length. */
static size_t find_boundary(struct text line)
{
    size_t at = 0;
    while (at < line.length) {
        at += text_find_byte(text_slice(line, at, line.length), '=') + 1;
        if (at > ATTRIBUTE_LENGTH && at < line.length &&
            text_is_ignoring_case(text_slice(line, at - ATTRIBUTE_LENGTH, at),
                                  attribute)) {
            return at;
        }
    }
    return line.length;
}

static struct text read_value(struct text rest)
{
    size_t from = rest.length > 0 && rest.data[0] == '"' ? 1 : 0;
    size_t to = from;
    const char *ends = from == 1 ? "\"\r\n" : "; \t\r\n";
    while (to < rest.length && rest.data[to] != '\0' &&
           strchr(ends, rest.data[to]) == NULL) {
        to++;
    }
    return text_slice(rest, from, to);
}

static bool is_delimiter(const struct reader *reader, struct text line)
{
    if (line.length < 3 || line.data[0] != '-' || line.data[1] != '-') {
        return false;
    }
    for (size_t i = 0; i < reader->boundary_count; i++) {
        struct text boundary = reader->boundaries[i];
        if (line.length - 2 >= boundary.length &&
            memcmp(line.data + 2, boundary.data, boundary.length) == 0) {
            return true;
        }
    }
    return false;
}

/* The bytes of a line that are made anew: from, to; none: both its length. */
static void find_fresh(struct reader *reader, struct text line,
                       size_t *out_from, size_t *out_to)
{
    *out_from = line.length;
    *out_to = line.length;
    if (is_delimiter(reader, line)) {
        *out_from = 2;
        return;
    }
    size_t at = find_boundary(line);
    struct text value = read_value(text_slice(line, at, line.length));
    if (value.length > 0 && reader->boundary_count < BOUNDARIES_MAX) {
        reader->boundaries[reader->boundary_count++] = value;
        *out_from = at;
        *out_to = (size_t)(value.data - line.data) + value.length;
    }
}

static void add_lines(struct reader *reader, struct text text)
{
    size_t from = 0; /* of what is not digested yet */
    size_t at = 0;
    while (at < text.length) {
        struct text line = text_slice(text, at, text.length);
        size_t length = text_find_byte(line, '\n') + 1;
        line = text_slice(line, 0, length < line.length ? length : line.length);
        size_t fresh_from;
        size_t fresh_to;
        find_fresh(reader, line, &fresh_from, &fresh_to);
        if (fresh_from < line.length) {
            digest_add(reader->digest, text_slice(text, from, at + fresh_from));
            from = at + fresh_to;
        }
        at += line.length;
    }
    digest_add(reader->digest, text_slice(text, from, text.length));
}

void content_digest(const char *sender, const char *const *recipients,
                    size_t recipient_count, struct text message,
                    uint8_t out_digest[SHA256_SIZE])
{
    static const struct text separator = { "", 1 };
    struct reader reader = { .digest = digest_begin() };
    struct header_field field;
    digest_add(reader.digest, text_of(sender));
    for (size_t i = 0; i < recipient_count; i++) {
        digest_add(reader.digest, separator);
        digest_add(reader.digest, text_of(recipients[i]));
    }
    digest_add(reader.digest, separator);
    while (header_next(&message, &field)) {
        if (!text_is_ignoring_case(field.name, "Date") &&
            !text_is_ignoring_case(field.name, "Message-ID")) {
            add_lines(&reader, field.whole);
        }
    }
    add_lines(&reader, message);
    digest_end(&reader.digest, out_digest);
}
