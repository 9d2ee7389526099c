/* SPDX-License-Identifier: MIT */
/* What stands in a request: its target, host, form and X-Forwarded-For. */
#include <string.h>

#include "core/memory.h"
#include "http/form.h"
#include "http/forwarded.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_target(struct text text)
{
    char *target = memory_copy_bytes(text.data, text.length);
    size_t length = strlen(target);
    struct text authority;
    struct text path;
    char host[TARGET_HOST_SIZE];
    char again[TARGET_HOST_SIZE];
    if (target_read(target, &authority, &path)) {
        check(path.length > 0 && path.length <= length);
        check(path.data[0] == '/');
        check(text_find_byte(path, '?') == path.length);
        check(authority.data >= target &&
              authority.data + authority.length <= path.data);
    }
    if (target_host(text, host)) {
        check(strlen(host) > 0 && strlen(host) < TARGET_HOST_SIZE);
        if (strchr(host, ':') == NULL) {
            check(!target_host(text_of(host), again) || strlen(again) > 0);
        }
    }
    memory_free(target);
}

struct bounds {
    const char *begin;
    const char *end;
    size_t count;
};

static bool is_within(const struct bounds *bounds, struct text text)
{
    return text.length == 0 || (text.data >= bounds->begin &&
                                text.data + text.length <= bounds->end);
}

static void on_field(void *owner, struct text name, struct text value)
{
    struct bounds *bounds = owner;
    check(is_within(bounds, name) && is_within(bounds, value));
    bounds->count++;
}

/* The first line is the content type. */
static void try_form(struct text text)
{
    size_t end = text_find_byte(text, '\n');
    struct text type = text_slice(text, 0, end);
    struct text rest =
        text_slice(text, end < text.length ? end + 1 : end, text.length);
    char *body = memory_copy_bytes(rest.data, rest.length);
    struct bounds bounds = { body, body + rest.length, 0 };
    (void)form_read(type, (struct text){ body, rest.length }, on_field,
                    &bounds);
    check(bounds.count <= FORM_FIELDS_MAX);
    memory_free(body);
}

static void try_forwarded(struct text text)
{
    struct proxies proxies;
    struct error error;
    struct network_address peer;
    struct network_address client;
    check(proxies_read(TEXT_LITERAL("10.0.0.0/8 ::1"), &proxies, &error));
    check(network_address_parse(TEXT_LITERAL("10.0.0.1"), 0, &peer));
    forwarded_client(&proxies, &peer, text, &client);
    check(client.length > 0);
    check(network_address_parse(TEXT_LITERAL("203.0.113.9"), 0, &peer));
    forwarded_client(&proxies, &peer, text, &client);
    check(network_address_equal(&client, &peer));
    (void)proxies_read(text, &proxies, &error);
    check(proxies.count <= FORWARDED_PROXIES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = { (const char *)data, size };
    try_target(text);
    try_form(text);
    try_forwarded(text);
    return 0;
}
