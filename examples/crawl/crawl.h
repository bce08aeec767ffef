/* SPDX-License-Identifier: MIT */
/*
 * The crawl itself: one task that decides, a task for each page that is being fetched.
 *
 *                        parsers (processes)
 *                             ^  |
 *                             |  v
 *     frontier --> fetch, parse (tasks) --> crawl --> writer (thread)
 *         ^                                   |
 *         +-------------- links --------------+
 *
 * The arrows to the right are channels of limited size; the one back is a call. So the
 * crawl never waits for what waits for it. A page's task starts the job that parses it,
 * and awaits its result. What is not sent through a channel belongs to the crawl's own
 * task, or never changes: there are no locks.
 */
#ifndef CRAWL_CRAWL_H
#define CRAWL_CRAWL_H

#include "arrival.h"
#include "console.h"
#include "frontier.h"
#include "options.h"
#include "parsers.h"
#include "tally.h"
#include "writer.h"

#include <hocket.h>

struct crawl {
    const struct options *options;
    struct frontier *frontier;
    struct parsers parsers;
    struct writer writer;
    struct console console;
    struct tally tally;

    hk_chan *arrivals; /* struct arrival */
    hk_sem slots;      /* one for each page that may be fetched at once */
    hk_event stop;     /* a signal came */
    hk_scope fetches;
    uint32_t active;     /* pages and robots.txt that have not arrived */
    uint32_t pages_out;  /* of them pages */
    int64_t pages_done;  /* with those of earlier runs */
    int64_t progress_ns; /* when to show it next */
    bool stopped;        /* by a signal, before the end */
};

/* Starts the threads, crawls, ends the threads. `crawl` has its options, its frontier
 * and pages_done filled in, and is else zeroed. Returns 0 or an error. */
int crawl_run(struct crawl *crawl, struct store *store);

/* Nothing is left to fetch, or as much as was asked for has been fetched. */
bool crawl_is_complete(const struct crawl *crawl);

#endif
