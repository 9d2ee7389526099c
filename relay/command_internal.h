/* SPDX-License-Identifier: MIT */
/* What the files of subcommands share: their tables, and steps that say on
 * stderr themselves why they failed. */
#ifndef BATON_RELAY_COMMAND_INTERNAL_H
#define BATON_RELAY_COMMAND_INTERNAL_H

#include <stdint.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/text.h"
#include "relay/command.h"

extern const struct command account_commands[];
extern const size_t account_command_count;
extern const struct command domain_commands[];
extern const size_t domain_command_count;
extern const struct command route_commands[];
extern const size_t route_command_count;
extern const struct command inbound_commands[];
extern const size_t inbound_command_count;
extern const struct command message_commands[];
extern const size_t message_command_count;
extern const struct command queue_commands[];
extern const size_t queue_command_count;
extern const struct command sandbox_commands[];
extern const size_t sandbox_command_count;
extern const struct command group_commands[];
extern const size_t group_command_count;
extern const struct command suppression_commands[];
extern const size_t suppression_command_count;
extern const struct command classify_commands[];
extern const size_t classify_command_count;
extern const struct command tracking_commands[];
extern const size_t tracking_command_count;
extern const struct command set_commands[];
extern const size_t set_command_count;
extern const struct command limit_commands[];
extern const size_t limit_command_count;
extern const struct command migrate_commands[];
extern const size_t migrate_command_count;
extern const struct command config_commands[];
extern const size_t config_command_count;
extern const struct command verify_commands[];
extern const size_t verify_command_count;

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
/* The id of an account's group, by its name; `{}` and "" are the messages
 * without a group. False: there is none, and that was said. */
bool command_find_group(struct command_call *call, const char *account_id,
                        const char *name, struct id_text *out_id);
/* An account id, if the first argument names one; else NULL. */
bool command_find_account_argument(struct command_call *call,
                                   struct id_text *out_id,
                                   const char **out_parameter);
/* Print the rows of a statement, of the account of the first argument or of
 * all. */
int command_list_of_account(struct command_call *call, const char *statement,
                            const char *nothing);
/* Remove one thing of an account; `value` as the database has it. */
int command_remove_from_account(struct command_call *call,
                                const char *statement, const char *noun,
                                const char *value);
/* "2h" ago, or what is written there as it is, for PostgreSQL to read. */
const char *command_read_since(const char *written,
                               char out_text[CLOCK_TEXT_SIZE]);
/* Say why a question with --since failed. */
int command_fail_since(struct command_call *call, const char *since,
                       const struct error *error);
/* An address as it is kept, in the caller's buffer: with A-labels. What is none
 * stays as it is: nobody is kept under it. */
const char *command_kept_address(const char *written,
                                 char out_kept[ADDRESS_TEXT_MAX + 1]);

bool command_read_domain(const char *name, char *out_domain, size_t size);
/* A route's target as it may be shown: without the password. */
void command_print_target(const char *written, struct buffer *out_text);
/* Which of these words is meant, in any case; NULL: none. */
const char *command_read_word(const char *written, const char *const *words,
                              size_t word_count);
/* Whether this can name a group from now on; else that was said, after
 * `option` ("--group ", or ""). */
bool command_check_group_name(const char *option, const char *name);
/* --limit, or the default; written as a parameter. */
bool command_read_limit(const struct command_call *call, const char *initial,
                        struct id_text *out_limit);

/* -- settings (command_set.c) -- */

/* The name of a setting of tracking/policy.h, which may be written in any case,
 * or of `kind`; NULL: a group has no such, and that was said. */
const char *command_read_group_key(const char *written);
/* A value of such a setting: as it is written, or in small letters, which are
 * put into `lowered`. NULL: it cannot be, and that was said. */
const char *command_read_policy(const char *key, const char *written,
                                struct buffer *lowered);
/* The keys and what they may be, for the help of a command. */
void command_print_account_settings(void);
void command_print_group_settings(void);

/* An account got a limit: count what it had accepted before (command_limits.c).
 * False: why not was said. */
bool command_begin_usage(struct command_call *call, const char *account_id);

int command_message_diff(struct command_call *call); /* command_diff.c */

/* -- output (command_output.c) -- */

/* Foreign text for a terminal: control characters as "?". */
void output_text(const char *text);
/* Any bytes for a terminal: lines and tabs stay, CR goes, other control
 * characters and what is no UTF-8 become "?". */
void output_bytes(struct text text);
/* Any bytes as a JSON string: what is no UTF-8 becomes U+FFFD. */
json_t *output_text_json(struct text text);
/* All rows, as JSON or aligned in columns; `nothing` instead of none. */
void output_table(const struct command_call *call,
                  const struct admin_table *table, const char *nothing);
/* For people these columns only. */
void output_columns(const struct command_call *call,
                    const struct admin_table *table, const char *const *columns,
                    size_t column_count, const char *nothing);
/* One JSON value on stdout; takes the reference. */
void output_json(json_t *json);
/* Each line of it, indented. */
void output_lines(const char *text, const char *indent);
/* The word for so many. */
const char *output_noun(long long count, const char *one, const char *many);
/* What was done: a sentence, or with --json the object (taken). */
void output_done(const struct command_call *call, json_t *json,
                 const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
