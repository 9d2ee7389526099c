/* SPDX-License-Identifier: MIT */
#include "dkim/spf_term.h"

#include <string.h>

#include "core/memory.h"
#include "dkim/spf_macro.h"

enum argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_DOMAIN };

static const struct {
    const char *name;
    enum spf_kind kind;
    char separator; /* before the argument: '=' is a modifier */
    enum argument domain;
    bool has_prefix; /* may end with /24//64 */
} rows[] = {
    { "all", SPF_ALL, ':', ARGUMENT_NONE, false },
    { "include", SPF_INCLUDE, ':', ARGUMENT_DOMAIN, false },
    { "a", SPF_A, ':', ARGUMENT_OPTIONAL, true },
    { "mx", SPF_MX, ':', ARGUMENT_OPTIONAL, true },
    { "ptr", SPF_PTR, ':', ARGUMENT_OPTIONAL, false },
    { "ip4", SPF_IP4, ':', ARGUMENT_NONE, false },
    { "ip6", SPF_IP6, ':', ARGUMENT_NONE, false },
    { "exists", SPF_EXISTS, ':', ARGUMENT_DOMAIN, false },
    { "redirect", SPF_REDIRECT, '=', ARGUMENT_DOMAIN, false },
    { "exp", SPF_EXP, '=', ARGUMENT_DOMAIN, false },
};

static bool refuse(const struct spf_term *term, const char *why,
                   struct error *error)
{
    return error_set(error, "\"%.*s\" %s", TEXT_ARGUMENTS(term->written), why);
}

/* "32" of "/32" at the end of *text, cut off with its slashes. False: there is
 * a slash and no such number (5.6: no zero before another digit). */
static bool cut_prefix(struct text *text, const char *slashes, unsigned limit,
                       unsigned *out_bits)
{
    size_t begin = text->length;
    uint64_t value = 0;
    while (begin > 0 && ascii_is_digit(text->data[begin - 1])) {
        begin--;
    }
    struct text digits = text_slice(*text, begin, text->length);
    struct text before = text_slice(*text, 0, begin);
    if (!text_ends_with_ignoring_case(before, slashes)) {
        return true; /* none */
    }
    if (!text_to_uint64(digits, &value) || value > limit ||
        (digits.length > 1 && digits.data[0] == '0')) {
        return false;
    }
    *out_bits = (unsigned)value;
    *text = text_slice(before, 0, before.length - strlen(slashes));
    return true;
}

static bool read_prefixes(struct spf_term *term, struct text *argument)
{
    return cut_prefix(argument, "//", 128, &term->prefix_bits_v6) &&
           cut_prefix(argument, "/", 32, &term->prefix_bits_v4) &&
           (argument->length == 0 ||
            argument->data[argument->length - 1] != '/');
}

static bool read_range(struct spf_term *term, struct text argument,
                       struct error *error)
{
    bool is_v4 = term->kind == SPF_IP4;
    size_t slash = text_find_byte(argument, '/');
    struct text address = text_slice(argument, 0, slash);
    struct text bits = text_slice(argument, slash, argument.length);
    term->range.prefix_bits = is_v4 ? 32 : 128;
    if (!cut_prefix(&bits, "/", is_v4 ? 32 : 128, &term->range.prefix_bits) ||
        bits.length > 0) {
        return refuse(term, "has a prefix length that is none", error);
    }
    /* Written in brackets it would be read elsewhere, but not here. */
    if (text_find_byte(address, '[') < address.length ||
        (is_v4 ? text_find_byte(address, ':') < address.length
               : text_find_byte(address, ':') == address.length) ||
        !network_address_parse(address, 0, &term->range.base)) {
        return refuse(
            term, is_v4 ? "has no IPv4 address" : "has no IPv6 address", error);
    }
    return true;
}

static bool read_domain(struct spf_term *term, struct text argument,
                        struct error *error)
{
    term->domain = argument;
    return spf_macro_is_domain(argument) ||
           refuse(term, "has no lawful domain name behind the sign", error);
}

static bool read_argument(struct spf_term *term, size_t row,
                          struct text argument, bool has_separator,
                          struct error *error)
{
    if (term->kind == SPF_IP4 || term->kind == SPF_IP6) {
        return read_range(term, argument, error);
    }
    if (rows[row].has_prefix && !read_prefixes(term, &argument)) {
        return refuse(term, "has a prefix length that is none", error);
    }
    if (rows[row].domain == ARGUMENT_NONE) {
        return (!has_separator && argument.length == 0) ||
               refuse(term, "takes nothing behind its name", error);
    }
    if (!has_separator && argument.length > 0) {
        return refuse(term, "is no mechanism that SPF knows", error);
    }
    if (!has_separator && rows[row].domain == ARGUMENT_OPTIONAL) {
        return true;
    }
    return read_domain(term, argument, error);
}

/* 12: name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) */
static size_t name_length(struct text word)
{
    size_t length = 0;
    while (length < word.length &&
           (ascii_is_alnum(word.data[length]) ||
            (length > 0 && word.data[length] != '\0' &&
             strchr("-_.", word.data[length]) != NULL))) {
        length++;
    }
    return length > 0 && ascii_is_digit(word.data[0]) ? 0 : length;
}

static bool read_unknown(struct spf_term *term, struct text word, size_t length,
                         struct error *error)
{
    bool is_modifier =
        length > 0 && length < word.length && word.data[length] == '=';
    if (!is_modifier || term->written.length != word.length) {
        return refuse(term, "is no mechanism that SPF knows", error);
    }
    term->kind = SPF_OTHER_MODIFIER;
    struct text value = text_slice(word, length + 1, word.length);
    return spf_macro_is_string(value) ||
           refuse(term, "has a macro that is none", error);
}

static bool read_term(struct text word, struct spf_term *out_term,
                      struct error *error)
{
    *out_term = (struct spf_term){ .qualifier = '+',
                                   .written = word,
                                   .prefix_bits_v4 = 32,
                                   .prefix_bits_v6 = 128 };
    bool is_qualified =
        word.data[0] != '\0' && strchr("+-~?", word.data[0]) != NULL;
    if (is_qualified) {
        out_term->qualifier = word.data[0];
        word = text_slice(word, 1, word.length);
    }
    size_t length = name_length(word);
    struct text name = text_slice(word, 0, length);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char after = length < word.length ? word.data[length] : '\0';
        bool is_modifier = rows[i].separator == '=';
        if (!text_is_ignoring_case(name, rows[i].name) ||
            (after == '=') != is_modifier || (is_modifier && is_qualified)) {
            continue;
        }
        out_term->kind = rows[i].kind;
        bool has_separator = after == rows[i].separator;
        return read_argument(
            out_term, i,
            text_slice(word, length + (has_separator ? 1 : 0), word.length),
            has_separator, error);
    }
    return read_unknown(out_term, word, length, error);
}

bool spf_term_next(struct text *rest, struct spf_term *out_term,
                   bool *out_is_wrong, struct error *error)
{
    struct text word = { 0 };
    *out_is_wrong = false;
    do {
        if (!text_split(rest, ' ', &word)) {
            return false;
        }
    } while (word.length == 0);
    *out_is_wrong = !read_term(word, out_term, error);
    return !*out_is_wrong;
}
