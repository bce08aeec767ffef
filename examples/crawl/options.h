/* SPDX-License-Identifier: MIT */
/*
 * What the command line asks for. Some options shape what ends up in the database; they
 * are kept in it, so that a run that goes on needs no repetition of them.
 */
#ifndef CRAWL_OPTIONS_H
#define CRAWL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    /* These shape the crawl; store_settings knows them by name. */
    int64_t depth;     /* links away from a start page; -1: any */
    int64_t pages_max; /* -1: any */
    int64_t bytes_max; /* of one page */
    bool all_sites;
    bool no_robots;

    const char *database;
    const char *report; /* NULL: none */
    const char *user_agent;
    uint32_t concurrency;
    int64_t timeout_ns;  /* for one page */
    int64_t interval_ns; /* between two pages of one host; 0: none */
    bool parse_here;     /* not in worker processes */
    bool resume, fresh, retry, quiet;

    char **urls;
    int url_count;
    unsigned given; /* bits OPTION_GIVEN_*: said on this command line */
};

enum {
    OPTION_GIVEN_DEPTH = 1 << 0,
    OPTION_GIVEN_PAGES_MAX = 1 << 1,
    OPTION_GIVEN_BYTES_MAX = 1 << 2,
    OPTION_GIVEN_ALL_SITES = 1 << 3,
    OPTION_GIVEN_NO_ROBOTS = 1 << 4,
};

/* Fills `out`. -1: go on; else the status to exit with, everything having been said. */
int options_read(int argc, char **argv, struct options *out);

#endif
