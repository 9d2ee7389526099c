#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Turns SQL files into C tables.

    statements.py SQL_FOLDER OUTPUT_FOLDER

SQL_FOLDER/statements/NAME.sql holds one statement, under a comment that says
what it is for, its parameters ("-- $1 name type") and its columns. The comment
stays out of the program. A statement with lines "-- again: TEXT" is two: NAME is
without them, and NAME_again, for rows that may be there already, has their TEXT. SQL_FOLDER/schema/NNNN_NAME.sql are the steps of the
schema, taken whole.
"""

import os
import re
import sys

HEADER = """\
/* SPDX-License-Identifier: MIT */
/* Made by cmake/statements.py from sql/statements and sql/schema. */
#ifndef BATON_SQL_STATEMENT_TABLE_H
#define BATON_SQL_STATEMENT_TABLE_H

#include <stddef.h>

enum statement {
%(names)s
    STATEMENT_COUNT
};

struct statement_text {
    const char *name;
    const char *text;
    int parameter_count;
};

extern const struct statement_text statement_table[STATEMENT_COUNT];
/* The statement of this name, or STATEMENT_COUNT. */
enum statement statement_by_name(const char *name);

struct schema_migration {
    int number;
    const char *name;
    const char *text;
};

extern const struct schema_migration schema_migrations[]; /* in order */
extern const size_t schema_migration_count;

#endif
"""

SOURCE = """\
/* SPDX-License-Identifier: MIT */
/* Made by cmake/statements.py from sql/statements and sql/schema. */
#include "sql/statement_table.h"

#include <string.h>

const struct statement_text statement_table[STATEMENT_COUNT] = {
%(statements)s
};

enum statement statement_by_name(const char *name)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (strcmp(statement_table[i].name, name) == 0) {
            return (enum statement)i;
        }
    }
    return STATEMENT_COUNT;
}

const struct schema_migration schema_migrations[] = {
%(migrations)s
};
const size_t schema_migration_count =
    sizeof(schema_migrations) / sizeof(schema_migrations[0]);
"""


class WrongFile(Exception):
    pass


def literal(text):
    """A C string literal, one line of source a line of text."""
    lines = []
    for line in text.splitlines():
        escaped = "".join(
            "\\" + c if c in '"\\' else
            c if " " <= c <= "~" else
            "".join("\\%03o" % byte for byte in c.encode())
            for c in line)
        lines.append('        "%s\\n"' % escaped)
    return "\n".join(lines) or '        ""'


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def split_comment(path, text):
    """The comment on top and the statement below it."""
    lines = text.splitlines()
    i = 0
    while i < len(lines) and (lines[i].startswith("--") or
                              not lines[i].strip()):
        i += 1
    comment = "\n".join(lines[:i])
    statement = "\n".join(lines[i:]).strip().rstrip(";").rstrip()
    if not comment.strip() or not statement:
        raise WrongFile("%s: expected a comment and, below, one statement" %
                        path)
    return comment, statement


def without_comments(statement):
    return re.sub(r"--[^\n]*", "", statement)


def forms(name, statement):
    """The statement, and with its lines for rows that may be there already."""
    once = re.sub(r"^[ ]*-- again:[^\n]*(\n|$)", "", statement, flags=re.M)
    again = re.sub(r"^([ ]*)-- again: ", r"\1", statement, flags=re.M)
    found = [(name, once.rstrip().rstrip(";").rstrip())]
    return found if once == statement else found + [(name + "_again", again)]


def read_statements(path):
    name = os.path.basename(path)[:-len(".sql")]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise WrongFile("%s: the name may have lower-case letters, digits and "
                        "underscores" % path)
    comment, statement = split_comment(path, read(path))
    described = {int(n) for n in re.findall(r"^--\s+\$(\d+)\s", comment, re.M)}
    found = forms(name, statement)
    used = {int(n) for n in
            re.findall(r"\$(\d+)", without_comments(found[0][1]))}
    if described != used or used != set(range(1, len(used) + 1)):
        raise WrongFile("%s: the comment describes the parameters %s, the "
                        "statement uses %s" %
                        (path, sorted(described), sorted(used)))
    return [(each, text, len(used)) for each, text in found]


def read_migration(path):
    match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", os.path.basename(path))
    if match is None:
        raise WrongFile("%s: expected a name like 0002_what_for.sql" % path)
    return int(match.group(1)), match.group(2), read(path)


def files_in(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(".sql")]


def write_if_changed(path, text):
    if not os.path.exists(path) or read(path) != text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        os.utime(path)


def main(sql_folder, output_folder):
    statements = sorted(each for path in
                        files_in(os.path.join(sql_folder, "statements"))
                        for each in read_statements(path))
    migrations = [read_migration(path) for path in
                  files_in(os.path.join(sql_folder, "schema"))]
    if [m[0] for m in migrations] != list(range(1, len(migrations) + 1)):
        raise WrongFile("%s/schema: the numbers must be 0001, 0002, … without "
                        "gaps" % sql_folder)
    header = HEADER % {"names": "\n".join(
        "    STATEMENT_%s," % name.upper() for name, _, _ in statements)}
    source = SOURCE % {
        "statements": "\n".join(
            '    [STATEMENT_%s] = {\n        "%s",\n%s, %d },' %
            (name.upper(), name, literal(text), count)
            for name, text, count in statements),
        "migrations": "\n".join(
            '    { %d, "%s",\n%s },' % (number, name, literal(text))
            for number, name, text in migrations)}
    write_if_changed(os.path.join(output_folder, "statement_table.h"), header)
    write_if_changed(os.path.join(output_folder, "statement_table.c"), source)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except WrongFile as wrong:
        sys.exit(str(wrong))
