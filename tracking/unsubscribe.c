/* SPDX-License-Identifier: MIT */
#include "tracking/unsubscribe.h"

#include <string.h>

#include "core/memory.h"

/* --- macros --- */

static const char *const macros[] = { "***uniqueid***", "%%UnsubscribeUrl%%" };

/* Both begin with a byte that is seldom there twice. */
static bool find_macro(struct text text, const char *name, size_t from,
                       struct unsubscribe_macro *macro)
{
    while (from < text.length) {
        struct text rest = text_slice(text, from, text.length);
        size_t at = text_find_byte(rest, name[0]);
        rest = text_slice(rest, at, rest.length);
        from += at;
        if (rest.length > 1 && rest.data[1] == name[1] &&
            text_starts_with_ignoring_case(rest, name)) {
            macro->from = from;
            macro->to = from + strlen(name);
            return true;
        }
        from++;
    }
    return false;
}

bool unsubscribe_macro_next(struct text text, struct unsubscribe_macro *macro)
{
    for (; macro->kind < ARRAY_LENGTH(macros); macro->kind++) {
        if (find_macro(text, macros[macro->kind], macro->to, macro)) {
            return true;
        }
        macro->to = 0;
    }
    return false;
}

/* --- footers --- */

/* Beyond ASCII as numeric references, which no charset changes. */
static void append_html_character(const unsigned char *bytes, size_t length,
                                  struct buffer *out)
{
    uint32_t character = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        character = character << 6 | (bytes[i] & 0x3fu);
    }
    bool is_safe = length == 1 &&
                   (ascii_is_alnum((char)character) || character == ' ' ||
                    character == '.' || character == ',' || character == '-');
    if (is_safe) {
        buffer_append_byte(out, (char)character);
    } else {
        buffer_printf(out, "&#%u;", (unsigned)character);
    }
}

static void append_html_name(const char *name, struct buffer *out)
{
    const unsigned char *at = (const unsigned char *)name;
    while (*at) {
        size_t length = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
        append_html_character(at, length, out);
        at += length;
    }
}

static bool is_ascii(const char *name)
{
    for (; *name; name++) {
        if (*name < ' ' || *name > '~') {
            return false;
        }
    }
    return true;
}

static struct unsubscribe_frame frame_of(const struct buffer *out,
                                         const char *behind)
{
    return (struct unsubscribe_frame){ buffer_text(out), text_of(behind) };
}

struct unsubscribe_frame unsubscribe_html_footer(const struct policy *policy,
                                                 struct buffer *out)
{
    buffer_append_string(out, "<p style=\"margin:24px 0 0;font-size:12px;"
                              "color:#666666\">");
    if (policy->sender_name[0] && text_is_utf8(text_of(policy->sender_name))) {
        buffer_append_string(out, "Sent by ");
        append_html_name(policy->sender_name, out);
        buffer_append_string(out, ". ");
    }
    buffer_append_string(out, "<a style=\"color:#666666\" href=\"");
    return frame_of(out, "\">Unsubscribe</a></p>");
}

/* A name beyond ASCII is left out: the part's charset may not have it. */
struct unsubscribe_frame unsubscribe_text_footer(const struct policy *policy,
                                                 struct buffer *out)
{
    buffer_append_string(out, "\r\n\r\n--\r\n");
    if (policy->sender_name[0] && is_ascii(policy->sender_name)) {
        buffer_printf(out, "Sent by %s.\r\n", policy->sender_name);
    }
    buffer_append_string(out, "Unsubscribe: ");
    return frame_of(out, "\r\n");
}

/* --- header fields --- */

#define FIELDS_END \
    ">\r\n"        \
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"

/* RFC 8058, 3.1: one https URI; a mailto URI may stand beside it. Folded
 * between the two only: nothing within a URI can be. */
struct unsubscribe_frame unsubscribe_fields(const struct policy *policy)
{
    return (struct unsubscribe_frame){
        TEXT_LITERAL("List-Unsubscribe: <"),
        policy->return_host[0] != '\0' ? TEXT_LITERAL(">,\r\n <mailto:")
                                       : TEXT_LITERAL(FIELDS_END),
    };
}

struct text unsubscribe_mail_end(const struct policy *policy,
                                 struct buffer *out)
{
    buffer_printf(out, "@%s?subject=unsubscribe%s", policy->return_host,
                  FIELDS_END);
    return buffer_text(out);
}

bool unsubscribe_is_link_field(struct text name)
{
    return text_is_ignoring_case(name, "List-Unsubscribe");
}

bool unsubscribe_is_field(struct text name)
{
    return unsubscribe_is_link_field(name) ||
           text_is_ignoring_case(name, "List-Unsubscribe-Post");
}
