/* SPDX-License-Identifier: MIT */
/* Lines of a remote server's replies, separated by LF; each reply also read as
 * the one to EHLO. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"
#include "smtp/client_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What goes into the database, a log or a report. */
static void check_reply(const struct smtp_reply *reply)
{
    check(reply->code >= 200 && reply->code <= 559);
    check(strlen(reply->text) < SMTP_REPLY_TEXT_MAX);
    for (const char *c = reply->text; *c != '\0'; c++) {
        check(*c == '\n' || (*c >= ' ' && *c <= '~'));
    }
    check(strlen(reply->enhanced) < sizeof(reply->enhanced));
    if (reply->enhanced[0] != '\0') {
        check(reply->enhanced[0] == '0' + smtp_reply_class(reply));
    }
}

/* Said on, it is the same reply. */
static void check_wire(const struct smtp_reply *reply)
{
    struct buffer wire = { 0 };
    struct smtp_reply_reader again = { 0 };
    enum smtp_reply_progress progress = REPLY_MORE;
    smtp_reply_append_wire(reply, &wire);
    struct text rest = buffer_text(&wire);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        check(progress == REPLY_MORE);
        check(line.length > 0 && line.data[line.length - 1] == '\r');
        check(line.length + 1 <= 512);
        progress =
            smtp_reply_read(&again, text_slice(line, 0, line.length - 1));
    }
    check(progress == REPLY_COMPLETE);
    check(again.reply.code == reply->code);
    check(strcmp(again.reply.enhanced, reply->enhanced) == 0);
    buffer_free(&wire);
}

static void check_print(const struct smtp_reply *reply)
{
    struct buffer printed = { 0 };
    smtp_reply_print(reply, &printed);
    check(text_find_byte(buffer_text(&printed), '\n') == printed.length);
    buffer_free(&printed);
}

static void read_capabilities(const struct smtp_reply *reply)
{
    struct client_capabilities capabilities = { 0 };
    struct text rest = text_of(reply->text);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        client_capabilities_read(&capabilities, line);
    }
    check(capabilities.has_size || capabilities.size_max == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = { (const char *)data, size };
    struct text line;
    struct smtp_reply_reader reader = { 0 };
    while (text_split(&rest, '\n', &line)) {
        enum smtp_reply_progress progress = smtp_reply_read(&reader, line);
        if (progress == REPLY_MORE) {
            check(reader.line_count <= 1000);
            continue;
        }
        if (progress == REPLY_COMPLETE) {
            check_reply(&reader.reply);
            check_wire(&reader.reply);
            check_print(&reader.reply);
            read_capabilities(&reader.reply);
        }
        smtp_reply_reader_reset(&reader);
    }
    return 0;
}
