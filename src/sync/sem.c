/* SPDX-License-Identifier: MIT */
/*
 * A counting semaphore, strictly in order of arrival.
 *
 * hki_permits: above 0, that many are free and nobody waits: one compare-and-swap takes
 * or gives some. Below 0, minus the length of the queue; then it changes only under the
 * lock, by who joins or leaves the queue, so a permit never passes by who waits.
 *
 * A semaphore may be freed by who took the last permit: the giver's last access is the
 * one that makes a permit free, or comes before the waiters that were handed theirs
 * are woken.
 */
#include <hocket/sem.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/select.h>
#include <hocket/task.h>

#include <inttypes.h>
#include <stdio.h>

static int64_t permits(const hk_sem *sem)
{
    return __atomic_load_n(&sem->hki_permits, __ATOMIC_RELAXED);
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_sem *sem = object;
    const char *quote = sem->name ? "'" : "";
    int64_t free = permits(sem);

    (void)snprintf(text, size, "%s%s%s%s%" PRId64 " free, %" PRId64 " waiting", quote,
                   sem->name ? sem->name : "", quote, sem->name ? ", " : "",
                   free > 0 ? free : 0, free < 0 ? -free : 0);
}

static const hk_wait_kind acquire_kind = {.name = "semaphore", .describe = describe};

void hk_sem_init(hk_sem *sem, uint32_t count)
{
    *sem = (hk_sem)HK_SEM_INIT(count);
}

/* One permit if one is free. */
static inline bool try_take(hk_sem *sem)
{
    int64_t free = permits(sem);

    while (free > 0)
        if (__atomic_compare_exchange_n(&sem->hki_permits, &free, free - 1, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* Under the lock: joins the queue. False: a permit had come free, and was taken. */
static bool enqueue(hk_sem *sem, hk_waiter *w)
{
    if (__atomic_fetch_sub(&sem->hki_permits, 1, __ATOMIC_ACQUIRE) > 0)
        return false;
    sem->hki_contended++;
    hki_queue_push(&sem->hki_waiters, w);
    return true;
}

/* Under the lock: leaves the queue. False: no longer in it. */
static bool dequeue(hk_sem *sem, hk_waiter *w)
{
    if (!hki_queue_remove(&sem->hki_waiters, w))
        return false;
    __atomic_fetch_add(&sem->hki_permits, 1, __ATOMIC_RELAXED);
    return true;
}

static hk_verdict acquire_abort(hk_waiter *w)
{
    hk_sem *sem = (hk_sem *)w->object;
    bool removed;

    hki_lock_acquire(&sem->hki_lock.hki_word);
    removed = dequeue(sem, w);
    hki_lock_release(&sem->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

static __attribute__((noinline)) int acquire_slow(hk_sem *sem, struct hki_self *self)
{
    hk_waiter w;
    bool queued;

    hki_waiter_arm(&w, self, &acquire_kind, sem);
    hki_lock_acquire(&sem->hki_lock.hki_word);
    queued = enqueue(sem, &w);
    hki_lock_release(&sem->hki_lock.hki_word);
    if (queued)
        return hk_park(&w, acquire_abort);
    hki_spend(self);
    return 0;
}

/* The rest of a call that has to look up, and may have to yield: which it does before
 * the try, without a permit. */
static __attribute__((noinline)) int acquire_attentive(hk_sem *sem)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (rc < 0)
        return rc;
    hki_spend(self);
    return try_take(sem) ? 0 : acquire_slow(sem, self);
}

/* Small enough to need no frame: what is rare is behind a jump. */
int hk_sem_acquire(hk_sem *sem)
{
    struct hki_self *self = hki_self_current;

    if (HKI_UNLIKELY(!self || __atomic_load_n(&self->attention, __ATOMIC_RELAXED) ||
                     self->budget == 1))
        return acquire_attentive(sem);
    if (HKI_UNLIKELY(!try_take(sem)))
        return acquire_slow(sem, self);
    self->budget--;
    return 0;
}

int hk_sem_try_acquire(hk_sem *sem)
{
    return try_take(sem) ? 0 : -EAGAIN;
}

/* Adds `count` free permits. False: somebody waits, and gets them first. */
static bool try_give(hk_sem *sem, uint32_t count)
{
    int64_t free = permits(sem);

    while (free >= 0)
        if (__atomic_compare_exchange_n(&sem->hki_permits, &free, free + count, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* Hands up to `count` permits to waiters, appends these at `*end`, and returns how many
 * permits are left. A waiter that cannot be had leaves the queue and takes none. */
static uint32_t hand_over(hk_sem *sem, uint32_t count, hk_waiter ***end)
{
    hk_waiter *w;

    hki_lock_acquire(&sem->hki_lock.hki_word);
    while (count > 0 && (w = hki_queue_pop(&sem->hki_waiters))) {
        __atomic_fetch_add(&sem->hki_permits, 1, __ATOMIC_RELAXED);
        if (!hk_waiter_claim(w))
            continue;
        **end = w;
        *end = &w->next;
        count--;
    }
    hki_lock_release(&sem->hki_lock.hki_word);
    return count;
}

static __attribute__((noinline)) void release_slow(hk_sem *sem, uint32_t count)
{
    hk_waiter *woken = NULL, **end = &woken;

    do
        count = hand_over(sem, count, &end);
    while (count > 0 && !try_give(sem, count));
    *end = NULL;
    hki_queue_wake_all(woken, 0);
}

void hk_sem_release(hk_sem *sem, uint32_t count)
{
    if (HKI_UNLIKELY(count > 0 && !try_give(sem, count)))
        release_slow(sem, count);
}

uint32_t hk_sem_available(const hk_sem *sem)
{
    int64_t free = permits(sem);

    if (free <= 0)
        return 0;
    return free < UINT32_MAX ? (uint32_t)free : UINT32_MAX;
}

void hk_sem_stats(const hk_sem *sem, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&sem->hki_lock.hki_word;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){.waiters = hki_queue_length(&sem->hki_waiters),
                                 .contended = sem->hki_contended};
    hki_lock_release(lock);
}

void hk_sem_fini(hk_sem *sem)
{
    hk_sync_stats stats;

    if (!sem)
        return;
    hk_sem_stats(sem, &stats);
    if (stats.waiters > 0)
        hki_panic("hk_sem_fini: '%s' ends the semaphore '%s' (%p) that %u wait for",
                  hk_task_name(), sem->name ? sem->name : "unnamed", (void *)sem,
                  stats.waiters);
}

/* ---- as a case of a select ---- */

static hk_lock *case_lock(void *object)
{
    return &((hk_sem *)object)->hki_lock;
}

static int case_attempt(void *object, void *data)
{
    (void)data;
    return hk_sem_try_acquire(object);
}

/* A release takes no lock while nobody is queued, so one may have come since the
 * attempt under this lock found none: then the wait is over before it began. */
static void case_enqueue(void *object, hk_waiter *w)
{
    hk_sem *sem = object;

    if (enqueue(sem, w))
        return;
    if (hk_waiter_claim(w))
        hk_wake(w, 0);
    else
        hk_sem_release(sem, 1); /* needs no lock: nobody is queued, and we hold it */
}

static void case_dequeue(void *object, hk_waiter *w)
{
    (void)dequeue(object, w);
}

const hk_waitable hk_sem_acquiring = {
    .kind = &acquire_kind,
    .lock = case_lock,
    .attempt = case_attempt,
    .enqueue = case_enqueue,
    .dequeue = case_dequeue,
};
