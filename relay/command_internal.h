/* SPDX-License-Identifier: MIT */
/* What the files of subcommands share: their tables, and steps that say on
 * stderr themselves why they failed. */
#ifndef BATON_RELAY_COMMAND_INTERNAL_H
#define BATON_RELAY_COMMAND_INTERNAL_H

#include <stdint.h>

#include "core/text.h"
#include "relay/command.h"

extern const struct command account_commands[];
extern const size_t account_command_count;
extern const struct command route_commands[];
extern const size_t route_command_count;
extern const struct command message_commands[];
extern const size_t message_command_count;
extern const struct command queue_commands[];
extern const size_t queue_command_count;
extern const struct command sandbox_commands[];
extern const size_t sandbox_command_count;
extern const struct command migrate_commands[];
extern const size_t migrate_command_count;
extern const struct command config_commands[];
extern const size_t config_command_count;

#define CHANNEL_DIRECTORY "baton_directory"
#define CHANNEL_QUEUE "baton_queue"

/* Decimal text of an id, as a parameter. */
struct id_text {
    char text[24];
};

/* The rows of a statement, or NULL after saying why not. */
struct admin_table *command_query(struct command_call *call,
                                  const char *statement,
                                  const char *const *parameters,
                                  size_t parameter_count);
/* The same in a transaction of its own that also tells the workers. Says
 * nothing but leaves *out_error, so that the caller can put it better. */
struct admin_table *command_change(struct command_call *call,
                                   const char *statement,
                                   const char *const *parameters,
                                   size_t parameter_count, const char *channel,
                                   const char *payload,
                                   struct error *out_error);
/* command_change for the directory, and say why it failed. */
struct admin_table *command_change_directory(struct command_call *call,
                                             const char *statement,
                                             const char *const *parameters,
                                             size_t parameter_count);
/* Whether the last failure was that the row is there already. */
bool command_is_duplicate(const struct command_call *call);

/* The account that a person names, by name or id. */
bool command_find_account(struct command_call *call, const char *name,
                          struct id_text *out_id);
/* --account; *out_parameter is NULL without it. */
bool command_find_account_option(struct command_call *call,
                                 struct id_text *out_id,
                                 const char **out_parameter);
bool command_read_domain(const char *name, char *out_domain, size_t size);
/* --limit, or the default; written as a parameter. */
bool command_read_limit(const struct command_call *call, const char *initial,
                        struct id_text *out_limit);

/* -- output (command_output.c) -- */

/* Foreign text for a terminal: control characters as "?". */
void output_text(const char *text);
/* All rows, as JSON or aligned in columns; `nothing` instead of none. */
void output_table(const struct command_call *call,
                  const struct admin_table *table, const char *nothing);
/* One JSON value on stdout; takes the reference. */
void output_json(json_t *json);
/* Each line of it, indented. */
void output_lines(const char *text, const char *indent);
/* What was done: a sentence, or with --json the object (taken). */
void output_done(const struct command_call *call, json_t *json,
                 const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
