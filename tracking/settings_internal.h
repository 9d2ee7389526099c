/* SPDX-License-Identifier: MIT */
/* The values of the room's settings. */
#ifndef BATON_TRACKING_SETTINGS_INTERNAL_H
#define BATON_TRACKING_SETTINGS_INTERNAL_H

#include <stdint.h>

struct tracking_limits {
    int64_t header_size;
    int64_t header_fields;
    int64_t mime_depth;
    int64_t mime_parts;
    int64_t received_fields;
    int64_t html_size;
};

const struct tracking_limits *tracking_limits(void);

#endif
