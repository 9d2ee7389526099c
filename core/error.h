/* SPDX-License-Identifier: MIT */
/*
 * A failure that a person will read: one sentence that says what is wrong and,
 * where there is something, what to do about it.
 */
#ifndef BATON_CORE_ERROR_H
#define BATON_CORE_ERROR_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))

struct error {
    char text[512]; /* NUL-terminated; cut at the end when longer */
};

/* Write the sentence; always returns false, so that a function can end with
 * `return error_set(out_error, "...")`. A NULL error is accepted. */
bool error_set(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
