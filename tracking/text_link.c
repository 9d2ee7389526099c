/* SPDX-License-Identifier: MIT */
/* See text_link.h. RFC 3986, appendix C, and how people write. */
#include "tracking/text_link.h"

#include <string.h>

static bool is_8bit(char byte)
{
    return (unsigned char)byte & 0x80;
}

/* Printable ASCII that does not enclose links. */
static bool is_link_byte(char byte)
{
    return byte > 32 && byte < 127 && byte != '<' && byte != '>' && byte != '"';
}

/* Length of "http://" or "https://", 0 if there is none. */
static size_t measure_scheme(struct text text)
{
    return text_starts_with_ignoring_case(text, "http://")    ? 7
           : text_starts_with_ignoring_case(text, "https://") ? 8
                                                              : 0;
}

/* How often each of the brackets stands in the link. */
struct brackets {
    size_t opening;
    size_t closing;
};

static struct brackets count_brackets(struct text link, char opening,
                                      char closing)
{
    struct brackets count = { 0, 0 };
    for (size_t i = 0; i < link.length; i++) {
        count.opening += link.data[i] == opening;
        count.closing += link.data[i] == closing;
    }
    return count;
}

/* Drop closing brackets without an opening one, and punctuation, at the end.
 * The brackets are counted once, and then kept count of. */
static size_t measure_link(struct text link)
{
    static const char pairs[3][2] = { { '(', ')' },
                                      { '[', ']' },
                                      { '{', '}' } };
    struct brackets counts[3];
    for (size_t i = 0; i < 3; i++) {
        counts[i] = count_brackets(link, pairs[i][0], pairs[i][1]);
    }
    for (; link.length > 0; link.length--) {
        char last = link.data[link.length - 1];
        bool is_dropped = strchr(".,;:!?'*`|\\^", last) != NULL;
        for (size_t i = 0; i < 3; i++) {
            if (last == pairs[i][0]) {
                counts[i].opening--;
                is_dropped = true;
            } else if (last == pairs[i][1] &&
                       counts[i].closing > counts[i].opening) {
                counts[i].closing--;
                is_dropped = true;
            }
        }
        if (!is_dropped) {
            break;
        }
    }
    return link.length;
}

/* A blank and a line end: the line goes on. */
static bool may_go_on(struct text text, size_t to)
{
    struct text rest = text_slice(text, to, text.length);
    return text_starts_with_ignoring_case(rest, " \r\n");
}

/* In "<…>" all up to the ">" is the link, whatever it holds. */
static bool take_enclosed(struct text text, size_t from, size_t *out_to)
{
    size_t to = from;
    while (to < text.length &&
           (is_link_byte(text.data[to]) || is_8bit(text.data[to]))) {
        to++;
    }
    *out_to = to;
    return to < text.length && text.data[to] == '>';
}

static bool take_open(struct text text, size_t from, size_t scheme,
                      size_t *out_to)
{
    size_t to = from;
    while (to < text.length && is_link_byte(text.data[to])) {
        to++;
    }
    bool is_certain = to == text.length || !is_8bit(text.data[to]);
    while (to < text.length &&
           (is_link_byte(text.data[to]) || is_8bit(text.data[to]))) {
        to++;
    }
    *out_to = to;
    size_t length = measure_link(text_slice(text, from, to));
    if (!is_certain || length <= scheme) {
        return false;
    }
    *out_to = from + length;
    char first = text.data[from + scheme];
    return ascii_is_alnum(first) || first == '[';
}

/* Behind a letter a scheme is the end of another word. */
static bool begins_word(struct text text, size_t at)
{
    return at == 0 ||
           (!ascii_is_alnum(text.data[at - 1]) && !is_8bit(text.data[at - 1]));
}

static bool take_link(struct text text, bool joins_lines, size_t *position,
                      struct text_link *out_link)
{
    size_t from = *position;
    size_t scheme = measure_scheme(text_slice(text, from, text.length));
    if (scheme == 0 || !begins_word(text, from)) {
        *position = from + 1;
        return false;
    }
    bool is_enclosed = from > 0 && text.data[from - 1] == '<';
    size_t to;
    bool is_link = is_enclosed ? take_enclosed(text, from, &to)
                               : take_open(text, from, scheme, &to);
    *out_link = (struct text_link){ from, to };
    *position = to;
    return is_link && !(joins_lines && may_go_on(text, to));
}

bool text_link_next(struct text text, bool joins_lines, size_t *position,
                    struct text_link *out_link)
{
    while (*position < text.length) {
        struct text rest = text_slice(text, *position, text.length);
        const char *colon = memmem(rest.data, rest.length, "://", 3);
        if (!colon) {
            *position = text.length;
            return false;
        }
        size_t at = (size_t)(colon - text.data);
        size_t from = at >= 5 && ascii_lower(text.data[at - 1]) == 's' ? at - 5
                      : at >= 4                                        ? at - 4
                                                                       : at;
        size_t low = *position;
        *position = from < low ? at + 3 : from;
        if (from < low) {
            continue;
        }
        if (take_link(text, joins_lines, position, out_link)) {
            return true;
        }
        if (*position < at + 3) {
            *position = at + 3;
        }
    }
    return false;
}
