/* SPDX-License-Identifier: MIT */
/* Values of [http]; private to http/. */
#ifndef BATON_HTTP_SETTINGS_H
#define BATON_HTTP_SETTINGS_H

#include <stdint.h>

#include "http/forwarded.h"

/* Spans in milliseconds. */
struct http_settings_values {
    const char *proxies; /* ranges, one a line */
    int64_t hit_deadline;
    int64_t connections;
    int64_t connections_per_address;
    int64_t request_timeout;
    int64_t wrong_tokens;
};

const struct http_settings_values *http_settings_now(void);
/* [http] proxies, understood. */
const struct proxies *http_settings_proxies(void);

#endif
