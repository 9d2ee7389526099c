/* SPDX-License-Identifier: MIT */
/* What a request asks for, from its own bytes: the path and the host. */
#ifndef BATON_HTTP_TARGET_H
#define BATON_HTTP_TARGET_H

#include <stdbool.h>

#include "core/text.h"

#define TARGET_HOST_SIZE 256

/* Read a request target, as it stood on the wire, in place: "/c/x?y" or
 * "http://host/c/x" (RFC 9112, 3.2.1 and 3.2.2). The query is cut off, and of
 * percent-encodings those of unreserved characters are decoded, which mean the
 * same either way (RFC 3986, 6.2.2.2); all others stay. *out_authority is empty
 * unless the target names one. False: it is no path. */
bool target_read(char *target, struct text *out_authority,
                 struct text *out_path);

/* The host of a Host field or an authority: lower case, without port, brackets
 * or the dot at the end. False: it cannot be one. */
bool target_host(struct text authority, char out_host[TARGET_HOST_SIZE]);

#endif
