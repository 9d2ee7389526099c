/* SPDX-License-Identifier: MIT */
/* Lines of a remote server's replies, separated by LF. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = { (const char *)data, size };
    struct text line;
    struct smtp_reply_reader reader = { 0 };
    while (text_split(&rest, '\n', &line)) {
        enum smtp_reply_progress progress = smtp_reply_read(&reader, line);
        if (progress == REPLY_MORE) {
            continue;
        }
        if (progress == REPLY_COMPLETE) {
            struct buffer wire = { 0 };
            smtp_reply_append_wire(&reader.reply, &wire);
            check(memmem(wire.data, wire.length, "\r\n", 2) != NULL);
            buffer_free(&wire);
        }
        smtp_reply_reader_reset(&reader);
    }
    return 0;
}
