/* SPDX-License-Identifier: MIT */
/* [limits]: what a submission session may ask of us. */
#include "core/memory.h"
#include "smtp/server_internal.h"

static struct smtp_limits limits;

const struct smtp_limits *smtp_limits_now(void)
{
    return &limits;
}

int64_t smtp_message_size_limit(void)
{
    return limits.message_size;
}

int64_t smtp_session_limit(void)
{
    return limits.sessions_per_worker;
}

#define LIMITS_ROW(name, kind, start, low, high, text)               \
    {                                                                \
        .section = "limits", .key = #name, .type = (kind),           \
        .value = &limits.name, .initial = (start), .minimum = (low), \
        .maximum = (high), .description = (text),                    \
    }

#define MINUTE (INT64_C(60) * 1000)
#define HOUR (60 * MINUTE)

const struct setting smtp_settings[] = {
    LIMITS_ROW(message_size, SETTING_SIZE, "50 MB", 65536,
               INT64_C(1024) * 1024 * 1024,
               "Largest message accepted; announced as SIZE"),
    LIMITS_ROW(recipients_per_message, SETTING_NUMBER, "1000", 100, 100000,
               "Recipients of one message; announced as RCPTMAX, further ones "
               "are told to come with another message"),
    LIMITS_ROW(messages_per_session, SETTING_NUMBER, "1000", 1, 1000000,
               "Messages of one session; announced as MAILMAX"),
    LIMITS_ROW(sessions_per_worker, SETTING_NUMBER, "2000", 1, 1000000,
               "Submission sessions at a time in one worker"),
    LIMITS_ROW(sessions_per_address, SETTING_NUMBER, "200", 1, 1000000,
               "Submission sessions at a time from one IPv4 address or IPv6 "
               "/64, in one worker"),
    LIMITS_ROW(errors_per_session, SETTING_NUMBER, "20", 1, 1000000,
               "Mistakes of a client (unknown commands, wrong syntax, wrong "
               "passwords) before its session is closed"),
    LIMITS_ROW(command_length, SETTING_SIZE, "4 KB", 1024, 12288,
               "Longest command line; AUTH may always take 12288 octets"),
    LIMITS_ROW(handshake_timeout, SETTING_SPAN, "1 min", 1, HOUR,
               "How long a TLS handshake or a PROXY header may take"),
    LIMITS_ROW(idle_timeout, SETTING_SPAN, "5 min", 1, 24 * HOUR,
               "How long a session may be silent between commands"),
    LIMITS_ROW(data_timeout, SETTING_SPAN, "5 min", 1, 24 * HOUR,
               "How long a client may be silent within a message"),
    LIMITS_ROW(message_timeout, SETTING_SPAN, "1 h", 1, 24 * HOUR,
               "How long one DATA or BDAT may take as a whole"),
    LIMITS_ROW(auth_delay, SETTING_SPAN, "1 s", 0, MINUTE,
               "How long the answer to a wrong password is held back"),
};
const size_t smtp_setting_count = ARRAY_LENGTH(smtp_settings);
