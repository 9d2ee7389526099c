/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/config_internal.h"
#include "core/memory.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* The smallest first; the first row that stands without a blank or a unit. */
static const struct unit size_units[] = {
    { "B", 1 },
    { "KB", INT64_C(1) << 10 },
    { "MB", INT64_C(1) << 20 },
    { "GB", INT64_C(1) << 30 },
    { "TB", INT64_C(1) << 40 },
};

static const struct unit span_units[] = {
    { "ms", 1 },          { "s", 1000 },         { "min", 60 * 1000 },
    { "h", 3600 * 1000 }, { "d", 86400 * 1000 },
};

static const char *const type_texts[] = {
    [SETTING_TEXT] = "text",       [SETTING_NUMBER] = "number",
    [SETTING_SIZE] = "size",       [SETTING_SPAN] = "span",
    [SETTING_BOOLEAN] = "boolean", [SETTING_CHOICE] = "choice",
    [SETTING_LIST] = "list",
};

const char *setting_type_text(enum setting_type type)
{
    return type_texts[type];
}

static const struct unit *units_of(enum setting_type type, size_t *out_count)
{
    if (type == SETTING_NUMBER) {
        *out_count = 0;
        return NULL;
    }
    *out_count = ARRAY_LENGTH(size_units);
    _Static_assert(ARRAY_LENGTH(size_units) == ARRAY_LENGTH(span_units),
                   "one count serves both");
    return type == SETTING_SIZE ? size_units : span_units;
}

/* Write with the largest unit that leaves a whole number. */
static void append_number(const struct setting *setting, int64_t number,
                          struct buffer *out_text)
{
    size_t count;
    const struct unit *units = units_of(setting->type, &count);
    while (count > 1 && (number == 0 || number % units[count - 1].factor)) {
        count--;
    }
    if (count == 0) {
        buffer_printf(out_text, "%lld", (long long)number);
    } else {
        buffer_printf(out_text, "%lld %s",
                      (long long)(number / units[count - 1].factor),
                      units[count - 1].name);
    }
}

void setting_append_limits(const struct setting *setting,
                           struct buffer *out_text)
{
    bool has_numbers = setting->type == SETTING_NUMBER ||
                       setting->type == SETTING_SIZE ||
                       setting->type == SETTING_SPAN;
    if (setting->type == SETTING_BOOLEAN) {
        buffer_append_string(out_text, "on or off");
    } else if (setting->type == SETTING_CHOICE) {
        struct text rest = text_of(setting->choices);
        struct text word;
        while (text_split(&rest, '|', &word)) {
            buffer_append_text(out_text, word);
            buffer_append_string(out_text, rest.length > 0 ? ", " : "");
        }
    } else if (has_numbers && (setting->minimum || setting->maximum)) {
        buffer_append_string(out_text, setting->maximum ? "" : "at least ");
        append_number(setting, setting->minimum, out_text);
        if (setting->maximum) {
            buffer_append_string(out_text, " to ");
            append_number(setting, setting->maximum, out_text);
        }
    }
}

/* "expected a size such as 64 KB or 50 MB, 1 KB to 1 GB". */
static bool refuse(const struct setting *setting, const char *written,
                   struct error *error)
{
    static const char *const expectations[] = {
        [SETTING_NUMBER] = "a whole number",
        [SETTING_SIZE] = "a size such as 64 KB or 50 MB",
        [SETTING_SPAN] = "a span such as 250 ms, 30 s, 5 min, 4 h or 4 d",
        [SETTING_BOOLEAN] = "a boolean",
        [SETTING_CHOICE] = "one of",
    };
    struct buffer limits = { 0 };
    setting_append_limits(setting, &limits);
    bool has_comment = strstr(written, " ;") || strstr(written, " #");
    const char *joint = limits.length == 0                ? ""
                        : setting->type == SETTING_CHOICE ? " "
                                                          : ", ";
    error_set(error, "expected %s%s%s, found \"%.80s\"%s",
              expectations[setting->type], joint, buffer_text(&limits).data,
              written,
              has_comment ? " (a comment needs a line of its own)" : "");
    buffer_free(&limits);
    return false;
}

/* Numbers without sign and their units. "0" needs no unit, a size never. */
static bool parse_scaled(enum setting_type type, struct text text,
                         uint64_t *out_value)
{
    size_t digits = 0;
    while (digits < text.length && ascii_is_digit(text.data[digits])) {
        digits++;
    }
    uint64_t value;
    if (!text_to_uint64(text_slice(text, 0, digits), &value)) {
        return false;
    }
    struct text unit = text_trim(text_slice(text, digits, text.length));
    if (unit.length == 0) {
        *out_value = value;
        return type != SETTING_SPAN || value == 0;
    }
    size_t count;
    const struct unit *units = units_of(type, &count);
    for (size_t i = 0; i < count; i++) {
        if (text_is_ignoring_case(unit, units[i].name)) {
            return !__builtin_mul_overflow(value, (uint64_t)units[i].factor,
                                           out_value);
        }
    }
    return false;
}

bool config_parse_span(struct text text, int64_t *out_milliseconds)
{
    uint64_t value;
    if (!parse_scaled(SETTING_SPAN, text, &value) || value > INT64_MAX) {
        return false;
    }
    *out_milliseconds = (int64_t)value;
    return true;
}

static bool parse_number(const struct setting *setting, const char *written,
                         union setting_value *out_value, struct error *error)
{
    struct text text = text_of(written);
    bool is_negative = text.length > 0 && text.data[0] == '-' &&
                       setting->type == SETTING_NUMBER;
    uint64_t value;
    if (!parse_scaled(setting->type,
                      text_slice(text, is_negative ? 1 : 0, text.length),
                      &value) ||
        value > INT64_MAX) {
        return refuse(setting, written, error);
    }
    int64_t number = is_negative ? -(int64_t)value : (int64_t)value;
    if (number < setting->minimum ||
        (setting->maximum && number > setting->maximum)) {
        return refuse(setting, written, error);
    }
    out_value->number = number;
    return true;
}

static bool parse_boolean(const struct setting *setting, const char *written,
                          union setting_value *out_value, struct error *error)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "on", true },   { "yes", true }, { "true", true },
        { "off", false }, { "no", false }, { "false", false },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (text_is_ignoring_case(text_of(written), words[i].word)) {
            out_value->boolean = words[i].value;
            return true;
        }
    }
    return refuse(setting, written, error);
}

static bool parse_choice(const struct setting *setting, const char *written,
                         union setting_value *out_value, struct error *error)
{
    struct text rest = text_of(setting->choices);
    struct text word;
    for (int i = 0; text_split(&rest, '|', &word); i++) {
        if (text_equal_ignoring_case(word, text_of(written))) {
            out_value->choice = i;
            return true;
        }
    }
    return refuse(setting, written, error);
}

static bool parse_text(const struct setting *setting, const char *written,
                       union setting_value *out_value, struct error *error)
{
    (void)setting;
    (void)error;
    out_value->text = written;
    return true;
}

static const struct setting_form {
    bool (*parse)(const struct setting *setting, const char *written,
                  union setting_value *out_value, struct error *error);
} forms[] = {
    [SETTING_TEXT] = { parse_text },       [SETTING_NUMBER] = { parse_number },
    [SETTING_SIZE] = { parse_number },     [SETTING_SPAN] = { parse_number },
    [SETTING_BOOLEAN] = { parse_boolean }, [SETTING_CHOICE] = { parse_choice },
    [SETTING_LIST] = { parse_text },
};

bool setting_parse(const struct setting *setting, const char *written,
                   union setting_value *out_value, struct error *error)
{
    if (!forms[setting->type].parse(setting, written, out_value, error)) {
        return false;
    }
    return !setting->check_value || setting->check_value(written, error);
}

void setting_assign(const struct setting *setting, union setting_value value)
{
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_LIST:
        *(const char **)setting->value = value.text;
        break;
    case SETTING_NUMBER:
    case SETTING_SIZE:
    case SETTING_SPAN:
        *(int64_t *)setting->value = value.number;
        break;
    case SETTING_BOOLEAN:
        *(bool *)setting->value = value.boolean;
        break;
    case SETTING_CHOICE:
        *(int *)setting->value = value.choice;
        break;
    }
}

const char *nearest_word(const char *word, const char *const *candidates,
                         size_t candidate_count)
{
    const char *nearest = NULL;
    size_t nearest_distance = strlen(word) / 2 + 1;
    for (size_t i = 0; i < candidate_count; i++) {
        size_t away = text_distance(word, candidates[i]);
        if (away < nearest_distance) {
            nearest = candidates[i];
            nearest_distance = away;
        }
    }
    return nearest;
}
