/* SPDX-License-Identifier: MIT */
/*
 * Reads the answer section of a DNS message (RFC 1035, 4). The bytes are
 * borrowed and hostile: every step stays inside them and ends.
 */
#ifndef BATON_CORE_DNS_PACKET_H
#define BATON_CORE_DNS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dns.h"
#include "core/text.h"

enum dns_rcode {
    DNS_RCODE_OK = 0,
    DNS_RCODE_SERVFAIL = 2,
    DNS_RCODE_NXDOMAIN = 3,
};

struct dns_packet {
    const uint8_t *borrowed_bytes;
    size_t length;
    size_t position; /* of the next record */
    unsigned answers_left;
    int rcode;
    bool is_broken;
};

struct dns_record {
    uint16_t type;
    uint32_t ttl_seconds;
    size_t data_position;
    size_t data_length;
};

/* Read header and question; false when they are not whole. */
bool dns_packet_open(struct dns_packet *packet, const void *borrowed_bytes,
                     size_t length);
/* Read the next record of class IN in the answer section; false at the end,
 * and at the first record that is not whole (is_broken). */
bool dns_packet_next(struct dns_packet *packet, struct dns_record *out_record);

/* False when the record's data is not such a record. */
bool dns_packet_read_mx(const struct dns_packet *packet,
                        const struct dns_record *record, struct dns_mx *out_mx);
bool dns_packet_read_address(const struct dns_packet *packet,
                             const struct dns_record *record,
                             struct network_address *out_address);
/* The name that a CNAME or PTR record leads to. */
bool dns_packet_read_target(const struct dns_packet *packet,
                            const struct dns_record *record,
                            struct dns_name *out_name);
/* Append the strings of a TXT record, joined without anything between them. */
bool dns_packet_read_txt(const struct dns_packet *packet,
                         const struct dns_record *record,
                         struct buffer *out_bytes, size_t *out_string_count);
/* Write the name at this position: lower case, no final dot, what no host name
 * has (a dot in a label, control and 8-bit bytes) as '?'. *out_end is where the
 * name ends in the packet. */
bool dns_packet_read_name(const struct dns_packet *packet, size_t position,
                          char out_name[DNS_HOST_MAX + 1], size_t *out_end);

#endif
