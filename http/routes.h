/* SPDX-License-Identifier: MIT */
/* The paths that are served, one row each: routes.c. */
#ifndef BATON_HTTP_ROUTES_H
#define BATON_HTTP_ROUTES_H

#include "http/request.h"

extern const struct http_route http_routes[];
extern const size_t http_route_count;

#endif
