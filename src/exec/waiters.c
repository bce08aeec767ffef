/* SPDX-License-Identifier: MIT */
/* Waiting for a change of a pool. */
#include "exec/waiters.h"

#include <hocket/scope.h>

static hk_verdict abort_wait(hk_waiter *w)
{
    struct hki_waiters *waiters = w->data;
    bool is_removed;

    hk_lock_acquire(waiters->lock);
    is_removed = hk_waiter_remove(&waiters->queue, w);
    hk_lock_release(waiters->lock);
    return is_removed ? HK_ABORTED : HK_PENDING;
}

int hki_waiters_wait(struct hki_waiters *waiters, const hk_wait_kind *kind,
                     const void *pool)
{
    hk_waiter w;

    hk_waiter_init(&w, kind, pool);
    w.data = waiters;
    hk_waiter_push(&waiters->queue, &w);
    hk_lock_release(waiters->lock);
    return hk_park(&w, abort_wait);
}

int hki_waiters_join(struct hki_waiters *waiters, const uint64_t *jobs,
                     const hk_wait_kind *kind, const void *pool)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    hk_lock_acquire(waiters->lock);
    if (*jobs > 0)
        return hki_waiters_wait(waiters, kind, pool);
    hk_lock_release(waiters->lock);
    return hk_budget();
}

void hki_waiters_wake(struct hki_waiters *waiters, uint64_t most, int rc)
{
    hk_waiter *w;

    while (most-- > 0 && (w = hk_waiter_pop(&waiters->queue)))
        hk_wake(w, rc);
}
