/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <hocket/base.h>

#include <stdio.h>

int command_version(int argc, char **args)
{
    if (argc > 1) {
        fprintf(stderr, "hocket version: it takes no '%s'\n", args[1]);
        return 2;
    }
    printf("hocket %s\n", hk_version());
    return 0;
}
