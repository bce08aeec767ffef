/* SPDX-License-Identifier: MIT */
/*
 * The background scope, of jobs that plain threads start without one, and of detached
 * jobs: nothing cancels it, and the exit of the process joins it. So it is no more than
 * a count and who waits for 0.
 */
#include "exec/executor.h"

#include <hocket/run.h>

#include <pthread.h>
#include <stdlib.h>

static hk_lock lock;            /* guards the next two */
static uint64_t jobs;           /* that have not ended; dumps read it without */
static hk_waiter_queue waiters; /* the thread that exits */

static const hk_wait_kind exit_kind = {.name = "background jobs"};

/* An exit inside of a runtime waits for nobody: the jobs may need this very thread. */
static void join_at_exit(void)
{
    hk_waiter w;

    if (hk_worker_count() > 0 || hki_process_is_forked())
        return;
    hk_lock_acquire(&lock);
    if (!jobs) {
        hk_lock_release(&lock);
        return;
    }
    hk_waiter_init(&w, &exit_kind, NULL);
    hk_waiter_push(&waiters, &w);
    hk_lock_release(&lock);
    (void)hk_park(&w, NULL);
}

/* After the handler that stops the background runtime: so it is called before. */
static void register_exit(void)
{
    struct hki_worker *worker;

    hki_dump_shows_jobs(&jobs);
    (void)hki_background_worker(&worker); /* if it fails, so does the submit */
    atexit(join_at_exit);
}

void hki_background_job_begins(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_exit);
    hk_lock_acquire(&lock);
    __atomic_store_n(&jobs, jobs + 1, __ATOMIC_RELAXED);
    hk_lock_release(&lock);
}

void hki_background_job_ends(void)
{
    hk_waiter *w = NULL;

    hk_lock_acquire(&lock);
    __atomic_store_n(&jobs, jobs - 1, __ATOMIC_RELAXED);
    if (jobs == 0)
        w = hk_waiter_pop(&waiters);
    hk_lock_release(&lock);
    if (w)
        hk_wake(w, 0);
}
