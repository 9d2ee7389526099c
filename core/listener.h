/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. The supervisor opens them before it drops privileges and
 * forks; every worker accepts on the inherited descriptors.
 */
#ifndef BATON_CORE_LISTENER_H
#define BATON_CORE_LISTENER_H

#include "core/error.h"
#include "core/loop.h"
#include "core/network.h"

/* Bind and listen: non-blocking, close-on-exec, SO_REUSEADDR. Returns the
 * descriptor, or -1 with errno set and the error filled ("cannot listen on
 * 0.0.0.0:25: permission denied; start as root …"). */
int listener_open(const struct network_address *address,
                  struct error *error) MUST_USE;

struct listener;

/* Called with a non-blocking descriptor that is now the callee's. */
typedef void listener_fn(void *owner, int descriptor,
                         const struct network_address *peer);
/* Called before accepting: false leaves the connection to another worker for
 * the moment (uneven sessions are uneven cores). NULL: always. */
typedef bool listener_may_accept_fn(void *owner);

/* Accept a few connections per loop turn; out of descriptors (EMFILE) pauses
 * accepting for 100 ms and logs it. The listening descriptor is borrowed. */
struct listener *listener_start(struct loop *loop, int borrowed_descriptor,
                                listener_may_accept_fn *may_accept,
                                listener_fn *on_accept, void *owner);
void listener_stop(struct listener **listener);

#endif
