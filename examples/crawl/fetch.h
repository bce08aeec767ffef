/* SPDX-License-Identifier: MIT */
/* One page over the network: robots.txt first, then the page, within a time. */
#ifndef CRAWL_FETCH_H
#define CRAWL_FETCH_H

#include "host.h"
#include "options.h"
#include "page.h"

/*
 * Asks `host` for its robots.txt, and sets its robots_known, robots and robots_failure.
 * Returns 0, or -ECANCELED: the caller is being stopped, and nothing is known.
 */
int fetch_robots(const struct options *options, struct host *host);

/*
 * Fetches page->url, which lies on `host`, and says in `page` what came of it:
 * PAGE_HTML with a body, PAGE_REDIRECT with a target, PAGE_SKIPPED, or PAGE_FAILED.
 * Returns 0, or -ECANCELED: the caller is being stopped, and the page is as it was.
 */
int fetch_page(const struct options *options, struct host *host, struct page *page);

#endif
