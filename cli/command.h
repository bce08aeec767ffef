/* SPDX-License-Identifier: MIT */
/* One subcommand of `hocket`: a file of its own, and a line in main.c's table. */
#ifndef HOCKET_CLI_COMMAND_H
#define HOCKET_CLI_COMMAND_H

/* args[0] is the subcommand's name. Returns the exit status: 0, 1 failed, 2 usage. */
typedef int command_fn(int argc, char **args);

command_fn command_probe;
command_fn command_version;

#endif
