/* SPDX-License-Identifier: MIT */
/* What a copy says about unsubscribing: macros, a line at the end of the text,
 * and the header fields of RFC 2369 and RFC 8058. */
#ifndef BATON_TRACKING_UNSUBSCRIBE_H
#define BATON_TRACKING_UNSUBSCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"
#include "tracking/policy.h"

/* Visit every ***uniqueid*** and every %%UnsubscribeUrl%% (any case), one kind
 * after the other: start with zeros; false at the end. */
struct unsubscribe_macro {
    size_t kind;
    size_t from;
    size_t to;
};
bool unsubscribe_macro_next(struct text text, struct unsubscribe_macro *macro);

/* What stands around the URL, in ASCII. */
struct unsubscribe_frame {
    struct text before;
    struct text behind;
};
/* Appended to the buffer, which the frame points into. */
struct unsubscribe_frame unsubscribe_html_footer(const struct policy *policy,
                                                 struct buffer *out);
struct unsubscribe_frame unsubscribe_text_footer(const struct policy *policy,
                                                 struct buffer *out);
/* "List-Unsubscribe: <" and what is behind the https URI: the end of the field
 * with List-Unsubscribe-Post; or, when the policy has a return host (U8),
 * ", <mailto:", which the local part and unsubscribe_mail_end follow. */
struct unsubscribe_frame unsubscribe_fields(const struct policy *policy);
/* The host and that end, appended. */
struct text unsubscribe_mail_end(const struct policy *policy,
                                 struct buffer *out);

/* List-Unsubscribe itself; and that or List-Unsubscribe-Post. */
bool unsubscribe_is_link_field(struct text name);
bool unsubscribe_is_field(struct text name);

#endif
