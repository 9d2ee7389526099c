/* SPDX-License-Identifier: MIT */
/*
 * The snapshot lies in one arena: structs there, maps beside it. The statement
 * directory_read gives rows of five columns, accounts before what belongs to
 * them; row_kinds says what the columns mean.
 *
 * Networks: one map for all ranges, whose keys are family, prefix length and
 * the masked address; a look-up asks it once for every prefix length that
 * occurs, the longest first.
 */
#include "sql/directory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/arena.h"
#include "core/config.h"
#include "core/encoding.h"
#include "core/map.h"
#include "core/memory.h"
#include "sql/query.h"

#define PREFIX_LENGTHS 129 /* 0 to 128 */
#define FAMILY_COUNT 2
#define RANGE_KEY_SIZE 18 /* family, prefix length, 16 octets of address */

enum suspension_scope {
    SUSPENDED_ALL,
    SUSPENDED_ACCOUNT,
    SUSPENDED_DOMAIN,
    SUSPENDED_MESSAGE,
};

struct directory {
    struct arena *arena;
    struct map *accounts; /* struct directory_account by id */
    struct map
        *credentials; /* struct directory_credential by lower case name */
    struct map *networks; /* struct directory_account by range key */
    bool has_prefix[FAMILY_COUNT][PREFIX_LENGTHS];
    struct map *domains; /* struct directory_domain by "account name" */
    struct map *return_hosts; /* some struct directory_domain by host */
    struct map *routes; /* struct directory_route by destination */
    struct map *inbound_routes; /* struct directory_inbound_route by address */
    struct map *suspensions; /* the reason by "scope value" */
    struct map *groups; /* struct directory_group by "account name" */
    struct map *groups_by_id; /* … by "account id" */
    struct map *tracking_urls; /* the URL by "account host" */
    struct map *tracking_hosts; /* some URL by host */
    struct map *server_settings; /* the value by name */
    struct directory_key *keys;
    size_t key_count;
    size_t key_capacity;
};

/* -- account settings -- */

static bool is_switch(const char *value)
{
    return strcmp(value, "on") == 0 || strcmp(value, "off") == 0;
}

static void set_any_sender(struct directory_account *account, const char *value)
{
    account->any_sender = strcmp(value, "on") == 0;
}

static void set_delivery_reports(struct directory_account *account,
                                 const char *value)
{
    account->delivery_reports = strcmp(value, "on") == 0;
}

static void set_notices_to_manager(struct directory_account *account,
                                   const char *value)
{
    account->notices_to_manager = strcmp(value, "on") == 0;
}

static void set_notices_to_author(struct directory_account *account,
                                  const char *value)
{
    account->notices_to_author = strcmp(value, "on") == 0;
}

/* What baton.notice_limit understands. */
static bool is_notice_limit(const char *value)
{
    uint64_t number = 0;
    struct text text = text_of(value);
    return text.length <= 6 && text_to_uint64(text, &number);
}

/* Workers do not ask for it: baton.notice_limit reads it where it counts. */
static void set_in_database(struct directory_account *account,
                            const char *value)
{
    (void)account;
    (void)value;
}

static bool is_refusal_policy(const char *value)
{
    return strcmp(value, "refuse") == 0 || strcmp(value, "accept") == 0;
}

static bool is_unverified(const char *value)
{
    return strcmp(value, "sign") == 0 || strcmp(value, "operator") == 0 ||
           strcmp(value, "refuse") == 0;
}

static void set_unverified_domain(struct directory_account *account,
                                  const char *value)
{
    account->unverified = strcmp(value, "sign") == 0     ? UNVERIFIED_SIGN
                          : strcmp(value, "refuse") == 0 ? UNVERIFIED_REFUSE
                                                         : UNVERIFIED_OPERATOR;
}

static void set_on_refusal(struct directory_account *account, const char *value)
{
    account->accepts_refused = strcmp(value, "accept") == 0;
}

static void set_suppress_hard_bounces(struct directory_account *account,
                                      const char *value)
{
    account->suppresses_hard_bounces = strcmp(value, "on") == 0;
}

static bool is_suppression_check(const char *value)
{
    return strcmp(value, "data") == 0 || strcmp(value, "rcpt") == 0;
}

static void set_suppression_check(struct directory_account *account,
                                  const char *value)
{
    account->refuses_at_rcpt = strcmp(value, "rcpt") == 0;
}

static bool is_overage(const char *value)
{
    return strcmp(value, "refuse") == 0 || strcmp(value, "allow") == 0 ||
           strcmp(value, "record") == 0;
}

static void set_overage(struct directory_account *account, const char *value)
{
    account->overage = strcmp(value, "allow") == 0    ? OVERAGE_ALLOW
                       : strcmp(value, "record") == 0 ? OVERAGE_RECORD
                                                      : OVERAGE_REFUSE;
}

#define LIMIT_ROW(key, what)                                              \
    {                                                                     \
        key, LIMIT_VALUES, "none", what " of the account that are taken", \
            limit_is_value, NULL                                          \
    }

const struct account_setting account_settings[] = {
    { "any_sender", "on, off", "off",
      "may write from any domain, not only from its own", is_switch,
      set_any_sender },
    { "delivery_reports", "on, off", "on",
      "reports of failed deliveries go to the envelope's sender", is_switch,
      set_delivery_reports },
    { "notices_to_author", "on, off", "off",
      "reports of failed deliveries go to the address in From", is_switch,
      set_notices_to_author },
    { "notices_to_manager", "on, off", "on",
      "reports of failed deliveries go to the account's manager", is_switch,
      set_notices_to_manager },
    { "notices_per_period", "a number up to 999999", "10",
      "failures that the manager and authors are told one by one in each "
      "[delivery] notice_period; the others come in one digest when it ends",
      is_notice_limit, set_in_database },
    { "on_refusal", "refuse, accept", "refuse",
      "a recipient over the limit: refused at RCPT, or taken and recorded as "
      "rejected",
      is_refusal_policy, set_on_refusal },
    { "overage", "refuse, allow, record", "refuse",
      "a message over a limit: refused (452 4.3.1), taken, or taken and "
      "recorded",
      is_overage, set_overage },
    LIMIT_ROW("messages_per_minute", "messages"),
    LIMIT_ROW("messages_per_hour", "messages"),
    LIMIT_ROW("messages_per_day", "messages"),
    LIMIT_ROW("messages_per_month", "messages"),
    LIMIT_ROW("recipients_per_minute", "recipients"),
    LIMIT_ROW("recipients_per_hour", "recipients"),
    LIMIT_ROW("recipients_per_day", "recipients"),
    LIMIT_ROW("recipients_per_month", "recipients"),
    { "suppress_hard_bounces", "on, off", "on",
      "an address is suppressed when its server says that it is none, or has "
      "not been used for long",
      is_switch, set_suppress_hard_bounces },
    { "suppression_check", "data, rcpt", "data",
      "where suppressed recipients are refused: when the message is known, "
      "with "
      "its group and X-Baton-Bypass-Suppression, or at RCPT already (of the "
      "whole account, bypassed by nothing)",
      is_suppression_check, set_suppression_check },
    { "unverified_domain", "sign, operator, refuse", "sign",
      "mail from a domain whose DKIM records are not right yet: signed with "
      "its keys all the same, signed in the operator's name only, or refused",
      is_unverified, set_unverified_domain },
};
const size_t account_setting_count = ARRAY_LENGTH(account_settings);

static void apply_setting(struct directory_account *account,
                          const struct account_setting *setting,
                          const char *value)
{
    if (setting->apply != NULL) {
        setting->apply(account, value);
    } else {
        limits_set(&account->limits, limit_name_find(setting->key), value);
    }
}

static void apply_defaults(struct directory_account *account)
{
    for (size_t i = 0; i < account_setting_count; i++) {
        apply_setting(account, &account_settings[i],
                      account_settings[i].initial);
    }
}

/* -- keys -- */

static size_t family_of(const struct network_address *address)
{
    return address->socket.any.sa_family == AF_INET6 ? 1 : 0;
}

/* The key of the range of this length that the address lies in. */
static struct text range_key(const struct network_address *address,
                             unsigned prefix, uint8_t out_key[RANGE_KEY_SIZE])
{
    size_t family = family_of(address);
    size_t size = family == 1 ? 16 : 4;
    memset(out_key, 0, RANGE_KEY_SIZE);
    out_key[0] = (uint8_t)family;
    out_key[1] = (uint8_t)prefix;
    memcpy(out_key + 2,
           family == 1 ? (const void *)&address->socket.v6.sin6_addr
                       : (const void *)&address->socket.v4.sin_addr,
           size);
    for (unsigned i = 0; i < size; i++) {
        unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;
        if (kept < 8) {
            out_key[2 + i] =
                (uint8_t)(out_key[2 + i] & (0xff00U >> kept) & 0xffU);
        }
    }
    return (struct text){ (const char *)out_key, RANGE_KEY_SIZE };
}

#define NAME_KEY_SIZE (DOMAIN_TEXT_MAX + 32)

/* Longer than any name that can be there is found nowhere. */
static struct text name_key(char out_key[NAME_KEY_SIZE], int64_t number,
                            const char *name)
{
    int length =
        snprintf(out_key, NAME_KEY_SIZE, "%" PRId64 " %s", number, name);
    return (struct text){ out_key, length > 0 && length < NAME_KEY_SIZE
                                       ? (size_t)length
                                       : 0 };
}

static char *lower_copy(struct arena *arena, const char *name)
{
    char *copy = arena_copy_string(arena, name);
    for (char *c = copy; *c != '\0'; c++) {
        *c = ascii_lower(*c);
    }
    return copy;
}

/* -- rows -- */

struct directory_row {
    int64_t account_id;
    struct directory_account *account; /* NULL: of nobody */
    const char *a;
    const char *b;
    const char *c;
    const char *d;
};

static void add_account(struct directory *directory,
                        const struct directory_row *row)
{
    struct directory_account *account =
        arena_alloc(directory->arena, sizeof(*account));
    account->account_id = row->account_id;
    account->name = row->a;
    account->manager_email = row->b;
    apply_defaults(account);
    map_set_id(directory->accounts, account->account_id, account);
}

static const struct directory_setting *prepend_setting(
    struct directory *directory, const struct directory_setting *settings,
    const char *name, const char *value)
{
    struct directory_setting *setting =
        arena_alloc(directory->arena, sizeof(*setting));
    setting->name = name;
    setting->value = value;
    setting->next = settings;
    return setting;
}

/* A value that is not understood (written by SQL, or by a newer Baton) leaves
 * the default. */
static void add_setting(struct directory *directory,
                        const struct directory_row *row)
{
    for (size_t i = 0; i < account_setting_count; i++) {
        const struct account_setting *setting = &account_settings[i];
        if (strcmp(setting->key, row->a) == 0) {
            if (setting->check_value(row->b)) {
                apply_setting(row->account, setting, row->b);
            }
            return;
        }
    }
    row->account->settings =
        prepend_setting(directory, row->account->settings, row->a, row->b);
}

static void add_server_setting(struct directory *directory,
                               const struct directory_row *row)
{
    map_set(directory->server_settings, text_of(row->a),
            arena_copy_string(directory->arena, row->b));
}

static void add_group(struct directory *directory,
                      const struct directory_row *row)
{
    struct directory_group *group =
        arena_alloc(directory->arena, sizeof(*group));
    char key[NAME_KEY_SIZE];
    uint64_t id = 0;
    if (!text_to_uint64(text_of(row->a), &id)) {
        return;
    }
    group->account_id = row->account_id;
    group->group_id = (int64_t)id;
    group->name = row->b;
    group->is_marketing = strcmp(row->c, "marketing") == 0;
    struct text by_name = name_key(key, row->account_id,
                                   lower_copy(directory->arena, group->name));
    if (by_name.length > 0) {
        map_set(directory->groups, by_name, group);
    }
    map_set(directory->groups_by_id, name_key(key, row->account_id, row->a),
            group);
}

static void add_group_setting(struct directory *directory,
                              const struct directory_row *row)
{
    char key[NAME_KEY_SIZE];
    struct directory_group *group = map_get(
        directory->groups_by_id, name_key(key, row->account_id, row->a));
    if (group != NULL) {
        group->settings =
            prepend_setting(directory, group->settings, row->b, row->c);
    }
}

/* url: "https://" and the host. */
static void add_tracking_url(struct directory *directory, int64_t account_id,
                             char *url)
{
    char key[NAME_KEY_SIZE];
    const char *host = strstr(url, "://") + strlen("://");
    map_set(directory->tracking_urls, name_key(key, account_id, host), url);
    map_set(directory->tracking_hosts, text_of(host), url);
}

static void add_tracking_host(struct directory *directory,
                              const struct directory_row *row)
{
    char *url = arena_printf(directory->arena, "%s://%s", row->b, row->a);
    add_tracking_url(directory, row->account_id, url);
    if (row->account->tracking_url == NULL) { /* the first one */
        row->account->tracking_url = url;
    }
}

static void add_untracked(struct directory *directory,
                          const struct directory_row *row)
{
    (void)directory;
    row->account->has_untracked = true;
}

static void add_key(struct directory *directory,
                    const struct directory_row *row)
{
    uint64_t key_id = 0;
    struct buffer secret = { 0 };
    if (!text_to_uint64(text_of(row->a), &key_id) ||
        !hex_decode(text_of(row->b), &secret) ||
        secret.length != DIRECTORY_SECRET_BYTES) {
        buffer_free(&secret);
        return;
    }
    if (directory->key_count == directory->key_capacity) {
        directory->key_capacity = directory->key_capacity * 2 + 4;
        struct directory_key *grown = arena_alloc(
            directory->arena, directory->key_capacity * sizeof(*grown));
        for (size_t i = 0; i < directory->key_count; i++) {
            grown[i] = directory->keys[i];
        }
        directory->keys = grown;
    }
    struct directory_key *key = &directory->keys[directory->key_count++];
    key->key_id = (int)key_id;
    key->is_current = strcmp(row->c, "current") == 0;
    memcpy(key->secret, secret.data, DIRECTORY_SECRET_BYTES);
    buffer_free(&secret);
}

static void add_credential(struct directory *directory,
                           const struct directory_row *row)
{
    struct directory_credential *credential =
        arena_alloc(directory->arena, sizeof(*credential));
    credential->account = row->account;
    credential->user_name = row->a;
    credential->is_generated = strcmp(row->b, "generated") == 0;
    credential->secret = row->c;
    credential->group_name = row->d;
    map_set(directory->credentials,
            text_of(lower_copy(directory->arena, row->a)), credential);
}

static void add_credential_setting(struct directory *directory,
                                   const struct directory_row *row)
{
    const struct limit_name *limit = limit_name_find(row->b);
    struct directory_credential *credential = map_get(
        directory->credentials, text_of(lower_copy(directory->arena, row->a)));
    if (limit != NULL && credential != NULL && limit_is_value(row->c)) {
        limits_set(&credential->limits, limit, row->c);
    }
}

static void add_network(struct directory *directory,
                        const struct directory_row *row)
{
    struct network_range range;
    struct error ignored;
    uint8_t key[RANGE_KEY_SIZE];
    if (network_range_parse(text_of(row->a), &range, &ignored)) {
        map_set(directory->networks,
                range_key(&range.base, range.prefix_bits, key), row->account);
        directory->has_prefix[family_of(&range.base)][range.prefix_bits] = true;
    }
}

static void add_domain(struct directory *directory,
                       const struct directory_row *row)
{
    char key[NAME_KEY_SIZE];
    struct directory_domain *domain =
        arena_alloc(directory->arena, sizeof(*domain));
    domain->account_id = row->account_id;
    domain->name = row->a;
    domain->return_host = row->b;
    domain->link_url = row->c;
    domain->dkim_is_right = strstr(row->d, "dkim") != NULL;
    domain->return_is_right = strstr(row->d, "return") != NULL;
    domain->link_is_right = strstr(row->d, "link") != NULL;
    map_set(directory->domains, name_key(key, row->account_id, row->a), domain);
    if (row->b[0] != '\0') {
        map_set(directory->return_hosts, text_of(row->b), domain);
    }
    if (!text_ends_with_ignoring_case(text_of(row->c), "/")) { /* no host */
        add_tracking_url(directory, row->account_id,
                         arena_copy_string(directory->arena, row->c));
    }
}

static void add_dkim_key(struct directory *directory,
                         const struct directory_row *row)
{
    char place[NAME_KEY_SIZE];
    struct directory_domain *domain =
        map_get(directory->domains, name_key(place, row->account_id, row->a));
    if (domain == NULL) {
        return;
    }
    struct directory_dkim_key *key =
        arena_alloc(directory->arena, sizeof(*key));
    key->selector = row->b;
    key->sealed = row->c;
    key->next = domain->keys;
    domain->keys = key;
}

static void add_route(struct directory *directory,
                      const struct directory_row *row)
{
    struct directory_route *route =
        arena_alloc(directory->arena, sizeof(*route));
    route->destination = row->a;
    route->target = row->b;
    map_set(directory->routes, text_of(row->a), route);
}

static void add_inbound_route(struct directory *directory,
                              const struct directory_row *row)
{
    struct directory_inbound_route *route =
        arena_alloc(directory->arena, sizeof(*route));
    route->account_id = row->account_id;
    route->address = row->a;
    route->target = row->b;
    map_set(directory->inbound_routes, text_of(row->a), route);
}

static void add_suspension(struct directory *directory,
                           const struct directory_row *row)
{
    static const char *const scopes[] = {
        [SUSPENDED_ALL] = "all",
        [SUSPENDED_ACCOUNT] = "account",
        [SUSPENDED_DOMAIN] = "domain",
        [SUSPENDED_MESSAGE] = "message",
    };
    char key[NAME_KEY_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(scopes); i++) {
        if (strcmp(scopes[i], row->a) == 0) {
            map_set(directory->suspensions, name_key(key, (int64_t)i, row->b),
                    arena_copy_string(directory->arena, row->c));
        }
    }
}

static const struct row_kind {
    const char *name;
    bool needs_account;
    void (*add)(struct directory *, const struct directory_row *);
} row_kinds[] = {
    { "account", false, add_account }, /* a name, b manager's address */
    { "setting", true, add_setting }, /* a key, b value */
    { "credential", true,
      add_credential }, /* a user, b kind, c secret, d group */
    { "network", true, add_network }, /* a range */
    /* a name, b return host, c link URL, d what is right in DNS */
    { "domain", true, add_domain },
    /* a domain, b selector, c sealed key */
    { "dkim_key", true, add_dkim_key },
    { "inbound_route", true, add_inbound_route }, /* a address, b target */
    { "route", false, add_route }, /* a destination, b target */
    { "suspension", false, add_suspension }, /* a scope, b value, c reason */
    { "group", true, add_group }, /* a id, b name, c kind */
    { "group_setting", true, add_group_setting }, /* a id, b name, c value */
    { "tracking_host", true, add_tracking_host }, /* a host, b scheme */
    { "untracked", true, add_untracked },
    { "key", false, add_key }, /* a id, b secret, c current */
    { "server_setting", false, add_server_setting }, /* a name, b value */
    { "credential_setting", true,
      add_credential_setting }, /* a user, b key, c value */
};

static void add_row(struct directory *directory, const struct rows *rows,
                    size_t i)
{
    struct text kind = rows_text(rows, i, "kind");
    struct directory_row row = {
        .account_id = rows_int64(rows, i, "account_id"),
        .a = rows_copy(rows, i, "a", directory->arena),
        .b = rows_copy(rows, i, "b", directory->arena),
        .c = rows_copy(rows, i, "c", directory->arena),
        .d = rows_copy(rows, i, "d", directory->arena),
    };
    row.account = map_get_id(directory->accounts, row.account_id);
    for (size_t k = 0; k < ARRAY_LENGTH(row_kinds); k++) {
        if (text_is(kind, row_kinds[k].name) &&
            (row.account != NULL || !row_kinds[k].needs_account)) {
            row_kinds[k].add(directory, &row);
        }
    }
}

/* -- loading -- */

static struct directory *directory_create(void)
{
    struct directory *directory = memory_alloc(sizeof(*directory));
    directory->arena = arena_create();
    directory->accounts = map_create();
    directory->credentials = map_create();
    directory->networks = map_create();
    directory->domains = map_create();
    directory->routes = map_create();
    directory->inbound_routes = map_create();
    directory->suspensions = map_create();
    directory->groups = map_create();
    directory->groups_by_id = map_create();
    directory->return_hosts = map_create();
    directory->tracking_urls = map_create();
    directory->tracking_hosts = map_create();
    directory->server_settings = map_create();
    return directory;
}

void directory_free(struct directory **directory_pointer)
{
    struct directory *directory = *directory_pointer;
    if (directory != NULL) {
        map_free(&directory->accounts);
        map_free(&directory->credentials);
        map_free(&directory->networks);
        map_free(&directory->domains);
        map_free(&directory->routes);
        map_free(&directory->inbound_routes);
        map_free(&directory->suspensions);
        map_free(&directory->groups);
        map_free(&directory->groups_by_id);
        map_free(&directory->return_hosts);
        map_free(&directory->tracking_urls);
        map_free(&directory->tracking_hosts);
        map_free(&directory->server_settings);
        arena_free(&directory->arena);
        memory_free(directory);
        *directory_pointer = NULL;
    }
}

struct directory_request {
    directory_loaded_fn *on_loaded;
    void *owner;
};

static void on_read(void *owner, enum database_result result,
                    const struct rows *rows, const struct error *error)
{
    struct directory_request *request = owner;
    struct directory *directory = NULL;
    if (result == DATABASE_DONE) {
        directory = directory_create();
        for (size_t i = 0; i < rows_count(rows); i++) {
            add_row(directory, rows, i);
        }
    }
    request->on_loaded(request->owner, result, directory, error);
}

void directory_load(struct database *database, directory_loaded_fn *on_loaded,
                    void *owner)
{
    struct directory_request *request = memory_alloc(sizeof(*request));
    request->on_loaded = on_loaded;
    request->owner = owner;
    struct query *query =
        query_run(database, STATEMENT_DIRECTORY_READ, NULL, on_read, request);
    query_keep(query, request);
}

/* -- questions -- */

const struct directory_account *directory_account_by_id(
    const struct directory *directory, int64_t account_id)
{
    return map_get_id(directory->accounts, account_id);
}

const struct directory_credential *directory_credential(
    const struct directory *directory, const char *user_name)
{
    struct buffer key = { 0 };
    for (const char *c = user_name; *c != '\0'; c++) {
        buffer_append_byte(&key, ascii_lower(*c));
    }
    const struct directory_credential *credential =
        map_get(directory->credentials, buffer_text(&key));
    buffer_free(&key);
    return credential;
}

const struct directory_account *directory_account_by_network(
    const struct directory *directory, const struct network_address *address)
{
    uint8_t key[RANGE_KEY_SIZE];
    sa_family_t family = address->socket.any.sa_family;
    if (address->length == 0 || (family != AF_INET && family != AF_INET6)) {
        return NULL;
    }
    for (unsigned prefix = family == AF_INET ? 32 : 128;; prefix--) {
        if (directory->has_prefix[family_of(address)][prefix]) {
            const struct directory_account *account =
                map_get(directory->networks, range_key(address, prefix, key));
            if (account != NULL) {
                return account;
            }
        }
        if (prefix == 0) {
            return NULL;
        }
    }
}

const struct directory_domain *directory_domain(
    const struct directory *directory, int64_t account_id, const char *domain)
{
    char key[NAME_KEY_SIZE];
    for (const char *parent = domain; parent[0] != '\0';) {
        const struct directory_domain *found =
            map_get(directory->domains, name_key(key, account_id, parent));
        const char *dot = strchr(parent, '.');
        if (found != NULL || dot == NULL) {
            return found;
        }
        parent = dot + 1;
    }
    return NULL;
}

bool directory_is_return_host(const struct directory *directory,
                              const char *host)
{
    return host[0] != '\0' &&
           map_get(directory->return_hosts, text_of(host)) != NULL;
}

const struct directory_route *directory_route(const struct directory *directory,
                                              const char *domain)
{
    const struct directory_route *route =
        map_get(directory->routes, text_of(domain));
    return route != NULL ? route : map_get(directory->routes, text_of("*"));
}

const struct directory_inbound_route *directory_inbound_route(
    const struct directory *directory, const char *local, const char *domain)
{
    struct buffer key = { 0 };
    if (map_count(directory->inbound_routes) == 0) {
        return NULL;
    }
    for (const char *c = local; *c != '\0'; c++) {
        buffer_append_byte(&key, ascii_lower(*c));
    }
    size_t local_length = key.length;
    buffer_printf(&key, "@%s", domain);
    struct text whole = buffer_text(&key);
    const struct directory_inbound_route *route =
        map_get(directory->inbound_routes, whole);
    if (route == NULL) {
        route = map_get(directory->inbound_routes,
                        text_slice(whole, local_length, whole.length));
    }
    buffer_free(&key);
    return route != NULL && directory_domain(directory, route->account_id,
                                             domain) != NULL
               ? route
               : NULL;
}

const struct directory_group *directory_group(const struct directory *directory,
                                              int64_t account_id,
                                              const char *name)
{
    char key[NAME_KEY_SIZE];
    struct buffer lower = { 0 };
    for (const char *c = name; *c != '\0'; c++) {
        buffer_append_byte(&lower, ascii_lower(*c));
    }
    const struct directory_group *group =
        lower.length == 0
            ? NULL
            : map_get(directory->groups, name_key(key, account_id, lower.data));
    buffer_free(&lower);
    return group;
}

const struct directory_group *directory_group_by_id(
    const struct directory *directory, int64_t account_id, int64_t group_id)
{
    char key[NAME_KEY_SIZE];
    char id[24];
    snprintf(id, sizeof(id), "%" PRId64, group_id);
    return map_get(directory->groups_by_id, name_key(key, account_id, id));
}

bool directory_is_tracking_host(const struct directory *directory,
                                const char *host)
{
    return map_get(directory->tracking_hosts, text_of(host)) != NULL;
}

const char *directory_tracking_url(const struct directory *directory,
                                   int64_t account_id, const char *host)
{
    char key[NAME_KEY_SIZE];
    return map_get(directory->tracking_urls, name_key(key, account_id, host));
}

size_t directory_key_count(const struct directory *directory)
{
    return directory->key_count;
}

const struct directory_key *directory_key(const struct directory *directory,
                                          size_t i)
{
    return &directory->keys[i];
}

const char *directory_server_setting(const struct directory *directory,
                                     const char *name)
{
    return map_get(directory->server_settings, text_of(name));
}

const char *directory_suspension(const struct directory *directory,
                                 int64_t account_id, int64_t message_id,
                                 const char *domain)
{
    char account_text[24];
    char message_text[24];
    snprintf(account_text, sizeof(account_text), "%" PRId64, account_id);
    snprintf(message_text, sizeof(message_text), "%" PRId64, message_id);
    const char *const values[] = {
        [SUSPENDED_ALL] = "",
        [SUSPENDED_ACCOUNT] = account_text,
        [SUSPENDED_DOMAIN] = domain,
        [SUSPENDED_MESSAGE] = message_text,
    };
    char key[NAME_KEY_SIZE];
    if (map_count(directory->suspensions) == 0) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        const char *reason = map_get(directory->suspensions,
                                     name_key(key, (int64_t)i, values[i]));
        if (reason != NULL) {
            return reason;
        }
    }
    return NULL;
}
