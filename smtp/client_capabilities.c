/* SPDX-License-Identifier: MIT */
/* What a next hop offers in its reply to EHLO: RFC 5321 4.1.1.1. */
#include "core/memory.h"
#include "smtp/client_internal.h"

static void read_pipelining(struct client_capabilities *to, struct text rest)
{
    (void)rest;
    to->has_pipelining = true;
}

/* RFC 1870, 4: without a number, or with 0, there is no fixed maximum. */
static void read_size(struct client_capabilities *to, struct text rest)
{
    to->has_size = true;
    if (!text_to_uint64(rest, &to->size_max)) {
        to->size_max = 0;
    }
}

static void read_8bitmime(struct client_capabilities *to, struct text rest)
{
    (void)rest;
    to->has_8bitmime = true;
}

static void read_smtputf8(struct client_capabilities *to, struct text rest)
{
    (void)rest;
    to->has_smtputf8 = true;
}

static void read_dsn(struct client_capabilities *to, struct text rest)
{
    (void)rest;
    to->has_dsn = true;
}

static void read_starttls(struct client_capabilities *to, struct text rest)
{
    (void)rest;
    to->has_starttls = true;
}

static void read_auth(struct client_capabilities *to, struct text rest)
{
    struct text word;
    while (text_split(&rest, ' ', &word)) {
        to->has_auth_plain |= text_is_ignoring_case(word, "PLAIN");
        to->has_auth_login |= text_is_ignoring_case(word, "LOGIN");
    }
}

/* RFC 9422, 3: "LIMITS MAILMAX=5 RCPTMAX=20"; unknown limits are ignored. */
static void read_limits(struct client_capabilities *to, struct text rest)
{
    struct text word;
    while (text_split(&rest, ' ', &word)) {
        size_t equals = text_find_byte(word, '=');
        struct text name = text_slice(word, 0, equals);
        uint64_t value = 0;
        if (equals == word.length ||
            !text_to_uint64(text_slice(word, equals + 1, word.length),
                            &value)) {
            continue;
        }
        if (text_is_ignoring_case(name, "RCPTMAX")) {
            to->recipients_max = value;
        } else if (text_is_ignoring_case(name, "MAILMAX")) {
            to->messages_max = value;
        }
    }
}

static const struct capability_row {
    const char *keyword;
    void (*read)(struct client_capabilities *to, struct text rest);
} capability_rows[] = {
    { "PIPELINING", read_pipelining },
    { "SIZE", read_size },
    { "8BITMIME", read_8bitmime },
    { "SMTPUTF8", read_smtputf8 },
    { "DSN", read_dsn },
    { "STARTTLS", read_starttls },
    { "AUTH", read_auth },
    { "LIMITS", read_limits },
};

/* Old servers also write "AUTH=LOGIN". */
static size_t measure_keyword(struct text line)
{
    size_t blank = text_find_byte(line, ' ');
    size_t equals = text_find_byte(line, '=');
    return blank < equals ? blank : equals;
}

void client_capabilities_read(struct client_capabilities *capabilities,
                              struct text line)
{
    size_t length = measure_keyword(line);
    struct text keyword = text_slice(line, 0, length);
    struct text rest = length < line.length
                           ? text_slice(line, length + 1, line.length)
                           : TEXT_LITERAL("");
    for (size_t i = 0; i < ARRAY_LENGTH(capability_rows); i++) {
        if (text_is_ignoring_case(keyword, capability_rows[i].keyword)) {
            capability_rows[i].read(capabilities, text_trim(rest));
        }
    }
}
