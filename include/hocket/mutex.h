/* SPDX-License-Identifier: MIT */
/*
 * Mutual exclusion for tasks of any worker and plain threads alike.
 *
 * Barging with a bound: a released mutex may be taken by whoever runs first, since
 * strict hand-over measured 20 times slower; but a waiter older than 0.5 ms gets it
 * handed. The holder is the task or thread that locked it; only it may unlock.
 */
#ifndef HOCKET_MUTEX_H
#define HOCKET_MUTEX_H

#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* Valid when zeroed: unlocked. Must not move while in use. 64 bytes. */
typedef struct hk_mutex {
    uint32_t hki_state; /* atomic; bits in sync/mutex.c */
    uint32_t hki_lock;
    void *hki_holder; /* of the task or thread that holds it */
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_reserved[3];
} hk_mutex;

#define HK_MUTEX_INIT HK_ZERO_INIT

/*
 * Locks. Locking what one holds panics.
 * Cancel:  atomic: -ECANCELED means not locked.
 * Returns: 0, -ECANCELED, -EDEADLK (nothing can ever unlock it).
 */
HK_API HK_WARN_UNUSED int hk_mutex_lock(hk_mutex *mutex);

/* Locks for clean-up: waits even when cancelled. Always locked on return. */
HK_API void hk_mutex_lock_shielded(hk_mutex *mutex);

/* 0, or -EAGAIN when it is held. Never blocks, not a cancel point. */
HK_API HK_WARN_UNUSED int hk_mutex_try_lock(hk_mutex *mutex);

/* Unlocks; panics when the caller is not the holder. Never blocks, not a cancel
 * point. */
HK_API void hk_mutex_unlock(hk_mutex *mutex);

/* True when the caller holds it. */
HK_API bool hk_mutex_is_held(const hk_mutex *mutex);

HK_END_DECLS

#endif
