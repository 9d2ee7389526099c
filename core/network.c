/* SPDX-License-Identifier: MIT */
#include "core/network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

#define OWN_ADDRESSES_KEPT (60 * CLOCK_SECOND)

static struct network_address make_v4(const void *bytes, uint16_t port)
{
    struct network_address address = { .length = sizeof(struct sockaddr_in) };
    address.socket.v4.sin_family = AF_INET;
    address.socket.v4.sin_port = htons(port);
    memcpy(&address.socket.v4.sin_addr, bytes, sizeof(struct in_addr));
    return address;
}

/* An IPv4-mapped address (RFC 4291, 2.5.5.2) becomes an IPv4 one. */
static struct network_address make_v6(const struct in6_addr *bytes,
                                      uint16_t port, uint32_t scope)
{
    if (IN6_IS_ADDR_V4MAPPED(bytes)) {
        return make_v4(bytes->s6_addr + 12, port);
    }
    struct network_address address = { .length = sizeof(struct sockaddr_in6) };
    address.socket.v6.sin6_family = AF_INET6;
    address.socket.v6.sin6_port = htons(port);
    address.socket.v6.sin6_addr = *bytes;
    address.socket.v6.sin6_scope_id = scope;
    return address;
}

static bool is_v4(const struct network_address *address)
{
    return address->length > 0 && address->socket.any.sa_family == AF_INET;
}

static bool is_v6(const struct network_address *address)
{
    return address->length > 0 && address->socket.any.sa_family == AF_INET6;
}

/* The bytes of the address in network order and how many bits they are. */
static const uint8_t *bytes_of(const struct network_address *address,
                               unsigned *out_bits)
{
    if (is_v4(address)) {
        *out_bits = 32;
        return (const uint8_t *)&address->socket.v4.sin_addr;
    }
    *out_bits = is_v6(address) ? 128 : 0;
    return address->socket.v6.sin6_addr.s6_addr;
}

bool network_address_parse(struct text text, uint16_t port,
                           struct network_address *out_address)
{
    char string[INET6_ADDRSTRLEN];
    if (text.length >= 2 && text.data[0] == '[' &&
        text.data[text.length - 1] == ']') {
        text = text_slice(text, 1, text.length - 1);
    }
    if (text.length == 0 || text.length >= sizeof(string) ||
        memchr(text.data, '\0', text.length)) {
        return false;
    }
    memcpy(string, text.data, text.length);
    string[text.length] = '\0';
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, string, &v4) == 1) {
        *out_address = make_v4(&v4, port);
        return true;
    }
    if (inet_pton(AF_INET6, string, &v6) == 1) {
        *out_address = make_v6(&v6, port, 0);
        return true;
    }
    return false;
}

/* Where the port's colon stands; text.length if there is none. */
static size_t find_port_colon(struct text text)
{
    size_t at = text.length;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ':') {
            at = i;
        }
    }
    return at;
}

static bool parse_port(struct text text, uint16_t *out_port)
{
    uint64_t value;
    if (!text_to_uint64(text, &value) || value < 1 || value > 65535) {
        return false;
    }
    *out_port = (uint16_t)value;
    return true;
}

bool network_address_parse_with_port(struct text text,
                                     struct network_address *out_address,
                                     struct error *error)
{
    size_t colon = find_port_colon(text);
    struct text host = text_slice(text, 0, colon);
    bool is_bracketed = host.length > 1 && host.data[0] == '[' &&
                        host.data[host.length - 1] == ']';
    if (!is_bracketed && text_find_byte(host, ':') < host.length) {
        return error_set(error,
                         "\"%.*s\": write an IPv6 address in brackets and a "
                         "port behind it, as in [2001:db8::1]:25",
                         TEXT_ARGUMENTS(text));
    }
    uint16_t port;
    if (!parse_port(text_slice(text, colon + 1, text.length), &port)) {
        return error_set(error,
                         "\"%.*s\" has no port from 1 to 65535; write an "
                         "address and a port, as in 203.0.113.9:25 or *:25",
                         TEXT_ARGUMENTS(text));
    }
    if (text_is(host, "*")) {
        *out_address = make_v6(&in6addr_any, port, 0);
        return true;
    }
    if (!network_address_parse(host, port, out_address)) {
        return error_set(error,
                         "\"%.*s\" is no IP address; write one as in "
                         "203.0.113.9:25, [2001:db8::1]:25 or *:25 (names are "
                         "not looked up here)",
                         TEXT_ARGUMENTS(host));
    }
    return true;
}

void network_address_from_socket(const struct sockaddr *socket,
                                 socklen_t length,
                                 struct network_address *out_address)
{
    *out_address = (struct network_address){ 0 };
    if (!socket || length < (socklen_t)sizeof(socket->sa_family)) {
        return;
    }
    if (socket->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, socket, sizeof(v4));
        *out_address = make_v4(&v4.sin_addr, ntohs(v4.sin_port));
    } else if (socket->sa_family == AF_INET6 &&
               length >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, socket, sizeof(v6));
        *out_address =
            make_v6(&v6.sin6_addr, ntohs(v6.sin6_port), v6.sin6_scope_id);
    }
}

uint16_t network_address_port(const struct network_address *address)
{
    if (is_v4(address)) {
        return ntohs(address->socket.v4.sin_port);
    }
    return is_v6(address) ? ntohs(address->socket.v6.sin6_port) : 0;
}

void network_address_set_port(struct network_address *address, uint16_t port)
{
    if (is_v4(address)) {
        address->socket.v4.sin_port = htons(port);
    } else if (is_v6(address)) {
        address->socket.v6.sin6_port = htons(port);
    }
}

const char *network_address_text(const struct network_address *address,
                                 char out_text[NETWORK_TEXT_SIZE])
{
    unsigned bits;
    const uint8_t *bytes = bytes_of(address, &bits);
    if (bits == 0) {
        snprintf(out_text, NETWORK_TEXT_SIZE, "unknown");
    } else {
        inet_ntop(address->socket.any.sa_family, bytes, out_text,
                  NETWORK_TEXT_SIZE);
    }
    return out_text;
}

const char *network_address_text_with_port(
    const struct network_address *address, char out_text[NETWORK_TEXT_SIZE])
{
    char plain[NETWORK_TEXT_SIZE];
    network_address_text(address, plain);
    snprintf(out_text, NETWORK_TEXT_SIZE,
             is_v6(address) ? "[%.46s]:%u" : "%.46s:%u", plain,
             (unsigned)network_address_port(address));
    return out_text;
}

const char *network_address_literal(const struct network_address *address,
                                    char out_text[NETWORK_TEXT_SIZE])
{
    char plain[NETWORK_TEXT_SIZE];
    network_address_text(address, plain);
    snprintf(out_text, NETWORK_TEXT_SIZE, "[%s%.46s]",
             is_v6(address) ? "IPv6:" : "", plain);
    return out_text;
}

bool network_address_equal(const struct network_address *a,
                           const struct network_address *b)
{
    unsigned a_bits;
    unsigned b_bits;
    const uint8_t *a_bytes = bytes_of(a, &a_bits);
    const uint8_t *b_bytes = bytes_of(b, &b_bits);
    return a_bits == b_bits && memcmp(a_bytes, b_bytes, a_bits / 8) == 0;
}

size_t network_address_client_key(const struct network_address *address,
                                  char out_key[NETWORK_CLIENT_KEY_SIZE])
{
    unsigned bits;
    const uint8_t *bytes = bytes_of(address, &bits);
    size_t length = bits == 128 ? 8 : bits / 8;
    out_key[0] = (char)bits;
    memcpy(out_key + 1, bytes, length);
    return length + 1;
}

/* Set every bit behind the prefix to zero; whether one of them was set. */
static bool clear_host_bits(struct network_address *address, unsigned prefix)
{
    unsigned bits;
    uint8_t *bytes = (uint8_t *)bytes_of(address, &bits);
    bool was_set = false;
    for (unsigned i = 0; i < bits / 8; i++) {
        unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;
        uint8_t mask = (uint8_t)(kept >= 8 ? 0xff : 0xff00u >> kept);
        was_set = was_set || (bytes[i] & (uint8_t)~mask) != 0;
        bytes[i] &= mask;
    }
    return was_set;
}

static bool parse_prefix(struct text text, bool is_mapped, unsigned bits,
                         unsigned *out_prefix)
{
    uint64_t value;
    uint64_t shift = is_mapped ? 96 : 0;
    if (!text_to_uint64(text, &value) || value < shift ||
        value - shift > bits) {
        return false;
    }
    *out_prefix = (unsigned)(value - shift);
    return true;
}

bool network_range_parse(struct text text, struct network_range *out_range,
                         struct error *error)
{
    size_t slash = text_find_byte(text, '/');
    struct text base = text_slice(text, 0, slash);
    struct network_range range = { 0 };
    if (!network_address_parse(base, 0, &range.base)) {
        return error_set(error,
                         "\"%.*s\" is no IP range; write one as in "
                         "203.0.113.0/24, 2001:db8::/32 or 203.0.113.9",
                         TEXT_ARGUMENTS(text));
    }
    bytes_of(&range.base, &range.prefix_bits);
    bool is_mapped =
        is_v4(&range.base) && text_find_byte(base, ':') < base.length;
    if (slash < text.length &&
        !parse_prefix(text_slice(text, slash + 1, text.length), is_mapped,
                      range.prefix_bits, &range.prefix_bits)) {
        return error_set(error,
                         "\"%.*s\": the prefix length must be a number from "
                         "%d to %u",
                         TEXT_ARGUMENTS(text), is_mapped ? 96 : 0,
                         range.prefix_bits + (is_mapped ? 96 : 0));
    }
    if (clear_host_bits(&range.base, range.prefix_bits)) {
        char meant[NETWORK_TEXT_SIZE];
        return error_set(error,
                         "\"%.*s\" has bits set behind its prefix; the range "
                         "is written %s",
                         TEXT_ARGUMENTS(text),
                         network_range_text(&range, meant));
    }
    *out_range = range;
    return true;
}

bool network_range_contains(const struct network_range *range,
                            const struct network_address *address)
{
    unsigned range_bits;
    unsigned bits;
    const uint8_t *base = bytes_of(&range->base, &range_bits);
    const uint8_t *bytes = bytes_of(address, &bits);
    if (bits == 0 || bits != range_bits) {
        return false;
    }
    unsigned whole = range->prefix_bits / 8;
    unsigned rest = range->prefix_bits % 8;
    if (memcmp(base, bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (base[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

const char *network_range_text(const struct network_range *range,
                               char out_text[NETWORK_TEXT_SIZE])
{
    char plain[NETWORK_TEXT_SIZE];
    network_address_text(&range->base, plain);
    snprintf(out_text, NETWORK_TEXT_SIZE, "%.46s/%u", plain,
             range->prefix_bits);
    return out_text;
}

/* From the IANA registries of special-purpose addresses (RFC 6890). */
static const struct special_v4 {
    uint8_t base[4];
    unsigned prefix_bits;
} special_v4[] = {
    { { 0, 0, 0, 0 }, 8 },      { { 10, 0, 0, 0 }, 8 },
    { { 100, 64, 0, 0 }, 10 },  { { 127, 0, 0, 0 }, 8 },
    { { 169, 254, 0, 0 }, 16 }, { { 172, 16, 0, 0 }, 12 },
    { { 192, 0, 0, 0 }, 24 },   { { 192, 0, 2, 0 }, 24 },
    { { 192, 88, 99, 0 }, 24 }, { { 192, 168, 0, 0 }, 16 },
    { { 198, 18, 0, 0 }, 15 },  { { 198, 51, 100, 0 }, 24 },
    { { 203, 0, 113, 0 }, 24 }, { { 224, 0, 0, 0 }, 4 },
    { { 240, 0, 0, 0 }, 4 },
};

static bool is_special_v4(const uint8_t bytes[4])
{
    struct network_address address = make_v4(bytes, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(special_v4); i++) {
        struct network_range range = {
            .base = make_v4(special_v4[i].base, 0),
            .prefix_bits = special_v4[i].prefix_bits,
        };
        if (network_range_contains(&range, &address)) {
            return true;
        }
    }
    return false;
}

/* Only 2000::/3 is in use for the internet at large (RFC 4291, 2.4), with holes
 * in it: 2001::/23 (protocol assignments), 2001:db8::/32 and 3fff::/20
 * (documentation). NAT64 (RFC 6052) and 6to4 (RFC 3056) addresses lead to the
 * IPv4 address in them and are judged by it. */
static bool is_special_v6(const uint8_t bytes[16])
{
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(bytes, nat64, sizeof(nat64)) == 0) {
        return is_special_v4(bytes + 12);
    }
    if (bytes[0] == 0x20 && bytes[1] == 0x02) {
        return is_special_v4(bytes + 2);
    }
    if (bytes[0] == 0x20 && bytes[1] == 0x01) {
        return (bytes[2] & 0xfe) == 0 || (bytes[2] == 0x0d && bytes[3] == 0xb8);
    }
    if (bytes[0] == 0x3f && bytes[1] == 0xff) {
        return (bytes[2] & 0xf0) == 0;
    }
    return (bytes[0] & 0xe0) != 0x20;
}

bool network_address_is_special(const struct network_address *address)
{
    unsigned bits;
    const uint8_t *bytes = bytes_of(address, &bits);
    if (bits == 0) {
        return true;
    }
    return bits == 32 ? is_special_v4(bytes) : is_special_v6(bytes);
}

/* What the interfaces had when we last looked. */
static struct own_addresses {
    struct network_address *addresses;
    size_t count;
    int64_t looked_at;
} own;

static void add_own(const struct sockaddr *socket)
{
    socklen_t length = socket->sa_family == AF_INET
                           ? sizeof(struct sockaddr_in)
                           : sizeof(struct sockaddr_in6);
    size_t wanted = (own.count + 1) * sizeof(*own.addresses);
    own.addresses = memory_resize(own.addresses, wanted);
    network_address_from_socket(socket, length, &own.addresses[own.count++]);
}

/* When the system does not tell, what we knew before stays. */
static void look_at_interfaces(void)
{
    struct ifaddrs *interfaces;
    own.looked_at = clock_monotonic();
    if (getifaddrs(&interfaces) != 0) {
        return;
    }
    own.count = 0;
    for (struct ifaddrs *i = interfaces; i; i = i->ifa_next) {
        const struct sockaddr *socket = i->ifa_addr;
        if (socket &&
            (socket->sa_family == AF_INET || socket->sa_family == AF_INET6)) {
            add_own(socket);
        }
    }
    freeifaddrs(interfaces);
}

bool network_address_is_own(const struct network_address *address)
{
    if (!own.addresses ||
        clock_monotonic() - own.looked_at > OWN_ADDRESSES_KEPT) {
        look_at_interfaces();
    }
    for (size_t i = 0; i < own.count; i++) {
        if (network_address_equal(&own.addresses[i], address)) {
            return true;
        }
    }
    return false;
}
