/* SPDX-License-Identifier: MIT */
/*
 * The mutex for its neighbours: the condition, which moves its waiters into the queue
 * of a mutex, and the rwlock, whose writers queue at one. Its rules are in mutex.c.
 */
#ifndef HKI_SYNC_MUTEX_H
#define HKI_SYNC_MUTEX_H

#include "core/self_inline.h"

#include <hocket/mutex.h>

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

/* Unlocks without the checks' hooks; the caller holds it, once. */
void hki_mutex_leave(hk_mutex *mutex, struct hki_self *self);

/* Locks owned by `self` beyond the first, or -1: it is not the holder. */
int64_t hki_mutex_depth(const hk_mutex *mutex, const struct hki_self *self);

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

#endif
