/* SPDX-License-Identifier: MIT */
/*
 * The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8
 * (RFC 6531), RET ENVID NOTIFY ORCPT (RFC 3461) and AUTH (RFC 4954, 5).
 */
#include <inttypes.h>
#include <string.h>

#include "core/memory.h"
#include "smtp/server_internal.h"

#define ENVELOPE_ID_MAX 100 /* RFC 3461 4.4 */
#define ORIGINAL_RECIPIENT_MAX 500 /* RFC 3461 4.2 */
#define SIZE_DIGITS_MAX 20 /* RFC 1870 3 */

/* What is being filled; recipient is NULL for MAIL. */
struct target {
    struct smtp_transaction *transaction;
    struct smtp_recipient *recipient;
    struct smtp_reply *reply;
};

typedef bool parse_value_fn(struct target *target, struct text value);

static bool refuse(struct target *target, const char *sentence)
{
    smtp_reply_set(target->reply, 501, "5.5.4", "%s", sentence);
    return false;
}

static bool is_upper_hex(char byte)
{
    return ascii_is_digit(byte) || (byte >= 'A' && byte <= 'F');
}

/* RFC 3461 4: printable ASCII without "=", "+" only before two hex digits. */
static bool is_xtext(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte < '!' || byte > '~' || byte == '=') {
            return false;
        }
        if (byte != '+') {
            continue;
        }
        if (text.length - i < 3 || !is_upper_hex(text.data[i + 1]) ||
            !is_upper_hex(text.data[i + 2])) {
            return false;
        }
    }
    return true;
}

static bool parse_size(struct target *target, struct text value)
{
    uint64_t size = UINT64_MAX;
    bool fits = text_to_uint64(value, &size);
    for (size_t i = 0; i < value.length; i++) {
        if (!ascii_is_digit(value.data[i])) {
            return refuse(target, "SIZE takes a number of octets");
        }
    }
    if (value.length == 0 || value.length > SIZE_DIGITS_MAX) {
        return refuse(target, "SIZE takes a number of octets");
    }
    if (!fits || size > (uint64_t)smtp_message_size_limit()) {
        smtp_reply_set(target->reply, 552, "5.3.4",
                       "The message is larger than the %" PRId64
                       " octets accepted here",
                       smtp_message_size_limit());
        return false;
    }
    target->transaction->declared_size = size;
    return true;
}

static bool parse_body(struct target *target, struct text value)
{
    target->transaction->is_8bit_declared =
        text_is_ignoring_case(value, "8BITMIME");
    if (!target->transaction->is_8bit_declared &&
        !text_is_ignoring_case(value, "7BIT")) {
        return refuse(target, "BODY is 7BIT or 8BITMIME");
    }
    return true;
}

static bool parse_smtputf8(struct target *target, struct text value)
{
    (void)value;
    target->transaction->is_smtputf8 = true;
    return true;
}

static bool parse_ret(struct target *target, struct text value)
{
    if (text_is_ignoring_case(value, "FULL")) {
        target->transaction->dsn_return = DSN_RETURN_FULL;
    } else if (text_is_ignoring_case(value, "HDRS")) {
        target->transaction->dsn_return = DSN_RETURN_HEADERS;
    } else {
        return refuse(target, "RET is FULL or HDRS");
    }
    return true;
}

static bool parse_envid(struct target *target, struct text value)
{
    if (value.length == 0 || value.length > ENVELOPE_ID_MAX ||
        !is_xtext(value)) {
        return refuse(target, "ENVID takes up to 100 octets of xtext");
    }
    target->transaction->envelope_id =
        arena_copy_text(target->transaction->arena, value);
    return true;
}

/* The identity of who sent it first (RFC 4954 5). Nobody here trusts it, which
 * is the same as if it were "<>"; but it must be well-formed. */
static bool parse_auth(struct target *target, struct text value)
{
    if (value.length == 0 || !is_xtext(value)) {
        return refuse(target, "AUTH takes an address as xtext, or <>");
    }
    return true;
}

static const struct notify_word {
    const char *word;
    unsigned flag;
} notify_words[] = {
    { "NEVER", DSN_NOTIFY_NEVER },
    { "SUCCESS", DSN_NOTIFY_SUCCESS },
    { "FAILURE", DSN_NOTIFY_FAILURE },
    { "DELAY", DSN_NOTIFY_DELAY },
};

static unsigned find_notify_word(struct text word)
{
    for (size_t i = 0; i < ARRAY_LENGTH(notify_words); i++) {
        if (text_is_ignoring_case(word, notify_words[i].word)) {
            return notify_words[i].flag;
        }
    }
    return 0;
}

static bool parse_notify(struct target *target, struct text value)
{
    static const char expected[] =
        "NOTIFY is NEVER, or of SUCCESS, FAILURE and DELAY a list";
    unsigned notify = 0;
    struct text word;
    if (value.length == 0 || value.data[value.length - 1] == ',') {
        return refuse(target, expected);
    }
    while (text_split(&value, ',', &word)) {
        unsigned flag = find_notify_word(word);
        if (flag == 0) {
            return refuse(target, expected);
        }
        notify |= flag;
    }
    if ((notify & DSN_NOTIFY_NEVER) && notify != DSN_NOTIFY_NEVER) {
        return refuse(target, expected);
    }
    target->recipient->notify = notify;
    return true;
}

static bool is_atom(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!ascii_is_alnum(text.data[i]) && text.data[i] != '-') {
            return false;
        }
    }
    return text.length > 0;
}

static bool has_control(struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* "rfc822;" and an address as xtext. With SMTPUTF8 the type "utf-8" may hold
 * the characters themselves (RFC 6533 3). */
static bool parse_orcpt(struct target *target, struct text value)
{
    size_t type_end = text_find_byte(value, ';');
    struct text type = text_slice(value, 0, type_end);
    struct text address = text_slice(value, type_end + 1, value.length);
    bool is_utf8_type = text_is_ignoring_case(type, "utf-8");
    bool is_right =
        is_utf8_type
            ? text_is_utf8(address) && !has_control(address) &&
                  (target->transaction->is_smtputf8 || !text_has_8bit(address))
            : is_xtext(address);
    if (!is_atom(type) || address.length == 0 || !is_right ||
        value.length > ORIGINAL_RECIPIENT_MAX) {
        return refuse(target, "ORCPT is as in rfc822;user@example.com, in "
                              "xtext, up to 500 octets");
    }
    target->recipient->original_recipient =
        arena_copy_text(target->transaction->arena, value);
    return true;
}

static const struct parameter {
    const char *key;
    enum parameter_place place;
    bool has_value;
    parse_value_fn *parse;
} parameters[] = {
    { "SIZE", PARAMETERS_OF_MAIL, true, parse_size },
    { "BODY", PARAMETERS_OF_MAIL, true, parse_body },
    { "SMTPUTF8", PARAMETERS_OF_MAIL, false, parse_smtputf8 },
    { "RET", PARAMETERS_OF_MAIL, true, parse_ret },
    { "ENVID", PARAMETERS_OF_MAIL, true, parse_envid },
    { "AUTH", PARAMETERS_OF_MAIL, true, parse_auth },
    { "NOTIFY", PARAMETERS_OF_RCPT, true, parse_notify },
    { "ORCPT", PARAMETERS_OF_RCPT, true, parse_orcpt },
};

static const struct parameter *find_parameter(struct text key,
                                              enum parameter_place place)
{
    for (size_t i = 0; i < ARRAY_LENGTH(parameters); i++) {
        if (parameters[i].place == place &&
            text_is_ignoring_case(key, parameters[i].key)) {
            return &parameters[i];
        }
    }
    return NULL;
}

static bool parse_one(struct target *target, enum parameter_place place,
                      struct text word, unsigned *seen)
{
    size_t equals = text_find_byte(word, '=');
    const struct parameter *parameter =
        find_parameter(text_slice(word, 0, equals), place);
    if (parameter == NULL) {
        smtp_reply_set(target->reply, 555, "5.5.4",
                       "The parameter %.*s is not known here",
                       (int)(equals < 40 ? equals : 40), word.data);
        return false;
    }
    unsigned bit = 1U << (parameter - parameters);
    if (*seen & bit) {
        smtp_reply_set(target->reply, 501, "5.5.4", "%s is given twice",
                       parameter->key);
        return false;
    }
    *seen |= bit;
    if ((equals < word.length) != parameter->has_value) {
        smtp_reply_set(target->reply, 501, "5.5.4", "%s takes %s value",
                       parameter->key, parameter->has_value ? "a" : "no");
        return false;
    }
    return parameter->parse(target, text_slice(word, equals + 1, word.length));
}

bool parameters_parse(struct text text, enum parameter_place place,
                      struct smtp_transaction *transaction,
                      struct smtp_recipient *recipient,
                      struct smtp_reply *out_reply)
{
    struct target target = { transaction, recipient, out_reply };
    unsigned seen = 0;
    struct text word;
    while (text_split(&text, ' ', &word)) {
        if (word.length > 0 && !parse_one(&target, place, word, &seen)) {
            return false;
        }
    }
    return true;
}
