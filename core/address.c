/* SPDX-License-Identifier: MIT */
/*
 * The grammar is Mailbox of RFC 5321, 4.1.2, widened to UTF-8 by RFC 6531,
 * 3.3, and read strictly, but for "_" in domains, which hosts do use.
 * Sentences never quote the input: they are sent to peers and to logs.
 */
#include "core/address.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/network.h"

#define LOCAL_MAX 64 /* RFC 5321, 4.5.3.1.1 */
#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */
#define UNICODE_DOMAIN_MAX (4 * DOMAIN_TEXT_MAX)

static bool is_8bit(char byte)
{
    return ((unsigned char)byte & 0x80) != 0;
}

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

/* atext of RFC 5322, 3.2.3. */
static bool is_atom_byte(char byte)
{
    return ascii_is_alnum(byte) ||
           (byte != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL);
}

static bool is_domain_byte(char byte)
{
    return ascii_is_alnum(byte) || byte == '-' || byte == '_' || byte == '.';
}

/* Say what the byte is that may not stand there. */
static bool refuse_byte(struct error *error, char byte, const char *part)
{
    if (is_8bit(byte)) {
        return error_set(error,
                         "the %s has bytes that are not ASCII; that needs the "
                         "SMTPUTF8 parameter",
                         part);
    }
    if (is_control(byte)) {
        return error_set(error, "the %s has a control byte (0x%02x)", part,
                         (unsigned)byte);
    }
    if (byte == ' ') {
        return error_set(error, "the %s has a space", part);
    }
    return error_set(error, "the %s has a \"%c\", which may not stand there",
                     part, byte);
}

/* Measure a quoted local part, with both quotes. */
static bool measure_quoted(struct text text, bool allow_utf8,
                           size_t *out_length, struct error *error)
{
    static const char part[] = "quoted local part";
    for (size_t i = 1; i < text.length; i++) {
        if (text.data[i] == '"') {
            *out_length = i + 1;
            return true;
        }
        bool is_pair = text.data[i] == '\\' && i + 1 < text.length;
        i += is_pair ? 1 : 0;
        char byte = text.data[i];
        if (is_control(byte) || (is_8bit(byte) && (is_pair || !allow_utf8))) {
            return refuse_byte(error, byte, part);
        }
    }
    return error_set(error, "the quoted local part has no closing quote");
}

/* Measure atoms with single dots between them. */
static bool measure_dot_string(struct text text, bool allow_utf8,
                               size_t *out_length, struct error *error)
{
    size_t length = 0;
    while (length < text.length) {
        char byte = text.data[length];
        bool is_dot = byte == '.';
        if (is_dot && (length == 0 || text.data[length - 1] == '.')) {
            return error_set(
                error, length == 0 ? "the local part begins with a dot"
                                   : "the local part has two dots in a row");
        }
        if (!is_dot && !is_atom_byte(byte) && !(allow_utf8 && is_8bit(byte))) {
            break;
        }
        length++;
    }
    if (length > 0 && text.data[length - 1] == '.') {
        return error_set(error, "the local part ends with a dot");
    }
    *out_length = length;
    return true;
}

static bool measure_local(struct text text, bool allow_utf8, size_t *out_length,
                          struct error *error)
{
    size_t length;
    bool is_quoted = text.length > 0 && text.data[0] == '"';
    if (!(is_quoted ? measure_quoted : measure_dot_string)(text, allow_utf8,
                                                           &length, error)) {
        return false;
    }
    char next = length < text.length ? text.data[length] : '@';
    if (next != '@' && next != '>') {
        return refuse_byte(error, next, "local part");
    }
    if (length == 0) {
        return error_set(error, "there is nothing before the @");
    }
    if (length > LOCAL_MAX) {
        return error_set(error, "the local part is longer than %d octets",
                         LOCAL_MAX);
    }
    if (!text_is_utf8(text_slice(text, 0, length))) {
        return error_set(error, "the local part is not well-formed UTF-8");
    }
    *out_length = length;
    return true;
}

/* "[203.0.113.9]" or "[IPv6:2001:db8::1]", nothing else (RFC 5321, 4.1.3). */
static bool check_literal(struct text literal, struct error *error)
{
    struct network_address ignored;
    struct text inner = text_slice(literal, 1, literal.length - 1);
    bool is_v6 = text_starts_with_ignoring_case(inner, "IPv6:");
    if (is_v6) {
        inner = text_slice(inner, 5, inner.length);
    }
    bool has_colon = text_find_byte(inner, ':') < inner.length;
    bool has_bracket = text_find_byte(inner, '[') < inner.length;
    if (has_bracket || is_v6 != has_colon ||
        !network_address_parse(inner, 0, &ignored)) {
        return error_set(error,
                         "the address literal is not as in [203.0.113.9] or "
                         "[IPv6:2001:db8::1]");
    }
    return true;
}

static bool measure_literal(struct text text, size_t *out_length,
                            struct error *error)
{
    size_t end = text_find_byte(text, ']');
    if (end == text.length) {
        return error_set(error, "the address literal has no closing bracket");
    }
    *out_length = end + 1;
    return check_literal(text_slice(text, 0, end + 1), error);
}

/* A U-label may be longer in UTF-8 than its A-label, which is what the limit
 * is for; domain_normalize sees that one. */
static bool check_label(struct text label, struct error *error)
{
    if (label.length == 0) {
        return error_set(error, "the domain has an empty label: it begins or "
                                "ends with a dot or has two in a row");
    }
    if (label.length > LABEL_MAX && !text_has_8bit(label)) {
        return error_set(error,
                         "a label of the domain is longer than %d "
                         "octets",
                         LABEL_MAX);
    }
    if (label.data[0] == '-' || label.data[label.length - 1] == '-') {
        return error_set(error,
                         "a label of the domain begins or ends with a hyphen");
    }
    return true;
}

static bool check_labels(struct text domain, struct error *error)
{
    if (domain.length == 0) {
        return error_set(error, "the domain is missing");
    }
    if (domain.length > DOMAIN_TEXT_MAX) {
        return error_set(error, "the domain is longer than %d octets",
                         DOMAIN_TEXT_MAX);
    }
    size_t from = 0;
    for (size_t i = 0; i <= domain.length; i++) {
        if (i == domain.length || domain.data[i] == '.') {
            if (!check_label(text_slice(domain, from, i), error)) {
                return false;
            }
            from = i + 1;
        }
    }
    return true;
}

static bool measure_domain(struct text text, bool allow_utf8,
                           size_t *out_length, struct error *error)
{
    if (text.length > 0 && text.data[0] == '[') {
        return measure_literal(text, out_length, error);
    }
    size_t length = 0;
    while (length < text.length &&
           (is_domain_byte(text.data[length]) ||
            (allow_utf8 && is_8bit(text.data[length])))) {
        length++;
    }
    if (length < text.length && text.data[length] != '>') {
        return refuse_byte(error, text.data[length], "domain");
    }
    struct text domain = text_slice(text, 0, length);
    if (!text_is_utf8(domain)) {
        return error_set(error, "the domain is not well-formed UTF-8");
    }
    *out_length = length;
    return check_labels(domain, error);
}

/* Parse local@domain at the start; what follows is the caller's. */
static bool parse_mailbox(struct text text, bool allow_utf8,
                          struct address *out_address, size_t *out_length,
                          struct error *error)
{
    size_t local_length = 0;
    size_t domain_length = 0;
    if (text.length == 0) {
        return error_set(error, "the address is empty");
    }
    if (!measure_local(text, allow_utf8, &local_length, error)) {
        return false;
    }
    if (local_length == text.length || text.data[local_length] != '@') {
        return error_set(error, "the address has no @ and no domain");
    }
    struct text rest = text_slice(text, local_length + 1, text.length);
    if (!measure_domain(rest, allow_utf8, &domain_length, error)) {
        return false;
    }
    out_address->local = text_slice(text, 0, local_length);
    out_address->domain = text_slice(rest, 0, domain_length);
    *out_length = local_length + 1 + domain_length;
    return true;
}

/* What has no domain between angle brackets; its length or 0. */
static size_t take_special_path(struct text inner, struct address *out_address)
{
    static const char postmaster[] = "Postmaster>";
    *out_address = (struct address){ { "", 0 }, { "", 0 } };
    if (inner.length > 0 && inner.data[0] == '>') {
        return 1;
    }
    if (text_starts_with_ignoring_case(inner, postmaster)) {
        out_address->local = text_slice(inner, 0, sizeof(postmaster) - 2);
        return sizeof(postmaster) - 1;
    }
    return 0;
}

bool address_parse_path(struct text text, bool allow_utf8,
                        struct address *out_address, size_t *out_length,
                        struct error *error)
{
    struct text path = text_trim(text);
    if (path.length == 0 || path.data[0] != '<') {
        return error_set(error, "the address must stand between < and >");
    }
    struct text inner = text_slice(path, 1, path.length);
    size_t before = (size_t)(path.data - text.data) + 1;
    size_t length = take_special_path(inner, out_address);
    if (length > 0) {
        *out_length = before + length;
        return true;
    }
    if (inner.length > 0 && inner.data[0] == '@') {
        return error_set(error, "source routes are not accepted; give the "
                                "address alone, as in <user@example.com>");
    }
    struct address address;
    if (!parse_mailbox(inner, allow_utf8, &address, &length, error)) {
        return false;
    }
    if (length == inner.length) {
        return error_set(error, "the closing > is missing");
    }
    if (inner.data[length] != '>') {
        return refuse_byte(error, inner.data[length], "domain");
    }
    *out_address = address;
    *out_length = before + length + 1;
    return true;
}

bool address_parse(struct text text, bool allow_utf8,
                   struct address *out_address, struct error *error)
{
    struct address address;
    size_t length;
    if (!parse_mailbox(text, allow_utf8, &address, &length, error)) {
        return false;
    }
    if (length < text.length) {
        return refuse_byte(error, text.data[length], "domain");
    }
    *out_address = address;
    return true;
}

bool address_is_null(const struct address *address)
{
    return address->local.length == 0 && address->domain.length == 0;
}

bool address_needs_smtputf8(const struct address *address)
{
    return text_has_8bit(address->local);
}

/* Copy in lower case; the caller has checked that it fits. */
static void copy_lower(struct text text, char out[DOMAIN_TEXT_MAX + 1])
{
    for (size_t i = 0; i < text.length; i++) {
        out[i] = ascii_lower(text.data[i]);
    }
    out[text.length] = '\0';
}

static struct text without_final_dot(struct text domain)
{
    bool has_dot = domain.length > 1 && domain.data[domain.length - 1] == '.';
    return text_slice(domain, 0, domain.length - (has_dot ? 1 : 0));
}

/* No host's last label is a number (RFC 3696, 2); such a thing is an IPv4
 * address that lacks its brackets. */
static bool ends_with_number(struct text domain)
{
    size_t i = domain.length;
    while (i > 0 && ascii_is_digit(domain.data[i - 1])) {
        i--;
    }
    return i == 0 || (i < domain.length && domain.data[i - 1] == '.');
}

static bool normalize_ascii(struct text domain,
                            char out_domain[DOMAIN_TEXT_MAX + 1],
                            struct error *error)
{
    domain = without_final_dot(domain);
    for (size_t i = 0; i < domain.length; i++) {
        if (!is_domain_byte(domain.data[i])) {
            return refuse_byte(error, domain.data[i], "domain");
        }
    }
    if (!check_labels(domain, error)) {
        return false;
    }
    if (ends_with_number(domain)) {
        return error_set(error, "the domain ends with a number, which no host "
                                "name does; write an IP address in brackets");
    }
    copy_lower(domain, out_domain);
    return true;
}

static bool normalize_unicode(struct text domain,
                              char out_domain[DOMAIN_TEXT_MAX + 1],
                              struct error *error)
{
    uint8_t copy[UNICODE_DOMAIN_MAX + 1] = { 0 };
    if (domain.length > UNICODE_DOMAIN_MAX) {
        return error_set(error, "the domain is longer than %d octets",
                         DOMAIN_TEXT_MAX);
    }
    if (!text_is_utf8(domain) || memchr(domain.data, '\0', domain.length)) {
        return error_set(error, "the domain is not well-formed UTF-8");
    }
    memcpy(copy, domain.data, domain.length);
    uint8_t *ascii = NULL;
    int result =
        idn2_lookup_u8(copy, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (result != IDN2_OK) {
        return error_set(error, "the domain is no internationalised name: %s",
                         idn2_strerror(result));
    }
    bool is_right =
        normalize_ascii(text_of((const char *)ascii), out_domain, error);
    idn2_free(ascii);
    return is_right;
}

bool domain_normalize(struct text domain, char out_domain[DOMAIN_TEXT_MAX + 1],
                      struct error *error)
{
    if (domain.length > 0 && domain.data[0] == '[') {
        size_t length;
        if (!measure_literal(domain, &length, error)) {
            return false;
        }
        if (length < domain.length) {
            return refuse_byte(error, domain.data[length], "domain");
        }
        copy_lower(domain, out_domain);
        return true;
    }
    return text_has_8bit(domain) ? normalize_unicode(domain, out_domain, error)
                                 : normalize_ascii(domain, out_domain, error);
}

bool address_normalize(struct text text, char out_address[ADDRESS_TEXT_MAX + 1],
                       struct error *error)
{
    struct address address;
    char domain[DOMAIN_TEXT_MAX + 1];
    if (!address_parse(text, true, &address, error) ||
        !domain_normalize(address.domain, domain, error)) {
        return false;
    }
    if (text_has_8bit(address.domain)) {
        address.domain = text_of(domain);
    }
    snprintf(out_address, ADDRESS_TEXT_MAX + 1, "%.*s@%.*s",
             TEXT_ARGUMENTS(address.local), TEXT_ARGUMENTS(address.domain));
    return true;
}

bool domain_is_under(const char *domain, const char *parent)
{
    size_t length = strlen(domain);
    size_t parent_length = strlen(parent);
    if (parent_length == 0 || parent_length > length) {
        return false;
    }
    size_t from = length - parent_length;
    return strcmp(domain + from, parent) == 0 &&
           (from == 0 || domain[from - 1] == '.');
}
