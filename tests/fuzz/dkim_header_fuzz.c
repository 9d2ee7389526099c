/* SPDX-License-Identifier: MIT */
/* A DKIM-Signature field and a key record of any bytes, separated by a NUL:
 * what is read keeps its promises, and a signature that nobody made is never
 * right. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "dkim/public_key.h"
#include "dkim/verifier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_field(struct text value)
{
    struct dkim_signature signature;
    struct error error;
    if (dkim_signature_read(value, &signature, &error)) {
        check(signature.domain[0] != '\0' && signature.selector[0] != '\0');
        check(strlen(signature.domain) + strlen(signature.selector) <
              DKIM_NAME_SIZE);
        check(signature.signature.length > 0);
        check(signature.field_names.length > 0);
    }
    dkim_signature_free(&signature);
}

/* What is stripped is taken out, and nothing else changes. */
static void strip_field(struct text field)
{
    struct buffer stripped = { 0 };
    dkim_signature_strip(field, &stripped);
    check(stripped.length <= field.length);
    check(stripped.length == 0 || stripped.data[0] == field.data[0]);
    buffer_free(&stripped);
}

static void read_key(struct text record)
{
    struct dkim_public_key *key;
    struct error error;
    bool is_usable =
        dkim_public_key_read(record, &key, &error) == DKIM_KEY_USABLE;
    check(is_usable == (key != NULL));
    if (is_usable) {
        check(dkim_public_key_bits(key) >= 256);
        check(dkim_public_key_equal(key, key));
    }
    dkim_public_key_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = { (const char *)data, size };
    size_t end = text_find_byte(input, '\0');
    struct text value = text_slice(input, 0, end);
    struct text record = text_slice(input, end + 1, input.length);
    struct buffer message = { 0 };
    struct dkim_verdict verdict;
    read_field(value);
    read_key(record);
    buffer_append_string(&message, "DKIM-Signature:");
    buffer_append_text(&message, value);
    size_t length = message.length;
    buffer_append_string(&message, "\r\nFrom: a@b.example\r\n\r\nHi\r\n");
    strip_field((struct text){ message.data, length + 2 });
    dkim_verify_signature(buffer_text(&message),
                          (struct text){ message.data, length + 2 }, record,
                          1700000000 * CLOCK_SECOND, &verdict);
    check(verdict.reason.text[0] != '\0');
    struct dkim_verification *verification = dkim_verification_open(
        buffer_text(&message), 1700000000 * CLOCK_SECOND);
    check(dkim_verification_count(verification) <= DKIM_SIGNATURES_MAX);
    dkim_verification_free(&verification);
    buffer_free(&message);
    return 0;
}
