/* SPDX-License-Identifier: MIT */
/*
 * A whole submission session fed with anything, in writes of a size that the
 * first octet chooses. It must neither crash nor hang nor keep memory, and
 * answers in well-formed lines.
 */
#include <stddef.h>
#include <stdint.h>

#include "session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_authenticate(void *client, const char *user,
                            const char *password)
{
    (void)client;
    check(user[0] != '\0');
    smtp_server_authenticated(
        current_session, password[0] == 's' ? AUTH_ACCEPTED : AUTH_REFUSED);
}

static void on_message(void *client, struct smtp_transaction *transaction,
                       const struct transcript *transcript)
{
    static const struct smtp_reply usual;
    (void)client;
    (void)transcript;
    check(transaction->recipient_count > 0);
    smtp_server_finish(current_session, &usual);
}

static const struct smtp_server_handler handler = {
    on_session, on_session_end, on_authenticate,
    on_mail,    on_recipient,   on_message,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text all = { (const char *)data, size };
    struct buffer replies =
        run_session(&handler, text_slice(all, 1, size), text_slice(all, 0, 1));
    buffer_free(&replies);
    return 0;
}
