/* SPDX-License-Identifier: MIT */
#include "tracking/control.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/control_internal.h"

/* 2026-11-21T02:13:02Z */
#define NOW_SECONDS INT64_C(1795227182)
#define NOW (NOW_SECONDS * CLOCK_SECOND)

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* The fields and what they say: "group=… tags=a|b …", in the order of struct
 * control, send_at in seconds from now. */
static const struct {
    const char *fields;
    const char *said;
} rows[] = {
    { "", "" },
    { "Subject: a\r\nX-Mailer: b\r\nX-Spam-Status: c\r\n", "" },

    /* Ours. */
    { "X-Baton-Group: Receipts\r\n", "group=Receipts" },
    { "x-baton-group: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n",
      "group=Gr\xc3\xbc\xc3\x9f"
      "e" },
    { "X-Baton-Group: Daily\r\n Alert\r\n", "group=Daily Alert" },
    { "X-Baton-Tag: a\r\nX-Baton-Tag: =?utf-8?B?w6k=?=\r\nX-Baton-Tag: a\r\n",
      "tags=a|\xc3\xa9" },
    { "X-Baton-Metadata: {\"order\":\r\n 1042, \"a\": [true, null, 0.1]}\r\n",
      "metadata={\"order\":1042,\"a\":[true,null,0.1]}" },
    { "X-Baton-Metadata: =?utf-8?B?eyJhIjoiw6kifQ==?=\r\n",
      "metadata={\"a\":\"\xc3\xa9\"}" },
    { "X-Baton-Metadata: {\"a\":\"=?utf-8?Q?=22?=\"}\r\n",
      "metadata={\"a\":\"=?utf-8?Q?=22?=\"}" },
    { "X-Baton-Metadata: {\"a\":\"b\r\n\tc\"}\r\n",
      "metadata={\"a\":\"b c\"}" },
    { "X-Baton-Metadata: {\"a\":0.30000000000000004}\r\n",
      "metadata={\"a\":0.30000000000000004}" },
    { "X-Baton-Metadata: {\"\\\"[[[[[[[[[[[[[[[[[[\":1}\r\n",
      "metadata={\"\\\"[[[[[[[[[[[[[[[[[[\":1}" },
    { "X-Baton-Metadata: {}\r\n", "" },
    { "X-Baton-Track-Opens: off\r\n", "track_opens=off" },
    { "X-Baton-Track-Opens: ON\r\n", "track_opens=on" },
    { "X-Baton-Track-Clicks: both\r\n", "track_clicks=both" },
    { "X-Baton-Track-Clicks: on\r\n", "track_clicks=on" },
    { "X-Baton-Privacy: Anonymous\r\n", "privacy=anonymous" },
    { "X-Baton-Unsubscribe: link\r\n", "unsubscribe=link" },
    { "X-Baton-Expires-After: 10 min\r\n", "expires_after=10 min" },
    { "X-Baton-Priority: high\r\n", "priority=high" },
    { "X-Baton-Send-At: in 2 h\r\n", "send_at=7200" },
    { "X-Baton-Send-At: in 30 d\r\n", "send_at=2592000" },
    { "X-Baton-Send-At: 2026-11-21T03:13:02Z\r\n", "send_at=3600" },
    { "X-Baton-Send-At: 2026-11-21T03:13:02.25+01:00\r\n", "" },
    { "X-Baton-Send-At: 2026-11-21T03:13-01:00\r\n", "send_at=7198" },
    { "X-Baton-Send-At: Sat, 21 Nov 2026 04:13:02 +0100 (CET)\r\n",
      "send_at=3600" },
    { "X-Baton-Send-At: 21 nov 2026 03:13 GMT\r\n", "send_at=3598" },
    { "X-Baton-Send-At: Fri, 20 Nov 2026 22:13:02 EST\r\n", "send_at=3600" },
    { "X-Baton-Send-At: 1999-01-01T00:00:00Z\r\n", "" },
    { "X-Baton-Pool: fast lane\r\n", "pool=fast lane" },
    { "X-Baton-Bypass-Suppression: on\r\n", "bypass" },
    { "X-Baton-Bypass-Suppression: off\r\n", "" },
    { "X-Baton-Sandbox: on\r\n", "sandbox" },
    { "X-Baton-Sandbox: off\r\n", "" },
    { "Idempotency-Key: \"8e03978e-40d5\"\r\n", "key=\"8e03978e-40d5\"" },

    /* JangoSMTP. */
    { "X-TransGroupID: 4711\r\n", "group=4711" },
    { "X-SMTPUsername: joe\r\n", "user=joe" },

    /* Postmark. */
    { "X-PM-Message-Stream: outbound\r\n", "group=outbound" },
    { "X-PM-Tag: welcome\r\n", "group=welcome tags=welcome" },
    { "X-PM-Message-Stream: outbound\r\nX-PM-Tag: welcome\r\n",
      "group=outbound tags=welcome" },
    { "X-PM-Metadata-Color: blue\r\nx-pm-metadata-client-id: 12\r\n"
      "X-PM-Metadata-: x\r\n",
      "metadata={\"Color\":\"blue\",\"client-id\":\"12\"}" },
    { "X-PM-TrackOpens: true\r\n", "track_opens=on" },
    { "X-PM-TrackOpens: false\r\n", "track_opens=off" },
    { "X-PM-TrackOpens: perhaps\r\n", "" },
    { "X-PM-TrackLinks: None\r\n", "track_clicks=off" },
    { "X-PM-TrackLinks: HtmlAndText\r\n", "track_clicks=both" },
    { "X-PM-TrackLinks: HtmlOnly\r\n", "track_clicks=html" },
    { "X-PM-TrackLinks: TextOnly\r\n", "track_clicks=text" },
    { "X-PM-TrackLinks: Some\r\n", "" },

    /* Mandrill. */
    { "X-MC-Tags: a, b,,c\r\n", "group=a tags=a|b|c" },
    { "X-MC-Metadata: {\"user\":\"7\"}\r\n", "metadata={\"user\":\"7\"}" },
    { "X-MC-Track: opens,clicks_all\r\n", "track_clicks=both track_opens=on" },
    { "X-MC-Track: clicks\r\n", "track_clicks=both track_opens=off" },
    { "X-MC-Track: opens, clicks_htmlonly\r\n",
      "track_clicks=html track_opens=on" },
    { "X-MC-Track: clicks_textonly\r\n", "track_clicks=text track_opens=off" },
    { "X-MC-Track: none\r\n", "track_clicks=off track_opens=off" },
    { "X-MC-GoogleAnalytics: a.example, b.example\r\n"
      "X-MC-GoogleAnalyticsCampaign: spring\r\n",
      "analytics=a.example, b.example utm_campaign=spring" },
    { "X-MC-GoogleAnalytics: a//b\r\n", "" },
    { "X-MC-SendAt: 2026-11-21 02:13:03\r\n", "send_at=1" },
    { "X-MC-TrackingDomain: Click.Example.COM\r\n", "host=click.example.com" },
    { "X-MC-TrackingDomain: a/b\r\n", "" },
    { "X-MC-Autotext: yes\r\n", "alternative=text" },
    { "X-MC-AutoHtml: true\r\n", "alternative=html" },
    { "X-MC-Autotext: on\r\nX-MC-AutoHtml: y\r\n", "alternative=both" },
    { "X-MC-Autotext: no\r\n", "alternative=off" },
    { "X-MC-Important: true\r\n", "priority=high" },
    { "X-MC-Important: false\r\n", "priority=normal" },
    { "X-MC-Subaccount: s\r\nX-MC-IpPool: p\r\nX-MC-MergeVars: {\r\n", "" },

    /* Mailgun. */
    { "X-Mailgun-Tag: a\r\nX-Mailgun-Tag: b\r\n", "group=a tags=a|b" },
    { "X-Mailgun-Variables: {\"a\": {\"b\": 1}}\r\n",
      "metadata={\"a\":{\"b\":1}}" },
    { "X-Mailgun-Track: no\r\n", "track_opens=off track_clicks=off" },
    { "X-Mailgun-Track: yes\r\n", "track_opens=on track_clicks=both" },
    { "X-Mailgun-Track: htmlonly\r\n", "track_opens=on track_clicks=html" },
    { "X-Mailgun-Track-Opens: yes\r\nX-Mailgun-Track: no\r\n",
      "track_opens=on track_clicks=off" },
    { "X-Mailgun-Track-Clicks: htmlonly\r\n", "track_clicks=html" },
    { "X-Mailgun-Track-Clicks: no\r\n", "track_clicks=off" },
    { "X-Mailgun-Deliver-By: Sat, 21 Nov 2026 02:14:02 -0000\r\n",
      "send_at=60" },
    { "X-Mailgun-Drop-Message: yes\r\n", "sandbox" },
    { "X-Mailgun-Dkim: no\r\nX-Mailgun-Require-TLS: yes\r\n"
      "X-Mailgun-Skip-Verification: yes\r\nX-Mailgun-Sending-Ip-Pool: p\r\n",
      "" },

    /* SendGrid. */
    { "X-SMTPAPI: {\"category\": \"welcome\"}\r\n",
      "group=welcome tags=welcome" },
    { "X-SMTPAPI: {\"category\": [\"a\", \"b\", 3],\r\n"
      " \"unique_args\": {\"id\": \"7\"}}\r\n",
      "group=a tags=a|b metadata={\"id\":\"7\"}" },
    { "X-SMTPAPI: {\"asm_group_id\": 12, \"category\": \"a\"}\r\n",
      "group=12 tags=a" },
    { "X-SMTPAPI: {\"filters\": {\"opentrack\": {\"settings\": "
      "{\"enable\": 0}}, \"clicktrack\": {\"settings\": {\"enable\": \"1\", "
      "\"enable_text\": true}}}}\r\n",
      "track_opens=off track_clicks=both" },
    { "X-SMTPAPI: {\"filters\": {\"clicktrack\": {\"settings\": "
      "{\"enable\": 1}}}}\r\n",
      "track_clicks=html" },
    { "X-SMTPAPI: {\"filters\": {\"clicktrack\": {\"settings\": "
      "{\"enable\": 0, \"enable_text\": true}}}}\r\n",
      "track_clicks=off" },
    { "X-SMTPAPI: {\"filters\": {\"ganalytics\": {\"settings\": "
      "{\"enable\": 1, \"utm_source\": \"s\", \"utm_campaign\": \"c\"}}}}\r\n",
      "analytics=* utm_source=s utm_campaign=c" },
    { "X-SMTPAPI: {\"filters\": {\"ganalytics\": {\"settings\": "
      "{\"enable\": 0, \"utm_source\": \"s\"}}}}\r\n",
      "analytics=off utm_source=s" },
    { "X-SMTPAPI: {\"filters\": {\"bypass_list_management\": {\"settings\": "
      "{\"enable\": 1}}}, \"ip_pool\": \"p\"}\r\n",
      "bypass" },
    { "X-SMTPAPI: {\"send_at\": 1795227242}\r\n", "send_at=60" },
    { "X-SMTPAPI: {\"send_at\": \"1795227242\"}\r\n", "send_at=60" },
    { "X-SMTPAPI: {\"send_at\": -1}\r\n", "" },
    { "X-SMTPAPI: {\"filters\": 1, \"category\": {}, \"unique_args\": []}\r\n",
      "" },

    /* SES. */
    { "X-SES-MESSAGE-TAGS: colour=red, size=9,odd\r\n",
      "metadata={\"colour\":\"red\",\"size\":\"9\"}" },
    { "X-SES-CONFIGURATION-SET: marketing\r\n",
      "group=marketing tags=marketing" },
    { "X-SES-LIST-MANAGEMENT-OPTIONS: Customers; topic=News\r\n",
      "group=News" },
    { "X-SES-LIST-MANAGEMENT-OPTIONS: contactListName=Customers;topicName=N\r\n"
      "X-SES-CONFIGURATION-SET: marketing\r\n",
      "group=N tags=marketing" },
    { "X-SES-LIST-MANAGEMENT-OPTIONS: Customers\r\n", "group=Customers" },

    /* SparkPost. */
    { "X-MSYS-API: {\"campaign_id\": \"c\", \"metadata\": {\"a\": true}, "
      "\"tags\": [\"cat\", \"dog\"], \"options\": {\"open_tracking\": false, "
      "\"click_tracking\": true, \"transactional\": true, "
      "\"skip_suppression\": true, \"sandbox\": true, \"ip_pool\": \"p\"}}\r\n",
      "group=c tags=cat|dog metadata={\"a\":true} track_opens=off "
      "track_clicks=both unsubscribe=off bypass sandbox" },
    { "X-MSYS-API: {\"options\": {\"transactional\": false}}\r\n",
      "unsubscribe=header" },

    /* SocketLabs. */
    { "X-xsMailingId: Signup\r\nX-xsMessageId: Cust1\r\n",
      "group=Signup metadata={\"MessageId\":\"Cust1\"}" },
    { "x-xsData: {\"Tags\":[\"a\"],\"Meta\":[{\"Key\":\"k\",\"Value\":\"v\"},"
      "{\"Key\":1}]}\r\n",
      "group=a tags=a metadata={\"k\":\"v\"}" },
    { "x-xsData: {\"k\":\"v\"}\r\n", "metadata={\"k\":\"v\"}" },

    /* Ours win, whatever the order; the others' are added where they can. */
    { "X-Baton-Group: ours\r\nX-PM-Message-Stream: theirs\r\n", "group=ours" },
    { "X-PM-Message-Stream: theirs\r\nX-Baton-Group: ours\r\n", "group=ours" },
    { "X-Baton-Track-Opens: on\r\nX-PM-TrackOpens: false\r\n",
      "track_opens=on" },
    { "X-Baton-Sandbox: off\r\nX-Mailgun-Drop-Message: yes\r\n", "" },
    { "X-Baton-Metadata: {\"a\":1}\r\nX-MC-Metadata: {\"a\":2,\"b\":3}\r\n",
      "metadata={\"a\":1,\"b\":3}" },
    { "X-Baton-Tag: t\r\nX-PM-Tag: u\r\n", "group=u tags=u|t" },
    { "X-Baton-Tag: t\r\n", "tags=t" },
    { "X-PM-Message-Stream: one\r\nX-xsMailingId: two\r\n", "group=one" },
    { "X-Baton-Send-At: in 1 h\r\nX-MC-SendAt: 2026-11-22 00:00:00\r\n",
      "send_at=3600" },

    /* What others say and we cannot keep. */
    { "X-PM-Tag: " HUNDRED TEN TEN TEN "\r\n", "" },
    { "X-PM-Tag: " HUNDRED TEN "\r\n", "tags=" HUNDRED TEN },
    { "X-PM-Message-Stream: " HUNDRED "1\r\nX-PM-Tag:\r\n", "" },
};

static const struct {
    const char *fields;
    const char *sentence;
} refusals[] = {
    { "X-Baton-Metadata: {\"a\": nope}\r\n",
      "X-Baton-Metadata: not JSON at byte 7" },
    { "X-Baton-Metadata: {\"id\": 12345678901234567890}\r\n",
      "X-Baton-Metadata: a number is too large (a string would do) at byte 8" },
    { "X-Baton-Metadata: order=4711\r\n",
      "X-Baton-Metadata: not JSON at byte 1" },
    { "X-Baton-Metadata: {user: 7}\r\n",
      "X-Baton-Metadata: not JSON at byte 2" },
    { "X-Baton-Metadata: {'user': 7}\r\n",
      "X-Baton-Metadata: not JSON at byte 2" },
    { "X-Baton-Metadata: {\"a\\\"b\": 1, \"c\": }\r\n",
      "X-Baton-Metadata: not JSON at byte 18" },
    { "X-Baton-Metadata: {\"a\": 1} {\"b\": 2}\r\n",
      "X-Baton-Metadata: not JSON at byte 10" },
    { "X-Baton-Metadata: {\"a\": 1 \"b\": 2}\r\n",
      "X-Baton-Metadata: not JSON at byte 9" },
    { "X-Baton-Metadata: {\"a\": -}\r\n",
      "X-Baton-Metadata: not JSON at byte 7" },
    { "X-Baton-Metadata: {\"order\":12\r\n",
      "X-Baton-Metadata: not JSON at byte 11" },
    { "X-Baton-Metadata: {\"a\":1,\"a\":2}\r\n",
      "X-Baton-Metadata: a key stands twice at byte 8" },
    { "X-Baton-Metadata: [1]\r\n", "X-Baton-Metadata: not a JSON object" },
    { "X-Baton-Metadata:\r\n", "X-Baton-Metadata: not JSON at byte 0" },
    { "X-Baton-Metadata: {\"a\":\"\\u0000\"}\r\n",
      "X-Baton-Metadata: a string has a NUL at byte 6" },
    { "X-Baton-Metadata: {\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}\r\n",
      "X-Baton-Metadata: larger than 65536 bytes, or more than 16 levels" },
    { "X-Baton-Group:\r\n", "X-Baton-Group: the name is empty" },
    { "X-Baton-Group: " HUNDRED "1\r\n",
      "X-Baton-Group: the name is longer than 100 bytes" },
    { "X-Baton-Group: a\r\nX-Baton-Group: a\r\n",
      "X-Baton-Group: it stands twice" },
    { "X-Baton-Tag: \r\n", "X-Baton-Tag: it is empty" },
    { "X-Baton-Tag: " HUNDRED TEN TEN TEN "\r\n",
      "X-Baton-Tag: it is longer than 128 bytes" },
    { "X-Baton-Tag: =?utf-8?Q?a=07?=\r\n",
      "X-Baton-Tag: it has control characters" },
    { "X-Baton-Tag: =?utf-8?Q?a=00b?=\r\n",
      "X-Baton-Tag: it has control characters" },
    { "X-Baton-Tag: \xff\r\n", "X-Baton-Tag: it is not UTF-8" },
    { "X-Baton-Track-Opens: perhaps\r\n",
      "X-Baton-Track-Opens: \"perhaps\" is not understood; it may be: on, "
      "off" },
    { "X-Baton-Track-Clicks: all\r\n",
      "X-Baton-Track-Clicks: \"all\" is not understood; it may be: on, html, "
      "text, both, off" },
    { "X-Baton-Privacy:\r\n",
      "X-Baton-Privacy: \"\" is not understood; it may be: off, anonymous, "
      "pseudonymous, full" },
    { "X-Baton-Unsubscribe: yes\r\n",
      "X-Baton-Unsubscribe: \"yes\" is not understood; it may be: default, "
      "off, header, link" },
    { "X-Baton-Expires-After: tomorrow\r\n",
      "X-Baton-Expires-After: \"tomorrow\" is not understood; it may be: a "
      "span from 1 s to 30 d, such as 10 min" },
    { "X-Baton-Priority: 1\r\n",
      "X-Baton-Priority: \"1\" is not understood; it may be: normal, high" },
    { "X-Baton-Send-At: tomorrow\r\n",
      "X-Baton-Send-At: \"tomorrow\" is no time; write it as in a Date field, "
      "as 2026-11-21T02:13:02Z or as in 2 h" },
    { "X-Baton-Send-At: in 31 d\r\n",
      "X-Baton-Send-At: a message waits for at most 30 days" },
    { "X-Baton-Pool:\r\n", "X-Baton-Pool: it is empty" },
    { "X-Baton-Bypass-Suppression: perhaps\r\n",
      "X-Baton-Bypass-Suppression: \"perhaps\" is not understood; it may be: "
      "on, off" },
    { "X-Baton-Sandbox: 2\r\n",
      "X-Baton-Sandbox: \"2\" is not understood; it may be: on, off" },
    { "Idempotency-Key:\r\n",
      "Idempotency-Key: it is empty; it has 1 to 255 printable characters" },
    { "Idempotency-Key: " HUNDRED HUNDRED HUNDRED "\r\n",
      "Idempotency-Key: it is longer than 255 bytes; it has 1 to 255 printable "
      "characters" },
    { "Idempotency-Key: \xc3\xa9\r\n",
      "Idempotency-Key: it is not ASCII; it has 1 to 255 printable "
      "characters" },
    { "X-Baton-Grop: a\r\n", "X-Baton-Grop: there is no such field" },

    { "X-MC-Metadata: {a}\r\n", "X-MC-Metadata: not JSON at byte 2" },
    { "X-MC-SendAt: soon\r\n", "X-MC-SendAt: \"soon\" is no time; write it as "
                               "2026-11-21 02:13:02 in UTC or as in a Date "
                               "field" },
    { "X-MC-SendAt: 2027-11-21 02:13:02\r\n",
      "X-MC-SendAt: a message waits for at most 30 days" },
    { "X-Mailgun-Variables: 7\r\n", "X-Mailgun-Variables: not JSON at byte 1" },
    { "X-Mailgun-Deliver-By: 21 Foo 2026 02:14:02 +0000\r\n",
      "X-Mailgun-Deliver-By: \"21 Foo 2026 02:14:02 +0000\" is no time; "
      "write it as 2026-11-21 02:13:02 in UTC or as in a Date field" },
    { "X-SMTPAPI: {\"category\": \"a\"\r\n", "X-SMTPAPI: not JSON at byte 16" },
    { "X-SMTPAPI: {\"send_at\": \"soon\"}\r\n",
      "X-SMTPAPI: send_at is no time in seconds since 1970" },
    { "X-SMTPAPI: {\"send_at\": 9007199254740993}\r\n",
      "X-SMTPAPI: a message waits for at most 30 days" },
    { "X-MSYS-API: {\r\n", "X-MSYS-API: not JSON at byte 1" },
    { "x-xsdata: nope\r\n", "X-xsData: not JSON at byte 1" },
    { "X-PM-Metadata-a: \xff\r\n", "X-PM-Metadata-a: it is not UTF-8" },
};

static struct header parse(struct arena *arena, const char *fields)
{
    static const struct header_limits limits = { 1000000, 1000 };
    struct header header;
    struct error error;
    struct buffer message = { 0 };
    buffer_printf(&message, "%s\r\n", fields);
    char *copy = arena_copy_text(arena, buffer_text(&message));
    buffer_free(&message);
    assert_true(header_parse(text_of(copy), &limits, arena, &header, &error));
    return header;
}

static void append(struct buffer *out, const char *name, const char *value)
{
    if (value != NULL) {
        buffer_printf(out, "%s%s=%s", out->length > 0 ? " " : "", name, value);
    }
}

static void append_word(struct buffer *out, const char *word, bool is_said)
{
    if (is_said) {
        buffer_printf(out, "%s%s", out->length > 0 ? " " : "", word);
    }
}

static void describe(const struct control *control, struct buffer *out)
{
    append(out, "group", control->group);
    for (size_t i = 0; i < control->tag_count; i++) {
        if (i == 0) {
            append(out, "tags", control->tags[0]);
        } else {
            buffer_printf(out, "|%s", control->tags[i]);
        }
    }
    append(out, "metadata", control->metadata);
    for (size_t i = 0; i < control->setting_count; i++) {
        append(out, control->settings[i].name, control->settings[i].value);
    }
    append(out, "key", control->idempotency_key);
    if (control->send_at != 0) {
        buffer_printf(out, "%ssend_at=%" PRId64, out->length > 0 ? " " : "",
                      (control->send_at - NOW) / CLOCK_SECOND);
    }
    append_word(out, "bypass", control->bypasses_suppression);
    append_word(out, "sandbox", control->is_sandboxed);
    append(out, "pool", control->pool);
    append(out, "host", control->tracking_host);
    append(out, "user", control->user_name);
}

static void test_fields(void **state)
{
    int failed = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct arena *arena = arena_create();
        struct header header = parse(arena, rows[i].fields);
        struct control control;
        struct error error = { "" };
        struct buffer said = { 0 };
        buffer_append_string(&said, "");
        if (!control_read(&header, NOW, arena, &control, &error)) {
            buffer_append_string(&said, error.text);
        } else {
            describe(&control, &said);
        }
        if (!text_is(buffer_text(&said), rows[i].said)) {
            failed++;
            print_error("%s: \"%s\" is not \"%s\"\n", rows[i].fields, said.data,
                        rows[i].said);
        }
        buffer_free(&said);
        arena_free(&arena);
    }
    assert_int_equal(failed, 0);
}

static void test_refusals(void **state)
{
    int failed = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
        struct arena *arena = arena_create();
        struct header header = parse(arena, refusals[i].fields);
        struct control control;
        struct error error = { "" };
        bool is_read = control_read(&header, NOW, arena, &control, &error);
        if (is_read || strcmp(error.text, refusals[i].sentence) != 0) {
            failed++;
            print_error("%s: \"%s\" is not \"%s\"\n", refusals[i].fields,
                        error.text, refusals[i].sentence);
        }
        arena_free(&arena);
    }
    assert_int_equal(failed, 0);
}

static void test_limits(void **state)
{
    static const struct {
        const char *name;
        const char *open;
        size_t length;
        const char *close;
        const char *sentence; /* NULL: it is read */
    } sizes[] = {
        { "X-Baton-Metadata: ", "{\"a\":\"", 16384 - 8, "\"}", NULL },
        { "X-Baton-Metadata: ", "{\"a\":\"", 16384 - 7, "\"}",
          "X-Baton-Metadata: the metadata of the message is larger than 16384 "
          "bytes" },
        { "X-Baton-Tag: a\r\nX-PM-Metadata-Long: ", "", 16384, "",
          "X-PM-Metadata-Long: the metadata of the message is larger than "
          "16384 bytes" },
        { "X-MC-MergeVars: ", "", 100000, "", NULL },
        { "X-SMTPAPI: ", "{\"to\":\"", 65000, "\"}", NULL },
        { "X-SMTPAPI: ", "{\"to\":\"", 65536, "\"}",
          "X-SMTPAPI: larger than 65536 bytes, or more than 16 levels" },
        { "X-SMTPAPI: ", "{\"to\":", 0, "}", "X-SMTPAPI: not JSON at byte 7" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct arena *arena = arena_create();
        struct buffer fields = { 0 };
        struct control control;
        struct error error = { "" };
        buffer_printf(&fields, "%s%s", sizes[i].name, sizes[i].open);
        for (size_t j = 0; j < sizes[i].length; j++) {
            buffer_append_byte(&fields, 'a');
        }
        buffer_printf(&fields, "%s\r\n", sizes[i].close);
        struct header header = parse(arena, fields.data);
        assert_int_equal(control_read(&header, NOW, arena, &control, &error),
                         sizes[i].sentence == NULL);
        assert_string_equal(error.text,
                            sizes[i].sentence != NULL ? sizes[i].sentence : "");
        buffer_free(&fields);
        arena_free(&arena);
    }
}

static void test_tags_are_bounded(void **state)
{
    (void)state;
    for (int is_ours = 0; is_ours < 2; is_ours++) {
        struct arena *arena = arena_create();
        struct buffer fields = { 0 };
        struct control control;
        struct error error = { "" };
        for (int i = 0; i < 33; i++) {
            buffer_printf(&fields, "%s: tag %d\r\n",
                          is_ours ? "X-Baton-Tag" : "X-Mailgun-Tag", i);
        }
        struct header header = parse(arena, fields.data);
        assert_int_equal(control_read(&header, NOW, arena, &control, &error),
                         !is_ours);
        assert_string_equal(
            error.text,
            is_ours ? "X-Baton-Tag: a message has at most 32 tags" : "");
        assert_int_equal(control.tag_count, CONTROL_TAGS_MAX);
        buffer_free(&fields);
        arena_free(&arena);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: it is none */
    } times[] = {
        { "1970-01-01T00:00:00Z", INT64_C(0) },
        { "2024-02-29T23:59:59Z", INT64_C(1709251199) },
        { "2024-03-01T00:00:00Z", INT64_C(1709251200) },
        { "2026-03-31T12:00:00+05:30", INT64_C(1774938600) },
        { "2000-02-29 00:00:00", INT64_C(951782400) },
        { "2099-12-31T23:59:60Z", INT64_C(4102444800) },
        { "Sun, 1 Mar 2026 00:00:00 +0000", INT64_C(1772323200) },
        { "28 Feb 2100 00:00:00 -1100", INT64_C(4107495600) },
        { "", -1 },
        { "now", -1 },
        { "in", -1 },
        { "in 2", -1 },
        { "2026-11-21", -1 },
        { "2026-02-29T00:00:00Z", -1 },
        { "2100-02-29T00:00:00Z", -1 },
        { "2026-13-01T00:00:00Z", -1 },
        { "2026-00-01T00:00:00Z", -1 },
        { "2026-04-31T00:00:00Z", -1 },
        { "2026-11-21T24:00:00Z", -1 },
        { "2026-11-21T00:60:00Z", -1 },
        { "2026-11-21T00:00:00+24:00", -1 },
        { "2026-11-21T00:00:00.Z", -1 },
        { "2026-11-21T00:00:00Z x", -1 },
        { "1969-12-31T00:00:00Z", -1 },
        { "Sat 21 Nov 2026 00:00:00 +0000", -1 },
        { "21 Nov 26 00:00:00 +0000", -1 },
        { "21 Nov 2026 00:00:00", -1 },
        { "21 Nov 2026 00:00:00 XYZ", -1 },
        { "21 Nov 2026 00:00:00 +0000 x", -1 },
        { "in 999999999999999999 d", -1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
        int64_t at = -CLOCK_SECOND;
        bool is_time = control_parse_time(text_of(times[i].text), NOW, &at);
        if (is_time != (times[i].seconds >= 0) ||
            at != times[i].seconds * CLOCK_SECOND) {
            fail_msg("%s: %" PRId64, times[i].text, at);
        }
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool is_field;
    } names[] = {
        { "X-Baton-Group", true },
        { "x-baton-GROUP", true },
        { "X-Baton-Anything", true },
        { "X-Baton", false },
        { "Idempotency-Key", true },
        { "idempotency-key", true },
        { "X-TransGroupID", true },
        { "X-PM-Metadata-a", true },
        { "X-MC-MergeVars", true },
        { "X-MC-Other", false },
        { "X-Mailgun-Sid", false },
        { "X-Mailgun-Dkim", true },
        { "X-SMTPAPI", true },
        { "X-SES-TENANT", true },
        { "X-SES-Outgoing", false },
        { "X-MSYS-API", true },
        { "X-xsData", true },
        { "X-Mailer", false },
        { "Subject", false },
        { "X-", false },
        { "", false },
        { "Importance", false },
        { "X-PM-Message-Id", false },
        { "X-SMTPUsername", true },
        { "X-MC-Tags-Else", false },
        { "In-Reply-To", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (control_is_field(text_of(names[i].name)) != names[i].is_field) {
            fail_msg("%s", names[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_tags_are_bounded),
        cmocka_unit_test(test_times),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
