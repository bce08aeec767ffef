/* SPDX-License-Identifier: MIT */
/* What the command line of hocket-serve asks for. */
#ifndef SERVE_OPTIONS_H
#define SERVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *dir; /* the folder to serve */
    const char *bind;
    uint16_t port; /* 0: the kernel's choice */
    int64_t latency_ns;
    int64_t patience_ns;   /* with a client that sends or takes nothing */
    const char *port_file; /* NULL: none */
    bool quiet;
};

/* Fills `out`. -1: go on; else the status to exit with, everything having been said. */
int options_read(int argc, char **argv, struct options *out);

#endif
