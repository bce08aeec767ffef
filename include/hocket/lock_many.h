/* SPDX-License-Identifier: MIT */
/*
 * Several mutexes at once, without the deadlock of two who take the same ones in
 * different orders (the bank transfer):
 *
 *     hk_mutex *both[] = {&from->lock, &to->lock};
 *     int rc = hk_lock_many(both, 2);
 *
 *     if (rc < 0)
 *         return rc;
 *     ... move the money ...
 *     hk_unlock_many(both, 2);
 *
 * All are taken in one global order, by address. Who also locks some of them on their
 * own must not call it while holding one of them.
 */
#ifndef HOCKET_LOCK_MANY_H
#define HOCKET_LOCK_MANY_H

#include <hocket/mutex.h>

HK_BEGIN_DECLS

/*
 * Locks all of `locks`, given in any order. One that is given twice is locked once (a
 * transfer to the same account needs no case), and NULL is skipped. Allocates nothing,
 * however many there are; the array is not changed. Finding the order takes
 * count * count comparisons, which is nothing for 10 and 1 ms for 1,000.
 * Cancel:  atomic: -ECANCELED means that none is locked.
 * Returns: 0 (all are locked), -ECANCELED, -EDEADLK (none is).
 */
HK_API HK_WARN_UNUSED int hk_lock_many(hk_mutex *const locks[], size_t count);

/* Unlocks all of `locks`, in the reverse order; the same set. Never blocks. */
HK_API void hk_unlock_many(hk_mutex *const locks[], size_t count);

HK_END_DECLS

#endif
