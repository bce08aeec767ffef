/* SPDX-License-Identifier: MIT */
/*
 * A barrier: a queue that is let go when it is long enough.
 *
 * Invariants, under the lock: hki_arrived is the length of the queue and less than
 * hki_parties; a broken barrier has nobody queued. A party's index is its place in the
 * queue when the last one comes, so a party that left has left no hole.
 *
 * All that a round needs is done under the lock by its last party; who is woken looks
 * at the barrier no more. Only a cancel that meets the wake does, in the name of who is
 * still waiting: so a barrier has to outlast every wait at it.
 */
#include <hocket/barrier.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <stdio.h>

static const char *name_of(const hk_barrier *barrier)
{
    return barrier->name ? barrier->name : "unnamed";
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_barrier *barrier = object;

    (void)snprintf(text, size, "'%s', %u of %u have arrived", name_of(barrier),
                   __atomic_load_n(&barrier->hki_arrived, __ATOMIC_RELAXED),
                   barrier->hki_parties);
}

static const hk_wait_kind wait_kind = {.name = "barrier", .describe = describe};

void hk_barrier_init(hk_barrier *barrier, uint32_t parties)
{
    *barrier = (hk_barrier)HK_BARRIER_INIT(parties);
}

static void set_arrived(hk_barrier *barrier, uint32_t count)
{
    __atomic_store_n(&barrier->hki_arrived, count, __ATOMIC_RELAXED);
}

static hk_verdict wait_abort(hk_waiter *w)
{
    hk_barrier *barrier = (hk_barrier *)w->object;
    bool removed;

    hki_lock_acquire(&barrier->hki_lock.hki_word);
    removed = hki_queue_remove(&barrier->hki_waiters, w);
    if (removed)
        set_arrived(barrier, barrier->hki_arrived - 1);
    hki_lock_release(&barrier->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Under the lock: empties the queue. */
static hk_waiter *let_go(hk_barrier *barrier)
{
    set_arrived(barrier, 0);
    return hki_queue_take_all(&barrier->hki_waiters);
}

/* As hki_queue_wake_all, with each one's place in the queue. */
static void wake_in_order(hk_waiter *first)
{
    for (int index = 0; first; index++) {
        hk_waiter *w = first;

        first = w->next;
        hk_wake(w, index);
    }
}

int hk_barrier_wait(hk_barrier *barrier)
{
    struct hki_self *self = hki_self();
    hk_waiter w, *released;
    uint32_t arrived;
    int rc;

    if (HKI_UNLIKELY(barrier->hki_parties == 0))
        hki_panic("hk_barrier_wait: '%s' waits at the barrier '%s' (%p) of no parties",
                  hk_task_name(), name_of(barrier), (void *)barrier);
    rc = hki_enter(self);
    if (HKI_UNLIKELY(rc < 0))
        return rc;
    hki_lock_acquire(&barrier->hki_lock.hki_word);
    if (HKI_UNLIKELY(barrier->hki_is_broken)) {
        hki_lock_release(&barrier->hki_lock.hki_word);
        hki_spend(self);
        return -EPIPE;
    }
    arrived = barrier->hki_arrived;
    if (arrived + 1 < barrier->hki_parties) {
        set_arrived(barrier, arrived + 1);
        barrier->hki_contended++;
        hki_waiter_arm(&w, self, &wait_kind, barrier);
        hki_queue_push(&barrier->hki_waiters, &w);
        hki_lock_release(&barrier->hki_lock.hki_word);
        return hk_park(&w, wait_abort);
    }
    released = let_go(barrier);
    hki_lock_release(&barrier->hki_lock.hki_word);
    wake_in_order(released);
    hki_spend(self);
    return (int)arrived;
}

static void turn_away(hk_barrier *barrier, bool is_broken)
{
    hk_waiter *released;

    hki_lock_acquire(&barrier->hki_lock.hki_word);
    __atomic_store_n(&barrier->hki_is_broken, is_broken, __ATOMIC_RELAXED);
    released = let_go(barrier);
    hki_lock_release(&barrier->hki_lock.hki_word);
    hki_queue_wake_all(released, -EPIPE);
}

void hk_barrier_abort(hk_barrier *barrier)
{
    turn_away(barrier, true);
}

void hk_barrier_reset(hk_barrier *barrier)
{
    turn_away(barrier, false);
}

bool hk_barrier_is_broken(const hk_barrier *barrier)
{
    return __atomic_load_n(&barrier->hki_is_broken, __ATOMIC_RELAXED);
}

void hk_barrier_stats(const hk_barrier *barrier, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&barrier->hki_lock.hki_word;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){.holders = barrier->hki_arrived,
                                 .waiters = barrier->hki_arrived,
                                 .contended = barrier->hki_contended};
    hki_lock_release(lock);
}

void hk_barrier_fini(hk_barrier *barrier)
{
    hk_sync_stats stats;

    if (!barrier)
        return;
    hk_barrier_stats(barrier, &stats);
    if (stats.waiters > 0)
        hki_panic("hk_barrier_fini: '%s' ends the barrier '%s' (%p) at which %u of %u "
                  "parties wait",
                  hk_task_name(), name_of(barrier), (void *)barrier, stats.waiters,
                  barrier->hki_parties);
}
