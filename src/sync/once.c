/* SPDX-License-Identifier: MIT */
/*
 * Once, until it succeeds.
 *
 *     NEW       nobody runs, nobody is queued
 *     RUNNING   hki_runner runs its function; others queue
 *     DONE      final; nobody runs, nobody is queued
 *
 * All changes are made under the lock. A runner that failed hands RUNNING over to the
 * head of the queue, which is out of the queue then: a cancel that comes later finds
 * nothing to undo, that waiter becomes the runner, and its function meets the cancel.
 * So somebody is always responsible for those who still wait.
 */
#include <hocket/once.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <stdio.h>

enum { NEW = 0, RUNNING = 1, DONE = HKI_ONCE_DONE };

/* Results of begin() and of a waiter's wake. */
enum { IS_DONE = 0, TO_RUN = 1 };

static struct hki_self *runner_of(const hk_once *once)
{
    return __atomic_load_n(&once->hki_runner, __ATOMIC_RELAXED);
}

static void set_runner(hk_once *once, struct hki_self *self)
{
    __atomic_store_n(&once->hki_runner, self, __ATOMIC_RELAXED);
}

static void set_state(hk_once *once, uint32_t state)
{
    __atomic_store_n(&once->hki_state, state, __ATOMIC_RELEASE);
}

static const char *name_of(const hk_once *once)
{
    return once->name ? once->name : "unnamed";
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_once *once = object;

    (void)snprintf(text, size, "'%s'", name_of(once));
}

static size_t holders(const void *object, hk_holder *out, size_t max)
{
    hk_holder runner = runner_of(object);

    if (runner && max > 0)
        *out = runner;
    return runner != NULL;
}

static const hk_wait_kind wait_kind = {
    .name = "once", .describe = describe, .holders = holders};

static hk_verdict wait_abort(hk_waiter *w)
{
    hk_once *once = (hk_once *)w->object;
    bool removed;

    hki_lock_acquire(&once->hki_lock.hki_word);
    removed = hki_queue_remove(&once->hki_waiters, w);
    hki_lock_release(&once->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* IS_DONE, TO_RUN (the caller is the runner now), or an error of the wait. */
static int begin(hk_once *once, struct hki_self *self)
{
    hk_waiter w;
    int rc = IS_DONE;

    hki_lock_acquire(&once->hki_lock.hki_word);
    if (once->hki_state == RUNNING) {
        once->hki_contended++;
        hki_waiter_arm(&w, self, &wait_kind, once);
        w.data = self;
        hki_queue_push(&once->hki_waiters, &w);
        hki_lock_release(&once->hki_lock.hki_word);
        return hk_park(&w, wait_abort);
    }
    if (once->hki_state == NEW) {
        set_state(once, RUNNING);
        set_runner(once, self);
        rc = TO_RUN;
    }
    hki_lock_release(&once->hki_lock.hki_word);
    return rc;
}

static void succeed(hk_once *once)
{
    hk_waiter *woken;

    hki_lock_acquire(&once->hki_lock.hki_word);
    set_runner(once, NULL);
    set_state(once, DONE);
    woken = hki_queue_take_all(&once->hki_waiters);
    hki_lock_release(&once->hki_lock.hki_word);
    hki_queue_wake_all(woken, IS_DONE);
}

static void give_up(hk_once *once)
{
    hk_waiter *next;

    hki_lock_acquire(&once->hki_lock.hki_word);
    next = hki_queue_pop_claimed(&once->hki_waiters);
    set_runner(once, next ? next->data : NULL);
    if (!next)
        set_state(once, NEW);
    hki_lock_release(&once->hki_lock.hki_word);
    if (next)
        hk_wake(next, TO_RUN);
}

int hk_once_run_slow(hk_once *once, hk_task_fn *fn, void *arg)
{
    struct hki_self *self = hki_self();
    int rc;

    if (HKI_UNLIKELY(runner_of(once) == self))
        hki_panic("hk_once_run: '%s' runs the once '%s' (%p) already, and would wait "
                  "for itself",
                  hk_task_name(), name_of(once), (void *)once);
    rc = hki_enter(self);
    if (rc < 0)
        return rc;
    hki_spend(self); /* before, not after: who must yield yields while nobody waits */
    rc = begin(once, self);
    if (rc != TO_RUN)
        return rc;
    rc = fn(arg);
    if (rc < 0) {
        give_up(once);
        return rc;
    }
    succeed(once);
    return 0;
}

void hk_once_stats(const hk_once *once, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&once->hki_lock.hki_word;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){.holders = once->hki_state == RUNNING,
                                 .waiters = hki_queue_length(&once->hki_waiters),
                                 .contended = once->hki_contended};
    hki_lock_release(lock);
}

void hk_once_fini(hk_once *once)
{
    const struct hki_self *runner;
    hk_sync_stats stats;

    if (!once)
        return;
    hk_once_stats(once, &stats);
    runner = runner_of(once);
    if (runner)
        hki_panic("hk_once_fini: '%s' ends the once '%s' (%p) that '%s' runs and %u "
                  "wait for",
                  hk_task_name(), name_of(once), (void *)once, hki_self_name(runner),
                  stats.waiters);
}
