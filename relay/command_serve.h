/* SPDX-License-Identifier: MIT */
/* `baton serve`, and `baton health`, which asks a serving one how it is. */
#ifndef BATON_RELAY_COMMAND_SERVE_H
#define BATON_RELAY_COMMAND_SERVE_H

#include "relay/command.h"

extern const struct command serve_commands[];
extern const size_t serve_command_count;

#endif
