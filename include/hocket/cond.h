/* SPDX-License-Identifier: MIT */
/*
 * A condition: to wait, with a mutex released, until what the mutex guards has changed.
 *
 *     rc = hk_mutex_lock(&m);                  hk_mutex_lock(&m);
 *     while (rc == 0 && !ready)                ready = true;
 *         rc = hk_cond_wait(&c, &m);           hk_cond_signal(&c);
 *     ... the mutex is held, also when         hk_mutex_unlock(&m);
 *         rc is an error of the wait ...
 *     hk_mutex_unlock(&m);
 *
 * Test what you wait for in a loop: a wait ends only by a signal, but between the
 * signal and its end another may have been faster. A signal is never lost: it goes to
 * who waits at that moment, and a wait to which one went returns 0, cancelled or not.
 * A broadcast wakes its waiters one after the other, as the mutex comes free.
 */
#ifndef HOCKET_COND_H
#define HOCKET_COND_H

#include <hocket/mutex.h>

HK_BEGIN_DECLS

/* Valid when zeroed. Must not move while in use, which it is until every wait for it
 * has returned. 80 bytes. */
typedef struct hk_cond {
    hk_waiter_queue hki_waiters;
    hk_lock hki_lock;
    uint32_t hki_waiting; /* atomic: length of the queue */
    const char *name;     /* for dumps; may be NULL */
    uint64_t hki_waits;
    void *hki_heir;       /* atomic; a waiter, of sync/cond.c */
    uint64_t hki_bias[3]; /* of sync/bias.h */
    uint64_t hki_reserved[1];
} hk_cond;

#define HK_COND_INIT HK_ZERO_INIT

/*
 * Releases `mutex` and waits for a signal, in one step: a signal by who locked the
 * mutex after the caller has released it reaches the caller. Always holds the mutex
 * again on return, cancelled or not. Panics when the caller does not hold `mutex`, or
 * holds a recursive one more than once. Waiters with different mutexes are allowed.
 * Cancel:  atomic: -ECANCELED means that no signal was consumed.
 * Returns: 0 (signalled), -ECANCELED, -EDEADLK (nobody can ever signal).
 */
HK_API HK_WARN_UNUSED int hk_cond_wait(hk_cond *cond, hk_mutex *mutex);

/* Ends the wait of who has waited longest, if anybody waits. With or without the mutex.
 * Never blocks, not a cancel point. Any task or thread. */
HK_API void hk_cond_signal(hk_cond *cond);

/* Ends the wait of all who wait now. As hk_cond_signal. */
HK_API void hk_cond_broadcast(hk_cond *cond);

/* waiters: who has not been signalled yet; holders is 0; contended counts the waits. */
HK_API void hk_cond_stats(const hk_cond *cond, hk_sync_stats *out_stats);

/* Ends the use of a condition; no duty. Panics when somebody waits for it. */
HK_API void hk_cond_fini(hk_cond *cond);

HK_END_DECLS

#endif
