/* SPDX-License-Identifier: MIT */
/* See conversion_internal.h. S7, E4; RFC 2045, section 6. */
#include "tracking/conversion_internal.h"

#include "tracking/line.h"
#include "tracking/transfer.h"

#define ENCODED_OCTETS_MAX 76 /* RFC 2045, 6.7 and 6.8 */

static const struct conversion_row {
    const char *encoding;
    void (*apply)(struct text body, struct buffer *out_lines);
} rows[] = {
    [CONVERSION_NONE] = { NULL, NULL },
    [CONVERSION_TO_QUOTED_PRINTABLE] = { "quoted-printable",
                                         quoted_printable_encode },
    [CONVERSION_TO_BASE64] = { "base64", base64_encode_lines },
    [CONVERSION_WRAP_QUOTED_PRINTABLE] = { NULL, quoted_printable_wrap },
    [CONVERSION_WRAP_BASE64] = { NULL, base64_wrap },
};

static bool is_of(const struct mime_part *part, const char *prefix)
{
    return text_starts_with_ignoring_case(text_of(part->type), prefix);
}

/* Why a part's bytes must stay as they are, or NULL. */
static const char *find_obstacle(const struct mime_part *part)
{
    if (part->is_sealed) {
        return "in a signed or encrypted part, which cannot be re-encoded";
    }
    if (part->is_enclosed || is_of(part, "message/")) {
        return "in an attached message, which cannot be re-encoded";
    }
    if (is_of(part, "multipart/")) {
        return "outside the parts of a multipart";
    }
    if (!part->has_separator) {
        return "in a part without an empty line behind its header";
    }
    return NULL;
}

/* The conversion that suits the part's encoding, CONVERSION_NONE if there is
 * none. Base64 with foreign bytes is left alone: decoders differ on them. */
static enum conversion choose(struct text message, const struct mime_part *part)
{
    switch (part->encoding) {
    case MIME_7BIT:
    case MIME_8BIT:
    case MIME_BINARY:
        return is_of(part, "text/") ? CONVERSION_TO_QUOTED_PRINTABLE
                                    : CONVERSION_TO_BASE64;
    case MIME_QUOTED_PRINTABLE:
        return CONVERSION_WRAP_QUOTED_PRINTABLE;
    case MIME_BASE64:
        return base64_is_clean(mime_part_body(message, part))
                   ? CONVERSION_WRAP_BASE64
                   : CONVERSION_NONE;
    case MIME_ENCODING_UNKNOWN:
        break;
    }
    return CONVERSION_NONE;
}

static bool refuse_long_line(size_t number, const char *place,
                             struct error *error)
{
    return error_set(error,
                     "Line %zu of the message has more than 998 octets (RFC "
                     "5322, 2.1.1) and lies %s; break the line",
                     number, place);
}

static bool refuse_8bit(size_t number, const char *place, struct error *error)
{
    return error_set(error,
                     "Line %zu of the message has 8-bit bytes, which the next "
                     "host does not take, and lies %s",
                     number, place);
}

static bool refuse(const struct mime_part *part, const char *place,
                   struct error *error)
{
    return part->long_body_line > 0
               ? refuse_long_line(part->long_body_line, place, error)
               : refuse_8bit(part->body_line_8bit, place, error);
}

/* A text part with a line that is longer than those of encoded ones. */
static bool can_wrap(struct text message, const struct mime_part *part)
{
    if (!is_of(part, "text/") || find_obstacle(part)) {
        return false;
    }
    struct text rest = mime_part_body(message, part);
    while (rest.length > 0) {
        if (line_content(line_take(&rest)).length > ENCODED_OCTETS_MAX) {
            return true;
        }
    }
    return false;
}

bool conversion_plan(struct text message, const struct mime_part *part,
                     const struct conversion_wish *wish,
                     enum conversion *out_conversion, struct error *error)
{
    *out_conversion = CONVERSION_NONE;
    if (part->long_header_line > 0) {
        return refuse_long_line(part->long_header_line, "in a header", error);
    }
    if (wish->to_7bit && part->header_line_8bit > 0) {
        return refuse_8bit(part->header_line_8bit, "in a header", error);
    }
    bool is_needed =
        part->long_body_line > 0 || (wish->to_7bit && part->body_line_8bit > 0);
    if (!is_needed) {
        bool is_wanted = wish->wraps_76 && can_wrap(message, part);
        *out_conversion = is_wanted ? choose(message, part) : CONVERSION_NONE;
        return true;
    }
    const char *obstacle = find_obstacle(part);
    if (obstacle) {
        return refuse(part, obstacle, error);
    }
    *out_conversion = choose(message, part);
    if (*out_conversion == CONVERSION_NONE) {
        return refuse(part,
                      "in a part whose Content-Transfer-Encoding is unknown or "
                      "does not fit its bytes",
                      error);
    }
    return true;
}

const char *conversion_encoding(enum conversion conversion)
{
    return rows[conversion].encoding;
}

static bool ends_with_line_end(struct text text)
{
    return text.length > 0 && text.data[text.length - 1] == '\n';
}

struct text conversion_apply(enum conversion conversion, struct text body,
                             struct arena *arena)
{
    struct buffer lines = { 0 };
    rows[conversion].apply(body, &lines);
    if (ends_with_line_end(body) && !ends_with_line_end(buffer_text(&lines))) {
        buffer_append_string(&lines, "\r\n");
    }
    struct text copy = { arena_copy_text(arena, buffer_text(&lines)),
                         lines.length };
    buffer_free(&lines);
    return copy;
}
