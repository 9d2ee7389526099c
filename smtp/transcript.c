/* SPDX-License-Identifier: MIT */
/* The literal conversation of a session, bounded. */
#include "smtp/transcript.h"

#include <inttypes.h>
#include <stdarg.h>

#include "core/clock.h"

void transcript_start(struct transcript *transcript)
{
    buffer_free(&transcript->lines);
    transcript->started_at = clock_now();
    transcript->started_monotonic = clock_monotonic();
    transcript->is_full = false;
}

void transcript_free(struct transcript *transcript)
{
    buffer_free(&transcript->lines);
}

static void make_harmless(char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f) {
            bytes[i] = '?';
        }
    }
}

static void append_mark(struct transcript *transcript, char mark)
{
    int64_t milliseconds =
        (clock_monotonic() - transcript->started_monotonic) / CLOCK_MILLISECOND;
    buffer_printf(&transcript->lines, "+%" PRId64 ".%03" PRId64 " %c ",
                  milliseconds / 1000, milliseconds % 1000, mark);
}

/* Whether a line of this length still fits; the first that does not leaves a
 * remark in its place. */
static bool has_room(struct transcript *transcript, size_t length)
{
    static const char notice[] = "the transcript is cut here: it is full\n";
    const size_t reserve = sizeof(notice) + 32;
    if (transcript->is_full) {
        return false;
    }
    if (length < TRANSCRIPT_BYTES_MAX &&
        transcript->lines.length + length + reserve + 32 <=
            TRANSCRIPT_BYTES_MAX) {
        return true;
    }
    transcript->is_full = true;
    append_mark(transcript, '=');
    buffer_append_string(&transcript->lines, notice);
    return false;
}

static void append_line(struct transcript *transcript, char mark,
                        struct text line)
{
    if (has_room(transcript, line.length)) {
        append_mark(transcript, mark);
        size_t from = transcript->lines.length;
        buffer_append_text(&transcript->lines, line);
        make_harmless(transcript->lines.data + from, line.length);
        buffer_append_byte(&transcript->lines, '\n');
    }
}

void transcript_received(struct transcript *transcript, struct text line)
{
    append_line(transcript, '<', line);
}

void transcript_sent(struct transcript *transcript, struct text line)
{
    append_line(transcript, '>', line);
}

void transcript_remark(struct transcript *transcript, const char *format, ...)
{
    struct buffer remark = { 0 };
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&remark, format, arguments);
    va_end(arguments);
    append_line(transcript, '=', buffer_text(&remark));
    buffer_free(&remark);
}
