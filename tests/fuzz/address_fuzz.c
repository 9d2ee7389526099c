/* SPDX-License-Identifier: MIT */
/*
 * What stands behind MAIL FROM: and RCPT TO: — a path and its parameters. The
 * first octet says whether UTF-8 is allowed.
 */
#include <string.h>

#include "core/address.h"
#include "core/config.h"
#include "core/memory.h"
#include "smtp/server_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *string)
{
    for (const char *c = string; *c != '\0'; c++) {
        check(*c >= ' ' && *c <= '~');
    }
}

static void check_inside(struct text part, struct text whole)
{
    if (part.length > 0) {
        check(part.data >= whole.data);
        check(part.data + part.length <= whole.data + whole.length);
    }
}

/* Nothing that ends a line or a path early, whoever reads it next. */
static void check_part(struct text part, bool allow_utf8)
{
    for (size_t i = 0; i < part.length; i++) {
        check((unsigned char)part.data[i] >= ' ' && part.data[i] != 0x7f);
        check(allow_utf8 || (part.data[i] & 0x80) == 0);
    }
    check(text_is_utf8(part));
}

static void check_domain(struct text domain)
{
    char once[DOMAIN_TEXT_MAX + 1];
    char twice[DOMAIN_TEXT_MAX + 1];
    struct error error = { "" };
    if (!domain_normalize(domain, once, &error)) {
        check(error.text[0] != '\0');
        return;
    }
    check(strlen(once) > 0 && strlen(once) <= DOMAIN_TEXT_MAX);
    check_printable(once);
    for (const char *c = once; *c != '\0'; c++) {
        check(*c < 'A' || *c > 'Z');
    }
    check(domain_normalize(text_of(once), twice, &error));
    check(strcmp(once, twice) == 0);
    check(domain_is_under(once, once));
}

static void check_round_trip(const struct address *address, bool allow_utf8)
{
    struct buffer path = { 0 };
    struct address again;
    struct error error;
    size_t length = 0;
    buffer_printf(&path, "<%.*s%s%.*s>", TEXT_ARGUMENTS(address->local),
                  address->domain.length > 0 ? "@" : "",
                  TEXT_ARGUMENTS(address->domain));
    check(address_parse_path(buffer_text(&path), allow_utf8, &again, &length,
                             &error));
    check(length == path.length);
    check(text_equal(again.local, address->local));
    check(text_equal(again.domain, address->domain));
    if (address->domain.length > 0) {
        struct text bare = text_slice(buffer_text(&path), 1, path.length - 1);
        check(bare.length <= ADDRESS_TEXT_MAX);
        check(address_parse(bare, allow_utf8, &again, &error));
        check(text_equal(again.local, address->local));
        check(text_equal(again.domain, address->domain));
    }
    buffer_free(&path);
}

static void load_limits(void)
{
    static struct config *config;
    struct error error;
    if (config == NULL) {
        config = config_create();
        config_add(config, smtp_settings, smtp_setting_count);
        check(config_load(config, NULL, &error));
    }
}

struct parsed {
    struct smtp_transaction transaction;
    struct smtp_recipient recipient;
    struct smtp_reply reply;
    bool is_good;
};

static void parse_parameters(struct parsed *parsed, struct text text,
                             enum parameter_place place, bool allow_utf8)
{
    memset(parsed, 0, sizeof(*parsed));
    parsed->transaction.arena = arena_create();
    parsed->transaction.is_smtputf8 = allow_utf8;
    parsed->is_good = parameters_parse(text, place, &parsed->transaction,
                                       &parsed->recipient, &parsed->reply);
}

static bool is_same_string(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static void check_same(const struct parsed *a, const struct parsed *b)
{
    check(a->is_good == b->is_good);
    if (!a->is_good) {
        return;
    }
    check(a->transaction.is_smtputf8 == b->transaction.is_smtputf8);
    check(a->transaction.is_8bit_declared == b->transaction.is_8bit_declared);
    check(a->transaction.dsn_return == b->transaction.dsn_return);
    check(a->transaction.declared_size == b->transaction.declared_size);
    check(
        is_same_string(a->transaction.envelope_id, b->transaction.envelope_id));
    check(a->recipient.notify == b->recipient.notify);
    check(is_same_string(a->recipient.original_recipient,
                         b->recipient.original_recipient));
}

static void check_parsed(const struct parsed *parsed)
{
    const struct smtp_transaction *transaction = &parsed->transaction;
    unsigned notify = parsed->recipient.notify;
    if (!parsed->is_good) {
        check(parsed->reply.code >= 500 && parsed->reply.code <= 555);
        check(parsed->reply.enhanced[0] == '5');
        check_printable(parsed->reply.text);
        return;
    }
    check(transaction->declared_size <= (uint64_t)smtp_message_size_limit());
    if (transaction->envelope_id != NULL) {
        check(strlen(transaction->envelope_id) <= 100);
        check_printable(transaction->envelope_id);
    }
    if (parsed->recipient.original_recipient != NULL) {
        check(strlen(parsed->recipient.original_recipient) <= 500);
        check_part(text_of(parsed->recipient.original_recipient),
                   transaction->is_smtputf8);
    }
    check((notify & DSN_NOTIFY_NEVER) == 0 || notify == DSN_NOTIFY_NEVER);
}

/* In the other order they mean the same. */
static void check_parameters(struct text text, enum parameter_place place,
                             bool allow_utf8)
{
    struct parsed forward;
    struct parsed backward;
    struct buffer reversed = { 0 };
    size_t end = text.length;
    for (size_t i = text.length; i-- > 0;) {
        if (text.data[i] == ' ' || i == 0) {
            size_t from = text.data[i] == ' ' ? i + 1 : i;
            buffer_append_text(&reversed, text_slice(text, from, end));
            buffer_append_byte(&reversed, ' ');
            end = i;
        }
    }
    parse_parameters(&forward, text, place, allow_utf8);
    parse_parameters(&backward, buffer_text(&reversed), place, allow_utf8);
    check_parsed(&forward);
    check_same(&forward, &backward);
    arena_free(&forward.transaction.arena);
    arena_free(&backward.transaction.arena);
    buffer_free(&reversed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address address;
    struct error error = { "" };
    size_t length = 0;
    load_limits();
    if (size == 0) {
        return 0;
    }
    bool allow_utf8 = (data[0] & 1) != 0;
    struct text text = { (const char *)data + 1, size - 1 };
    text = text_slice(text, 0, text_find_byte(text, '\n')); /* one line */
    check_domain(text);
    if (!address_parse_path(text, allow_utf8, &address, &length, &error)) {
        check(error.text[0] != '\0');
        check_printable(error.text);
        length = 0;
    } else {
        check(length <= text.length && text.data[length - 1] == '>');
        check_inside(address.local, text);
        check_inside(address.domain, text);
        check(address.local.length <= 64 && address.domain.length <= 255);
        check_part(address.local, allow_utf8);
        check_part(address.domain, allow_utf8);
        check_round_trip(&address, allow_utf8);
        check_domain(address.domain);
    }
    text = text_slice(text, length, text.length);
    check_parameters(text, PARAMETERS_OF_MAIL, false);
    check_parameters(text, PARAMETERS_OF_RCPT, allow_utf8);
    return 0;
}
