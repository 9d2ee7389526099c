/* SPDX-License-Identifier: MIT */
/*
 * Any content by DATA or in any chunks by BDAT, in any writes: the session
 * hands over what was sent if it is good, and stays in step if it is not. The
 * input: how it is sent, sizes of writes, sizes of chunks, the content.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHUNKS_MAX 8

static struct buffer received;
static size_t message_count;

static void on_authenticate(void *client, const char *user,
                            const char *password)
{
    (void)client;
    (void)user;
    (void)password;
    check(false); /* nobody said AUTH */
}

static void on_message(void *client, struct smtp_transaction *transaction,
                       const struct transcript *transcript)
{
    static const struct smtp_reply usual;
    (void)client;
    (void)transcript;
    message_count++;
    buffer_append_text(&received, buffer_text(&transaction->data));
    smtp_server_finish(current_session, &usual);
}

static const struct smtp_server_handler handler = {
    on_session, on_session_end, on_authenticate,
    on_mail,    on_recipient,   on_message,
};

/* RFC 5321, 2.3.8: CR and LF only together, and no NUL. */
static bool is_good(struct text content)
{
    for (size_t i = 0; i < content.length; i++) {
        char byte = content.data[i];
        bool is_after_cr = i > 0 && content.data[i - 1] == '\r';
        if (byte == '\0' || (byte == '\n') != is_after_cr) {
            return false;
        }
    }
    return content.length == 0 || content.data[content.length - 1] != '\r';
}

static bool ends_line(const struct buffer *bytes)
{
    return bytes->length >= 2 &&
           memcmp(bytes->data + bytes->length - 2, "\r\n", 2) == 0;
}

static void write_data(struct buffer *script, struct text content)
{
    buffer_append_string(script, "DATA\r\n");
    for (size_t i = 0; i < content.length; i++) {
        if (content.data[i] == '.' && ends_line(script)) {
            buffer_append_byte(script, '.');
        }
        buffer_append_byte(script, content.data[i]);
    }
    buffer_append_string(script, ends_line(script) ? ".\r\n" : "\r\n.\r\n");
}

static void write_bdat(struct buffer *script, struct text content,
                       struct text chunks)
{
    for (size_t i = 0; i < chunks.length; i++) {
        size_t length = (unsigned char)chunks.data[i];
        length = length < content.length ? length : content.length;
        buffer_printf(script, "BDAT %zu\r\n", length);
        buffer_append_text(script, text_slice(content, 0, length));
        content = text_slice(content, length, content.length);
    }
    buffer_printf(script, "BDAT %zu LAST\r\n", content.length);
    buffer_append_text(script, content);
}

static void check_received(struct text content)
{
    struct buffer expected = { 0 };
    buffer_append_text(&expected, content);
    if (content.length > 0 && !ends_line(&expected)) {
        buffer_append_string(&expected, "\r\n");
    }
    check(message_count == (is_good(content) ? 1 : 0));
    if (message_count == 1) {
        check(text_equal(buffer_text(&received), buffer_text(&expected)));
    }
    buffer_free(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text content = { (const char *)data + 1, size - 1 };
    struct text cuts = take_piece(&content, 16);
    struct text chunks = take_piece(&content, CHUNKS_MAX);
    struct buffer script = { 0 };
    buffer_append_string(&script, "EHLO c.example\r\nMAIL FROM:<a@b.example>"
                                  "\r\nRCPT TO:<c@d.example>\r\n");
    if (data[0] & 1) {
        write_bdat(&script, content, chunks);
    } else {
        write_data(&script, content);
    }
    buffer_append_string(&script, "QUIT\r\n");
    message_count = 0;
    buffer_clear(&received);
    struct buffer replies = run_session(&handler, buffer_text(&script), cuts);
    check_received(content);
    /* Nothing of the content was a command, and QUIT was one. */
    check(memmem(replies.data, replies.length, "\r\n221 ", 6) != NULL);
    check(memmem(replies.data, replies.length, "\r\n500 ", 6) == NULL);
    buffer_free(&replies);
    buffer_free(&script);
    buffer_free(&received);
    return 0;
}
