/* SPDX-License-Identifier: MIT */
/* One piece of the URL after the other, each with its own sentence. */
#include "relay/route_target.h"

#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "core/network.h"

static const struct {
    const char *name;
    enum smtp_client_tls tls;
} tls_words[] = {
    { "never", CLIENT_TLS_NEVER },
    { "opportunistic", CLIENT_TLS_OPPORTUNISTIC },
    { "required", CLIENT_TLS_REQUIRED },
    { "verified", CLIENT_TLS_VERIFIED },
};

/* RFC 3986, 2.1. Control bytes have no place in AUTH. */
static bool decode(struct text text, const char *what, char out_text[256],
                   struct error *error)
{
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        int byte = (unsigned char)text.data[i];
        if (byte == '%') {
            int high =
                i + 2 < text.length ? ascii_hex_value(text.data[i + 1]) : -1;
            int low =
                i + 2 < text.length ? ascii_hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return error_set(error,
                                 "\"%%\" in the %s must be followed by two "
                                 "hexadecimal digits; a \"%%\" itself is "
                                 "written %%25",
                                 what);
            }
            byte = high * 16 + low;
            i += 2;
        }
        if (byte < ' ' || byte == 0x7f) {
            return error_set(error, "the %s has a control character in it",
                             what);
        }
        if (length == 255) {
            return error_set(error, "the %s is longer than 255 octets", what);
        }
        out_text[length++] = (char)byte;
    }
    out_text[length] = '\0';
    return length > 0 || error_set(error, "the %s is empty", what);
}

/* The last "@" ends it: a password may be pasted with an "@" in it. */
static bool take_user(struct text *authority, struct route_target *target,
                      struct error *error)
{
    size_t at = authority->length;
    while (at > 0 && authority->data[at - 1] != '@') {
        at--;
    }
    if (at == 0) {
        return true;
    }
    struct text user_info = text_slice(*authority, 0, at - 1);
    *authority = text_slice(*authority, at, authority->length);
    size_t colon = text_find_byte(user_info, ':');
    if (colon == user_info.length) {
        return error_set(error, "before the \"@\" expected user:password");
    }
    return decode(text_slice(user_info, 0, colon), "user", target->user,
                  error) &&
           decode(text_slice(user_info, colon + 1, user_info.length),
                  "password", target->password, error);
}

static bool take_port(struct text port, struct route_target *target,
                      struct error *error)
{
    uint64_t number = 0;
    if (!text_to_uint64(port, &number) || number == 0 || number > 65535) {
        return error_set(error,
                         "\"%.*s\" is no port: expected a number from 1 to "
                         "65535",
                         TEXT_ARGUMENTS(port));
    }
    target->port = (uint16_t)number;
    return true;
}

static bool set_address(struct text text, struct route_target *target,
                        struct error *error)
{
    struct network_address address;
    char plain[NETWORK_TEXT_SIZE];
    if (!network_address_parse(text, 0, &address)) {
        return error_set(error, "\"%.*s\" is no IP address",
                         TEXT_ARGUMENTS(text));
    }
    snprintf(target->host, sizeof(target->host), "%s",
             network_address_text(&address, plain));
    return true;
}

static bool set_host(struct text host, struct route_target *target,
                     struct error *error)
{
    struct network_address address;
    char name[DOMAIN_TEXT_MAX + 1];
    struct error reason;
    if (host.length == 0) {
        return error_set(error, "the host is missing");
    }
    if (network_address_parse(host, 0, &address)) {
        return set_address(host, target, error);
    }
    if (!domain_normalize(host, name, &reason)) {
        return error_set(error, "\"%.*s\" is no host name: %s",
                         TEXT_ARGUMENTS(host), reason.text);
    }
    snprintf(target->host, sizeof(target->host), "%s", name);
    return true;
}

/* host, host:port, [address], [address]:port */
static bool take_host(struct text authority, struct route_target *target,
                      struct error *error)
{
    bool has_brackets = authority.length > 0 && authority.data[0] == '[';
    size_t end = text_find_byte(authority, has_brackets ? ']' : ':');
    if (!has_brackets) {
        struct text rest = text_slice(authority, end + 1, authority.length);
        if (end < authority.length && text_find_byte(rest, ':') < rest.length) {
            return error_set(error, "an IPv6 address stands in brackets: "
                                    "smtp://[2001:db8::1]:25");
        }
        return set_host(text_slice(authority, 0, end), target, error) &&
               (end == authority.length || take_port(rest, target, error));
    }
    if (end == authority.length) {
        return error_set(error, "the \"[\" has no \"]\"");
    }
    struct text rest = text_slice(authority, end + 1, authority.length);
    if (!set_address(text_slice(authority, 1, end), target, error)) {
        return false;
    }
    if (rest.length > 0 && rest.data[0] != ':') {
        return error_set(error, "after \"]\" expected :port");
    }
    return rest.length == 0 ||
           take_port(text_slice(rest, 1, rest.length), target, error);
}

static bool take_tls(struct text query, struct route_target *target,
                     struct error *error)
{
    struct text word = text_slice(query, 4, query.length);
    if (!text_starts_with_ignoring_case(query, "tls=")) {
        return error_set(error,
                         "unknown option \"%.*s\"; possible is only "
                         "tls=never, opportunistic, required or verified",
                         TEXT_ARGUMENTS(query));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(tls_words); i++) {
        if (text_is_ignoring_case(word, tls_words[i].name)) {
            target->tls = tls_words[i].tls;
            return true;
        }
    }
    return error_set(error,
                     "tls=%.*s is unknown: expected never, opportunistic, "
                     "required or verified",
                     TEXT_ARGUMENTS(word));
}

/* What follows "smtp://" or "smtps://". */
static bool parse_host_url(struct text rest, bool is_implicit,
                           struct route_target *target, struct error *error)
{
    size_t question = text_find_byte(rest, '?');
    struct text authority = text_slice(rest, 0, question);
    target->kind = ROUTE_SMTP;
    target->port = is_implicit ? 465 : 25;
    target->tls = is_implicit ? CLIENT_TLS_IMPLICIT : CLIENT_TLS_OPPORTUNISTIC;
    if (!take_user(&authority, target, error)) {
        return false;
    }
    if (authority.length > 0 && authority.data[authority.length - 1] == '/') {
        authority = text_slice(authority, 0, authority.length - 1);
    }
    if (!take_host(authority, target, error)) {
        return false;
    }
    if (target->user[0] != '\0' && !is_implicit) {
        target->tls = CLIENT_TLS_REQUIRED;
    }
    if (question == rest.length) {
        return true;
    }
    if (is_implicit) {
        return error_set(error, "smtps:// is always encrypted and verified: "
                                "leave away what follows the \"?\"");
    }
    if (!take_tls(text_slice(rest, question + 1, rest.length), target, error)) {
        return false;
    }
    if (target->user[0] != '\0' && (target->tls == CLIENT_TLS_NEVER ||
                                    target->tls == CLIENT_TLS_OPPORTUNISTIC)) {
        return error_set(error,
                         "a password is not sent in clear: with a user "
                         "only tls=required or tls=verified is possible");
    }
    return true;
}

bool route_target_parse(const char *text, struct route_target *out_target,
                        struct error *error)
{
    struct text rest = text_of(text);
    *out_target = (struct route_target){ 0 };
    if (text_is_ignoring_case(rest, "sandbox:")) {
        out_target->kind = ROUTE_SANDBOX;
        return true;
    }
    if (text_is_ignoring_case(rest, "discard:")) {
        out_target->kind = ROUTE_DISCARD;
        return true;
    }
    if (text_starts_with_ignoring_case(rest, "smtp://")) {
        return parse_host_url(text_slice(rest, 7, rest.length), false,
                              out_target, error);
    }
    if (text_starts_with_ignoring_case(rest, "smtps://")) {
        return parse_host_url(text_slice(rest, 8, rest.length), true,
                              out_target, error);
    }
    /* What follows the colon may hold a password. */
    return error_set(
        error,
        "expected smtp://host, smtps://host, sandbox: or "
        "discard:, not \"%.*s\"",
        TEXT_ARGUMENTS(text_slice(rest, 0, text_find_byte(rest, ':'))));
}

/* Everything but what RFC 3986 calls unreserved is encoded. */
static void encode(const char *text, struct buffer *out_text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (ascii_is_alnum(*c) || strchr("-._~", *c) != NULL) {
            buffer_append_byte(out_text, *c);
        } else {
            buffer_printf(out_text, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}

void route_target_print(const struct route_target *target,
                        struct buffer *out_text)
{
    if (target->kind != ROUTE_SMTP) {
        buffer_append_string(
            out_text, target->kind == ROUTE_SANDBOX ? "sandbox:" : "discard:");
        return;
    }
    bool is_implicit = target->tls == CLIENT_TLS_IMPLICIT;
    bool is_v6 = strchr(target->host, ':') != NULL;
    buffer_append_string(out_text, is_implicit ? "smtps://" : "smtp://");
    if (target->user[0] != '\0') {
        encode(target->user, out_text);
        buffer_append_string(out_text, ":***@");
    }
    buffer_printf(out_text, is_v6 ? "[%s]:%u" : "%s:%u", target->host,
                  (unsigned)target->port);
    for (size_t i = 0; i < ARRAY_LENGTH(tls_words); i++) {
        if (tls_words[i].tls == target->tls) {
            buffer_printf(out_text, "?tls=%s", tls_words[i].name);
        }
    }
}
