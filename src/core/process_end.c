/* SPDX-License-Identifier: MIT */
/*
 * Ends that a runtime cannot survive: fork, whose child has the memory of all workers
 * but none of their threads, and pthread_exit in a task, which would take the worker
 * away from all other tasks. Both are said with a sentence instead of a hang.
 */
#include "core/runtime.h"

#include <pthread.h>

/* ---- fork: the child may exec or _exit ---- */

static bool forked;

/* Who runs in such a child: every waiting call looks at its attention, and panics. */
static struct hki_self nobody = {.attention = HKI_NO_WAITING, .kind = HKI_SELF_LOOP};

static void in_child(void)
{
    if (!hki_runtime_any())
        return;
    forked = true;
    hki_self_current = &nobody;
    hki_worker_current = NULL;
}

static void register_fork(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

void hki_fork_guard(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_fork);
    if (forked)
        hki_panic("hocket in a child of fork(): it may only exec or _exit");
}

/* ---- pthread_exit: destroys the thread's values, ours among them ---- */

static pthread_key_t worker_key;

static void thread_is_left(void *worker)
{
    (void)worker;
    hki_panic("pthread_exit on a worker's thread, which all its tasks share: return "
              "from the task instead");
}

static void make_worker_key(void)
{
    if (pthread_key_create(&worker_key, thread_is_left) != 0)
        hki_panic("no thread-specific key left (pthread_key_create)");
}

void hki_thread_is_worker(struct hki_worker *worker)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_worker_key);
    (void)pthread_setspecific(worker_key, worker); /* in the first block: cannot fail */
}
