/* SPDX-License-Identifier: MIT */
/*
 * The library lets through what proxies read differently: Content-Length
 * together with Transfer-Encoding, two of either, no Host or two. Such a
 * request is refused here, and its connection closed, before anything of it is
 * believed.
 */
#include "http/head.h"

#include <microhttpd.h>
#include <string.h>

#include "core/memory.h"
#include "http/forwarded.h"
#include "http/settings.h"

enum field {
    FIELD_HOST,
    FIELD_USER_AGENT,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_LENGTH,
    FIELD_TRANSFER_ENCODING,
    FIELD_FORWARDED_FOR,
    FIELD_FORWARDED_HOST,
    FIELD_SEC_PURPOSE,
    FIELD_PURPOSE,
    FIELD_X_PURPOSE,
    FIELD_X_MOZ,
    FIELD_COUNT
};

#define NAME(string)                      \
    {                                     \
        (string), sizeof((string "")) - 1 \
    }

static const struct text names[FIELD_COUNT] = {
    [FIELD_HOST] = NAME("Host"),
    [FIELD_USER_AGENT] = NAME("User-Agent"),
    [FIELD_CONTENT_TYPE] = NAME("Content-Type"),
    [FIELD_CONTENT_LENGTH] = NAME("Content-Length"),
    [FIELD_TRANSFER_ENCODING] = NAME("Transfer-Encoding"),
    [FIELD_FORWARDED_FOR] = NAME("X-Forwarded-For"),
    [FIELD_FORWARDED_HOST] = NAME("X-Forwarded-Host"),
    [FIELD_SEC_PURPOSE] = NAME("Sec-Purpose"),
    [FIELD_PURPOSE] = NAME("Purpose"),
    [FIELD_X_PURPOSE] = NAME("X-Purpose"),
    [FIELD_X_MOZ] = NAME("X-Moz"),
};

struct head {
    struct text values[FIELD_COUNT]; /* the last of each */
    unsigned counts[FIELD_COUNT];
    struct buffer forwarded_for; /* all lines of it, if there are several */
};

static void join_forwarded_for(struct head *head, struct text value)
{
    if (head->forwarded_for.length == 0) {
        buffer_append_text(&head->forwarded_for,
                           head->values[FIELD_FORWARDED_FOR]);
    }
    buffer_append_byte(&head->forwarded_for, ',');
    buffer_append_text(&head->forwarded_for, value);
}

static enum MHD_Result on_field(void *owner, enum MHD_ValueKind kind,
                                const char *key, size_t key_length,
                                const char *value, size_t value_length)
{
    struct head *head = owner;
    struct text name = { key, key_length };
    struct text text = { value != NULL ? value : "",
                         value != NULL ? value_length : 0 };
    (void)kind;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (name.length == names[i].length &&
            text_equal_ignoring_case(name, names[i])) {
            if (i == FIELD_FORWARDED_FOR && head->counts[i] > 0) {
                join_forwarded_for(head, text);
            }
            head->values[i] = text;
            head->counts[i]++;
            break;
        }
    }
    return MHD_YES;
}

/* Where the body ends must be beyond doubt. */
static enum head_verdict judge_body(const struct head *head,
                                    enum http_method method)
{
    unsigned lengths = head->counts[FIELD_CONTENT_LENGTH];
    unsigned encodings = head->counts[FIELD_TRANSFER_ENCODING];
    uint64_t length = 0;
    if (lengths + encodings > 1 ||
        (lengths == 1 &&
         !text_to_uint64(head->values[FIELD_CONTENT_LENGTH], &length)) ||
        (encodings == 1 &&
         !text_is_ignoring_case(head->values[FIELD_TRANSFER_ENCODING],
                                "chunked"))) {
        return HEAD_NOT_LAWFUL;
    }
    if (method != HTTP_POST && method != HTTP_OTHER_METHOD &&
        (length > 0 || encodings > 0)) {
        return HEAD_NOT_LAWFUL;
    }
    return length > HEAD_BODY_MAX ? HEAD_TOO_LARGE : HEAD_TAKEN;
}

/* Of a list: what the proxy next to us said. */
static struct text last_item(struct text list)
{
    size_t from = list.length;
    while (from > 0 && list.data[from - 1] != ',') {
        from--;
    }
    return text_trim(text_slice(list, from, list.length));
}

static bool read_host(struct http_request *request, const struct head *head,
                      struct text authority, const char *version)
{
    bool is_old = strcmp(version, "HTTP/1.0") == 0;
    struct text host = head->values[FIELD_HOST];
    if (head->counts[FIELD_HOST] > 1 ||
        (head->counts[FIELD_HOST] == 0 && !is_old)) {
        return false;
    }
    if (authority.length > 0) {
        host = authority; /* RFC 9112, 3.2.2 */
    }
    if (request->is_from_proxy && head->counts[FIELD_FORWARDED_HOST] > 0) {
        host = last_item(head->values[FIELD_FORWARDED_HOST]);
    }
    /* An empty Host is lawful, and no host of ours. */
    return host.length == 0 || target_host(host, request->host);
}

static bool has_word(struct text text, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= text.length; i++) {
        if (text_is_ignoring_case(text_slice(text, i, i + length), word)) {
            return true;
        }
    }
    return false;
}

static bool is_prefetch(const struct head *head)
{
    return has_word(head->values[FIELD_SEC_PURPOSE], "prefetch") ||
           has_word(head->values[FIELD_PURPOSE], "prefetch") ||
           has_word(head->values[FIELD_X_MOZ], "prefetch") ||
           has_word(head->values[FIELD_X_PURPOSE], "prefetch") ||
           has_word(head->values[FIELD_X_PURPOSE], "preview");
}

static enum http_method read_method(const char *method)
{
    static const char *const methods[] = {
        [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST"
    };
    for (size_t i = 0; i < ARRAY_LENGTH(methods); i++) {
        if (strcmp(method, methods[i]) == 0) {
            return (enum http_method)i;
        }
    }
    return HTTP_OTHER_METHOD;
}

static void read_client(struct http_request *request, const struct head *head,
                        const struct network_address *peer)
{
    struct text forwarded_for = head->forwarded_for.length > 0
                                    ? buffer_text(&head->forwarded_for)
                                    : head->values[FIELD_FORWARDED_FOR];
    const struct proxies *proxies = http_settings_proxies();
    request->is_from_proxy = proxies_trust(proxies, peer);
    forwarded_client(proxies, peer, forwarded_for, &request->client);
}

/* Query and path share the memory of the target. */
static bool read_target(struct http_request *request,
                        struct text *out_authority)
{
    struct text path;
    const char *mark = strchr(request->target, '?');
    request->query = text_of(mark != NULL ? mark + 1 : "");
    if (!target_read(request->target, out_authority, &path)) {
        return false;
    }
    request->route = http_route_find(path, &request->rest);
    return true;
}

enum head_verdict head_read(struct http_request *request, const char *method,
                            const char *version,
                            const struct network_address *peer)
{
    struct head head = { 0 };
    struct text authority = { "", 0 };
    MHD_get_connection_values_n(request->handle, MHD_HEADER_KIND, on_field,
                                &head);
    request->method = read_method(method);
    enum head_verdict verdict = judge_body(&head, request->method);
    read_client(request, &head, peer);
    bool has_path = read_target(request, &authority);
    if (!read_host(request, &head, authority, version)) {
        verdict = HEAD_NOT_LAWFUL;
    }
    if (!has_path) {
        request->route = NULL; /* "*", or nothing that we serve */
    }
    request->user_agent = head.values[FIELD_USER_AGENT];
    request->content_type = head.values[FIELD_CONTENT_TYPE];
    request->is_prefetch = is_prefetch(&head);
    buffer_free(&head.forwarded_for);
    return verdict;
}
