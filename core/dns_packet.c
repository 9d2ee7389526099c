/* SPDX-License-Identifier: MIT */
/* Reads the answer section of a DNS message. */
#include "core/dns_packet.h"

#include <string.h>

#include "core/text.h"

#define HEADER_LENGTH 12
#define CLASS_IN 1
#define LABEL_MAX 63

static bool has_bytes(const struct dns_packet *packet, size_t position,
                      size_t count)
{
    return position <= packet->length && count <= packet->length - position;
}

static uint16_t read_16(const struct dns_packet *packet, size_t position)
{
    const uint8_t *bytes = packet->borrowed_bytes + position;
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t read_32(const struct dns_packet *packet, size_t position)
{
    return (uint32_t)read_16(packet, position) << 16 |
           read_16(packet, position + 2);
}

static char to_host_byte(uint8_t byte)
{
    return byte <= ' ' || byte == '.' || byte >= 0x7f ? '?'
                                                      : ascii_lower((char)byte);
}

/* Append a label; false when the name becomes too long. */
static bool append_label(char *name, size_t *length, const uint8_t *label,
                         size_t label_length)
{
    size_t dot = *length > 0 ? 1 : 0;
    if (*length + dot + label_length > DNS_HOST_MAX) {
        return false;
    }
    if (dot > 0) {
        name[(*length)++] = '.';
    }
    for (size_t i = 0; i < label_length; i++) {
        name[(*length)++] = to_host_byte(label[i]);
    }
    return true;
}

/* A pointer must lead before everything that was read of this name so far;
 * since it can only go down, a loop cannot be (RFC 1035, 4.1.4: "a prior
 * occurrence"). */
static bool follow_pointer(const struct dns_packet *packet, size_t *position,
                           size_t *lowest)
{
    if (!has_bytes(packet, *position, 2)) {
        return false;
    }
    size_t target = read_16(packet, *position) & 0x3fff;
    if (target >= *lowest) {
        return false;
    }
    *lowest = target;
    *position = target;
    return true;
}

bool dns_packet_read_name(const struct dns_packet *packet, size_t position,
                          char out_name[DNS_HOST_MAX + 1], size_t *out_end)
{
    size_t length = 0;
    size_t lowest = position;
    bool has_jumped = false;
    while (has_bytes(packet, position, 1)) {
        size_t label_length = packet->borrowed_bytes[position];
        if ((label_length & 0xc0) == 0xc0) {
            *out_end = has_jumped ? *out_end : position + 2;
            has_jumped = true;
            if (!follow_pointer(packet, &position, &lowest)) {
                return false;
            }
            continue;
        }
        position++;
        if (label_length == 0) {
            *out_end = has_jumped ? *out_end : position;
            out_name[length] = '\0';
            return true;
        }
        if (label_length > LABEL_MAX ||
            !has_bytes(packet, position, label_length) ||
            !append_label(out_name, &length, packet->borrowed_bytes + position,
                          label_length)) {
            return false;
        }
        position += label_length;
    }
    return false;
}

static bool skip_questions(struct dns_packet *packet, unsigned count)
{
    char name[DNS_HOST_MAX + 1];
    for (unsigned i = 0; i < count; i++) {
        size_t end = 0;
        if (!dns_packet_read_name(packet, packet->position, name, &end) ||
            !has_bytes(packet, end, 4)) {
            return false;
        }
        packet->position = end + 4;
    }
    return true;
}

bool dns_packet_open(struct dns_packet *packet, const void *borrowed_bytes,
                     size_t length)
{
    *packet = (struct dns_packet){
        .borrowed_bytes = borrowed_bytes,
        .length = length,
        .position = HEADER_LENGTH,
    };
    if (!has_bytes(packet, 0, HEADER_LENGTH)) {
        packet->is_broken = true;
        return false;
    }
    packet->rcode = packet->borrowed_bytes[3] & 0x0f;
    packet->answers_left = read_16(packet, 6);
    packet->is_broken = !skip_questions(packet, read_16(packet, 4));
    return !packet->is_broken;
}

static bool read_record(struct dns_packet *packet,
                        struct dns_record *out_record, uint16_t *out_class)
{
    char name[DNS_HOST_MAX + 1];
    size_t end = 0;
    if (!dns_packet_read_name(packet, packet->position, name, &end) ||
        !has_bytes(packet, end, 10)) {
        return false;
    }
    *out_class = read_16(packet, end + 2);
    *out_record = (struct dns_record){
        .type = read_16(packet, end),
        .ttl_seconds = read_32(packet, end + 4),
        .data_position = end + 10,
        .data_length = read_16(packet, end + 8),
    };
    if (out_record->ttl_seconds > INT32_MAX) { /* RFC 2181, 8 */
        out_record->ttl_seconds = 0;
    }
    packet->position = out_record->data_position + out_record->data_length;
    return has_bytes(packet, out_record->data_position,
                     out_record->data_length);
}

bool dns_packet_next(struct dns_packet *packet, struct dns_record *out_record)
{
    while (!packet->is_broken && packet->answers_left > 0) {
        uint16_t record_class = 0;
        packet->answers_left--;
        if (!read_record(packet, out_record, &record_class)) {
            packet->is_broken = true;
        } else if (record_class == CLASS_IN) {
            return true;
        }
    }
    return false;
}

bool dns_packet_read_mx(const struct dns_packet *packet,
                        const struct dns_record *record, struct dns_mx *out_mx)
{
    size_t end = 0;
    if (record->type != DNS_TYPE_MX || record->data_length < 3) {
        return false;
    }
    out_mx->preference = read_16(packet, record->data_position);
    return dns_packet_read_name(packet, record->data_position + 2, out_mx->host,
                                &end) &&
           end == record->data_position + record->data_length;
}

bool dns_packet_read_address(const struct dns_packet *packet,
                             const struct dns_record *record,
                             struct network_address *out_address)
{
    const uint8_t *data = packet->borrowed_bytes + record->data_position;
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (record->type == DNS_TYPE_A && record->data_length == 4) {
        memcpy(&v4.sin_addr, data, 4);
        network_address_from_socket((struct sockaddr *)&v4, sizeof(v4),
                                    out_address);
        return true;
    }
    if (record->type == DNS_TYPE_AAAA && record->data_length == 16) {
        memcpy(&v6.sin6_addr, data, 16);
        network_address_from_socket((struct sockaddr *)&v6, sizeof(v6),
                                    out_address);
        return true;
    }
    return false;
}

bool dns_packet_read_target(const struct dns_packet *packet,
                            const struct dns_record *record,
                            struct dns_name *out_name)
{
    size_t end = 0;
    return (record->type == DNS_TYPE_CNAME || record->type == DNS_TYPE_PTR) &&
           dns_packet_read_name(packet, record->data_position, out_name->host,
                                &end) &&
           end == record->data_position + record->data_length;
}

/* RFC 1035, 3.3.14: strings of one octet that says how long, and as many. */
bool dns_packet_read_txt(const struct dns_packet *packet,
                         const struct dns_record *record,
                         struct buffer *out_bytes, size_t *out_string_count)
{
    size_t position = record->data_position;
    size_t end = position + record->data_length;
    size_t before = out_bytes->length;
    *out_string_count = 0;
    if (record->type != DNS_TYPE_TXT) {
        return false;
    }
    while (position < end) {
        size_t length = packet->borrowed_bytes[position++];
        if (length > end - position) {
            out_bytes->length = before;
            return false;
        }
        buffer_append(out_bytes, packet->borrowed_bytes + position, length);
        position += length;
        (*out_string_count)++;
    }
    return *out_string_count > 0;
}
