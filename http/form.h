/* SPDX-License-Identifier: MIT */
/*
 * The fields of a small posted form, in the two encodings that forms have:
 * application/x-www-form-urlencoded and multipart/form-data (RFC 7578). One
 * pass over bytes that are all there; nothing is allocated.
 */
#ifndef BATON_HTTP_FORM_H
#define BATON_HTTP_FORM_H

#include <stdbool.h>

#include "core/text.h"

#define FORM_FIELDS_MAX 32

typedef void form_field_fn(void *owner, struct text name, struct text value);

/* Call on_field for each field, decoded in place: the body is changed. False:
 * the body is no such form, has more than FORM_FIELDS_MAX fields or is cut off;
 * some fields may have been reported. An empty content type means urlencoded.
 */
bool form_read(struct text content_type, struct text body,
               form_field_fn *on_field, void *owner);

#endif
