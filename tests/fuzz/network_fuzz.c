/* SPDX-License-Identifier: MIT */
/* Addresses, ports and ranges: what is read is printed and read again. */
#include <string.h>

#include "core/memory.h"
#include "core/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_address(struct text text)
{
    struct network_address address;
    struct network_address again;
    char printed[NETWORK_TEXT_SIZE];
    char key[NETWORK_CLIENT_KEY_SIZE];
    if (!network_address_parse(text, 25, &address)) {
        return;
    }
    check(network_address_parse(
        text_of(network_address_text(&address, printed)), 25, &again));
    check(network_address_equal(&address, &again));
    size_t length = network_address_client_key(&address, key);
    check(length > 0 && length <= sizeof(key));
    (void)network_address_is_special(&address);
}

static void try_port(struct text text)
{
    struct network_address address;
    struct network_address again;
    struct error error = { "" };
    char printed[NETWORK_TEXT_SIZE];
    if (!network_address_parse_with_port(text, &address, &error)) {
        check(error.text[0] != '\0');
        return;
    }
    check(network_address_parse_with_port(
        text_of(network_address_text_with_port(&address, printed)), &again,
        &error));
    check(network_address_equal(&address, &again));
    check(network_address_port(&address) == network_address_port(&again));
}

static void try_range(struct text text)
{
    struct network_range range;
    struct network_range again;
    struct error error = { "" };
    char printed[NETWORK_TEXT_SIZE];
    if (!network_range_parse(text, &range, &error)) {
        check(error.text[0] != '\0');
        return;
    }
    check(range.prefix_bits <= 128);
    check(network_range_contains(&range, &range.base));
    check(network_range_parse(text_of(network_range_text(&range, printed)),
                              &again, &error));
    check(again.prefix_bits == range.prefix_bits);
    check(network_address_equal(&again.base, &range.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = { (const char *)data, size };
    try_address(text);
    try_port(text);
    try_range(text);
    return 0;
}
