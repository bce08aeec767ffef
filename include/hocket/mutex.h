/* SPDX-License-Identifier: MIT */
/*
 * Mutual exclusion for tasks of any worker and plain threads alike.
 *
 * Barging with a bound: a released mutex may be taken by whoever runs first, since
 * strict hand-over measured 20 times slower; but a waiter older than 0.5 ms gets it
 * handed, though no more than one of them every 0.5 ms. HK_MUTEX_IN_ORDER asks for
 * strict hand-over. The holder is the task or thread that locked it; only it may
 * unlock.
 */
#ifndef HOCKET_MUTEX_H
#define HOCKET_MUTEX_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* Valid when zeroed: unlocked, and plain. Must not move while in use. 64 bytes. */
typedef struct hk_mutex {
    uint32_t hki_state; /* atomic; bits in sync/mutex.c */
    uint32_t hki_lock;
    void *hki_holder;       /* of the task or thread that holds it */
    uint16_t hki_depth;     /* of a recursive one: locks beyond the first */
    uint16_t hki_futile;    /* atomic: spins since one was of use */
    uint32_t hki_waiting;   /* length of the queue */
    uint32_t hki_handed_at; /* when it was last handed over, in 65,536 ns */
    uint32_t hki_check;     /* its number in the checks */
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
} hk_mutex;

/*
 * A plain mutex panics when its holder locks it again: misuse of it is found in every
 * build, and needs no flag. With a flag a lock and its unlock cost about 13 ns more.
 */
enum {
    /* Its holder may lock it again, and unlocks it as often; 65,536 times at most. */
    HK_MUTEX_RECURSIVE = 1 << 8,
    /* Locking it again returns -EDEADLK instead. Not together with RECURSIVE. */
    HK_MUTEX_ERROR_CHECKING = 1 << 9,
    /* Strictly in order of arrival: an unlock hands it to who has waited longest, and
     * nobody passes by. 20 times slower than barging when many want it. */
    HK_MUTEX_IN_ORDER = 1 << 10,
};

#define HK_MUTEX_INIT HK_ZERO_INIT
#define HK_MUTEX_INIT_WITH(flags)                                                      \
    {                                                                                  \
        (flags), 0, NULL, 0, 0, 0, 0, 0, {NULL, NULL}, NULL, 0                         \
    }

/* Initialises one at run time: unlocked, with `flags` (0: plain). Never blocks. */
HK_API void hk_mutex_init(hk_mutex *mutex, uint32_t flags);

/*
 * Ends the use of a mutex; its memory is the caller's as before. It owns nothing, so
 * this is no duty: it panics, naming the holder, when the mutex is held or waited for.
 */
HK_API void hk_mutex_fini(hk_mutex *mutex);

/*
 * Locks. Locking what one holds panics, unless a flag says otherwise.
 * Cancel:  atomic: -ECANCELED means not locked.
 * Returns: 0, -ECANCELED, -EDEADLK (nothing can ever unlock it; or ERROR_CHECKING, and
 *          the caller holds it).
 */
HK_API HK_WARN_UNUSED int hk_mutex_lock(hk_mutex *mutex);

/* Locks for clean-up: waits even when cancelled. Always locked on return; so locking
 * again what one holds panics with ERROR_CHECKING, too. */
HK_API void hk_mutex_lock_shielded(hk_mutex *mutex);

/* 0, or -EAGAIN when it is held; by the caller, with ERROR_CHECKING: -EDEADLK. Never
 * blocks, not a cancel point. */
HK_API HK_WARN_UNUSED int hk_mutex_try_lock(hk_mutex *mutex);

/* Unlocks; panics when the caller is not the holder. Never blocks, not a cancel
 * point. The mutex may be freed by who locks it next. */
HK_API void hk_mutex_unlock(hk_mutex *mutex);

/* True when the caller holds it. */
HK_API bool hk_mutex_is_held(const hk_mutex *mutex);

/* holders is 1 or 0. */
HK_API void hk_mutex_stats(const hk_mutex *mutex, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
