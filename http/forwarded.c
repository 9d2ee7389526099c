/* SPDX-License-Identifier: MIT */
#include "http/forwarded.h"

#include <string.h>

bool proxies_read(struct text list, struct proxies *out_proxies,
                  struct error *error)
{
    size_t at = 0;
    out_proxies->count = 0;
    while (at < list.length) {
        size_t end = at;
        while (end < list.length && strchr(" ,\t\n", list.data[end]) == NULL) {
            end++;
        }
        if (end > at) {
            if (out_proxies->count == FORWARDED_PROXIES_MAX) {
                return error_set(error, "at most %d ranges of proxies",
                                 FORWARDED_PROXIES_MAX);
            }
            if (!network_range_parse(text_slice(list, at, end),
                                     &out_proxies->ranges[out_proxies->count],
                                     error)) {
                return false;
            }
            out_proxies->count++;
        }
        at = end + 1;
    }
    return true;
}

bool proxies_trust(const struct proxies *proxies,
                   const struct network_address *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (network_range_contains(&proxies->ranges[i], address)) {
            return true;
        }
    }
    return false;
}

/* "203.0.113.9", "203.0.113.9:4711", "[2001:db8::1]:4711", "2001:db8::1" */
static bool read_address(struct text word, struct network_address *out_address)
{
    word = text_trim(word);
    if (word.length >= 2 && word.data[0] == '"' &&
        word.data[word.length - 1] == '"') {
        word = text_slice(word, 1, word.length - 1);
    }
    return network_address_parse(word, 0, out_address) ||
           network_address_parse_with_port(word, out_address, NULL);
}

void forwarded_client(const struct proxies *proxies,
                      const struct network_address *peer,
                      struct text forwarded_for,
                      struct network_address *out_client)
{
    size_t end = forwarded_for.length;
    *out_client = *peer;
    while (proxies_trust(proxies, out_client) && end > 0) {
        size_t begin = end;
        while (begin > 0 && forwarded_for.data[begin - 1] != ',') {
            begin--;
        }
        struct network_address address;
        if (!read_address(text_slice(forwarded_for, begin, end), &address)) {
            break;
        }
        *out_client = address;
        end = begin > 0 ? begin - 1 : 0;
    }
}
