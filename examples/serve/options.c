/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <hocket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: hocket-serve [options] DIR\n"
    "Serves the files in DIR over HTTP/1.1. Ctrl-C ends it; responses in flight are\n"
    "finished first.\n"
    "\n"
    "  -p, --port N          listen on port N; 0: any free one (default 8000)\n"
    "  -b, --bind ADDRESS    listen on this address (default 127.0.0.1; * is all)\n"
    "      --latency-ms N    wait N milliseconds before each response\n"
    "      --patience-ms N   give a client N milliseconds to send a request, or to "
    "take\n"
    "                        64 KiB of a response (default 15000)\n"
    "      --port-file FILE  write the port to FILE once it listens\n"
    "  -q, --quiet           print no line for each request\n"
    "  -h, --help            print this\n"
    "      --version         print the version\n"
    "\n"
    "Exit status: 0 ended by a signal, 1 it could not serve, 2 wrong usage.\n";

enum { OPT_LATENCY = 256, OPT_PATIENCE, OPT_PORT_FILE, OPT_VERSION };

static const struct option table[] = {
    {"port", required_argument, NULL, 'p'},
    {"bind", required_argument, NULL, 'b'},
    {"latency-ms", required_argument, NULL, OPT_LATENCY},
    {"patience-ms", required_argument, NULL, OPT_PATIENCE},
    {"port-file", required_argument, NULL, OPT_PORT_FILE},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int complain(const char *what, const char *which)
{
    fprintf(stderr, "hocket-serve: %s%s (see --help)\n", what, which);
    return 2;
}

static bool read_number(const char *text, long max, long *out)
{
    char *end;
    long value;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || *end || value > max)
        return false;
    *out = value;
    return true;
}

static int take_milliseconds(int64_t *out_ns)
{
    long number;

    if (!read_number(optarg, 600000, &number))
        return complain("not a number of milliseconds up to 600000: ", optarg);
    *out_ns = number * HK_MILLISECOND;
    return -1;
}

/* One option; -1: fine. */
static int apply(int option, struct options *out)
{
    long number;

    switch (option) {
    case 'p':
        if (!read_number(optarg, 65535, &number))
            return complain("not a port: ", optarg);
        out->port = (uint16_t)number;
        return -1;
    case OPT_LATENCY: return take_milliseconds(&out->latency_ns);
    case OPT_PATIENCE: return take_milliseconds(&out->patience_ns);
    case 'b': out->bind = optarg; return -1;
    case OPT_PORT_FILE: out->port_file = optarg; return -1;
    case 'q': out->quiet = true; return -1;
    case 'h': fputs(usage, stdout); return 0;
    default: printf("hocket-serve %s\n", hk_version()); return 0;
    }
}

/* getopt is at `word`, or, of several letters in one word, at the letter optopt. */
static int complain_unknown(const char *word)
{
    const char letter[] = {'-', (char)optopt, '\0'};

    return complain("unknown option ", strncmp(word, "--", 2) != 0 ? letter : word);
}

int options_read(int argc, char **argv, struct options *out)
{
    int option, status;

    *out = (struct options){
        .bind = "127.0.0.1",
        .port = 8000,
        .patience_ns = 15 * HK_SECOND,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:b:qh", table, NULL)) != -1) {
        if (option == '?')
            return complain_unknown(argv[optind - 1]);
        if (option == ':')
            return complain("a value is missing after ", argv[optind - 1]);
        status = apply(option, out);
        if (status >= 0)
            return status;
    }
    if (optind == argc)
        return complain("which folder? DIR is missing", "");
    if (argc - optind > 1)
        return complain("only one folder can be served, not also ", argv[optind + 1]);
    out->dir = argv[optind];
    return -1;
}
