/* SPDX-License-Identifier: MIT */
/* Targets are split once (split_target), by what browsers take for a host. */
#include "tracking/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "tracking/token.h"

/* --- the target --- */

/* The bytes of the text, but for those that no browser sees in a URL. */
static void append_without_breaks(struct text text, struct buffer *out)
{
    size_t plain_from = 0;
    for (size_t at = 0; at < text.length; at++) {
        char byte = text.data[at];
        if (byte == '\t' || byte == '\n' || byte == '\r') {
            buffer_append_text(out, text_slice(text, plain_from, at));
            plain_from = at + 1;
        }
    }
    buffer_append_text(out, text_slice(text, plain_from, text.length));
}

static struct text trim_controls(struct text text)
{
    size_t from = 0;
    size_t to = text.length;
    while (from < to && (unsigned char)text.data[from] <= ' ') {
        from++;
    }
    while (from < to && (unsigned char)text.data[to - 1] <= ' ') {
        to--;
    }
    return text_slice(text, from, to);
}

bool link_target(struct text href, struct buffer *out_target)
{
    size_t before = out_target->length;
    append_without_breaks(trim_controls(href), out_target);
    struct text target = { out_target->data + before,
                           out_target->length - before };
    if (target.length > 0 &&
        (text_starts_with_ignoring_case(target, "https:") ||
         text_starts_with_ignoring_case(target, "http:")) &&
        !memchr(target.data, '\0', target.length)) {
        return true;
    }
    out_target->length = before;
    return false;
}

/* --- the parts of a target --- */

struct link_parts {
    struct text host; /* without port, user or final dot */
    struct text port; /* "" if there is none, or the scheme's own */
    struct text path; /* from its first slash on, or empty */
    size_t query_from; /* offset of "?"; that of "#" or the end without one */
    size_t fragment_from; /* offset of "#", or the end */
};

static bool ends_authority(char byte)
{
    return byte == '/' || byte == '\\' || byte == '?' || byte == '#';
}

/* The authority may follow any number of slashes or backslashes: WHATWG URL,
 * 4.4, special authority ignore slashes state. */
static struct text take_authority(struct text target, size_t *out_end)
{
    size_t from = text_find_byte(target, ':');
    from += from < target.length ? 1 : 0;
    while (from < target.length &&
           (target.data[from] == '/' || target.data[from] == '\\')) {
        from++;
    }
    size_t to = from;
    size_t host_from = from;
    for (; to < target.length && !ends_authority(target.data[to]); to++) {
        if (target.data[to] == '@') {
            host_from = to + 1;
        }
    }
    *out_end = to;
    return text_slice(target, host_from, to);
}

static void split_authority(struct text target, struct text authority,
                            struct link_parts *out)
{
    size_t colon = authority.length;
    for (size_t i = authority.length; i > 0; i--) {
        char byte = authority.data[i - 1];
        if (byte == ':') {
            colon = i - 1;
        }
        if (byte == ':' || byte == ']') {
            break;
        }
    }
    bool is_https = text_starts_with_ignoring_case(target, "https:");
    out->host = text_slice(authority, 0, colon);
    if (colon < authority.length) {
        out->port = text_slice(authority, colon + 1, authority.length);
    }
    if (text_is(out->port, is_https ? "443" : "80")) {
        out->port = (struct text){ "", 0 };
    }
    if (out->host.length > 1 && out->host.data[out->host.length - 1] == '.') {
        out->host.length--;
    }
}

static struct link_parts split_target(struct text target)
{
    struct link_parts parts = { .port = { "", 0 } };
    size_t end;
    struct text authority = take_authority(target, &end);
    split_authority(target, authority, &parts);
    parts.fragment_from = text_find_byte(target, '#');
    parts.query_from =
        text_find_byte(text_slice(target, 0, parts.fragment_from), '?');
    parts.path = text_slice(target, end, parts.query_from);
    return parts;
}

bool link_is_on(struct text target, const char *tracking_url)
{
    if (!tracking_url || tracking_url[0] == '\0') {
        return false;
    }
    struct link_parts link = split_target(target);
    struct link_parts ours = split_target(text_of(tracking_url));
    struct text rest = link.path;
    if (!text_equal_ignoring_case(link.host, ours.host) ||
        !text_equal(link.port, ours.port) || rest.length < ours.path.length) {
        return false;
    }
    rest.length = ours.path.length;
    return text_equal(rest, ours.path);
}

/* --- sensitive links --- */

/* Those with a hyphen are also found with another separator. */
static const char *const sensitive_words[] = {
    "reset",
    "password-reset",
    "reset-password",
    "passwordreset",
    "resetpassword",
    "verify",
    "verification",
    "otp",
    "one-time",
    "onetime",
    "magic",
    "magiclink",
    "passcode",
    "2fa",
    "mfa",
};

static bool is_separator(char byte)
{
    return byte == '/' || byte == '\\' || byte == '-' || byte == '_' ||
           byte == '.';
}

static bool is_same_letter(char path, char word)
{
    return ascii_lower(path) == ascii_lower(word) ||
           (is_separator(path) && is_separator(word));
}

/* Does the path hold the word, at the start of a segment, as all of it? */
static bool has_segment(struct text path, struct text word)
{
    for (size_t from = 0; from + word.length <= path.length; from++) {
        if (from > 0 && !is_separator(path.data[from - 1])) {
            continue;
        }
        size_t i = 0;
        while (i < word.length &&
               is_same_letter(path.data[from + i], word.data[i])) {
            i++;
        }
        size_t end = from + word.length;
        if (i == word.length &&
            (end == path.length || is_separator(path.data[end]))) {
            return true;
        }
    }
    return false;
}

bool link_is_sensitive(struct text target, const struct policy *policy)
{
    struct text path = split_target(target).path;
    for (size_t i = 0; i < ARRAY_LENGTH(sensitive_words); i++) {
        if (has_segment(path, text_of(sensitive_words[i]))) {
            return true;
        }
    }
    struct text rest = text_of(policy->sensitive_words);
    struct text word;
    while (text_split(&rest, ',', &word)) {
        word = text_trim(word);
        if (word.length > 0 && has_segment(path, word)) {
            return true;
        }
    }
    return false;
}

/* --- analytics --- */

/* The domain itself, or one above the host. */
static bool is_under(struct text host, struct text domain)
{
    if (text_is(domain, "*")) {
        return true;
    }
    if (domain.length == 0 || host.length < domain.length) {
        return false;
    }
    size_t from = host.length - domain.length;
    return text_equal_ignoring_case(text_slice(host, from, host.length),
                                    domain) &&
           (from == 0 || host.data[from - 1] == '.');
}

static bool is_chosen(struct text host, const char *domains)
{
    struct text rest = text_of(domains);
    struct text domain;
    while (text_split(&rest, ',', &domain)) {
        if (is_under(host, text_trim(domain))) {
            return true;
        }
    }
    return false;
}

struct analytics_values {
    const char *group_name;
    char group_id[24];
    const char *recipient;
};

#define MACRO_RECIPIENT "%%EmailAddress%%"

/* Fill the macro in that the text begins with; returns its length, or 0. */
static size_t fill_macro(struct text text,
                         const struct analytics_values *values,
                         struct buffer *out)
{
    const struct {
        const char *macro;
        const char *value;
    } macros[] = {
        { "%%TransactionalGroupName%%", values->group_name },
        { "%%TransactionalGroupID%%", values->group_id },
        { MACRO_RECIPIENT, values->recipient },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(macros); i++) {
        if (text_starts_with_ignoring_case(text, macros[i].macro)) {
            buffer_append_text(out, text_of(macros[i].value));
            return strlen(macros[i].macro);
        }
    }
    return 0;
}

static void fill_value(struct text value, const struct analytics_values *values,
                       struct buffer *out)
{
    for (size_t at = 0; at < value.length;) {
        struct text rest = text_slice(value, at, value.length);
        size_t length = fill_macro(rest, values, out);
        if (length == 0) {
            buffer_append_byte(out, value.data[at]);
            length = 1;
        }
        at += length;
    }
}

/* All but the unreserved characters of RFC 3986, 2.3. */
static void append_percent_encoded(struct text value, struct buffer *out)
{
    for (size_t i = 0; i < value.length; i++) {
        char byte = value.data[i];
        if (ascii_is_alnum(byte) || byte == '-' || byte == '.' || byte == '_' ||
            byte == '~') {
            buffer_append_byte(out, byte);
        } else {
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)byte);
        }
    }
}

static bool has_parameter(struct text query, const char *name)
{
    struct text parameter;
    while (text_split(&query, '&', &parameter)) {
        size_t end = text_find_byte(parameter, '=');
        if (text_is_ignoring_case(text_slice(parameter, 0, end), name)) {
            return true;
        }
    }
    return false;
}

#define PARAMETER_COUNT 5

struct analytics_parameter {
    const char *name;
    const char *value;
};

static void list_parameters(const struct policy *policy,
                            struct analytics_parameter out[PARAMETER_COUNT])
{
    bool has_campaign = policy->utm_campaign && policy->utm_campaign[0];
    const struct analytics_parameter parameters[PARAMETER_COUNT] = {
        { "utm_source", policy->utm_source },
        { "utm_medium", policy->utm_medium },
        { "utm_campaign",
          has_campaign ? policy->utm_campaign : "%%TransactionalGroupName%%" },
        { "utm_content", policy->utm_content },
        { "utm_term", policy->utm_term },
    };
    memcpy(out, parameters, sizeof(parameters));
}

/* "&name=value" for every parameter that the query has not. */
static void append_parameters(const struct policy *policy,
                              const char *recipient, struct text query,
                              struct buffer *out)
{
    struct analytics_parameter parameters[PARAMETER_COUNT];
    list_parameters(policy, parameters);
    struct analytics_values values = { policy->group_name, "", recipient };
    if (policy->group_id != 0) {
        snprintf(values.group_id, sizeof(values.group_id), "%" PRId64,
                 policy->group_id);
    }
    struct buffer value = { 0 };
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        buffer_clear(&value);
        fill_value(text_of(parameters[i].value), &values, &value);
        if (value.length > 0 && !has_parameter(query, parameters[i].name)) {
            buffer_printf(out, "&%s=", parameters[i].name);
            append_percent_encoded(buffer_text(&value), out);
        }
    }
    buffer_free(&value);
}

void link_add_analytics(struct text target, const struct policy *policy,
                        const char *recipient, struct buffer *out_target)
{
    struct link_parts parts = split_target(target);
    if (!is_chosen(parts.host, policy->analytics)) {
        buffer_append_text(out_target, target);
        return;
    }
    size_t begin = out_target->length;
    bool has_query = parts.query_from < parts.fragment_from;
    struct text query = { "", 0 };
    if (has_query) {
        query = text_slice(target, parts.query_from + 1, parts.fragment_from);
    }
    struct buffer added = { 0 };
    append_parameters(policy, recipient, query, &added);
    buffer_append_text(out_target, text_slice(target, 0, parts.fragment_from));
    if (added.length > 0) {
        bool is_joined = has_query && (query.length == 0 ||
                                       query.data[query.length - 1] == '&');
        if (!has_query) {
            buffer_append_byte(out_target, '?');
        } else if (!is_joined) {
            buffer_append_byte(out_target, '&');
        }
        buffer_append_text(out_target,
                           text_slice(buffer_text(&added), 1, added.length));
    }
    buffer_append_text(out_target,
                       text_slice(target, parts.fragment_from, target.length));
    buffer_free(&added);
    if (out_target->length - begin > TOKEN_TARGET_BYTES_MAX) {
        out_target->length = begin;
        buffer_append_text(out_target, target);
    }
}

bool link_analytics_is_personal(const struct policy *policy)
{
    struct analytics_parameter parameters[PARAMETER_COUNT];
    list_parameters(policy, parameters);
    if (!policy->analytics || policy->analytics[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if (parameters[i].value &&
            strcasestr(parameters[i].value, MACRO_RECIPIENT)) {
            return true;
        }
    }
    return false;
}
