/* SPDX-License-Identifier: MIT */
/*
 * Which pages there are, how far each is from a start page, and which comes next.
 *
 * The frontier is a graph: URLs, and for each page that was fetched its links or where
 * it redirects to. Two labels on each URL decide whether it is fetched: `depth`, the
 * links one must follow from a start page to it, and `hops`, the redirects since the
 * last link. Both are shortest ways: when a shorter one turns up later the labels of
 * all that lie behind it are corrected. So which pages are fetched depends on the site
 * alone and never on who answered first, and feeding the frontier what a database has,
 * in any order, makes it what it was when the last run ended.
 *
 * It belongs to one worker and never waits: no locks.
 */
#ifndef CRAWL_FRONTIER_H
#define CRAWL_FRONTIER_H

#include "host.h"
#include "strset.h"

#include <stdbool.h>
#include <stdint.h>

/* A page may be this many redirects away from a link. */
enum { REDIRECT_HOPS_MAX = 10 };

struct frontier;

/* depth_max: -1 for any. Owns: frontier_free. */
struct frontier *frontier_new(int64_t depth_max, bool all_sites);
void frontier_free(struct frontier *frontier);

/* A start page; its site is one to stay on. */
void frontier_add_seed(struct frontier *frontier, const char *url);

/* The number of a normalised URL, for the calls below. */
uint32_t frontier_find(struct frontier *frontier, const char *url);

/* What became of `node`: each takes it out of what is to be fetched. */
void frontier_set_page(struct frontier *frontier, uint32_t node,
                       const struct strset *links);
void frontier_set_redirect(struct frontier *frontier, uint32_t node,
                           const char *target);
void frontier_set_over(struct frontier *frontier, uint32_t node); /* failed, skipped */
/* For replaying a database: one more link of a page. */
void frontier_add_link(struct frontier *frontier, uint32_t page, const char *target);

/* Whose turn it is. */
enum frontier_answer {
    FRONTIER_NONE,  /* nothing is queued, but of hosts that are held */
    FRONTIER_LATER, /* not before `*out_when_ns` */
    FRONTIER_NOW,   /* that of `*out_host` */
};
enum frontier_answer frontier_next(struct frontier *frontier, int64_t now_ns,
                                   struct host **out_host, int64_t *out_when_ns);
/* After FRONTIER_NOW: the next page of this host; one more not before `next_ns`. */
uint32_t frontier_take(struct frontier *frontier, struct host *host, int64_t next_ns);
/* A host that is held has no turn. */
void frontier_hold(struct frontier *frontier, struct host *host);
void frontier_release(struct frontier *frontier, struct host *host);

uint32_t frontier_queued(const struct frontier *frontier);
const char *frontier_url(const struct frontier *frontier, uint32_t node);
uint32_t frontier_depth(const struct frontier *frontier, uint32_t node);
struct host *frontier_host(struct frontier *frontier, uint32_t node);
struct host *frontier_hosts(struct frontier *frontier); /* the list of all */

/* ---- when all is fetched ---- */

/* Calls `fn` for each URL that links lead to and that redirects without end. */
void frontier_each_endless(struct frontier *frontier,
                           void (*fn)(void *ctx, const char *url), void *ctx);
/* Calls `fn` for each page with its depth. */
void frontier_each_page(struct frontier *frontier,
                        void (*fn)(void *ctx, const char *url, uint32_t depth),
                        void *ctx);

#endif
