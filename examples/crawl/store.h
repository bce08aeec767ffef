/* SPDX-License-Identifier: MIT */
/*
 * The database: what a crawl has found. Nothing in it depends on when or in which order
 * pages came: no times, no running numbers. So a crawl that was killed and went on ends
 * with the same rows as one that was left alone, and `sqlite3 FILE .dump` shows it.
 *
 *   pages(url, depth, status, charset, bytes, hash, title)   fetched and parsed
 *   links(page, target)     each once, to any http or https URL, without its fragment
 *   redirects(url, target, status)
 *   errors(url, kind, message)   failed; or a complaint about a page that is in `pages`
 *   skipped(url)            robots.txt asked us to keep out
 *   seeds(url)              where it began
 *   settings(name, value)   the options that shaped it; and state: unfinished, finished
 *
 * Which pages are still to be fetched is not stored: it follows from the rest, see
 * frontier.h. One program at a time writes (a lock on the file sees to that); any
 * number may read meanwhile. A store is used by one thread at a time.
 *
 * Calls that fail return -1; store_error is then one line that names the file.
 */
#ifndef CRAWL_STORE_H
#define CRAWL_STORE_H

#include "frontier.h"
#include "options.h"
#include "page.h"

struct store;

/*
 * Opens the database in `path`, or makes it. One that is not ours is left alone, and so
 * is one that another hocket-crawl is at work on. `*out` is set in any case: on failure
 * for its error. Owns: store_close.
 */
int store_open(const char *path, struct store **out);
void store_close(struct store *store); /* NULL is fine */
const char *store_error(const struct store *store);

bool store_is_new(const struct store *store); /* nothing was in it */
int store_clear(struct store *store);         /* --fresh */
int store_drop_errors(struct store *store);   /* --retry */
int store_drop_skipped(struct store *store);  /* --no-robots */
/* Options that were not given are taken from the database; then all are kept there. */
int store_settings(struct store *store, struct options *options);
int store_add_seed(struct store *store, const char *url);
/* Tells the frontier everything that is known. */
int store_replay(struct store *store, struct frontier *frontier);

/* Stores these pages, all of them or none. */
int store_pages(struct store *store, struct page *const *pages, size_t count);
/* Stores an error that came with no page. Returns 1 if it is new, else 0. */
int store_add_error(struct store *store, const char *url,
                    const struct failure *failure);
/* Nothing is left to fetch: brings depths home that were corrected, and says so. */
int store_finish(struct store *store, struct frontier *frontier);

/* ---- for the summary ---- */

struct store_totals {
    int64_t pages, bytes, links, redirects, errors, skipped;
};

int store_count(struct store *store, struct store_totals *out);
/* Calls `fn` with each kind of error, in order, and how often it is there. */
int store_each_kind(struct store *store,
                    void (*fn)(void *ctx, const char *kind, int64_t count), void *ctx);
int store_each_error(struct store *store,
                     void (*fn)(void *ctx, const char *url, const char *message),
                     void *ctx);

#endif
