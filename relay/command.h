/* SPDX-License-Identifier: MIT */
/*
 * The command line: `baton COMMAND ARGUMENT… --option`. A subcommand is one row
 * of a table; this module finds it, reads its arguments, loads the settings and
 * connects to PostgreSQL as far as the row asks for.
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage.
 */
#ifndef BATON_RELAY_COMMAND_H
#define BATON_RELAY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "core/config.h"
#include "sql/admin.h"

/* As many as `baton classify` is given files. */
#define COMMAND_ARGUMENTS_MAX 4096
#define COMMAND_OPTIONS_MAX 12

#define COMMAND_DONE 0
#define COMMAND_FAILED 1
#define COMMAND_MISUSED 2

enum command_need {
    NEEDS_NOTHING,
    NEEDS_SETTINGS, /* loaded */
    NEEDS_DATABASE, /* and a connection */
    NEEDS_SCHEMA, /* and in it the schema of this program */
};

struct command_option {
    const char *name; /* "--limit" */
    const char *value; /* what help calls its value; NULL: it has none */
    const char *help;
};

struct command_call;

struct command {
    const char *name; /* one or two words: "account add" */
    const char *arguments; /* for help: "NAME" */
    const char *help; /* one line */
    size_t argument_minimum;
    size_t argument_maximum;
    const struct command_option *options; /* up to a NULL name; NULL: none */
    enum command_need need;
    int (*run)(struct command_call *);
};

/* One use of a subcommand. */
struct command_call {
    const struct command *command;
    const char *arguments[COMMAND_ARGUMENTS_MAX];
    size_t argument_count;
    const char *option_values[COMMAND_OPTIONS_MAX]; /* "" of a switch; NULL */
    bool is_json;
    const char *config_path; /* NULL: there is no file */
    struct config *config; /* all settings, loaded unless NEEDS_NOTHING */
    struct admin *admin; /* or NULL */
};

/* Run one command; `extra` are rows besides those of relay/. Returns the exit
 * status. */
int command_main(int argc, char **argv, const struct command *extra,
                 size_t extra_count);

/* The value of an option, "" of a switch that was given, or NULL. */
const char *command_option(const struct command_call *call, const char *name);
/* Say on stderr what is wrong; return COMMAND_FAILED or COMMAND_MISUSED. */
int command_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int command_misuse(const struct command_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
