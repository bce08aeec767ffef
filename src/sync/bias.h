/* SPDX-License-Identifier: MIT */
/*
 * A bias: an object that only one worker uses belongs to that worker, and its calls
 * take no lock and no atomic read-modify-write. Tasks of one worker exclude each other
 * anyway, since nothing switches between two waiting calls. The first call from
 * anywhere else ends the bias, for ever, and from then on everybody uses the lock.
 *
 *     owner     OPEN    nobody yet: every call locks, and is counted
 *               worker  that worker's calls go without the lock
 *               NONE    everybody locks; final
 *
 * `owner` is written only with the object's lock held: OPEN -> worker after
 * HKI_BIAS_VISITS calls in a row from one worker (so that short-lived objects never
 * bother), OPEN -> NONE and worker -> NONE by the first other party.
 *
 * Why it excludes. The owner does (a) busy = 1, (b) reads owner, and works only if it
 * is still its own. Who revokes does (c) owner = NONE, (d) a fence on every thread of
 * the process (membarrier(2)), (e) waits until busy is 0. If (b) read the old owner it
 * ran before the fence hit its thread, else it would have seen (c); so (a), earlier in
 * program order, is visible to (e), which waits for the end of the work: the store of
 * 0, a release, whose reader (e) acquires all that the owner did. If (b) read NONE the
 * owner did nothing and takes the lock. The fence moves the price of Dekker's
 * store-then-load from each call to the one revocation (3 us here); the idea is that of
 * asymmetric fences in userspace RCU and of the biased locks of the JVM.
 *
 * The work must be short and must not wait: a revocation spins on it.
 */
#ifndef HKI_SYNC_BIAS_H
#define HKI_SYNC_BIAS_H

#include "base/annotate.h"
#include "base/assert.h"

#include <stdbool.h>
#include <stdint.h>

struct hki_worker;

enum {
    HKI_BIAS_OPEN = 1, /* no address of a worker, nor NULL, a plain thread's */
    HKI_BIAS_NONE = 2,
    HKI_BIAS_VISITS = 32,
};

struct hki_bias {
    uintptr_t owner;     /* atomic; written under the object's lock */
    uint32_t busy;       /* atomic; written by the owner alone */
    uint32_t visits;     /* by the candidate, while OPEN; guarded by the lock */
    uintptr_t candidate; /* guarded by the lock */
};

static inline void hki_bias_init(struct hki_bias *bias)
{
    *bias = (struct hki_bias){.owner = HKI_BIAS_OPEN};
}

/* True when everybody locks. Final; who sees it may still have to wait for the lock of
 * who ended the bias. */
static inline bool hki_bias_is_over(const struct hki_bias *bias)
{
    return __atomic_load_n(&bias->owner, __ATOMIC_RELAXED) == HKI_BIAS_NONE;
}

/* True when `worker` owns. With the object's lock held that alone excludes others. */
static inline bool hki_bias_is_owner(const struct hki_bias *bias,
                                     const struct hki_worker *worker)
{
    return __atomic_load_n(&bias->owner, __ATOMIC_RELAXED) == (uintptr_t)worker;
}

static inline void hki_bias_leave(struct hki_bias *bias)
{
    HKI_HB_RELEASE(&bias->busy); /* pairs with hki_fence_await_zero */
    __atomic_store_n(&bias->busy, 0, __ATOMIC_RELEASE);
}

/* True: the object is the caller's until hki_bias_leave. False: lock it. */
static inline bool hki_bias_enter(struct hki_bias *bias,
                                  const struct hki_worker *worker)
{
    if (!hki_bias_is_owner(bias, worker))
        return false;
    /* Costs nothing; tells a race detector that tasks of one worker take turns. */
    (void)__atomic_load_n(&bias->busy, __ATOMIC_ACQUIRE);
    __atomic_store_n(&bias->busy, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* (a) before (b): see above */
    if (HKI_LIKELY(hki_bias_is_owner(bias, worker)))
        return true;
    hki_bias_leave(bias);
    return false;
}

/*
 * For a race detector that tells tasks of one worker apart: what they do with the lock
 * and what they do without it come one after the other. To be called by who has taken
 * the lock, and before it is released. No code in other builds.
 */
static inline void hki_bias_lock_taken(struct hki_bias *bias)
{
    HKI_HB_ACQUIRE(&bias->busy);
}

static inline void hki_bias_lock_leaves(struct hki_bias *bias)
{
    HKI_HB_RELEASE(&bias->busy);
}

/* Who has locked the object and is not its owner says so; on return the lock excludes
 * all others. `worker` is the caller's, NULL on a plain thread. */
void hki_bias_visit(struct hki_bias *bias, const struct hki_worker *worker);

#endif
