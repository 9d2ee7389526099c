/* SPDX-License-Identifier: MIT */
/* The program: all it does stands in the tables of commands. */
#include "relay/command.h"
#include "relay/command_serve.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv, serve_commands, serve_command_count);
}
