/* SPDX-License-Identifier: MIT */
#include "relay/domain_records.h"

#include <string.h>

#include "core/memory.h"
#include "core/network.h"
#include "core/text.h"
#include "relay/relay_settings.h"

#define RECORDS_BESIDE_KEYS 8

static const char *or_null(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

/* The host of "https://click.example.com:8443/x". */
static struct text host_of(const char *url)
{
    const char *mark = strstr(url, "://");
    struct text rest = text_of(mark != NULL ? mark + strlen("://") : url);
    rest = text_slice(rest, 0, text_find_byte(rest, '/'));
    if (rest.length > 0 && rest.data[0] == '[') {
        return text_slice(rest, 1, text_find_byte(rest, ']'));
    }
    return text_slice(rest, 0, text_find_byte(rest, ':'));
}

/* Links lead to a name if this server has one, else to its address. */
static void expect_links(struct arena *arena,
                         struct domain_expectation *expectation)
{
    struct text host = host_of(relay_settings_now()->public_url);
    struct network_address *address = arena_alloc(arena, sizeof(*address));
    if (network_address_parse(host, 0, address)) {
        expectation->link_addresses = address;
        expectation->link_address_count = 1;
    } else if (text_find_byte(host, '.') < host.length) {
        expectation->link_cname = arena_copy_text(arena, host);
    } else { /* localhost */
        expectation->link_host = NULL;
    }
}

/* The keys that are retired, or those that are not. */
static const struct domain_selector *select_keys(const struct domain_row *row,
                                                 bool is_retired,
                                                 struct arena *arena,
                                                 size_t *out_count)
{
    const char *zone = relay_settings_now()->dkim_host;
    struct domain_selector *selectors =
        arena_alloc(arena, (row->key_count + 1) * sizeof(*selectors));
    size_t count = 0;
    for (size_t i = 0; i < row->key_count; i++) {
        const struct domain_key_row *key = &row->keys[i];
        if ((strcmp(key->state, "retired") == 0) != is_retired) {
            continue;
        }
        selectors[count++] = (struct domain_selector){
            .selector = key->selector,
            .record = key->record,
            .cname = zone[0] == '\0'
                         ? NULL
                         : arena_printf(arena, "%s.%s", key->selector, zone),
        };
    }
    *out_count = count;
    return selectors;
}

static void expect_addresses(struct arena *arena,
                             struct domain_expectation *expectation)
{
    struct text rest = text_of(relay_settings_now()->sending_addresses);
    struct text line;
    struct network_address *addresses =
        arena_alloc(arena, (rest.length / 2 + 1) * sizeof(*addresses));
    size_t count = 0;
    while (text_split(&rest, '\n', &line)) {
        if (network_address_parse(line, 0, &addresses[count])) {
            count++;
        } /* a range: nothing to try one by one */
    }
    expectation->sending_addresses = addresses;
    expectation->sending_address_count = count;
}

void domain_records_expect(const struct domain_row *row, struct arena *arena,
                           struct domain_expectation *out_expectation)
{
    const char *return_path = relay_settings_now()->return_path_host;
    *out_expectation = (struct domain_expectation){
        .domain = row->name,
        .link_host = or_null(row->link_host),
    };
    out_expectation->selectors =
        select_keys(row, false, arena, &out_expectation->selector_count);
    out_expectation->retired =
        select_keys(row, true, arena, &out_expectation->retired_count);
    if (return_path[0] != '\0' && row->return_host[0] != '\0') {
        out_expectation->return_host = row->return_host;
        out_expectation->return_cname = return_path;
        out_expectation->return_mx = return_path;
        out_expectation->return_spf =
            arena_printf(arena, "include:%s", return_path);
    }
    expect_addresses(arena, out_expectation);
    if (out_expectation->link_host != NULL) {
        expect_links(arena, out_expectation);
    }
}

/* -- for people -- */

struct record_list {
    struct arena *arena;
    struct domain_record *records;
    size_t count;
};

static struct record_list begin_list(
    const struct domain_expectation *expectation, struct arena *arena)
{
    size_t most = expectation->selector_count * 2 +
                  expectation->retired_count * 2 +
                  expectation->link_address_count +
                  expectation->sending_address_count + RECORDS_BESIDE_KEYS;
    return (struct record_list){
        .arena = arena,
        .records = arena_alloc(arena, most * sizeof(struct domain_record)),
    };
}

static void add(struct record_list *list, const struct domain_record *record)
{
    list->records[list->count++] = *record;
}

static void add_key(struct record_list *list, const char *domain,
                    const struct domain_selector *selector, const char *note)
{
    struct domain_record record = {
        .purpose = "dkim",
        .name = arena_printf(list->arena, "%s._domainkey.%s",
                             selector->selector, domain),
        .note = note,
    };
    if (selector->cname != NULL) {
        record.type = "CNAME";
        record.value = selector->cname;
        add(list, &record);
        record.is_alternative = true;
        record.note = "";
    }
    record.type = "TXT";
    record.value = selector->record;
    add(list, &record);
}

static void add_keys(struct record_list *list,
                     const struct domain_expectation *expectation)
{
    for (size_t i = 0; i < expectation->selector_count; i++) {
        const struct domain_selector *selector = &expectation->selectors[i];
        add_key(list, expectation->domain, selector,
                strstr(selector->record, "k=ed25519") != NULL
                    ? "the second, newer kind of key"
                    : "the key that signs the mail");
    }
    for (size_t i = 0; i < expectation->retired_count; i++) {
        add_key(list, expectation->domain, &expectation->retired[i],
                "signs no more; leave it while it is listed here: mail on its "
                "way was signed with it");
    }
}

static void add_return_path(struct record_list *list,
                            const struct domain_expectation *expectation)
{
    struct domain_record record = {
        .purpose = "return_path",
        .name = expectation->return_host,
        .type = "CNAME",
        .value = expectation->return_cname,
        .note = "where bounces come back; brings MX and SPF with it",
    };
    if (record.name == NULL) {
        return;
    }
    add(list, &record);
    record.is_alternative = true;
    record.note = "";
    record.type = "MX";
    record.value = arena_printf(list->arena, "10 %s", expectation->return_mx);
    add(list, &record);
    record.type = "TXT";
    record.value =
        arena_printf(list->arena, "v=spf1 %s -all", expectation->return_spf);
    add(list, &record);
}

static const char *address_type(const struct network_address *address)
{
    return address->socket.any.sa_family == AF_INET6 ? "AAAA" : "A";
}

static void add_links(struct record_list *list,
                      const struct domain_expectation *expectation)
{
    struct domain_record record = {
        .purpose = "link",
        .name = expectation->link_host,
        .type = "CNAME",
        .value = expectation->link_cname,
        .note = "where links in the mail lead to",
    };
    if (record.name != NULL && record.value != NULL) {
        add(list, &record);
    }
    for (size_t i = 0; i < expectation->link_address_count; i++) {
        char text[NETWORK_TEXT_SIZE];
        const struct network_address *address = &expectation->link_addresses[i];
        record.type = address_type(address);
        record.value =
            arena_copy_string(list->arena, network_address_text(address, text));
        add(list, &record);
    }
}

const struct domain_record *domain_records_list(
    const struct domain_expectation *expectation, struct arena *arena,
    size_t *out_count)
{
    struct record_list list = begin_list(expectation, arena);
    add_keys(&list, expectation);
    add_return_path(&list, expectation);
    add_links(&list, expectation);
    add(&list,
        &(struct domain_record){
            .purpose = "dmarc",
            .name = arena_printf(arena, "_dmarc.%s", expectation->domain),
            .type = "TXT",
            .value = "v=DMARC1; p=none",
            .note = "a suggestion, if there is no DMARC record yet: receivers "
                    "ask for one; tighten it to p=quarantine once all of your "
                    "mail is signed",
        });
    *out_count = list.count;
    return list.records;
}

static void add_key_targets(struct record_list *list,
                            const struct domain_selector *selectors,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (selectors[i].cname != NULL) {
            add(list, &(struct domain_record){ .purpose = "dkim",
                                               .name = selectors[i].cname,
                                               .type = "TXT",
                                               .value = selectors[i].record,
                                               .note = "" });
        }
    }
}

const struct domain_record *domain_records_zone(
    const struct domain_expectation *expectation, struct arena *arena,
    size_t *out_count)
{
    struct record_list list = begin_list(expectation, arena);
    add_key_targets(&list, expectation->selectors, expectation->selector_count);
    add_key_targets(&list, expectation->retired, expectation->retired_count);
    if (expectation->return_cname != NULL) {
        struct buffer spf = { 0 };
        buffer_append_string(&spf, "v=spf1");
        for (size_t i = 0; i < expectation->sending_address_count; i++) {
            char text[NETWORK_TEXT_SIZE];
            const struct network_address *address =
                &expectation->sending_addresses[i];
            buffer_printf(&spf, " %s:%s",
                          strcmp(address_type(address), "A") == 0 ? "ip4"
                                                                  : "ip6",
                          network_address_text(address, text));
        }
        buffer_append_string(&spf, expectation->sending_address_count > 0
                                       ? " -all"
                                       : " mx -all");
        add(&list, &(struct domain_record){
                       .purpose = "return_path",
                       .name = expectation->return_cname,
                       .type = "MX",
                       .value = arena_printf(arena, "10 %s",
                                             relay_settings_now()->hostname),
                       .note = "" });
        add(&list, &(struct domain_record){
                       .purpose = "return_path",
                       .name = expectation->return_cname,
                       .type = "TXT",
                       .value = arena_copy_text(arena, buffer_text(&spf)),
                       .note = "" });
        buffer_free(&spf);
    }
    *out_count = list.count;
    return list.records;
}
