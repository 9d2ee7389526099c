/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *error, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        /* The sentence may quote the old one, hence the copy. */
        struct error written;
        vsnprintf(written.text, sizeof(written.text), format, arguments);
        va_end(arguments);
        *error = written;
    }
    return false;
}
