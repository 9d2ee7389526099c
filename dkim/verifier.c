/* SPDX-License-Identifier: MIT */
#include "dkim/verifier.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "dkim/public_key.h"
#include "dkim/tag_list.h"

/* Records at one selector; there should be one (3.6.2.2). */
#define KEY_RECORDS_MAX 4
/* More than any mail has: h= is compared with all of them. */
#define FIELDS_MAX 10000

struct field {
    struct text whole; /* folds and CRLF included */
    struct text name;
};

struct fields {
    struct field *fields;
    size_t count;
    size_t capacity;
};

struct candidate {
    struct text field;
    struct dkim_signature signature;
    struct dkim_verdict verdict;
    bool is_decided; /* without a key, or with it */
    struct buffer signed_bytes; /* of the header */
};

struct dkim_verification {
    struct candidate candidates[DKIM_SIGNATURES_MAX];
    size_t count;
    size_t skipped_count;
};

const char *dkim_result_text(enum dkim_result result)
{
    static const char *const texts[] = {
        [DKIM_PASS] = "pass",           [DKIM_FAIL] = "fail",
        [DKIM_NEUTRAL] = "neutral",     [DKIM_TEMPERROR] = "temperror",
        [DKIM_PERMERROR] = "permerror",
    };
    return texts[result];
}

/* 1. The message. */

/* Length of the line at the front with its end. */
static size_t line_length(struct text rest)
{
    size_t length = text_find_byte(rest, '\n');
    return length < rest.length ? length + 1 : length;
}

static bool is_empty_line(struct text line)
{
    return text_is(line, "\r\n") || text_is(line, "\n");
}

static void add_field(struct fields *fields, struct text whole)
{
    struct text name = text_slice(whole, 0, text_find_byte(whole, ':'));
    if (fields->count == fields->capacity) {
        fields->capacity = fields->capacity > 0 ? 2 * fields->capacity : 64;
        fields->fields = memory_resize(
            fields->fields, fields->capacity * sizeof(*fields->fields));
    }
    fields->fields[fields->count++] =
        (struct field){ .whole = whole, .name = text_trim(name) };
}

/* Returns the body. */
static struct text read_fields(struct text message, struct fields *out_fields)
{
    struct text rest = message;
    *out_fields = (struct fields){ 0 };
    while (rest.length > 0) {
        size_t length = line_length(rest);
        if (is_empty_line(text_slice(rest, 0, length))) {
            return text_slice(rest, length, rest.length);
        }
        while (length < rest.length &&
               (rest.data[length] == ' ' || rest.data[length] == '\t')) {
            length += line_length(text_slice(rest, length, rest.length));
        }
        add_field(out_fields, text_slice(rest, 0, length));
        rest = text_slice(rest, length, rest.length);
    }
    return (struct text){ "", 0 };
}

/* 2. What was signed. */

/* The fields of h=, each time the lowest one that was not taken yet; those that
 * are not there give nothing (5.4.2). */
static void collect_fields(const struct fields *fields,
                           const struct dkim_signature *signature,
                           struct buffer *out)
{
    bool *is_taken = memory_alloc_array(fields->count + 1, sizeof(*is_taken));
    struct text names = signature->field_names;
    struct text name;
    while (text_split(&names, ':', &name)) {
        name = tag_trim(name);
        for (size_t i = fields->count; i > 0; i--) {
            const struct field *field = &fields->fields[i - 1];
            if (!is_taken[i - 1] &&
                text_equal_ignoring_case(field->name, name)) {
                is_taken[i - 1] = true;
                canonical_field(field->whole, signature->header_form, out);
                break;
            }
        }
    }
    memory_free(is_taken);
}

static void collect_signed_bytes(const struct fields *fields,
                                 struct candidate *candidate)
{
    struct buffer stripped = { 0 };
    struct buffer *out = &candidate->signed_bytes;
    const struct dkim_signature *signature = &candidate->signature;
    collect_fields(fields, signature, out);
    dkim_signature_strip(candidate->field, &stripped);
    canonical_field(buffer_text(&stripped), signature->header_form, out);
    if (signature->header_form == CANONICAL_RELAXED) {
        out->length -= 2; /* its CRLF is not signed (3.7) */
    }
    buffer_free(&stripped);
}

struct body_digest {
    struct digest *digest;
    uint64_t room; /* octets that are signed yet */
    size_t beyond_bytes;
};

static void add_to_digest(void *owner, struct text piece)
{
    struct body_digest *body = owner;
    size_t length =
        piece.length < body->room ? piece.length : (size_t)body->room;
    digest_add(body->digest, text_slice(piece, 0, length));
    body->room -= length;
    body->beyond_bytes += piece.length - length;
}

static void refuse(struct candidate *candidate, enum dkim_result result,
                   const char *sentence)
{
    candidate->verdict.result = result;
    candidate->is_decided = true;
    error_set(&candidate->verdict.reason, "%s", sentence);
}

static void check_body(struct text bytes, struct candidate *candidate)
{
    uint8_t found[SHA256_SIZE];
    struct canonical_body form;
    const struct dkim_signature *signature = &candidate->signature;
    struct body_digest body = { .digest = digest_begin(), .room = UINT64_MAX };
    if (signature->has_length) {
        body.room = signature->length;
    }
    canonical_body_begin(&form, signature->body_form, add_to_digest, &body);
    canonical_body_add(&form, bytes);
    canonical_body_end(&form);
    digest_end(&body.digest, found);
    candidate->verdict.unsigned_bytes = body.beyond_bytes;
    if (signature->has_length && body.room > 0) {
        refuse(candidate, DKIM_FAIL, "the body is shorter than l= says");
    } else if (memcmp(found, signature->body_digest, sizeof(found)) != 0) {
        refuse(candidate, DKIM_FAIL,
               "the body was changed after it was signed "
               "(bh= is another digest)");
    }
}

/* 3. Without a key. */

static void name_verdict(const struct dkim_signature *signature,
                         struct dkim_verdict *verdict)
{
    struct text identity = signature->identity;
    struct text algorithm = signature->algorithm_name;
    (void)snprintf(verdict->domain, sizeof(verdict->domain), "%s",
                   signature->domain);
    (void)snprintf(verdict->selector, sizeof(verdict->selector), "%s",
                   signature->selector);
    if (algorithm.length < sizeof(verdict->algorithm)) {
        (void)snprintf(verdict->algorithm, sizeof(verdict->algorithm), "%.*s",
                       TEXT_ARGUMENTS(algorithm));
    }
    if (identity.length > 0 && identity.length < sizeof(verdict->identity)) {
        (void)snprintf(verdict->identity, sizeof(verdict->identity), "%.*s",
                       TEXT_ARGUMENTS(identity));
    } else {
        (void)snprintf(verdict->identity, sizeof(verdict->identity), "@%s",
                       signature->domain);
    }
    verdict->has_length = signature->has_length;
}

static void read_signature(struct candidate *candidate, int64_t now)
{
    struct error error;
    struct dkim_signature *signature = &candidate->signature;
    size_t colon = text_find_byte(candidate->field, ':');
    bool is_read = dkim_signature_read(
        text_slice(candidate->field, colon + 1, candidate->field.length),
        signature, &error);
    name_verdict(signature, &candidate->verdict);
    if (!is_read) {
        refuse(candidate, DKIM_NEUTRAL, error.text);
    } else if (signature->is_historic) {
        refuse(candidate, DKIM_PERMERROR,
               "rsa-sha1 is no longer believed (RFC 8301)");
    } else if (!signature->is_known) {
        refuse(candidate, DKIM_NEUTRAL, "the algorithm in a= is not known");
    } else if (signature->expires_at_seconds >= 0 &&
               signature->expires_at_seconds < now / CLOCK_SECOND) {
        refuse(candidate, DKIM_FAIL, "the signature has expired (x=)");
    }
}

static void prepare(struct candidate *candidate, struct text field,
                    const struct fields *fields, struct text body, int64_t now)
{
    candidate->field = field;
    read_signature(candidate, now);
    if (!candidate->is_decided && fields->count > FIELDS_MAX) {
        refuse(candidate, DKIM_NEUTRAL, "the header has too many fields");
    }
    if (!candidate->is_decided) {
        check_body(body, candidate);
    }
    if (!candidate->is_decided) {
        collect_signed_bytes(fields, candidate);
    }
}

static void free_candidate(struct candidate *candidate)
{
    dkim_signature_free(&candidate->signature);
    buffer_free(&candidate->signed_bytes);
}

/* 4. With a key. */

static void judge(struct candidate *candidate,
                  const struct dkim_public_key *key)
{
    struct dkim_verdict *verdict = &candidate->verdict;
    const struct dkim_signature *signature = &candidate->signature;
    verdict->key_bits = dkim_public_key_bits(key);
    verdict->is_testing = dkim_public_key_is_testing(key);
    if (dkim_public_key_algorithm(key) != signature->algorithm) {
        refuse(candidate, DKIM_PERMERROR,
               "the key is not for the algorithm in a=");
    } else if (dkim_public_key_is_strict(key) &&
               !signature->is_exact_identity) {
        refuse(candidate, DKIM_PERMERROR,
               "i= is a subdomain, which the key does not allow (t=s)");
    } else if (dkim_public_key_verify(key,
                                      buffer_text(&candidate->signed_bytes),
                                      buffer_text(&signature->signature))) {
        refuse(candidate, DKIM_PASS,
               verdict->unsigned_bytes > 0
                   ? "the signature is right, but the end of the body is not "
                     "signed (l=)"
                   : "the signature is right");
    } else if (verdict->is_testing) {
        refuse(candidate, DKIM_NEUTRAL,
               "the signature does not match, and the domain is only testing "
               "(t=y)");
    } else {
        refuse(candidate, DKIM_FAIL,
               "the signature does not match: a signed field was changed, or "
               "another key signed it");
    }
}

/* One record of perhaps several; true: no other needs to be tried. */
static bool try_record(struct candidate *candidate, struct text record)
{
    struct error error;
    struct dkim_public_key *key;
    if (dkim_public_key_read(record, &key, &error) == DKIM_KEY_USABLE) {
        judge(candidate, key);
        dkim_public_key_free(&key);
    } else {
        refuse(candidate, DKIM_PERMERROR, error.text);
    }
    return candidate->verdict.result == DKIM_PASS;
}

static void try_records(struct candidate *candidate,
                        const struct dns_answer *answer)
{
    struct dkim_verdict *verdict = &candidate->verdict;
    char sentence[600];
    if (answer->status == DNS_TEMPORARY || answer->count == 0) {
        bool is_temporary = answer->status == DNS_TEMPORARY;
        (void)snprintf(sentence, sizeof(sentence),
                       is_temporary ? "DNS does not answer for %s._domainkey.%s"
                                    : "there is no key at %s._domainkey.%s",
                       verdict->selector, verdict->domain);
        refuse(candidate, is_temporary ? DKIM_TEMPERROR : DKIM_PERMERROR,
               sentence);
        return;
    }
    struct dkim_verdict first = *verdict;
    for (size_t i = 0; i < answer->count && i < KEY_RECORDS_MAX; i++) {
        if (try_record(candidate, answer->records.texts[i].text)) {
            return;
        }
        /* A mismatch says more than a record that is no key. */
        first = i == 0 || verdict->result == DKIM_FAIL ? *verdict : first;
    }
    *verdict = first;
}

/* 5. All of them. */

struct dkim_verification *dkim_verification_open(struct text message,
                                                 int64_t now)
{
    struct fields fields;
    struct dkim_verification *verification =
        memory_alloc(sizeof(*verification));
    struct text body = read_fields(message, &fields);
    for (size_t i = 0; i < fields.count; i++) {
        if (!text_is_ignoring_case(fields.fields[i].name, "DKIM-Signature")) {
            continue;
        }
        if (verification->count == DKIM_SIGNATURES_MAX) {
            verification->skipped_count++;
        } else {
            prepare(&verification->candidates[verification->count++],
                    fields.fields[i].whole, &fields, body, now);
        }
    }
    memory_free(fields.fields);
    return verification;
}

void dkim_verification_free(struct dkim_verification **verification)
{
    struct dkim_verification *doomed = *verification;
    if (doomed == NULL) {
        return;
    }
    *verification = NULL;
    for (size_t i = 0; i < doomed->count; i++) {
        free_candidate(&doomed->candidates[i]);
    }
    memory_free(doomed);
}

bool dkim_verification_run(struct dkim_verification *verification,
                           struct dns_inquiry *inquiry)
{
    bool is_complete = true;
    for (size_t i = 0; i < verification->count; i++) {
        struct candidate *candidate = &verification->candidates[i];
        char name[2 * DKIM_NAME_SIZE + sizeof("._domainkey.")];
        if (candidate->is_decided) {
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s._domainkey.%s",
                       candidate->signature.selector,
                       candidate->signature.domain);
        const struct dns_answer *answer =
            dns_inquiry_ask(inquiry, DNS_TYPE_TXT, name);
        if (answer != NULL) {
            try_records(candidate, answer);
        } else {
            is_complete = false;
        }
    }
    return is_complete;
}

size_t dkim_verification_count(const struct dkim_verification *verification)
{
    return verification->count;
}

const struct dkim_verdict *dkim_verification_verdict(
    const struct dkim_verification *verification, size_t i)
{
    check(i < verification->count);
    return &verification->candidates[i].verdict;
}

size_t dkim_verification_skipped(const struct dkim_verification *verification)
{
    return verification->skipped_count;
}

void dkim_verify_signature(struct text message, struct text field,
                           struct text key_record, int64_t now,
                           struct dkim_verdict *out_verdict)
{
    struct fields fields;
    struct candidate candidate = { 0 };
    struct text body = read_fields(message, &fields);
    prepare(&candidate, field, &fields, body, now);
    if (!candidate.is_decided) {
        (void)try_record(&candidate, key_record);
    }
    *out_verdict = candidate.verdict;
    free_candidate(&candidate);
    memory_free(fields.fields);
}
