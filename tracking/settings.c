/* SPDX-License-Identifier: MIT */
/* The room's rows of [limits] and [tracking]: what a message may ask of us. */
#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/settings_internal.h"

/* The defaults stand here as well, for programs that load no settings. */
static struct tracking_limits limits = {
    .header_size = INT64_C(256) * 1024,
    .header_fields = 1000,
    .mime_depth = 100,
    .mime_parts = 1000,
    .received_fields = 100,
    .html_size = INT64_C(20) * 1024 * 1024,
};

const struct tracking_limits *tracking_limits(void)
{
    return &limits;
}

const struct setting tracking_settings[] = {
    { .section = "limits",
      .key = "header_size",
      .type = SETTING_SIZE,
      .value = &limits.header_size,
      .initial = "256 KB",
      .description = "Largest header of a message; beyond it 552 5.3.4",
      .minimum = 1024,
      .maximum = INT64_C(16) * 1024 * 1024 },
    { .section = "limits",
      .key = "header_fields",
      .type = SETTING_NUMBER,
      .value = &limits.header_fields,
      .initial = "1000",
      .description = "Most header fields of a message; beyond it 552 5.3.4",
      .minimum = 10,
      .maximum = 100000 },
    { .section = "limits",
      .key = "mime_depth",
      .type = SETTING_NUMBER,
      .value = &limits.mime_depth,
      .initial = "100",
      .description = "Deepest nesting of MIME parts; beyond it 552 5.3.4",
      .minimum = 1,
      .maximum = 1000 },
    { .section = "limits",
      .key = "mime_parts",
      .type = SETTING_NUMBER,
      .value = &limits.mime_parts,
      .initial = "1000",
      .description = "Most MIME parts of a message; beyond it 552 5.3.4",
      .minimum = 1,
      .maximum = 100000 },
    { .section = "limits",
      .key = "received_fields",
      .type = SETTING_NUMBER,
      .value = &limits.received_fields,
      .initial = "100",
      .description = "Most Received fields; more are a loop, 554 5.4.6",
      /* RFC 5321, 6.3: at least 100. */
      .minimum = 100,
      .maximum = 10000 },
    { .section = "tracking",
      .key = "html_size",
      .type = SETTING_SIZE,
      .value = &limits.html_size,
      .initial = "20 MB",
      .description = "Largest text or HTML part that is edited; a larger one "
                     "is left alone",
      .minimum = 1024,
      .maximum = INT64_C(1024) * 1024 * 1024 },
};
const size_t tracking_setting_count = ARRAY_LENGTH(tracking_settings);
