/* SPDX-License-Identifier: MIT */
/*
 * Those who wait until something about a pool has changed: for room in its queue, for
 * its last job. The pool's lock guards them, and is held when they are woken: a waiter
 * that is cancelled meanwhile takes itself out of the queue with the same lock.
 */
#ifndef HKI_EXEC_WAITERS_H
#define HKI_EXEC_WAITERS_H

#include <hocket/waiter.h>

#include <stdint.h>

struct hki_waiters {
    hk_lock *lock; /* the pool's */
    hk_waiter_queue queue;
};

/* With the lock, which it releases. Returns what it is woken with, or -ECANCELED when
 * it was not woken; the pool may be gone then. `pool` is for dumps. */
int hki_waiters_wait(struct hki_waiters *waiters, const hk_wait_kind *kind,
                     const void *pool);

/* The whole of a pool's join: waits until it is told that `*jobs`, which the lock guards,
 * is 0. Without the lock. 0 or -ECANCELED. */
int hki_waiters_join(struct hki_waiters *waiters, const uint64_t *jobs,
                     const hk_wait_kind *kind, const void *pool);

/* With the lock. The oldest ones, `most` at most. */
void hki_waiters_wake(struct hki_waiters *waiters, uint64_t most, int rc);

static inline void hki_waiters_wake_all(struct hki_waiters *waiters, int rc)
{
    hki_waiters_wake(waiters, UINT64_MAX, rc);
}

#endif
