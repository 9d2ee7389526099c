/* SPDX-License-Identifier: MIT */
/*
 * PostgreSQL for the command line: one blocking connection, answers as tables.
 * Nothing here is used by a worker.
 */
#ifndef BATON_SQL_ADMIN_H
#define BATON_SQL_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/text.h"

struct admin;
struct admin_table;

/* Connect to database_url(). The error says how to give another. */
struct admin *admin_connect(struct error *error) MUST_USE;
void admin_free(struct admin **admin);

/* Bring the schema to the newest version; safe on every node at once (an
 * advisory lock). Prints each migration applied. Then creates partitions. */
bool admin_migrate(struct admin *admin, struct error *error) MUST_USE;
/* False if the schema is older or newer than this program, the sentence says
 * what to do; or if fsync or synchronous_commit is off and
 * [database] allow_unsafe_durability is not set. */
bool admin_check(struct admin *admin, struct error *error) MUST_USE;

/* Run a named statement (sql/statements/NAME.sql) with text parameters (NULL is
 * NULL) and return its rows, or NULL with the error: the sentence of a unique
 * or foreign key violation is made readable by the caller, who can ask
 * admin_sqlstate. */
struct admin_table *admin_run(struct admin *admin, const char *statement,
                              const char *const *parameters,
                              size_t parameter_count,
                              struct error *error) MUST_USE;
const char *admin_sqlstate(const struct admin *admin); /* of the last failure */
bool admin_begin(struct admin *admin, struct error *error) MUST_USE;
bool admin_commit(struct admin *admin, struct error *error) MUST_USE;
/* Give up what was begun; after a failure, before the next admin_begin. */
void admin_rollback(struct admin *admin);

size_t admin_row_count(const struct admin_table *table);
size_t admin_column_count(const struct admin_table *table);
const char *admin_column_name(const struct admin_table *table, size_t column);
/* The value as text, "" for NULL; column by name (a programming error if there
 * is none). */
const char *admin_value(const struct admin_table *table, size_t row,
                        const char *column);
bool admin_is_null(const struct admin_table *table, size_t row,
                   const char *column);
/* Append the bytes of a value that is bytea. */
void admin_bytes(const struct admin_table *table, size_t row,
                 const char *column, struct buffer *out_bytes);
void admin_table_free(struct admin_table **table);
/* An array of objects; bigint columns named *_id become strings (they do not
 * fit a double), other numbers numbers, instants RFC 3339, NULL null. The
 * caller decrefs. */
json_t *admin_table_json(const struct admin_table *table);

#endif
