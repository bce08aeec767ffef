/* SPDX-License-Identifier: MIT */
/* What one run did, counted while it runs. */
#ifndef CRAWL_TALLY_H
#define CRAWL_TALLY_H

#include "page.h"

enum { SLOWEST_MAX = 5 };

struct tally {
    int64_t start_ns, end_ns;
    int64_t pages, bytes, errors;
    struct {
        int64_t took_ns;
        const char *url;    /* the frontier's */
    } slowest[SLOWEST_MAX]; /* the slowest first; took_ns 0: none */
};

void tally_add(struct tally *tally, const struct page *page);
/* Until now, while it runs. */
double tally_seconds(const struct tally *tally);

#endif
