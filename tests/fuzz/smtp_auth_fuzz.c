/* SPDX-License-Identifier: MIT */
/*
 * Any user and password by each mechanism of AUTH: the handler is asked about
 * exactly those, or not at all. The first octet chooses the mechanism, and
 * whether the rest is put into base64 or sent as it is.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/encoding.h"
#include "session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum way { WAY_PLAIN_INITIAL, WAY_PLAIN, WAY_LOGIN, WAY_COUNT };
#define IS_RAW 0x80

static size_t asked_count;
static struct buffer asked_user;
static struct buffer asked_password;

static void on_authenticate(void *client, const char *user,
                            const char *password)
{
    (void)client;
    asked_count++;
    buffer_append_string(&asked_user, user);
    buffer_append_string(&asked_password, password);
    smtp_server_authenticated(current_session, AUTH_ACCEPTED);
}

static void on_message(void *client, struct smtp_transaction *transaction,
                       const struct transcript *transcript)
{
    (void)client;
    (void)transaction;
    (void)transcript;
    check(false); /* there is no message */
}

static const struct smtp_server_handler handler = {
    on_session, on_session_end, on_authenticate,
    on_mail,    on_recipient,   on_message,
};

static bool has_nul(struct text text)
{
    return text.length > 0 && memchr(text.data, '\0', text.length) != NULL;
}

/* RFC 4616, 2: [identity] NUL user NUL password. */
static bool read_plain(struct text text, struct text *out_user,
                       struct text *out_password)
{
    size_t first = text_find_byte(text, '\0');
    struct text identity = text_slice(text, 0, first);
    struct text rest = text_slice(text, first + 1, text.length);
    size_t second = text_find_byte(rest, '\0');
    *out_user = text_slice(rest, 0, second);
    *out_password = text_slice(rest, second + 1, rest.length);
    return first < text.length && second < rest.length &&
           out_user->length > 0 && !has_nul(*out_password) &&
           (identity.length == 0 || text_equal(identity, *out_user));
}

static bool read_login(struct text text, struct text *out_user,
                       struct text *out_password)
{
    size_t split = text_find_byte(text, '\n');
    *out_user = text_slice(text, 0, split);
    *out_password = text_slice(text, split + 1, text.length);
    return out_user->length > 0 && !has_nul(*out_user) &&
           !has_nul(*out_password);
}

static void write_script(struct buffer *script, enum way way, struct text text)
{
    struct text user;
    struct text password;
    buffer_append_string(script, "EHLO c.example\r\n");
    if (way == WAY_LOGIN) {
        (void)read_login(text, &user, &password);
        buffer_append_string(script, "AUTH LOGIN\r\n");
        base64_encode(user, script);
        buffer_append_string(script, "\r\n");
        base64_encode(password, script);
    } else {
        buffer_append_string(script, way == WAY_PLAIN ? "AUTH PLAIN\r\n"
                                                      : "AUTH PLAIN ");
        base64_encode(text, script);
    }
    buffer_append_string(script, "\r\nQUIT\r\n");
}

static void try_encoded(enum way way, struct text text, struct text cuts)
{
    struct text user;
    struct text password;
    struct buffer script = { 0 };
    bool is_good =
        (way == WAY_LOGIN ? read_login : read_plain)(text, &user, &password);
    write_script(&script, way, text);
    struct buffer replies = run_session(&handler, buffer_text(&script), cuts);
    check(asked_count == (is_good ? 1 : 0));
    check((memmem(replies.data, replies.length, "\r\n235 ", 6) != NULL) ==
          is_good);
    if (is_good) {
        check(text_equal(buffer_text(&asked_user), user));
        check(text_equal(buffer_text(&asked_password), password));
    }
    buffer_free(&script);
    buffer_free(&replies);
}

static void try_raw(struct text text, struct text cuts)
{
    struct buffer script = { 0 };
    buffer_append_string(&script, "EHLO c.example\r\nAUTH ");
    buffer_append_text(&script, text);
    buffer_append_string(&script, "\r\nQUIT\r\n");
    struct buffer replies = run_session(&handler, buffer_text(&script), cuts);
    check(asked_count <= 1);
    buffer_free(&script);
    buffer_free(&replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text text = { (const char *)data + 1, size - 1 };
    struct text cuts = take_piece(&text, 4);
    asked_count = 0;
    if (data[0] & IS_RAW) {
        try_raw(text, cuts);
    } else {
        try_encoded((enum way)(data[0] % WAY_COUNT), text, cuts);
    }
    buffer_free(&asked_user);
    buffer_free(&asked_password);
    return 0;
}
