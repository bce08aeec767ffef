/* SPDX-License-Identifier: MIT */
/*
 * Threads that parse, one for each processor: parsing computes for up to 50 ms at a
 * time, during which no other task of a worker could run. Between them and the tasks
 * that fetch there is a channel, which serves tasks and threads alike.
 */
#ifndef CRAWL_PARSERS_H
#define CRAWL_PARSERS_H

#include "arrival.h"

#include <hocket.h>
#include <pthread.h>

struct parsers {
    hk_chan *jobs;     /* struct page *: whoever sends one gives it away */
    hk_chan *arrivals; /* where they go when parsed; borrowed */
    pthread_t *threads;
    unsigned count;
    unsigned running; /* threads that may send; atomic */
};

/* Returns 0 or an error. */
int parsers_start(struct parsers *parsers, hk_chan *arrivals);
/* No more jobs come: when the last has been parsed and sent, `arrivals` is closed. Does
 * not wait. */
void parsers_finish(struct parsers *parsers);
/* Ends the threads. */
void parsers_stop(struct parsers *parsers);

#endif
