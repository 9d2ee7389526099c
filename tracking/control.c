/* SPDX-License-Identifier: MIT */
/*
 * See control.h and docs/control-headers.md. The fields of others are read
 * first, ours after them, so that ours win; each is a row with its handler. A
 * message without any costs a look at the first letters of its fields.
 */
#include "tracking/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "tracking/control_internal.h"
#include "tracking/encoded_word.h"
#include "tracking/group.h"
#include "tracking/header.h"

#define SEND_AT_DAYS_MAX 30
#define IDEMPOTENCY_KEY_MAX 255
#define POOL_NAME_MAX 100
#define JSON_DEPTH_MAX 16
#define JSON_BYTES_MAX 65536

/* --- refusing --- */

bool control_refuse(const struct control_reader *reader, const char *format,
                    ...)
{
    char reason[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    if (reader->row == NULL) {
        return error_set(reader->error, "%s", reason);
    }
    if (reader->row->is_prefix) {
        struct text name = text_slice(reader->name, 0, 80);
        return error_set(reader->error, "%.*s: %s", TEXT_ARGUMENTS(name),
                         reason);
    }
    return error_set(reader->error, "%s: %s", reader->row->name, reason);
}

static bool is_ours(const struct control_reader *reader)
{
    return reader->row->kind >= CONTROL_OURS;
}

/* A value that cannot be kept: refused in a field of ours, else passed over. */
static bool pass_over(const struct control_reader *reader, const char *reason)
{
    return !is_ours(reader) || control_refuse(reader, "%s", reason);
}

/* --- texts --- */

/* Why this cannot be kept as a text for people; NULL: it can. */
static const char *text_problem(struct arena *arena, const char *value,
                                size_t length_max)
{
    struct text text = text_of(value);
    if (text.length == 0) {
        return "it is empty";
    }
    if (text.length > length_max) {
        return arena_printf(arena, "it is longer than %zu bytes", length_max);
    }
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < ' ' || byte == 0x7f) {
            return "it has control characters";
        }
    }
    return text_is_utf8(text) ? NULL : "it is not UTF-8";
}

static char *trim(struct arena *arena, const char *value)
{
    return arena_copy_text(arena, text_trim(text_of(value)));
}

static char *lower(struct arena *arena, const char *value)
{
    char *copy = arena_copy_string(arena, value);
    for (char *byte = copy; *byte != '\0'; byte++) {
        *byte = ascii_lower(*byte);
    }
    return copy;
}

bool control_parse_switch(const char *value, bool *out_is_on)
{
    static const struct {
        const char *word;
        bool is_on;
    } words[] = {
        { "on", true }, { "yes", true },  { "true", true }, { "1", true },
        { "y", true },  { "off", false }, { "no", false },  { "false", false },
        { "0", false }, { "n", false },
    };
    struct text trimmed = text_trim(text_of(value));
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (text_is_ignoring_case(trimmed, words[i].word)) {
            *out_is_on = words[i].is_on;
            return true;
        }
    }
    return false;
}

/* --- keeping what was said --- */

static const char *find_setting_values(const char *name)
{
    size_t i = 0;
    while (strcmp(policy_settings[i].name, name) != 0) {
        i++;
        check(i < policy_setting_count);
    }
    return policy_settings[i].values;
}

static bool is_setting_valid(struct control_reader *reader, const char *name,
                             const char *value)
{
    struct error ignored;
    if (reader->scratch == NULL) {
        reader->scratch = arena_alloc(reader->arena, sizeof(struct policy));
        policy_set_defaults(reader->scratch, reader->arena);
    }
    return policy_apply(reader->scratch, reader->arena, name, value, &ignored);
}

bool control_set_setting(struct control_reader *reader, const char *name,
                         const char *value)
{
    struct control *control = reader->control;
    if (!is_setting_valid(reader, name, value)) {
        return !is_ours(reader) ||
               control_refuse(reader,
                              "\"%.60s\" is not understood; it may be: %s",
                              value, find_setting_values(name));
    }
    size_t i = 0;
    while (i < control->setting_count &&
           strcmp(control->settings[i].name, name) != 0) {
        i++;
    }
    /* There are fewer settings than places. */
    check(i < CONTROL_SETTINGS_MAX);
    control->settings[i] = (struct control_setting){
        .name = name,
        .value = arena_copy_string(reader->arena, value),
    };
    if (i == control->setting_count) {
        control->setting_count++;
    }
    return true;
}

bool control_set_group(struct control_reader *reader, const char *name)
{
    const char *trimmed = trim(reader->arena, name);
    const char *problem = group_name_problem(trimmed);
    if (problem != NULL) {
        return pass_over(reader, problem);
    }
    if (is_ours(reader) || reader->control->group == NULL) {
        reader->control->group = trimmed;
    }
    return true;
}

static bool has_tag(const struct control *control, const char *tag)
{
    for (size_t i = 0; i < control->tag_count; i++) {
        if (strcmp(control->tags[i], tag) == 0) {
            return true;
        }
    }
    return false;
}

bool control_add_tag(struct control_reader *reader, const char *tag)
{
    struct control *control = reader->control;
    const char *trimmed = trim(reader->arena, tag);
    const char *problem =
        text_problem(reader->arena, trimmed, CONTROL_TAG_BYTES_MAX);
    if (problem != NULL) {
        return pass_over(reader, problem);
    }
    if (!is_ours(reader) && reader->foreign_tag == NULL) {
        reader->foreign_tag = trimmed;
    }
    if (has_tag(control, trimmed)) {
        return true;
    }
    if (control->tag_count == CONTROL_TAGS_MAX) {
        return pass_over(reader, "a message has at most 32 tags");
    }
    control->tags[control->tag_count++] = trimmed;
    return true;
}

bool control_set_send_at(struct control_reader *reader, int64_t send_at)
{
    int64_t ahead = send_at - reader->now;
    if (ahead > SEND_AT_DAYS_MAX * 86400 * CLOCK_SECOND) {
        return control_refuse(reader, "a message waits for at most %d days",
                              SEND_AT_DAYS_MAX);
    }
    reader->control->send_at = ahead > 0 ? send_at : 0;
    return true;
}

/* --- metadata --- */

/* jansson recurses, so what it gets is not nested deeply. */
static bool is_too_deep(const char *json)
{
    size_t depth = 0;
    bool is_quoted = false;
    for (const char *at = json; *at != '\0'; at++) {
        if (is_quoted && *at == '\\' && at[1] != '\0') {
            at++;
        } else if (*at == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && (*at == '{' || *at == '[')) {
            depth++;
        } else if (!is_quoted && depth > 0 && (*at == '}' || *at == ']')) {
            depth--;
        }
        if (depth > JSON_DEPTH_MAX) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char byte)
{
    return ascii_is_alnum(byte) && !ascii_is_digit(byte);
}

/* Octets of the token that the text begins with, as jansson cuts it. */
static size_t token_length(const char *json)
{
    size_t length = 1;
    if (is_letter(json[0])) {
        while (is_letter(json[length])) {
            length++;
        }
    } else if (json[0] == '"') {
        while (json[length] != '\0' && json[length] != '"') {
            length += json[length] == '\\' && json[length + 1] != '\0' ? 2 : 1;
        }
        length += json[length] == '"' ? 1 : 0;
    } else if (json[0] == '-' || ascii_is_digit(json[0])) {
        length += strspn(json + 1, "0123456789.eE+-");
    }
    return length;
}

/* jansson counts up to the end of the token that it did not want: the byte
 * that the token begins with, from 1 on. Within a token, and where the text
 * ends too soon, it is what jansson says. */
static int wrong_byte(const char *json, const json_error_t *reason)
{
    size_t end = reason->position < 0 ? 0 : (size_t)reason->position;
    size_t at = 0;
    if (json_error_code(reason) == json_error_premature_end_of_input) {
        return reason->position;
    }
    while (at < end && json[at] != '\0') {
        size_t length = token_length(json + at);
        if (at + length == end) {
            return (int)at + 1;
        }
        at += length;
    }
    return reason->position;
}

static const char *describe_json_error(enum json_error_code code)
{
    switch (code) {
    case json_error_duplicate_key:
        return "a key stands twice";
    case json_error_numeric_overflow:
        return "a number is too large (a string would do)";
    case json_error_null_character:
        return "a string has a NUL";
    default:
        return "not JSON";
    }
}

json_t *control_parse_object(struct control_reader *reader, const char *value)
{
    json_error_t reason;
    /* A fold within a string leaves a tab, which JSON has no place for. */
    char *json = arena_copy_string(reader->arena, value);
    for (char *byte = json; *byte != '\0'; byte++) {
        *byte = *byte == '\t' ? ' ' : *byte;
    }
    size_t length = strlen(json);
    if (length > JSON_BYTES_MAX || is_too_deep(json)) {
        control_refuse(reader, "larger than %d bytes, or more than %d levels",
                       JSON_BYTES_MAX, JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *object = json_loadb(json, length, JSON_REJECT_DUPLICATES, &reason);
    if (object == NULL) {
        control_refuse(reader, "%s at byte %d",
                       describe_json_error(json_error_code(&reason)),
                       wrong_byte(json, &reason));
        return NULL;
    }
    if (!json_is_object(object)) {
        json_decref(object);
        control_refuse(reader, "not a JSON object");
        return NULL;
    }
    return object;
}

static json_t *metadata_of(struct control_reader *reader)
{
    if (reader->metadata == NULL) {
        reader->metadata = json_object();
        check(reader->metadata != NULL);
    }
    return reader->metadata;
}

bool control_merge_metadata(struct control_reader *reader, const json_t *object)
{
    int failed = json_object_update(metadata_of(reader), (json_t *)object);
    check(failed == 0);
    return true;
}

bool control_set_metadata(struct control_reader *reader, const char *key,
                          const char *value)
{
    json_t *string = json_string(value);
    bool is_kept = json_object_set_new(metadata_of(reader), key, string) == 0;
    return is_kept || control_refuse(reader, "it is not UTF-8");
}

/* Numbers with as few digits as say the same: 0.1 stays 0.1. */
static char *dump_metadata(struct arena *arena, const json_t *metadata)
{
    char *json = NULL;
    bool is_same = false;
    for (size_t digits = 15; digits <= 17 && !is_same; digits++) {
        size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(digits);
        size_t length = json_dumpb(metadata, NULL, 0, flags);
        json = arena_alloc(arena, length + 1);
        json_dumpb(metadata, json, length, flags);
        json_t *again = json_loadb(json, length, 0, NULL);
        is_same = json_equal(metadata, again);
        json_decref(again);
    }
    return json;
}

/* --- fields of ours --- */

bool control_read_metadata(struct control_reader *reader, const char *value)
{
    json_t *object = control_parse_object(reader, value);
    bool is_read = object != NULL && control_merge_metadata(reader, object);
    json_decref(object);
    return is_read;
}

static bool read_setting(struct control_reader *reader, const char *value)
{
    return control_set_setting(reader, reader->row->argument,
                               lower(reader->arena, value));
}

static bool read_send_at(struct control_reader *reader, const char *value)
{
    int64_t send_at;
    if (!control_parse_time(text_of(value), reader->now, &send_at)) {
        return control_refuse(reader,
                              "\"%.60s\" is no time; write it as in a Date "
                              "field, as 2026-11-21T02:13:02Z or as in 2 h",
                              value);
    }
    return control_set_send_at(reader, send_at);
}

static bool read_pool(struct control_reader *reader, const char *value)
{
    const char *problem = text_problem(reader->arena, value, POOL_NAME_MAX);
    if (problem != NULL) {
        return control_refuse(reader, "%s", problem);
    }
    reader->control->pool = value;
    return true;
}

static bool read_switch(struct control_reader *reader, const char *value,
                        bool *out_is_on)
{
    return control_parse_switch(value, out_is_on) ||
           control_refuse(reader,
                          "\"%.60s\" is not understood; it may be: on, off",
                          value);
}

static bool read_bypass(struct control_reader *reader, const char *value)
{
    return read_switch(reader, value, &reader->control->bypasses_suppression);
}

static bool read_sandbox(struct control_reader *reader, const char *value)
{
    return read_switch(reader, value, &reader->control->is_sandboxed);
}

static bool read_idempotency_key(struct control_reader *reader,
                                 const char *value)
{
    const char *problem =
        text_problem(reader->arena, value, IDEMPOTENCY_KEY_MAX);
    if (problem == NULL && text_has_8bit(text_of(value))) {
        problem = "it is not ASCII";
    }
    if (problem != NULL) {
        return control_refuse(reader, "%s; it has 1 to %d printable characters",
                              problem, IDEMPOTENCY_KEY_MAX);
    }
    reader->control->idempotency_key = value;
    return true;
}

static bool refuse_unknown(struct control_reader *reader, const char *value)
{
    (void)value;
    return control_refuse(reader, "there is no such field");
}

static const struct control_row our_rows[] = {
    { "X-Baton-Group", control_set_group, NULL, CONTROL_OURS, false },
    { "X-Baton-Tag", control_add_tag, NULL, CONTROL_OURS_REPEATED, false },
    { "X-Baton-Metadata", control_read_metadata, NULL, CONTROL_OURS, false },
    { "X-Baton-Track-Opens", read_setting, "track_opens", CONTROL_OURS, false },
    { "X-Baton-Track-Clicks", read_setting, "track_clicks", CONTROL_OURS,
      false },
    { "X-Baton-Privacy", read_setting, "privacy", CONTROL_OURS, false },
    { "X-Baton-Unsubscribe", read_setting, "unsubscribe", CONTROL_OURS, false },
    { "X-Baton-Expires-After", read_setting, "expires_after", CONTROL_OURS,
      false },
    { "X-Baton-Priority", read_setting, "priority", CONTROL_OURS, false },
    { "X-Baton-Send-At", read_send_at, NULL, CONTROL_OURS, false },
    { "X-Baton-Pool", read_pool, NULL, CONTROL_OURS, false },
    { "X-Baton-Bypass-Suppression", read_bypass, NULL, CONTROL_OURS, false },
    { "X-Baton-Sandbox", read_sandbox, NULL, CONTROL_OURS, false },
    { "Idempotency-Key", read_idempotency_key, NULL, CONTROL_OURS, false },
    { "X-Baton-", refuse_unknown, NULL, CONTROL_OURS, true },
};

/* --- finding them --- */

/* What all names of the tables begin with: Idempotency-Key and X-B…, X-M…,
 * X-P…, X-S…, X-T…, X-xs…. */
static bool can_be_field(struct text name)
{
    if (name.length < 6) {
        return false;
    }
    char first = ascii_lower(name.data[0]);
    if (first != 'x') {
        return first == 'i' && ascii_lower(name.data[1]) == 'd';
    }
    return name.data[1] == '-' &&
           strchr("bmpstx", ascii_lower(name.data[2])) != NULL;
}

static bool has_name(const struct control_row *row, struct text name)
{
    return row->is_prefix ? text_starts_with_ignoring_case(name, row->name)
                          : text_is_ignoring_case(name, row->name);
}

static const struct control_row *find_in(const struct control_row *rows,
                                         size_t row_count, struct text name)
{
    for (size_t i = 0; i < row_count; i++) {
        if (has_name(&rows[i], name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct control_row *find_row(struct text name)
{
    if (!can_be_field(name)) {
        return NULL;
    }
    const struct control_row *row =
        find_in(our_rows, ARRAY_LENGTH(our_rows), name);
    return row != NULL
               ? row
               : find_in(control_foreign_rows, control_foreign_row_count, name);
}

bool control_is_field(struct text name)
{
    return find_row(name) != NULL;
}

/* --- reading them --- */

struct found_field {
    const struct header_field *field;
    const struct control_row *row;
};

static size_t find_fields(const struct header *header, struct arena *arena,
                          struct found_field **out_found)
{
    size_t count = 0;
    for (size_t i = 0; i < header->field_count; i++) {
        count += control_is_field(header->fields[i].name);
    }
    if (count == 0) {
        return 0;
    }
    *out_found = arena_alloc(arena, count * sizeof(struct found_field));
    count = 0;
    for (size_t i = 0; i < header->field_count; i++) {
        const struct control_row *row = find_row(header->fields[i].name);
        if (row != NULL) {
            (*out_found)[count++] =
                (struct found_field){ &header->fields[i], row };
        }
    }
    return count;
}

static bool is_said_before(const struct found_field *found, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (found[j].row == found[i].row) {
            return true;
        }
    }
    return false;
}

/* Words are decoded, but for those within JSON: they are its own affair. */
static const char *decode_value(struct arena *arena, struct text value)
{
    const char *unfolded = header_unfold(arena, value);
    return unfolded[0] == '{' ? unfolded
                              : encoded_text_decode(arena, text_of(unfolded));
}

static bool read_field(struct control_reader *reader,
                       const struct found_field *found, size_t i)
{
    reader->row = found[i].row;
    reader->name = found[i].field->name;
    if (reader->row->read == NULL) {
        return true;
    }
    if (reader->row->kind == CONTROL_OURS && is_said_before(found, i)) {
        return control_refuse(reader, "it stands twice");
    }
    return reader->row->read(
        reader, decode_value(reader->arena, found[i].field->value));
}

static bool read_kind(struct control_reader *reader,
                      const struct found_field *found, size_t count,
                      unsigned kinds)
{
    for (size_t i = 0; i < count; i++) {
        if ((kinds & 1u << found[i].row->kind) != 0 &&
            !read_field(reader, found, i)) {
            return false;
        }
    }
    return true;
}

static bool conclude_others(struct control_reader *reader)
{
    if (!reader->has_alternative) {
        return true;
    }
    static const char *const values[] = { "off", "text", "html", "both" };
    return control_set_setting(
        reader, "alternative",
        values[(reader->makes_text ? 1 : 0) + (reader->makes_html ? 2 : 0)]);
}

static bool read_all(struct control_reader *reader,
                     const struct found_field *found, size_t count)
{
    if (!read_kind(reader, found, count, 1u << CONTROL_GENERAL) ||
        !read_kind(reader, found, count, 1u << CONTROL_FOREIGN) ||
        !conclude_others(reader)) {
        return false;
    }
    if (!read_kind(reader, found, count,
                   1u << CONTROL_OURS | 1u << CONTROL_OURS_REPEATED)) {
        return false;
    }
    if (reader->control->group == NULL && reader->foreign_tag != NULL &&
        group_name_problem(reader->foreign_tag) == NULL) {
        reader->control->group = reader->foreign_tag;
    }
    return true;
}

/* The longest field is the one that is too long. */
static void blame_longest(struct control_reader *reader,
                          const struct found_field *found, size_t count)
{
    size_t longest = count;
    for (size_t i = 0; i < count; i++) {
        bool is_read = found[i].row->read != NULL;
        if (is_read &&
            (longest == count || found[i].field->value.length >
                                     found[longest].field->value.length)) {
            longest = i;
        }
    }
    check(longest < count); /* some field gave the metadata */
    reader->row = found[longest].row;
    reader->name = found[longest].field->name;
}

static bool keep_metadata(struct control_reader *reader,
                          const struct found_field *found, size_t count)
{
    if (json_object_size(reader->metadata) == 0) {
        return true;
    }
    char *json = dump_metadata(reader->arena, reader->metadata);
    if (strlen(json) > CONTROL_METADATA_BYTES_MAX) {
        blame_longest(reader, found, count);
        return control_refuse(reader,
                              "the metadata of the message is larger than %d "
                              "bytes",
                              CONTROL_METADATA_BYTES_MAX);
    }
    reader->control->metadata = json;
    return true;
}

bool control_read(const struct header *header, int64_t now, struct arena *arena,
                  struct control *out_control, struct error *error)
{
    *out_control = (struct control){ 0 };
    struct found_field *found = NULL;
    size_t count = find_fields(header, arena, &found);
    if (count == 0) {
        return true;
    }
    struct control_reader reader = {
        .arena = arena,
        .now = now,
        .control = out_control,
        .error = error,
    };
    bool is_read =
        read_all(&reader, found, count) && keep_metadata(&reader, found, count);
    json_decref(reader.metadata);
    return is_read;
}
