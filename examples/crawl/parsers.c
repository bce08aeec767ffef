/* SPDX-License-Identifier: MIT */
#include "parsers.h"

#include "html.h"
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many pages may wait for a parser before those who fetch have to wait as well. */
enum { QUEUE_MAX = 64 };

/* ---- the pool ---- */

static int prepare_worker(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    html_init();
    return 0;
}

HK_FN(hk_rc, are_you_there)
{
    return 0;
}

/* A pool whose workers do start: the first one has answered. */
static int start_processes(bool sandbox, hk_executor **out)
{
    const hk_process_options options = {
        .name = "parsers",
        .queue_max = QUEUE_MAX,
        .init = prepare_worker,
        .sandbox = sandbox,
    };
    hk_executor *pool;
    hk_future *answer;
    int rc = hk_process_pool_new(&options, &pool);

    if (rc < 0)
        return rc;
    answer = are_you_there_on(pool);
    rc = are_you_there_await(answer);
    hk_future_free(answer);
    if (rc < 0)
        hk_executor_free(pool);
    else
        *out = pool;
    return rc;
}

static int start_threads(hk_executor **out)
{
    const hk_thread_pool_options options = {.name = "parsers", .queue_max = QUEUE_MAX};

    return hk_thread_pool_new(&options, out);
}

int parsers_start(struct parsers *p, const struct options *options)
{
    int rc;

    p->timeout_ns = options->timeout_ns;
    if (options->parse_here)
        return start_threads(&p->pool);
    rc = start_processes(true, &p->pool);
    if (rc == -ENOSYS) {
        rc = start_processes(false, &p->pool);
        if (rc == 0)
            fprintf(stderr, "hocket-crawl: pages are parsed without a sandbox: this "
                            "kernel has none\n");
    }
    if (rc == 0)
        return 0;
    fprintf(stderr,
            "hocket-crawl: pages are parsed in threads: no worker process: %s\n",
            hk_error_text(rc));
    return start_threads(&p->pool);
}

void parsers_stop(struct parsers *p)
{
    hk_executor_free(p->pool);
}

/* ---- a page ---- */

hk_future *parsers_begin(struct parsers *p, struct page *page)
{
    /* The NUL behind the body goes with it. */
    hk_future *parsing = parse_on(p->pool, (hk_bytes){page->body, page->bytes + 1},
                                  page->url, page->charset);

    free(page->body);
    page->body = NULL;
    return parsing;
}

static void explain(const hk_future *parsing, int rc, struct failure *out)
{
    hk_job_error error;

    if (rc == -ETIMEDOUT)
        failure_say(out, "parser", "kept the parser busy for longer than --timeout");
    else if (rc != -EOWNERDEAD || hk_future_error(parsing, &error) < 0)
        failure_say(out, "parser", "could not be parsed: %s", hk_error_text(rc));
    else if (error.signal)
        failure_say(out, "parser", "crashed the parser: signal %d, %s", error.signal,
                    strsignal(error.signal));
    else
        failure_say(out, "parser", "crashed the parser: it exited with status %d",
                    error.exit_status);
}

int parsers_await(struct parsers *p, hk_future *parsing, struct page *page)
{
    hk_scope patience = HK_SCOPE_INIT;
    hk_bytes parsed;
    bool stopped;
    int rc, late;

    hk_scope_open_with(&patience, 0, page->url);
    hk_scope_deadline(&patience, hk_now() + p->timeout_ns);
    rc = parse_await(parsing, &parsed);
    late = hk_scope_join(&patience);
    if (late == -ETIMEDOUT && rc < 0) {
        (void)hk_future_cancel(parsing, HK_KILL);
        rc = late;
    }
    stopped = late == -ECANCELED || rc == -EIDRM; /* we, or the job before us */
    if (rc >= 0 && !parse_unpack(parsed, page))
        rc = -EPROTO;
    if (rc < 0 && !stopped) {
        page->outcome = PAGE_FAILED;
        explain(parsing, rc, &page->failure);
    }
    hk_future_free(parsing);
    return stopped ? -ECANCELED : 0;
}
