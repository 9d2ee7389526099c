/* SPDX-License-Identifier: MIT */
/*
 * Tables of subcommands, read in order; the one with the most words that match
 * is meant. Options may stand anywhere, "--" ends them.
 */
#include "relay/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/address.h"
#include "core/memory.h"
#include "relay/command_internal.h"
#include "relay/settings.h"

#ifndef BATON_VERSION
#define BATON_VERSION "unknown"
#endif

#define DEFAULT_CONFIG "/etc/baton/baton.conf"
#define COMMANDS_MAX 96

/* All rows, in the order of the help. */
struct command_list {
    const struct command *rows[COMMANDS_MAX];
    size_t count;
};

static const struct command_option global_options[] = {
    { "--config", "FILE",
      "the configuration (BATON_CONFIG, or " DEFAULT_CONFIG ")" },
    { "--json", NULL, "print JSON" },
    { "--help", NULL, "print this" },
    { "--version", NULL, "print the version" },
};

enum global_option { OPTION_CONFIG, OPTION_JSON, OPTION_HELP, OPTION_VERSION };

/* The command line, taken apart. */
struct parsed_line {
    const char *words[COMMAND_ARGUMENTS_MAX + 2];
    size_t word_count;
    const char *given_names[COMMAND_OPTIONS_MAX];
    const char *given_values[COMMAND_OPTIONS_MAX];
    size_t given_count;
    const char *global_values[ARRAY_LENGTH(global_options)];
};

/* -- the list -- */

static void add_commands(struct command_list *list, const struct command *rows,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check(list->count < COMMANDS_MAX);
        list->rows[list->count++] = &rows[i];
    }
}

static void collect_commands(struct command_list *list,
                             const struct command *extra, size_t extra_count)
{
    list->count = 0;
    add_commands(list, extra, extra_count);
    add_commands(list, migrate_commands, migrate_command_count);
    add_commands(list, config_commands, config_command_count);
    add_commands(list, account_commands, account_command_count);
    add_commands(list, domain_commands, domain_command_count);
    add_commands(list, set_commands, set_command_count);
    add_commands(list, limit_commands, limit_command_count);
    add_commands(list, group_commands, group_command_count);
    add_commands(list, suppression_commands, suppression_command_count);
    add_commands(list, tracking_commands, tracking_command_count);
    add_commands(list, classify_commands, classify_command_count);
    add_commands(list, route_commands, route_command_count);
    add_commands(list, inbound_commands, inbound_command_count);
    add_commands(list, message_commands, message_command_count);
    add_commands(list, queue_commands, queue_command_count);
    add_commands(list, sandbox_commands, sandbox_command_count);
    add_commands(list, verify_commands, verify_command_count);
}

/* How many of the words the name is; 0 if they do not begin with it. */
static size_t match_name(const char *name, const char *const *words,
                         size_t word_count)
{
    struct text rest = text_of(name);
    struct text word;
    size_t matched = 0;
    while (text_split(&rest, ' ', &word)) {
        if (matched == word_count || !text_is(word, words[matched])) {
            return 0;
        }
        matched++;
    }
    return matched;
}

static const struct command *find_command(const struct command_list *list,
                                          const char *const *words,
                                          size_t word_count,
                                          size_t *out_matched)
{
    const struct command *found = NULL;
    *out_matched = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t matched = match_name(list->rows[i]->name, words, word_count);
        if (matched > *out_matched) {
            found = list->rows[i];
            *out_matched = matched;
        }
    }
    return found;
}

/* Whether the name is of two words and begins with this one. */
static bool is_in_family(const struct command *command, const char *word)
{
    size_t length = strlen(word);
    return strncmp(command->name, word, length) == 0 &&
           command->name[length] == ' ';
}

/* -- help -- */

static void print_row(FILE *out, const char *name, const char *arguments,
                      const char *help)
{
    char left[80];
    snprintf(left, sizeof(left), "%s%s%s", name,
             arguments != NULL && arguments[0] != '\0' ? " " : "",
             arguments != NULL ? arguments : "");
    fprintf(out, "  %-34s %s\n", left, help);
}

static void print_options(FILE *out, const struct command_option *options,
                          size_t count)
{
    for (size_t i = 0; i < count && options[i].name != NULL; i++) {
        print_row(out, options[i].name, options[i].value, options[i].help);
    }
}

static bool has_family(const struct command_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (is_in_family(list->rows[i], word)) {
            return true;
        }
    }
    return false;
}

static void print_family(FILE *out, const struct command_list *list,
                         const char *family)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct command *command = list->rows[i];
        if (family == NULL || is_in_family(command, family)) {
            print_row(out, command->name, command->arguments, command->help);
        }
    }
}

static void print_general_help(FILE *out, const struct command_list *list,
                               const char *family)
{
    fprintf(out, "usage: baton COMMAND [ARGUMENT]... [--OPTION]...\n\n");
    print_family(out, list, family);
    fprintf(out, "\nEverywhere:\n");
    print_options(out, global_options, ARRAY_LENGTH(global_options));
    fprintf(out, "\nbaton COMMAND --help tells a command's options.\n");
}

/* What a command's arguments may be, where that is long. */
static const struct {
    const char *command;
    void (*print)(void);
} topics[] = {
    { "set", command_print_account_settings },
    { "group set", command_print_group_settings },
};

static void print_command_help(const struct command_list *list,
                               const struct command *command)
{
    printf("usage: baton %s%s%s%s\n\n  %s\n", command->name,
           command->arguments[0] != '\0' ? " " : "", command->arguments,
           command->options != NULL ? " [--OPTION]..." : "", command->help);
    if (command->options != NULL) {
        printf("\nOptions:\n");
        print_options(stdout, command->options, COMMAND_OPTIONS_MAX);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
        if (strcmp(command->name, topics[i].command) == 0) {
            topics[i].print();
        }
    }
    if (has_family(list, command->name)) {
        printf("\nSee also:\n");
        print_family(stdout, list, command->name);
    }
    printf("\nEverywhere:\n");
    print_options(stdout, global_options, ARRAY_LENGTH(global_options));
}

/* -- saying what is wrong -- */

static void complain(const char *format, va_list arguments)
{
    fputs("baton: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int command_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return COMMAND_FAILED;
}

int command_misuse(const struct command_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    if (call != NULL) {
        const struct command *command = call->command;
        fprintf(stderr, "usage: baton %s%s%s%s (baton %s --help tells more)\n",
                command->name, command->arguments[0] != '\0' ? " " : "",
                command->arguments,
                command->options != NULL ? " [--OPTION]..." : "",
                command->name);
    }
    return COMMAND_MISUSED;
}

static int refuse_unknown(const struct command_list *list,
                          const struct parsed_line *line)
{
    struct buffer typed = { 0 };
    const char *nearest = NULL;
    size_t least = 3; /* more letters than that are no slip */
    buffer_append_string(&typed, line->words[0]);
    for (size_t words = 1; words <= 2 && words <= line->word_count; words++) {
        if (words == 2) {
            buffer_printf(&typed, " %s", line->words[1]);
        }
        for (size_t i = 0; i < list->count; i++) {
            size_t letters = text_distance(typed.data, list->rows[i]->name);
            if (letters < least ||
                (letters == least && nearest != NULL && words == 2)) {
                least = letters;
                nearest = list->rows[i]->name;
            }
        }
    }
    int status = nearest != NULL
                     ? command_misuse(NULL,
                                      "there is no command \"%s\"; did you "
                                      "mean \"%s\"?",
                                      typed.data, nearest)
                     : command_misuse(NULL,
                                      "there is no command \"%s\": baton "
                                      "--help lists them",
                                      typed.data);
    buffer_free(&typed);
    return status;
}

/* -- reading the line -- */

/* Whether this option of any command takes a value: which command is meant is
 * known only when all words are read. */
static const struct command_option *find_option(
    const struct command_option *options, size_t count, struct text name)
{
    for (size_t i = 0; i < count && options[i].name != NULL; i++) {
        if (text_is(name, options[i].name)) {
            return &options[i];
        }
    }
    return NULL;
}

static const struct command_option *find_any_option(
    const struct command_list *list, struct text name)
{
    const struct command_option *option =
        find_option(global_options, ARRAY_LENGTH(global_options), name);
    for (size_t i = 0; option == NULL && i < list->count; i++) {
        if (list->rows[i]->options != NULL) {
            option =
                find_option(list->rows[i]->options, COMMAND_OPTIONS_MAX, name);
        }
    }
    return option;
}

static int keep_option(struct parsed_line *line,
                       const struct command_option *option, const char *value)
{
    for (size_t i = 0; i < ARRAY_LENGTH(global_options); i++) {
        if (option == &global_options[i]) {
            line->global_values[i] = value;
            return COMMAND_DONE;
        }
    }
    if (line->given_count == COMMAND_OPTIONS_MAX) {
        return command_misuse(NULL, "too many options");
    }
    line->given_names[line->given_count] = option->name;
    line->given_values[line->given_count++] = value;
    return COMMAND_DONE;
}

/* Returns COMMAND_DONE and moves *index on by what it used. */
static int read_option(const struct command_list *list,
                       struct parsed_line *line, int argc, char **argv,
                       int *index)
{
    struct text word = text_of(argv[*index]);
    size_t equals = text_find_byte(word, '=');
    struct text name =
        text_is(word, "-h") ? text_of("--help") : text_slice(word, 0, equals);
    const struct command_option *option = find_any_option(list, name);
    if (option == NULL) {
        return command_misuse(NULL,
                              "there is no option \"%.*s\": baton COMMAND "
                              "--help lists those of a command",
                              TEXT_ARGUMENTS(name));
    }
    const char *value = "";
    if (equals < word.length) {
        if (option->value == NULL) {
            return command_misuse(NULL, "%s takes no value", option->name);
        }
        value = argv[*index] + equals + 1;
    } else if (option->value != NULL) {
        if (*index + 1 == argc || strncmp(argv[*index + 1], "--", 2) == 0) {
            return command_misuse(NULL, "%s needs a value: %s %s", option->name,
                                  option->name, option->value);
        }
        value = argv[++*index];
    }
    return keep_option(line, option, value);
}

static int read_line(const struct command_list *list, struct parsed_line *line,
                     int argc, char **argv)
{
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        if (!options_ended && strcmp(argv[i], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            int status = read_option(list, line, argc, argv, &i);
            if (status != COMMAND_DONE) {
                return status;
            }
        } else if (line->word_count == ARRAY_LENGTH(line->words)) {
            return command_misuse(NULL, "too many arguments: \"%s\"", argv[i]);
        } else {
            line->words[line->word_count++] = argv[i];
        }
    }
    return COMMAND_DONE;
}

/* -- the call -- */

/* "ACCOUNT" of "ACCOUNT [KEY VALUE]", counted from 0. */
static struct text argument_name(const struct command *command, size_t wanted)
{
    struct text rest = text_of(command->arguments);
    struct text word = { 0 };
    for (size_t i = 0; i <= wanted && text_split(&rest, ' ', &word); i++) {
    }
    if (word.length > 0 && word.data[0] == '[') {
        word = text_slice(word, 1, word.length);
    }
    if (word.length > 0 && word.data[word.length - 1] == ']') {
        word.length--;
    }
    return word;
}

static int check_count(const struct command_list *list,
                       const struct command_call *call,
                       const struct parsed_line *line, size_t count)
{
    const struct command *command = call->command;
    if (count < command->argument_minimum) {
        struct text name = argument_name(command, count);
        return command_misuse(call, "%.*s is missing", TEXT_ARGUMENTS(name));
    }
    if (count > 0 && command->argument_maximum == 0 &&
        has_family(list, command->name)) {
        return refuse_unknown(list, line); /* of two words, as queue reset */
    }
    return count > command->argument_maximum
               ? command_misuse(call, "there are too many arguments")
               : COMMAND_DONE;
}

static int fill_call(const struct command_list *list, struct command_call *call,
                     const struct parsed_line *line, size_t name_words)
{
    const struct command *command = call->command;
    size_t count = line->word_count - name_words;
    int status = check_count(list, call, line, count);
    if (status != COMMAND_DONE) {
        return status;
    }
    call->argument_count = count;
    for (size_t i = 0; i < count; i++) {
        call->arguments[i] = line->words[name_words + i];
    }
    for (size_t i = 0; i < line->given_count; i++) {
        const struct command_option *option =
            command->options == NULL
                ? NULL
                : find_option(command->options, COMMAND_OPTIONS_MAX,
                              text_of(line->given_names[i]));
        if (option == NULL) {
            return command_misuse(call, "%s is no option of this command",
                                  line->given_names[i]);
        }
        call->option_values[option - command->options] = line->given_values[i];
    }
    return COMMAND_DONE;
}

const char *command_option(const struct command_call *call, const char *name)
{
    const struct command_option *option =
        find_option(call->command->options, COMMAND_OPTIONS_MAX, text_of(name));
    check(option != NULL);
    return call->option_values[option - call->command->options];
}

static const char *find_config(const struct parsed_line *line)
{
    const char *path = line->global_values[OPTION_CONFIG];
    if (path == NULL) {
        path = getenv("BATON_CONFIG");
    }
    if (path == NULL || path[0] == '\0') {
        path = access(DEFAULT_CONFIG, F_OK) == 0 ? DEFAULT_CONFIG : NULL;
    }
    return path;
}

static bool load_settings(struct command_call *call, struct error *error)
{
    struct error reason;
    if (config_load(call->config, call->config_path, &reason)) {
        return true;
    }
    bool is_there =
        call->config_path == NULL || access(call->config_path, R_OK) == 0;
    return error_set(error, "%s%s", reason.text,
                     is_there ? ""
                              : "; name the configuration with --config or "
                                "BATON_CONFIG");
}

/* Settings, connection, schema: as far as the command needs them. */
static bool prepare(struct command_call *call, struct error *error)
{
    enum command_need need = call->command->need;
    if (need >= NEEDS_SETTINGS && !load_settings(call, error)) {
        return false;
    }
    if (need >= NEEDS_DATABASE) {
        call->admin = admin_connect(error);
        if (call->admin == NULL) {
            return false;
        }
    }
    return need < NEEDS_SCHEMA || admin_check(call->admin, error);
}

static int run_call(struct command_call *call)
{
    struct error error;
    call->config = settings_create();
    int status = prepare(call, &error) ? call->command->run(call)
                                       : command_fail("%s", error.text);
    admin_free(&call->admin);
    config_free(&call->config);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        status = command_fail("the answer could not be written to the standard "
                              "output");
    }
    return status;
}

/* No command is named, or only the first word of several. */
static int explain(const struct command_list *list,
                   const struct parsed_line *line)
{
    bool is_wanted = line->global_values[OPTION_HELP] != NULL;
    if (line->word_count == 0 || strcmp(line->words[0], "help") == 0) {
        is_wanted = is_wanted || line->word_count > 0;
        print_general_help(is_wanted ? stdout : stderr, list, NULL);
        return is_wanted ? COMMAND_DONE : COMMAND_MISUSED;
    }
    if (line->word_count == 1 && has_family(list, line->words[0])) {
        print_general_help(is_wanted ? stdout : stderr, list, line->words[0]);
        return is_wanted ? COMMAND_DONE : COMMAND_MISUSED;
    }
    return refuse_unknown(list, line);
}

/* `help counters` is `counters --help`. */
static void read_help(struct parsed_line *line)
{
    if (line->word_count > 1 && strcmp(line->words[0], "help") == 0) {
        line->word_count--;
        memmove(line->words, line->words + 1,
                line->word_count * sizeof(line->words[0]));
        line->global_values[OPTION_HELP] = "";
    }
}

int command_main(int argc, char **argv, const struct command *extra,
                 size_t extra_count)
{
    struct command_list list;
    struct parsed_line line = { 0 };
    collect_commands(&list, extra, extra_count);
    int status = read_line(&list, &line, argc, argv);
    if (status != COMMAND_DONE) {
        return status;
    }
    if (line.global_values[OPTION_VERSION] != NULL) {
        printf("baton %s\n", BATON_VERSION);
        return COMMAND_DONE;
    }
    read_help(&line);
    size_t name_words = 0;
    struct command_call call = {
        .command =
            find_command(&list, line.words, line.word_count, &name_words),
        .is_json = line.global_values[OPTION_JSON] != NULL,
        .config_path = find_config(&line),
    };
    if (call.command == NULL) {
        return explain(&list, &line);
    }
    if (line.global_values[OPTION_HELP] != NULL) {
        print_command_help(&list, call.command);
        return COMMAND_DONE;
    }
    status = fill_call(&list, &call, &line, name_words);
    return status == COMMAND_DONE ? run_call(&call) : status;
}
