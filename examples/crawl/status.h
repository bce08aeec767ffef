/* SPDX-License-Identifier: MIT */
/* How hocket-crawl ends. */
#ifndef CRAWL_STATUS_H
#define CRAWL_STATUS_H

enum status {
    STATUS_FINE = 0,
    STATUS_PAGES_FAILED = 1, /* the database's table `errors` is not empty */
    STATUS_USAGE = 2,
    STATUS_STORAGE = 3, /* database or report could not be read or written; no memory */
    STATUS_STOPPED = 4, /* by SIGINT or SIGTERM; all that came is stored */
};

#endif
