/* SPDX-License-Identifier: MIT */
/* The program: all it does stands in the tables of commands. */
#include <jansson.h>

#include "core/memory.h"
#include "relay/command.h"
#include "relay/command_serve.h"

int main(int argc, char **argv)
{
    /* Left alone it writes less than it was told when memory runs out. */
    json_set_alloc_funcs(memory_alloc, memory_free);
    return command_main(argc, argv, serve_commands, serve_command_count);
}
