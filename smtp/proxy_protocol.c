/* SPDX-License-Identifier: MIT */
/* The PROXY protocol of HAProxy, versions 1 (a line) and 2 (binary). */
#include "smtp/proxy_protocol.h"

#include <string.h>

#define V1_LENGTH_MAX 107 /* with CRLF, as the specification says */
#define V2_FIXED_LENGTH ((size_t)16)

static const char v1_start[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define V2_SIGNATURE_LENGTH (sizeof(v2_signature) - 1)

enum v2_command { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum v2_family { V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

/* Whether the input begins as this does, as far as it reaches. */
static bool may_begin_with(struct text input, const char *start, size_t length)
{
    size_t common = input.length < length ? input.length : length;
    return memcmp(input.data, start, common) == 0;
}

static bool parse_v1_addresses(struct text rest, bool is_v6,
                               struct network_address *out_source)
{
    struct text fields[4];
    uint64_t ports[2];
    struct network_address destination;
    for (size_t i = 0; i < 4; i++) {
        if (!text_split(&rest, ' ', &fields[i])) {
            return false;
        }
    }
    if (rest.length > 0 || !text_to_uint64(fields[2], &ports[0]) ||
        !text_to_uint64(fields[3], &ports[1]) || ports[0] > UINT16_MAX ||
        ports[1] > UINT16_MAX) {
        return false;
    }
    bool has_colon = text_find_byte(fields[0], ':') < fields[0].length;
    return has_colon == is_v6 &&
           network_address_parse(fields[0], (uint16_t)ports[0], out_source) &&
           network_address_parse(fields[1], (uint16_t)ports[1], &destination);
}

static enum proxy_progress parse_v1_line(struct text line,
                                         struct proxy_header *out_header)
{
    struct text rest = text_slice(line, sizeof(v1_start) - 1, line.length);
    struct text family = { "", 0 };
    (void)text_split(&rest, ' ', &family);
    if (text_is(family, "UNKNOWN")) {
        out_header->is_local = true;
        return PROXY_COMPLETE;
    }
    bool is_v6 = text_is(family, "TCP6");
    if ((!is_v6 && !text_is(family, "TCP4")) ||
        !parse_v1_addresses(rest, is_v6, &out_header->source)) {
        return PROXY_BAD;
    }
    return PROXY_COMPLETE;
}

static enum proxy_progress parse_v1(struct text input,
                                    struct proxy_header *out_header,
                                    size_t *out_wanted)
{
    size_t end = text_find_byte(input, '\n');
    if (end == input.length) {
        bool has_cr = end > 0 && input.data[end - 1] == '\r';
        *out_wanted = input.length + (has_cr ? 1 : 2);
        if (*out_wanted < PROXY_HEADER_MIN) {
            *out_wanted = PROXY_HEADER_MIN;
        }
        return input.length < V1_LENGTH_MAX ? PROXY_MORE : PROXY_BAD;
    }
    if (end >= V1_LENGTH_MAX || end < sizeof(v1_start) ||
        input.data[end - 1] != '\r') {
        return PROXY_BAD;
    }
    out_header->length = end + 1;
    return parse_v1_line(text_slice(input, 0, end - 1), out_header);
}

static void read_v2_source(const unsigned char *addresses, bool is_v6,
                           struct network_address *out_source)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (is_v6) {
        memcpy(&v6.sin6_addr, addresses, 16);
        memcpy(&v6.sin6_port, addresses + 32, 2);
        network_address_from_socket((struct sockaddr *)&v6, sizeof(v6),
                                    out_source);
    } else {
        memcpy(&v4.sin_addr, addresses, 4);
        memcpy(&v4.sin_port, addresses + 8, 2);
        network_address_from_socket((struct sockaddr *)&v4, sizeof(v4),
                                    out_source);
    }
}

static enum proxy_progress parse_v2(struct text input,
                                    struct proxy_header *out_header,
                                    size_t *out_wanted)
{
    const unsigned char *bytes = (const unsigned char *)input.data;
    *out_wanted = V2_FIXED_LENGTH;
    if (input.length < V2_FIXED_LENGTH) {
        return PROXY_MORE;
    }
    size_t rest_length = (size_t)bytes[14] << 8 | bytes[15];
    size_t length = V2_FIXED_LENGTH + rest_length;
    unsigned command = bytes[12];
    if ((command != V2_LOCAL && command != V2_PROXY) ||
        length > PROXY_HEADER_MAX) {
        return PROXY_BAD;
    }
    *out_wanted = length;
    if (input.length < length) {
        return PROXY_MORE;
    }
    out_header->length = length;
    bool is_v6 = bytes[13] == V2_TCP6;
    if (command == V2_LOCAL || (bytes[13] != V2_TCP4 && !is_v6)) {
        out_header->is_local = true;
        return PROXY_COMPLETE;
    }
    if (rest_length < (is_v6 ? 36U : 12U)) {
        return PROXY_BAD;
    }
    read_v2_source(bytes + V2_FIXED_LENGTH, is_v6, &out_header->source);
    return PROXY_COMPLETE;
}

enum proxy_progress proxy_header_parse(struct text input,
                                       struct proxy_header *out_header,
                                       size_t *out_wanted)
{
    *out_header = (struct proxy_header){ 0 };
    *out_wanted = PROXY_HEADER_MIN;
    if (input.length == 0) {
        return PROXY_MORE;
    }
    if (may_begin_with(input, v2_signature, V2_SIGNATURE_LENGTH)) {
        return parse_v2(input, out_header, out_wanted);
    }
    if (may_begin_with(input, v1_start, sizeof(v1_start) - 1)) {
        return parse_v1(input, out_header, out_wanted);
    }
    return PROXY_BAD;
}
