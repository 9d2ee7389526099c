/* SPDX-License-Identifier: MIT */
/*
 * Loading goes in four steps, of which only the last touches a variable:
 * collect the rows (default, file, environment), read every row into a staged
 * value, check it, assign all. A set of rows and its strings live in one arena;
 * the set in force is kept for config_print and because variables point into
 * it.
 */
#include "core/config.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/config_internal.h"
#include "core/encoding.h"
#include "core/map.h"
#include "core/memory.h"
#include "core/text.h"

#define LINE_MAX_BYTES 4096
#define ENVIRONMENT_PREFIX "BATON_"

/* A key and what was written for it. Most settings have one, "*" any number. */
struct row {
    struct row *next;
    const char *key;
    const char *written;
    const char *origin;
    bool is_default;
};

struct entry {
    const struct setting *setting;
    struct row *rows;
    union setting_value value;
};

/* One load: everything in it lies in its arena. */
struct load {
    struct arena *arena;
    struct entry *entries;
    size_t entry_count;
    /* While the file is read: */
    FILE *file;
    const char *path;
    int line;
    struct error *error;
    bool has_failed;
};

struct config {
    const struct setting **settings; /* borrowed rows */
    size_t setting_count;
    struct load current; /* arena NULL before the first */
    /* Every text ever assigned, once: kept when a reload replaces it. */
    struct arena *texts;
    struct map *text_map;
};

struct config *config_create(void)
{
    struct config *config = memory_alloc(sizeof(*config));
    config->texts = arena_create();
    config->text_map = map_create();
    return config;
}

void config_free(struct config **config)
{
    if (*config) {
        arena_free(&(*config)->current.arena);
        arena_free(&(*config)->texts);
        map_free(&(*config)->text_map);
        memory_free((*config)->settings);
        memory_free(*config);
        *config = NULL;
    }
}

static bool is_free_key(const struct setting *setting)
{
    return strcmp(setting->key, "*") == 0;
}

void config_add(struct config *config, const struct setting *settings,
                size_t setting_count)
{
    size_t count = config->setting_count + setting_count;
    config->settings =
        memory_resize(config->settings, count * sizeof(*config->settings));
    for (size_t i = 0; i < setting_count; i++) {
        check(!is_free_key(&settings[i]) || settings[i].type == SETTING_LIST);
        check(settings[i].type != SETTING_CHOICE || settings[i].choices);
        config->settings[config->setting_count++] = &settings[i];
    }
}

/* Rows */

static struct row *find_row(const struct entry *entry, const char *key)
{
    struct row *row = entry->rows;
    while (row && strcmp(row->key, key) != 0) {
        row = row->next;
    }
    return row;
}

/* Write a row anew or append it. */
static void set_row(struct load *load, struct entry *entry, const char *key,
                    const char *written, const char *origin)
{
    struct row *row = find_row(entry, key);
    if (!row) {
        struct row **end = &entry->rows;
        while (*end) {
            end = &(*end)->next;
        }
        row = *end = arena_alloc(load->arena, sizeof(*row));
        row->key = arena_copy_string(load->arena, key);
    }
    row->written = arena_copy_text(load->arena, text_trim(text_of(written)));
    row->origin = origin;
    row->is_default = false;
}

/* A "*" row's default is lines of "key=value". */
static void set_default_rows(struct load *load, struct entry *entry)
{
    struct text rest = text_of(entry->setting->initial);
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        size_t equals = text_find_byte(line, '=');
        check(equals < line.length);
        const char *key = arena_copy_text(
            load->arena, text_trim(text_slice(line, 0, equals)));
        const char *written = arena_copy_text(
            load->arena, text_slice(line, equals + 1, line.length));
        set_row(load, entry, key, written, "default");
    }
}

static void set_defaults(struct load *load, const struct config *config)
{
    load->entry_count = config->setting_count;
    load->entries =
        arena_alloc(load->arena, load->entry_count * sizeof(*load->entries));
    for (size_t i = 0; i < load->entry_count; i++) {
        struct entry *entry = &load->entries[i];
        entry->setting = config->settings[i];
        if (is_free_key(entry->setting)) {
            set_default_rows(load, entry);
        } else {
            const char *initial = entry->setting->initial;
            set_row(load, entry, entry->setting->key, initial ? initial : "",
                    "default");
        }
        for (struct row *row = entry->rows; row; row = row->next) {
            row->is_default = true;
        }
    }
}

static bool has_section(const struct load *load, const char *section)
{
    for (size_t i = 0; i < load->entry_count; i++) {
        if (strcmp(load->entries[i].setting->section, section) == 0) {
            return true;
        }
    }
    return false;
}

/* The entry of a key: its own, else the section's "*"; NULL if unknown. */
static struct entry *find_entry(const struct load *load, const char *section,
                                const char *key)
{
    struct entry *found = NULL;
    for (size_t i = 0; i < load->entry_count; i++) {
        const struct setting *setting = load->entries[i].setting;
        if (strcmp(setting->section, section) == 0) {
            if (strcmp(setting->key, key) == 0) {
                return &load->entries[i];
            }
            if (is_free_key(setting)) {
                found = &load->entries[i];
            }
        }
    }
    return found;
}

/* Suggestions: a sentence's end, "" if there is nothing to suggest. */

static const char *suggest_section(struct load *load, const char *section)
{
    const char **names =
        arena_alloc(load->arena, load->entry_count * sizeof(*names));
    for (size_t i = 0; i < load->entry_count; i++) {
        names[i] = load->entries[i].setting->section;
    }
    const char *nearest = nearest_word(section, names, load->entry_count);
    return nearest ? arena_printf(load->arena, "; did you mean [%s]?", nearest)
                   : "";
}

static const char *suggest_key(struct load *load, const char *section,
                               const char *key)
{
    const char **keys =
        arena_alloc(load->arena, load->entry_count * sizeof(*keys));
    size_t count = 0;
    const char *elsewhere = NULL;
    for (size_t i = 0; i < load->entry_count; i++) {
        const struct setting *setting = load->entries[i].setting;
        if (strcmp(setting->section, section) == 0) {
            keys[count++] = setting->key;
        } else if (strcmp(setting->key, key) == 0) {
            elsewhere = setting->section;
        }
    }
    if (elsewhere) {
        return arena_printf(load->arena, "; it belongs to section [%s]",
                            elsewhere);
    }
    const char *nearest = nearest_word(key, keys, count);
    return nearest ? arena_printf(load->arena, "; did you mean %s.%s?", section,
                                  nearest)
                   : "";
}

/* The file */

static char *copy_lower(struct load *load, const char *string)
{
    char *copy = arena_copy_string(load->arena, string);
    for (char *byte = copy; *byte; byte++) {
        *byte = ascii_lower(*byte);
    }
    return copy;
}

/* Remember the first failure of the file, with its line. */
static int fail(struct load *load, const char *sentence)
{
    if (!load->has_failed) {
        load->has_failed = true;
        error_set(load->error, "%s:%d: %s", load->path, load->line, sentence);
    }
    return 0;
}

/* The parser tells of keys only; a wrong section must not go unnoticed because
 * it is empty. */
static bool check_section_line(struct load *load, const char *line)
{
    struct text text = text_trim(text_of(line));
    size_t end = text_find_byte(text, ']');
    if (text.length == 0 || text.data[0] != '[' || end == text.length) {
        return true;
    }
    char *written = arena_copy_text(load->arena, text_slice(text, 1, end));
    const char *section = copy_lower(load, written);
    if (!has_section(load, section)) {
        fail(load, arena_printf(load->arena, "there is no section [%.80s]%s",
                                section, suggest_section(load, section)));
        return false;
    }
    return true;
}

static char *read_line(char *out_line, int size, void *stream)
{
    struct load *load = stream;
    if (load->has_failed || !fgets(out_line, size, load->file)) {
        return NULL;
    }
    load->line++;
    size_t length = strlen(out_line);
    bool is_whole = length > 0 && out_line[length - 1] == '\n';
    if (!is_whole && !feof(load->file)) {
        fail(load, "the line is longer than 4000 bytes or has a NUL byte");
        return NULL;
    }
    return check_section_line(load, out_line) ? out_line : NULL;
}

static int on_setting(void *owner, const char *written_section,
                      const char *written_key, const char *value)
{
    struct load *load = owner;
    const char *section = copy_lower(load, written_section);
    const char *key = copy_lower(load, written_key);
    struct entry *entry = find_entry(load, section, key);
    if (!*section) {
        return fail(load, "a setting stands before the first [section]");
    }
    if (!entry) {
        return fail(load, arena_printf(load->arena,
                                       "there is no setting %s.%s%s", section,
                                       key, suggest_key(load, section, key)));
    }
    if (is_free_key(entry->setting) && entry->rows && entry->rows->is_default) {
        entry->rows = NULL;
    }
    const struct row *old = find_row(entry, key);
    if (old && !old->is_default) {
        return fail(load, arena_printf(load->arena,
                                       "%s.%s stands twice, before at %s",
                                       section, key, old->origin));
    }
    const char *origin =
        arena_printf(load->arena, "%s:%d", load->path, load->line);
    set_row(load, entry, key, value, origin);
    return 1;
}

static void prepare_parser(void)
{
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = true;
    ini_use_stack = false;
    ini_max_line = LINE_MAX_BYTES;
    ini_initial_alloc = LINE_MAX_BYTES;
}

static bool read_file(struct load *load, const char *path, struct error *error)
{
    load->path = arena_copy_string(load->arena, path);
    load->error = error;
    load->file = fopen(path, "re");
    if (!load->file) {
        return error_set(error, "cannot read %s: %s", path, strerror(errno));
    }
    prepare_parser();
    int wrong_line = ini_parse_stream(read_line, load, on_setting, load);
    bool is_unreadable = ferror(load->file) != 0;
    fclose(load->file);
    load->file = NULL;
    if (load->has_failed) {
        return false;
    }
    if (is_unreadable) {
        return error_set(error, "cannot read %s: not a readable file", path);
    }
    if (wrong_line != 0) {
        return error_set(error,
                         "%s:%d: expected \"[section]\", \"key = value\" or a "
                         "comment that begins with ; or #",
                         path, wrong_line);
    }
    return true;
}

/* The environment */

/* If the name begins with the section's words: what follows, in lower case. */
static const char *key_in_name(struct load *load, const char *name,
                               const char *section)
{
    size_t length = strlen(section);
    bool is_in = text_starts_with_ignoring_case(text_of(name), section) &&
                 name[length] == '_' && name[length + 1] != '\0';
    return is_in ? copy_lower(load, name + length + 1) : NULL;
}

/* The entry that a variable means. Sections may have a "_" in their name, so
 * all are tried, and a known key wins over a "*". *out_section is NULL if no
 * section is meant: then the variable is not ours. */
static struct entry *find_variable(struct load *load, const char *name,
                                   const char **out_section,
                                   const char **out_key)
{
    struct entry *found = NULL;
    for (size_t i = 0; i < load->entry_count; i++) {
        const char *section = load->entries[i].setting->section;
        const char *key = key_in_name(load, name, section);
        struct entry *entry = key ? find_entry(load, section, key) : NULL;
        bool is_better = entry && (!found || !is_free_key(entry->setting));
        if (is_better || (key && !found)) {
            found = entry;
            *out_section = section;
            *out_key = key;
        }
    }
    return found;
}

static bool read_variable(struct load *load, const char *variable,
                          struct error *error)
{
    size_t equals = text_find_byte(text_of(variable), '=');
    const char *name =
        arena_copy_text(load->arena, text_slice(text_of(variable), 0, equals));
    const char *value = variable[equals] ? variable + equals + 1 : "";
    const char *section = NULL;
    const char *key = NULL;
    struct entry *entry = find_variable(
        load, name + sizeof(ENVIRONMENT_PREFIX) - 1, &section, &key);
    if (!section) {
        return true;
    }
    if (!entry) {
        return error_set(error, "environment %s: there is no setting %s.%s%s",
                         name, section, key, suggest_key(load, section, key));
    }
    if (strchr(value, '\n') || strchr(value, '\r')) {
        return error_set(error, "environment %s: the value has a line break",
                         name);
    }
    set_row(load, entry, key, value,
            arena_printf(load->arena, "environment %s", name));
    return true;
}

static bool read_environment(struct load *load, struct error *error)
{
    for (char **variable = environ; variable && *variable; variable++) {
        bool is_ours = strncmp(*variable, ENVIRONMENT_PREFIX,
                               sizeof(ENVIRONMENT_PREFIX) - 1) == 0;
        if (is_ours && !read_variable(load, *variable, error)) {
            return false;
        }
    }
    return true;
}

/* Staging */

static bool refuse_row(const struct entry *entry, const struct row *row,
                       const struct error *reason, struct error *error)
{
    return error_set(error, "%s: %s.%s: %s", row->origin,
                     entry->setting->section, row->key, reason->text);
}

static bool check_item(const struct entry *entry, const struct row *row,
                       const char *item, struct error *error)
{
    struct error reason = { .text = "" };
    if (entry->setting->check_value &&
        !entry->setting->check_value(item, &reason)) {
        return refuse_row(entry, row, &reason, error);
    }
    return true;
}

/* Cut the next value off a list; false at its end. */
static bool take_item(struct text *rest, struct text *out_item)
{
    static const char separators[] = ", \t";
    size_t from = 0;
    while (from < rest->length && strchr(separators, rest->data[from])) {
        from++;
    }
    size_t to = from;
    while (to < rest->length && !strchr(separators, rest->data[to])) {
        to++;
    }
    *out_item = text_slice(*rest, from, to);
    *rest = text_slice(*rest, to, rest->length);
    return to > from;
}

static void append_line(struct buffer *joined, const char *line)
{
    if (joined->length > 0) {
        buffer_append_byte(joined, '\n');
    }
    buffer_append_string(joined, line);
}

/* "key=value" a row. */
static bool join_rows(struct load *load, const struct entry *entry,
                      struct buffer *joined, struct error *error)
{
    for (const struct row *row = entry->rows; row; row = row->next) {
        const char *line =
            arena_printf(load->arena, "%s=%s", row->key, row->written);
        if (*row->written) {
            if (!check_item(entry, row, row->written, error)) {
                return false;
            }
            append_line(joined, line);
        }
    }
    return true;
}

static bool join_items(struct load *load, const struct entry *entry,
                       struct buffer *joined, struct error *error)
{
    struct text rest = text_of(entry->rows->written);
    struct text item;
    while (take_item(&rest, &item)) {
        const char *line = arena_copy_text(load->arena, item);
        if (!check_item(entry, entry->rows, line, error)) {
            return false;
        }
        append_line(joined, line);
    }
    return true;
}

static bool stage_list(struct load *load, struct entry *entry,
                       struct error *error)
{
    struct buffer joined = { 0 };
    bool is_free = is_free_key(entry->setting);
    bool is_right =
        (is_free ? join_rows : join_items)(load, entry, &joined, error);
    entry->value.text = arena_copy_text(load->arena, buffer_text(&joined));
    buffer_free(&joined);
    return is_right;
}

static bool stage(struct load *load, struct entry *entry, struct error *error)
{
    struct error reason;
    if (entry->setting->type == SETTING_LIST) {
        return stage_list(load, entry, error);
    }
    return setting_parse(entry->setting, entry->rows->written, &entry->value,
                         &reason) ||
           refuse_row(entry, entry->rows, &reason, error);
}

static bool stage_all(struct load *load, struct error *error)
{
    for (size_t i = 0; i < load->entry_count; i++) {
        if (!stage(load, &load->entries[i], error)) {
            return false;
        }
    }
    return true;
}

static bool is_text(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_LIST;
}

static const char *keep_text(struct config *config, const char *text)
{
    char *kept = map_get(config->text_map, text_of(text));
    if (!kept) {
        kept = arena_copy_string(config->texts, text);
        map_set(config->text_map, text_of(kept), kept);
    }
    return kept;
}

static void assign_all(struct config *config, struct load *load)
{
    for (size_t i = 0; i < load->entry_count; i++) {
        struct entry *entry = &load->entries[i];
        if (is_text(entry->setting)) {
            entry->value.text = keep_text(config, entry->value.text);
        }
        setting_assign(entry->setting, entry->value);
    }
}

bool config_load(struct config *config, const char *path, struct error *error)
{
    struct load load = { .arena = arena_create() };
    set_defaults(&load, config);
    if ((path && !read_file(&load, path, error)) ||
        !read_environment(&load, error) || !stage_all(&load, error)) {
        arena_free(&load.arena);
        return false;
    }
    assign_all(config, &load);
    arena_free(&config->current.arena);
    config->current = load;
    return true;
}

/* Printing */

/* Sections in the order of their first setting. */
static bool is_first_of_section(const struct config *config, size_t i)
{
    const char *section = config->settings[i]->section;
    for (size_t before = 0; before < i; before++) {
        if (strcmp(config->settings[before]->section, section) == 0) {
            return false;
        }
    }
    return true;
}

static const char *shown_value(const struct entry *entry, const struct row *row)
{
    return entry->setting->is_secret && *row->written ? "(set)" : row->written;
}

/* A secret is a comment: "(set)" must not become its value. */
static void print_rows(const struct entry *entry, FILE *out)
{
    bool is_hidden = entry->setting->is_secret;
    for (const struct row *row = entry->rows; row; row = row->next) {
        fprintf(out, "; %s\n%s%s = %s\n", row->origin, is_hidden ? "; " : "",
                row->key, shown_value(entry, row));
    }
}

static void print_file(const struct config *config, FILE *out)
{
    const struct load *load = &config->current;
    for (size_t i = 0; i < load->entry_count; i++) {
        const char *section = load->entries[i].setting->section;
        if (!is_first_of_section(config, i)) {
            continue;
        }
        fprintf(out, "%s[%s]\n", i == 0 ? "" : "\n", section);
        for (size_t j = i; j < load->entry_count; j++) {
            if (strcmp(load->entries[j].setting->section, section) == 0) {
                print_rows(&load->entries[j], out);
            }
        }
    }
}

static void print_json(const struct config *config, FILE *out)
{
    const struct load *load = &config->current;
    struct buffer json = { 0 };
    for (size_t i = 0; i < load->entry_count; i++) {
        const struct entry *entry = &load->entries[i];
        for (const struct row *row = entry->rows; row; row = row->next) {
            buffer_append_string(&json, json.length > 0 ? ",\n {" : " {");
            json_append_member(&json, "section", entry->setting->section);
            json_append_member(&json, "key", row->key);
            json_append_member(&json, "value", shown_value(entry, row));
            json_append_member(&json, "origin", row->origin);
            json_append_member(&json, "type",
                               setting_type_text(entry->setting->type));
            json_append_member(&json, "description",
                               entry->setting->description);
            buffer_append_byte(&json, '}');
        }
    }
    fprintf(out, "[\n%s\n]\n", buffer_text(&json).data);
    buffer_free(&json);
}

void config_print(const struct config *config, FILE *out, bool as_json)
{
    check(config->current.arena != NULL);
    (as_json ? print_json : print_file)(config, out);
}

/* One cell of a Markdown table: "|" would end it. */
static void append_cell(struct buffer *line, struct text text, bool is_code)
{
    const char *quote = is_code && text.length > 0 ? "`" : "";
    buffer_printf(line, " %s", quote);
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        buffer_append_string(line, byte == '|' ? "\\" : "");
        buffer_append_byte(line, byte == '\n' ? ' ' : byte);
    }
    buffer_printf(line, "%s |", quote);
}

static void print_reference_line(const struct setting *setting, FILE *out)
{
    struct buffer line = { 0 };
    struct buffer limits = { 0 };
    setting_append_limits(setting, &limits);
    buffer_append_byte(&line, '|');
    append_cell(&line, text_of(setting->key), true);
    append_cell(&line, text_of(setting_type_text(setting->type)), false);
    append_cell(&line, text_of(setting->initial), true);
    append_cell(&line, buffer_text(&limits), false);
    append_cell(&line, text_of(setting->description), false);
    fprintf(out, "%s\n", line.data);
    buffer_free(&line);
    buffer_free(&limits);
}

void config_print_reference(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        const char *section = config->settings[i]->section;
        if (!is_first_of_section(config, i)) {
            continue;
        }
        fprintf(out,
                "%s## [%s]\n\n| key | type | default | limits | meaning |\n"
                "|---|---|---|---|---|\n",
                i == 0 ? "" : "\n", section);
        for (size_t j = i; j < config->setting_count; j++) {
            if (strcmp(config->settings[j]->section, section) == 0) {
                print_reference_line(config->settings[j], out);
            }
        }
    }
}
