/* SPDX-License-Identifier: MIT */
/* The program: all it does stands in the tables of commands. */
#include <jansson.h>

#include "core/memory.h"
#include "core/tls.h"
#include "relay/command.h"
#include "relay/command_serve.h"

int main(int argc, char **argv)
{
    /* Left alone they do less than they were told when memory runs out. */
    json_set_alloc_funcs(memory_alloc, memory_free);
    tls_stop_without_memory();
    return command_main(argc, argv, serve_commands, serve_command_count);
}
