/* SPDX-License-Identifier: MIT */
#include "crawl.h"

#include "connection.h"
#include "fetch.h"
#include "memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARRIVALS_MAX = 1024 };

/* ---- a page's task: all it shares with the others goes through channels ---- */

struct job {
    struct crawl *crawl;
    struct host *host;
    struct page *page; /* NULL: the host's robots.txt */
};

static void free_job(struct job *job)
{
    page_free(job->page);
    free(job);
}

static int arrive(struct job *job)
{
    struct arrival arrival = {.page = job->page};
    int rc;

    if (!job->page)
        arrival.host = job->host;
    rc = hk_chan_send(job->crawl->arrivals, &arrival);
    if (rc == 0)
        job->page = NULL;
    return rc;
}

/* It fails only by being stopped: then the next run will fetch the page. */
static int run_job(void *arg)
{
    struct job *job = arg;
    struct crawl *c = job->crawl;
    hk_future *parsing = NULL;
    int rc = job->page ? fetch_page(c->options, job->host, job->page)
                       : fetch_robots(c->options, job->host);

    if (rc == 0 && job->page && job->page->outcome == PAGE_HTML)
        parsing = parsers_begin(&c->parsers, job->page);
    hk_sem_release(&c->slots, 1); /* the next page may be fetched */
    if (parsing)
        rc = parsers_await(&c->parsers, parsing, job->page);
    if (rc == 0)
        rc = arrive(job);
    free_job(job);
    return rc;
}

/* ---- deciding ---- */

static int64_t interval_of(const struct crawl *c, const struct host *host)
{
    int64_t asked = host->robots ? robots_delay_ns(host->robots) : 0;

    return asked > c->options->interval_ns ? asked : c->options->interval_ns;
}

/* It is this host's turn, and a slot is ours: before its first page, its robots.txt. */
static void start_job(struct crawl *c, struct host *host)
{
    struct job *job = must_alloc(sizeof *job);
    const char *name = "robots.txt";

    *job = (struct job){.crawl = c, .host = host};
    c->active++;
    if (!host->robots_known && !c->options->no_robots) {
        frontier_hold(c->frontier, host);
    } else {
        uint32_t node =
            frontier_take(c->frontier, host, hk_now() + interval_of(c, host));

        name = frontier_url(c->frontier, node);
        job->page = page_new(node, frontier_depth(c->frontier, node), name);
        c->pages_out++;
    }
    if (hk_spawn_named(&c->fetches, name, run_job, job, NULL) < 0)
        free_job(job); /* the scope has failed: the next step ends the crawl */
}

static void learn(struct crawl *c, const struct page *page)
{
    switch (page->outcome) {
    case PAGE_HTML:
        frontier_set_page(c->frontier, page->node, &page->links);
        c->pages_done++;
        break;
    case PAGE_REDIRECT:
        frontier_set_redirect(c->frontier, page->node, page->target);
        break;
    default: frontier_set_over(c->frontier, page->node);
    }
}

static void take_arrival(struct crawl *c, struct arrival *arrival)
{
    struct page *page = arrival->page;

    c->active--;
    if (!page) {
        frontier_release(c->frontier, arrival->host);
        return;
    }
    c->pages_out--;
    learn(c, page);
    tally_add(&c->tally, page);
    if (has_failed(&page->failure))
        console_say(&c->console, "%s: %s", page->url, page->failure.text);
    if (hk_chan_send(c->writer.pages, &page) < 0)
        page_free(page);
}

static bool is_enough(const struct crawl *c)
{
    return c->options->pages_max >= 0 &&
           c->pages_done + c->pages_out >= c->options->pages_max;
}

/* Often on a terminal; rarely in a log. */
static void plan_progress(struct crawl *c)
{
    int64_t pause = c->console.terminal ? HK_SECOND / 5 : 5 * HK_SECOND;

    c->progress_ns = c->options->quiet ? HK_NEVER : hk_now() + pause;
}

static void show_progress(struct crawl *c)
{
    double seconds = tally_seconds(&c->tally);
    char text[160];

    snprintf(text, sizeof text,
             "%lld pages, %u queued, %u on their way, %lld errors, %.0f pages/s",
             (long long)c->pages_done, frontier_queued(c->frontier), c->active,
             (long long)c->tally.errors,
             (double)c->tally.pages / (seconds > 0 ? seconds : 1));
    console_progress(&c->console, text);
    plan_progress(c);
}

/* Waits for the next thing that can happen, and lets it. False: it is over. */
static bool step(struct crawl *c)
{
    struct host *host = NULL;
    int64_t when = 0;
    enum frontier_answer next =
        is_enough(c) ? FRONTIER_NONE
                     : frontier_next(c->frontier, hk_now(), &host, &when);
    struct arrival arrival;
    hk_case cases[5] = {
        HK_CASE_RECV(c->arrivals, &arrival),
        HK_CASE_EVENT(&c->stop),
        HK_CASE_EVENT(&c->writer.failed),
        HK_CASE_DEADLINE(c->progress_ns),
    };

    if (next == FRONTIER_NONE && c->active == 0)
        return false;
    if (next == FRONTIER_NOW)
        cases[4] = (hk_case)HK_CASE_SEM(&c->slots);
    else if (next == FRONTIER_LATER)
        cases[4] = (hk_case)HK_CASE_DEADLINE(when);
    switch (hk_select(cases, next == FRONTIER_NONE ? 4 : 5)) {
    case 0: take_arrival(c, &arrival); return true;
    case 1:
        console_say(&c->console, "stopping; what came is stored. Again to end at once");
        c->stopped = true;
        return false;
    case 3: show_progress(c); return true;
    case 4:
        if (next == FRONTIER_NOW)
            start_job(c, host);
        return true;
    default: /* the writer failed; or a job could not be started */ return false;
    }
}

static int crawl_pages(struct crawl *c)
{
    struct arrival arrival;
    int rc;

    hk_scope_open_with(&c->fetches, 0, "fetches");
    while (step(c))
        continue;
    hk_scope_cancel(&c->fetches); /* after a stop: what is half fetched is given up */
    rc = hk_scope_join(&c->fetches);
    hk_chan_close(c->arrivals); /* nobody is left to send */
    while (hk_chan_recv(c->arrivals, &arrival) == 0)
        take_arrival(c, &arrival);
    return rc;
}

/* ---- beside it ---- */

static int watch_signals(void *arg)
{
    struct crawl *c = arg;
    hk_signals *signals;
    int rc = hk_signals_new((int[]){SIGINT, SIGTERM}, 2, &signals);

    if (rc < 0)
        return rc;
    rc = hk_signals_wait(signals);
    if (rc >= 0) {
        hk_event_set(&c->stop);
        rc = hk_signals_wait(signals);
    }
    if (rc >= 0)
        _exit(128 + rc); /* what is committed stays */
    hk_signals_free(signals);
    return rc;
}

static int crawl_main(void *arg)
{
    struct crawl *c = arg;
    hk_scope beside = HK_SCOPE_INIT;
    int rc, failed;

    plan_progress(c);
    hk_scope_open_with(&beside, 0, "beside the crawl");
    (void)hk_spawn_named(&beside, "signals", watch_signals, c, NULL);
    rc = crawl_pages(c);
    for (struct host *h = frontier_hosts(c->frontier); h; h = h->next)
        connection_close_idle(h);
    hk_scope_cancel(&beside);
    failed = hk_scope_join(&beside);
    console_clear(&c->console);
    return failed < 0 ? failed : rc;
}

/* ---- the whole ---- */

static int run_with_parsers(struct crawl *c)
{
    int rc = parsers_start(&c->parsers, c->options);

    if (rc < 0)
        return rc;
    rc = hk_run(crawl_main, c, NULL);
    parsers_stop(&c->parsers);
    return rc;
}

int crawl_run(struct crawl *c, struct store *store)
{
    int rc = hk_chan_new(sizeof(struct arrival), ARRIVALS_MAX, &c->arrivals);

    if (rc < 0)
        return rc;
    hk_chan_set_name(c->arrivals, "arrivals");
    hk_sem_init(&c->slots, c->options->concurrency);
    c->slots.name = "slots";
    c->stop.name = "a signal came";
    console_init(&c->console);
    c->tally.start_ns = hk_now();
    rc = writer_start(&c->writer, store);
    if (rc == 0) {
        rc = run_with_parsers(c);
        writer_stop(&c->writer);
    }
    c->tally.end_ns = hk_now();
    hk_chan_free(c->arrivals);
    return rc;
}

bool crawl_is_complete(const struct crawl *c)
{
    return !c->stopped && !hk_event_is_set(&c->writer.failed) && c->active == 0 &&
           (is_enough(c) || frontier_queued(c->frontier) == 0);
}
