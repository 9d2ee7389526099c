/* SPDX-License-Identifier: MIT */
#include "dkim/spf_macro.h"

#include <string.h>

#include "core/memory.h"

#define PIECES_MAX 256

/* "%{ir.}", taken apart. */
struct macro {
    char letter; /* in lower case */
    bool is_escaped; /* an upper-case letter: for a URL */
    unsigned keep_count; /* of the rightmost pieces; 0: all */
    bool is_reversed;
    struct text delimiters;
    size_t length; /* of what is written */
};

static bool is_one_of(char byte, const char *bytes)
{
    return byte != '\0' && strchr(bytes, byte) != NULL;
}

/* At a '%'; false: it is no macro. c, r and t are for explanations only. */
static bool read_macro(struct text text, struct macro *out_macro)
{
    size_t at = 3;
    if (text.length < 4 || text.data[1] != '{' ||
        !is_one_of(ascii_lower(text.data[2]), "slodiphv")) {
        return false;
    }
    *out_macro = (struct macro){ .letter = ascii_lower(text.data[2]) };
    out_macro->is_escaped = out_macro->letter != text.data[2];
    bool has_digits = false;
    while (at < text.length && ascii_is_digit(text.data[at])) {
        unsigned digit = (unsigned)(text.data[at++] - '0');
        has_digits = true;
        if (out_macro->keep_count < PIECES_MAX) { /* more is no difference */
            out_macro->keep_count = out_macro->keep_count * 10 + digit;
        }
    }
    if (has_digits && out_macro->keep_count == 0) {
        return false;
    }
    if (at < text.length && ascii_lower(text.data[at]) == 'r') {
        out_macro->is_reversed = true;
        at++;
    }
    size_t begin = at;
    while (at < text.length && is_one_of(text.data[at], ".-+,/_=")) {
        at++;
    }
    out_macro->delimiters = text_slice(text, begin, at);
    out_macro->length = at + 1;
    return at < text.length && text.data[at] == '}';
}

/* Length of the element at the front: a character, "%%" or a macro; 0: none. */
static size_t element_length(struct text text, bool *out_is_macro)
{
    struct macro macro;
    *out_is_macro = false;
    if (text.data[0] != '%') {
        return text.data[0] > ' ' && text.data[0] <= '~' ? 1 : 0;
    }
    if (text.length > 1 && is_one_of(text.data[1], "%_-")) {
        *out_is_macro = true; /* macro-expand has these forms too */
        return 2;
    }
    *out_is_macro = read_macro(text, &macro);
    return *out_is_macro ? macro.length : 0;
}

static bool check_elements(struct text text, bool *out_ends_in_macro)
{
    *out_ends_in_macro = false;
    while (text.length > 0) {
        size_t length = element_length(text, out_ends_in_macro);
        if (length == 0) {
            return false;
        }
        text = text_slice(text, length, text.length);
    }
    return true;
}

bool spf_macro_is_string(struct text text)
{
    bool ends_in_macro;
    return check_elements(text, &ends_in_macro);
}

/* 12: toplabel = ( *alphanum ALPHA *alphanum ) / with hyphens inside */
static bool is_top_label(struct text label)
{
    bool has_letter = false;
    for (size_t i = 0; i < label.length; i++) {
        bool is_hyphen = label.data[i] == '-';
        if ((!is_hyphen && !ascii_is_alnum(label.data[i])) ||
            (is_hyphen && (i == 0 || i + 1 == label.length))) {
            return false;
        }
        has_letter |= is_hyphen || !ascii_is_digit(label.data[i]);
    }
    return has_letter;
}

bool spf_macro_is_domain(struct text text)
{
    bool ends_in_macro;
    if (text.length == 0 || !check_elements(text, &ends_in_macro)) {
        return false;
    }
    if (ends_in_macro) {
        return true;
    }
    if (text.data[text.length - 1] == '.') {
        text.length--;
    }
    size_t begin = text.length;
    while (begin > 0 && text.data[begin - 1] != '.') {
        begin--;
    }
    return begin > 0 && is_top_label(text_slice(text, begin, text.length));
}

bool spf_macro_has_name(struct text text)
{
    while (text.length > 0) {
        struct macro macro;
        if (text.data[0] == '%' && read_macro(text, &macro) &&
            macro.letter == 'p') {
            return true;
        }
        text = text_slice(text, 1, text.length);
    }
    return false;
}

/* 7.3: IPv6 as 32 nibbles with dots between them. */
static void append_address(const struct network_address *address,
                           struct buffer *out)
{
    char text[NETWORK_TEXT_SIZE];
    if (address->socket.any.sa_family == AF_INET) {
        buffer_append_string(out, network_address_text(address, text));
        return;
    }
    for (size_t i = 0; i < 16; i++) {
        unsigned byte = address->socket.v6.sin6_addr.s6_addr[i];
        buffer_printf(out, "%s%x.%x", i > 0 ? "." : "", byte >> 4, byte & 15);
    }
}

static void append_value(char letter, const struct spf_macro_values *values,
                         struct buffer *out)
{
    size_t at = values->sender.length;
    while (at > 0 && values->sender.data[at - 1] != '@') {
        at--;
    }
    switch (letter) {
    case 's':
        buffer_append_text(out, values->sender);
        break;
    case 'l':
        buffer_append_text(out,
                           text_slice(values->sender, 0, at > 0 ? at - 1 : 0));
        break;
    case 'o':
        buffer_append_text(
            out, text_slice(values->sender, at, values->sender.length));
        break;
    case 'i':
        append_address(values->address, out);
        break;
    case 'v':
        buffer_append_string(
            out, values->address->socket.any.sa_family == AF_INET ? "in-addr"
                                                                  : "ip6");
        break;
    case 'h':
        buffer_append_string(out, values->helo);
        break;
    case 'p':
        buffer_append_string(out, values->validated_name);
        break;
    default:
        buffer_append_string(out, values->domain);
        break;
    }
}

static bool is_delimiter(char byte, struct text delimiters)
{
    return delimiters.length == 0
               ? byte == '.'
               : text_find_byte(delimiters, byte) < delimiters.length;
}

/* The value's pieces, in the order in which they are written. */
static size_t cut_pieces(struct text value, struct text delimiters,
                         struct text *out_pieces)
{
    size_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= value.length; i++) {
        if ((i == value.length || is_delimiter(value.data[i], delimiters)) &&
            count < PIECES_MAX) {
            out_pieces[count++] = text_slice(value, begin, i);
            begin = i + 1;
        }
    }
    return count;
}

static void append_escaped(struct text text, bool is_escaped,
                           struct buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (!is_escaped || ascii_is_alnum(byte) || is_one_of(byte, "-._~")) {
            buffer_append_byte(out, byte);
        } else {
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)byte);
        }
    }
}

static void append_macro(const struct macro *macro,
                         const struct spf_macro_values *values,
                         struct buffer *out)
{
    struct text pieces[PIECES_MAX];
    struct buffer value = { 0 };
    append_value(macro->letter, values, &value);
    size_t count = cut_pieces(buffer_text(&value), macro->delimiters, pieces);
    size_t kept = macro->keep_count > 0 && macro->keep_count < count
                      ? macro->keep_count
                      : count;
    for (size_t i = 0; i < kept; i++) {
        size_t index = macro->is_reversed ? kept - 1 - i : count - kept + i;
        if (i > 0) {
            buffer_append_byte(out, '.');
        }
        append_escaped(pieces[index], macro->is_escaped, out);
    }
    buffer_free(&value);
}

void spf_macro_expand(struct text text, const struct spf_macro_values *values,
                      struct buffer *out)
{
    while (text.length > 0) {
        struct macro macro;
        size_t length = 1;
        if (text.data[0] != '%') {
            buffer_append_byte(out, text.data[0]);
        } else if (read_macro(text, &macro)) {
            append_macro(&macro, values, out);
            length = macro.length;
        } else if (text.length > 1) {
            buffer_append_string(out, text.data[1] == '_'   ? " "
                                      : text.data[1] == '-' ? "%20"
                                                            : "%");
            length = 2;
        }
        text = text_slice(text, length, text.length);
    }
}

/* What libunbound would read as something else than it is: an escape. */
static bool can_be_asked(struct text name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char byte = (unsigned char)name.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '\\') {
            return false;
        }
    }
    return name.length > 0;
}

bool spf_macro_expand_domain(struct text text,
                             const struct spf_macro_values *values,
                             char out_name[SPF_NAME_SIZE])
{
    struct buffer name = { 0 };
    spf_macro_expand(text, values, &name);
    struct text rest = buffer_text(&name);
    if (rest.length > 0 && rest.data[rest.length - 1] == '.') {
        rest.length--;
    }
    while (rest.length >= SPF_NAME_SIZE) {
        size_t dot = text_find_byte(rest, '.');
        rest = text_slice(rest, dot < rest.length ? dot + 1 : dot, rest.length);
    }
    bool is_name = can_be_asked(rest);
    if (is_name) {
        memcpy(out_name, rest.data, rest.length);
        out_name[rest.length] = '\0';
    }
    buffer_free(&name);
    return is_name;
}
