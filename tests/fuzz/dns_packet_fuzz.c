/* SPDX-License-Identifier: MIT */
/* Feeds arbitrary bytes to core/dns_packet.c as a DNS answer. */
#include <stdlib.h>
#include <string.h>

#include "core/dns_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct dns_packet packet;
    struct dns_record record;
    if (!dns_packet_open(&packet, bytes, length)) {
        return 0;
    }
    while (dns_packet_next(&packet, &record)) {
        struct dns_mx mx;
        struct network_address address;
        char name[DNS_HOST_MAX + 1];
        size_t end = 0;
        if (record.data_position + record.data_length > length) {
            abort();
        }
        if (dns_packet_read_mx(&packet, &record, &mx) &&
            strlen(mx.host) > DNS_HOST_MAX) {
            abort();
        }
        struct dns_name target;
        if (dns_packet_read_target(&packet, &record, &target) &&
            strlen(target.host) > DNS_HOST_MAX) {
            abort();
        }
        struct buffer text = { 0 };
        size_t string_count = 0;
        if (dns_packet_read_txt(&packet, &record, &text, &string_count)
                ? text.length + string_count != record.data_length
                : text.length > 0) {
            abort();
        }
        buffer_free(&text);
        (void)dns_packet_read_address(&packet, &record, &address);
        if (dns_packet_read_name(&packet, record.data_position, name, &end) &&
            end > length) {
            abort();
        }
    }
    return 0;
}
