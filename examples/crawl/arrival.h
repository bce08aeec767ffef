/* SPDX-License-Identifier: MIT */
/* What comes back to the crawl through its channel: a page, or a host's robots.txt. */
#ifndef CRAWL_ARRIVAL_H
#define CRAWL_ARRIVAL_H

struct page;
struct host;

struct arrival {
    struct page *page; /* the receiver's; or NULL */
    struct host *host; /* its robots.txt is known; or NULL */
};

#endif
