/* SPDX-License-Identifier: MIT */
/* [http]: what is asked of us over HTTP, and by whom. */
#include "http/settings.h"

#include "core/config.h"
#include "core/memory.h"
#include "http/server.h"

#define SECOND INT64_C(1000)

/* As they stand before any configuration is loaded (tests). */
static struct http_settings_values values = {
    .proxies = "",
    .hit_deadline = 250,
    .connections = 1000,
    .connections_per_address = 100,
    .request_timeout = 30 * SECOND,
    .wrong_tokens = 600,
};

static bool check_range(const char *value, struct error *error)
{
    struct proxies ignored;
    return proxies_read(text_of(value), &ignored, error);
}

#define HTTP_ROW(name, kind, start, low, high, text)                 \
    {                                                                \
        .section = "http", .key = #name, .type = (kind),             \
        .value = &values.name, .initial = (start), .minimum = (low), \
        .maximum = (high), .description = (text),                    \
    }

const struct setting http_settings[] = {
    { .section = "http",
      .key = "proxies",
      .type = SETTING_LIST,
      .value = &values.proxies,
      .initial = "",
      .check_value = check_range,
      .description = "Addresses and ranges of the proxies whose "
                     "X-Forwarded-For and X-Forwarded-Host count" },
    HTTP_ROW(hit_deadline, SETTING_SPAN, "250 ms", 1, 10 * SECOND,
             "How long an open or a click waits to be stored before it is "
             "answered nevertheless; it is stored later"),
    HTTP_ROW(connections, SETTING_NUMBER, "1000", 1, 100000,
             "HTTP connections at a time in one worker"),
    HTTP_ROW(connections_per_address, SETTING_NUMBER, "100", 1, 100000,
             "HTTP connections at a time from one IPv4 address or IPv6 /64, in "
             "one worker; a proxy has no such limit"),
    HTTP_ROW(request_timeout, SETTING_SPAN, "30 s", SECOND, 600 * SECOND,
             "How long a request may take to arrive and its answer to leave"),
    HTTP_ROW(wrong_tokens, SETTING_NUMBER, "600", 1, 1000000,
             "Links of ours that are none, per minute from one IPv4 address or "
             "IPv6 /64 in one worker, before it hears 429"),
};
const size_t http_setting_count = ARRAY_LENGTH(http_settings);

const struct http_settings_values *http_settings_now(void)
{
    return &values;
}

const struct proxies *http_settings_proxies(void)
{
    static const char *read_from;
    static struct proxies proxies;
    if (read_from != values.proxies) {
        struct error error;
        check(proxies_read(text_of(values.proxies), &proxies, &error));
        read_from = values.proxies;
    }
    return &proxies;
}
