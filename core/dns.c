/* SPDX-License-Identifier: MIT */
/*
 * DNS on the loop, through libunbound's event interface.
 *
 * libunbound may answer from inside ub_resolve_event (a cached name), so an
 * answer is read and kept at once, since its bytes are only valid there, and
 * told in a later turn by a post.
 */
#include "core/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "core/dns_packet.h"
#include "core/list.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define DEFAULT_TIMEOUT_MILLISECONDS 10000
#define DNS_CLASS_IN 1
#define DNSSEC_BOGUS 1
/* No domain has use for more; what comes behind is not read. */
#define MX_MAX 64
#define ADDRESS_MAX 32
#define TARGET_MAX 16
#define TXT_MAX 64
#define ROOT_KEY_PATH "/usr/share/dns/root.key"

struct dns_resolver {
    struct loop *loop;
    struct ub_ctx *context;
    int timeout_milliseconds;
    struct list lookups;
};

struct dns_query {
    struct dns_lookup *lookup;
    enum dns_type type;
    int id; /* libunbound's, while it is pending */
    bool is_pending;
    enum dns_status status;
    uint32_t ttl_seconds;
    size_t count;
    union {
        struct dns_mx *mx;
        struct network_address *addresses;
        struct dns_name *names;
        struct dns_txt *texts; /* each with a copy of its bytes */
    } records;
};

struct dns_lookup {
    struct list_link link; /* in its resolver's lookups */
    struct dns_resolver *resolver;
    struct timer deadline;
    struct dns_query queries[2];
    size_t query_count;
    size_t pending_count;
    dns_mx_fn *on_mx;
    dns_address_fn *on_addresses;
    dns_answer_fn *on_answer;
    void *owner;
};

const char *dns_status_text(enum dns_status status)
{
    static const char *const texts[] = {
        [DNS_FOUND] = "found",
        [DNS_NO_NAME] = "no such name",
        [DNS_NO_DATA] = "no such records",
        [DNS_TEMPORARY] = "temporary failure",
    };
    return texts[status];
}

/* 1. The resolver and its configuration. */

/* In the order in which libunbound takes them: options before anything else. */
static const struct {
    const char *name;
    const char *value;
} resolver_options[] = {
    { "outgoing-range:", "512" }, /* each query in flight has its own socket */
    { "num-queries-per-thread:", "1024" }, { "outgoing-num-tcp:", "32" },
    { "msg-cache-size:", "4m" },           { "rrset-cache-size:", "8m" },
};

/* Domains that libunbound answers by itself ("no such name") and that private
 * and test networks have use for. .localhost stays (RFC 6761, 6.3). */
static const char *const unlocked_zones[] = { "test.", "invalid.",
                                              "home.arpa." };

static bool explain(struct error *error, const char *what, int code)
{
    return error_set(error, "the DNS resolver cannot be set up: %s: %s", what,
                     ub_strerror(code));
}

static bool set_option(struct ub_ctx *context, const char *name,
                       const char *value, struct error *error)
{
    int code = ub_ctx_set_option(context, name, value);
    return code == 0 || explain(error, name, code);
}

static bool refuse_server(struct text server, struct error *error)
{
    return error_set(error,
                     "\"%.*s\" is not a DNS server: write IP addresses with an "
                     "optional port, separated by blanks, as in "
                     "\"127.0.0.1@5353 10.0.0.1\"",
                     TEXT_ARGUMENTS(server));
}

static bool add_server(struct ub_ctx *context, struct text server,
                       struct error *error)
{
    struct network_address address;
    size_t at = text_find_byte(server, '@');
    uint64_t port = 53;
    char text[NETWORK_TEXT_SIZE];
    if (!network_address_parse(text_slice(server, 0, at), 0, &address) ||
        (at < server.length &&
         (!text_to_uint64(text_slice(server, at + 1, server.length), &port) ||
          port == 0 || port > UINT16_MAX))) {
        return refuse_server(server, error);
    }
    struct buffer forwarder = { 0 };
    buffer_printf(&forwarder, "%s@%u", network_address_text(&address, text),
                  (unsigned)port);
    int code = ub_ctx_set_fwd(context, forwarder.data);
    buffer_free(&forwarder);
    return code == 0 || explain(error, "DNS server", code);
}

static bool add_servers(struct ub_ctx *context, const char *servers,
                        struct error *error)
{
    struct text rest = text_of(servers);
    struct text piece;
    while (text_split(&rest, ' ', &piece)) {
        piece = text_trim(piece);
        if (piece.length > 0 && !add_server(context, piece, error)) {
            return false;
        }
    }
    return true;
}

static bool use_system_servers(struct ub_ctx *context, struct error *error)
{
    int code = ub_ctx_resolvconf(context, NULL);
    return code == 0 ||
           error_set(error,
                     "cannot take the DNS servers from /etc/resolv.conf: %s; "
                     "name them in the configuration",
                     ub_strerror(code));
}

/* Only where we ask the authoritative servers ourselves: a forwarder that drops
 * signatures would make every signed domain look forged. */
static bool use_trust_anchor(struct ub_ctx *context, struct error *error)
{
    if (access(ROOT_KEY_PATH, R_OK) != 0) {
        log_warning(NULL, "DNSSEC is off", "missing=%s", ROOT_KEY_PATH);
        return true;
    }
    int code = ub_ctx_add_ta_file(context, ROOT_KEY_PATH);
    return code == 0 || explain(error, ROOT_KEY_PATH, code);
}

static bool use_forwarders(struct ub_ctx *context, const char *servers,
                           struct error *error)
{
    if (!set_option(context, "do-not-query-localhost:", "no", error)) {
        return false;
    }
    if (servers[0] == '\0' ? !use_system_servers(context, error)
                           : !add_servers(context, servers, error)) {
        return false;
    }
    /* From here on libunbound takes no more options. */
    for (size_t i = 0; i < ARRAY_LENGTH(unlocked_zones); i++) {
        int code = ub_ctx_zone_remove(context, unlocked_zones[i]);
        if (code != 0) {
            return explain(error, unlocked_zones[i], code);
        }
    }
    return true;
}

static bool configure(struct ub_ctx *context, const char *servers,
                      struct error *error)
{
    (void)ub_ctx_debugout(context, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(resolver_options); i++) {
        if (!set_option(context, resolver_options[i].name,
                        resolver_options[i].value, error)) {
            return false;
        }
    }
    struct text trimmed = text_trim(text_of(servers));
    if (text_is(trimmed, "recursive")) {
        return use_trust_anchor(context, error);
    }
    return use_forwarders(context, trimmed.length == 0 ? "" : servers, error);
}

struct dns_resolver *dns_resolver_create(struct loop *loop,
                                         const struct dns_options *options,
                                         struct error *error)
{
    struct dns_resolver *resolver = memory_alloc(sizeof(*resolver));
    resolver->loop = loop;
    resolver->timeout_milliseconds = options->timeout_milliseconds > 0
                                         ? options->timeout_milliseconds
                                         : DEFAULT_TIMEOUT_MILLISECONDS;
    resolver->context = ub_ctx_create_event(loop_event_base(loop));
    check(resolver->context != NULL);
    if (!configure(resolver->context,
                   options->servers != NULL ? options->servers : "", error)) {
        dns_resolver_free(&resolver);
    }
    return resolver;
}

/* 2. Answers. */

static void shuffle(struct dns_mx *records, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = arc4random_uniform((uint32_t)i);
        struct dns_mx kept = records[i - 1];
        records[i - 1] = records[other];
        records[other] = kept;
    }
}

/* Insertion keeps the shuffled order of equal preferences (S10). */
static void sort_by_preference(struct dns_mx *records, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct dns_mx moved = records[i];
        size_t hole = i;
        while (hole > 0 && records[hole - 1].preference > moved.preference) {
            records[hole] = records[hole - 1];
            hole--;
        }
        records[hole] = moved;
    }
}

static bool keep_mx(struct dns_query *query, const struct dns_packet *packet,
                    const struct dns_record *record)
{
    if (query->records.mx == NULL) {
        query->records.mx =
            memory_alloc_array(MX_MAX, sizeof(*query->records.mx));
    }
    return query->count < MX_MAX &&
           dns_packet_read_mx(packet, record, &query->records.mx[query->count]);
}

static bool keep_address(struct dns_query *query,
                         const struct dns_packet *packet,
                         const struct dns_record *record)
{
    if (query->records.addresses == NULL) {
        query->records.addresses =
            memory_alloc_array(ADDRESS_MAX, sizeof(struct network_address));
    }
    return query->count < ADDRESS_MAX &&
           dns_packet_read_address(packet, record,
                                   &query->records.addresses[query->count]);
}

static bool keep_name(struct dns_query *query, const struct dns_packet *packet,
                      const struct dns_record *record)
{
    if (query->records.names == NULL) {
        query->records.names =
            memory_alloc_array(TARGET_MAX, sizeof(*query->records.names));
    }
    return query->count < TARGET_MAX &&
           dns_packet_read_target(packet, record,
                                  &query->records.names[query->count]);
}

static bool keep_txt(struct dns_query *query, const struct dns_packet *packet,
                     const struct dns_record *record)
{
    struct buffer bytes = { 0 };
    size_t string_count = 0;
    if (query->records.texts == NULL) {
        query->records.texts =
            memory_alloc_array(TXT_MAX, sizeof(*query->records.texts));
    }
    if (query->count == TXT_MAX ||
        !dns_packet_read_txt(packet, record, &bytes, &string_count)) {
        buffer_free(&bytes);
        return false;
    }
    struct dns_txt *txt = &query->records.texts[query->count];
    txt->string_count = string_count;
    txt->text.length = bytes.length;
    txt->text.data = buffer_take(&bytes);
    return true;
}

static bool keep_record(struct dns_query *query,
                        const struct dns_packet *packet,
                        const struct dns_record *record)
{
    switch (query->type) {
    case DNS_TYPE_MX:
        return keep_mx(query, packet, record);
    case DNS_TYPE_TXT:
        return keep_txt(query, packet, record);
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        return keep_name(query, packet, record);
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        break;
    }
    return keep_address(query, packet, record);
}

static enum dns_status read_answer(struct dns_query *query, const void *bytes,
                                   size_t length)
{
    struct dns_packet packet;
    struct dns_record record;
    if (!dns_packet_open(&packet, bytes, length) ||
        (packet.rcode != DNS_RCODE_OK && packet.rcode != DNS_RCODE_NXDOMAIN)) {
        return DNS_TEMPORARY;
    }
    if (packet.rcode == DNS_RCODE_NXDOMAIN) {
        return DNS_NO_NAME;
    }
    query->ttl_seconds = UINT32_MAX;
    while (dns_packet_next(&packet, &record)) {
        bool is_wanted = record.type == (int)query->type;
        if (!is_wanted && record.type != DNS_TYPE_CNAME) {
            continue;
        }
        if (record.ttl_seconds < query->ttl_seconds) {
            query->ttl_seconds = record.ttl_seconds;
        }
        if (is_wanted && keep_record(query, &packet, &record)) {
            query->count++;
        }
    }
    if (packet.is_broken) {
        query->count = 0; /* half an answer would be a wrong one */
        return DNS_TEMPORARY;
    }
    return query->count > 0 ? DNS_FOUND : DNS_NO_DATA;
}

/* With all that was allocated, also of an answer that was thrown away. */
static void free_records(struct dns_query *query)
{
    if (query->type == DNS_TYPE_TXT && query->records.texts != NULL) {
        for (size_t i = 0; i < TXT_MAX; i++) {
            memory_free((void *)query->records.texts[i].text.data);
        }
    }
    memory_free(query->records.mx);
}

static void free_lookup(struct dns_lookup *lookup)
{
    for (size_t i = 0; i < lookup->query_count; i++) {
        free_records(&lookup->queries[i]);
    }
    memory_free(lookup);
}

static void cancel_queries(struct dns_lookup *lookup)
{
    for (size_t i = 0; i < lookup->query_count; i++) {
        struct dns_query *query = &lookup->queries[i];
        if (query->is_pending) {
            query->is_pending = false;
            (void)ub_cancel(lookup->resolver->context, query->id);
        }
    }
}

static void tell_mx(struct dns_lookup *lookup)
{
    struct dns_query *query = &lookup->queries[0];
    shuffle(query->records.mx, query->count);
    sort_by_preference(query->records.mx, query->count);
    lookup->on_mx(lookup->owner, query->status, query->records.mx, query->count,
                  query->count > 0 ? query->ttl_seconds : 0);
}

static enum dns_status merge_status(const struct dns_query *queries)
{
    if (queries[0].count + queries[1].count > 0) {
        return DNS_FOUND;
    }
    if (queries[0].status == DNS_TEMPORARY ||
        queries[1].status == DNS_TEMPORARY) {
        return DNS_TEMPORARY;
    }
    return queries[0].status == DNS_NO_NAME && queries[1].status == DNS_NO_NAME
               ? DNS_NO_NAME
               : DNS_NO_DATA;
}

/* A family that does not work for us costs one failed attempt, not several. */
static void tell_addresses(struct dns_lookup *lookup)
{
    struct network_address merged[2 * ADDRESS_MAX];
    const struct dns_query *queries = lookup->queries;
    size_t count = 0;
    uint32_t ttl_seconds = UINT32_MAX;
    for (size_t i = 0; i < ADDRESS_MAX; i++) {
        for (size_t family = 0; family < 2; family++) {
            if (i < queries[family].count) {
                merged[count++] = queries[family].records.addresses[i];
            }
        }
    }
    for (size_t family = 0; family < 2; family++) {
        if (queries[family].count > 0 &&
            queries[family].ttl_seconds < ttl_seconds) {
            ttl_seconds = queries[family].ttl_seconds;
        }
    }
    lookup->on_addresses(lookup->owner, merge_status(queries), merged, count,
                         count > 0 ? ttl_seconds : 0);
}

static void tell_answer(struct dns_lookup *lookup)
{
    const struct dns_query *query = &lookup->queries[0];
    struct dns_answer answer = {
        .type = query->type,
        .status = query->status,
        .ttl_seconds = query->count > 0 ? query->ttl_seconds : 0,
        .count = query->count,
    };
    switch (query->type) {
    case DNS_TYPE_MX:
        answer.records.exchangers = query->records.mx;
        break;
    case DNS_TYPE_TXT:
        answer.records.texts = query->records.texts;
        break;
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        answer.records.names = query->records.names;
        break;
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        answer.records.addresses = query->records.addresses;
        break;
    }
    lookup->on_answer(lookup->owner, &answer);
}

static void finish(void *owner)
{
    struct dns_lookup *lookup = owner;
    list_remove(&lookup->link);
    timer_stop(&lookup->deadline);
    if (lookup->on_mx != NULL) {
        tell_mx(lookup);
    } else if (lookup->on_answer != NULL) {
        tell_answer(lookup);
    } else {
        tell_addresses(lookup);
    }
    free_lookup(lookup);
}

static void finish_query(struct dns_query *query, enum dns_status status)
{
    struct dns_lookup *lookup = query->lookup;
    query->is_pending = false;
    query->status = status;
    if (--lookup->pending_count == 0) {
        loop_post(lookup->resolver->loop, finish, lookup);
    }
}

static void on_answer(void *argument, int rcode, void *packet,
                      int packet_length, int security, char *why_bogus,
                      int was_rate_limited)
{
    struct dns_query *query = argument;
    enum dns_status status = DNS_TEMPORARY;
    if (security == DNSSEC_BOGUS) { /* arrives with rcode 0 and a packet */
        log_warning(NULL, "DNS answer is forged or wrongly signed",
                    "reason=\"%s\"", log_quote(text_of(why_bogus)));
    } else if (rcode == DNS_RCODE_NXDOMAIN) {
        status = DNS_NO_NAME;
    } else if (rcode == DNS_RCODE_OK && !was_rate_limited && packet != NULL &&
               packet_length > 0) {
        status = read_answer(query, packet, (size_t)packet_length);
    }
    finish_query(query, status);
}

static void on_deadline(void *owner)
{
    struct dns_lookup *lookup = owner;
    cancel_queries(lookup);
    loop_cancel_posts(lookup->resolver->loop, lookup);
    finish(lookup);
}

/* 3. Questions. */

static struct dns_lookup *create_lookup(struct dns_resolver *resolver,
                                        void *owner)
{
    struct dns_lookup *lookup = memory_alloc(sizeof(*lookup));
    lookup->resolver = resolver;
    lookup->owner = owner;
    list_append(&resolver->lookups, &lookup->link);
    timer_start(&lookup->deadline, resolver->loop,
                resolver->timeout_milliseconds, on_deadline, lookup);
    return lookup;
}

static struct dns_query *add_query(struct dns_lookup *lookup,
                                   enum dns_type type)
{
    struct dns_query *query = &lookup->queries[lookup->query_count++];
    query->lookup = lookup;
    query->type = type;
    query->status = DNS_TEMPORARY; /* unless an answer says otherwise */
    query->is_pending = true;
    lookup->pending_count++;
    return query;
}

/* A name that cannot be written in DNS cannot exist there. */
static void ask(struct dns_query *query, const char *name)
{
    struct ub_ctx *context = query->lookup->resolver->context;
    if (name[0] == '\0') {
        finish_query(query, DNS_NO_NAME);
        return;
    }
    errno = 0;
    int code = ub_resolve_event(context, name, (int)query->type, DNS_CLASS_IN,
                                query, on_answer, &query->id);
    /* When it finds no memory to begin with, libunbound leaves events in the
     * loop that it has freed. */
    check(code != UB_INITFAIL || errno != ENOMEM);
    if (code == UB_SYNTAX) {
        finish_query(query, DNS_NO_NAME);
    } else if (code != 0) {
        log_warning(NULL, "DNS query failed", "reason=\"%s\"",
                    log_quote(text_of(ub_strerror(code))));
        finish_query(query, DNS_TEMPORARY);
    }
}

struct dns_lookup *dns_lookup_mx(struct dns_resolver *resolver,
                                 const char *domain, dns_mx_fn *on_done,
                                 void *owner)
{
    struct dns_lookup *lookup = create_lookup(resolver, owner);
    lookup->on_mx = on_done;
    ask(add_query(lookup, DNS_TYPE_MX), domain);
    return lookup;
}

struct dns_lookup *dns_lookup_address(struct dns_resolver *resolver,
                                      const char *host, dns_address_fn *on_done,
                                      void *owner)
{
    struct dns_lookup *lookup = create_lookup(resolver, owner);
    lookup->on_addresses = on_done;
    /* Both are counted before the first is asked: it may answer at once. */
    struct dns_query *v6 = add_query(lookup, DNS_TYPE_AAAA);
    struct dns_query *v4 = add_query(lookup, DNS_TYPE_A);
    ask(v6, host);
    ask(v4, host);
    return lookup;
}

struct dns_lookup *dns_lookup_records(struct dns_resolver *resolver,
                                      enum dns_type type, const char *name,
                                      dns_answer_fn *on_done, void *owner)
{
    struct dns_lookup *lookup = create_lookup(resolver, owner);
    lookup->on_answer = on_done;
    ask(add_query(lookup, type), name);
    return lookup;
}

void dns_cancel(struct dns_lookup **lookup)
{
    struct dns_lookup *doomed = *lookup;
    if (doomed == NULL) {
        return;
    }
    *lookup = NULL;
    cancel_queries(doomed);
    loop_cancel_posts(doomed->resolver->loop, doomed);
    list_remove(&doomed->link);
    timer_stop(&doomed->deadline);
    free_lookup(doomed);
}

void dns_resolver_free(struct dns_resolver **resolver)
{
    struct dns_resolver *doomed = *resolver;
    if (doomed == NULL) {
        return;
    }
    *resolver = NULL;
    while (doomed->lookups.first != NULL) {
        struct dns_lookup *lookup =
            LIST_ITEM(doomed->lookups.first, struct dns_lookup, link);
        dns_cancel(&lookup);
    }
    ub_ctx_delete(doomed->context);
    memory_free(doomed);
}
