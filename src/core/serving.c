/* SPDX-License-Identifier: MIT */
/*
 * Runtimes without a first task, which serve others: the background one, started when a
 * plain thread first needs it, and those whose tasks are jobs. What of them is left at
 * the exit of the process is ended by an exit handler.
 */
#include "core/launch.h"
#include "core/thread.h"

#include "base/fence.h"
#include "sys/os.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t serving_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hki_runtime *background; /* atomic: of those that serve, the first one */
static struct hki_runtime *serving;    /* all of them; guarded by the lock */
static bool process_is_over;           /* atomic: exit handlers run */

/* ---- the end of the process ---- */

#define EXIT_PATIENCE_S 1

static void process_exits(void)
{
    struct timespec end;

    if (hki_process_is_forked())
        return; /* the threads are the parent's */
    pthread_mutex_lock(&serving_lock);
    __atomic_store_n(&process_is_over, true, __ATOMIC_RELEASE);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += EXIT_PATIENCE_S;
    hki_abandoned_join_until(&end);
    for (struct hki_runtime *r = serving; r; r = r->serving_next) {
        if (r->source)
            r->source->is_over(r->source);
        /* Its tasks may belong to threads that still run: the memory stays. */
        __atomic_store_n(&r->abandoned, 1, __ATOMIC_RELEASE);
        hki_runtime_tell_end(r);
    }
    for (struct hki_runtime *r = serving; r; r = r->serving_next) {
        hki_runtime_join(r, 0, hki_worker_count(r));
        hki_watch_stop(r);
    }
    pthread_mutex_unlock(&serving_lock);
    hki_spawned_end();
}

static void register_exit(void)
{
    atexit(process_exits);
}

int hki_process_check(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    hki_fork_guard();
    pthread_once(&once, register_exit);
    return __atomic_load_n(&process_is_over, __ATOMIC_ACQUIRE) ? -EBADF : 0;
}

/* ---- the background runtime ---- */

/* With the lock. */
static int start_serving(const hk_options *options, uint32_t workers_max,
                         struct hki_source *source, struct hki_runtime **out)
{
    struct hki_runtime *runtime;
    int rc = hki_process_check();

    if (rc < 0)
        return rc;
    hki_os_occupy_standard();
    hki_fence_prepare();
    rc = hki_runtime_new(options, workers_max, source, &runtime);
    if (rc < 0)
        return rc;
    runtime->background = true;
    hki_sigpipe_ignore();
    rc = hki_runtime_launch(runtime, 0);
    if (rc < 0) {
        hki_sigpipe_restore();
        hki_runtime_free(runtime);
        return rc;
    }
    hki_watch_start(runtime);
    runtime->serving_next = serving;
    serving = runtime;
    __atomic_store_n(out, runtime, __ATOMIC_RELEASE);
    return 0;
}

int hki_background_worker(struct hki_worker **out)
{
    int rc;

    pthread_mutex_lock(&serving_lock);
    rc = background ? hki_process_check() : start_serving(NULL, 0, NULL, &background);
    if (rc == 0)
        *out = &background->workers[0];
    pthread_mutex_unlock(&serving_lock);
    return rc;
}

struct hki_runtime *hki_runtime_current(void)
{
    if (hki_worker_current)
        return hki_worker_current->runtime;
    return __atomic_load_n(&background, __ATOMIC_ACQUIRE);
}

/* ---- runtimes for jobs ---- */

int hki_workers_start(uint32_t workers_max, struct hki_source *source,
                      struct hki_runtime **out)
{
    const hk_options options = {.workers = 1, .stall_ns = -1};
    int rc;

    pthread_mutex_lock(&serving_lock);
    rc = start_serving(&options, workers_max, source, out);
    pthread_mutex_unlock(&serving_lock);
    return rc;
}

int hki_workers_launch(struct hki_runtime *runtime, uint32_t index)
{
    struct hki_worker *worker = &runtime->workers[index];
    int rc = -EAGAIN;

    hki_lock_acquire(&runtime->return_lock); /* who stops it sees all or nothing */
    if (!__atomic_load_n(&runtime->finished, __ATOMIC_SEQ_CST)) {
        hki_worker_init(worker, runtime, index);
        /* Before it can take work: who cancels a scope then knows of it. */
        __atomic_store_n(&runtime->worker_count, index + 1, __ATOMIC_SEQ_CST);
        rc = hki_worker_launch(worker);
        if (rc < 0)
            __atomic_store_n(&runtime->worker_count, index, __ATOMIC_SEQ_CST);
    }
    hki_lock_release(&runtime->return_lock);
    return rc;
}

/* False: the process exits, which has stopped it. */
static bool leave_serving(struct hki_runtime *runtime)
{
    struct hki_runtime **link = &serving;
    bool is_ours;

    pthread_mutex_lock(&serving_lock);
    is_ours = !process_is_over;
    if (is_ours) {
        while (*link != runtime)
            link = &(*link)->serving_next;
        *link = runtime->serving_next;
    }
    pthread_mutex_unlock(&serving_lock);
    return is_ours;
}

bool hki_workers_stop(struct hki_runtime *runtime)
{
    if (!leave_serving(runtime))
        return false;
    hki_runtime_tell_end(runtime);
    hki_runtime_join(runtime, 0, hki_worker_count(runtime));
    HKI_HB_ACQUIRE(runtime);
    hki_watch_stop(runtime);
    hki_sigpipe_restore();
    hki_runtime_free(runtime);
    return true;
}

void hki_workers_cancel(struct hki_runtime *runtime)
{
    __atomic_store_n(&runtime->cancelled, 1, __ATOMIC_SEQ_CST);
    hki_workers_recheck(runtime);
}

bool hki_workers_are_cancelled(const struct hki_runtime *runtime)
{
    return __atomic_load_n(&runtime->cancelled, __ATOMIC_ACQUIRE);
}
