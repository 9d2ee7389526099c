/* SPDX-License-Identifier: MIT */
/* The header of a balancer, whole and in every part of it: what is wanted next
 * never reaches behind the header. */
#include <string.h>

#include "core/memory.h"
#include "smtp/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_source(const struct network_address *source)
{
    char text[NETWORK_TEXT_SIZE];
    struct network_address again;
    struct error error;
    check(source->length > 0);
    if (network_address_port(source) > 0) {
        check(network_address_parse_with_port(
            text_of(network_address_text_with_port(source, text)), &again,
            &error));
        check(network_address_port(&again) == network_address_port(source));
    } else {
        check(network_address_parse(text_of(network_address_text(source, text)),
                                    0, &again));
    }
    check(network_address_equal(&again, source));
}

/* As the server reads: as much as is wanted, until that is enough. */
static void read_stepwise(struct text input, const struct proxy_header *whole)
{
    struct proxy_header header;
    size_t wanted = PROXY_HEADER_MIN;
    for (;;) {
        check(wanted <= whole->length);
        struct text part = text_slice(input, 0, wanted);
        enum proxy_progress progress =
            proxy_header_parse(part, &header, &wanted);
        if (progress == PROXY_COMPLETE) {
            break;
        }
        check(progress == PROXY_MORE && wanted > part.length);
    }
    check(header.length == whole->length);
    check(header.is_local == whole->is_local);
    check(network_address_equal(&header.source, &whole->source));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = { (const char *)data, size };
    struct proxy_header header;
    size_t wanted = 0;
    switch (proxy_header_parse(input, &header, &wanted)) {
    case PROXY_MORE:
        check(wanted > size && wanted <= PROXY_HEADER_MAX);
        break;
    case PROXY_COMPLETE:
        check(header.length >= PROXY_HEADER_MIN);
        check(header.length <= size && header.length <= PROXY_HEADER_MAX);
        if (!header.is_local) {
            check_source(&header.source);
        } else {
            check(header.source.length == 0);
        }
        read_stepwise(input, &header);
        break;
    case PROXY_BAD:
        break;
    }
    return 0;
}
