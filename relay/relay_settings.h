/* SPDX-License-Identifier: MIT */
/* The settings of this room: [server], [listen], [tls], [limits],
 * [suppression], [delivery], [dns], [log]. Written by config_load only; read
 * anywhere in relay/. */
#ifndef BATON_RELAY_RELAY_SETTINGS_H
#define BATON_RELAY_RELAY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/network.h"
#include "smtp/server.h"

struct relay_settings_values {
    const char *hostname; /* never empty */
    const char *public_url;
    const char *return_path_host;
    const char *feedback_sender;
    const char *sending_addresses; /* one a line */
    const char *postmaster;
    int64_t workers; /* 0: one per core */
    const char *user;
    int64_t clock_rate;
    int64_t drain_timeout;
    int64_t message_memory;
    int64_t groups_per_account;
    int64_t suppression_memory;
    int64_t inactive_count;
    int64_t inactive_span;
    int64_t auth_failures_per_address;
    int64_t auth_failures_per_user;
    int64_t auth_failure_window;
    const char *listeners; /* "name=value" lines */
    const char *certificate;
    const char *key;
    int64_t lease;
    int64_t in_hand;
    int64_t notice_period;
    int64_t connections;
    int64_t connections_per_site;
    int64_t messages_per_connection;
    int64_t messages_per_second_per_site; /* 0: no limit */
    int64_t connection_idle;
    int64_t connect_timeout;
    int64_t host_penalty;
    int64_t waiting_per_site;
    const char *retry; /* "1 min, 5 min, …" */
    int64_t mx_port;
    bool allow_special_addresses;
    const char *dns_servers;
    int64_t dns_timeout;
    const char *key_encryption; /* 64 hexadecimal digits, or "" */
    const char *key_encryption_before;
    const char *dkim_host;
    const char *operator_domain;
    const char *operator_selector;
    const char *operator_key;
    const char *log_level;
    int log_format; /* 0 logfmt, 1 json */
};

/* The values in force. */
const struct relay_settings_values *relay_settings_now(void);

/* [server] return_path_host as it is compared (domain_normalize); "": none. */
const char *relay_settings_return_host(void);

/* The delay after the n-th unsuccessful round of a delivery (from 1),
 * milliseconds, as [delivery] retry says; the last step repeats. */
int64_t relay_settings_retry_milliseconds(int round);

/* One row of [listen], understood. */
struct relay_listener {
    struct smtp_listener_policy policy;
    struct network_address address;
    bool is_http;
    bool is_inbound; /* mail that comes back, not submission */
    int descriptor; /* -1 until it is opened */
};
#define RELAY_LISTENERS_MAX 64

/* Parse [listen] into at most RELAY_LISTENERS_MAX rows. */
bool relay_settings_listeners(struct relay_listener *out_listeners,
                              size_t *out_count, struct error *error) MUST_USE;

/* Set level and format of the log to the values in force. */
void relay_settings_configure_log(void);

extern const struct setting relay_settings[];
extern const size_t relay_setting_count;

#endif
