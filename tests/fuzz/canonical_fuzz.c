/* SPDX-License-Identifier: MIT */
/* Canonical bodies: however a body is cut into pieces, the form is the same,
 * and the form of a form is itself. The first byte is the size of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "dkim/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(void *owner, struct text piece)
{
    buffer_append_text(owner, piece);
}

static void add_body(struct text bytes, enum canonical_form form, size_t step,
                     struct buffer *out)
{
    struct canonical_body body;
    canonical_body_begin(&body, form, collect, out);
    for (size_t at = 0; at < bytes.length; at += step) {
        canonical_body_add(&body, text_slice(bytes, at, at + step));
    }
    canonical_body_end(&body);
}

static void check_equal(const struct buffer *a, const struct buffer *b)
{
    check(a->length == b->length);
    check(a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static void check_body(struct text bytes, enum canonical_form form, size_t step)
{
    struct buffer whole = { 0 };
    struct buffer pieces = { 0 };
    struct buffer again = { 0 };
    add_body(bytes, form, bytes.length + 1, &whole);
    add_body(bytes, form, step, &pieces);
    check_equal(&whole, &pieces);
    add_body(buffer_text(&whole), form, bytes.length + 2, &again);
    check_equal(&whole, &again);
    /* One line end at the end, unless there is nothing. */
    check(whole.length == 0 ||
          (whole.length >= 2 &&
           memcmp(whole.data + whole.length - 2, "\r\n", 2) == 0));
    check(whole.length < 4 ||
          memcmp(whole.data + whole.length - 4, "\r\n\r\n", 4) != 0);
    buffer_free(&whole);
    buffer_free(&pieces);
    buffer_free(&again);
}

static void check_field(struct text bytes)
{
    struct buffer field = { 0 };
    struct buffer once = { 0 };
    struct buffer twice = { 0 };
    canonical_field(bytes, CANONICAL_SIMPLE, &once);
    check(text_equal(buffer_text(&once), bytes));
    buffer_clear(&once);
    buffer_append_string(&field, "Name:");
    buffer_append_text(&field, bytes);
    canonical_field(buffer_text(&field), CANONICAL_RELAXED, &once);
    canonical_field(buffer_text(&once), CANONICAL_RELAXED, &twice);
    check_equal(&once, &twice);
    buffer_free(&field);
    buffer_free(&once);
    buffer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text bytes = { (const char *)data + 1, size - 1 };
    size_t step = (size_t)data[0] % 64 + 1;
    check_body(bytes, CANONICAL_SIMPLE, step);
    check_body(bytes, CANONICAL_RELAXED, step);
    check_field(bytes);
    return 0;
}
