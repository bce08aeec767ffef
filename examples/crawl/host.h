/* SPDX-License-Identifier: MIT */
/*
 * What is kept of each host: the connections that wait for their next request, its
 * robots.txt, and the pages of it that are queued.
 */
#ifndef CRAWL_HOST_H
#define CRAWL_HOST_H

#include "failure.h"
#include "robots.h"

#include <hocket.h>

struct host {
    char *authority; /* "host:port" as in URLs */
    char *name;      /* to dial */
    uint16_t port;

    hk_chan *idle; /* struct connection *: those that wait, see connection.h */

    /* Filled in by the task that fetches it, before the first page. */
    bool robots_known;
    struct robots *robots;         /* NULL: everything is allowed */
    struct failure robots_failure; /* no answer: then nothing is fetched */

    /* Owned by frontier.c: a queue of nodes, and a place in the ring of busy hosts. */
    uint32_t queue_head, queue_tail;
    int64_t next_ns; /* not before this time */
    bool held;       /* out of the ring although pages may be queued */
    struct host *ring_next, *ring_prev; /* NULL: not in the ring */

    struct host *next; /* in the list of all */
};

/* The host of a normalised URL. Owns: host_free. */
struct host *host_new(const char *url);
void host_free(struct host *host); /* its connections have been closed before */

#endif
