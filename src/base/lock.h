/* SPDX-License-Identifier: MIT */
/*
 * The short lock of a primitive: three states in one futex word (Drepper, "Futexes Are
 * Tricky", mutex 3). It guards a few words for a few nanoseconds and is never held
 * across a wait, so there is no owner, no cancel and no fairness; but a preempted
 * holder costs its waiters a sleep, not a spin.
 *
 *     0 free    1 held    2 held, and someone may sleep on the word
 */
#ifndef HKI_BASE_LOCK_H
#define HKI_BASE_LOCK_H

#include "base/annotate.h"
#include "base/assert.h"

#include <stdbool.h>
#include <stdint.h>

void hki_lock_wait(uint32_t *word); /* sys/lock.c: until it has the lock */
void hki_lock_wake(uint32_t *word); /* sys/lock.c */

static inline bool hki_lock_try(uint32_t *word)
{
    uint32_t expected = 0;

    return __atomic_compare_exchange_n(word, &expected, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void hki_lock_acquire(uint32_t *word)
{
    if (HKI_UNLIKELY(!hki_lock_try(word)))
        hki_lock_wait(word);
}

static inline void hki_lock_release(uint32_t *word)
{
    HKI_HB_RELEASE(word); /* pairs with the slow path of an acquire */
    if (HKI_UNLIKELY(__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2))
        hki_lock_wake(word);
}

/*
 * Waits until whoever holds it now has left: for who saw under no lock what that one
 * did, and may free the lock next.
 */
static inline void hki_lock_outlast(uint32_t *word)
{
    if (HKI_LIKELY(!__atomic_load_n(word, __ATOMIC_ACQUIRE)))
        return;
    hki_lock_acquire(word);
    hki_lock_release(word);
}

#endif
