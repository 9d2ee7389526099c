/* SPDX-License-Identifier: MIT */
/*
 * How long a recipient's copy takes: 10 links and a pixel in a message of 4 KB,
 * and HTML of 10 MB in each transfer encoding.
 *
 *   compose_bench [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "tracking/compose.h"
#include "tracking/transfer.h"

#define LARGE_BYTES ((size_t)10 * 1000 * 1000)

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A table of paragraphs as newsletters have them; a link every so many. */
static void append_html(struct buffer *out, size_t bytes, size_t link_every)
{
    size_t from = out->length;
    buffer_append_string(out, "<!DOCTYPE html><html><body>\r\n");
    for (size_t i = 0; out->length - from < bytes; i++) {
        if (i % link_every == 0) {
            buffer_printf(out,
                          "<p><a href=\"https://www.example.com/news/%zu?a=1"
                          "&amp;b=%zu\" style=\"color:#336699\">Read more"
                          "</a></p>\r\n",
                          i, i * 7);
        }
        buffer_append_string(
            out, "<tr><td align=\"left\" style=\"font-size:14px;padding:8px\">"
                 "\r\nThe quick brown fox jumps over the lazy dog, and then "
                 "once more.\r\n</td></tr>\r\n");
    }
    buffer_append_string(out, "</body></html>\r\n");
}

static void append_header(struct buffer *out, const char *encoding)
{
    static const char *const fields[] = {
        "Received: from app.example.com (app.example.com [192.0.2.1])\r\n"
        "\tby mx.example.com with ESMTPSA id 1; Sat, 21 Nov 2026 02:13:02\r\n",
        "From: Shop <shop@example.com>\r\n",
        "To: Somebody <somebody@example.net>\r\n",
        "Subject: Your order {Receipts}\r\n",
        "Date: Sat, 21 Nov 2026 02:13:02 +0000\r\n",
        "Message-ID: <1@example.com>\r\n",
        "MIME-Version: 1.0\r\n",
        "X-Baton-Tag: receipt\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        buffer_append_string(out, fields[i]);
    }
    buffer_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", encoding);
}

static void append_encoded(struct buffer *out, struct text html,
                           const char *encoding)
{
    append_header(out, encoding);
    if (strcmp(encoding, "quoted-printable") == 0) {
        quoted_printable_encode(html, out);
    } else if (strcmp(encoding, "base64") == 0) {
        base64_encode_lines(html, out);
        buffer_append_string(out, "\r\n");
    } else {
        buffer_append_text(out, html);
    }
}

static struct token_keys *make_keys(void)
{
    static const uint8_t secret[MAC_SECRET_BYTES] = { 1 };
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 1, secret);
    token_keys_use(keys, 1);
    return keys;
}

static struct compose_plan *make_plan(struct text message,
                                      const struct policy *policy,
                                      const struct token_keys *keys,
                                      struct arena *arena)
{
    struct compose_source source = {
        .trace = TEXT_LITERAL("Received: x\r\n"),
        .message = message,
        .account_id = 1,
        .policy = policy,
        .keys = keys,
    };
    struct compose_plan *plan;
    struct error error;
    check(compose_plan_make(&source, arena, &plan, &error));
    return plan;
}

static size_t make_copy(const struct compose_plan *plan, int64_t delivery_id)
{
    struct arena *arena = arena_create();
    struct compose_recipient recipient = { delivery_id,
                                           "somebody@example.net" };
    struct text *pieces;
    size_t count;
    size_t length = 0;
    compose_copy(plan, &recipient, arena, &pieces, &count);
    for (size_t i = 0; i < count; i++) {
        length += pieces[i].length;
    }
    arena_free(&arena);
    return length;
}

/* Microseconds a copy, the plan included. */
static double measure(struct text message, const struct policy *policy,
                      const struct token_keys *keys, size_t rounds,
                      size_t recipients)
{
    size_t length = 0;
    double started_at = now_seconds();
    for (size_t i = 0; i < rounds; i++) {
        struct arena *arena = arena_create();
        struct compose_plan *plan = make_plan(message, policy, keys, arena);
        for (size_t j = 0; j < recipients; j++) {
            length += make_copy(plan, (int64_t)(i + j));
        }
        arena_free(&arena);
    }
    check(length > message.length);
    return (now_seconds() - started_at) * 1e6 / (double)(rounds * recipients);
}

static void measure_small(const struct policy *policy,
                          const struct token_keys *keys, size_t rounds)
{
    static const char *const encodings[] = { "7bit", "quoted-printable",
                                             "base64" };
    struct buffer html = { 0 };
    append_html(&html, 3200, 2);
    for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++) {
        struct buffer message = { 0 };
        append_encoded(&message, buffer_text(&html), encodings[i]);
        static const size_t recipients[] = { 1, 10, 1000 };
        for (size_t j = 0; j < ARRAY_LENGTH(recipients); j++) {
            double microseconds =
                measure(buffer_text(&message), policy, keys,
                        rounds / recipients[j] + 1, recipients[j]);
            printf("4 KB, 10 links + pixel, %s (%zu bytes), %zu recipients: "
                   "%.1f µs a copy\n",
                   encodings[i], message.length, recipients[j], microseconds);
        }
        buffer_free(&message);
    }
    buffer_free(&html);
}

static void measure_large(const struct policy *policy,
                          const struct token_keys *keys)
{
    static const char *const encodings[] = { "7bit", "quoted-printable",
                                             "base64" };
    struct buffer html = { 0 };
    append_html(&html, LARGE_BYTES, 20);
    for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++) {
        struct buffer message = { 0 };
        append_encoded(&message, buffer_text(&html), encodings[i]);
        double best = 0;
        for (int j = 0; j < 5; j++) {
            double microseconds =
                measure(buffer_text(&message), policy, keys, 1, 1);
            best = j == 0 || microseconds < best ? microseconds : best;
        }
        printf("10 MB %s: %.0f MB/s\n", encodings[i],
               (double)html.length / best);
        buffer_free(&message);
    }
    buffer_free(&html);
}

int main(int argument_count, char **arguments)
{
    size_t rounds =
        argument_count > 1 ? strtoul(arguments[1], NULL, 10) : 20000;
    struct arena *arena = arena_create();
    struct token_keys *keys = make_keys();
    struct policy policy;
    policy_set_defaults(&policy, arena);
    policy.tracking_url = "https://click.example.com";
    policy.track_opens = true;
    policy.track_clicks = CLICKS_HTML;
    measure_small(&policy, keys, rounds);
    measure_large(&policy, keys);
    token_keys_free(&keys);
    arena_free(&arena);
    return 0;
}
