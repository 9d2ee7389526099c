/* SPDX-License-Identifier: MIT */
/*
 * Settings: an INI file, then environment overrides BATON_SECTION_KEY. Each
 * room has one table of its settings; a row is everything there is to know
 * about one. An unknown key or a bad value stops the start with file, line and
 * what was expected.
 *
 * The file: "[section]", "key = value", comments on lines of their own that
 * begin with ";" or "#". A value reaches to the end of its line: ";", "#" and
 * quotes in it are part of it. Sections and keys are read in lower case. A key
 * stands once.
 */
#ifndef BATON_CORE_CONFIG_H
#define BATON_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "core/text.h"

enum setting_type {
    SETTING_TEXT, /* const char *; never NULL */
    SETTING_NUMBER, /* int64_t, within minimum and maximum */
    SETTING_SIZE, /* int64_t bytes: "64 KB", "50 MB", "1 GB", "1024" */
    SETTING_SPAN, /* int64_t milliseconds: "250 ms", "30 s", "5 min", "4 h",
                     "4 d" */
    SETTING_BOOLEAN, /* bool: on off yes no true false */
    SETTING_CHOICE, /* int: index of the word in choices, "a|b|c" */
    SETTING_LIST, /* const char *: any number of values, written with commas
                     or blanks between them, joined by '\n'; for a section
                     whose keys are free ("[listen]"), a line "key=value" for
                     each, those with an empty value left out */
};

struct setting {
    const char *section;
    const char *key; /* "*": every key of the section (SETTING_LIST only) */
    enum setting_type type;
    void *value; /* where it goes: a static variable of the room */
    const char *initial; /* the default, written as in the file; NULL is "";
                            of a "*" row: lines of "key=value" */
    const char *description; /* one line */
    int64_t minimum; /* SETTING_NUMBER, SETTING_SIZE, SETTING_SPAN */
    int64_t maximum; /* 0: no limit */
    const char *choices;
    bool is_secret; /* `baton config` shows "(set)" instead of the value */
    /* NULL, or a further check of the written value; of a list: of each of its
     * values; of a "*" row: of each value that is not empty (not the key). */
    bool (*check_value)(const char *value, struct error *error);
};

struct config;

struct config *config_create(void);
void config_free(struct config **config);
/* Borrow a table of settings; all tables before config_load. */
void config_add(struct config *config, const struct setting *settings,
                size_t setting_count);
/* Defaults, then the file (NULL: none), then the environment. All or nothing:
 * on false no variable was changed, and the error names file, line, key and
 * what was expected. May be called again to reload: strings that were assigned
 * stay valid until config_free, so that whoever holds one need not know.
 *
 * A "*" row of the file replaces the default rows; BATON_LISTEN_SMTP then
 * replaces or adds the row `smtp`, and takes it away when empty. */
bool config_load(struct config *config, const char *path,
                 struct error *error) MUST_USE;
/* Every setting with value and origin ("default", "baton.conf:12",
 * "environment BATON_SERVER_HOSTNAME"), as a file that can be loaded again; or
 * as a JSON array. After a config_load that succeeded. */
void config_print(const struct config *config, FILE *out, bool as_json);
/* Every row, as Markdown tables, for the reference document. */
void config_print_reference(const struct config *config, FILE *out);

/* Read a span as a SETTING_SPAN is written, for values that have spans in them:
 * "250 ms", "4 h"; without a unit only "0". False: it is none. */
bool config_parse_span(struct text text, int64_t *out_milliseconds);

#endif
