/* SPDX-License-Identifier: MIT */
/*
 * The table of settings of this room, and the three values that need more than
 * a number: host name, [listen] rows and the retry schedule.
 */
#include "relay/relay_settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/address.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "relay/dkim_secret.h"

static struct relay_settings_values values;

#define RETRY_STEPS_MAX 32
#define RETRY_STEP_MAX (INT64_C(365) * 24 * 3600 * 1000)

struct retry_schedule {
    int64_t milliseconds[RETRY_STEPS_MAX];
    size_t count;
};

static bool parse_retry(const char *value, struct retry_schedule *out_schedule,
                        struct error *error)
{
    struct text rest = text_of(value);
    struct text piece;
    out_schedule->count = 0;
    while (text_split(&rest, ',', &piece)) {
        int64_t milliseconds = 0;
        piece = text_trim(piece);
        if (!config_parse_span(piece, &milliseconds) || milliseconds == 0 ||
            milliseconds > RETRY_STEP_MAX) {
            return error_set(error,
                             "\"%.*s\" is no span of time up to 365 d; "
                             "expected a list like \"1 min, 5 min, 2 h\"",
                             TEXT_ARGUMENTS(piece));
        }
        if (out_schedule->count == RETRY_STEPS_MAX) {
            return error_set(error, "at most %d retry steps are possible",
                             RETRY_STEPS_MAX);
        }
        out_schedule->milliseconds[out_schedule->count++] = milliseconds;
    }
    if (out_schedule->count == 0) {
        return error_set(error, "expected a list like \"1 min, 5 min, 2 h\"");
    }
    return true;
}

static bool check_retry(const char *value, struct error *error)
{
    struct retry_schedule schedule;
    return parse_retry(value, &schedule, error);
}

static bool check_log_level(const char *value, struct error *error)
{
    enum log_level level;
    return log_level_parse(value, &level) ||
           error_set(error, "expected error, warning, info, debug or trace");
}

static bool check_sending_address(const char *value, struct error *error)
{
    struct network_range range;
    return network_range_parse(text_of(value), &range, error);
}

static bool set_tls_mode(struct relay_listener *listener, struct text value)
{
    static const char *const modes[] = { "none", "optional", "required",
                                         "implicit" };
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        if (text_is_ignoring_case(value, modes[i])) {
            listener->policy.tls = (enum smtp_tls_mode)i;
            return true;
        }
    }
    return false;
}

static bool set_flag(bool *flag, struct text value, const char *on,
                     const char *off)
{
    *flag = text_is_ignoring_case(value, on);
    return *flag || text_is_ignoring_case(value, off);
}

static bool set_auth(struct relay_listener *listener, struct text value)
{
    return set_flag(&listener->policy.auth_required, value, "required",
                    "optional");
}

static bool set_auth_in_clear(struct relay_listener *listener,
                              struct text value)
{
    return set_flag(&listener->policy.auth_in_clear, value, "on", "off");
}

static bool set_proxy(struct relay_listener *listener, struct text value)
{
    return set_flag(&listener->policy.proxy_protocol, value, "on", "off");
}

static const struct listener_option {
    const char *name;
    bool (*set)(struct relay_listener *, struct text value);
    const char *expected;
} listener_options[] = {
    { "tls", set_tls_mode, "none, optional, required or implicit" },
    { "auth", set_auth, "optional or required" },
    { "auth_in_clear", set_auth_in_clear, "on or off" },
    { "proxy", set_proxy, "on or off" },
};

static bool apply_listener_option(struct relay_listener *listener,
                                  struct text word, struct error *error)
{
    size_t equals = text_find_byte(word, '=');
    struct text name = text_slice(word, 0, equals);
    struct text value = text_slice(word, equals + 1, word.length);
    for (size_t i = 0; i < ARRAY_LENGTH(listener_options); i++) {
        const struct listener_option *option = &listener_options[i];
        if (!text_is_ignoring_case(name, option->name)) {
            continue;
        }
        return option->set(listener, value) ||
               error_set(error, "%s expects %s, not \"%.*s\"", option->name,
                         option->expected, TEXT_ARGUMENTS(value));
    }
    return error_set(error,
                     "unknown option \"%.*s\"; possible are tls=, auth=, "
                     "auth_in_clear= and proxy=",
                     TEXT_ARGUMENTS(word));
}

/* "name=ADDRESS:PORT option=value …" */
static bool parse_listener(struct text row, struct relay_listener *listener,
                           struct error *error)
{
    *listener = (struct relay_listener){ .descriptor = -1 };
    listener->policy.tls = SMTP_TLS_OPTIONAL;
    size_t equals = text_find_byte(row, '=');
    struct text name = text_slice(row, 0, equals);
    struct text rest = text_trim(text_slice(row, equals + 1, row.length));
    snprintf(listener->policy.name, sizeof(listener->policy.name), "%.*s",
             TEXT_ARGUMENTS(name));
    listener->is_http = text_is(name, "http");
    listener->is_inbound = text_is(name, "inbound");
    listener->policy.no_auth = listener->is_inbound;

    struct text word;
    struct error reason;
    if (!text_split(&rest, ' ', &word) ||
        !network_address_parse_with_port(word, &listener->address, &reason)) {
        return error_set(error, "expected ADDRESS:PORT, like "
                                "\"0.0.0.0:587 tls=required auth=required\"");
    }
    while (text_split(&rest, ' ', &word)) {
        word = text_trim(word);
        if (word.length == 0) {
            continue;
        }
        if (listener->is_http) {
            return error_set(error, "http takes ADDRESS:PORT only");
        }
        if (!apply_listener_option(listener, word, error)) {
            return false;
        }
        if (listener->is_inbound &&
            text_starts_with_ignoring_case(word, "auth")) {
            return error_set(error, "inbound takes mail from everybody for "
                                    "itself only: there is no auth");
        }
    }
    return true;
}

static bool parse_listeners(const char *rows,
                            struct relay_listener *out_listeners,
                            size_t *out_count, struct error *error)
{
    struct text rest = text_of(rows);
    struct text row;
    *out_count = 0;
    while (text_split(&rest, '\n', &row)) {
        if (*out_count == RELAY_LISTENERS_MAX) {
            return error_set(error, "[listen] at most %d listeners",
                             RELAY_LISTENERS_MAX);
        }
        struct error reason;
        if (!parse_listener(row, &out_listeners[*out_count], &reason)) {
            return error_set(error, "[listen] %s: %s",
                             out_listeners[*out_count].policy.name,
                             reason.text);
        }
        (*out_count)++;
    }
    return true;
}

static bool check_listener(const char *value, struct error *error)
{
    struct relay_listener listener;
    struct buffer row = { 0 };
    buffer_printf(&row, "listener=%s", value);
    bool is_good = parse_listener(buffer_text(&row), &listener, error);
    buffer_free(&row);
    return is_good;
}

static bool check_host(const char *value, struct error *error)
{
    char host[DOMAIN_TEXT_MAX + 1];
    return value[0] == '\0' ||
           (value[0] != '[' && domain_normalize(text_of(value), host, error)) ||
           error_set(error, "expected a host name, like bounce.example.com");
}

/* What Gmail asks of the last part of Feedback-ID. */
static bool check_feedback_sender(const char *value, struct error *error)
{
    size_t length = strlen(value);
    bool is_good = length == 0 || (length >= 5 && length <= 15);
    for (size_t i = 0; i < length; i++) {
        is_good &= ascii_is_alnum(value[i]);
    }
    return is_good || error_set(error, "expected 5 to 15 letters and digits");
}

static bool check_postmaster(const char *value, struct error *error)
{
    struct address address;
    char domain[DOMAIN_TEXT_MAX + 1];
    struct error reason;
    return value[0] == '\0' ||
           (address_parse(text_of(value), true, &address, &reason) &&
            domain_normalize(address.domain, domain, &reason)) ||
           error_set(error, "expected an address, like postmaster@example.com");
}

const struct setting relay_settings[] = {
    { .section = "server",
      .key = "hostname",
      .type = SETTING_TEXT,
      .value = &values.hostname,
      .initial = "",
      .description = "name said in the banner, in EHLO and in Received; empty: "
                     "this machine's host name" },
    { .section = "server",
      .key = "public_url",
      .type = SETTING_TEXT,
      .value = &values.public_url,
      .initial = "http://localhost:8080",
      .description = "how recipients' browsers reach the HTTP listener" },
    { .section = "server",
      .key = "return_path_host",
      .type = SETTING_TEXT,
      .value = &values.return_path_host,
      .initial = "",
      .check_value = check_host,
      .description = "the host that bounces come back to; its MX is the "
                     "listener named inbound, its SPF record names the "
                     "addresses mail leaves from; empty: they go to the "
                     "sender's own address" },
    { .section = "server",
      .key = "feedback_sender",
      .type = SETTING_TEXT,
      .value = &values.feedback_sender,
      .initial = "",
      .check_value = check_feedback_sender,
      .description = "your name in Feedback-ID (GROUP:ACCOUNT:KIND:NAME), by "
                     "which Gmail's postmaster tools count complaints: 5 to 15 "
                     "letters and digits; empty: no such field" },
    { .section = "server",
      .key = "postmaster",
      .type = SETTING_TEXT,
      .value = &values.postmaster,
      .initial = "",
      .check_value = check_postmaster,
      .description = "who gets what is written to postmaster and abuse at the "
                     "return path host and the host name, by the listener "
                     "named inbound; empty: nobody" },
    { .section = "server",
      .key = "sending_addresses",
      .type = SETTING_LIST,
      .value = &values.sending_addresses,
      .check_value = check_sending_address,
      .description = "the addresses mail leaves from as the world sees them; "
                     "SPF records are checked for them" },
    { .section = "server",
      .key = "workers",
      .type = SETTING_NUMBER,
      .value = &values.workers,
      .initial = "0",
      .minimum = 0,
      .maximum = 256,
      .description = "worker processes; 0: one per core" },
    { .section = "server",
      .key = "user",
      .type = SETTING_TEXT,
      .value = &values.user,
      .initial = "baton",
      .description = "the user to become when started as root" },
    { .section = "server",
      .key = "drain_timeout",
      .type = SETTING_SPAN,
      .value = &values.drain_timeout,
      .initial = "30 s",
      .minimum = 0,
      .maximum = 3600000,
      .description = "how long SIGTERM waits for what is on the wire" },
    { .section = "server",
      .key = "clock_rate",
      .type = SETTING_NUMBER,
      .value = &values.clock_rate,
      .initial = "1",
      .minimum = 1,
      .maximum = 10000,
      .description = "seconds that pass per second; for tests only" },
    { .section = "server",
      .key = "lease",
      .type = SETTING_SPAN,
      .value = &values.lease,
      .initial = "8 s",
      .minimum = 2000,
      .maximum = 86400000,
      .description = "how long a silent worker keeps its deliveries" },
    { .section = "listen",
      .key = "*",
      .type = SETTING_LIST,
      .value = &values.listeners,
      .initial = "",
      .check_value = check_listener,
      .description = "NAME = ADDRESS:PORT [tls=none|optional|required|implicit]"
                     " [auth=optional|required] [auth_in_clear=on] [proxy=on];"
                     " inbound = ADDRESS:PORT [tls=] [proxy=]: mail that comes"
                     " back; http = ADDRESS:PORT" },
    { .section = "tls",
      .key = "certificate",
      .type = SETTING_TEXT,
      .value = &values.certificate,
      .initial = "",
      .description = "PEM file with the certificate chain; empty: no TLS" },
    { .section = "tls",
      .key = "key",
      .type = SETTING_TEXT,
      .value = &values.key,
      .initial = "",
      .description = "PEM file with the private key" },
    { .section = "limits",
      .key = "message_memory",
      .type = SETTING_SIZE,
      .value = &values.message_memory,
      .initial = "256 MB",
      .minimum = 16 * 1024 * 1024,
      .description = "memory of one worker for message bytes" },
    { .section = "limits",
      .key = "groups_per_account",
      .type = SETTING_NUMBER,
      .value = &values.groups_per_account,
      .initial = "1000",
      .minimum = 1,
      .maximum = 100000,
      .description = "groups that messages may make; beyond it they go "
                     "without one" },
    { .section = "limits",
      .key = "suppression_memory",
      .type = SETTING_SIZE,
      .value = &values.suppression_memory,
      .initial = "32 MB",
      .minimum = 1024 * 1024,
      .description = "memory of one worker for what it knows of suppressions; "
                     "10 million addresses take about 25 MB" },
    { .section = "limits",
      .key = "auth_failures_per_address",
      .type = SETTING_NUMBER,
      .value = &values.auth_failures_per_address,
      .initial = "20",
      .minimum = 1,
      .maximum = 1000000,
      .description = "wrong passwords from one address before it has to wait" },
    { .section = "limits",
      .key = "auth_failures_per_user",
      .type = SETTING_NUMBER,
      .value = &values.auth_failures_per_user,
      .initial = "50",
      .minimum = 1,
      .maximum = 1000000,
      .description =
          "wrong passwords for one user name before it has to wait" },
    { .section = "limits",
      .key = "auth_failure_window",
      .type = SETTING_SPAN,
      .value = &values.auth_failure_window,
      .initial = "5 min",
      .minimum = 1000,
      .maximum = 86400000,
      .description = "how long wrong passwords are counted" },
    { .section = "suppression",
      .key = "inactive_count",
      .type = SETTING_NUMBER,
      .value = &values.inactive_count,
      .initial = "3",
      .minimum = 1,
      .maximum = 1000,
      .description = "deliveries that a recipient's server refused because the "
                     "mailbox is not used any more, with none delivered in "
                     "between, before the address is suppressed" },
    { .section = "suppression",
      .key = "inactive_span",
      .type = SETTING_SPAN,
      .value = &values.inactive_span,
      .initial = "7 d",
      .minimum = 0,
      .maximum = INT64_C(180) * 24 * 3600 * 1000,
      .description = "time between the first and the last of them, at least" },
    { .section = "delivery",
      .key = "in_hand",
      .type = SETTING_NUMBER,
      .value = &values.in_hand,
      .initial = "10000",
      .minimum = 10,
      .maximum = 1000000,
      .description = "deliveries that one worker keeps in memory; one "
                     "account has at most a quarter of them" },
    { .section = "delivery",
      .key = "notice_period",
      .type = SETTING_SPAN,
      .value = &values.notice_period,
      .initial = "1 h",
      .minimum = 60 * 1000,
      .maximum = INT64_C(7) * 24 * 3600 * 1000,
      .description = "in each of these the first failures of an account "
                     "(notices_per_period) are told to its manager and authors "
                     "one by one, and the others in one digest at its end" },
    { .section = "delivery",
      .key = "connections",
      .type = SETTING_NUMBER,
      .value = &values.connections,
      .initial = "500",
      .minimum = 1,
      .maximum = 100000,
      .description = "outgoing connections of one worker; one "
                     "account uses at most three quarters of them" },
    { .section = "delivery",
      .key = "connections_per_site",
      .type = SETTING_NUMBER,
      .value = &values.connections_per_site,
      .initial = "20",
      .minimum = 1,
      .maximum = 10000,
      .description = "connections to one site, split over the live workers of "
                     "all nodes; at least one each" },
    { .section = "delivery",
      .key = "messages_per_connection",
      .type = SETTING_NUMBER,
      .value = &values.messages_per_connection,
      .initial = "100",
      .minimum = 1,
      .maximum = 1000000,
      .description = "messages sent before a connection is made anew" },
    { .section = "delivery",
      .key = "messages_per_second_per_site",
      .type = SETTING_NUMBER,
      .value = &values.messages_per_second_per_site,
      .initial = "0",
      .minimum = 0,
      .maximum = 1000000,
      .description = "rate to one site, split over the live workers of all "
                     "nodes; 0: no limit" },
    { .section = "delivery",
      .key = "waiting_per_site",
      .type = SETTING_NUMBER,
      .value = &values.waiting_per_site,
      .initial = "2000",
      .minimum = 10,
      .maximum = 1000000,
      .description = "deliveries that may wait in memory for one site; more go "
                     "back to the queue for a while" },
    { .section = "delivery",
      .key = "connection_idle",
      .type = SETTING_SPAN,
      .value = &values.connection_idle,
      .initial = "5 s",
      .minimum = 1,
      .maximum = 300000,
      .description = "how long an unused connection is kept" },
    { .section = "delivery",
      .key = "connect_timeout",
      .type = SETTING_SPAN,
      .value = &values.connect_timeout,
      .initial = "30 s",
      .minimum = 100,
      .maximum = 600000,
      .description = "time for a TCP connection" },
    { .section = "delivery",
      .key = "host_penalty",
      .type = SETTING_SPAN,
      .value = &values.host_penalty,
      .initial = "60 s",
      .minimum = 1,
      .maximum = 3600000,
      .description = "how long a host that failed is passed over" },
    { .section = "delivery",
      .key = "retry",
      .type = SETTING_TEXT,
      .value = &values.retry,
      .initial = "1 min, 5 min, 15 min, 30 min, 60 min, 2 h, 4 h",
      .check_value = check_retry,
      .description = "delays between rounds of tries; the last one repeats" },
    { .section = "delivery",
      .key = "mx_port",
      .type = SETTING_NUMBER,
      .value = &values.mx_port,
      .initial = "25",
      .minimum = 1,
      .maximum = 65535,
      .description = "port of mail exchangers" },
    { .section = "delivery",
      .key = "allow_special_addresses",
      .type = SETTING_BOOLEAN,
      .value = &values.allow_special_addresses,
      .initial = "off",
      .description = "deliver to an MX on loopback, private or reserved "
                     "addresses without a route" },
    { .section = "dkim",
      .key = "key_encryption",
      .type = SETTING_TEXT,
      .value = &values.key_encryption,
      .initial = "",
      .is_secret = true,
      .check_value = dkim_secret_check,
      .description = "what private keys are encrypted with in PostgreSQL: 64 "
                     "hexadecimal digits (openssl rand -hex 32), the same on "
                     "every node; empty: no domain gets keys" },
    { .section = "dkim",
      .key = "key_encryption_before",
      .type = SETTING_TEXT,
      .value = &values.key_encryption_before,
      .initial = "",
      .is_secret = true,
      .check_value = dkim_secret_check,
      .description = "an older key_encryption, whose keys are still read" },
    { .section = "dkim",
      .key = "host",
      .type = SETTING_TEXT,
      .value = &values.dkim_host,
      .initial = "",
      .check_value = check_host,
      .description = "zone of yours that selectors can lead to by CNAME; see "
                     "baton domain zone; empty: they are published as TXT" },
    { .section = "dkim",
      .key = "operator_domain",
      .type = SETTING_TEXT,
      .value = &values.operator_domain,
      .initial = "",
      .check_value = check_host,
      .description = "domain of yours that signs every message as well, for "
                     "feedback loops and for senders without a domain" },
    { .section = "dkim",
      .key = "operator_selector",
      .type = SETTING_TEXT,
      .value = &values.operator_selector,
      .initial = "baton",
      .check_value = check_host,
      .description = "selector of its key" },
    { .section = "dkim",
      .key = "operator_key",
      .type = SETTING_TEXT,
      .value = &values.operator_key,
      .initial = "",
      .description = "PEM file with its private key, readable to [server] "
                     "user" },
    { .section = "dns",
      .key = "servers",
      .type = SETTING_TEXT,
      .value = &values.dns_servers,
      .initial = "",
      .description = "resolvers, blank-separated, like \"127.0.0.1@5353\"; "
                     "empty: /etc/resolv.conf; \"recursive\": ask the root" },
    { .section = "dns",
      .key = "timeout",
      .type = SETTING_SPAN,
      .value = &values.dns_timeout,
      .initial = "10 s",
      .minimum = 100,
      .maximum = 60000,
      .description = "time for one look-up" },
    { .section = "log",
      .key = "level",
      .type = SETTING_TEXT,
      .value = &values.log_level,
      .initial = "info",
      .check_value = check_log_level,
      .description = "error, warning, info, debug or trace" },
    { .section = "log",
      .key = "format",
      .type = SETTING_CHOICE,
      .value = &values.log_format,
      .initial = "logfmt",
      .choices = "logfmt|json",
      .description = "how log lines are written" },
};
const size_t relay_setting_count = ARRAY_LENGTH(relay_settings);

const struct relay_settings_values *relay_settings_now(void)
{
    static char machine_name[256];
    if (values.hostname == NULL || values.hostname[0] == '\0') {
        if (gethostname(machine_name, sizeof(machine_name) - 1) != 0 ||
            machine_name[0] == '\0') {
            snprintf(machine_name, sizeof(machine_name), "localhost");
        }
        values.hostname = machine_name;
    }
    return &values;
}

const char *relay_settings_return_host(void)
{
    static char host[DOMAIN_TEXT_MAX + 1];
    struct error error;
    if (values.return_path_host == NULL || values.return_path_host[0] == '\0' ||
        !domain_normalize(text_of(values.return_path_host), host, &error)) {
        host[0] = '\0'; /* check_host has seen it: it is empty */
    }
    return host;
}

int64_t relay_settings_retry_milliseconds(int round)
{
    struct retry_schedule schedule;
    struct error error;
    check(parse_retry(values.retry, &schedule, &error));
    size_t step = round < 1 ? 0 : (size_t)round - 1;
    if (step >= schedule.count) {
        step = schedule.count - 1;
    }
    return schedule.milliseconds[step];
}

bool relay_settings_listeners(struct relay_listener *out_listeners,
                              size_t *out_count, struct error *error)
{
    return parse_listeners(values.listeners, out_listeners, out_count, error);
}

void relay_settings_configure_log(void)
{
    enum log_level level = LOG_INFO;
    (void)log_level_parse(values.log_level, &level);
    log_configure(level, values.log_format == 1);
}
