/* SPDX-License-Identifier: MIT */
#include "http/target.h"

#include <string.h>

/* RFC 3986, 2.3 */
static bool is_unreserved(int byte)
{
    return byte > 0 && byte < 0x80 &&
           (ascii_is_alnum((char)byte) || strchr("-._~", byte) != NULL);
}

static size_t decode_unreserved(char *path, size_t length)
{
    size_t to = 0;
    for (size_t from = 0; from < length; from++, to++) {
        path[to] = path[from];
        if (path[from] == '%' && length - from > 2) {
            int high = ascii_hex_value(path[from + 1]);
            int low = ascii_hex_value(path[from + 2]);
            if (high >= 0 && low >= 0 && is_unreserved(high * 16 + low)) {
                path[to] = (char)(high * 16 + low);
                from += 2;
            }
        }
    }
    return to;
}

static size_t scheme_length(struct text target)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (text_starts_with_ignoring_case(target, schemes[i])) {
            return strlen(schemes[i]);
        }
    }
    return 0;
}

bool target_read(char *target, struct text *out_authority,
                 struct text *out_path)
{
    size_t length = strcspn(target, "?#");
    size_t begin = scheme_length((struct text){ target, length });
    *out_authority = (struct text){ target + begin, 0 };
    if (begin > 0) {
        while (begin < length && target[begin] != '/') {
            begin++;
            out_authority->length++;
        }
    }
    if (begin == length || target[begin] != '/') {
        return false;
    }
    length = decode_unreserved(target + begin, length - begin);
    *out_path = (struct text){ target + begin, length };
    return true;
}

static bool is_host_byte(char byte)
{
    return ascii_is_alnum(byte) ||
           (byte != '\0' && strchr("-._~:", byte) != NULL);
}

/* Where the port's colon stands, or the end. */
static size_t find_port(struct text authority)
{
    size_t at = authority.length;
    while (at > 0 && ascii_is_digit(authority.data[at - 1])) {
        at--;
    }
    return at > 0 && authority.data[at - 1] == ':' ? at - 1 : authority.length;
}

bool target_host(struct text authority, char out_host[TARGET_HOST_SIZE])
{
    struct text host = text_trim(authority);
    bool is_literal = host.length > 0 && host.data[0] == '[';
    if (is_literal) {
        size_t end = text_find_byte(host, ']');
        struct text rest = text_slice(host, end, host.length);
        if (rest.length == 0 || (rest.length > 1 && find_port(rest) != 1)) {
            return false;
        }
        host = text_slice(host, 1, end);
    } else {
        host = text_slice(host, 0, find_port(host));
        if (host.length > 0 && host.data[host.length - 1] == '.') {
            host.length--;
        }
    }
    if (host.length == 0 || host.length >= TARGET_HOST_SIZE) {
        return false;
    }
    for (size_t i = 0; i < host.length; i++) {
        if (!is_host_byte(host.data[i]) ||
            (!is_literal && host.data[i] == ':')) {
            return false;
        }
        out_host[i] = ascii_lower(host.data[i]);
    }
    out_host[host.length] = '\0';
    return true;
}
