/* SPDX-License-Identifier: MIT */
/*
 * One pass over the bytes by memchr: to the next CR, which must have its LF;
 * what lies before it must hold no LF. Bytes are copied in runs that only a dot
 * to be taken out interrupts.
 *
 * Only CR LF makes a line start, and only at a line start is a dot anything but
 * a dot: "LF . CR LF" and its kin end nothing, whatever the reads they come in.
 */
#include "smtp/content.h"

#include <string.h>

/* One call's view of the input. */
struct scan {
    struct text input;
    size_t at;
    size_t run_start; /* what lies between here and `at` is to be kept */
    bool has_nul; /* somewhere in the input: look closer */
};

void content_start(struct content *content, bool has_dots, uint64_t size_limit)
{
    *content = (struct content){
        .has_dots = has_dots,
        .is_line_start = true,
        .line_number = 1,
        .size_limit = size_limit,
    };
}

static void note_fault(struct content *content, enum content_fault fault)
{
    if (content->fault == CONTENT_GOOD) {
        content->fault = fault;
        content->fault_line = content->line_number;
    }
}

static bool has_high_bit(struct text text)
{
    uint64_t bits = 0;
    size_t at = 0;
    for (; at + sizeof(bits) <= text.length; at += sizeof(bits)) {
        uint64_t word;
        memcpy(&word, text.data + at, sizeof(word));
        bits |= word;
    }
    for (; at < text.length; at++) {
        bits |= (unsigned char)text.data[at];
    }
    return (bits & UINT64_C(0x8080808080808080)) != 0;
}

static void keep(struct content *content, struct text run,
                 struct buffer *out_data)
{
    if (content->fault != CONTENT_GOOD || run.length == 0) {
        return;
    }
    content->size_bytes += run.length;
    if (content->size_bytes > content->size_limit) {
        note_fault(content, CONTENT_TOO_LARGE);
        return;
    }
    content->has_8bit = content->has_8bit || has_high_bit(run);
    buffer_append_text(out_data, run);
}

static void keep_run(struct content *content, struct scan *scan,
                     struct buffer *out_data)
{
    keep(content, text_slice(scan->input, scan->run_start, scan->at), out_data);
    scan->run_start = scan->at;
}

static void end_line(struct content *content)
{
    if (content->line_length > content->longest_line) {
        content->longest_line = content->line_length;
    }
    content->line_length = 0;
    content->line_number++;
    content->is_line_start = true;
}

/* Bytes of a line, without any CR. */
static void take_segment(struct content *content, const char *bytes,
                         size_t length, bool has_nul)
{
    if (length == 0) {
        return;
    }
    if (memchr(bytes, '\n', length) != NULL) {
        note_fault(content, CONTENT_BARE_LF);
    }
    if (has_nul && memchr(bytes, '\0', length) != NULL) {
        note_fault(content, CONTENT_NUL);
    }
    content->line_length += length;
    content->is_line_start = false;
}

/* The octet after a CR that was the last one of its read. */
static void take_pending(struct content *content, struct scan *scan)
{
    content->has_pending_cr = false;
    if (scan->input.data[0] == '\n') {
        scan->at = 1;
        end_line(content);
    } else {
        note_fault(content, CONTENT_BARE_CR);
        content->line_length++;
    }
}

/* To the end of the line or of the input. */
static void take_line(struct content *content, struct scan *scan)
{
    const char *bytes = scan->input.data + scan->at;
    size_t length = scan->input.length - scan->at;
    const char *cr = memchr(bytes, '\r', length);
    size_t before = cr != NULL ? (size_t)(cr - bytes) : length;
    take_segment(content, bytes, before, scan->has_nul);
    if (cr == NULL) {
        scan->at += length;
        return;
    }
    content->is_line_start = false;
    if (before + 1 == length) {
        content->has_pending_cr = true;
        scan->at += length;
    } else if (cr[1] == '\n') {
        end_line(content);
        scan->at += before + 2;
    } else {
        note_fault(content, CONTENT_BARE_CR);
        content->line_length++;
        scan->at += before + 1;
    }
}

enum dot_meaning { DOT_STUFFED, DOT_END, DOT_UNCLEAR };

static enum dot_meaning read_dot(const struct scan *scan)
{
    const char *bytes = scan->input.data + scan->at;
    size_t length = scan->input.length - scan->at;
    if (length > 1 && bytes[1] != '\r') {
        return DOT_STUFFED;
    }
    if (length < 3) {
        return DOT_UNCLEAR;
    }
    return bytes[2] == '\n' ? DOT_END : DOT_STUFFED;
}

size_t content_scan(struct content *content, struct text input,
                    struct buffer *out_data, bool *out_is_end)
{
    struct scan scan = { .input = input };
    *out_is_end = false;
    if (input.length == 0) {
        return 0;
    }
    scan.has_nul = memchr(input.data, '\0', input.length) != NULL;
    if (content->has_pending_cr) {
        take_pending(content, &scan);
    }
    while (scan.at < input.length) {
        if (content->has_dots && content->is_line_start &&
            input.data[scan.at] == '.') {
            enum dot_meaning meaning = read_dot(&scan);
            keep_run(content, &scan, out_data);
            if (meaning == DOT_UNCLEAR) {
                return scan.at;
            }
            if (meaning == DOT_END) {
                *out_is_end = true;
                return scan.at + 3;
            }
            content->is_line_start = false;
            scan.at++;
            scan.run_start = scan.at;
        }
        take_line(content, &scan);
    }
    keep_run(content, &scan, out_data);
    return scan.at;
}

void content_finish(struct content *content, struct buffer *out_data)
{
    if (content->has_pending_cr) {
        note_fault(content, CONTENT_BARE_CR);
    }
    if (!content->is_line_start) {
        keep(content, TEXT_LITERAL("\r\n"), out_data);
        end_line(content);
    }
}
