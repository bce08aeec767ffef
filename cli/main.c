/* SPDX-License-Identifier: MIT */
/* The `hocket` command: a table of subcommands. */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    command_fn *run;
    const char *summary;
} commands[] = {
    {"probe", command_probe, "what this machine offers to hocket"},
    {"version", command_version, "the version of the library"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *out)
{
    fputs("usage: hocket COMMAND\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = "version";
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "hocket: no command '%s'; 'hocket help' lists them\n", argv[1]);
    return 2;
}
