/* SPDX-License-Identifier: MIT */
/* The table of patterns; see bounce_class_table.c. */
#ifndef BATON_TRACKING_BOUNCE_CLASS_INTERNAL_H
#define BATON_TRACKING_BOUNCE_CLASS_INTERNAL_H

#include "tracking/bounce_class.h"

/* Patterns of one class, in the order in which classes are tried. */
struct bounce_patterns {
    enum bounce_class class;
    const char *const *patterns; /* up to NULL */
    enum bounce_weight weight;
};

extern const struct bounce_patterns bounce_class_patterns[];
extern const size_t bounce_class_pattern_count;

/* A status, or the beginning of one ("5.2."), and its class. */
struct bounce_code {
    const char *status; /* without its first digit: ".1.1" */
    enum bounce_class class;
};

extern const struct bounce_code bounce_class_codes[];
extern const size_t bounce_class_code_count;

#endif
