/* SPDX-License-Identifier: MIT */
/*
 * Fields of other services, by what their documents say of them. The mapping
 * stands in docs/control-headers.md.
 */
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/control_internal.h"

/* --- what several of them have --- */

static bool read_send_at(struct control_reader *reader, const char *value)
{
    int64_t send_at;
    if (!control_parse_time(text_of(value), reader->now, &send_at)) {
        return control_refuse(reader,
                              "\"%.60s\" is no time; write it as 2026-11-21 "
                              "02:13:02 in UTC or as in a Date field",
                              value);
    }
    return control_set_send_at(reader, send_at);
}

static bool set_switch(struct control_reader *reader, const char *setting,
                       bool is_on)
{
    return control_set_setting(reader, setting, is_on ? "on" : "off");
}

/* Clicks in HTML and in text alike, as most of them have it. */
static bool set_clicks(struct control_reader *reader, bool is_on)
{
    return control_set_setting(reader, "track_clicks", is_on ? "both" : "off");
}

/* The word's value of a setting; another word is passed over. */
struct word {
    const char *word;
    const char *value;
};

static bool set_by_word(struct control_reader *reader, const char *setting,
                        const struct word *words, size_t word_count,
                        struct text text)
{
    for (size_t i = 0; i < word_count; i++) {
        if (text_is_ignoring_case(text_trim(text), words[i].word)) {
            return control_set_setting(reader, setting, words[i].value);
        }
    }
    return true;
}

/* --- Postmark --- */

static bool read_switch_setting(struct control_reader *reader,
                                const char *value)
{
    bool is_on;
    return !control_parse_switch(value, &is_on) ||
           set_switch(reader, reader->row->argument, is_on);
}

static bool read_postmark_metadata(struct control_reader *reader,
                                   const char *value)
{
    struct text key = text_slice(reader->name, strlen(reader->row->name),
                                 reader->name.length);
    return key.length == 0 ||
           control_set_metadata(reader, arena_copy_text(reader->arena, key),
                                value);
}

static bool read_postmark_links(struct control_reader *reader,
                                const char *value)
{
    static const struct word words[] = {
        { "None", "off" },
        { "HtmlAndText", "both" },
        { "HtmlOnly", "html" },
        { "TextOnly", "text" },
    };
    return set_by_word(reader, "track_clicks", words, ARRAY_LENGTH(words),
                       text_of(value));
}

/* --- Mandrill --- */

static bool read_tag_list(struct control_reader *reader, const char *value)
{
    struct text rest = text_of(value);
    struct text item;
    while (text_split(&rest, ',', &item)) {
        if (!control_add_tag(reader, arena_copy_text(reader->arena, item))) {
            return false;
        }
    }
    return true;
}

/* What is not on the list is not tracked. */
static bool read_mandrill_track(struct control_reader *reader,
                                const char *value)
{
    static const struct word words[] = {
        { "clicks", "both" },
        { "clicks_all", "both" },
        { "clicks_htmlonly", "html" },
        { "clicks_textonly", "text" },
    };
    struct text rest = text_of(value);
    struct text item;
    bool has_opens = false;
    if (!control_set_setting(reader, "track_clicks", "off")) {
        return false;
    }
    while (text_split(&rest, ',', &item)) {
        has_opens |= text_is_ignoring_case(text_trim(item), "opens");
        if (!set_by_word(reader, "track_clicks", words, ARRAY_LENGTH(words),
                         item)) {
            return false;
        }
    }
    return set_switch(reader, "track_opens", has_opens);
}

static bool read_text_setting(struct control_reader *reader, const char *value)
{
    return control_set_setting(reader, reader->row->argument, value);
}

static bool read_mandrill_auto_text(struct control_reader *reader,
                                    const char *value)
{
    reader->has_alternative |= control_parse_switch(value, &reader->makes_text);
    return true;
}

static bool read_mandrill_auto_html(struct control_reader *reader,
                                    const char *value)
{
    reader->has_alternative |= control_parse_switch(value, &reader->makes_html);
    return true;
}

static bool read_mandrill_important(struct control_reader *reader,
                                    const char *value)
{
    bool is_high;
    return !control_parse_switch(value, &is_high) ||
           control_set_setting(reader, "priority", is_high ? "high" : "normal");
}

#define HOST_NAME_MAX_BYTES 253

static bool read_tracking_host(struct control_reader *reader, const char *value)
{
    char *host = arena_copy_string(reader->arena, value);
    size_t length = strlen(host);
    for (size_t i = 0; i < length; i++) {
        host[i] = ascii_lower(host[i]);
        if (!ascii_is_alnum(host[i]) && host[i] != '.' && host[i] != '-') {
            return true;
        }
    }
    if (length > 0 && length <= HOST_NAME_MAX_BYTES) {
        reader->control->tracking_host = host;
    }
    return true;
}

/* --- Mailgun --- */

static bool read_mailgun_clicks(struct control_reader *reader,
                                const char *value)
{
    bool is_on;
    if (text_is_ignoring_case(text_of(value), "htmlonly")) {
        return control_set_setting(reader, "track_clicks", "html");
    }
    return !control_parse_switch(value, &is_on) || set_clicks(reader, is_on);
}

static bool read_mailgun_track(struct control_reader *reader, const char *value)
{
    bool is_on = true;
    bool is_html_only = text_is_ignoring_case(text_of(value), "htmlonly");
    return (!is_html_only && !control_parse_switch(value, &is_on)) ||
           (set_switch(reader, "track_opens", is_on) &&
            read_mailgun_clicks(reader, value));
}

static bool read_mailgun_drop(struct control_reader *reader, const char *value)
{
    bool is_on;
    if (control_parse_switch(value, &is_on)) {
        reader->control->is_sandboxed = is_on;
    }
    return true;
}

/* --- members of JSON objects --- */

/* true, 1 and "1" alike. */
static bool json_switch(const json_t *value, bool *out_is_on)
{
    if (json_is_string(value)) {
        return control_parse_switch(json_string_value(value), out_is_on);
    }
    *out_is_on = json_is_true(value) || json_integer_value(value) != 0;
    return json_is_boolean(value) || json_is_integer(value);
}

static bool add_json_tags(struct control_reader *reader, const json_t *value)
{
    size_t i;
    const json_t *item;
    if (json_is_string(value)) {
        return control_add_tag(reader, json_string_value(value));
    }
    json_array_foreach(value, i, item)
    {
        if (json_is_string(item) &&
            !control_add_tag(reader, json_string_value(item))) {
            return false;
        }
    }
    return true;
}

static bool merge_json_metadata(struct control_reader *reader,
                                const json_t *value)
{
    return !json_is_object(value) || control_merge_metadata(reader, value);
}

/* A member that holds a switch: how it is kept. */
struct json_switch_row {
    const char *name;
    bool (*set)(struct control_reader *reader, bool is_on);
};

static bool read_json_switches(struct control_reader *reader,
                               const json_t *object,
                               const struct json_switch_row *rows,
                               size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        bool is_on;
        if (json_switch(json_object_get(object, rows[i].name), &is_on) &&
            !rows[i].set(reader, is_on)) {
            return false;
        }
    }
    return true;
}

static bool set_opens(struct control_reader *reader, bool is_on)
{
    return set_switch(reader, "track_opens", is_on);
}

static bool set_bypass(struct control_reader *reader, bool is_on)
{
    reader->control->bypasses_suppression = is_on;
    return true;
}

static bool set_sandbox(struct control_reader *reader, bool is_on)
{
    reader->control->is_sandboxed = is_on;
    return true;
}

/* --- SendGrid --- */

/* filters.NAME.settings */
static const json_t *sendgrid_filter(const json_t *object, const char *name)
{
    const json_t *filters = json_object_get(object, "filters");
    return json_object_get(json_object_get(filters, name), "settings");
}

static bool read_sendgrid_clicks(struct control_reader *reader,
                                 const json_t *object)
{
    const json_t *settings = sendgrid_filter(object, "clicktrack");
    bool is_on;
    bool has_text = false;
    if (!json_switch(json_object_get(settings, "enable"), &is_on)) {
        return true;
    }
    json_switch(json_object_get(settings, "enable_text"), &has_text);
    return control_set_setting(reader, "track_clicks",
                               !is_on     ? "off"
                               : has_text ? "both"
                                          : "html");
}

static bool read_sendgrid_analytics(struct control_reader *reader,
                                    const json_t *object)
{
    static const char *const names[] = { "utm_source", "utm_medium",
                                         "utm_campaign", "utm_content",
                                         "utm_term" };
    const json_t *settings = sendgrid_filter(object, "ganalytics");
    bool is_on;
    if (!json_switch(json_object_get(settings, "enable"), &is_on)) {
        return true;
    }
    if (!control_set_setting(reader, "analytics", is_on ? "*" : "off")) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const json_t *value = json_object_get(settings, names[i]);
        if (json_is_string(value) &&
            !control_set_setting(reader, names[i], json_string_value(value))) {
            return false;
        }
    }
    return true;
}

static bool read_sendgrid_filters(struct control_reader *reader,
                                  const json_t *object)
{
    static const struct {
        const char *filter;
        struct json_switch_row row;
    } rows[] = {
        { "opentrack", { "enable", set_opens } },
        { "bypass_list_management", { "enable", set_bypass } },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (!read_json_switches(reader, sendgrid_filter(object, rows[i].filter),
                                &rows[i].row, 1)) {
            return false;
        }
    }
    return read_sendgrid_clicks(reader, object) &&
           read_sendgrid_analytics(reader, object);
}

static bool read_sendgrid_group(struct control_reader *reader,
                                const json_t *object)
{
    const json_t *group = json_object_get(object, "asm_group_id");
    if (json_is_integer(group)) {
        return control_set_group(
            reader, arena_printf(reader->arena, "%" JSON_INTEGER_FORMAT,
                                 json_integer_value(group)));
    }
    return !json_is_string(group) ||
           control_set_group(reader, json_string_value(group));
}

/* What lies behind us is at once; the year 9999 is far enough ahead to be
 * refused. */
#define SECONDS_MAX UINT64_C(253402300800)

static bool read_sendgrid_send_at(struct control_reader *reader,
                                  const json_t *object)
{
    const json_t *send_at = json_object_get(object, "send_at");
    int64_t number = json_integer_value(send_at);
    uint64_t seconds = number > 0 ? (uint64_t)number : 0;
    if (send_at == NULL) {
        return true;
    }
    if (!json_is_integer(send_at) &&
        !text_to_uint64(text_of(json_string_value(send_at)), &seconds)) {
        return control_refuse(reader,
                              "send_at is no time in seconds since 1970");
    }
    seconds = seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
    return control_set_send_at(reader, (int64_t)seconds * CLOCK_SECOND);
}

static bool read_sendgrid(struct control_reader *reader, const char *value)
{
    json_t *object = control_parse_object(reader, value);
    if (object == NULL) {
        return false;
    }
    bool is_read =
        add_json_tags(reader, json_object_get(object, "category")) &&
        merge_json_metadata(reader, json_object_get(object, "unique_args")) &&
        read_sendgrid_filters(reader, object) &&
        read_sendgrid_group(reader, object) &&
        read_sendgrid_send_at(reader, object);
    json_decref(object);
    return is_read;
}

/* --- SES --- */

/* "colour=red, size=9" */
static bool read_ses_tags(struct control_reader *reader, const char *value)
{
    struct text rest = text_of(value);
    struct text item;
    while (text_split(&rest, ',', &item)) {
        size_t equals = text_find_byte(item, '=');
        struct text key = text_trim(text_slice(item, 0, equals));
        struct text tag = text_trim(text_slice(item, equals + 1, item.length));
        if (key.length > 0 && equals < item.length &&
            !control_set_metadata(reader, arena_copy_text(reader->arena, key),
                                  arena_copy_text(reader->arena, tag))) {
            return false;
        }
    }
    return true;
}

/* "Customers; topic=News", "contactListName=Customers; topicName=News" */
static bool read_ses_list(struct control_reader *reader, const char *value)
{
    struct text rest = text_of(value);
    struct text item;
    struct text list = { "", 0 };
    struct text topic = { "", 0 };
    while (text_split(&rest, ';', &item)) {
        size_t equals = text_find_byte(item, '=');
        struct text name = text_trim(text_slice(item, 0, equals));
        struct text said = text_trim(text_slice(item, equals + 1, item.length));
        if (equals == item.length) {
            list = list.length > 0 ? list : name;
        } else if (text_starts_with_ignoring_case(name, "topic")) {
            topic = said;
        } else if (text_is_ignoring_case(name, "contactListName")) {
            list = said;
        }
    }
    struct text group = topic.length > 0 ? topic : list;
    return control_set_group(reader, arena_copy_text(reader->arena, group));
}

/* --- SparkPost --- */

/* What is not transactional may be unsubscribed from. */
static bool set_transactional(struct control_reader *reader, bool is_on)
{
    return control_set_setting(reader, "unsubscribe", is_on ? "off" : "header");
}

static bool read_sparkpost(struct control_reader *reader, const char *value)
{
    static const struct json_switch_row rows[] = {
        { "open_tracking", set_opens },
        { "click_tracking", set_clicks },
        { "transactional", set_transactional },
        { "skip_suppression", set_bypass },
        { "sandbox", set_sandbox },
    };
    json_t *object = control_parse_object(reader, value);
    if (object == NULL) {
        return false;
    }
    const json_t *campaign = json_object_get(object, "campaign_id");
    bool is_read =
        (!json_is_string(campaign) ||
         control_set_group(reader, json_string_value(campaign))) &&
        merge_json_metadata(reader, json_object_get(object, "metadata")) &&
        add_json_tags(reader, json_object_get(object, "tags")) &&
        read_json_switches(reader, json_object_get(object, "options"), rows,
                           ARRAY_LENGTH(rows));
    json_decref(object);
    return is_read;
}

/* --- SocketLabs --- */

static bool read_socketlabs_message(struct control_reader *reader,
                                    const char *value)
{
    return control_set_metadata(reader, "MessageId", value);
}

/* [{"Key": "order", "Value": "1042"}] */
static bool read_socketlabs_pairs(struct control_reader *reader,
                                  const json_t *pairs)
{
    size_t i;
    const json_t *pair;
    json_array_foreach(pairs, i, pair)
    {
        const char *key = json_string_value(json_object_get(pair, "Key"));
        const char *said = json_string_value(json_object_get(pair, "Value"));
        if (key != NULL && said != NULL &&
            !control_set_metadata(reader, key, said)) {
            return false;
        }
    }
    return true;
}

static bool read_socketlabs_data(struct control_reader *reader,
                                 const char *value)
{
    json_t *object = control_parse_object(reader, value);
    if (object == NULL) {
        return false;
    }
    const json_t *tags = json_object_get(object, "Tags");
    const json_t *pairs = json_object_get(object, "Meta");
    bool is_read = tags != NULL || pairs != NULL
                       ? add_json_tags(reader, tags) &&
                             read_socketlabs_pairs(reader, pairs)
                       : control_merge_metadata(reader, object);
    json_decref(object);
    return is_read;
}

/* --- JangoSMTP --- */

static bool read_user_name(struct control_reader *reader, const char *value)
{
    if (value[0] != '\0') {
        reader->control->user_name = value;
    }
    return true;
}

/* --- the table --- */

#define ROW(name, read)                          \
    {                                            \
        name, read, NULL, CONTROL_FOREIGN, false \
    }
#define ROW_OF(name, read, setting)                 \
    {                                               \
        name, read, setting, CONTROL_FOREIGN, false \
    }
#define SILENT(name)                             \
    {                                            \
        name, NULL, NULL, CONTROL_FOREIGN, false \
    }

const struct control_row control_foreign_rows[] = {
    ROW("X-TransGroupID", control_set_group),
    ROW("X-SMTPUsername", read_user_name),

    ROW("X-PM-Message-Stream", control_set_group),
    ROW("X-PM-Tag", control_add_tag),
    { "X-PM-Metadata-", read_postmark_metadata, NULL, CONTROL_FOREIGN, true },
    ROW_OF("X-PM-TrackOpens", read_switch_setting, "track_opens"),
    ROW("X-PM-TrackLinks", read_postmark_links),

    ROW("X-MC-Tags", read_tag_list),
    ROW("X-MC-Metadata", control_read_metadata),
    ROW("X-MC-Track", read_mandrill_track),
    ROW_OF("X-MC-GoogleAnalytics", read_text_setting, "analytics"),
    ROW_OF("X-MC-GoogleAnalyticsCampaign", read_text_setting, "utm_campaign"),
    ROW("X-MC-SendAt", read_send_at),
    ROW("X-MC-TrackingDomain", read_tracking_host),
    ROW("X-MC-Autotext", read_mandrill_auto_text),
    ROW("X-MC-AutoHtml", read_mandrill_auto_html),
    ROW("X-MC-Important", read_mandrill_important),
    SILENT("X-MC-Subaccount"),
    SILENT("X-MC-IpPool"),
    SILENT("X-MC-BccAddress"),
    SILENT("X-MC-InlineCSS"),
    SILENT("X-MC-MergeLanguage"),
    SILENT("X-MC-MergeVars"),
    SILENT("X-MC-PreserveRecipients"),
    SILENT("X-MC-ReturnPathDomain"),
    SILENT("X-MC-SigningDomain"),
    SILENT("X-MC-Template"),
    SILENT("X-MC-URLStripQS"),
    SILENT("X-MC-ViewContentLink"),

    ROW("X-Mailgun-Tag", control_add_tag),
    ROW("X-Mailgun-Variables", control_read_metadata),
    { "X-Mailgun-Track", read_mailgun_track, NULL, CONTROL_GENERAL, false },
    ROW_OF("X-Mailgun-Track-Opens", read_switch_setting, "track_opens"),
    ROW("X-Mailgun-Track-Clicks", read_mailgun_clicks),
    ROW("X-Mailgun-Deliver-By", read_send_at),
    ROW("X-Mailgun-Drop-Message", read_mailgun_drop),
    SILENT("X-Mailgun-Dkim"),
    SILENT("X-Mailgun-Require-TLS"),
    SILENT("X-Mailgun-Skip-Verification"),
    SILENT("X-Mailgun-Sending-Ip-Pool"),

    ROW("X-SMTPAPI", read_sendgrid),

    ROW("X-SES-CONFIGURATION-SET", control_add_tag),
    ROW("X-SES-MESSAGE-TAGS", read_ses_tags),
    ROW("X-SES-LIST-MANAGEMENT-OPTIONS", read_ses_list),
    SILENT("X-SES-SOURCE-ARN"),
    SILENT("X-SES-FROM-ARN"),
    SILENT("X-SES-RETURN-PATH-ARN"),
    SILENT("X-SES-TENANT"),

    ROW("X-MSYS-API", read_sparkpost),

    ROW("X-xsMailingId", control_set_group),
    ROW("X-xsMessageId", read_socketlabs_message),
    ROW("X-xsData", read_socketlabs_data),
};
const size_t control_foreign_row_count = ARRAY_LENGTH(control_foreign_rows);
