/* SPDX-License-Identifier: MIT */
/*
 * See policy.h. A setting is a row: its form reads the value, writes it into
 * the struct at the row's offset and prints it again, so that the JSON kept
 * with a message has the words that people write.
 */
#include "tracking/policy.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "core/config.h"
#include "core/encoding.h"
#include "core/memory.h"

#define TEXT_BYTES_MAX 1000
#define EXPIRES_AFTER_MINIMUM INT64_C(1000)
#define EXPIRES_AFTER_MAXIMUM (INT64_C(30) * 24 * 60 * 60 * 1000)

struct policy_word {
    const char *word;
    int value;
};

struct policy_form {
    /* False: *member is unchanged. */
    bool (*read)(const struct policy_form *form, void *member,
                 struct arena *arena, const char *value);
    void (*write)(const struct policy_form *form, const void *member,
                  struct buffer *out_value);
    const struct policy_word *words; /* of choices; the first one of a value is
                                        how it is written */
};

/* --- choices --- */

static const struct policy_word *find_word(const struct policy_form *form,
                                           const char *value)
{
    const struct policy_word *word = form->words;
    while (word->word != NULL && strcmp(word->word, value) != 0) {
        word++;
    }
    return word->word != NULL ? word : NULL;
}

static bool read_choice(const struct policy_form *form, void *member,
                        struct arena *arena, const char *value)
{
    (void)arena;
    const struct policy_word *word = find_word(form, value);
    if (word == NULL) {
        return false;
    }
    memcpy(member, &word->value, sizeof(word->value));
    return true;
}

static bool read_boolean(const struct policy_form *form, void *member,
                         struct arena *arena, const char *value)
{
    (void)arena;
    const struct policy_word *word = find_word(form, value);
    if (word == NULL) {
        return false;
    }
    *(bool *)member = word->value != 0;
    return true;
}

static void write_word(const struct policy_form *form, int value,
                       struct buffer *out_value)
{
    const struct policy_word *word = form->words;
    while (word->word != NULL && word->value != value) {
        word++;
    }
    check(word->word != NULL);
    buffer_append_string(out_value, word->word);
}

static void write_choice(const struct policy_form *form, const void *member,
                         struct buffer *out_value)
{
    int value;
    memcpy(&value, member, sizeof(value));
    write_word(form, value, out_value);
}

static void write_boolean(const struct policy_form *form, const void *member,
                          struct buffer *out_value)
{
    write_word(form, *(const bool *)member ? 1 : 0, out_value);
}

_Static_assert(sizeof(enum privacy) == sizeof(int) &&
                   sizeof(enum track_clicks) == sizeof(int) &&
                   sizeof(enum unsubscribe) == sizeof(int) &&
                   sizeof(enum alternative) == sizeof(int),
               "choices are read and written as int");

/* --- texts --- */

static bool is_plain_text(struct text value)
{
    for (size_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        if (byte < ' ' || byte == 0x7f) {
            return false;
        }
    }
    return value.length <= TEXT_BYTES_MAX && text_is_utf8(value);
}

static bool read_text(const struct policy_form *form, void *member,
                      struct arena *arena, const char *value)
{
    (void)form;
    struct text trimmed = text_trim(text_of(value));
    if (!is_plain_text(trimmed)) {
        return false;
    }
    *(const char **)member = arena_copy_text(arena, trimmed);
    return true;
}

static void write_text(const struct policy_form *form, const void *member,
                       struct buffer *out_value)
{
    (void)form;
    buffer_append_string(out_value, *(const char *const *)member);
}

/* A host name; U-labels, too. */
static bool is_domain(struct text item)
{
    bool has_letter = false;
    for (size_t i = 0; i < item.length; i++) {
        char byte = item.data[i];
        bool is_letter = ascii_is_alnum(byte) || (byte & 0x80) != 0;
        has_letter |= is_letter;
        if (!is_letter && byte != '.' && byte != '-') {
            return false;
        }
    }
    return has_letter;
}

static bool read_domains(const struct policy_form *form, void *member,
                         struct arena *arena, const char *value)
{
    struct text rest = text_of(value);
    struct text item;
    while (strcmp(value, "off") != 0 && text_split(&rest, ',', &item)) {
        if (!text_is(text_trim(item), "*") && !is_domain(text_trim(item))) {
            return false;
        }
    }
    return read_text(form, member, arena,
                     strcmp(value, "off") == 0 ? "" : value);
}

static void write_domains(const struct policy_form *form, const void *member,
                          struct buffer *out_value)
{
    const char *domains = *(const char *const *)member;
    (void)form;
    buffer_append_string(out_value, domains[0] != '\0' ? domains : "off");
}

/* --- spans --- */

static bool read_span(const struct policy_form *form, void *member,
                      struct arena *arena, const char *value)
{
    (void)form;
    (void)arena;
    int64_t milliseconds;
    if (!config_parse_span(text_of(value), &milliseconds) ||
        milliseconds < EXPIRES_AFTER_MINIMUM ||
        milliseconds > EXPIRES_AFTER_MAXIMUM) {
        return false;
    }
    *(int64_t *)member = milliseconds;
    return true;
}

static void write_span(const struct policy_form *form, const void *member,
                       struct buffer *out_value)
{
    static const struct {
        int64_t milliseconds;
        const char *name;
    } units[] = {
        { INT64_C(86400000), "d" }, { INT64_C(3600000), "h" },
        { INT64_C(60000), "min" },  { INT64_C(1000), "s" },
        { INT64_C(1), "ms" },
    };
    (void)form;
    int64_t span = *(const int64_t *)member;
    size_t i = 0;
    while (span % units[i].milliseconds != 0) {
        i++;
    }
    buffer_printf(out_value, "%" PRId64 " %s", span / units[i].milliseconds,
                  units[i].name);
}

/* --- the table --- */

#define END_OF_WORDS \
    {                \
        NULL, 0      \
    }

static const struct policy_word on_off_words[] = {
    { "on", 1 },
    { "off", 0 },
    END_OF_WORDS,
};
static const struct policy_word click_words[] = {
    { "html", CLICKS_HTML }, { "text", CLICKS_TEXT }, { "both", CLICKS_BOTH },
    { "off", CLICKS_OFF },   { "on", CLICKS_HTML },   END_OF_WORDS,
};
static const struct policy_word pixel_words[] = {
    { "bottom", 0 },
    { "top", 1 },
    END_OF_WORDS,
};
static const struct policy_word privacy_words[] = {
    { "off", PRIVACY_OFF },
    { "anonymous", PRIVACY_ANONYMOUS },
    { "pseudonymous", PRIVACY_PSEUDONYMOUS },
    { "full", PRIVACY_FULL },
    END_OF_WORDS,
};
static const struct policy_word sensitive_words[] = {
    { "skip", 1 },
    { "track", 0 },
    END_OF_WORDS,
};
static const struct policy_word unsubscribe_words[] = {
    { "default", UNSUBSCRIBE_DEFAULT },
    { "off", UNSUBSCRIBE_OFF },
    { "header", UNSUBSCRIBE_HEADER },
    { "link", UNSUBSCRIBE_LINK },
    END_OF_WORDS,
};
static const struct policy_word own_words[] = {
    { "keep", 0 },
    { "replace", 1 },
    END_OF_WORDS,
};
static const struct policy_word alternative_words[] = {
    { "off", ALTERNATIVE_OFF },
    { "text", ALTERNATIVE_TEXT },
    { "html", ALTERNATIVE_HTML },
    { "both", ALTERNATIVE_BOTH },
    END_OF_WORDS,
};
static const struct policy_word wrap_words[] = {
    { "needed", 0 },
    { "76", 1 },
    { "0", 0 },
    END_OF_WORDS,
};
static const struct policy_word priority_words[] = {
    { "normal", 0 },
    { "high", 1 },
    END_OF_WORDS,
};

#define BOOLEAN_FORM(form, words)                                         \
    static const struct policy_form form = { read_boolean, write_boolean, \
                                             words }
#define CHOICE_FORM(form, words) \
    static const struct policy_form form = { read_choice, write_choice, words }

BOOLEAN_FORM(on_off_form, on_off_words);
BOOLEAN_FORM(pixel_form, pixel_words);
BOOLEAN_FORM(sensitive_form, sensitive_words);
BOOLEAN_FORM(own_form, own_words);
BOOLEAN_FORM(wrap_form, wrap_words);
CHOICE_FORM(click_form, click_words);
CHOICE_FORM(privacy_form, privacy_words);
CHOICE_FORM(unsubscribe_form, unsubscribe_words);
CHOICE_FORM(alternative_form, alternative_words);
CHOICE_FORM(priority_form, priority_words);
static const struct policy_form text_form = { read_text, write_text, NULL };
static const struct policy_form domains_form = { read_domains, write_domains,
                                                 NULL };
static const struct policy_form span_form = { read_span, write_span, NULL };

#define AT(member) offsetof(struct policy, member)

const struct policy_setting policy_settings[] = {
    { "track_opens", "on, off", "on",
      "a pixel in HTML parts reports that the message was opened", &on_off_form,
      AT(track_opens) },
    { "track_clicks", "on, html, text, both, off", "html",
      "links report that they were followed: those of HTML parts (on, html), "
      "of plain text, of both",
      &click_form, AT(track_clicks) },
    { "pixel", "bottom, top", "bottom",
      "where the pixel stands; top is for readers that cut long messages",
      &pixel_form, AT(pixel_at_top) },
    { "privacy", "off, anonymous, pseudonymous, full", "full",
      "what is known of who opens and clicks: nothing is tracked; counts only; "
      "no address and user agent; everything",
      &privacy_form, AT(privacy) },
    { "sensitive_links", "skip, track", "skip",
      "links that reset, verify or sign in: left alone, or tracked",
      &sensitive_form, AT(skips_sensitive) },
    { "sensitive_words", "path words, comma-separated", "",
      "more words that make a link a sensitive one", &text_form,
      AT(sensitive_words) },
    { "unsubscribe", "default, off, header, link", "default",
      "List-Unsubscribe: for groups of kind marketing (default), never, "
      "always, always and with a link at the end of the text",
      &unsubscribe_form, AT(unsubscribe) },
    { "own_unsubscribe", "keep, replace", "keep",
      "what becomes of a List-Unsubscribe that the message brings along",
      &own_form, AT(replaces_unsubscribe) },
    { "analytics", "target domains, comma-separated, or *, or off", "off",
      "links to these domains get utm_ parameters", &domains_form,
      AT(analytics) },
    { "utm_source", "text", "baton", "analytics: where visitors come from",
      &text_form, AT(utm_source) },
    { "utm_medium", "text", "email", "analytics: by which way they come",
      &text_form, AT(utm_medium) },
    { "utm_campaign", "text", "",
      "analytics: the campaign; empty is the group's name", &text_form,
      AT(utm_campaign) },
    { "utm_content", "text", "", "analytics: tells links apart", &text_form,
      AT(utm_content) },
    { "utm_term", "text", "", "analytics: search words", &text_form,
      AT(utm_term) },
    { "alternative", "off, text, html, both", "off",
      "make the part that is missing: text for HTML mail, HTML for text mail",
      &alternative_form, AT(alternative) },
    { "wrap", "needed, 0, 76", "needed",
      "encode text so that no line is longer than 76 characters (76), or only "
      "lines that may not go as they are (needed, 0)",
      &wrap_form, AT(wraps_76) },
    { "pass_through", "off, on", "off", "deliver messages as they came",
      &on_off_form, AT(pass_through) },
    { "cfbl", "off, on", "off",
      "offer an address for complaints (CFBL-Address) where the return path is "
      "under the domain that signs",
      &on_off_form, AT(offers_cfbl) },
    { "expires_after", "a span from 1 s to 30 d, such as 10 min", "4 d",
      "deliveries that did not succeed by then are given up", &span_form,
      AT(expires_after_milliseconds) },
    { "priority", "normal, high", "normal",
      "messages of high priority are delivered first", &priority_form,
      AT(priority) },
};
const size_t policy_setting_count = ARRAY_LENGTH(policy_settings);

static const struct policy_setting *find_setting(const char *name)
{
    for (size_t i = 0; i < policy_setting_count; i++) {
        if (strcmp(policy_settings[i].name, name) == 0) {
            return &policy_settings[i];
        }
    }
    return NULL;
}

static bool apply(const struct policy_setting *setting, struct policy *policy,
                  struct arena *arena, const char *value)
{
    void *member = (char *)policy + setting->offset;
    return setting->form->read(setting->form, member, arena, value);
}

void policy_set_defaults(struct policy *out_policy, struct arena *arena)
{
    *out_policy = (struct policy){
        .group_name = "",
        .tracking_url = "",
        .feedback_id = "",
        .return_host = "",
        .sender_name = "",
        .signing_domain = "",
    };
    for (size_t i = 0; i < policy_setting_count; i++) {
        bool is_valid = apply(&policy_settings[i], out_policy, arena,
                              policy_settings[i].initial);
        check(is_valid);
    }
}

bool policy_has_setting(const char *name)
{
    return find_setting(name) != NULL;
}

bool policy_apply(struct policy *policy, struct arena *arena, const char *name,
                  const char *value, struct error *error)
{
    const struct policy_setting *setting = find_setting(name);
    if (setting == NULL) {
        return error_set(error, "There is no setting %.40s", name);
    }
    return apply(setting, policy, arena, value) ||
           error_set(error, "%s cannot be \"%.60s\"; it may be: %s", name,
                     value, setting->values);
}

/* --- JSON --- */

static void append_member(struct buffer *json, const char *name,
                          const char *value)
{
    if (value[0] != '\0') {
        json_append_member(json, name, value);
    }
}

static void append_settings(struct buffer *json, const struct policy *policy,
                            const struct policy *initial)
{
    struct buffer value = { 0 };
    struct buffer initial_value = { 0 };
    for (size_t i = 0; i < policy_setting_count; i++) {
        const struct policy_setting *row = &policy_settings[i];
        buffer_clear(&value);
        buffer_clear(&initial_value);
        row->form->write(row->form, (const char *)policy + row->offset, &value);
        row->form->write(row->form, (const char *)initial + row->offset,
                         &initial_value);
        if (!text_equal(buffer_text(&value), buffer_text(&initial_value))) {
            json_append_name(json, row->name);
            json_append_string(json, buffer_text(&value));
        }
    }
    buffer_free(&value);
    buffer_free(&initial_value);
}

char *policy_to_json(const struct policy *policy, struct arena *arena)
{
    struct policy initial;
    struct buffer json = { 0 };
    policy_set_defaults(&initial, arena);
    buffer_append_byte(&json, '{');
    if (policy->group_id != 0) {
        buffer_printf(&json, "\"group_id\":%" PRId64, policy->group_id);
    }
    append_member(&json, "group", policy->group_name);
    if (policy->group_is_marketing) {
        buffer_printf(&json, "%s\"marketing\":true",
                      json.length > 1 ? "," : "");
    }
    if (policy->is_notice) {
        buffer_printf(&json, "%s\"notice\":true", json.length > 1 ? "," : "");
    }
    if (policy->is_inbound) {
        buffer_printf(&json, "%s\"inbound\":true", json.length > 1 ? "," : "");
    }
    if (policy->is_automatic) {
        buffer_printf(&json, "%s\"automatic\":true",
                      json.length > 1 ? "," : "");
    }
    if (policy->is_bulk) {
        buffer_printf(&json, "%s\"bulk\":true", json.length > 1 ? "," : "");
    }
    if (policy->bypasses_suppression) {
        buffer_printf(&json, "%s\"bypass\":true", json.length > 1 ? "," : "");
    }
    append_member(&json, "tracking_url", policy->tracking_url);
    append_member(&json, "feedback_id", policy->feedback_id);
    append_member(&json, "return_host", policy->return_host);
    append_member(&json, "sender_name", policy->sender_name);
    append_member(&json, "signing_domain", policy->signing_domain);
    buffer_printf(&json, "%s\"settings\":{", json.length > 1 ? "," : "");
    append_settings(&json, policy, &initial);
    buffer_append_string(&json, "}}");
    char *copy = arena_copy_text(arena, buffer_text(&json));
    buffer_free(&json);
    return copy;
}

static const char *member_text(const json_t *object, const char *name,
                               struct arena *arena)
{
    const json_t *member = json_object_get(object, name);
    return json_is_string(member)
               ? arena_copy_string(arena, json_string_value(member))
               : "";
}

static bool read_object(struct policy *policy, struct arena *arena,
                        const json_t *object, struct error *error)
{
    if (!json_is_object(object)) {
        return error_set(error, "The policy is no JSON object");
    }
    policy->group_id = json_integer_value(json_object_get(object, "group_id"));
    policy->group_name = member_text(object, "group", arena);
    policy->group_is_marketing =
        json_is_true(json_object_get(object, "marketing"));
    policy->is_notice = json_is_true(json_object_get(object, "notice"));
    policy->is_inbound = json_is_true(json_object_get(object, "inbound"));
    policy->is_automatic = json_is_true(json_object_get(object, "automatic"));
    policy->is_bulk = json_is_true(json_object_get(object, "bulk"));
    policy->bypasses_suppression =
        json_is_true(json_object_get(object, "bypass"));
    policy->tracking_url = member_text(object, "tracking_url", arena);
    policy->feedback_id = member_text(object, "feedback_id", arena);
    policy->return_host = member_text(object, "return_host", arena);
    policy->sender_name = member_text(object, "sender_name", arena);
    policy->signing_domain = member_text(object, "signing_domain", arena);
    const json_t *settings = json_object_get(object, "settings");
    for (size_t i = 0; i < policy_setting_count; i++) {
        const json_t *value =
            json_object_get(settings, policy_settings[i].name);
        if (value == NULL) {
            continue;
        }
        if (!policy_apply(policy, arena, policy_settings[i].name,
                          json_is_string(value) ? json_string_value(value)
                                                : "?",
                          error)) {
            return false;
        }
    }
    return true;
}

bool policy_from_json(struct policy *out_policy, struct arena *arena,
                      struct text json, struct error *error)
{
    json_error_t reason;
    policy_set_defaults(out_policy, arena);
    json_t *object = json_loadb(json.data, json.length, 0, &reason);
    if (object == NULL) {
        return error_set(error, "The policy is not JSON at byte %d",
                         reason.position);
    }
    bool is_read = read_object(out_policy, arena, object, error);
    json_decref(object);
    return is_read;
}

/* --- what follows from it --- */

bool policy_tracks(const struct policy *policy)
{
    return !policy->pass_through && policy->privacy != PRIVACY_OFF &&
           (policy->track_opens || policy->track_clicks != CLICKS_OFF);
}

enum unsubscribe policy_unsubscribe(const struct policy *policy)
{
    if (policy->unsubscribe != UNSUBSCRIBE_DEFAULT) {
        return policy->unsubscribe;
    }
    return policy->group_is_marketing ? UNSUBSCRIBE_HEADER : UNSUBSCRIBE_OFF;
}
