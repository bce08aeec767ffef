/* SPDX-License-Identifier: MIT */
/*
 * Where pages are parsed: in worker processes of this program, in a sandbox, so that a
 * page that crashes libxml2, or keeps it busy for ever, costs itself and no other.
 *
 * Where the kernel has no sandbox the workers have none; where there can be no worker,
 * or with --parse here, pages are parsed in threads. The first two are said once.
 */
#ifndef CRAWL_PARSERS_H
#define CRAWL_PARSERS_H

#include "options.h"
#include "page.h"

#include <hocket.h>

struct parsers {
    hk_executor *pool;
    int64_t timeout_ns; /* for one page */
};

/* Returns 0 or an error. */
int parsers_start(struct parsers *parsers, const struct options *options);
void parsers_stop(struct parsers *parsers);

/* Starts the parsing of a page, which loses its body. Waits while too many pages wait
 * for a parser. Owns: give the future to parsers_await. */
hk_future *parsers_begin(struct parsers *parsers, struct page *page);

/*
 * Waits for it, and fills hash, title and links of `page`; or its failure, and its
 * outcome is PAGE_FAILED. A complaint about its charset is a failure, too, but it stays
 * PAGE_HTML. Returns 0, or -ECANCELED: the caller is being stopped.
 */
int parsers_await(struct parsers *parsers, hk_future *parsing, struct page *page);

#endif
