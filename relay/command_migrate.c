/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "core/memory.h"
#include "relay/command_internal.h"

static int migrate(struct command_call *call)
{
    struct error error;
    if (!admin_migrate(call->admin, &error) ||
        !admin_check(call->admin, &error)) {
        return command_fail("%s", error.text);
    }
    output_done(call, json_pack("{sb}", "is_current", 1),
                "The schema is up to date.");
    return COMMAND_DONE;
}

const struct command migrate_commands[] = {
    { "migrate", "", "make or renew the schema in PostgreSQL", 0, 0, NULL,
      NEEDS_DATABASE, migrate },
};
const size_t migrate_command_count = ARRAY_LENGTH(migrate_commands);
