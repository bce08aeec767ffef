/* SPDX-License-Identifier: MIT */
/*
 * Ends that a runtime cannot survive: fork, whose child has the memory of all workers
 * but none of their threads; and pthread_exit in a task, which would take the worker
 * away from all other tasks, or in a call that a caller waits for. Each is said with a
 * sentence instead of a hang.
 */
#include "core/runtime.h"
#include "core/workers.h"

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

bool hki_process_is_forked(void)
{
    return forked;
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

static pthread_key_t stays_key;

static void thread_is_left(void *why)
{
    hki_panic("pthread_exit on %s", (const char *)why);
}

static void make_stays_key(void)
{
    if (pthread_key_create(&stays_key, thread_is_left) != 0)
        hki_panic("no thread-specific key left (pthread_key_create)");
}

const char *hki_thread_stays(const char *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *before;

    pthread_once(&once, make_stays_key);
    before = pthread_getspecific(stays_key);
    (void)pthread_setspecific(stays_key, why); /* in the first block: cannot fail */
    return before;
}
