/* SPDX-License-Identifier: MIT */
/* Tests of smtp/server_parameters.c. */
#include "smtp/server_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/config.h"
#include "core/memory.h"

#define HUNDRED                                                              \
    "0123456789012345678901234567890123456789012345678901234567890123456789" \
    "012345678901234567890123456789"

static const struct mail_row {
    const char *parameters;
    int code; /* 0: accepted */
    const char *enhanced;
} mail_rows[] = {
    { "", 0, NULL },
    { "SIZE=1000", 0, NULL },
    { "size=0 body=8bitmime smtputf8", 0, NULL },
    { "BODY=7BIT  RET=HDRS ENVID=QQ314159", 0, NULL },
    { "RET=FULL", 0, NULL },
    { "AUTH=<>", 0, NULL },
    { "AUTH=e+3Dmc2@example.com", 0, NULL },
    { "ENVID=" HUNDRED, 0, NULL },
    { "SIZE=52428800", 0, NULL },
    { "SIZE=52428801", 552, "5.3.4" },
    { "SIZE=99999999999999999999", 552, "5.3.4" },
    { "SIZE=999999999999999999999", 501, "5.5.4" },
    { "SIZE=", 501, "5.5.4" },
    { "SIZE", 501, "5.5.4" },
    { "SIZE=-1", 501, "5.5.4" },
    { "SIZE=1k", 501, "5.5.4" },
    { "SIZE=1 SIZE=1", 501, "5.5.4" },
    { "BODY=BINARYMIME", 501, "5.5.4" },
    { "BODY", 501, "5.5.4" },
    { "SMTPUTF8=yes", 501, "5.5.4" },
    { "RET=NONE", 501, "5.5.4" },
    { "ENVID=", 501, "5.5.4" },
    { "ENVID=a+zz", 501, "5.5.4" },
    { "ENVID=a=b", 501, "5.5.4" },
    { "ENVID=" HUNDRED "x", 501, "5.5.4" },
    { "AUTH=", 501, "5.5.4" },
    { "NOTIFY=NEVER", 555, "5.5.4" },
    { "FOO", 555, "5.5.4" },
    { "FOO=bar", 555, "5.5.4" },
    { "=x", 555, "5.5.4" },
};

static const struct rcpt_row {
    const char *parameters;
    int code;
    unsigned notify;
    const char *original_recipient;
} rcpt_rows[] = {
    { "", 0, 0, NULL },
    { "NOTIFY=NEVER", 0, DSN_NOTIFY_NEVER, NULL },
    { "NOTIFY=success,Delay", 0, DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY, NULL },
    { "NOTIFY=FAILURE ORCPT=rfc822;Bob+40Home@Example.com", 0,
      DSN_NOTIFY_FAILURE, "rfc822;Bob+40Home@Example.com" },
    { "ORCPT=utf-8;bob", 0, 0, "utf-8;bob" },
    { "ORCPT=utf-8;b\xc3\xb6"
      "b",
      501, 0, NULL }, /* without SMTPUTF8 */
    { "ORCPT=rfc822;b\xc3\xb6"
      "b",
      501, 0, NULL },
    { "NOTIFY=", 501, 0, NULL },
    { "NOTIFY=NEVER,SUCCESS", 501, 0, NULL },
    { "NOTIFY=SUCCESS,", 501, 0, NULL },
    { "NOTIFY=SUCCESS,,DELAY", 501, 0, NULL },
    { "NOTIFY=ALWAYS", 501, 0, NULL },
    { "ORCPT=bob@example.com", 501, 0, NULL },
    { "ORCPT=rfc822;", 501, 0, NULL },
    { "ORCPT=;x", 501, 0, NULL },
    { "ORCPT=rfc822;a=b", 501, 0, NULL },
    { "SIZE=1", 555, 0, NULL },
};

static void mail_parameters_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mail_rows); i++) {
        const struct mail_row *row = &mail_rows[i];
        struct smtp_transaction transaction = { .arena = arena_create() };
        struct smtp_reply reply = { 0 };
        bool is_right =
            parameters_parse(text_of(row->parameters), PARAMETERS_OF_MAIL,
                             &transaction, NULL, &reply);
        assert_int_equal(is_right, row->code == 0);
        assert_int_equal(reply.code, row->code);
        if (row->code != 0) {
            assert_string_equal(reply.enhanced, row->enhanced);
        }
        arena_free(&transaction.arena);
    }
}

static void mail_parameters_are_kept(void **state)
{
    struct smtp_transaction transaction = { .arena = arena_create() };
    struct smtp_reply reply = { 0 };
    (void)state;
    assert_true(parameters_parse(
        TEXT_LITERAL("SIZE=42 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=Qq+2B1"),
        PARAMETERS_OF_MAIL, &transaction, NULL, &reply));
    assert_int_equal(transaction.declared_size, 42);
    assert_true(transaction.is_8bit_declared);
    assert_true(transaction.is_smtputf8);
    assert_int_equal(transaction.dsn_return, DSN_RETURN_HEADERS);
    assert_string_equal(transaction.envelope_id, "Qq+2B1");
    arena_free(&transaction.arena);
}

static void rcpt_parameters_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rcpt_rows); i++) {
        const struct rcpt_row *row = &rcpt_rows[i];
        struct smtp_transaction transaction = { .arena = arena_create() };
        struct smtp_recipient recipient = { 0 };
        struct smtp_reply reply = { 0 };
        bool is_right =
            parameters_parse(text_of(row->parameters), PARAMETERS_OF_RCPT,
                             &transaction, &recipient, &reply);
        assert_int_equal(is_right, row->code == 0);
        assert_int_equal(reply.code, row->code);
        if (row->code == 0) {
            assert_int_equal(recipient.notify, row->notify);
            assert_int_equal(recipient.original_recipient == NULL,
                             row->original_recipient == NULL);
        }
        if (row->original_recipient != NULL) {
            assert_string_equal(recipient.original_recipient,
                                row->original_recipient);
        }
        arena_free(&transaction.arena);
    }
}

static int load_limits(void **state)
{
    static struct config *config;
    struct error error;
    (void)state;
    if (config != NULL) {
        config_free(&config);
        return 0;
    }
    config = config_create();
    config_add(config, smtp_settings, smtp_setting_count);
    return config_load(config, NULL, &error) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "E5 E8: parameters of MAIL are read", mail_parameters_are_read, NULL,
          NULL, NULL },
        { "E8: parameters of MAIL are kept", mail_parameters_are_kept, NULL,
          NULL, NULL },
        { "E8: parameters of RCPT are read", rcpt_parameters_are_read, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests(tests, load_limits, load_limits);
}
