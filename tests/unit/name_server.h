/* SPDX-License-Identifier: MIT */
/*
 * A name server of a few lines for unit tests, on the loop of the test: it
 * answers from a table, over UDP.
 *
 *   struct name_server server;
 *   name_server_open(&server, loop, zone, ARRAY_LENGTH(zone));
 *   … name_server_setting(&server) …
 *   name_server_close(&server);
 */
#ifndef BATON_TESTS_UNIT_NAME_SERVER_H
#define BATON_TESTS_UNIT_NAME_SERVER_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/dns_packet.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/network.h"
#include "core/text.h"

struct zone_row {
    const char *name;
    int type;
    int rcode; /* -1: no answer at all */
    /* "10 host", an address, a name, a text; NULL: none. '|' ends a string of
     * a text. */
    const char *data;
};

struct name_server {
    const struct zone_row *zone; /* the names of a row are in lower case */
    size_t zone_length;
    int socket;
    struct watch watch;
    int query_count;
    char setting[64];
};

static void put_16(struct buffer *buffer, int value)
{
    buffer_append_byte(buffer, (char)(value >> 8));
    buffer_append_byte(buffer, (char)value);
}

static void put_name(struct buffer *buffer, const char *name)
{
    struct text rest = text_of(strcmp(name, ".") == 0 ? "" : name);
    struct text label;
    while (text_split(&rest, '.', &label)) {
        buffer_append_byte(buffer, (char)label.length);
        buffer_append_text(buffer, label);
    }
    buffer_append_byte(buffer, 0);
}

/* A longer string than 255 is cut into several. */
static void put_strings(struct buffer *data, struct text rest)
{
    do {
        size_t length = text_find_byte(rest, '|');
        bool is_ended = length < rest.length && length < 256;
        length = length < 255 ? length : 255;
        buffer_append_byte(data, (char)length);
        buffer_append(data, rest.data, length);
        rest = text_slice(rest, length + (is_ended ? 1 : 0), rest.length);
    } while (rest.length > 0);
}

static void put_data(struct buffer *data, const struct zone_row *row)
{
    struct network_address address;
    if (row->type == DNS_TYPE_MX) {
        put_16(data, (row->data[0] - '0') * (row->data[1] == '0' ? 10 : 1));
        put_name(data, strchr(row->data, ' ') + 1);
    } else if (row->type == DNS_TYPE_CNAME || row->type == DNS_TYPE_PTR) {
        put_name(data, row->data);
    } else if (row->type == DNS_TYPE_TXT) {
        put_strings(data, text_of(row->data));
    } else {
        check(network_address_parse(text_of(row->data), 0, &address));
        bool is_v4 = row->type == DNS_TYPE_A;
        buffer_append(data,
                      is_v4 ? (void *)&address.socket.v4.sin_addr
                            : (void *)&address.socket.v6.sin6_addr,
                      is_v4 ? 4 : 16);
    }
}

static void put_record(struct buffer *answer, const struct zone_row *row)
{
    struct buffer data = { 0 };
    put_data(&data, row);
    put_name(answer, row->name);
    put_16(answer, row->type);
    put_16(answer, 1);
    put_16(answer, 0);
    put_16(answer, 300);
    put_16(answer, (int)data.length);
    buffer_append(answer, data.data, data.length);
    buffer_free(&data);
}

/* Append what the zone has; the rcode is -1 where the server keeps silent. */
static int put_answers(const struct name_server *server, struct buffer *answer,
                       const char *name, int type, int *count)
{
    int rcode = 3;
    for (size_t i = 0; i < server->zone_length; i++) {
        const struct zone_row *row = &server->zone[i];
        bool is_alias = row->type == DNS_TYPE_CNAME;
        if (strcmp(row->name, name) != 0) {
            continue;
        }
        if (row->type != type && !is_alias) {
            rcode = rcode == 3 && row->data != NULL ? 0 : rcode;
            continue;
        }
        rcode = row->rcode;
        if (row->data != NULL) {
            put_record(answer, row);
            (*count)++;
        }
        if (is_alias && row->data != NULL && type != DNS_TYPE_CNAME) {
            return put_answers(server, answer, row->data, type, count);
        }
    }
    return rcode;
}

static void answer_query(void *owner)
{
    struct name_server *server = owner;
    uint8_t query[512];
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    char name[DNS_HOST_MAX + 1];
    size_t end = 0;
    int count = 0;
    ssize_t got = recvfrom(server->socket, query, sizeof(query), 0,
                           (struct sockaddr *)&from, &from_length);
    check(got > 12);
    struct dns_packet packet = { .borrowed_bytes = query,
                                 .length = (size_t)got };
    check(dns_packet_read_name(&packet, 12, name, &end));
    struct buffer records = { 0 };
    int rcode = put_answers(server, &records, name, query[end + 1], &count);
    struct buffer answer = { 0 };
    buffer_append(&answer, query, 2);
    put_16(&answer, 0x8180 | (rcode & 15));
    put_16(&answer, 1);
    put_16(&answer, count);
    put_16(&answer, 0);
    put_16(&answer, 0);
    buffer_append(&answer, query + 12, end + 4 - 12);
    if (records.length > 0) {
        buffer_append(&answer, records.data, records.length);
    }
    server->query_count++;
    if (rcode >= 0) {
        (void)sendto(server->socket, answer.data, answer.length, 0,
                     (struct sockaddr *)&from, from_length);
    }
    buffer_free(&answer);
    buffer_free(&records);
}

static void name_server_open(struct name_server *server, struct loop *loop,
                             const struct zone_row *zone, size_t zone_length)
{
    struct network_address address;
    socklen_t length = sizeof(address.socket);
    memset(server, 0, sizeof(*server));
    server->zone = zone;
    server->zone_length = zone_length;
    check(network_address_parse(text_of("127.0.0.1"), 0, &address));
    server->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(bind(server->socket, &address.socket.any, address.length) == 0);
    check(getsockname(server->socket, &address.socket.any, &length) == 0);
    (void)snprintf(server->setting, sizeof(server->setting), "127.0.0.1@%d",
                   network_address_port(&address));
    watch_start(&server->watch, loop, server->socket, WATCH_READ, answer_query,
                server);
}

static void name_server_close(struct name_server *server)
{
    watch_stop(&server->watch);
    close(server->socket);
}

#endif
