/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "core/memory.h"
#include "relay/command_internal.h"

static int config_show(struct command_call *call)
{
    config_print(call->config, stdout, call->is_json);
    return COMMAND_DONE;
}

static int config_reference(struct command_call *call)
{
    config_print_reference(call->config, stdout);
    return COMMAND_DONE;
}

const struct command config_commands[] = {
    { "config", "", "print the settings in force and where they come from", 0,
      0, NULL, NEEDS_SETTINGS, config_show },
    { "config reference", "", "print all settings as Markdown", 0, 0, NULL,
      NEEDS_NOTHING, config_reference },
};
const size_t config_command_count = ARRAY_LENGTH(config_commands);
