/* SPDX-License-Identifier: MIT */
/*
 * A thread that stores pages: SQLite blocks, and a transaction for each page would cost
 * more than the page. It stores in one what comes within a fifth of a second.
 */
#ifndef CRAWL_WRITER_H
#define CRAWL_WRITER_H

#include "store.h"

#include <hocket.h>
#include <pthread.h>

struct writer {
    struct store *store; /* the thread's own until writer_stop */
    hk_chan *pages;      /* struct page *: whoever sends one gives it away */
    hk_event failed;     /* a transaction failed: nothing more is stored */
    pthread_t thread;
};

/* Returns 0 or an error. */
int writer_start(struct writer *writer, struct store *store);
/* Lets it store what it has been sent, and ends it. */
void writer_stop(struct writer *writer);

#endif
