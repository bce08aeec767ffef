/* SPDX-License-Identifier: MIT */
/*
 * The mutex for its neighbours: the condition, which moves its waiters into the queue
 * of a mutex, and the rwlock, whose writers queue at one. Its rules are in mutex.c.
 */
#ifndef HKI_SYNC_MUTEX_H
#define HKI_SYNC_MUTEX_H

#include "base/spin.h"
#include "core/self_inline.h"

#include <hocket/mutex.h>

/* Bits of hki_state, documented in mutex.c, for whose who embed a mutex. Above them
 * all, those of HKI_MUTEX_GUESTS are theirs: any transition keeps them. */
enum { HKI_MUTEX_HELD = 1 << 0 };
#define HKI_MUTEX_GUESTS 0xffff0000u

/* What the wake of who wants a mutex says. */
enum hki_mutex_wake {
    HKI_MUTEX_TRY = 0,    /* its turn to try: WAKING is set for it */
    HKI_MUTEX_HANDED = 1, /* it is the holder */
    HKI_MUTEX_AGAIN = 2,  /* nothing was done for it: it comes as if it were new */
};

/* A caller on its way through the queue; waiter.data points to it. */
struct hki_mutex_place {
    hk_waiter waiter;
    struct hki_self *self;
    hk_mutex *mutex;
    const hk_wait_kind *kind; /* as what it waits, and for which object: a writer ... */
    const void *object;       /* ... waits for the rwlock, not for a mutex */
    int64_t since_ns;         /* when it first queued; kept when it goes back */
    uint32_t passed;          /* how often it was woken and another was faster */
};

/*
 * Locks without the checks' hooks and without a look at the cancel state, as a waiter
 * of `kind` for `object`; the caller does not hold it. `shielded`: cannot fail.
 */
int hki_mutex_enter(hk_mutex *mutex, struct hki_self *self, const hk_wait_kind *kind,
                    const void *object, bool shielded);
bool hki_mutex_try_enter(hk_mutex *mutex, struct hki_self *self);

/* Takes it if there is nothing in its word, and puts `guests` there. */
static inline bool hki_mutex_try_enter_free(hk_mutex *mutex, struct hki_self *self,
                                            uint32_t guests)
{
    uint32_t state = 0;

    if (HKI_UNLIKELY(!__atomic_compare_exchange_n(&mutex->hki_state, &state,
                                                  HKI_MUTEX_HELD | guests, false,
                                                  __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
        return false;
    __atomic_store_n(&mutex->hki_holder, self, __ATOMIC_RELAXED);
    return true;
}

/* Unlocks without the checks' hooks; the caller holds it, once. */
void hki_mutex_leave(hk_mutex *mutex, struct hki_self *self);

/* The same, if there is nothing but HELD and `guests` in its word. */
static inline bool hki_mutex_try_leave(hk_mutex *mutex, struct hki_self *self,
                                       uint32_t guests)
{
    uint32_t state = HKI_MUTEX_HELD | guests;

    __atomic_store_n(&mutex->hki_holder, NULL, __ATOMIC_RELAXED);
    if (HKI_LIKELY(__atomic_compare_exchange_n(&mutex->hki_state, &state, 0, false,
                                               __ATOMIC_RELEASE, __ATOMIC_RELAXED)))
        return true;
    __atomic_store_n(&mutex->hki_holder, self, __ATOMIC_RELAXED);
    return false;
}

/* Makes `to`, which does not run yet, the holder in place of the caller, unless others
 * wait for the mutex or it has flags. */
static inline bool hki_mutex_try_pass(hk_mutex *mutex, struct hki_self *to)
{
    if (__atomic_load_n(&mutex->hki_state, __ATOMIC_RELAXED) != HKI_MUTEX_HELD)
        return false;
    __atomic_store_n(&mutex->hki_holder, to, __ATOMIC_RELAXED);
    return true;
}

/*
 * Waits a moment before the `look`-th look (from 0) at a lock that is taken; false:
 * that was enough. The first look comes soon, for a holder that is all but done. Each
 * costs the holder two cache misses, so the next ones come seldom, and with `may_yield`
 * the caller then lets others have its processor: a plain thread for which nobody
 * waits. Nobody spins when the last few were in vain: the holder may be a task of the
 * caller's own worker, or wait with the lock held.
 */
static inline bool hki_mutex_spin(const hk_mutex *mutex, bool may_yield, int look)
{
    enum { FUTILE_MAX = 8, RETRY_EVERY = 64 };
    enum { PAUSES = 2, YIELDS = 8, PAUSES_OF_TASK = 4 };
    enum { SHORT = 2, LONG = 64 }; /* of 20 ns */
    uint16_t futile = __atomic_load_n(&mutex->hki_futile, __ATOMIC_RELAXED);

    if ((futile >= FUTILE_MAX && futile % RETRY_EVERY != 0) ||
        look >= (may_yield ? PAUSES + YIELDS : PAUSES_OF_TASK))
        return false;
    if (may_yield && look >= PAUSES)
        hki_spin_yield();
    else
        for (int i = 0; i < (look == 0 ? SHORT : LONG); i++)
            hki_spin_pause(0);
    return true;
}

/* To be told after each spin, also after one that was not worth it. */
static inline void hki_mutex_has_spun(hk_mutex *mutex, bool was_of_use)
{
    uint16_t futile = __atomic_load_n(&mutex->hki_futile, __ATOMIC_RELAXED);

    if (!was_of_use || futile != 0)
        __atomic_store_n(&mutex->hki_futile, was_of_use ? 0 : (uint16_t)(futile + 1),
                         __ATOMIC_RELAXED);
}

/* How often `self` has locked it beyond the first time; -1: it is not the holder. */
static inline int64_t hki_mutex_depth(const hk_mutex *mutex,
                                      const struct hki_self *self)
{
    if (__atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED) != self)
        return -1;
    return (int64_t)mutex->hki_depth;
}

/*
 * `place` is parked, in no queue: gives it its turn at its mutex as if it had come to
 * lock it now. It is woken now or by a later unlock, with HANDED or TRY.
 */
void hki_mutex_requeue(struct hki_mutex_place *place);

/* After that wake, by who waited: locked on return, and the checks know it. */
void hki_mutex_resume(struct hki_mutex_place *place, int wake);

static inline bool hki_mutex_is_in_order(const hk_mutex *mutex)
{
    return __atomic_load_n(&mutex->hki_state, __ATOMIC_RELAXED) & HK_MUTEX_IN_ORDER;
}

/* For messages and the kind `holders`. */
const char *hki_mutex_name(const hk_mutex *mutex);
size_t hki_mutex_holders(const hk_mutex *mutex, hk_holder *out, size_t max);
extern const hk_wait_kind hki_mutex_kind;

/* The caller locks what it holds; has locked it too often; unlocks what it does not
 * hold. */
_Noreturn void hki_mutex_panic_relock(const hk_mutex *mutex) __attribute__((cold));
_Noreturn void hki_mutex_panic_too_deep(const hk_mutex *mutex) __attribute__((cold));
_Noreturn void hki_mutex_panic_unlock(const hk_mutex *mutex) __attribute__((cold));

#endif
