/* SPDX-License-Identifier: MIT */
/* What clients say, as PostgreSQL takes it for text. */
#ifndef BATON_HTTP_PLAIN_TEXT_H
#define BATON_HTTP_PLAIN_TEXT_H

#include "core/text.h"

/* So many bytes of a user agent are kept, and a NUL. */
#define USER_AGENT_SIZE 513

/* As many bytes and a NUL; NUL and what is no UTF-8 becomes "?". */
void plain_text_copy(struct text from, char *to);
/* Cut at a character, not within one. */
void user_agent_copy(struct text user_agent, char to[USER_AGENT_SIZE]);

#endif
