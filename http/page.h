/* SPDX-License-Identifier: MIT */
/* The one page that recipients see: what they receive, and how to end it. */
#ifndef BATON_HTTP_PAGE_H
#define BATON_HTTP_PAGE_H

#include "core/text.h"

enum page_state {
    PAGE_SUBSCRIBED, /* or it is not known: asks */
    PAGE_UNSUBSCRIBED, /* it was so already */
    PAGE_JUST_UNSUBSCRIBED,
    PAGE_JUST_RESUBSCRIBED
};

/* The content of its style element; the page's policy names its digest. */
extern const char page_style[];

/* Append the page. group_name: NULL for messages without a group. Names are
 * escaped here. Nothing of it says whose address it is. */
void page_write(struct buffer *out_html, enum page_state state,
                const char *account_name, const char *group_name);

#endif
