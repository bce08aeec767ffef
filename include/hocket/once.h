/* SPDX-License-Identifier: MIT */
/*
 * Once: something is done by whoever needs it first, and everybody else waits for it.
 *
 *     static hk_once tables_made = HK_ONCE_INIT;
 *     int rc = hk_once_run(&tables_made, make_tables, NULL);
 *
 * Once means: until it succeeds. When the function fails, or its runner is cancelled
 * inside, its caller gets the error, and the next caller tries.
 */
#ifndef HOCKET_ONCE_H
#define HOCKET_ONCE_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* Valid when zeroed: not done. Must not move while in use, and must outlast every call
 * on it. 64 bytes. */
typedef struct hk_once {
    uint32_t hki_state; /* atomic; HKI_ONCE_DONE, or as in sync/once.c */
    hk_lock hki_lock;   /* guards the rest */
    void *hki_runner;   /* atomic for dumps: who runs the function now */
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint64_t hki_reserved[2];
} hk_once;

#define HK_ONCE_INIT HK_ZERO_INIT
#define HKI_ONCE_DONE 2

/* Ends its life; NULL is fine. Someone running or waiting: panic. Only to be sure. */
HK_API void hk_once_fini(hk_once *once);

/* True when it has been done, and its effects are visible to the caller. */
static inline bool hk_once_is_done(const hk_once *once)
{
    return __atomic_load_n(&once->hki_state, __ATOMIC_ACQUIRE) == HKI_ONCE_DONE;
}

/* hk_once_run, when it was not done a moment ago. */
HK_API HK_WARN_UNUSED int hk_once_run_slow(hk_once *once, hk_task_fn *fn, void *arg);

/*
 * Returns when `fn(arg)` has succeeded (returned >= 0) once, here or in another caller.
 * Only one runs at a time; a caller that waited for one that failed runs its own
 * function. Calling it from inside its own function panics.
 * Blocks:  while another caller runs the function. Not when it is done: then it costs
 *          one load, and is no cancel point.
 * Cancel:  -ECANCELED: it was not done by this call; another may have.
 * Returns: 0 (done); what `fn` returned, when this caller's `fn` failed; -ECANCELED;
 *          -EDEADLK.
 */
static inline HK_WARN_UNUSED int hk_once_run(hk_once *once, hk_task_fn *fn, void *arg)
{
    return hk_once_is_done(once) ? 0 : hk_once_run_slow(once, fn, arg);
}

/* holders: 1 while someone runs the function. */
HK_API void hk_once_stats(const hk_once *once, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
