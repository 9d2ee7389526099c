/* SPDX-License-Identifier: MIT */
/*
 * Message content in reads of any size: however it is cut, it must end at the
 * same octet, with the same fault and the same data, and good data has only
 * lines that end with CR LF. The first two octets choose the reads.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"
#include "smtp/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct content content;
    struct buffer kept;
    size_t used;
    bool is_end;
};

static void scan(struct result *result, struct text wire, bool has_dots,
                 size_t step)
{
    *result = (struct result){ 0 };
    content_start(&result->content, has_dots, 4096);
    for (size_t to = 0; to < wire.length && !result->is_end;) {
        to = wire.length - to < step ? wire.length : to + step;
        result->used +=
            content_scan(&result->content, text_slice(wire, result->used, to),
                         &result->kept, &result->is_end);
    }
    if (!has_dots) {
        content_finish(&result->content, &result->kept);
    }
}

static void check_lines(struct text kept)
{
    for (size_t i = 0; i < kept.length; i++) {
        check(kept.data[i] != '\0');
        check(kept.data[i] != '\n' || (i > 0 && kept.data[i - 1] == '\r'));
        check(kept.data[i] != '\r' || i + 1 == kept.length ||
              kept.data[i + 1] == '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole;
    struct result cut;
    if (size < 2) {
        return 0;
    }
    struct text wire = { (const char *)data + 2, size - 2 };
    bool has_dots = (data[0] & 1) != 0;
    scan(&whole, wire, has_dots, SIZE_MAX);
    scan(&cut, wire, has_dots, (size_t)data[1] + 1);
    check(whole.is_end == cut.is_end && whole.used == cut.used);
    check((whole.content.fault == CONTENT_GOOD) ==
          (cut.content.fault == CONTENT_GOOD));
    if (whole.content.fault == CONTENT_GOOD) {
        check(text_equal(buffer_text(&whole.kept), buffer_text(&cut.kept)));
        check(whole.content.longest_line == cut.content.longest_line);
        check_lines(buffer_text(&whole.kept));
    }
    buffer_free(&whole.kept);
    buffer_free(&cut.kept);
    return 0;
}
