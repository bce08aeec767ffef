/* SPDX-License-Identifier: MIT */
#include "parsers.h"

#include "html.h"
#include "memory.h"

#include <sched.h>
#include <stdlib.h>

/* So many pages may wait for a parser before those who fetch have to wait as well: far
 * more than ever do, and an end to the memory that they take. */
enum { JOBS_MAX = 1024 };

/* `count` threads are no more; the last one out closes the door. */
static void leave(struct parsers *p, unsigned count)
{
    if (__atomic_sub_fetch(&p->running, count, __ATOMIC_ACQ_REL) == 0)
        hk_chan_close(p->arrivals);
}

static void *parse_all(void *arg)
{
    struct parsers *p = arg;
    struct arrival arrival = {0};

    pthread_setname_np(pthread_self(), "parser"); /* for dumps */
    while (hk_chan_recv(p->jobs, &arrival.page) == 0) {
        html_parse(arrival.page);
        if (hk_chan_send(p->arrivals, &arrival) < 0)
            page_free(arrival.page); /* nobody waits for it any more */
    }
    leave(p, 1);
    return NULL;
}

static unsigned processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

int parsers_start(struct parsers *p, hk_chan *arrivals)
{
    unsigned wanted = processors();
    int rc = hk_chan_new(sizeof(struct page *), JOBS_MAX, &p->jobs);

    if (rc < 0)
        return rc;
    hk_chan_set_name(p->jobs, "pages to parse");
    p->arrivals = arrivals;
    p->threads = must_alloc(wanted * sizeof *p->threads);
    p->running = wanted;
    for (p->count = 0; p->count < wanted; p->count++) {
        rc = pthread_create(&p->threads[p->count], NULL, parse_all, p);
        if (rc != 0)
            break;
    }
    if (p->count < wanted) /* fewer will do */
        leave(p, wanted - p->count);
    if (p->count > 0)
        return 0;
    parsers_stop(p);
    return -rc;
}

void parsers_finish(struct parsers *p)
{
    hk_chan_close(p->jobs);
}

void parsers_stop(struct parsers *p)
{
    if (!hk_chan_is_closed(p->jobs)) /* the crawl never came to its end */
        hk_chan_close(p->jobs);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
    hk_chan_free(p->jobs);
    free(p->threads);
}
