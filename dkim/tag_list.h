/* SPDX-License-Identifier: MIT */
/* Lists of tags, "a=1; b=2", as DKIM has them in fields and records (RFC 6376,
 * 3.2), and DMARC as well. */
#ifndef BATON_DKIM_TAG_LIST_H
#define BATON_DKIM_TAG_LIST_H

#include <stdbool.h>

#include "core/text.h"

struct tag { /* views of the list, without the white space around them */
    struct text name;
    struct text value;
};

/* Cut the next tag off; an empty one between semicolons is passed over, one
 * without "=" has a name of length 0. False at the end. */
bool tag_next(struct text *rest, struct tag *out_tag);
/* The value of a tag by its name, which is written in this very case; false:
 * it does not stand there. */
bool tag_find(struct text list, const char *name, struct text *out_value);
/* Whether names are made of letters, digits and "_", each has "=", and none
 * stands twice: else the list is to be refused whole. At most 64 tags. */
bool tag_list_is_lawful(struct text list);

/* Without spaces, tabs, CR and LF at both ends. */
struct text tag_trim(struct text text);
/* Append without any of them, as in base64 that is folded. */
void tag_append_unfolded(struct text value, struct buffer *out);

#endif
