/* SPDX-License-Identifier: MIT */
/*
 * `baton serve`: bind the ports, drop privileges, fork the workers on the
 * inherited listeners, replace a dead one with back-off. It holds no
 * connection, parses nothing of a peer's and has no loop.
 */
#ifndef BATON_RELAY_SUPERVISOR_H
#define BATON_RELAY_SUPERVISOR_H

#include "core/config.h"

/* config is loaded already; path NULL: there is no file. Returns the exit
 * status. */
int supervisor_run(struct config *config, const char *config_path);

#endif
