/* SPDX-License-Identifier: MIT */
#include "tracking/address_text.h"

#include <string.h>

#include "core/address.h"

static bool is_local_byte(char byte)
{
    return ascii_is_alnum(byte) || ((unsigned char)byte & 0x80) != 0 ||
           (byte != '\0' && strchr("!#$%&'*+-./=?^_`{|}~", byte) != NULL);
}

static bool is_domain_byte(char byte)
{
    return ascii_is_alnum(byte) || ((unsigned char)byte & 0x80) != 0 ||
           byte == '-' || byte == '.' || byte == '_';
}

/* Where a quoted local part that ends before `at` begins; `at` if there is
 * none. Bounded: local parts are short. */
static size_t start_of_quoted(struct text text, size_t at)
{
    if (at == 0 || text.data[at - 1] != '"') {
        return at;
    }
    for (size_t from = at - 1; from > 0 && at - from <= 66; from--) {
        char byte = text.data[from - 1];
        if (byte == '"') {
            return from - 1;
        }
        if (byte == '\n' || byte == '<') {
            break;
        }
    }
    return at;
}

/* Gateways write "dda:SMTP=a@b"; quotes and dots in front are not meant. */
static size_t without_prefix(struct text text, size_t from, size_t at)
{
    struct text local = text_slice(text, from, at);
    if (text_starts_with_ignoring_case(local, "smtp=")) {
        from += strlen("smtp=");
    }
    while (from < at && strchr("'`.=*/-", text.data[from]) != NULL) {
        from++;
    }
    return from;
}

static size_t start_of_local(struct text text, size_t at)
{
    size_t from = start_of_quoted(text, at);
    if (from < at) {
        return from;
    }
    while (from > 0 && at - from <= ADDRESS_TEXT_MAX &&
           is_local_byte(text.data[from - 1])) {
        from--;
    }
    return without_prefix(text, from, at);
}

static size_t end_of_domain(struct text text, size_t at)
{
    size_t end = at + 1;
    if (end < text.length && text.data[end] == '[') {
        size_t close = text_find_byte(text_slice(text, end, text.length), ']');
        return close < 64 && end + close < text.length ? end + close + 1 : at;
    }
    while (end < text.length && end - at <= DOMAIN_TEXT_MAX &&
           is_domain_byte(text.data[end])) {
        end++;
    }
    while (end > at + 1 && strchr(".-_", text.data[end - 1]) != NULL) {
        end--;
    }
    return end;
}

/* A name with a dot, or a literal; "@2x.png" and "a@b@c" are none. */
static bool is_plausible(struct text text, size_t from, size_t at, size_t end)
{
    struct text domain = text_slice(text, at + 1, end);
    if (from == at || at - from > 200 || domain.length < 3 ||
        (end < text.length && text.data[end] == '@')) {
        return false;
    }
    /* In a URL or a Message-ID of sorts it is no mailbox. */
    bool is_in_url = from > 0 && text.data[from - 1] == '/';
    return !is_in_url && (domain.data[0] == '[' ||
                          text_find_byte(domain, '.') < domain.length);
}

bool address_text_next(struct text *rest, struct text *out_address)
{
    struct text text = *rest;
    size_t at = text_find_byte(text, '@');
    while (at < text.length) {
        size_t from = start_of_local(text, at);
        size_t end = end_of_domain(text, at);
        if (is_plausible(text, from, at, end)) {
            *out_address = text_slice(text, from, end);
            *rest = text_slice(text, end, text.length);
            return true;
        }
        size_t next =
            text_find_byte(text_slice(text, at + 1, text.length), '@');
        at = at + 1 + next;
    }
    *rest = text_slice(text, text.length, text.length);
    return false;
}

const char *address_text_first(struct arena *arena, const char *value)
{
    struct text rest = text_of(value);
    struct text address;
    return address_text_next(&rest, &address) ? arena_copy_text(arena, address)
                                              : "";
}
