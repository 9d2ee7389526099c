/* SPDX-License-Identifier: MIT */
#include "dkim/signature_field.h"

#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "dkim/tag_list.h"

#define SECONDS_DIGITS_MAX 12 /* 3.5, of t= and x= */

static bool decode(struct text value, struct buffer *out_bytes)
{
    struct buffer folded = { 0 };
    tag_append_unfolded(value, &folded);
    bool is_base64 =
        folded.length > 0 && base64_decode(buffer_text(&folded), out_bytes);
    buffer_free(&folded);
    return is_base64;
}

/* Everything that names things: kept even when the rest is wrong. */
static bool read_names(struct text value, struct dkim_signature *signature,
                       struct error *error)
{
    struct text domain;
    struct text selector;
    (void)tag_find(value, "a", &signature->algorithm_name);
    (void)tag_find(value, "i", &signature->identity);
    if (!tag_find(value, "d", &domain) ||
        !domain_normalize(domain, signature->domain, NULL) ||
        signature->domain[0] == '[') {
        signature->domain[0] = '\0';
        return error_set(error, "d= is no domain");
    }
    (void)tag_find(value, "s", &selector);
    bool is_name =
        selector.length > 0 &&
        selector.length + strlen("._domainkey.") + strlen(signature->domain) <
            DKIM_NAME_SIZE;
    for (size_t i = 0; is_name && i < selector.length; i++) {
        is_name = ascii_is_alnum(selector.data[i]) ||
                  strchr("-_.", selector.data[i]) != NULL;
        signature->selector[i] = selector.data[i];
    }
    if (!is_name) {
        signature->selector[0] = '\0';
        return error_set(error, "s= is no selector");
    }
    return true;
}

static bool read_algorithm(struct dkim_signature *signature,
                           struct error *error)
{
    struct text name = signature->algorithm_name;
    if (name.length == 0) {
        return error_set(error, "a= is missing");
    }
    signature->is_historic = text_is_ignoring_case(name, "rsa-sha1");
    for (int i = DKIM_RSA_SHA256; i <= DKIM_ED25519_SHA256; i++) {
        enum dkim_algorithm algorithm = (enum dkim_algorithm)i;
        if (text_is_ignoring_case(name, dkim_algorithm_name(algorithm))) {
            signature->algorithm = algorithm;
            signature->is_known = true;
        }
    }
    return true;
}

static bool read_form(struct text name, enum canonical_form *out_form)
{
    *out_form = text_is_ignoring_case(name, "relaxed") ? CANONICAL_RELAXED
                                                       : CANONICAL_SIMPLE;
    return *out_form == CANONICAL_RELAXED ||
           text_is_ignoring_case(name, "simple");
}

/* "relaxed" alone is relaxed/simple. */
static bool read_forms(struct text value, struct dkim_signature *signature,
                       struct error *error)
{
    struct text forms;
    signature->header_form = CANONICAL_SIMPLE;
    signature->body_form = CANONICAL_SIMPLE;
    if (!tag_find(value, "c", &forms)) {
        return true;
    }
    size_t slash = text_find_byte(forms, '/');
    struct text body = text_slice(forms, slash + 1, forms.length);
    if (!read_form(text_slice(forms, 0, slash), &signature->header_form) ||
        (slash < forms.length && !read_form(body, &signature->body_form))) {
        return error_set(error, "c= is no canonical form");
    }
    return true;
}

static bool read_fields(struct text value, struct dkim_signature *signature,
                        struct error *error)
{
    struct text name;
    size_t count = 0;
    bool has_from = false;
    (void)tag_find(value, "h", &signature->field_names);
    struct text rest = signature->field_names;
    while (text_split(&rest, ':', &name)) {
        has_from |= text_is_ignoring_case(tag_trim(name), "From");
        count++;
    }
    if (!has_from) { /* 6.1.1 */
        return error_set(error, "h= does not name From, which must be signed");
    }
    return count <= DKIM_FIELDS_MAX ||
           error_set(error, "h= names more than %d fields", DKIM_FIELDS_MAX);
}

static bool read_digests(struct text value, struct dkim_signature *signature,
                         struct error *error)
{
    struct text text;
    struct buffer digest = { 0 };
    (void)tag_find(value, "bh", &text);
    /* A SHA-1 is shorter; such a signature is not looked at further. */
    bool is_digest = decode(text, &digest) &&
                     (digest.length == SHA256_SIZE || !signature->is_known);
    if (is_digest && digest.length == SHA256_SIZE) {
        memcpy(signature->body_digest, digest.data, SHA256_SIZE);
    }
    buffer_free(&digest);
    if (!is_digest) {
        return error_set(error, "bh= is no digest in base64");
    }
    (void)tag_find(value, "b", &text);
    return decode(text, &signature->signature) ||
           error_set(error, "b= is no signature in base64");
}

static bool read_seconds(struct text value, const char *name,
                         int64_t *out_seconds, struct error *error)
{
    struct text text;
    uint64_t seconds = 0;
    *out_seconds = -1;
    if (!tag_find(value, name, &text)) {
        return true;
    }
    if (text.length > SECONDS_DIGITS_MAX || !text_to_uint64(text, &seconds)) {
        return error_set(error, "%s= is no time", name);
    }
    *out_seconds = (int64_t)seconds;
    return true;
}

static bool read_numbers(struct text value, struct dkim_signature *signature,
                         struct error *error)
{
    struct text text;
    if (!read_seconds(value, "t", &signature->signed_at_seconds, error) ||
        !read_seconds(value, "x", &signature->expires_at_seconds, error)) {
        return false;
    }
    if (signature->expires_at_seconds >= 0 &&
        signature->expires_at_seconds <= signature->signed_at_seconds) {
        return error_set(error, "x= is not after t=");
    }
    signature->has_length = tag_find(value, "l", &text);
    return !signature->has_length || text_to_uint64(text, &signature->length) ||
           error_set(error, "l= is no number");
}

/* The domain of i= is that of d= or lies under it. */
static bool check_identity(struct dkim_signature *signature,
                           struct error *error)
{
    char domain[DOMAIN_TEXT_MAX + 1];
    struct text identity = signature->identity;
    if (identity.length == 0) {
        signature->is_exact_identity = true;
        return true;
    }
    size_t at = identity.length;
    while (at > 0 && identity.data[at - 1] != '@') {
        at--;
    }
    if (at == 0 ||
        !domain_normalize(text_slice(identity, at, identity.length), domain,
                          NULL) ||
        !domain_is_under(domain, signature->domain)) {
        return error_set(error, "i= is not of the domain in d=");
    }
    signature->is_exact_identity = strcmp(domain, signature->domain) == 0;
    return true;
}

static bool check_query(struct text value, struct error *error)
{
    struct text methods;
    struct text method;
    if (!tag_find(value, "q", &methods)) {
        return true;
    }
    while (text_split(&methods, ':', &method)) {
        if (text_is_ignoring_case(tag_trim(method), "dns/txt")) {
            return true;
        }
    }
    return error_set(error, "q= does not have dns/txt");
}

bool dkim_signature_read(struct text value,
                         struct dkim_signature *out_signature,
                         struct error *error)
{
    struct text version;
    *out_signature = (struct dkim_signature){ 0 };
    if (!read_names(value, out_signature, error)) {
        return false;
    }
    if (!tag_list_is_lawful(value)) {
        return error_set(error, "it is no list of tags, or one stands twice");
    }
    if (!tag_find(value, "v", &version) || !text_is(version, "1")) {
        return error_set(error, "v= is not 1");
    }
    return read_algorithm(out_signature, error) &&
           read_forms(value, out_signature, error) &&
           read_fields(value, out_signature, error) &&
           read_digests(value, out_signature, error) &&
           read_numbers(value, out_signature, error) &&
           check_identity(out_signature, error) && check_query(value, error);
}

void dkim_signature_free(struct dkim_signature *signature)
{
    buffer_free(&signature->signature);
}

/* Where the value of b= begins and ends; both at the end without one. */
static void find_value(struct text field, size_t *out_from, size_t *out_to)
{
    size_t begin = text_find_byte(field, ':') + 1;
    while (begin < field.length) {
        struct text rest = text_slice(field, begin, field.length);
        size_t length = text_find_byte(rest, ';');
        size_t equals = text_find_byte(text_slice(rest, 0, length), '=');
        if (equals < length &&
            text_is(tag_trim(text_slice(rest, 0, equals)), "b")) {
            *out_from = begin + equals + 1;
            *out_to = begin + length;
            return;
        }
        begin += length + 1;
    }
    *out_from = field.length;
    *out_to = field.length;
}

void dkim_signature_strip(struct text field, struct buffer *out_field)
{
    size_t from = 0;
    size_t to = 0;
    while (field.length > 0 && (field.data[field.length - 1] == '\n' ||
                                field.data[field.length - 1] == '\r')) {
        field.length--;
    }
    find_value(field, &from, &to);
    buffer_append_text(out_field, text_slice(field, 0, from));
    buffer_append_text(out_field, text_slice(field, to, field.length));
}
