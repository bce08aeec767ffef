/* SPDX-License-Identifier: MIT */
/*
 * hocket-crawl: fetches the pages of a site, many at once, into a database.
 *
 *   main          options, database, then the crawl, then the summary
 *   crawl         decides what is fetched when; starts a task for each page
 *   frontier      which pages there are, and which comes next         strset, url
 *   fetch         one page over the network     http, connection, host, robots
 *   parsers       processes for libxml2         parse, html
 *   writer        a thread for SQLite           store, store_rows
 *   console, tally, summary                     what the user sees
 *
 * It shows: straight-line code for a hundred pages at once, strangers' bytes parsed in
 * a sandbox, channels between tasks and plain threads, deadlines and cancellation as
 * scopes, select over a channel, events, a semaphore and a time.
 */
#include "crawl.h"
#include "html.h"
#include "memory.h"
#include "status.h"
#include "summary.h"
#include "url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "hocket-crawl: %s: %s\n", what, why);
    return STATUS_STORAGE;
}

/* ---- start pages ---- */

/* A URL on the command line that cannot be one of a page. */
static void explain_url(const char *url, url_kind kind, struct failure *out)
{
    if (kind == URL_HTTPS)
        failure_say(out, "https", "https is not supported yet");
    else
        failure_say(out, "url", "not a URL of the form http://host/path");
    fprintf(stderr, "hocket-crawl: %s: %s\n", url, out->text);
}

/* Stores the URLs of the command line, good and bad. */
static int add_seeds(struct store *store, const struct options *o)
{
    for (int i = 0; i < o->url_count; i++) {
        char url[URL_SIZE];
        struct failure failure;
        url_kind kind = url_resolve(NULL, o->urls[i], url);
        int rc;

        if (kind == URL_HTTP) {
            rc = store_add_seed(store, url);
        } else {
            explain_url(o->urls[i], kind, &failure);
            rc = store_add_error(store, o->urls[i], &failure);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

static bool has_good_url(const struct options *o)
{
    char url[URL_SIZE];

    for (int i = 0; i < o->url_count; i++)
        if (url_resolve(NULL, o->urls[i], url) == URL_HTTP)
            return true;
    return false;
}

/* Before any file is made: is there something to do? -1: yes; else the exit status. */
static int check_urls(const struct options *o)
{
    struct failure failure;

    if (o->url_count > 0 && !has_good_url(o)) {
        char url[URL_SIZE];

        for (int i = 0; i < o->url_count; i++)
            explain_url(o->urls[i], url_resolve(NULL, o->urls[i], url), &failure);
        return STATUS_USAGE;
    }
    if (access(o->database, F_OK) == 0 || errno != ENOENT)
        return -1;
    if (o->resume)
        return complain(o->database, "there is no such crawl to resume");
    if (o->url_count == 0) {
        fprintf(stderr, "hocket-crawl: where to begin? URL is missing (see --help)\n");
        return STATUS_USAGE;
    }
    return -1;
}

/* ---- the database, before and after ---- */

static int prepare(struct store *store, struct options *o)
{
    if (o->fresh && store_clear(store) < 0)
        return -1;
    if (o->retry && store_drop_errors(store) < 0)
        return -1;
    if (store_settings(store, o) < 0)
        return -1;
    if (o->no_robots && store_drop_skipped(store) < 0)
        return -1;
    return add_seeds(store, o);
}

struct endless {
    struct store *store;
    int rc;
};

static void note_endless(void *ctx, const char *url)
{
    struct endless *e = ctx;
    struct failure failure;

    failure_say(&failure, "redirect", "redirects without end");
    if (e->rc >= 0)
        e->rc = store_add_error(e->store, url, &failure);
    if (e->rc > 0)
        fprintf(stderr, "hocket-crawl: %s: %s\n", url, failure.text);
}

static int finish(struct store *store, struct frontier *frontier)
{
    struct endless endless = {.store = store};

    frontier_each_endless(frontier, note_endless, &endless);
    return endless.rc < 0 ? -1 : store_finish(store, frontier);
}

/* ---- from the first to the last ---- */

/* Each page that is being fetched needs a descriptor, and we a few for ourselves. */
static void fit_concurrency(struct options *o)
{
    static const rlim_t ours = 64;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE,
                    &limit); /* raising to the maximum is always allowed */
    if (limit.rlim_cur > ours && o->concurrency > limit.rlim_cur - ours) {
        o->concurrency = (uint32_t)(limit.rlim_cur - ours);
        fprintf(stderr,
                "hocket-crawl: only %u pages at once, for want of descriptors\n",
                o->concurrency);
    }
}

static int complain_store(const struct store *store)
{
    fprintf(stderr, "hocket-crawl: %s\n", store_error(store));
    return STATUS_STORAGE;
}

/* The crawl has come to its end, of whatever kind. */
static int sum_up(struct store *store, const struct options *o, struct crawl *c)
{
    bool complete = crawl_is_complete(c);
    struct store_totals totals;

    if (hk_event_is_set(&c->writer.failed) ||
        (complete && finish(store, c->frontier) < 0) ||
        store_count(store, &totals) < 0 ||
        (!o->quiet && summary_print(stdout, store, &c->tally, complete) < 0))
        return complain_store(store);
    fflush(stdout);
    if (o->report && summary_report(store, o, &c->tally, complete) < 0)
        return STATUS_STORAGE;
    if (c->stopped)
        return STATUS_STOPPED;
    return totals.errors > 0 ? STATUS_PAGES_FAILED : STATUS_FINE;
}

static int crawl_into(struct store *store, struct options *o)
{
    struct crawl c = {.options = o};
    struct store_totals totals;
    int status, rc;

    if (prepare(store, o) < 0)
        return complain_store(store);
    c.frontier = frontier_new(o->depth, o->all_sites);
    if (store_replay(store, c.frontier) < 0 || store_count(store, &totals) < 0) {
        frontier_free(c.frontier);
        return complain_store(store);
    }
    c.pages_done = totals.pages;
    rc = crawl_run(&c, store);
    status = rc < 0 ? complain("cannot run", hk_error_text(rc)) : sum_up(store, o, &c);
    frontier_free(c.frontier);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct store *store;
    int status = options_read(argc, argv, &options);

    if (status < 0)
        status = check_urls(&options);
    if (status >= 0)
        return status;
    fit_concurrency(&options);
    html_init();
    if (store_open(options.database, &store) < 0)
        status = complain_store(store);
    else if (store_is_new(store) && options.resume)
        status = complain(options.database, "there is no crawl in it to resume");
    else if (store_is_new(store) && options.url_count == 0)
        status =
            complain(options.database, "where to begin? it is empty, URL is missing");
    else
        status = crawl_into(store, &options);
    store_close(store);
    html_fini();
    return status;
}
