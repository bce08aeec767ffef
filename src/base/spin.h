/* SPDX-License-Identifier: MIT */
/*
 * A lock for a few nanoseconds of work whose release is a plain store: half the price
 * of a futex lock, whose release must be an atomic exchange, as it learns by that who
 * sleeps. Here nobody sleeps: who waits looks again, more and more slowly, after 4 us
 * by yielding the processor, after many yields by naps. So use it only where two
 * parties seldom meet, and never across a wait.
 *
 * The release is the last access: whoever takes the lock next may free the memory.
 */
#ifndef HKI_BASE_SPIN_H
#define HKI_BASE_SPIN_H

#include "base/annotate.h"
#include "base/assert.h"

#include <stdbool.h>
#include <stdint.h>

struct hki_spin {
    uint32_t word; /* atomic; 0 free, 1 held */
};

/* One wait before the next look; `turn` counts them from 0. */
void hki_spin_pause(unsigned turn);

/* Lets another thread have the processor. */
void hki_spin_yield(void);

static inline bool hki_spin_try(struct hki_spin *spin)
{
    return !__atomic_exchange_n(&spin->word, 1, __ATOMIC_ACQUIRE);
}

void hki_spin_wait(struct hki_spin *spin); /* until it has the lock */

static inline void hki_spin_acquire(struct hki_spin *spin)
{
    if (HKI_UNLIKELY(!hki_spin_try(spin)))
        hki_spin_wait(spin);
}

static inline void hki_spin_release(struct hki_spin *spin)
{
    HKI_HB_RELEASE(spin); /* pairs with hki_spin_wait */
    __atomic_store_n(&spin->word, 0, __ATOMIC_RELEASE);
}

#endif
