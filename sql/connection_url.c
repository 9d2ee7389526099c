/* SPDX-License-Identifier: MIT */
/* Where PostgreSQL is, with its names resolved before the loop runs. */
#include <libpq-fe.h>
#include <netdb.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "sql/connection.h"

static void append_value(struct buffer *string, const char *keyword,
                         const char *value)
{
    buffer_printf(string, "%s='", keyword);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\'' || *c == '\\') {
            buffer_append_byte(string, '\\');
        }
        buffer_append_byte(string, *c);
    }
    buffer_append_string(string, "' ");
}

static bool append_address(struct buffer *addresses, const char *host)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char address[NI_MAXHOST];
    int failure = getaddrinfo(host, NULL, &hints, &found);
    if (failure == 0) {
        failure = getnameinfo(found->ai_addr, found->ai_addrlen, address,
                              sizeof(address), NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(found);
    }
    if (failure != 0) {
        log_warning(NULL, "PostgreSQL's host name could not be resolved",
                    "host=\"%s\" reason=\"%s\"", log_quote(text_of(host)),
                    gai_strerror(failure));
        return false;
    }
    buffer_append_string(addresses, address);
    return true;
}

/* "a,b" becomes "192.0.2.1,192.0.2.2"; directories of sockets stay away. */
static bool resolve_hosts(const char *hosts, struct buffer *addresses)
{
    struct text rest = text_of(hosts);
    struct text piece;
    while (text_split(&rest, ',', &piece)) {
        char *host = memory_copy_bytes(piece.data, piece.length);
        bool is_name = host[0] != '\0' && host[0] != '/' && host[0] != '@';
        if (addresses->length > 0) {
            buffer_append_byte(addresses, ',');
        }
        bool is_resolved = is_name && append_address(addresses, host);
        memory_free(host);
        if (!is_resolved) {
            return false;
        }
    }
    return addresses->length > 0;
}

static const char *value_of(const PQconninfoOption *options,
                            const char *keyword)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0) {
            return options->val;
        }
    }
    return NULL;
}

char *connection_resolve(const char *url)
{
    struct buffer addresses = { 0 };
    struct buffer string = { 0 };
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *hosts = options != NULL ? value_of(options, "host") : NULL;
    if (hosts == NULL || value_of(options, "hostaddr") != NULL ||
        !resolve_hosts(hosts, &addresses)) {
        buffer_append_string(&string, url);
    } else {
        for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
            if (o->val != NULL) {
                append_value(&string, o->keyword, o->val);
            }
        }
        append_value(&string, "hostaddr", addresses.data);
    }
    buffer_free(&addresses);
    PQconninfoFree(options);
    return buffer_take(&string);
}
