/* SPDX-License-Identifier: MIT */
/* How a setting is written and read; private to config.c. */
#ifndef BATON_CORE_CONFIG_INTERNAL_H
#define BATON_CORE_CONFIG_INTERNAL_H

#include "core/config.h"
#include "core/text.h"

union setting_value {
    const char *text;
    int64_t number;
    bool boolean;
    int choice;
};

/* Read one written value of every type but lists; the error says what was
 * expected, without file and key. A text is borrowed, not copied. */
bool setting_parse(const struct setting *setting, const char *written,
                   union setting_value *out_value,
                   struct error *error) MUST_USE;
/* Put a value where the setting points to. */
void setting_assign(const struct setting *setting, union setting_value value);
/* "number", "size" …; and "1 to 64" or "" when there are no limits. */
const char *setting_type_text(enum setting_type type);
void setting_append_limits(const struct setting *setting,
                           struct buffer *out_text);
/* The word of candidates that is most like it, or NULL if none is. */
const char *nearest_word(const char *word, const char *const *candidates,
                         size_t candidate_count);

#endif
